"""Adagrad: steps divided by the root of the sum of all squared gradients so far.

Invariant: `adagrad_update` is the algorithm; the sum only grows, so steps only shrink.
"""

from __future__ import annotations

from typing import Any

from slopewise._ops.powers import sqrt
from slopewise.optim.optimizer import (
    Optimizer,
    ParamGroup,
    apply_update,
    as_factor,
    new_count,
    require_range,
    zeros_beside,
)  # fmt: skip


def adagrad_update(
    param: Any,
    grad: Any,
    step: Any,
    total: Any,
    *,
    lr: Any,
    lr_decay: float,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> tuple[Any, ...]:
    """Return the new parameter, step count and sum of squares.

    Source: Duchi, Hazan & Singer (2011), Adaptive subgradient methods, figure 1 (diagonal).
    """
    if maximize:
        grad = -grad
    if weight_decay:
        grad = grad + param * weight_decay
    rate = lr / (step * lr_decay + 1.0)
    total = total + grad * grad
    direction = grad / (sqrt(total) + eps)
    return param - direction * as_factor(rate, param), step + 1.0, total


class Adagrad(Optimizer):
    """Steps of the gradient divided by the root of the sum of its squares.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr : float
        Learning rate.
    lr_decay : float
        The rate of step t is lr / (1 + (t - 1) lr_decay).
    weight_decay : float
        Factor of an L2 penalty's gradient.
    initial_accumulator_value : float
        What the sum starts at.
    eps : float
        Added to the root.
    maximize : bool
        Ascend instead.

    Raises
    ------
    UsageError
        If a setting is out of range.

    Source: Duchi, Hazan & Singer (2011), Adaptive subgradient methods for online learning and
    stochastic optimization.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        require_range("lr_decay", lr_decay, lr_decay >= 0.0)
        require_range("weight_decay", weight_decay, weight_decay >= 0.0)
        start = initial_accumulator_value
        require_range("initial_accumulator_value", start, start >= 0.0)
        require_range("epsilon", eps, eps >= 0.0)
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay, "eps": eps,
            "initial_accumulator_value": start, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, param: Any, group: ParamGroup) -> dict[str, Any]:
        start = group["initial_accumulator_value"]
        return {"step": new_count(), "sum": zeros_beside(param, start)}

    def _update_one(self, param: Any, state: dict[str, Any], group: ParamGroup) -> None:
        apply_update(
            adagrad_update, param, state, ["step", "sum"], group, lr_decay=group["lr_decay"],
            weight_decay=group["weight_decay"], eps=group["eps"], maximize=group["maximize"],
        )  # fmt: skip
