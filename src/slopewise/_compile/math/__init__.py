"""Mathematical functions as vector code: `apply` writes the call of one by its name.

Invariant: within 2 ULP of the exact value in both dtypes (exp, log, sqrt, sin, cos, tanh, log1p and
expm1 within 1), right at NaN, infinities, signed zeros and subnormals, for any number of lanes.
Short ones are written in place, long ones as functions of the module. It is separate because it
knows mathematics, and the rest of the compiler does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slopewise._compile.builder import FLOAT32, FLOAT64, Builder, Register
from slopewise._compile.math import (
    circular,
    elementary,
    exponential,
    gamma,
    inverse,
    logarithm,
    logistic,
    normal,
    powers,
)
from slopewise._compile.math.lanes import Lanes, outlined

Emitter = Callable[..., Lanes]

_SIMPLE: dict[str, Emitter] = {
    "abs": elementary.absolute, "floor": elementary.floor, "ceil": elementary.ceil,
    "round": elementary.nearest, "trunc": elementary.trunc, "sign": elementary.sign,
    "maximum": elementary.maximum, "minimum": elementary.minimum, "isnan": elementary.is_nan,
    "isinf": elementary.is_infinite, "isfinite": elementary.is_finite,
    "bitwise_and": elementary.bit_and, "bitwise_or": elementary.bit_or,
    "bitwise_xor": elementary.bit_xor, "bitwise_not": elementary.bit_not,
    "invert": elementary.bit_not, "left_shift": elementary.shift_left,
    "right_shift": elementary.shift_right, "remainder": elementary.remainder,
}  # fmt: skip
_INLINE: dict[str, Emitter] = {
    "sqrt": elementary.sqrt, "exp": exponential.exp, "exp2": exponential.exp2,
    "expm1": exponential.expm1, "log": logarithm.log, "log2": logarithm.log2,
    "log10": logarithm.log10, "log1p": logarithm.log1p, "sigmoid": logistic.sigmoid,
    "logistic_density": logistic.logistic_density, "softplus": logistic.softplus,
    "logsigmoid": logistic.logsigmoid, "tanh": logistic.tanh,
    "sech_squared": logistic.sech_squared, "silu": logistic.silu,
}  # fmt: skip
# Long ones with a float32 form of their own.
_OUTLINED: dict[str, Emitter] = {
    "sin": circular.sin, "cos": circular.cos, "silu_slope": logistic.silu_slope,
    "logaddexp": logistic.logaddexp,
}  # fmt: skip
# Those that are float64 only; float32 operands are widened, and the result is rounded once more.
_WIDE: dict[str, Emitter] = {
    "tan": circular.tan, "sec_squared": circular.sec_squared, "asin": inverse.asin,
    "acos": inverse.acos, "atan": inverse.atan, "atan2": inverse.atan2,
    "asin_slope": inverse.asin_slope, "atan_slope": inverse.atan_slope,
    "acosh_slope": inverse.acosh_slope, "atanh_slope": inverse.atanh_slope,
    "atan2_slope": powers.atan2_slope, "asinh": inverse.asinh, "acosh": inverse.acosh,
    "atanh": inverse.atanh, "sinh": exponential.sinh, "cosh": exponential.cosh,
    "pow": powers.pow, "pow_base_slope": powers.pow_base_slope,
    "pow_exponent_slope": powers.pow_exponent_slope, "rsqrt_slope": powers.rsqrt_slope,
    "hypot": powers.hypot, "hypot_slope": powers.hypot_slope, "erf": normal.erf,
    "erfc": normal.erfc, "erf_slope": normal.erf_slope, "gelu": normal.gelu,
    "gelu_slope": normal.gelu_slope, "normal_density": normal.normal_density,
    "lgamma": gamma.lgamma, "digamma": gamma.digamma, "polygamma": gamma.polygamma,
}  # fmt: skip
NAMES = tuple(sorted({*_SIMPLE, *_INLINE, *_OUTLINED, *_WIDE}))


def apply(b: Builder, name: str, operands: Sequence[Any]) -> Register:
    """Write a mathematical function of registers and return the register of its result.

    Parameters
    ----------
    b : Builder
        Where the code goes; its `contract` flag is off while this writes.
    name : str
        One of `NAMES`.
    operands : sequence of Register or number
        One register at least; numbers become constants of its type, scalars are spread to the
        lanes. The order of `polygamma` is a number, and comes second.

    Returns
    -------
    Register
        The operands' dtype and lanes; truth values for `isnan`, `isinf` and `isfinite`.

    Raises
    ------
    KeyError
        If there is no function of that name.
    """
    numbers: list[int] = []
    if name == "polygamma":
        operands, numbers = operands[:1], [int(operands[1])]
        if not numbers[0]:
            name, numbers = "digamma", []
    flag = b.contract
    b.contract = ""
    try:
        lanes = [Lanes(b, r) for r in b.meet(*operands)]
        return _emit(name, lanes, numbers).r
    finally:
        b.contract = flag


def _emit(name: str, lanes: list[Lanes], numbers: list[int]) -> Lanes:
    if name in _SIMPLE:
        return _SIMPLE[name](*lanes)
    if name in _INLINE:
        # Called or written out, the bits are the same: nothing is contracted across the edge.
        if lanes[0].b.crowded and name != "sqrt":
            return outlined(name, _INLINE[name], lanes)
        return _INLINE[name](*lanes)
    if name in _OUTLINED:
        return outlined(name, _OUTLINED[name], lanes)
    emit = _WIDE[name]
    if lanes[0].r.type.dtype == FLOAT64:
        return outlined(name, emit, lanes, *numbers)
    wide = [x.cast(FLOAT64) for x in lanes]
    return outlined(name, emit, wide, *numbers).cast(FLOAT32)
