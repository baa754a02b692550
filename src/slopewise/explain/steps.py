"""Steps: one use of a rule each, read off the records of the engine's primitives.

Invariant: a step's derivative is what the primitive's own record states; `after` has marks where a
derivative is still to be taken, and `steps` holds each of those. It is separate from `lines`, which
says in which words and signs a step is shown.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Generate, Text, Zero
from slopewise._ops import comparison
from slopewise._ops.exponential import log
from slopewise._transform.expression import Expression, order
from slopewise.explain.reading import NUMBER, Terms, find_slopes, fraction_of
from slopewise.explain.tidy import tidy

REWRITES = ("tidy", "expand", "definition", "recognise_sigmoid", "recognise_softmax",
            "recognise")  # fmt: skip
"""Rules that write a term in another way, and derive nothing."""


def _refuse(*_operands: Any, **_params: Any) -> Any:
    raise AssertionError("a derivative that is still to be taken has no value of its own")


DERIVATIVE = Primitive(
    "derivative",
    value=_refuse,
    derivative=Zero(),
    lowering=Generate("none"),
    abstract=lambda *_operands, **_params: Aval((), NUMBER),
    batch=_refuse,
    samples=lambda _rng: (),
    text=Text("derivative", "도함수", "u'"),
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One use of a rule.

    Attributes
    ----------
    rule : str
        Its id, such as "chain" or "product"; see `rules.RULES`.
    before : Expression
        What is derived; in a rewrite, what is written in another way.
    after : Expression
        What the rule makes of it; derivatives still to be taken are marked.
    settled : Expression
        The same with the marks replaced by what the inner steps found.
    result : Expression
        The finished derivative, tidied.
    bindings : dict of str to Expression
        What the letters of the rule stand for: u, v, c, n.
    steps : tuple of Step
        The derivatives that `after` leaves to take, then the tidying.
    primitive : str
        The operation that the rule speaks of, or "".
    value : float or None
        At the point that was asked about: the derivative of `before`, or the value of a rewrite.
    """

    rule: str
    before: Expression
    after: Expression
    settled: Expression
    result: Expression
    bindings: Mapping[str, Expression] = field(default_factory=dict[str, Expression])
    steps: tuple[Step, ...] = ()
    primitive: str = ""
    value: float | None = None

    @property
    def is_rewrite(self) -> bool:
        """Whether it writes a term in another way instead of deriving it."""
        return self.rule in REWRITES

    @property
    def key(self) -> tuple[bool, int]:
        """What tells it from other steps of a derivation."""
        return (self.is_rewrite, self.before.number)

    @property
    def nodes(self) -> tuple[int, ...]:
        """The numbers of the graph's nodes that it speaks of: what is derived, and its operands."""
        return (self.before.number, *(operand.number for operand in self.before.operands))


def make_rewrite(rule: str, before: Expression, after: Expression) -> Step:
    """Return the step that writes a term in another way."""
    return Step(rule, before, after, after, after)


class Deriver:
    """Derives terms in one input, each term once."""

    def __init__(self, terms: Terms, wrt: Expression) -> None:
        self.terms = terms
        self.wrt = wrt
        self.steps: dict[int, Step] = {}
        self._depends: dict[int, bool] = {}
        self._marked: dict[int, Expression] = {}

    def derive(self, root: Expression) -> Step:
        """Return the step of a term, with those it rests on."""
        for term in order([root]):
            # A truth has no derivative: it only says which case holds.
            self._depends[term.number] = term is self.wrt or (
                term.dtype.kind == "f" and any(self._depends[o.number] for o in term.operands)
            )
            if self._depends[term.number] or term is root:
                self.steps[term.number] = self._step(term)
        return self.steps[root.number]

    def moves(self, term: Expression) -> bool:
        return self._depends[term.number]

    def mark(self, term: Expression) -> Expression:
        """Return the derivative of a term as something still to be taken."""
        self._marked[term.number] = term
        position = self.wrt.params["position"]
        return self.terms.apply(DERIVATIVE, [term], {"wrt": position})

    def _step(self, term: Expression) -> Step:
        self._marked = {}
        step = self._apply_rule(term)
        for inner in self._marked.values():
            if inner.number not in self.steps:
                zero = self.terms.exact(0)
                self.steps[inner.number] = Step("constant", inner, zero, zero, zero, {"c": inner})
        settled = self.settle(step.after) if self._marked else step.after
        result = tidy(self.terms, settled)
        below = [self.steps[number] for number in self._marked]
        if result is not settled:
            below.append(make_rewrite("tidy", settled, result))
        return replace(
            step, settled=settled, result=result, steps=tuple(below), primitive=term.name
        )

    def _apply_rule(self, term: Expression) -> Step:
        if term is self.wrt:
            return self._make("variable", term, self.terms.exact(1))
        if not self.moves(term):
            return self._make("constant", term, self.terms.exact(0), {"c": term})
        return getattr(self, f"_of_{term.name}", self._of_call)(term)

    def _make(
        self, rule: str, term: Expression, after: Expression,
        bindings: Mapping[str, Expression] | None = None,
    ) -> Step:  # fmt: skip
        return Step(rule, term, after, after, after, bindings or {})

    def settle(self, term: Expression) -> Expression:
        """Return a term with every mark replaced by the derivative that was found."""

        def change(part: Expression) -> Expression:
            if part.primitive is not DERIVATIVE:
                return part
            known = self.steps.get(part.operands[0].number)
            return self.terms.exact(0) if known is None else known.result

        return self.terms.rewrite(f"settle {self.wrt.number}", term, change)

    def _of_add(self, term: Expression) -> Step:
        """Derive a sum term by term, however many terms it has."""
        parts: list[tuple[int, Expression]] = []
        pending = [(1, term)]
        while pending:
            sign, part = pending.pop()
            if part.name in ("add", "sub"):
                x, y = part.operands
                pending += [(sign if part.name == "add" else -sign, y), (sign, x)]
            else:
                parts.append((sign, part))
        after: Expression | None = None
        for sign, part in parts:
            mark = self.mark(part)
            if after is None:
                after = mark
            else:
                after = (self.terms.plus if sign > 0 else self.terms.minus)(after, mark)
        assert after is not None
        rule = "sum" if all(sign > 0 for sign, _ in parts) else "difference"
        letters = {f"u{i}": part for i, (_, part) in enumerate(parts, 1)}
        return self._make(rule, term, after, letters)

    _of_sub = _of_add

    def _of_neg(self, term: Expression) -> Step:
        after = self.terms.negative(self.mark(term.operands[0]))
        one = self.terms.exact(-1)
        return self._make("multiple", term, after, {"c": one, "u": term.operands[0]})

    def _of_mul(self, term: Expression) -> Step:
        x, y = term.operands
        t = self.terms
        if not (self.moves(x) and self.moves(y)):
            c, u = (y, x) if self.moves(x) else (x, y)
            after = t.times(c, self.mark(u))
            return self._make("multiple", term, after, {"c": c, "u": u})
        after = t.plus(t.times(self.mark(x), y), t.times(x, self.mark(y)))
        return self._make("product", term, after, {"u": x, "v": y})

    def _of_div(self, term: Expression) -> Step:
        x, y = term.operands
        t = self.terms
        if not self.moves(y):
            after = t.over(self.mark(x), y)
            return self._make("multiple", term, after, {"c": t.over(t.exact(1), y), "u": x})
        if not self.moves(x):
            outer = t.negative(t.over(x, t.power(y, 2)))
            return self._chained("reciprocal", term, y, outer, {"c": x, "u": y})
        above = t.minus(t.times(self.mark(x), y), t.times(x, self.mark(y)))
        after = t.over(above, t.power(y, 2))
        return self._make("quotient", term, after, {"u": x, "v": y})

    def _of_pow(self, term: Expression) -> Step:
        x, y = term.operands
        t = self.terms
        if not self.moves(y):
            outer = tidy(t, t.times(y, t.power(x, t.minus(y, t.exact(1)))))
            return self._chained("power", term, x, outer, {"u": x, "n": y})
        if fraction_of(x) == 0:  # 0 to any power above 0 is 0
            return self._make("zero_power", term, t.exact(0), {"u": y})
        if not self.moves(x):
            outer = t.times(term, t.call(log, x))
            return self._chained("exponential", term, y, outer, {"a": x, "u": y})
        return self._of_general_power(term)

    def _of_general_power(self, term: Expression) -> Step:
        x, y = term.operands
        t = self.terms
        inner = t.plus(t.times(self.mark(y), t.call(log, x)), t.over(t.times(y, self.mark(x)), x))
        after = t.times(term, inner)
        return self._make("general_power", term, after, {"u": x, "v": y})

    def _of_where(self, term: Expression) -> Step:
        condition, x, y = term.operands
        after = self.terms.apply(term.primitive, [condition, self.mark(x), self.mark(y)], {})  # type: ignore[arg-type]
        return self._make("cases", term, after, {"u": x, "v": y})

    def _of_maximum(self, term: Expression) -> Step:
        """Derive the larger or smaller of two by cases, as the record has it in each case."""
        t = self.terms
        x, y = term.operands
        greater, equal, less = (self._in_case(term, pair) for pair in ((1, 0), (0, 0), (0, 1)))
        other = t.call(comparison.where, t.call(comparison.equal, x, y), equal, less)
        after = t.call(comparison.where, t.call(comparison.greater, x, y), greater, other)
        return self._make("extremum", term, after, {"u": x, "v": y})

    _of_minimum = _of_maximum

    def _in_case(self, term: Expression, pair: tuple[float, float]) -> Expression:
        """Return the derivative for one order of two operands, of which `pair` is an example."""
        t = self.terms
        assert term.primitive is not None
        total: Expression | None = None
        for slope, operand in zip(find_slopes(term.primitive, pair), term.operands, strict=True):
            if not slope or not self.moves(operand):
                continue
            mark = self.mark(operand)
            part = mark if slope == 1 else t.times(t.exact(slope), mark)
            total = part if total is None else t.plus(total, part)
        return t.exact(0) if total is None else total

    def _of_call(self, term: Expression) -> Step:
        """Return the step of a function whose record states its partial derivatives."""
        t = self.terms
        moving = [i for i, o in enumerate(term.operands) if self.moves(o)]
        assert term.primitive is not None
        if len(moving) == 1 and len(term.operands) == 1:
            inner = term.operands[0]
            outer = t.partial(term, 0)
            if outer is None:
                return self._make("piecewise", term, t.exact(0), {"u": inner})
            return self._chained("function", term, inner, tidy(t, outer), {"u": inner})
        after: Expression | None = None
        for i in moving:
            partial = t.partial(term, i)
            if partial is None:
                continue
            part = t.times(tidy(t, partial), self.mark(term.operands[i]))
            after = part if after is None else t.plus(after, part)
        after = t.exact(0) if after is None else after
        letters = dict(zip("uvw", term.operands, strict=False))
        return self._make("partials", term, after, letters)

    def _chained(
        self, rule: str, term: Expression, inner: Expression, outer: Expression,
        bindings: Mapping[str, Expression],
    ) -> Step:  # fmt: skip
        """Return a basic rule as it stands, or by the chain rule where something is inside."""
        if inner is self.wrt:
            return self._make(rule, term, outer, bindings)
        return self._make(
            f"{rule}_chain", term, self.terms.times(outer, self.mark(inner)), bindings
        )
