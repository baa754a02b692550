"""Multi-head attention, with PyTorch's arguments, masks and parameter names.

Invariant: a query whose keys are all masked gets zeros (and weights of zero), not NaN, and passes
no gradient. True in a truth-valued mask keeps a key out; float masks are added to the scores.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from slopewise._core.aval import BOOL
from slopewise._core.source import explain
from slopewise._front import elementwise, reduction
from slopewise._front.contraction import linear, matmul
from slopewise._front.creation import zeros
from slopewise._front.joins import cat, chunk, pad  # fmt: skip
from slopewise._front.operands import as_value, cast
from slopewise._front.shape import broadcast_to, reshape, transpose, unsqueeze
from slopewise.errors import ShapeError, UsageError
from slopewise.nn import init
from slopewise.nn.functional.attention import masked_softmax
from slopewise.nn.functional.sparse import dropout
from slopewise.nn.linear import Linear
from slopewise.nn.module import Module
from slopewise.nn.parameter import Parameter


class MultiheadAttention(Module):
    """Attention in several heads, each over a part of the features.

    Parameters
    ----------
    embed_dim : int
        Features of queries and of the output; the heads divide it.
    num_heads : int
    dropout : float
        On the weights, in training.
    bias : bool
        Whether the projections have biases.
    add_bias_kv : bool
        Add one learnt key and value to every sequence.
    add_zero_attn : bool
        Add a key and value of zeros to every sequence.
    kdim, vdim : int, optional
        Features of keys and values, where they differ.
    batch_first : bool
        Whether the batch axis comes before the sequence axis.
    dtype : dtype, optional

    Attributes
    ----------
    in_proj_weight : Parameter, shape (3 embed_dim, embed_dim)
        Queries, keys, values; with kdim or vdim `q_proj_weight`, `k_proj_weight`, `v_proj_weight`.
    in_proj_bias : Parameter, shape (3 embed_dim,), or None
    out_proj : Linear

    Raises
    ------
    UsageError
        If the heads do not divide embed_dim.

    Source: Vaswani et al. (2017), Attention is all you need, section 3.2.2.

    Examples
    --------
    >>> import slopewise as sw
    >>> attention = sw.nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = sw.zeros(3, 5, 8)
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    in_proj_weight: Any
    in_proj_bias: Any
    q_proj_weight: Any
    k_proj_weight: Any
    v_proj_weight: Any
    bias_k: Any
    bias_v: Any

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise UsageError(
                explain(
                    "MultiheadAttention: embed_dim must be divisible by num_heads, got"
                    f" {embed_dim} and {num_heads}."
                )
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        make = {"dtype": dtype, "device": device}
        self._joint = self.kdim == embed_dim and self.vdim == embed_dim
        widths = {"q": embed_dim, "k": self.kdim, "v": self.vdim}
        joint = Parameter(zeros(3 * embed_dim, embed_dim, **make)) if self._joint else None
        for part, width in widths.items():
            apart = None if self._joint else Parameter(zeros(embed_dim, width, **make))
            self.register_parameter(f"{part}_proj_weight", apart)
        self.register_parameter("in_proj_weight", joint)
        shift = Parameter(zeros(3 * embed_dim, **make)) if bias else None
        self.register_parameter("in_proj_bias", shift)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, **make)
        for part in ("k", "v"):
            extra = Parameter(zeros(1, 1, embed_dim, **make)) if add_bias_kv else None
            self.register_parameter(f"bias_{part}", extra)
        self._draw()

    def _draw(self) -> None:
        """Draw the first weights: Glorot's for the projections, biases 0."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            weight = self._parameters[name]
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Return what the queries gather from the values, and the weights.

        Parameters
        ----------
        query : Tensor, shape (L, N, E), (N, L, E) if batch_first, or (L, E)
        key : Tensor, shape (S, N, kdim), likewise
        value : Tensor, shape (S, N, vdim), likewise
        key_padding_mask : Tensor, shape (N, S) or (S,), optional
            True keeps a key out; floats are added.
        need_weights : bool
        attn_mask : Tensor, shape (L, S) or (N * heads, L, S), optional
            True keeps a key out; floats are added.
        average_attn_weights : bool
            Whether the weights are averaged over the heads.
        is_causal : bool
            With no attn_mask: let position i see the keys 0..i alone.

        Returns
        -------
        output : Tensor, shape of the query
        weights : Tensor, shape (N, L, S) or (N, heads, L, S), or None

        Raises
        ------
        ShapeError
            If shapes do not fit.
        """
        q, k, v, batched = self._arrange(query, key, value)
        same = query is key and key is value
        q, k, v = self._project(q, k, v, same)
        n, queries = q.shape[0], q.shape[1]
        mask = self._join_masks(key_padding_mask, attn_mask, is_causal, n, queries, k.shape[1])
        k, v, mask = self._extend(k, v, mask)
        q, k, v = (self._split_heads(x) for x in (q, k, v))
        scores = matmul(q * (1.0 / sqrt(self.head_dim)), transpose(k, -2, -1))
        weights = dropout(masked_softmax(scores, mask), self.dropout, self.training)
        gathered = transpose(matmul(weights, v), 1, 2)
        output = self.out_proj(reshape(gathered, (n, queries, self.embed_dim)))
        shown = reduction.mean(weights, 1) if average_attn_weights else weights
        if not batched:
            output, shown = reshape(output, output.shape[1:]), reshape(shown, shown.shape[1:])
        elif not self.batch_first:
            output = transpose(output, 0, 1)
        return output, (shown if need_weights else None)

    # --- steps of forward ---

    def _arrange(self, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any, bool]:
        """Return the operands as (N, sequence, features), and whether they had a batch axis."""
        operands = [as_value(x) for x in (query, key, value)]
        ndims = {x.ndim for x in operands}
        widths = (self.embed_dim, self.kdim, self.vdim)
        if (
            len(ndims) != 1
            or not ndims <= {2, 3}
            or any(x.shape[-1] != width for x, width in zip(operands, widths, strict=True))
        ):
            raise ShapeError(
                explain(
                    "MultiheadAttention: query, key and value must have 2 or 3 axes each, and"
                    f" {widths} features on the last; got {[tuple(x.shape) for x in operands]}.",
                    tuple(operands),
                )
            )
        batched = ndims == {3}
        if not batched:
            operands = [unsqueeze(x, 0) for x in operands]
        elif not self.batch_first:
            operands = [transpose(x, 0, 1) for x in operands]
        q, k, v = operands
        if k.shape[:2] != v.shape[:2] or q.shape[0] != k.shape[0]:
            raise ShapeError(
                explain(
                    "MultiheadAttention: key and value must have one length, and all one batch;"
                    f" got {[tuple(x.shape) for x in operands]} as (N, sequence, features).",
                    tuple(operands),
                )
            )
        return q, k, v, batched

    def _project(self, q: Any, k: Any, v: Any, same: bool) -> tuple[Any, Any, Any]:
        bias = self.in_proj_bias
        if self._joint and same:
            first, second, third = chunk(linear(q, self.in_proj_weight, bias), 3, -1)
            return first, second, third
        if self._joint:
            weights = chunk(self.in_proj_weight, 3, 0)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if bias is None else chunk(bias, 3, 0)
        projected = [linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True)]
        return projected[0], projected[1], projected[2]

    def _split_heads(self, x: Any) -> Any:
        parts = reshape(x, (x.shape[0], x.shape[1], self.num_heads, self.head_dim))
        return transpose(parts, 1, 2)

    def _join_masks(
        self, padding: Any, mask: Any, causal: bool, n: int, queries: int, keys: int
    ) -> Any:
        """Return one float mask that is added to the scores (N, heads, L, S), or None."""
        if causal and mask is None:
            mask = as_value(~np.tri(queries, keys, dtype=bool))
        joined = None
        if mask is not None:
            m = as_value(mask)
            if tuple(m.shape) == (n * self.num_heads, queries, keys) and m.ndim == 3:
                m = reshape(m, (n, self.num_heads, queries, keys))
            elif tuple(m.shape) != (queries, keys):
                raise ShapeError(
                    explain(
                        f"MultiheadAttention: attn_mask has shape {tuple(m.shape)}, and should have"
                        f" {(queries, keys)} or {(n * self.num_heads, queries, keys)}.",
                        (m,),
                    )
                )
            joined = self._added(m)
        if padding is not None:
            p = as_value(padding)
            if p.ndim == 1:
                p = unsqueeze(p, 0)
            if tuple(p.shape) != (n, keys):
                raise ShapeError(
                    explain(
                        f"MultiheadAttention: key_padding_mask has shape {tuple(p.shape)}, and"
                        f" should have {(n, keys)}.",
                        (p,),
                    )
                )
            p = self._added(reshape(p, (n, 1, 1, keys)))
            joined = p if joined is None else joined + p
        return joined

    def _added(self, mask: Any) -> Any:
        dtype = self.out_proj.weight.dtype
        if mask.dtype == BOOL:
            nothing = zeros(mask.shape, dtype=dtype)
            return elementwise.where(mask, -float("inf"), nothing)
        return cast(mask, dtype)

    def _extend(self, k: Any, v: Any, mask: Any) -> tuple[Any, Any, Any]:
        """Add the learnt key and value, and those of zeros, which no mask keeps out."""
        n = k.shape[0]
        extra = 0
        if self.bias_k is not None:
            k = cat([k, broadcast_to(self.bias_k, (n, 1, self.embed_dim))], 1)
            v = cat([v, broadcast_to(self.bias_v, (n, 1, self.embed_dim))], 1)
            extra += 1
        if self.add_zero_attn:
            k, v = (pad(x, (0, 0, 0, 1)) for x in (k, v))
            extra += 1
        if extra and mask is not None:
            mask = pad(mask, (0, extra))
        return k, v, mask
