"""ReduceLROnPlateau: the rate falls when a measured quantity stops getting better.

Invariant: unlike the other schedules it steps on a value, and knows nothing of step numbers beyond
counting bad ones. A value that is NaN counts as no better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from slopewise._core.source import explain
from slopewise.errors import UsageError
from slopewise.optim.optimizer import Optimizer


class ReduceLROnPlateau:
    """lr = lr * factor after `patience` steps without a better value.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Whether less or more is better.
    factor : float
        Below 1.
    patience : int
        Steps without a better value that are let pass.
    threshold : float
        How much better counts.
    threshold_mode : {"rel", "abs"}
        Whether the threshold is a share of the best value, or a difference.
    cooldown : int
        Steps after a fall in which nothing is counted.
    min_lr : float, or one for each group
    eps : float
        A smaller change is not made.

    Raises
    ------
    UsageError
        If an option is out of range.

    Examples
    --------
    >>> import slopewise as sw
    >>> optimizer = sw.optim.SGD([sw.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = sw.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    >>> for loss in [1.0, 1.0, 1.0]:
    ...     schedule.step(loss)
    >>> optimizer.param_groups[0]["lr"]
    0.1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise UsageError(explain(f"Factor should be < 1.0, got {factor}."))
        if mode not in ("min", "max"):
            raise UsageError(explain(f"mode {mode!r} is unknown; use 'min' or 'max'."))
        if threshold_mode not in ("rel", "abs"):
            raise UsageError(
                explain(f"threshold mode {threshold_mode!r} is unknown; use 'rel' or 'abs'.")
            )
        groups = len(optimizer.param_groups)
        lows = [float(min_lr)] * groups if isinstance(min_lr, (int, float)) else list(min_lr)
        if len(lows) != groups:
            raise UsageError(explain(f"expected {groups} min_lrs, got {len(lows)}."))
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = lows
        self.eps = eps
        self.last_epoch = 0
        self.best = inf if mode == "min" else -inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any) -> None:
        """Take a new value (a number or a Tensor of one element) into account."""
        value = float(metrics)
        self.last_epoch += 1
        if self.is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def is_better(self, value: float) -> bool:
        """Return whether a value is better than the best so far by the threshold."""
        if self.threshold_mode == "rel":
            margin = 1.0 - self.threshold if self.mode == "min" else 1.0 + self.threshold
            bound = self.best * margin
        else:
            bound = self.best + (-self.threshold if self.mode == "min" else self.threshold)
        return value < bound if self.mode == "min" else value > bound

    def _reduce(self) -> None:
        for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            new = max(group["lr"] * self.factor, low)
            if group["lr"] - new > self.eps:
                group["lr"] = new

    def get_last_lr(self) -> list[float]:
        """Return the rates that were set last."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer."""
        return {k: v for k, v in vars(self).items() if k != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        vars(self).update(state_dict)
