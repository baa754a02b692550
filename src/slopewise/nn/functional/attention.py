"""Scaled dot-product attention, and the multi-head form with its projections.

Invariant: a row that may attend to nothing (all its keys masked) gives zeros, not NaN, and has a
gradient of 0. Masks follow PyTorch: in `scaled_dot_product_attention` True lets a key in, in
`multi_head_attention_forward` True keeps it out; float masks are added to the scores.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from slopewise._core.aval import BOOL
from slopewise._core.source import explain
from slopewise._front import elementwise, norms, reduction
from slopewise._front.contraction import matmul
from slopewise._front.operands import as_value, cast
from slopewise._front.shape import transpose
from slopewise.errors import ShapeError, UsageError
from slopewise.nn.functional.sparse import dropout


def masked_softmax(scores: Any, mask: Any) -> Any:
    """Return softmax over the last axis, over the entries that the mask lets in.

    Parameters
    ----------
    scores : Tensor, shape (..., L, S)
    mask : Tensor, broadcast to (..., L, S), or None
        Truth values (True lets in), or floats that are added; a row of nothing but -inf is empty.

    Returns
    -------
    Tensor, shape (..., L, S)
        Rows sum to 1; an empty row holds zeros.
    """
    if mask is None:
        return norms.softmax(scores, -1)
    allowed = as_value(mask)
    if allowed.dtype == BOOL:
        scores = elementwise.where(allowed, scores, -float("inf"))
    else:
        scores = scores + cast(allowed, scores.dtype)
    present = reduction.any(scores != -float("inf"), -1, keepdim=True)
    # An empty row is replaced by zeros before the softmax, so that no NaN enters either direction.
    safe = elementwise.where(present, scores, 0.0)
    return elementwise.where(present, norms.softmax(safe, -1), 0.0)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Return softmax(query key^T * scale) value.

    Parameters
    ----------
    query : Tensor, shape (..., L, E)
    key : Tensor, shape (..., S, E)
    value : Tensor, shape (..., S, Ev)
    attn_mask : Tensor, broadcast to (..., L, S), optional
        Truth values (True lets a key in) or floats added to the scores.
    dropout_p : float
        Share of the weights dropped; give 0 in evaluation.
    is_causal : bool
        Let position i see the keys 0..i alone.
    scale : float, optional
        1 / sqrt(E) by default.
    enable_gqa : bool
        Repeat the heads (axis -3) of key and value to the number of query heads.

    Returns
    -------
    Tensor, shape (..., L, Ev)
        A row that may attend to nothing is 0.

    Raises
    ------
    ShapeError
        If E differs.
    UsageError
        If both a mask and is_causal are given.

    Source: Vaswani et al. (2017), Attention is all you need, equation 1.
    """
    q, k, v = as_value(query), as_value(key), as_value(value)
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            explain(
                f"scaled_dot_product_attention: query {tuple(q.shape)}, key {tuple(k.shape)} and"
                f" value {tuple(v.shape)} must share the last axis of query and key, and axis -2 of"
                " key and value.",
                (q, k, v),
            )
        )
    if enable_gqa:
        k, v = _repeat_heads(k, q.shape[-3]), _repeat_heads(v, q.shape[-3])
    scores = matmul(q * (1.0 / sqrt(q.shape[-1]) if scale is None else scale), transpose(k, -2, -1))
    if is_causal:
        if attn_mask is not None:
            raise UsageError(
                explain("scaled_dot_product_attention: give attn_mask or is_causal, not both.")
            )
        attn_mask = as_value(np.tri(q.shape[-2], k.shape[-2], dtype=bool))
    weights = masked_softmax(scores, attn_mask)
    return matmul(dropout(weights, dropout_p, dropout_p > 0.0), v)


def _repeat_heads(x: Any, heads: int) -> Any:
    from slopewise._front.joins import repeat_interleave

    if heads % x.shape[-3]:
        raise ShapeError(
            explain(f"scaled_dot_product_attention: {x.shape[-3]} heads do not divide {heads}.")
        )
    return repeat_interleave(x, heads // x.shape[-3], -3)
