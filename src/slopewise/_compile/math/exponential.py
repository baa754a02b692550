"""The exponential family: exp, exp2, expm1, sinh, cosh, and the pairs that others are built on.

Invariant: x = k log 2 + r with |r| <= log(2)/2; what is returned as a pair has a relative error
below 2**-57 (float32: 2**-27), and 2**k is multiplied in last, in two steps, so that subnormal
results are rounded once.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from slopewise._compile.math.coefficients import (
    EXP_32,
    EXP_64,
    EXP_64_LONG,
    EXPM1_32,
    EXPM1_64,
)
from slopewise._compile.math.lanes import Lanes, fma, polynomial, select
from slopewise._compile.math.pairs import Pair, divide_pairs, fast_two_sum, two_product
from slopewise._kernels import fixed_point


def constant_parts(value: int, x: Lanes) -> tuple[float, float]:
    """Return a fixed-point constant as a pair of the dtype's own floats."""
    bits = x.format.mantissa + 1
    high, low = fixed_point.floats(value, bits, bits)
    return high, low


def bounds(x: Lanes) -> tuple[float, float]:
    """Return where exp is 0 below, and infinite above."""
    return (-104.0, 89.0) if x.single else (-746.0, 710.0)


class Power:
    """2**k for the integer k in the low bits of a register, |k| < 2 * bias."""

    def __init__(self, bits: Lanes, like: Lanes, *, rounder: bool = False) -> None:
        """`rounder` says that the bits are those of `magic` plus k, so that k can be read off."""
        form = like.format
        self.k: Lanes | None = None
        if rounder and _scales_in_hardware(like):
            self.k = bits.floats() - form.magic
            return
        whole = bits << form.mantissa
        half = (bits << (form.mantissa - 1)) & form.top
        self.first = (half + form.one).floats()
        self.second = ((whole - half) + form.one).floats()

    def times(self, x: Lanes) -> Lanes:
        """Return x * 2**k, rounded once where x is near 1."""
        return x * self.first * self.second if self.k is None else _scale(x, self.k)

    def shifted(self, places: int) -> Power:
        """Return 2**(k + places)."""
        out = object.__new__(Power)
        if self.k is not None:
            out.k = self.k + float(places)
            return out
        out.k, out.first, out.second = None, self.first, self.second * 2.0**places
        return out

    def where(self, condition: Lanes) -> Power:
        """Return 2**k where the condition holds, else 1."""
        out = object.__new__(Power)
        out.k = None
        if self.k is not None:
            out.k = select(condition, self.k, 0.0)
            return out
        out.first = select(condition, self.first, 1.0)
        out.second = select(condition, self.second, 1.0)
        return out


@cache
def _has_scalef() -> bool:
    binding: Any = import_module("llvmlite.binding")  # it has no type stubs
    features: dict[str, bool] = binding.get_host_cpu_features()
    return features.get("avx512f", False)


def _scales_in_hardware(x: Lanes) -> bool:
    """Return whether AVX-512's scaling instruction serves: for registers of 64 bytes."""
    whole = x.lanes * x.r.type.bytes == 64
    return whole and x.b.module.vector_bytes == 64 and _has_scalef()


def _scale(x: Lanes, k: Lanes) -> Lanes:
    type = x.r.type
    full = f"llvm.x86.avx512.mask.scalef.{'ps' if x.single else 'pd'}.512"
    mask = f"i{x.lanes}"
    x.b.module.declare(full, f"declare {type} @{full}({type}, {type}, {type}, {mask}, i32)")
    text = f"call {type} @{full}({x.r}, {k.r}, {type} poison, {mask} -1, i32 4)"
    return Lanes(x.b, x.b.name_value(text, type))


def simple_power(bits: Lanes, like: Lanes) -> Lanes:
    """Return 2**k for |k| < bias."""
    return ((bits << like.format.mantissa) + like.format.one).floats()


def reduce(x: Lanes, low: Lanes | None = None) -> tuple[Lanes, Pair]:
    """Return an integer whose low bits are k, and r = x - k log 2 as a pair."""
    form = x.format
    first, second = constant_parts(fixed_point.log_two(), x)
    rounder = fma(x, 1.0 / first, form.magic)
    k = rounder - form.magic
    rest = fma(k, -first, x)  # exact
    high = fma(k, -second, rest)
    error = fma(k, -second, rest - high)
    return rounder.bits(), (high, error) if low is None else fast_two_sum(high, error + low)


def exp_series(r: Lanes, low: Lanes) -> Lanes:
    """Return e**(r + low) - 1 - r, for a `low` of the size of an ULP of r."""
    return fma(r * r, polynomial(r, EXP_32 if r.single else EXP_64), low)


def exp_pair(x: Lanes, low: Lanes | None = None) -> tuple[Lanes, Pair]:
    """Return an integer whose low bits are k, and e**x / 2**k, near 1, as a pair.

    Next to 0, where e**x - 1 is small, the pair holds all of its digits.
    """
    bits, (r, r_low) = reduce(x, low)
    first, *others = EXP_32 if r.single else EXP_64_LONG
    square, series = r * r, fma(r, polynomial(r, others), first)  # of which one rounding counts
    change = fma(square, series, r)
    rest = fma(square, series, r - change) + r_low
    if not r.single:  # where half an ULP of the square counts more than two instructions
        rest = fma(0.5, fma(r, r, -square), rest)
    high, error = fast_two_sum(1.0, change)
    return bits, (high, error + rest)


def expm1_pair(x: Lanes, half: float = 1.0, *, falling: bool = False) -> Pair:
    """Return (e**x - 1) * half, for a high part and a short low one.

    x is at least -0.9 times exp's bound, and above neither 0.9 times it nor, with half = 1/2, it;
    `falling` where x <= 0.
    """
    bits, (r, r_low) = reduce(x)
    power = simple_power(bits - 1 if half != 1.0 else bits, x)
    base = power - half
    # Exact unless k is beyond 53 on the other side, where little of it is left.
    base_error = power - (base + half) if falling else (power - base) - half
    first, first_error = fast_two_sum(base, power * r)
    # The square has its low part: next to the root half an ULP of it would count.
    square, square_error = two_product(0.5 * r, r)
    high, error = fast_two_sum(first, power * square)
    coefficients = EXPM1_32 if x.single else EXPM1_64
    cubic = fma(square * r, polynomial(r, coefficients), square_error + r_low)
    return high, fma(power, cubic, (first_error + error) + base_error)


def exp(x: Lanes) -> Lanes:
    """Emit e**x."""
    low, high = bounds(x)
    bits, (r, r_low) = reduce(x.at_most(high).at_least(low))
    return Power(bits, x, rounder=True).times(1.0 + (r + exp_series(r, r_low)))


def exp2(x: Lanes) -> Lanes:
    """Emit 2**x."""
    form = x.format
    limit = 160.0 if x.single else 1100.0
    x = x.at_most(limit).at_least(-limit)
    rounder = x + form.magic
    rest = x - (rounder - form.magic)
    first, second = constant_parts(fixed_point.log_two(), x)
    r, error = two_product(rest, first)
    low = fma(rest, second, error)
    return Power(rounder.bits(), x, rounder=True).times(1.0 + (r + exp_series(r, low)))


def expm1(x: Lanes) -> Lanes:
    """Emit e**x - 1."""
    far = 20.0 if x.single else 42.0  # below minus that it is -1
    high, low = expm1_pair(x.at_most(bounds(x)[1]).at_least(-far), 0.5)
    return select(abs(x) < x.format.epsilon / 4, x, 2.0 * (high + low))


def cosh(x: Lanes) -> Lanes:
    """Emit the hyperbolic cosine."""
    half, low, inverse = _half_exponential(abs(x))
    return half + (low + inverse)


def sinh(x: Lanes) -> Lanes:
    """Emit the hyperbolic sine."""
    size = abs(x)
    half, low, inverse = _half_exponential(size)
    far = half + (low - inverse)
    high, low = fast_two_sum(*expm1_pair(size.at_most(2.0)))
    total, error = fast_two_sum(1.0, high)
    ratio, ratio_low = divide_pairs((high, low), (total, error + low))
    total, error = fast_two_sum(high, ratio)
    near = 0.5 * (total + (error + (low + ratio_low)))
    out = select(size < 1.0, near, far)
    return select(size < x.format.epsilon / 4, x, out.with_sign(x))


def _half_exponential(size: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return e**x/2 as a pair, and e**-x/2, for x >= 0."""
    bits, (high, low) = exp_pair(size.at_most(bounds(size)[1] + 1.0))
    power = Power(bits - 1, size, rounder=True)
    half = power.times(high)
    return half, power.times(low), 0.25 / half
