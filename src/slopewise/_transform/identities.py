"""Named rewrites of the array graph: what is left out because it changes nothing.

Invariant: each record states when it holds, and holds there for inf, NaN, -0.0 and near overflow
too; a rewrite that changes more than a rounding is not among them (x + 0.0 is kept, since it turns
-0.0 into 0.0, and x * 0.0, which is NaN for infinite x). They are data, so that the compiler's
documentation and its tests can list them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from slopewise._ops import arithmetic, contraction, shape
from slopewise._transform.expression import Expression

Rewrite = Callable[[Any, tuple[Expression, ...], dict[str, Any]], Expression | None]


@dataclass(frozen=True)
class Identity:
    """One rewrite: the primitive it starts at, when it holds, and the rewrite itself.

    `rewrite(table, operands, params)` returns the expression to use instead, or None.
    """

    name: str
    primitive: str
    holds: str
    rewrite: Rewrite


def _number(x: Expression) -> Any:
    """Return the number that an expression stands for, also where it was broadcast."""
    while x.data is None and x.name == "broadcast_to":
        x = x.operands[0]
    return x.data.item() if x.is_number and x.data is not None else None


def _is(x: Expression, value: float) -> bool:
    found = _number(x)
    return found is not None and bool(found == value) and not isinstance(found, bool)


def _negative_zero(x: Expression) -> bool:
    found = _number(x)
    return isinstance(found, float) and found == 0.0 and bool(np.signbit(found))


def _first(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression:
    return operands[0]


def _times_one(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x, y = operands
    if _is(y, 1) and x.dtype == y.dtype:
        return x
    if _is(x, 1) and not y.is_number:
        return y
    return None


def _over_one(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    return operands[0] if _is(operands[1], 1) and operands[0].dtype.kind == "f" else None


def _over_power(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x, y = operands
    divisor = _number(y)
    if not isinstance(divisor, float) or divisor == 0.0 or not np.isfinite(divisor):
        return None
    mantissa, exponent = np.frexp(divisor)
    if abs(mantissa) != 0.5 or abs(int(exponent)) > 100:
        return None
    return table.apply(arithmetic.mul, (x, table.number(1 / divisor, x.dtype)), {})


def _minus_zero(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x, y = operands
    zero = _is(y, 0) and not _negative_zero(y)
    return x if zero and not x.is_number else None


def _plus_minus_zero(
    table: Any, operands: tuple[Expression, ...], params: Any
) -> Expression | None:
    x, y = operands
    integers = x.dtype.kind in "iu"
    if (_negative_zero(y) or (integers and _is(y, 0))) and not x.is_number:
        return x
    if (_negative_zero(x) or (integers and _is(x, 0))) and not y.is_number:
        return y
    return None


def _twice_negated(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    return operands[0].operands[0] if operands[0].name == "neg" else None


def _plus_negated(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x, y = operands
    if y.name == "neg":
        return table.apply(arithmetic.sub, (x, y.operands[0]), {})
    if x.name == "neg":
        return table.apply(arithmetic.sub, (y, x.operands[0]), {})
    return None


def _twice(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x, y = operands
    if x is not y or x.dtype.kind != "f":
        return None
    return table.apply(arithmetic.mul, (x, table.number(2.0, x.dtype)), {})


def _merge_factors(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    for inner, outer in (operands, operands[::-1]):
        factor = _number(outer)
        if not isinstance(factor, float) or inner.name != "mul" or inner.data is not None:
            continue
        for x, known in (inner.operands, inner.operands[::-1]):
            other = _number(known)
            if not isinstance(other, float) or x.shape != inner.shape or x.is_number:
                continue
            both = float(inner.dtype.type(factor * other))
            if np.finfo(inner.dtype).tiny <= abs(both) < np.inf:
                return table.apply(arithmetic.mul, (x, table.number(both, inner.dtype)), {})
    return None


def _factor_out(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    (x,) = operands
    if x.name != "mul" or x.dtype.kind not in "fi":
        return None
    for y, factor in (x.operands, x.operands[::-1]):
        value = _number(factor)
        if value is None or y.shape != x.shape or y.dtype != x.dtype or y.is_number:
            continue
        if x.dtype.kind == "i" or 1 <= value < np.inf:
            total = table.apply(shape.sum, (y,), params)
            return table.apply(arithmetic.mul, (total, table.number(value, x.dtype)), {})
    return None


def _minus_negated(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x, y = operands
    if y.name == "neg":
        return table.apply(arithmetic.add, (x, y.operands[0]), {})
    return None


def _known_factor(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    factor = _number(operands[0])
    if factor is not None and factor != 0:
        return table.apply(arithmetic.mul, operands, {})
    return None


def _same_dtype(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    return operands[0] if operands[0].dtype == np.dtype(params["dtype"]) else None


def _same_shape(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    return operands[0] if operands[0].shape == tuple(params["shape"]) else None


def _rebroadcast(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x = operands[0]
    if x.name == "broadcast_to":
        return table.apply(shape.broadcast_to, x.operands, params)
    return None


def _rereshape(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x = operands[0]
    if x.name == "reshape":
        return table.apply(shape.reshape, x.operands, params)
    if x.is_number or (x.name == "broadcast_to" and x.operands[0].shape == ()):
        source = x if x.is_number else x.operands[0]
        return table.apply(shape.broadcast_to, (source,), {"shape": tuple(params["shape"])})
    return None


def _in_order(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    axes: tuple[int, ...] = tuple(params["axes"])
    if axes == tuple(range(len(axes))):
        return operands[0]
    x = operands[0]
    if x.name == "transpose":
        inner: tuple[int, ...] = x.params["axes"]
        merged = {"axes": tuple(inner[a] for a in axes)}
        return table.apply(shape.transpose, x.operands, merged)
    if x.name == "broadcast_to" and x.operands[0].shape == ():
        target = {"shape": tuple(x.shape[a] for a in axes)}
        return table.apply(shape.broadcast_to, x.operands, target)
    return None


def _turned_product(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    product = operands[0]
    if product.name != "contract":
        return None
    x, y = product.operands
    p = product.params
    batch = len(p["x_batch"])
    rows = len(x.shape) - batch - len(p["x_axes"])
    columns = len(y.shape) - batch - len(p["y_axes"])
    turned = (
        *range(batch), *range(batch + rows, batch + rows + columns), *range(batch, batch + rows),
    )  # fmt: skip
    if tuple(params["axes"]) != turned:
        return None
    swapped = {
        "x_axes": p["y_axes"], "y_axes": p["x_axes"],
        "x_batch": p["y_batch"], "y_batch": p["x_batch"],
    }  # fmt: skip
    return table.apply(contraction.contract, (y, x), swapped)


def _whole(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x = operands[0]
    whole = all(a == 0 and b == n and s == 1 for a, b, s, n in zip(
        params["starts"], params["stops"], params["steps"], x.shape, strict=True))  # fmt: skip
    return x if whole else None


def _alone(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    return operands[0] if len(operands) == 1 else None


def _over_nothing(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x = operands[0]
    axes: tuple[int, ...] = params["axes"]
    if any(x.shape[a] != 1 for a in axes):
        return None
    left = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    target = x.shape if params["keepdims"] else left
    return table.apply(shape.reshape, (x,), {"shape": target})


def _sum_of_constant(
    table: Any, operands: tuple[Expression, ...], params: Any
) -> Expression | None:
    x = operands[0]
    if x.name != "broadcast_to" or x.operands[0].shape != () or x.dtype.kind != "f":
        return None
    axes: tuple[int, ...] = params["axes"]
    count = prod(x.shape[a] for a in axes)
    source = x.operands[0]
    total = table.apply(arithmetic.mul, (source, table.number(count, x.dtype)), {})
    left = tuple(
        1 if i in axes else n for i, n in enumerate(x.shape) if params["keepdims"] or i not in axes
    )
    return table.apply(shape.broadcast_to, (total,), {"shape": left})


def _known_condition(
    table: Any, operands: tuple[Expression, ...], params: Any
) -> Expression | None:
    condition = _number(operands[0])
    if condition is None:
        return None
    chosen, other = operands[1:] if condition else (operands[2], operands[1])
    target = operands[0].shape
    del other
    if chosen.shape == target:
        return chosen
    return table.apply(shape.broadcast_to, (chosen,), {"shape": target})


def _multiplied(table: Any, x: Expression, times: int) -> Expression:
    """Return a small whole power as products."""
    if times == 1:
        return x
    half = table.apply(arithmetic.square, (x,), {})
    if times == 2:
        return half
    other = x if times == 3 else half
    return table.apply(arithmetic.mul, (half, other), {})


def _small_power(table: Any, operands: tuple[Expression, ...], params: Any) -> Expression | None:
    x, y = operands
    exponent = _number(y)
    if isinstance(exponent, float) and exponent in (1.0, 2.0, 3.0, 4.0) and not x.is_number:
        return _multiplied(table, x, int(exponent))
    return None


def _small_power_slope(
    table: Any, operands: tuple[Expression, ...], params: Any
) -> Expression | None:
    x, y = operands
    exponent = _number(y)
    if isinstance(exponent, float) and exponent in (2.0, 3.0, 4.0, 5.0) and not x.is_number:
        lower = _multiplied(table, x, int(exponent) - 1)
        return table.apply(arithmetic.mul, (lower, table.number(exponent, x.dtype)), {})
    return None


IDENTITIES: tuple[Identity, ...] = (
    Identity("x^n as products", "pow", "n is 1, 2, 3 or 4: rounded once for each product",
             _small_power),
    Identity("n x^(n-1) as products", "pow_base_slope",
             "n is 2, 3, 4 or 5: rounded once for each product", _small_power_slope),
    Identity("x * 1 = x", "mul", "always", _times_one),
    Identity("x / 1 = x", "div", "floats", _over_one),
    Identity("x / 2^k = x * 2^-k", "div", "2^-k is a normal number: both are exact", _over_power),
    Identity("x - 0 = x", "sub", "the zero is +0.0", _minus_zero),
    Identity("x + (-0.0) = x", "add", "the zero is -0.0, or an integer", _plus_minus_zero),
    Identity("-(-x) = x", "neg", "always", _twice_negated),
    Identity("x + (-y) = x - y", "add", "always", _plus_negated),
    Identity("x - (-y) = x + y", "sub", "always", _minus_negated),
    Identity("x + x = 2 x", "add", "floats: both are exact", _twice),
    Identity("c (d x) = (c d) x", "mul",
             "c d is a normal number: rounded once, over- and underflows later", _merge_factors),
    Identity("sum of c x = c sum of x", "sum",
             "1 <= c, or integers: rounded after the sum, which overflows later", _factor_out),
    Identity("guarded c p = c p", "guarded_mul", "c is a number other than 0", _known_factor),
    Identity("same dtype", "convert", "always", _same_dtype),
    Identity("same shape", "reshape", "always", _same_shape),
    Identity("reshape of reshape", "reshape", "always", _rereshape),
    Identity("same shape, broadcast", "broadcast_to", "always", _same_shape),
    Identity("broadcast of broadcast", "broadcast_to", "always", _rebroadcast),
    Identity("transpose of transpose", "transpose", "always", _in_order),
    Identity("(x y)^T = y^T x^T", "transpose", "always: the same products are summed",
             _turned_product),
    Identity("slice of everything", "slice", "always", _whole),
    Identity("cat of one", "cat", "always", _alone),
    Identity("reduction of one", "sum",
             "the reduced axes have size 1 (a lone -0.0 keeps its sign, which NumPy's sum loses)",
             _over_nothing),
    Identity("reduction of one", "max", "the reduced axes have size 1", _over_nothing),
    Identity("reduction of one", "min", "the reduced axes have size 1", _over_nothing),
    Identity("reduction of one", "prod", "the reduced axes have size 1", _over_nothing),
    Identity("sum of n equal terms = n x", "sum", "rounded once instead of n times",
             _sum_of_constant),
    Identity("known condition", "where", "always", _known_condition),
    Identity("alias", "alias", "nothing is written in place in a graph", _first),
    Identity("copy", "copy", "nothing is written in place in a graph", _first),
    Identity("stop_gradient", "stop_gradient", "differentiation is done", _first),
)  # fmt: skip
