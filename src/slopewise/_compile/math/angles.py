"""Reduction of angles modulo pi/2, for every finite float, and sines and cosines as pairs.

Invariant: the reduced angle is a pair with |high| <= pi/4 (a hair more) and a relative error below
2**-57 (float32: 2**-27). Angles beyond a limit go, all lanes of a register together, to a function
that multiplies integers by the bits of 2/pi; the branch to it is almost never taken.
"""

from __future__ import annotations

from typing import NamedTuple

from slopewise._compile.builder import (
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
    Builder,
    Register,
    type_of,
)
from slopewise._compile.math.coefficients import COSINE_32, COSINE_64, SINE_32, SINE_64
from slopewise._compile.math.lanes import Lanes, fma, polynomial, select
from slopewise._compile.math.pairs import (
    Pair,
    fast_two_sum,
    multiply_pairs,
    negated,
    select_pair,
    two_product,
    two_sum,
)
from slopewise._compile.math.tables import store_words
from slopewise._kernels import fixed_point

_PADDING = 64
_ONE, _ONE_RESULT = "slopewise.reduce_one", "{i64, double, double}"


class Angle(NamedTuple):
    """An angle less `quarters` times pi/2; only the low two bits of `quarters` count."""

    quarters: Lanes
    rest: Pair


def reduce_angle(x: Lanes) -> Angle:
    """Return an angle modulo pi/2."""
    near = _reduce_near(x)
    limit = 2.0**14 if x.single else 2.0**22
    far = (abs(x) > limit) & x.is_finite()
    b = x.b
    condition = far.any()
    taken, end, before = b.label("far"), b.label("reduced"), b.block
    b.branch(condition, taken, end)
    b.open_block(taken)
    reduced = _call_far(x)
    quarters = select(far, reduced.quarters, near.quarters)
    high = select(far, reduced.rest[0], near.rest[0])
    low = select(far, reduced.rest[1], near.rest[1])
    after = b.block
    b.jump(end)
    b.open_block(end)

    def merge(old: Lanes, new: Lanes) -> Lanes:
        text = f"phi {old.r.type.text} [{old.r.text}, %{before}], [{new.r.text}, %{after}]"
        return Lanes(b, b.name_value(text, old.r.type))

    merged = [
        merge(old, new)
        for old, new in zip(
            (near.quarters, *near.rest), (quarters, high, low), strict=True
        )
    ]  # fmt: skip
    return Angle(merged[0], (merged[1], merged[2]))


def _reduce_near(x: Lanes) -> Angle:
    """Reduce by three parts of pi/2 (W. J. Cody and W. Waite, 1980), with low parts."""
    form = x.format
    width = form.mantissa + 1
    first, second, third = fixed_point.floats(fixed_point.pi() >> 1, width, width, width)
    inverse = fixed_point.ONE * fixed_point.ONE * 2 // fixed_point.pi() / fixed_point.ONE
    rounder = fma(x, inverse, form.magic)
    k = rounder - form.magic
    rest = fma(k, -first, x)  # exact
    product, error = two_product(k, second)
    high, low = two_sum(rest, -product)
    return Angle(rounder.bits(), fast_two_sum(high, fma(k, -third, low - error)))


def _call_far(x: Lanes) -> Angle:
    """Call the function that reduces every lane by integers."""
    b, type = x.b, x.r.type
    integers = type_of(x.format.integer, x.lanes)
    result = f"{{{integers.text}, {type.text}, {type.text}}}"
    full = f"slopewise.reduce_far.{type.suffix}"
    if full not in b.module.functions:
        _define_far(b, full, x.r.type.lanes, x.single, result)
    pack = b.pointer(f"call {result} @{full}({type.text} {x.r.text})")
    parts = [
        Lanes(b, b.name_value(f"extractvalue {result} {pack}, {i}", kind))
        for i, kind in enumerate((integers, type, type))
    ]
    return Angle(parts[0], (parts[1], parts[2]))


def _define_far(b: Builder, full: str, lanes: int, single: bool, result: str) -> None:
    """Define the function of a register, which calls that of one float64 for each lane."""
    dtype = FLOAT32 if single else FLOAT64
    type = type_of(dtype, lanes)
    inner = Builder(
        b.module, full, [(type.text, "x")], result=result, linkage="internal",
        attributes="noinline cold",
    )  # fmt: skip
    inner.contract = ""
    _define_one(b)
    integers = type_of(INT32 if single else INT64, lanes)
    kinds = (integers, type, type)
    # A loop, as this is rarely run and often written.
    operand, *places = (inner.reserve(1, kind.text) for kind in (type, *kinds))
    inner.write(f"store {type.text} %x, ptr {operand}")
    with inner.loop(0, lanes) as lane:
        element = inner.load(type_of(dtype), inner.address(operand, lane, dtype))
        element = inner.cast(element, FLOAT64)
        pack = inner.pointer(f"call {_ONE_RESULT} @{_ONE}(double {element.text})")
        quarters, high, low = (
            Lanes(inner, inner.name_value(f"extractvalue {_ONE_RESULT} {pack}, {i}", kind))
            for i, kind in enumerate((type_of(INT64), type_of(FLOAT64), type_of(FLOAT64)))
        )
        values = [quarters, high, low]
        if single:
            top = (high + low).cast(FLOAT32)
            values = [quarters.cast(INT32), top, ((high - top.widened()) + low).cast(FLOAT32)]
        for place, value in zip(places, values, strict=True):
            inner.store(value.r, inner.address(place, lane, value.r.type.dtype))
    columns = [inner.load(kind, place) for kind, place in zip(kinds, places, strict=True)]
    _return(inner, result, columns)


def _define_one(b: Builder) -> None:
    """Define the function that reduces one float64, once a module."""
    if _ONE in b.module.functions:
        return
    inner = Builder(
        b.module, _ONE, [("double", "x")], result=_ONE_RESULT, linkage="internal",
        attributes="noinline cold",
    )  # fmt: skip
    inner.contract = ""
    quarters, (high, low) = _reduce_by_integers(Lanes(inner, Register("%x", type_of(FLOAT64))))
    _return(inner, _ONE_RESULT, [quarters.r, high.r, low.r])


def _return(b: Builder, result: str, columns: list[Register]) -> None:
    pack = "poison"
    for i, column in enumerate(columns):
        pack = b.pointer(f"insertvalue {result} {pack}, {column}, {i}")
    b.finish(f"ret {result} {pack}")


def _inverse_words() -> list[int]:
    """Return the bits of 2/pi as 64-bit words, after a word of zeros."""
    count = 21
    bits = 64 * count
    value = (2 << (2 * bits + 64)) // fixed_point.pi(bits + 64)
    return [0] + [(value >> (64 * (count - 1 - i))) & (2**64 - 1) for i in range(count)]


def _reduce_by_integers(x: Lanes) -> tuple[Lanes, Pair]:
    """Reduce one float64 with |x| above 2**13 (M. Payne and R. Hanek, 1983).

    x is an integer M times 2**e. Of 2/pi only 192 bits matter: what stands before them gives whole
    turns, and what comes after is below 2**-137.
    """
    b = x.b
    bits = x.bits()
    exponent = (bits >> 52) & 0x7FF
    finite = exponent.compare("<", 0x7FF)
    exponent = select(finite, exponent, 1100)
    exponent = select(exponent.compare(">", 1030), exponent, 1030)
    mantissa = (bits & ((1 << 52) - 1)) | (1 << 52)
    # Bit 1 of 2/pi has the weight 1/2; the first bit kept, e - 1, gives M times 2 quarter turns.
    position = exponent - (1075 + 2 - _PADDING)
    index, shift = position >> 6, position & 63
    symbol = store_words(b, "two_over_pi", _inverse_words())
    words: list[Lanes] = []
    for i in range(4):
        place = b.address(symbol, (index + i).r.text, INT64)
        words.append(Lanes(b, b.load(type_of(INT64), place)))
    w0, w1, w2 = (_funnel(words[i], words[i + 1], shift) for i in range(3))
    wide = "i128"

    def multiply_add(word: Lanes, carry: Lanes | None) -> tuple[Lanes, Lanes]:
        a = b.pointer(f"zext i64 {mantissa.r.text} to {wide}")
        c = b.pointer(f"zext i64 {word.r.text} to {wide}")
        product = b.pointer(f"mul {wide} {a}, {c}")
        if carry is not None:
            extra = b.pointer(f"zext i64 {carry.r.text} to {wide}")
            product = b.pointer(f"add {wide} {product}, {extra}")
        shifted = b.pointer(f"lshr {wide} {product}, 64")
        word_type = type_of(INT64)
        return (
            Lanes(b, b.name_value(f"trunc {wide} {product} to i64", word_type)),
            Lanes(b, b.name_value(f"trunc {wide} {shifted} to i64", word_type)),
        )

    low, carry = multiply_add(w2, None)
    middle, carry = multiply_add(w1, carry)
    top = w0 * mantissa + carry
    # The top two bits count quarter turns; the rest, taken as a signed fraction, is in +-1/2.
    fraction = _funnel(top, middle, top.number(2))
    below = _funnel(middle, low, top.number(2))
    quarters = (top >> 62) + (fraction >> 63)
    high_bits = fraction & ~2047
    rest_bits = ((fraction & 2047) << 53) | (below >> 11)
    high = high_bits.cast(FLOAT64) * 2.0**-64
    middle_part = _unsigned(rest_bits >> 11) * 2.0 ** (11 - 117)
    low_part = _unsigned(rest_bits & 2047) * 2.0**-117
    total, error = fast_two_sum(high, middle_part)
    total, error = fast_two_sum(total, error + low_part)
    half_pi = fixed_point.pair(fixed_point.pi() >> 1)
    rest = multiply_pairs((total, error), half_pi)
    negative = x < 0.0
    return (
        select(negative, 0 - quarters, quarters),
        (select(negative, -rest[0], rest[0]), select(negative, -rest[1], rest[1])),
    )


def _unsigned(x: Lanes) -> Lanes:
    return x.cast(FLOAT64)  # below 2**53, so its sign bit is clear


def _funnel(high: Lanes, low: Lanes, shift: Lanes) -> Lanes:
    b = high.b
    return Lanes(b, b.intrinsic("fshl", high.r, low.r, shift.r))


def sine_pair(angle: Pair) -> Pair:
    """Return the sine of a pair |r| <= pi/4, as a pair."""
    r, low = angle
    z = r * r
    series = polynomial(z, SINE_32 if r.single else SINE_64)
    return fast_two_sum(r, fma(z * r, series, fma(-0.5 * z, low, low)))


def cosine_pair(angle: Pair) -> Pair:
    """Return the cosine of a pair |r| <= pi/4, as a pair."""
    r, low = angle
    z, z_error = two_product(r, r)
    series = polynomial(z, COSINE_32 if r.single else COSINE_64)
    high, error = fast_two_sum(1.0, -0.5 * z)
    tail = fma(-r, low, error - 0.5 * z_error)
    return high, fma(z * z, series, tail)


def half_turn_pairs(fraction: Lanes) -> tuple[Pair, Pair]:
    """Return sin(pi f) and cos(pi f) for |f| <= 1/2, as pairs; f is taken exactly."""
    size = abs(fraction)
    swap = size > 0.25
    half_turn = fixed_point.pair(fixed_point.pi())
    angle = select(swap, 0.5 - size, size)
    product, error = two_product(angle, half_turn[0])
    rest = fast_two_sum(product, fma(angle, half_turn[1], error))
    first, second = sine_pair(rest), fast_two_sum(*cosine_pair(rest))
    sine, cosine = select_pair(swap, second, first), select_pair(swap, first, second)
    return select_pair(fraction < 0.0, negated(sine), sine), cosine
