"""Dropout layers: entries or whole channels set to 0 in training.

Invariant: in evaluation, and with p = 0, the input is returned as it is.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.source import explain
from slopewise.errors import DomainError
from slopewise.nn.functional import sparse as functional
from slopewise.nn.module import Module


class _Dropout(Module):
    """What all dropout layers share: the probability."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise DomainError(
                explain(f"dropout probability has to be between 0 and 1, but got {p}.")
            )
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Return the options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Drop each element with probability p in training, and scale the others by 1 / (1 - p).

    Raises
    ------
    DomainError
        If p lies outside [0, 1].

    Source: Srivastava et al. (2014), Dropout.

    Examples
    --------
    >>> import slopewise as sw
    >>> layer = sw.nn.Dropout(0.5).eval()
    >>> layer(sw.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def forward(self, input: Any) -> Any:
        """Return the input with elements dropped."""
        return functional.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Drop whole channels of (N, C, L) with probability p in training."""

    def forward(self, input: Any) -> Any:
        """Return the input with channels dropped."""
        return functional.dropout1d(input, self.p, self.training)


class Dropout2d(_Dropout):
    """Drop whole channels of (N, C, H, W) with probability p in training."""

    def forward(self, input: Any) -> Any:
        """Return the input with channels dropped."""
        return functional.dropout2d(input, self.p, self.training)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance under SELU (Klambauer et al. 2017)."""

    def forward(self, input: Any) -> Any:
        """Return the input with elements dropped."""
        return functional.alpha_dropout(input, self.p, self.training)
