"""OneCycleLR: the rate rises to a peak and falls far below its start, momentum the other way.

Invariant: the cycle has a fixed number of steps, known beforehand; a step beyond it is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi
from typing import Any, NamedTuple

from slopewise._core.source import explain
from slopewise.errors import UsageError
from slopewise.optim.lr_scheduler.schedule import LRScheduler
from slopewise.optim.optimizer import Optimizer


class Phase(NamedTuple):
    """A part of the cycle: its last step, and what rate and momentum go from and to."""

    end: float
    lr: tuple[str, str]
    momentum: tuple[str, str]


class OneCycleLR(LRScheduler):
    """One cycle: up from max_lr / div_factor to max_lr, then down to 1 / final_div_factor of it.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or one for each group
        The peak.
    total_steps : int, optional
        Steps of the cycle; or give epochs and steps_per_epoch.
    epochs, steps_per_epoch : int, optional
    pct_start : float
        The share of the cycle in which the rate rises.
    anneal_strategy : {"cos", "linear"}
    cycle_momentum : bool
        Whether momentum (or the first beta) falls from max_momentum to base_momentum and back.
    base_momentum, max_momentum : float, or one for each group
    div_factor, final_div_factor : float
        The first rate is max_lr / div_factor, the last one that / final_div_factor.
    three_phase : bool
        Fall back to the first rate symmetrically, and only then to the last.
    last_epoch : int

    Raises
    ------
    UsageError
        If the number of steps is not given or is passed, or an option is out of range.

    Source: Smith & Topin (2019), Super-convergence, section 3.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise UsageError(
                    explain(
                        "OneCycleLR: You must define either total_steps OR (epochs AND"
                        " steps_per_epoch)."
                    )
                )
            total_steps = epochs * steps_per_epoch
        if total_steps < 1:
            raise UsageError(explain(f"OneCycleLR: total_steps {total_steps} must be positive."))
        if not 0.0 <= pct_start <= 1.0:
            raise UsageError(explain(f"OneCycleLR: pct_start {pct_start} must be in [0, 1]."))
        if anneal_strategy not in ("cos", "linear"):
            raise UsageError(
                explain(f"OneCycleLR: anneal_strategy {anneal_strategy!r} is not cos or linear.")
            )
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.phases = _plan(total_steps, pct_start, three_phase)
        groups = optimizer.param_groups
        for group, peak in zip(groups, _per_group(max_lr, len(groups)), strict=True):
            if last_epoch == -1:
                group["initial_lr"] = peak / div_factor
                group["max_lr"] = peak
                group["min_lr"] = peak / div_factor / final_div_factor
        if cycle_momentum:
            if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
                raise UsageError(
                    explain(
                        "OneCycleLR: optimizer must support momentum or beta1 with `cycle_momentum`"
                        " option enabled; give cycle_momentum=False."
                    )
                )
            lows = _per_group(base_momentum, len(groups))
            highs = _per_group(max_momentum, len(groups))
            for group, low, high in zip(groups, lows, highs, strict=True):
                if last_epoch == -1:
                    group["base_momentum"] = low
                    group["max_momentum"] = high
                    _set_momentum(group, high)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rates of this step; the momenta are set here too."""
        if self.last_epoch > self.total_steps:
            raise UsageError(
                explain(
                    f"Tried to step {self.last_epoch} times. The specified number of total steps is"
                    f" {self.total_steps}."
                )
            )
        rates: list[float] = []
        for group in self.optimizer.param_groups:
            start = 0.0
            for phase in self.phases:
                if self.last_epoch <= phase.end or phase is self.phases[-1]:
                    width = phase.end - start
                    share = (self.last_epoch - start) / width if width else 1.0
                    rates.append(self._between(group, phase.lr, share))
                    if self.cycle_momentum:
                        _set_momentum(group, self._between(group, phase.momentum, share))
                    break
                start = phase.end
        return rates

    def _between(self, group: Any, names: tuple[str, str], share: float) -> float:
        first, last = group[names[0]], group[names[1]]
        if self.anneal_strategy == "linear":
            return (last - first) * share + first
        return last + (first - last) / 2.0 * (cos(pi * share) + 1.0)


def _plan(steps: int, share: float, three: bool) -> list[Phase]:
    fall, rise = ("max_momentum", "base_momentum"), ("base_momentum", "max_momentum")
    up = Phase(share * steps - 1.0, ("initial_lr", "max_lr"), fall)
    if not three:
        return [up, Phase(steps - 1.0, ("max_lr", "min_lr"), rise)]
    return [
        up,
        Phase(2.0 * share * steps - 2.0, ("max_lr", "initial_lr"), rise),
        Phase(steps - 1.0, ("initial_lr", "min_lr"), ("max_momentum", "max_momentum")),
    ]


def _per_group(values: float | Sequence[float], groups: int) -> list[float]:
    if isinstance(values, (int, float)):
        return [float(values)] * groups
    if len(values) != groups:
        raise UsageError(explain(f"OneCycleLR: expected {groups} values, got {len(values)}."))
    return [float(v) for v in values]


def _set_momentum(group: Any, momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
