"""Embedding: a table of learnt rows, looked up by number.

Invariant: the padding row starts at 0 and gets no gradient.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.source import explain
from slopewise._core.state import no_grad
from slopewise._front.creation import zeros
from slopewise.errors import DomainError, ShapeError
from slopewise.nn import init
from slopewise.nn.functional import sparse as functional
from slopewise.nn.module import Module
from slopewise.nn.parameter import Parameter


class Embedding(Module):
    """Rows of a learnt table at the given positions.

    Parameters
    ----------
    num_embeddings : int
        Number of rows.
    embedding_dim : int
        Length of a row.
    padding_idx : int, optional
        A row that stays as it is (0 at first).
    dtype : dtype, optional

    Attributes
    ----------
    weight : Parameter, shape (num_embeddings, embedding_dim)
        Standard normal at first.

    Raises
    ------
    DomainError
        If padding_idx is no row.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.Embedding(10, 3)(sw.tensor([[1, 2], [3, 4]])).shape
    (2, 2, 3)
    """

    weight: Any

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise DomainError(
                explain(
                    f"Embedding: padding_idx {padding_idx} must be within num_embeddings"
                    f" ({num_embeddings})."
                )
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(zeros(num_embeddings, embedding_dim, dtype=dtype, device=device))
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Any:
        """Return an Embedding over a given table; `freeze` keeps it from learning."""
        if len(embeddings.shape) != 2:
            raise ShapeError(
                explain(f"Embedding: the table must have 2 axes, not {len(embeddings.shape)}.")
            )
        layer = cls(*embeddings.shape, padding_idx=padding_idx, dtype=embeddings.dtype)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Draw the rows again."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, input: Any) -> Any:
        """Map positions (...) to rows (..., embedding_dim)."""
        return functional.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """Return the sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
