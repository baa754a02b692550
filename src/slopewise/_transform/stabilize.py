"""Compositions that lose their digits or overflow, recognised as they are computed.

Invariant: each recognition is a named record: what is seen, what is computed in its place, and when
it is valid. The value, and the gradient, take the better way; the ordinary way stays in the graph
for hooks. Results of the heads remember one shallow origin, also without gradient recording.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from math import log as number_log
from typing import Any

import numpy as np

from slopewise._core.graph import Primitive
from slopewise._core.origin import origin_of
from slopewise._core.rules import Index, View
from slopewise._core.state import no_grad
from slopewise._core.value import Value, is_array
from slopewise._ops import (
    arithmetic,
    comparison,
    exponential,
    indexing,
    powers,
    reduction,
    shape,
)  # fmt: skip

Match = tuple[Any, tuple[Any, ...]] | None


@dataclass(frozen=True)
class Recognition:
    """A named rewrite of a composition.

    Attributes
    ----------
    name : str
        Its name in graphs and explanations.
    seen, computed : str
        The composition, and what is computed in its place.
    mends : str
        What goes wrong without it.
    valid : str
        When it applies, beyond the shape of the composition, and where its value is another one.
    consumer : Primitive
        The operation at which it is recognised.
    match : callable
        `(operands) -> (better Value, Values passed by)`, or None where it does not apply.
    """

    name: str
    seen: str
    computed: str
    mends: str
    valid: str
    consumer: Primitive
    match: Callable[[tuple[Any, ...]], Match]


def _made_by(x: Any, primitive: Primitive) -> Any:
    """Return the origin of `x` if `primitive` made it."""
    origin = origin_of(x)
    return origin if origin is not None and origin.primitive is primitive else None


def _is_one(x: Any) -> bool:
    """Return whether `x` is the constant 1: a number, or one without gradients of its own."""
    if isinstance(x, Value):
        array = x._value
        return array is not None and not x._requires_grad and array.ndim == 0 and bool(array == 1)
    if is_array(x):
        return x.ndim == 0 and bool(x == 1)
    return isinstance(x, (int, float)) and x == 1


def _peel(x: Any) -> tuple[Any, list[Any], list[Any]]:
    """Return what lies under data movements, the movements (outermost last), and what is passed."""
    movements: list[Any] = []
    passed: list[Any] = [x]
    while True:
        origin = origin_of(x)
        if origin is None or not origin.primitive.quiet or origin.primitive in _NOT_MOVEMENTS:
            return x, movements[::-1], passed
        movements.append(origin)
        x = origin.operands[0]
        passed.append(x)


_NOT_MOVEMENTS = (shape.embed, shape.cat, indexing.scatter_add, indexing.scatter_set)


def _move(x: Any, movements: list[Any]) -> Any:
    for origin in movements:
        x = origin.primitive(x, *origin.operands[1:], **origin.params)
    return x


def _one_plus_exp(x: Any) -> tuple[Any, Any] | None:
    """Return (u, exp(u)) where x is 1 + exp(u)."""
    origin = _made_by(x, arithmetic.add)
    if origin is None:
        return None
    for one, other in (origin.operands, origin.operands[::-1]):
        inner = _made_by(other, exponential.exp)
        if inner is not None and _is_one(one):
            return inner.operands[0], other
    return None


def _one_minus(x: Any, primitive: Primitive) -> tuple[Any, Any] | None:
    """Return (u, f(u)) where x is 1 - f(u), or -f(u) + 1."""
    origin = _made_by(x, arithmetic.sub)
    if origin is not None and _is_one(origin.operands[0]):
        inner = _made_by(origin.operands[1], primitive)
        if inner is not None:
            return inner.operands[0], origin.operands[1]
    return None


def _sum_of_exp(x: Any) -> tuple[Any, Any, dict[str, Any]] | None:
    """Return (u, exp(u), params) where x is sum(exp(u))."""
    origin = _made_by(x, shape.sum)
    if origin is None:
        return None
    inner = _made_by(origin.operands[0], exponential.exp)
    return None if inner is None else (inner.operands[0], origin.operands[0], origin.params)


def _log_of_softmax(operands: tuple[Any, ...]) -> Match:
    head, movements, passed = _peel(operands[0])
    origin = _made_by(head, reduction.softmax)
    if origin is None:
        return None
    better = reduction.log_softmax(origin.operands[0], **origin.params)
    return _move(better, movements), tuple(passed)


def _log_of_sigmoid(operands: tuple[Any, ...]) -> Match:
    head, movements, passed = _peel(operands[0])
    origin = _made_by(head, exponential.sigmoid)
    if origin is None:
        return None
    return _move(exponential.logsigmoid(origin.operands[0]), movements), tuple(passed)


def _log_of_one_minus_sigmoid(operands: tuple[Any, ...]) -> Match:
    head, movements, passed = _peel(operands[0])
    found = _one_minus(head, exponential.sigmoid)
    if found is None:
        return None
    better = exponential.logsigmoid(arithmetic.neg(found[0]))
    return _move(better, movements), (*passed, found[1])


def _log_of_exp(operands: tuple[Any, ...]) -> Match:
    head, movements, passed = _peel(operands[0])
    origin = _made_by(head, exponential.exp)
    if origin is None:
        return None
    # Added to 0, so that exp(-0.0) = 1 gives log(1) = +0.0.
    return _move(arithmetic.add(origin.operands[0], 0.0), movements), tuple(passed)


def _log_of_sum_of_exp(operands: tuple[Any, ...]) -> Match:
    head, movements, passed = _peel(operands[0])
    found = _sum_of_exp(head)
    if found is not None:
        u, e, params = found
        return _move(reduction.logsumexp(u, **params), movements), (*passed, e)
    return None


def _log_of_mean_of_exp(operands: tuple[Any, ...]) -> Match:
    head, movements, passed = _peel(operands[0])
    origin = _made_by(head, arithmetic.div)
    if (
        origin is None
        or not isinstance(origin.operands[1], (int, float))
        or origin.operands[1] <= 0
    ):
        return None
    found = _sum_of_exp(origin.operands[0])
    if found is None:
        return None
    u, e, params = found
    better = arithmetic.sub(reduction.logsumexp(u, **params), number_log(origin.operands[1]))
    return _move(better, movements), (*passed, origin.operands[0], e)


def _log_of_one_plus_exp(operands: tuple[Any, ...]) -> Match:
    head, movements, passed = _peel(operands[0])
    found = _one_plus_exp(head)
    if found is None:
        return None
    return _move(exponential.softplus(found[0]), movements), (*passed, found[1])


def _log1p_of_exp(operands: tuple[Any, ...]) -> Match:
    origin = _made_by(operands[0], exponential.exp)
    if origin is None:
        return None
    return exponential.softplus(origin.operands[0]), (operands[0],)


def _log1p_of_minus_sigmoid(operands: tuple[Any, ...]) -> Match:
    origin = _made_by(operands[0], arithmetic.neg)
    inner = None if origin is None else _made_by(origin.operands[0], exponential.sigmoid)
    if origin is None or inner is None:
        return None
    better = exponential.logsigmoid(arithmetic.neg(inner.operands[0]))
    return better, (operands[0], origin.operands[0])


def _reciprocal_of_one_plus_exp(operands: tuple[Any, ...]) -> Match:
    found = _one_plus_exp(operands[0])
    if found is None:
        return None
    return exponential.sigmoid(arithmetic.neg(found[0])), (operands[0], found[1])


def _quotient_with_one_plus_exp(operands: tuple[Any, ...]) -> Match:
    x, y = operands
    found = _one_plus_exp(y)
    if found is None:
        return None
    if _is_one(x):
        return exponential.sigmoid(arithmetic.neg(found[0])), (y, found[1])
    if isinstance(x, Value) and _same(x, found[1]):
        return exponential.sigmoid(found[0]), (y, x, found[1])
    return None


def _same(x: Any, y: Any) -> bool:
    """Return whether two Values are one result with one history, or exp of one."""
    if x is y:
        return True
    if x._storage is y._storage and x._value is y._value:
        if x._requires_grad != y._requires_grad or x._edge is not y._edge:
            return False
        return x._edge is not None or not x._requires_grad
    a, b = _made_by(x, exponential.exp), _made_by(y, exponential.exp)
    return a is not None and b is not None and _same(a.operands[0], b.operands[0])


def _quotient_of_exp_and_its_sum(operands: tuple[Any, ...]) -> Match:
    x, y = operands
    if not isinstance(x, Value) or not isinstance(y, Value):
        return None
    found = _sum_of_exp(y)
    if found is None or not _same(x, found[1]):
        return None
    u, e, params = found
    axes = params["axes"]
    if len(axes) != 1 or not (params["keepdims"] or u.ndim == 1):
        return None
    return reduction.softmax(u, axis=axes[0]), (y, e, x)


def _square_root_of(x: Any) -> Any:
    """Return u where x is the square of u."""
    origin = origin_of(x)
    if origin is None or not origin.primitive.is_square or x.dtype.kind != "f":
        return None
    return origin.operands[0]


def _root_of_two_squares(operands: tuple[Any, ...]) -> Match:
    origin = _made_by(operands[0], arithmetic.add)
    if origin is None:
        return None
    a, b = origin.operands
    u, v = _square_root_of(a), _square_root_of(b)
    if u is None or v is None or u.dtype != v.dtype or u.dtype != operands[0].dtype:
        return None
    # A square of constants is not passed by; one that was detached is, and ends the gradient.
    passed = [s for s, w in ((a, u), (b, v)) if s._requires_grad or w._requires_grad]
    return powers.hypot(u, v), (operands[0], *passed)


_OVERFLOW = "exp overflows to inf, and inf/inf or log(inf) follow"
_UNDERFLOW = "the saturated side is rounded to 0 or 1, and log(0) follows"

_ALWAYS = "always"

RECOGNITIONS = (
    Recognition(
        "log-softmax", "log(softmax(u))", "log_softmax(u)", _UNDERFLOW, _ALWAYS,
        exponential.log, _log_of_softmax,
    ),
    Recognition(
        "log-sigmoid", "log(sigmoid(u))", "logsigmoid(u)", _UNDERFLOW, _ALWAYS,
        exponential.log, _log_of_sigmoid,
    ),
    Recognition(
        "log of the other class", "log(1 - sigmoid(u))", "logsigmoid(-u)", _UNDERFLOW,
        "the 1 is a constant", exponential.log, _log_of_one_minus_sigmoid,
    ),
    Recognition(
        "log of exp", "log(exp(u))", "u + 0.0", _OVERFLOW, "always; log(exp(-0.0)) is 0.0",
        exponential.log, _log_of_exp,
    ),
    Recognition(
        "log-sum-exp", "log(sum(exp(u)))", "logsumexp(u)", _OVERFLOW, _ALWAYS,
        exponential.log, _log_of_sum_of_exp,
    ),
    Recognition(
        "log-mean-exp", "log(sum(exp(u)) / n)", "logsumexp(u) - log(n)", _OVERFLOW,
        "n is a positive number", exponential.log, _log_of_mean_of_exp,
    ),
    Recognition(
        "softplus", "log(1 + exp(u))", "softplus(u)", _OVERFLOW, "the 1 is a constant",
        exponential.log, _log_of_one_plus_exp,
    ),
    Recognition(
        "softplus", "log1p(exp(u))", "softplus(u)", _OVERFLOW, _ALWAYS,
        exponential.log1p, _log1p_of_exp,
    ),
    Recognition(
        "log of the other class", "log1p(-sigmoid(u))", "logsigmoid(-u)", _UNDERFLOW, _ALWAYS,
        exponential.log1p, _log1p_of_minus_sigmoid,
    ),
    Recognition(
        "sigmoid", "1 / (1 + exp(u))", "sigmoid(-u)", _OVERFLOW, "both 1 are constants",
        arithmetic.reciprocal, _reciprocal_of_one_plus_exp,
    ),
    Recognition(
        "sigmoid", "1 / (1 + exp(u)), exp(u) / (1 + exp(u))", "sigmoid(-u), sigmoid(u)", _OVERFLOW,
        "the 1 are constants, and both exp(u) are of one u with one history",
        arithmetic.div, _quotient_with_one_plus_exp,
    ),
    Recognition(
        "softmax", "exp(u) / sum(exp(u))", "softmax(u)", _OVERFLOW,
        "the sum is over one axis that is kept, or the only one; both exp(u) are of one u",
        arithmetic.div, _quotient_of_exp_and_its_sum,
    ),
    Recognition(
        "hypotenuse", "sqrt(u * u + v * v)", "hypot(u, v)",
        "squares overflow or vanish, and the slope at (0, 0) is 0 / 0",
        "two squares (u * u, u**2 or square(u)) of one float dtype; hypot(inf, nan) is inf",
        powers.sqrt, _root_of_two_squares,
    ),
)  # fmt: skip


def install() -> None:
    """Make the engine remember heads and recognise compositions; called once, by the package."""
    for head in (exponential.exp, exponential.sigmoid, reduction.softmax, arithmetic.square):
        head.is_head = True
    # A product is a head where both factors are one; squares are carried on by sums alone.
    arithmetic.mul.is_product = arithmetic.mul.is_square = arithmetic.square.is_square = True
    arithmetic.add.is_sum = True
    for carrier in (arithmetic.add, arithmetic.sub, arithmetic.neg, arithmetic.div, shape.sum):
        carrier.is_carrier = True
    movers = (shape, indexing, comparison)
    for family in movers:
        for primitive in family.PRIMITIVES:
            if isinstance(primitive.lowering, (View, Index)) and primitive not in _NOT_MOVEMENTS:
                primitive.is_carrier = True
    for consumer in {r.consumer for r in RECOGNITIONS}:
        consumer.recognise = _recogniser([r for r in RECOGNITIONS if r.consumer is consumer])


def _recogniser(records: list[Recognition]) -> Callable[..., Match]:
    def recognise(operands: tuple[Any, ...], tracked: bool) -> Match:
        with nullcontext() if tracked else no_grad():
            for record in records:
                found = record.match(operands)
                if found is not None and found[0].shape == _result_shape(operands):
                    return found
        return None

    return recognise


def _result_shape(operands: tuple[Any, ...]) -> tuple[int, ...]:
    return np.broadcast_shapes(
        *(x.shape if isinstance(x, Value) else np.shape(x) for x in operands)
    )
