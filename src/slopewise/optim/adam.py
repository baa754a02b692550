"""Adam and AdamW: steps scaled by running moments of the gradient.

Invariant: one update function for both; they differ in whether weight decay goes through the
moments (Adam: an L2 penalty) or acts on the weights alone (AdamW).
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


def adam_update(
    param: Any,
    grad: Any,
    step: Any,
    exp_avg: Any,
    exp_avg_sq: Any,
    *largest: Any,
    lr: Any,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> tuple[Any, ...]:
    """Return the new parameter, step count, moments (and largest second moment, for AMSGrad).

    Source: Kingma & Ba (2015), Adam, algorithm 1; Loshchilov & Hutter (2019), Decoupled weight
    decay regularization, algorithm 2; Reddi, Kale & Kumar (2018), On the convergence of Adam and
    beyond, algorithm 2 (the largest second moment).
    """
    if maximize:
        grad = -grad
    if weight_decay:
        if decoupled:
            param = param * as_factor(1.0 - lr * weight_decay, param)
        else:
            grad = grad + param * weight_decay
    step = step + 1.0
    exp_avg = exp_avg + (grad - exp_avg) * (1.0 - beta1)
    exp_avg_sq = exp_avg_sq * beta2 + grad * grad * (1.0 - beta2)
    correction1 = 1.0 - beta1**step
    correction2 = sqrt(1.0 - beta2**step)
    second = exp_avg_sq
    kept: tuple[Any, ...] = (step, exp_avg, exp_avg_sq)
    if largest:
        second = maximum(largest[0], exp_avg_sq)
        kept = (*kept, second)
    length = sqrt(second) / as_factor(correction2, param) + eps
    return (param - exp_avg / length * as_factor(lr / correction1, param), *kept)


class Adam(Optimizer):
    """Steps of the mean gradient divided by the root of its mean square.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr : float
        Learning rate.
    betas : tuple of two floats
        Decay of the running mean and of the running mean square.
    eps : float
        Added to the root.
    weight_decay : float
        Factor of an L2 penalty's gradient.
    amsgrad : bool
        Divide by the largest mean square so far.
    maximize : bool
        Ascend instead.

    Raises
    ------
    UsageError
        If a setting is out of range.

    Source: Kingma & Ba (2015), Adam: a method for stochastic optimization, algorithm 1.

    Examples
    --------
    >>> import slopewise as sw
    >>> w = sw.tensor(4.0, requires_grad=True)
    >>> optimizer = sw.optim.Adam([w], lr=0.1)
    >>> ((w - 3) ** 2).backward()
    >>> optimizer.step()
    >>> round(w.item(), 6)
    3.9
    """

    _decoupled = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        require_range("epsilon", eps, eps >= 0.0)
        require_range("beta parameter at index 0", betas[0], 0.0 <= betas[0] < 1.0)
        require_range("beta parameter at index 1", betas[1], 0.0 <= betas[1] < 1.0)
        require_range("weight_decay", weight_decay, weight_decay >= 0.0)
        defaults = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _start(self, param: Any, group: ParamGroup) -> dict[str, Any]:
        state = {
            "step": new_count(),
            "exp_avg": zeros_beside(param),
            "exp_avg_sq": zeros_beside(param),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_beside(param)
        return state

    def _update_one(self, param: Any, state: dict[str, Any], group: ParamGroup) -> None:
        names = ["step", "exp_avg", "exp_avg_sq"]
        if group["amsgrad"]:
            names.append("max_exp_avg_sq")
        beta1, beta2 = group["betas"]
        apply_update(
            adam_update, param, state, names, group, beta1=beta1, beta2=beta2, eps=group["eps"],
            weight_decay=group["weight_decay"], decoupled=self._decoupled,
            maximize=group["maximize"],
        )  # fmt: skip


class AdamW(Adam):
    """Adam with weight decay that acts on the weights alone: w = w (1 - lr * weight_decay) first.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
    lr, betas, eps, amsgrad, maximize
        As for Adam.
    weight_decay : float
        The share of a weight that a step with lr = 1 would take away.

    Source: Loshchilov & Hutter (2019), Decoupled weight decay regularization, algorithm 2.
    """

    _decoupled = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
