"""Elementwise functions of the front, with PyTorch's names.

Invariant: each is one primitive after promotion (or a short composition of primitives); Tensor's
operators call these same functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from slopewise._core.aval import BOOL
from slopewise._core.graph import Primitive, bind
from slopewise._core.source import explain
from slopewise._core.value import Value, new_value
from slopewise._front.documentation import describe_elementwise
from slopewise._front.operands import apply_binary as apply_pair
from slopewise._front.operands import (
    apply_floats,
    apply_unary,
    as_value,
    as_value_in,
    cast,
    promote_operands,
    read_array,
)  # fmt: skip
from slopewise._front.shape import common_shape
from slopewise._ops import (
    arithmetic,
    comparison,
    exponential,
    powers,
    special,
    trigonometric,
)  # fmt: skip
from slopewise.errors import DomainError, DTypeError, UsageError

Unary = Callable[[Any], Any]
Binary = Callable[[Any, Any], Any]


def _refuse_overflow(operation: str, operands: tuple[Any, ...]) -> NoReturn:
    raise DTypeError(
        explain(
            f"{operation}: a number does not fit the integer dtype of the tensor; convert the"
            " tensor first, with .to(sw.int64) or .float().",
            operands,
        )
    ) from None


def apply_binary(primitive: Primitive, x: Any, y: Any, minimum: int = 0) -> Any:
    """Apply an elementwise primitive to two operands; a number too large is an error."""
    try:
        return apply_pair(primitive, x, y, minimum)
    except OverflowError:
        _refuse_overflow(primitive.name, (x, y))


def _document(
    function: Any,
    name: str,
    primitive: Primitive,
    operands: str,
    minimum: int = 0,
    raises: str = "",
) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = describe_elementwise(name, primitive, operands, minimum, raises)
    return function


def _unary(name: str, primitive: Primitive, minimum: int = 2) -> Unary:
    def function(input: Any) -> Any:
        return apply_unary(primitive, input, minimum)

    return _document(function, name, primitive, "input", minimum)


def _binary(name: str, primitive: Primitive, minimum: int = 0) -> Binary:
    if minimum < 2:

        def function(input: Any, other: Any) -> Any:
            return apply_binary(primitive, input, other, minimum)
    else:
        # The rules of these evaluate functions of one operand alone, so numbers become arrays.
        def function(input: Any, other: Any) -> Any:
            return apply_floats(primitive, input, other)

    return _document(function, name, primitive, "input, other", minimum)


neg = _unary("neg", arithmetic.neg, 0)
abs = _unary("abs", powers.abs, 0)
sign = _unary("sign", arithmetic.sign, 0)
square = _unary("square", arithmetic.square, 0)
floor = _unary("floor", arithmetic.floor, 0)
ceil = _unary("ceil", arithmetic.ceil, 0)
trunc = _unary("trunc", arithmetic.trunc, 0)
reciprocal = _unary("reciprocal", arithmetic.reciprocal)
exp = _unary("exp", exponential.exp)
exp2 = _unary("exp2", exponential.exp2)
expm1 = _unary("expm1", exponential.expm1)
log = _unary("log", exponential.log)
log2 = _unary("log2", exponential.log2)
log10 = _unary("log10", exponential.log10)
log1p = _unary("log1p", exponential.log1p)
sqrt = _unary("sqrt", powers.sqrt)
rsqrt = _unary("rsqrt", powers.rsqrt)
sin = _unary("sin", trigonometric.sin)
cos = _unary("cos", trigonometric.cos)
tan = _unary("tan", trigonometric.tan)
asin = _unary("asin", trigonometric.asin)
acos = _unary("acos", trigonometric.acos)
atan = _unary("atan", trigonometric.atan)
sinh = _unary("sinh", trigonometric.sinh)
cosh = _unary("cosh", trigonometric.cosh)
tanh = _unary("tanh", exponential.tanh)
asinh = _unary("asinh", trigonometric.asinh)
acosh = _unary("acosh", trigonometric.acosh)
atanh = _unary("atanh", trigonometric.atanh)
sigmoid = _unary("sigmoid", exponential.sigmoid)
logsigmoid = _unary("logsigmoid", exponential.logsigmoid)
relu = _unary("relu", exponential.relu, 0)
silu = _unary("silu", exponential.silu)
gelu = _unary("gelu", special.gelu)
erf = _unary("erf", special.erf)
erfc = _unary("erfc", special.erfc)
lgamma = _unary("lgamma", special.lgamma)
digamma = _unary("digamma", special.digamma)
isnan = _unary("isnan", comparison.isnan, 0)
isinf = _unary("isinf", comparison.isinf, 0)
isfinite = _unary("isfinite", comparison.isfinite, 0)

mul = _binary("mul", arithmetic.mul)


def true_divide(input: Any, other: Any) -> Any:
    """Return input / other, elementwise; integers become floats.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast

    Returns
    -------
    Tensor, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.true_divide(sw.tensor([1, 2]), 4)
    tensor([0.2500, 0.5000])
    """
    return apply_binary(arithmetic.div, input, other, 2)


def _remainder() -> Binary:
    def function(input: Any, other: Any) -> Any:
        _refuse_zero(input, other, "remainder")
        return apply_binary(arithmetic.remainder, input, other)

    refusal = "DomainError\n    If integers are divided by 0."
    return _document(function, "remainder", arithmetic.remainder, "input, other", 0, refusal)


def _refuse_zero(input: Any, other: Any, operation: str) -> None:
    """Refuse a division of integers by 0, which has no answer among integers."""
    if any(np.asarray(_known(x)).dtype.kind == "f" for x in (input, other)):
        return
    divisor = _known(other)
    if not np.all(divisor):
        raise DomainError(
            explain(
                f"{operation}: integers are divided by 0; convert to floats (inf and NaN) or mask"
                " the zeros.",
                (input, other),
            )
        )


def _known(x: Any) -> Any:
    """Return numbers, or for a traced Value one of its dtype that is not 0."""
    if not isinstance(x, Value):
        return x
    return np.ones((), x.dtype) if x._value is None else x._value


remainder = _remainder()
maximum = _binary("maximum", comparison.maximum)
minimum = _binary("minimum", comparison.minimum)
atan2 = _binary("atan2", trigonometric.atan2, 2)
hypot = _binary("hypot", powers.hypot, 2)
logaddexp = _binary("logaddexp", exponential.logaddexp, 2)
xlogy = _binary("xlogy", powers.xlogy, 2)
eq = _binary("eq", comparison.equal)
ne = _binary("ne", comparison.not_equal)
lt = _binary("lt", comparison.less)
le = _binary("le", comparison.less_equal)
gt = _binary("gt", comparison.greater)
ge = _binary("ge", comparison.greater_equal)


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Return input + alpha * other, elementwise.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast
    alpha : float
        Factor of other.

    Returns
    -------
    Tensor, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.add(sw.tensor([1.0, 2.0]), 1.0, alpha=2)
    tensor([3., 4.])
    """
    return apply_binary(arithmetic.add, input, other if alpha == 1 else mul(other, alpha))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Return input - alpha * other, elementwise.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast
    alpha : float
        Factor of other.

    Returns
    -------
    Tensor, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.sub(sw.tensor([1.0, 2.0]), 1.0, alpha=2)
    tensor([-1.,  0.])
    """
    return apply_binary(arithmetic.sub, input, other if alpha == 1 else mul(other, alpha))


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Return input / other, elementwise; rounding_mode "floor" or "trunc" rounds the quotient.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast
    rounding_mode : {None, "floor", "trunc"}
        Round not at all, down, or towards 0; rounded, the dtype is that of the operands.

    Returns
    -------
    Tensor, the common shape

    Raises
    ------
    UsageError
        If the rounding mode is another word.
    DomainError
        If integers are divided by 0 and rounded.
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.div(sw.tensor([-7, 7]), 2, rounding_mode="trunc")
    tensor([-3,  3])
    """
    if rounding_mode is None:
        return true_divide(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise UsageError(
            explain(f"div: rounding_mode {rounding_mode!r} is not None, 'floor' or 'trunc'.")
        )
    if rounding_mode == "floor":
        return floor_divide(input, other)
    a, b = _divided(input, other)
    if a.dtype.kind == "f":
        return trunc(true_divide(a, b))
    return mul(mul(sign(a), sign(b)), floor_divide(abs(a), abs(b)))


def _divided(input: Any, other: Any) -> tuple[Any, Any]:
    """Return two operands of a division as Values of one dtype, no truth values."""
    try:
        a, b = promote_operands((input, other), 1)
        dtype = next((x.dtype for x in (a, b) if isinstance(x, Value)), None)
        made = [x if isinstance(x, Value) else np.asarray(x, dtype) for x in (a, b)]
    except OverflowError:
        _refuse_overflow("floor_divide", (input, other))
    x, y = (as_value(v) for v in made)
    return x, y


def floor_divide(input: Any, other: Any) -> Any:
    """Return the quotient rounded down, elementwise: (input - remainder) / other.

    Parameters
    ----------
    input, other : Tensor or number, of shapes that broadcast

    Returns
    -------
    Tensor, the common shape

    Raises
    ------
    DomainError
        If integers are divided by 0.
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.floor_divide(sw.tensor([-7, 7]), 2)
    tensor([-4,  3])
    """
    _refuse_zero(input, other, "floor_divide")
    a, b = _divided(input, other)
    if a.dtype.kind != "f":
        if a._value is not None and b._value is not None:
            common_shape((a.shape, b.shape), "floor_divide", (a, b))
            return new_value(np.asarray(np.floor_divide(a._value, b._value)), None, False)
        wide = np.dtype(np.float64)
        return cast(floor_divide(cast(a, wide), cast(b, wide)), a.dtype)
    # 2.0 / 0.1 rounds to 20, though 0.1 is a little more than a tenth: the remainder decides.
    exact = round(true_divide(sub(a, remainder(a, b)), b))
    # By infinity the quotient is 0, or -1 where the signs differ; by 0 it is infinite.
    limit = floor(add(true_divide(a, b), mul(mul(sign(a), sign(b)), 0.5)))
    special = bind(comparison.logical_or, (isinf(b), eq(b, 0)), {})
    return where(special, limit, exact)


def pow(input: Any, exponent: Any) -> Any:
    """Return input ** exponent, elementwise; d(x^0)/dx is 0 at 0 too.

    Small constant exponents become their own primitives (square, sqrt, reciprocal). Integers to
    integer powers stay integers, and wrap around where they overflow.

    Parameters
    ----------
    input : Tensor or number
    exponent : Tensor or number, of a shape that broadcasts with input

    Returns
    -------
    Tensor, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.
    DomainError
        If integers are raised to negative powers.
    TraceError
        If integers are raised to a traced power.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.pow(sw.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if (type(exponent) is int or type(exponent) is float) and isinstance(input, Value):
        if exponent == 2 and input.dtype.kind != "b" and (
            type(exponent) is int or input.dtype.kind == "f"
        ):  # fmt: skip
            return bind(arithmetic.square, (input,), {})
        if input.dtype.kind == "f":
            if exponent == 0.5:
                return bind(powers.sqrt, (input,), {})
            if exponent == -1:
                return bind(arithmetic.reciprocal, (input,), {})
            return bind(powers.pow, (input, exponent), {})
    if _is_whole(input) and _is_whole(exponent):
        return _integer_power(input, exponent)
    if not isinstance(input, Value):
        input, exponent = promote_operands((input, exponent))
        if isinstance(exponent, Value):
            input = as_value_in(input, exponent.dtype)
    return apply_binary(powers.pow, input, exponent)


def _is_whole(x: Any) -> bool:
    if isinstance(x, (Value, np.ndarray, np.generic)):
        return x.dtype.kind in "bui"
    return isinstance(x, int)


def _integer_power(input: Any, exponent: Any) -> Any:
    """Return an integer power by repeated squaring.

    Source: Knuth (1997), The art of computer programming, volume 2, section 4.6.3, algorithm A.
    """
    power = as_value(exponent)
    counts = read_array(power).astype(np.int64)
    if counts.size and counts.min() < 0:
        raise DomainError(
            explain(
                "pow: integers to negative powers are no integers: use floats (x.float() ** -1).",
                (input, exponent),
            )
        )
    base, _ = _divided(input, exponent if isinstance(exponent, Value) else np.asarray(0))
    shape = common_shape((base.shape, power.shape), "pow", (input, exponent))
    out = as_value(np.ones(shape, base.dtype))
    last = int(counts.max(initial=0)).bit_length()
    for bit in range(last):
        out = where(counts >> bit & 1 == 1, mul(out, base), out)
        if bit + 1 < last:
            base = mul(base, base)
    return out


def round(input: Any, *, decimals: int = 0) -> Any:
    """Return the nearest whole number (ties to even), or `decimals` places.

    Parameters
    ----------
    input : Tensor, shape (...)
    decimals : int
        How many places after the point are kept.

    Returns
    -------
    Tensor, shape of input

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.round(sw.tensor([0.5, 1.5, 2.6]))
    tensor([0., 2., 3.])
    """
    if decimals == 0:
        return apply_unary(arithmetic.round, input, 0)
    scale = 10.0**decimals
    return div(apply_unary(arithmetic.round, mul(input, scale)), scale)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Return input limited to [min, max]; at an edge the slope is 1.

    Parameters
    ----------
    input : Tensor, shape (...)
    min, max : number or Tensor, optional
        The bounds; Tensors broadcast with input and get gradients.

    Returns
    -------
    Tensor, shape of input, broadcast with the bounds

    Raises
    ------
    UsageError
        If neither bound is given.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.clamp(sw.tensor([-2.0, 0.5, 2.0]), -1.0, 1.0)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if min is None and max is None:
        raise UsageError(explain("clamp: give min, max or both.", (input,)))
    if isinstance(min, Value) or isinstance(max, Value):
        # A bound with gradients of its own: at a tie the slope is the operand's.
        out = as_value(input)
        if min is not None:
            out = where(ge(out, min), out, min)
        return out if max is None else where(le(out, max), out, max)
    x = as_value(input)
    if x.dtype.kind != "f" and any(isinstance(b, float) for b in (min, max)):
        x = promote_operands((x, 1.0))[0]
    try:
        return bind(powers.clamp, (x,), {"low": min, "high": max})
    except OverflowError:
        _refuse_overflow("clamp", (x,))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Return ln(1 + exp(beta x)) / beta; exact everywhere, so `threshold` changes nothing.

    Source: Dugas et al. (2001), Incorporating second-order functional knowledge, section 3.

    Parameters
    ----------
    input : Tensor, shape (...)
    beta : float
        Sharpness of the bend.
    threshold : float
        Taken for PyTorch's sake.

    Returns
    -------
    Tensor, shape of input

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.softplus(sw.tensor([0.0, 100.0]))
    tensor([  0.6931, 100.0000])
    """
    del threshold
    if beta == 1:
        return apply_unary(exponential.softplus, input)
    return div(apply_unary(exponential.softplus, mul(input, beta)), beta)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """Return input + weight * (end - input), elementwise.

    Parameters
    ----------
    input, end : Tensor, of shapes that broadcast
    weight : Tensor or number
        0 gives input, 1 gives end.

    Returns
    -------
    Tensor, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.lerp(sw.tensor([0.0, 1.0]), sw.tensor([4.0, 3.0]), 0.25)
    tensor([1.0000, 1.5000])
    """
    return add(input, mul(weight, sub(end, input)))


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Return input where the condition holds, else other; the branch not taken gets gradient 0.

    With the condition alone, return the indices where it holds, one Tensor for each axis.

    Parameters
    ----------
    condition : Tensor of bool, of a shape that broadcasts
    input, other : Tensor or number, optional, of shapes that broadcast

    Returns
    -------
    Tensor, the common shape

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor([1.0, -2.0])
    >>> sw.where(x > 0, x, 0.0)
    tensor([1., 0.])
    """
    truth = as_value(condition)
    if input is None and other is None:
        return tuple(as_value(places) for places in np.nonzero(read_array(truth)))
    a, b = promote_operands((input, other))
    if not isinstance(a, Value) and not isinstance(b, Value):
        a = as_value(a)
    try:
        return bind(comparison.where, (cast(truth, BOOL), a, b), {})
    except OverflowError:
        _refuse_overflow("where", (input, other))
