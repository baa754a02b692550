"""Arguments: what is refused before anything is examined, watched or cured, and what to give.

Invariant: nothing is run; each refusal names the call, the argument and the remedy. It is separate
because examination, watcher and cure take the same arguments.
"""

from __future__ import annotations

from typing import Any

from slopewise.errors import UsageError
from slopewise.explain.requests import check_range

MOST = 1_000_000_000
"""More rows or steps than anyone has."""


def check_loss(where: str, loss_fn: Any) -> None:
    """Refuse what is no function of output and target.

    Examples
    --------
    >>> check_loss("examine", "mse")
    Traceback (most recent call last):
    ...
    slopewise.errors.UsageError: examine: loss_fn must be a function of output and target, such as
    nn.functional.mse_loss, not 'mse'.
    """
    if not callable(loss_fn):
        raise UsageError(
            f"{where}: loss_fn must be a function of output and target, such as"
            f" nn.functional.mse_loss, not {loss_fn!r}."
        )


def check_count(where: str, name: str, found: Any) -> None:
    """Refuse a number of rows or steps that is none."""
    if found is None:
        return
    if isinstance(found, bool) or not hasattr(found, "__index__"):
        raise UsageError(f"{where}: {name} must be a whole number of 1 or more, not {found!r}.")
    check_range(where, name, int(found), 1, MOST)


def check_optimizer(where: str, model: Any, optimizer: Any) -> None:
    """Refuse what is no optimiser, or one of another framework than the model."""
    if optimizer is None:
        return
    groups = getattr(optimizer, "param_groups", None)
    if isinstance(optimizer, type) or not isinstance(groups, list) or not groups:
        raise UsageError(
            f"{where}: optimizer must be one that was made of parameters, such as"
            f" optim.Adam(model.parameters()), not {optimizer!r}."
        )
    first = next((p for group in groups for p in group["params"]), None)
    own = next(iter(model.parameters()), None)
    if first is None or own is None:
        return
    sides = [type(p).__module__.partition(".")[0] for p in (own, first)]
    if sides[0] != sides[1]:
        raise UsageError(
            f"{where}: the model's parameters are {sides[0]}'s and the optimizer's are"
            f" {sides[1]}'s; take both from one library."
        )


def check_share(where: str, name: str, found: Any) -> None:
    """Refuse a share that does not lie between 0 and 1."""
    number = isinstance(found, (int, float)) and not isinstance(found, bool)
    if not number or not 0 < found < 1:
        raise UsageError(f"{where}: {name} must lie between 0 and 1, as 0.95 does, not {found!r}.")
