"""Lanes: a register with Python's operators, so that formulas in the code read like formulas.

Invariant: every operator writes one instruction and nothing is contracted, so that compensated
arithmetic stays as it is written; `fma` is explicit. It is separate because all the functions here
are written with it and none of them should know LLVM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from slopewise._compile.builder import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
    Builder,
    Register,
    type_of,
)  # fmt: skip


class Format:
    """What the bits of a float dtype mean, and the constants that follow from it."""

    def __init__(self, dtype: np.dtype[Any], integer: np.dtype[Any], mantissa: int, bias: int):
        self.dtype = dtype
        self.integer = integer
        self.mantissa = mantissa
        self.bias = bias
        self.width = 8 * dtype.itemsize
        self.one = bias << mantissa
        # Adding 1.5 * 2**mantissa leaves a small number's nearest integer in the low bits.
        self.magic = 1.5 * 2.0**mantissa
        self.top = -1 << mantissa  # the mask of the sign and the exponent
        info: Any = np.finfo(dtype)
        self.smallest_normal = float(info.smallest_normal)
        self.epsilon = float(info.eps)

    @cached_property
    def magic_bits(self) -> int:
        """The bits of `magic`, as an integer."""
        return int(np.array(self.magic, self.dtype).view(self.integer))

    def bits_of(self, number: float) -> int:
        """Return the bits of a number of this dtype, as an integer."""
        return int(np.array(number, self.dtype).view(self.integer))


_FORMATS = {FLOAT64: Format(FLOAT64, INT64, 52, 1023), FLOAT32: Format(FLOAT32, INT32, 23, 127)}


class Lanes:
    """A register and the builder that writes; the operators write instructions."""

    __slots__ = ("b", "r")

    def __init__(self, b: Builder, r: Register) -> None:
        self.b = b
        self.r = r

    @property
    def format(self) -> Format:
        """The format of a float register."""
        return _FORMATS[self.r.type.dtype]

    @property
    def single(self) -> bool:
        """Whether the elements are float32."""
        return self.r.type.dtype == FLOAT32

    @property
    def lanes(self) -> int:
        """The number of lanes."""
        return self.r.type.lanes

    def __add__(self, other: Operand) -> Lanes:
        return Lanes(self.b, self.b.add(self.r, _raw(other)))

    def __radd__(self, other: float) -> Lanes:
        return Lanes(self.b, self.b.add(other, self.r))

    def __sub__(self, other: Operand) -> Lanes:
        return Lanes(self.b, self.b.sub(self.r, _raw(other)))

    def __rsub__(self, other: float) -> Lanes:
        return Lanes(self.b, self.b.sub(other, self.r))

    def __mul__(self, other: Operand) -> Lanes:
        return Lanes(self.b, self.b.mul(self.r, _raw(other)))

    def __rmul__(self, other: float) -> Lanes:
        return Lanes(self.b, self.b.mul(other, self.r))

    def __truediv__(self, other: Operand) -> Lanes:
        return Lanes(self.b, self.b.div(self.r, _raw(other)))

    def __rtruediv__(self, other: float) -> Lanes:
        return Lanes(self.b, self.b.div(other, self.r))

    def __neg__(self) -> Lanes:
        return Lanes(self.b, self.b.neg(self.r))

    def __abs__(self) -> Lanes:
        return Lanes(self.b, self.b.absolute(self.r))

    def __lt__(self, other: Operand) -> Lanes:
        return self.compare("<", other)

    def __le__(self, other: Operand) -> Lanes:
        return self.compare("<=", other)

    def __gt__(self, other: Operand) -> Lanes:
        return self.compare(">", other)

    def __ge__(self, other: Operand) -> Lanes:
        return self.compare(">=", other)

    def __and__(self, other: Operand) -> Lanes:
        return Lanes(self.b, self.b.bit_and(self.r, _raw(other)))

    def __or__(self, other: Operand) -> Lanes:
        return Lanes(self.b, self.b.bit_or(self.r, _raw(other)))

    def __xor__(self, other: Operand) -> Lanes:
        return Lanes(self.b, self.b.bit_xor(self.r, _raw(other)))

    def __invert__(self) -> Lanes:
        """Return the negated truth values."""
        return Lanes(self.b, self.b.logical_not(self.r))

    def __lshift__(self, places: Operand) -> Lanes:
        return Lanes(self.b, self.b.shift_left(self.r, _raw(places)))

    def __rshift__(self, places: Operand) -> Lanes:
        """Shift integers right; zeros come in."""
        return Lanes(self.b, self.b.shift_right(self.r, _raw(places)))

    def compare(self, symbol: str, other: Operand) -> Lanes:
        """Return where a comparison holds; a NaN makes all but != false."""
        return Lanes(self.b, self.b.compare(symbol, self.r, _raw(other)))

    def equals(self, other: Operand) -> Lanes:
        """Return where two operands are equal."""
        return self.compare("==", other)

    def is_nan(self) -> Lanes:
        """Return where a float is NaN."""
        return Lanes(self.b, self.b.unordered(self.r, self.r))

    def is_finite(self) -> Lanes:
        """Return where a float is neither infinite nor NaN."""
        return Lanes(self.b, self.b.isfinite(self.r))

    def bits(self) -> Lanes:
        """Return the bits of floats as integers."""
        return Lanes(self.b, self.b.bits(self.r))

    def floats(self) -> Lanes:
        """Return integers as the floats that have these bits."""
        return Lanes(self.b, self.b.from_bits(self.r))

    def number(self, value: float) -> Lanes:
        """Return a constant of this type."""
        return Lanes(self.b, self.b.number(value, self.r.type))

    def nearest(self) -> Lanes:
        """Return the nearest integer, even at a tie, as a float."""
        return Lanes(self.b, self.b.round_even(self.r))

    def sqrt(self) -> Lanes:
        """Return the square root, rounded correctly."""
        return Lanes(self.b, self.b.sqrt(self.r))

    def with_sign(self, sign: Lanes) -> Lanes:
        """Return the magnitude with the sign of another number."""
        return Lanes(self.b, self.b.copysign(self.r, sign.r))

    def at_most(self, limit: float) -> Lanes:
        """Return the smaller of a register and a number; NaN stays."""
        return select(self.number(limit) < self, limit, self)

    def at_least(self, limit: float) -> Lanes:
        """Return the larger of a register and a number; NaN stays."""
        return select(self.number(limit) > self, limit, self)

    def cast(self, dtype: Any) -> Lanes:
        """Convert to a dtype."""
        return Lanes(self.b, self.b.cast(self.r, dtype))

    def widened(self) -> Lanes:
        """Return float32 lanes as float64 ones."""
        return self.cast(FLOAT64)

    def any(self) -> Register:
        """Return whether a truth value holds in any lane."""
        return self.b.across("or", self.r)


Operand: TypeAlias = Lanes | float | int


def _raw(x: Operand) -> Any:
    return x.r if isinstance(x, Lanes) else x


def fma(x: Operand, y: Operand, z: Operand) -> Lanes:
    """Return x * y + z, rounded once; one operand at least is a register."""
    b = _builder(x, y, z)
    return Lanes(b, b.fma(_raw(x), _raw(y), _raw(z)))


def select(condition: Lanes, x: Operand, y: Operand) -> Lanes:
    """Return x where the condition holds, else y; one of them is a register."""
    b = condition.b
    return Lanes(b, b.select(condition.r, _raw(x), _raw(y)))


def larger(x: Lanes, y: Lanes) -> Lanes:
    """Return the larger of two; where one is NaN, the second."""
    return select(x > y, x, y)


def smaller(x: Lanes, y: Lanes) -> Lanes:
    """Return the smaller of two; where one is NaN, the second."""
    return select(x < y, x, y)


def _builder(*operands: Operand) -> Builder:
    return next(x.b for x in operands if isinstance(x, Lanes))


def polynomial(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """Return a polynomial, lowest coefficient first, in a tree of depth log2 of its length."""
    terms: list[Operand] = list(coefficients)
    power = x
    while len(terms) > 1:
        paired: list[Operand] = [
            fma(power, terms[i + 1], terms[i]) for i in range(0, len(terms) - 1, 2)
        ]
        if len(terms) % 2:
            paired.append(terms[-1])
        terms = paired
        if len(terms) > 1:
            power = power * power
    result = terms[0]
    return result if isinstance(result, Lanes) else x.number(result)


def horner(x: Lanes, coefficients: Sequence[Operand]) -> Lanes:
    """Return a polynomial, lowest coefficient first, in the fewest instructions."""
    total = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = fma(total, x, coefficient)
    return total if isinstance(total, Lanes) else x.number(total)


def outlined(
    name: str, emit: Callable[..., Lanes], operands: Sequence[Lanes], *numbers: int
) -> Lanes:
    """Return a call of a function of the module that holds what `emit` writes for the operands."""
    b = operands[0].b
    result = operands[0].r.type
    order = "".join(f".{n}" for n in numbers)
    full = f"slopewise.{name}{order}.{result.suffix}"
    if full not in b.module.functions:
        labels = [f"p{i}" for i in range(len(operands))]
        inner = Builder(
            b.module, full, [(result.text, label) for label in labels],
            result=result.text, linkage="internal", attributes="noinline",
        )  # fmt: skip
        inner.contract = ""
        parameters = [Lanes(inner, Register(f"%{label}", result)) for label in labels]
        value = emit(*parameters, *numbers)
        inner.finish(f"ret {result.text} {value.r.text}")
    given = ", ".join(f"{result.text} {x.r.text}" for x in operands)
    return Lanes(b, b.name_value(f"call {result.text} @{full}({given})", result))


def truth(x: Lanes, value: bool) -> Lanes:
    """Return a truth value in as many lanes as x has."""
    return Lanes(x.b, x.b.number(value, type_of(BOOL, x.lanes)))
