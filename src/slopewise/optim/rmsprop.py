"""RMSprop: steps divided by the root of the running mean square of the gradient.

Invariant: `rmsprop_update` is the algorithm; "centered" subtracts the square of the running mean.
"""

from __future__ import annotations

from typing import Any

from slopewise._ops.comparison import maximum
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


def rmsprop_update(
    param: Any,
    grad: Any,
    step: Any,
    square_avg: Any,
    *state: Any,
    lr: Any,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> tuple[Any, ...]:
    """Return the new parameter, step count, mean square (then mean, momentum buffer, as needed).

    Source: Hinton (2012), Neural networks for machine learning, lecture 6e; Graves (2013),
    Generating sequences with recurrent neural networks, equations 38-45 (centered).
    """
    if maximize:
        grad = -grad
    if weight_decay:
        grad = grad + param * weight_decay
    rest = list(state)
    square_avg = square_avg * alpha + grad * grad * (1.0 - alpha)
    kept: list[Any] = [step + 1.0, square_avg]
    spread = square_avg
    if centered:
        mean = rest.pop(0)
        mean = mean + (grad - mean) * (1.0 - alpha)
        kept.append(mean)
        # Rounding can bring the variance just below 0.
        spread = maximum(square_avg - mean * mean, 0.0)
    direction = grad / (sqrt(spread) + eps)
    if momentum:
        direction = rest.pop(0) * momentum + direction
        kept.append(direction)
    return (param - direction * as_factor(lr, param), *kept)


class RMSprop(Optimizer):
    """Steps of the gradient divided by the root of its running mean square.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr : float
        Learning rate.
    alpha : float
        Decay of the running mean square.
    eps : float
        Added to the root.
    weight_decay : float
        Factor of an L2 penalty's gradient.
    momentum : float
    centered : bool
        Divide by the running standard deviation.
    maximize : bool
        Ascend instead.

    Raises
    ------
    UsageError
        If a setting is out of range.

    Source: Hinton (2012), Neural networks for machine learning, lecture 6e.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        require_range("epsilon", eps, eps >= 0.0)
        require_range("momentum", momentum, momentum >= 0.0)
        require_range("weight_decay", weight_decay, weight_decay >= 0.0)
        require_range("alpha", alpha, alpha >= 0.0)
        defaults = {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
            "momentum": momentum, "centered": centered, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, param: Any, group: ParamGroup) -> dict[str, Any]:
        state = {"step": new_count(), "square_avg": zeros_beside(param)}
        if group["centered"]:
            state["grad_avg"] = zeros_beside(param)
        if group["momentum"]:
            state["momentum_buffer"] = zeros_beside(param)
        return state

    def _update_one(self, param: Any, state: dict[str, Any], group: ParamGroup) -> None:
        names = ["step", "square_avg"]
        if group["centered"]:
            names.append("grad_avg")
        if group["momentum"]:
            names.append("momentum_buffer")
        apply_update(
            rmsprop_update, param, state, names, group, alpha=group["alpha"], eps=group["eps"],
            weight_decay=group["weight_decay"], momentum=group["momentum"],
            centered=group["centered"], maximize=group["maximize"],
        )  # fmt: skip
