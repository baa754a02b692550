"""Losses as modules: the functions of `functional`, with their options held.

Invariant: a loss holds its options; class weights are buffers, so that they are converted and saved
with the module. Forward is one call of the function.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.source import explain
from slopewise.errors import UsageError
from slopewise.nn.functional import classification
from slopewise.nn.functional import loss as functional
from slopewise.nn.module import Module


class _Loss(Module):
    """What all losses share: the reduction."""

    _reductions = functional.REDUCTIONS

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in self._reductions:
            raise UsageError(
                explain(
                    f"{type(self).__name__}: reduction={reduction!r} is not one of"
                    f" {self._reductions}."
                )
            )
        self.reduction = reduction


class MSELoss(_Loss):
    """(input - target)^2; see `functional.mse_loss`.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.MSELoss()(sw.tensor([1.0, 3.0]), sw.tensor([0.0, 0.0])).item()
    5.0
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return functional.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """|input - target|; see `functional.l1_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return functional.l1_loss(input, target, self.reduction)


class SmoothL1Loss(_Loss):
    """Squared near 0, absolute beyond beta; see `functional.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return functional.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """Half squared near 0, linear beyond delta; see `functional.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return functional.huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(_Loss):
    """target (ln target - input), with log-probabilities `input`; see `functional.kl_div`."""

    _reductions = (*functional.REDUCTIONS, "batchmean")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return functional.kl_div(input, target, self.reduction, self.log_target)


class _WeightedLoss(_Loss):
    """What the losses with weights share: a buffer."""

    weight: Any

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities; see `functional.binary_cross_entropy`."""

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return functional.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """Binary cross-entropy of logits; see `functional.binary_cross_entropy_with_logits`."""

    pos_weight: Any

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )


class NLLLoss(_WeightedLoss):
    """Minus the log-probability of each row's class; see `functional.nll_loss`."""

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return classification.nll_loss(
            input, target, self.weight, self.ignore_index, self.reduction
        )


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy of softmax(input); see `functional.cross_entropy`.

    Examples
    --------
    >>> import slopewise as sw
    >>> loss = sw.nn.CrossEntropyLoss()
    >>> round(loss(sw.tensor([[2.0, 0.0], [0.0, 2.0]]), sw.tensor([0, 1])).item(), 4)
    0.1269
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        return classification.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )
