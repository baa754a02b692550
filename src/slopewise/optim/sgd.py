"""Stochastic gradient descent, with momentum, Nesterov's form and weight decay.

Invariant: `sgd_update` is the algorithm; a step without momentum and decay does the same product
and difference in place, without a call per array.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.source import explain
from slopewise._ops.comparison import minimum
from slopewise.errors import UsageError
from slopewise.optim.optimizer import (
    Optimizer,
    ParamGroup,
    apply_update,
    as_factor,
    new_count,
    require_range,
    zeros_beside,
)  # fmt: skip


def sgd_update(
    param: Any,
    grad: Any,
    *state: Any,
    lr: Any,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> tuple[Any, ...]:
    """Return the new parameter, momentum buffer and step count (those that the options need).

    Source: Sutskever et al. (2013), On the importance of initialization and momentum, equations
    1-4, in PyTorch's form: v = momentum v + (1 - dampening) g; w = w - lr v.
    """
    if maximize:
        grad = -grad
    if weight_decay:
        grad = grad + param * weight_decay
    if not momentum:
        return (param - grad * as_factor(lr, param),)
    velocity = state[0] * momentum
    if dampening:
        # The first step is not dampened; the count is 0 then.
        count = state[1]
        share = as_factor(1.0 - minimum(count, 1.0) * dampening, param)
        velocity = velocity + grad * share
        kept: tuple[Any, ...] = (velocity, count + 1.0)
    else:
        velocity = velocity + grad
        kept = (velocity,)
    direction = grad + velocity * momentum if nesterov else velocity
    return (param - direction * as_factor(lr, param), *kept)


class SGD(Optimizer):
    """w = w - lr * gradient, with momentum and weight decay.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr : float
        Learning rate.
    momentum : float
    dampening : float
        The share of a new gradient that the momentum leaves out.
    weight_decay : float
        Factor of an L2 penalty's gradient.
    nesterov : bool
        Look ahead along the momentum.
    maximize : bool
        Ascend instead.

    Raises
    ------
    UsageError
        If a setting is out of range.

    Source: Sutskever et al. (2013), On the importance of initialization and momentum in deep
    learning.

    Examples
    --------
    >>> import slopewise as sw
    >>> w = sw.tensor(4.0, requires_grad=True)
    >>> optimizer = sw.optim.SGD([w], lr=0.5)
    >>> ((w - 3) ** 2).backward()
    >>> optimizer.step()
    >>> w.item()
    3.0
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        require_range("momentum", momentum, momentum >= 0.0)
        require_range("weight_decay", weight_decay, weight_decay >= 0.0)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise UsageError(explain("Nesterov momentum requires a momentum and zero dampening"))
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, param: Any, group: ParamGroup) -> dict[str, Any]:
        state: dict[str, Any] = {}
        if group["momentum"]:
            state["momentum_buffer"] = zeros_beside(param)
            if group["dampening"]:
                state["step"] = new_count()
        return state

    def _advance(self, group: ParamGroup) -> None:
        rate = group.rate._value
        if rate is None or group["momentum"] or group["weight_decay"] or group["maximize"]:
            super()._advance(group)
            return
        lr = rate.item()
        for p in group["params"]:
            grad = p._grad
            if grad is None:
                continue
            value, grad_value = p._value, grad._value
            if value is None or grad_value is None:
                self._update_one(p, {}, group)
                continue
            value -= grad_value * lr
            p._storage.version += 1
            p._origin = None

    def _update_one(self, param: Any, state: dict[str, Any], group: ParamGroup) -> None:
        names: list[str] = []
        if group["momentum"]:
            names.append("momentum_buffer")
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = zeros_beside(param)
            if group["dampening"]:
                names.append("step")
                if "step" not in state:
                    # A buffer from elsewhere has seen a gradient already.
                    state["step"] = new_count()
                    state["step"]._value += 1.0
        apply_update(
            sgd_update, param, state, names, group, momentum=group["momentum"],
            dampening=group["dampening"], weight_decay=group["weight_decay"],
            nesterov=group["nesterov"], maximize=group["maximize"],
        )  # fmt: skip
