"""Schedules that let the rate fall: in steps, by a factor, along a cosine.

Invariant: each rate follows from the one before, so that a change of `group["lr"]` by hand carries
on; without one, it is the closed form in the docstring, to rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import cos, pi

from slopewise._core.source import explain
from slopewise.errors import UsageError
from slopewise.optim.lr_scheduler.schedule import LRScheduler
from slopewise.optim.optimizer import Optimizer


class StepLR(LRScheduler):
    """lr = base * gamma ** (t // step_size).

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
        Steps between two falls.
    gamma : float
    last_epoch : int

    Raises
    ------
    UsageError
        If step_size is not positive.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise UsageError(explain(f"StepLR: step_size {step_size} must be at least 1."))
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rates, times gamma at every step_size-th step."""
        falls = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        factor = self.gamma if falls else 1.0
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class MultiStepLR(LRScheduler):
    """lr = base * gamma ** (number of milestones up to t).

    Parameters
    ----------
    optimizer : Optimizer
    milestones : iterable of int
        Steps at which the rate falls; one named twice falls twice.
    gamma : float
    last_epoch : int
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rates, times gamma at a milestone."""
        factor = self.gamma ** self.milestones.get(self.last_epoch, 0)
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class ExponentialLR(LRScheduler):
    """lr = base * gamma ** t.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
    last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rates, times gamma after the first step."""
        factor = self.gamma if self.last_epoch > 0 else 1.0
        return [group["lr"] * factor for group in self.optimizer.param_groups]


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
        Steps from the largest rate to the smallest.
    eta_min : float
        The smallest rate.
    last_epoch : int

    Source: Loshchilov & Hutter (2017), SGDR, equation 5 (without restarts).
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_max < 1:
            raise UsageError(explain(f"CosineAnnealingLR: T_max {T_max} must be at least 1."))
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rates after one more step along the cosine."""
        t, period, low = self.last_epoch, self.T_max, self.eta_min
        groups = self.optimizer.param_groups
        if t == 0:
            return [group["lr"] for group in groups]
        if self._step_count == 1:
            height = (1.0 + cos(pi * t / period)) / 2.0
            return [low + (base - low) * height for base in self.base_lrs]
        if (t - 1 - period) % (2 * period) == 0:
            # At the lowest point the ratio below is 0 / 0; the first rise is known.
            rise = (1.0 - cos(pi / period)) / 2.0
            return [
                group["lr"] + (base - low) * rise
                for base, group in zip(self.base_lrs, groups, strict=True)
            ]
        ratio = (1.0 + cos(pi * t / period)) / (1.0 + cos(pi * (t - 1) / period))
        return [low + (group["lr"] - low) * ratio for group in groups]
