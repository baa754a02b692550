"""ReduceLROnPlateau: the rate falls when a measured quantity stops getting better.

Invariant: unlike the other schedules it steps on a value, and knows nothing of step numbers beyond
counting bad ones. A value that is NaN counts as no better. What a step changes is in tensors, so
that a compiled function, which does not know the value, decides with the same formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import no_grad, state
from slopewise._core.value import new_value
from slopewise._front.operands import as_value, cast
from slopewise._ops.comparison import maximum as larger
from slopewise._ops.comparison import where
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
        self._tensors = {
            "last_epoch": _count(0.0), "best": _count(inf if mode == "min" else -inf),
            "num_bad_epochs": _count(0.0), "cooldown_counter": _count(0.0),
        }  # fmt: skip

    def step(self, metrics: Any) -> None:
        """Take a new value (a number or a Tensor of one element) into account."""
        tensors = self._tensors
        with no_grad():
            value = float(metrics) if state.recorder is None else _as_number(metrics)
            kept = {name: self._read(name) for name in tensors}
            rates = [self._read_rate(group) for group in self.optimizer.param_groups]
            new, fallen = self._decide(value, kept, rates)
            for name, number in new.items():
                _write(tensors[name], number)
            for group, rate in zip(self.optimizer.param_groups, fallen, strict=True):
                group["lr"] = rate

    def _decide(
        self, value: Any, kept: Mapping[str, Any], rates: Sequence[Any]
    ) -> tuple[dict[str, Any], list[Any]]:
        """Return what is kept next, and the next rates, from numbers or from traced tensors."""
        better = self._is_better(value, kept["best"])
        cooling = kept["cooldown_counter"] > 0
        bad = _choose(better, 0.0, kept["num_bad_epochs"] + 1)
        bad = _choose(cooling, 0.0, bad)
        cooldown = _choose(cooling, kept["cooldown_counter"] - 1, kept["cooldown_counter"])
        falls = bad > self.patience
        fallen: list[Any] = []
        for rate, low in zip(rates, self.min_lrs, strict=True):
            new = _larger(rate * self.factor, low)
            fallen.append(_choose(falls, _choose(rate - new > self.eps, new, rate), rate))
        return {
            "last_epoch": kept["last_epoch"] + 1,
            "best": _choose(better, value, kept["best"]),
            "num_bad_epochs": _choose(falls, 0.0, bad),
            "cooldown_counter": _choose(falls, float(self.cooldown), cooldown),
        }, fallen

    def _is_better(self, value: Any, best: Any) -> Any:
        if self.threshold_mode == "rel":
            bound = best * (1.0 - self.threshold if self.mode == "min" else 1.0 + self.threshold)
        else:
            bound = best + (-self.threshold if self.mode == "min" else self.threshold)
        return value < bound if self.mode == "min" else value > bound

    def is_better(self, value: float) -> bool:
        """Return whether a value is better than the best so far by the threshold."""
        return bool(self._is_better(value, self.best))

    def _read(self, name: str) -> Any:
        tensor = self._tensors[name]
        return tensor._value.item() if state.recorder is None else as_value(tensor)

    def _read_rate(self, group: Any) -> Any:
        return group["lr"] if state.recorder is None else as_value(group.rate)

    @property
    def best(self) -> float:
        """The best value so far."""
        return self._tensors["best"].item()

    @property
    def last_epoch(self) -> int:
        """Steps taken."""
        return int(self._tensors["last_epoch"].item())

    @property
    def num_bad_epochs(self) -> int:
        """Steps since the last better value."""
        return int(self._tensors["num_bad_epochs"].item())

    @property
    def cooldown_counter(self) -> int:
        """Steps in which nothing is counted yet."""
        return int(self._tensors["cooldown_counter"].item())

    def get_last_lr(self) -> list[float]:
        """Return the rates that were set last."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer."""
        own = {k: v for k, v in vars(self).items() if k not in ("optimizer", "_tensors")}
        return {**own, **{name: getattr(self, name) for name in self._tensors},
                "_last_lr": self.get_last_lr()}  # fmt: skip

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for name, entry in state_dict.items():
            if name in self._tensors:
                _write(self._tensors[name], float(entry))
            elif name != "_last_lr":
                setattr(self, name, entry)


def _count(number: float) -> Any:
    return new_value(np.array(number, np.float64), None, False)


def _as_number(metrics: Any) -> Any:
    return cast(as_value(metrics), np.dtype(np.float64)).reshape(())


def _write(tensor: Any, number: Any) -> None:
    if state.recorder is not None:
        tensor._write(cast(as_value(number), np.dtype(np.float64)))
        return
    tensor._value[...] = number
    tensor._storage.version += 1


def _choose(condition: Any, x: Any, y: Any) -> Any:
    """Return one of two numbers, or of two traced ones."""
    return (x if condition else y) if isinstance(condition, bool) else where(condition, x, y)


def _larger(x: Any, y: float) -> Any:
    return max(x, y) if isinstance(x, float) else larger(x, y)
