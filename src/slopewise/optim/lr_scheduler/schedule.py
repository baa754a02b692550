"""What all learning rate schedules share, and the one that a function states.

Invariant: a schedule sets `group["lr"]` of its optimiser, once when it is made and once at each
`step()`. All that it needs to go on is in `state_dict`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise.errors import UsageError
from slopewise.optim.optimizer import Optimizer, ParameterKindError


class LRScheduler:
    """Base of the schedules: counts steps, and sets what `get_lr` says.

    Parameters
    ----------
    optimizer : Optimizer
    last_epoch : int
        -1 starts; another number goes on from there, with "initial_lr" in the groups.

    Attributes
    ----------
    base_lrs : list of float
        Each group's rate at the start.
    last_epoch : int
        Steps taken.

    Raises
    ------
    UsageError
        If it should go on and a group does not know its "initial_lr".
    """

    _outside = True  # a compiled function steps it in Python

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ParameterKindError(explain(f"{type(optimizer).__name__} is not an Optimizer."))
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                if "initial_lr" not in group:
                    group["initial_lr"] = group["lr"]
            elif "initial_lr" not in group:
                raise UsageError(
                    explain(
                        "param 'initial_lr' is not specified in param_groups"
                        f"[{i}] when resuming; give last_epoch=-1, or load the optimizer's state."
                    )
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list[float] = []
        self._move()

    def get_lr(self) -> list[float]:
        """Return each group's rate for the step `last_epoch`."""
        raise UsageError(f"{type(self).__name__} states no rates; define get_lr.")

    def get_last_lr(self) -> list[float]:
        """Return the rates that were set last."""
        return self._last_lr

    def step(self) -> None:
        """Go one step on and set the rates; call it after `optimizer.step()`."""
        if self._step_count == 1 and self.optimizer._steps == 0:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first rate"
                " of the schedule is skipped. Call optimizer.step() first.",
                UserWarning,
                stacklevel=2,
            )
        if state.recorder is not None:
            # It counts in Python, so it steps at each call, and the graph is given its rates.
            rates = [group.rate for group in self.optimizer.param_groups]
            state.recorder.run_outside(self, rates)
            return
        self._move()

    def _move(self) -> None:
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer."""
        return {k: v for k, v in vars(self).items() if k != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        vars(self).update(state_dict)


class LambdaLR(LRScheduler):
    """The initial rate times a function of the step number.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or list of callables
        From the step number (0, 1, ...) to a factor; a list has one for each group.
    last_epoch : int

    Raises
    ------
    UsageError
        If a list has another length than the groups.

    Examples
    --------
    >>> import slopewise as sw
    >>> optimizer = sw.optim.SGD([sw.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = sw.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    >>> optimizer.step()
    >>> schedule.step()
    >>> optimizer.param_groups[0]["lr"]
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(optimizer.param_groups)
        functions = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(functions) != groups:
            raise UsageError(explain(f"Expected {groups} lr_lambdas, but got {len(functions)}."))
        self.lr_lambdas = functions
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the initial rates times the functions."""
        return [
            base * function(self.last_epoch)
            for function, base in zip(self.lr_lambdas, self.base_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer and the functions."""
        return {k: v for k, v in super().state_dict().items() if k != "lr_lambdas"}
