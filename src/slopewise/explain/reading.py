"""Reading: a function of numbers as terms of the array graph, in the shapes that people write.

Invariant: a term is an Expression of the engine's own primitives, each made once, and every
respelling (a square as a power, a slope kept as one primitive as its formula) has the value of what
it replaces wherever that is defined. It is separate from the compiler's reading, which rewrites for
speed and splits what people keep together.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.quiet import hush, restore
from slopewise._core.rules import Partials
from slopewise._core.state import state
from slopewise._core.trace import Graph, trace
from slopewise._core.value import Value
from slopewise._ops import arithmetic, comparison, exponential, powers, special, trigonometric
from slopewise._transform.expression import Expression, Table, order, read_graph

NUMBER = np.dtype(np.float64)
_SCALAR = Aval((), NUMBER)
_LARGEST = Fraction(np.finfo(np.float64).max)


class Terms(Table):
    """Makes the terms of one function; equal terms are one object.

    Parameters
    ----------
    names : sequence of str
        The inputs, in order.
    avals : sequence of Aval, optional
        Their shapes and dtypes; numbers of float64 unless told otherwise.
    """

    def __init__(self, names: Sequence[str], avals: Sequence[Aval] | None = None) -> None:
        super().__init__()
        self.names = tuple(names)
        kinds = [_SCALAR] * len(names) if avals is None else avals
        self.inputs = [self.input(i, kind) for i, kind in enumerate(kinds)]
        self.sizes: dict[float, str] = {}  # numbers that stand for sizes, by how they are written
        self.decimals = False  # whether numbers are written with a point, as the user did
        self.rewritten: dict[str, dict[int, Expression]] = {}  # by rewrite and number
        # What tidying found of parts of sums, by number: coefficient, key of like parts, and rest;
        # and parts times a number.
        self.parts: dict[int, tuple[Fraction, Any, Expression | None]] = {}
        self.scaled: dict[tuple[Fraction, int], Expression] = {}

    def read(self, x: Any, like: np.dtype[Any] | None) -> Expression:
        """Return a term for a number that a node holds."""
        value = x._value if isinstance(x, Value) else x
        found = np.asarray(value)
        if found.ndim:
            return self.constant(found)
        return self.number(found, NUMBER if found.dtype.kind in "iuf" else found.dtype)

    def apply(
        self, primitive: Primitive, operands: Sequence[Expression], params: dict[str, Any],
        place: Any = None,
    ) -> Expression:  # fmt: skip
        """Return a primitive applied to terms, respelt as people write it."""
        respell = _SPELLINGS.get(primitive.name)
        if respell is not None:
            found = respell(self, *operands)
            if found is not None:
                return found
        return super().apply(primitive, operands, params, place)

    def call(self, primitive: Primitive, *operands: Expression) -> Expression:
        """Return a primitive applied to terms."""
        return self.apply(primitive, operands, {})

    def exact(self, value: float | Fraction) -> Expression:
        """Return a number; a fraction whose float would hide it is a quotient of two."""
        fraction = Fraction(value)
        if abs(fraction) > _LARGEST:
            return self.number(math.inf if fraction > 0 else -math.inf, NUMBER)
        readable = max(abs(fraction.numerator), fraction.denominator) < 10**15
        if not readable or fraction.denominator == 1 or float(fraction).as_integer_ratio() == (
            fraction.numerator, fraction.denominator,
        ):  # fmt: skip
            return self.number(float(fraction), NUMBER)
        top = self.number(float(fraction.numerator), NUMBER)
        return self.over(top, self.number(float(fraction.denominator), NUMBER))

    def plus(self, x: Expression, y: Expression) -> Expression:
        return self.call(arithmetic.add, x, y)

    def minus(self, x: Expression, y: Expression) -> Expression:
        return self.call(arithmetic.sub, x, y)

    def times(self, x: Expression, y: Expression) -> Expression:
        return self.call(arithmetic.mul, x, y)

    def over(self, x: Expression, y: Expression) -> Expression:
        return self.call(arithmetic.div, x, y)

    def negative(self, x: Expression) -> Expression:
        return self.call(arithmetic.neg, x)

    def power(self, x: Expression, y: Expression | float) -> Expression:
        exponent = y if isinstance(y, Expression) else self.exact(y)
        return self.call(powers.pow, x, exponent)

    def rewrite(
        self, kind: str, root: Expression, change: Callable[[Expression], Expression]
    ) -> Expression:
        """Return a term rewritten from its operands up; each term once for a kind of rewrite."""
        done = self.rewritten.setdefault(kind, {})
        pending = [root]
        while pending:
            term = pending[-1]
            if term.number in done:
                pending.pop()
                continue
            left = [o for o in term.operands if o.number not in done]
            if left:
                pending += left
                continue
            pending.pop()
            operands = tuple(done[o.number] for o in term.operands)
            if term.primitive is not None and operands != term.operands:
                done[term.number] = change(
                    self.apply(term.primitive, operands, term.params, term.place)
                )
            else:
                done[term.number] = change(term)
        return done[root.number]

    def partial(self, term: Expression, place: int) -> Expression | None:
        """Return the derivative of a term in one operand, as its primitive's record states it."""
        assert term.primitive is not None
        graph = _trace_partial(term.primitive, place, len(term.operands))
        if graph is None:
            return None
        return read_graph(graph, self, [term, *term.operands])[0]


def trace_numbers(function: Callable[..., Any], count: int) -> Graph:
    """Return the graph of a function of numbers as it was written, nothing recognised."""
    return trace_plainly(lambda *xs: (function(*xs),), [_SCALAR] * count)


def trace_plainly(function: Callable[..., Any], avals: Sequence[Aval]) -> Graph:
    """Return the graph of a function as it was written, nothing recognised."""
    kept, recognising = hush(), state.recognising
    state.recognising = False
    try:
        return trace(function, avals)[0]
    finally:
        state.recognising = recognising
        restore(kept)


def read_function(function: Callable[..., Any], names: Sequence[str]) -> tuple[Terms, Expression]:
    """Return the terms of a function of numbers, and the one that is its value."""
    graph = trace_numbers(function, len(names))
    terms = Terms(names)
    root = read_graph(graph, terms, terms.inputs)[0]
    numbers = (fraction_of(term) for term in order([root]))
    # A half reads well either way; a fifth or a tenth tells that the user writes with a point.
    terms.decimals = any(x is not None and x.denominator % 5 == 0 for x in numbers)
    return terms, root


@cache
def _trace_partial(primitive: Primitive, place: int, count: int) -> Graph | None:
    """Return the rule of one partial derivative as a graph of the output and the operands."""
    derivative = primitive.derivative
    rule = derivative.partials[place] if isinstance(derivative, Partials) else None
    if rule is None:
        return None
    kinds = [_SCALAR] * (count + 1)
    return trace(lambda *xs: (rule(*xs),), kinds)[0]


def evaluate(roots: Sequence[Expression], inputs: Any) -> dict[int, Any]:
    """Return the value of everything that the roots need, by number, with float64 inputs."""
    found: dict[int, Any] = {}
    kept = hush()
    try:
        for term in order(roots):
            if term.data is not None:
                found[term.number] = term.data
            elif term.primitive is None:
                found[term.number] = inputs[term.params["position"]]
            else:
                values = [found[o.number] for o in term.operands]
                if term.primitive.pointwise:
                    values = np.broadcast_arrays(*values)
                found[term.number] = term.primitive.value(*values, **term.params)
    finally:
        restore(kept)
    return found


@cache
def find_slopes(primitive: Primitive, pair: tuple[float, float]) -> tuple[float, float]:
    """Return the partial derivatives of a function of two numbers at a point, by its record."""
    terms = Terms("uv")
    whole = terms.apply(primitive, terms.inputs, {})
    slopes = [terms.partial(whole, place) for place in (0, 1)]
    values = evaluate([s for s in slopes if s is not None], [np.float64(x) for x in pair])
    x, y = (0.0 if s is None else float(values[s.number]) for s in slopes)
    return x, y


def fraction_of(term: Expression) -> Fraction | None:
    """Return the exact number that a constant stands for: 0.1 is a tenth; None for pi and such."""
    if not term.is_number or term.dtype.kind != "f":
        return None
    value = float(term.data.item()) if term.data is not None else math.nan
    if not math.isfinite(value):
        return None
    if value.is_integer():
        return Fraction(int(value))
    short = Fraction(value).limit_denominator(1000)
    if float(short) == value:
        return short
    text = repr(value)
    return Fraction(text) if len(text) <= 10 else None


_Spelling = Callable[..., Expression | None]


def _half_power(t: Terms, x: Expression) -> Expression:
    return t.over(t.exact(1), t.call(powers.sqrt, x))


def _square(t: Terms, x: Expression) -> Expression:
    return t.power(x, 2)


def _logistic(t: Terms, x: Expression) -> Expression:
    p = t.call(exponential.sigmoid, x)
    return t.times(p, t.minus(t.exact(1), p))


def _gaussian(t: Terms, x: Expression) -> Expression:
    """Two over the root of pi, times e to the minus square."""
    bell = t.call(exponential.exp, t.negative(_square(t, x)))
    return t.times(t.over(t.exact(2), t.call(powers.sqrt, t.number(math.pi, NUMBER))), bell)


def _silu_slope(t: Terms, x: Expression) -> Expression:
    p = t.call(exponential.sigmoid, x)
    return t.times(p, t.plus(t.exact(1), t.times(x, t.minus(t.exact(1), p))))


def _hypot(t: Terms, x: Expression, y: Expression) -> Expression:
    return t.call(powers.sqrt, t.plus(_square(t, x), _square(t, y)))


def _cases(t: Terms, x: Expression) -> Expression | None:
    """A truth as a number is 1 or 0."""
    if x.dtype.kind != "b":
        return x
    return t.call(comparison.where, x, t.exact(1), t.exact(0))


def _one(respell: Callable[[Terms, Expression], Expression]) -> _Spelling:
    """Return the spelling of a function of one operand."""
    return respell


def _two(respell: Callable[[Terms, Expression, Expression], Expression]) -> _Spelling:
    """Return the spelling of a function of two operands."""
    return respell


_SPELLINGS: dict[str, _Spelling] = {
    "square": _square,
    "reciprocal": _one(lambda t, x: t.over(t.exact(1), x)),
    "rsqrt": _half_power,
    "rsqrt_slope": _one(lambda t, x: t.over(t.exact(Fraction(-1, 2)), t.power(x, 1.5))),
    "exp2": _one(lambda t, x: t.power(t.exact(2), x)),
    "expm1": _one(lambda t, x: t.minus(t.call(exponential.exp, x), t.exact(1))),
    "log1p": _one(lambda t, x: t.call(exponential.log, t.plus(t.exact(1), x))),
    "pow_base_slope": _two(lambda t, x, y: t.times(y, t.power(x, t.minus(y, t.exact(1))))),
    "pow_exponent_slope": _two(lambda t, x, y: t.times(t.power(x, y), t.call(exponential.log, x))),
    "logistic_density": _logistic,
    "sech_squared": _one(lambda t, x: t.minus(t.exact(1), _square(t, t.call(exponential.tanh, x)))),
    "sec_squared": _one(lambda t, x: t.plus(t.exact(1), _square(t, t.call(trigonometric.tan, x)))),
    "asin_slope": _one(lambda t, x: _half_power(t, t.minus(t.exact(1), _square(t, x)))),
    "atan_slope": _one(lambda t, x: t.over(t.exact(1), t.plus(t.exact(1), _square(t, x)))),
    "acosh_slope": _one(lambda t, x: _half_power(t, t.minus(_square(t, x), t.exact(1)))),
    "atanh_slope": _one(lambda t, x: t.over(t.exact(1), t.minus(t.exact(1), _square(t, x)))),
    "atan2_slope": _two(lambda t, x, y: t.over(x, t.plus(_square(t, x), _square(t, y)))),
    "hypot": _hypot,
    "hypot_slope": _two(lambda t, x, y: t.over(x, _hypot(t, x, y))),
    "erf_slope": _gaussian,
    "silu": _one(lambda t, x: t.times(x, t.call(exponential.sigmoid, x))),
    "silu_slope": _silu_slope,
    "logsigmoid": _one(lambda t, x: t.call(exponential.log, t.call(exponential.sigmoid, x))),
    "logaddexp": _two(
        lambda t, x, y: t.call(
            exponential.log, t.plus(t.call(exponential.exp, x), t.call(exponential.exp, y))
        )
    ),
    "logaddexp_slope": _two(lambda t, x, y: t.call(exponential.sigmoid, t.minus(x, y))),
    "xlogy": _two(lambda t, x, y: t.times(x, t.call(exponential.log, y))),
    "guarded_mul": _two(lambda t, x, y: t.times(x, y)),
    "convert": _cases,
    "erfc": _one(lambda t, x: t.minus(t.exact(1), t.call(special.erf, x))),
    "relu_slope": _cases,
}
