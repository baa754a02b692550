"""Derivations: how a derivative follows by named rules, each step checked by numbers.

Invariant: a step's derivative is what the primitive's own record states, and what a step says was
compared at points of the domain with the engine's tangents before anybody reads it. It is separate
from `lines`, which says in which words and signs a step is shown.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.quiet import hush, restore
from slopewise._core.rules import Generate, Text, Zero
from slopewise._ops.exponential import log
from slopewise._transform.expression import Expression, order
from slopewise._transform.gradients import jvp
from slopewise.errors import GradientError, UsageError
from slopewise.explain.reading import NUMBER, Terms, evaluate, fraction_of, read_function
from slopewise.explain.tidy import expand, is_polynomial, tidy

POINTS = 24  # at which each step is checked
_TRIED = 400
_CLOSE = 1e-6
FINISHED = ("power", "exponential", "function", "reciprocal", "zero_power", "piecewise")
"""Rules that leave no derivative to take."""
_NUDGE, _NUDGES = 1e-14, 3


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
        What is derived; in a tidying step, what is rewritten.
    after : Expression
        What the rule makes of it; derivatives still to be taken are marked.
    result : Expression
        The finished derivative, tidied.
    bindings : dict of str to Expression
        What the letters of the rule stand for: u, v, c, n.
    steps : tuple of Step
        The derivatives that `after` leaves to take.
    outer : Expression or None
        For the chain rule, the derivative of the outer function in u.
    primitive : str
        The operation that the rule speaks of, or "".
    """

    rule: str
    before: Expression
    after: Expression
    result: Expression
    bindings: Mapping[str, Expression] = field(default_factory=dict[str, Expression])
    steps: tuple[Step, ...] = ()
    outer: Expression | None = None
    primitive: str = ""


class Deriver:
    """Derives terms in one input, each term once."""

    def __init__(self, terms: Terms, wrt: Expression) -> None:
        self.terms = terms
        self.wrt = wrt
        self.steps: dict[int, Step] = {}
        self._depends: dict[int, bool] = {}

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
        position = self.wrt.params["position"]
        return self.terms.apply(DERIVATIVE, [term], {"wrt": position})

    def _step(self, term: Expression) -> Step:
        terms = self.terms
        if term is self.wrt:
            return Step("variable", term, terms.exact(1), terms.exact(1))
        if not self.moves(term):
            return Step("constant", term, terms.exact(0), terms.exact(0), {"c": term})
        rule = getattr(self, f"_of_{term.name}", self._of_call)
        step: Step = rule(term)
        below: dict[int, Step] = {}
        if step.rule not in FINISHED:
            below = {o.number: self.steps[o.number] for o in term.operands if self.moves(o)}
        step = replace(step, steps=step.steps or tuple(below.values()), primitive=term.name)
        return replace(step, result=tidy(terms, self.settle(step.after)))

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
        below = {p.number: self.steps[p.number] for _, p in parts if self.moves(p)}
        return Step(rule, term, after, after, letters, tuple(below.values()))

    _of_sub = _of_add

    def _of_neg(self, term: Expression) -> Step:
        after = self.terms.negative(self.mark(term.operands[0]))
        one = self.terms.exact(-1)
        return Step("multiple", term, after, after, {"c": one, "u": term.operands[0]})

    def _of_mul(self, term: Expression) -> Step:
        x, y = term.operands
        t = self.terms
        if not (self.moves(x) and self.moves(y)):
            c, u = (y, x) if self.moves(x) else (x, y)
            after = t.times(c, self.mark(u))
            return Step("multiple", term, after, after, {"c": c, "u": u})
        after = t.plus(t.times(self.mark(x), y), t.times(x, self.mark(y)))
        return Step("product", term, after, after, {"u": x, "v": y})

    def _of_div(self, term: Expression) -> Step:
        x, y = term.operands
        t = self.terms
        if not self.moves(y):
            after = t.over(self.mark(x), y)
            return Step("multiple", term, after, after, {"c": t.over(t.exact(1), y), "u": x})
        if not self.moves(x):
            outer = t.negative(t.over(x, t.power(y, 2)))
            return self._chained("reciprocal", term, y, outer, {"c": x, "u": y})
        above = t.minus(t.times(self.mark(x), y), t.times(x, self.mark(y)))
        after = t.over(above, t.power(y, 2))
        return Step("quotient", term, after, after, {"u": x, "v": y})

    def _of_pow(self, term: Expression) -> Step:
        x, y = term.operands
        t = self.terms
        if not self.moves(y):
            outer = tidy(t, t.times(y, t.power(x, t.minus(y, t.exact(1)))))
            return self._chained("power", term, x, outer, {"u": x, "n": y})
        if fraction_of(x) == 0:  # 0 to any power above 0 is 0
            return Step("zero_power", term, t.exact(0), t.exact(0), {"u": y}, ())
        if not self.moves(x):
            outer = t.times(term, t.call(log, x))
            return self._chained("exponential", term, y, outer, {"a": x, "u": y})
        return self._of_general_power(term)

    def _of_general_power(self, term: Expression) -> Step:
        x, y = term.operands
        t = self.terms
        inner = t.plus(t.times(self.mark(y), t.call(log, x)), t.over(t.times(y, self.mark(x)), x))
        after = t.times(term, inner)
        return Step("general_power", term, after, after, {"u": x, "v": y})

    def _of_where(self, term: Expression) -> Step:
        condition, x, y = term.operands
        after = self.terms.apply(term.primitive, [condition, self.mark(x), self.mark(y)], {})  # type: ignore[arg-type]
        return Step("cases", term, after, after, {"u": x, "v": y})

    def _of_call(self, term: Expression) -> Step:
        """Return the step of a function whose record states its partial derivatives."""
        t = self.terms
        moving = [i for i, o in enumerate(term.operands) if self.moves(o)]
        assert term.primitive is not None
        if len(moving) == 1 and len(term.operands) == 1:
            inner = term.operands[0]
            outer = t.partial(term, 0)
            if outer is None:
                zero = t.exact(0)
                return Step("piecewise", term, zero, zero, {"u": inner})
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
        return Step("partials", term, after, after, letters)

    def _chained(
        self, rule: str, term: Expression, inner: Expression, outer: Expression,
        bindings: Mapping[str, Expression],
    ) -> Step:  # fmt: skip
        """Return a basic rule as it stands, or by the chain rule where something is inside."""
        if inner is self.wrt:
            return Step(rule, term, outer, outer, bindings)
        after = self.terms.times(outer, self.mark(inner))
        return Step(f"{rule}_chain", term, after, after, bindings, outer=outer)


def find_points(terms: Terms, root: Expression, around: Sequence[float] | None = None) -> Any:
    """Return points of the domain, of shape (inputs, points): where the value is finite."""
    rng = np.random.default_rng(7)
    count = len(terms.inputs)
    points = rng.uniform(-3.0, 3.0, (count, _TRIED))
    points[:, ::3] = np.abs(points[:, ::3])
    points[:, 1::3] /= 4.0
    if around is not None:
        near = np.asarray(around, NUMBER)[:, None]
        points[:, : _TRIED // 4] = near + rng.normal(0, 0.1, (count, _TRIED // 4))
    value = np.broadcast_to(evaluate([root], points)[root.number], (_TRIED,))
    return points[:, np.isfinite(value)][:, :POINTS]


def find_tangents(root: Expression, wrt: Expression, points: Any) -> dict[int, Any]:
    """Return the engine's derivative of every term in an input, by number, at points."""
    listed = [t for t in order([root]) if t.dtype.kind == "f"]

    def replay(moved: Any) -> tuple[Any, ...]:
        found: dict[int, Any] = {}
        for term in order([root]):
            if term is wrt:
                found[term.number] = moved
            elif term.data is not None:
                found[term.number] = np.full(points.shape[1], term.data.item())
            elif term.primitive is None:
                found[term.number] = points[term.params["position"]]
            else:
                operands = [found[o.number] for o in term.operands]
                found[term.number] = term.primitive(*operands, **term.params)
        return tuple(found[t.number] + 0 * moved for t in listed)

    start = points[wrt.params["position"]]
    kept = hush()
    try:
        _, tangents = jvp(replay, (start,), (np.ones_like(start),))
    finally:
        restore(kept)
    return {t.number: np.asarray(x) for t, x in zip(listed, tangents, strict=True)}


@dataclass(frozen=True)
class Derivation:
    """A derivative with the steps that lead to it.

    Attributes
    ----------
    terms : Terms
    function : Expression
        What is derived.
    wrt : str
        In what.
    step : Step
        The outermost; its `steps` lead to it.
    expanded : Expression or None
        The function multiplied out first, if that was asked for.
    result : Expression
    points : int
        At how many points every step was checked; 0 where no point of the domain was found.
    """

    terms: Terms
    function: Expression
    wrt: str
    step: Step
    expanded: Expression | None
    result: Expression
    points: int

    def list_steps(self) -> list[Step]:
        """Return all steps, outermost first, each once."""
        found: list[Step] = []
        seen: set[int] = set()
        pending = [self.step]
        while pending:
            step = pending.pop()
            if step.before.number in seen:
                continue
            seen.add(step.before.number)
            found.append(step)
            pending.extend(reversed(step.steps))
        return found

    def value(self, **at: float) -> float:
        """Return the engine's derivative at a point, also where the formula is not defined.

        The formula of 0^x, for one, speaks of ln 0, though the slope is 0.
        """
        points = np.array([[at[name]] for name in self.terms.names], NUMBER)
        wrt = self.terms.inputs[self.terms.names.index(self.wrt)]
        return float(find_tangents(self.function, wrt, points)[self.function.number][0])

    def formula_value(self, **at: float) -> float:
        """Return what the last line gives at a point; NaN where it is not defined."""
        inputs = [np.float64(at[name]) for name in self.terms.names]
        return float(evaluate([self.result], inputs)[self.result.number])


def derive(
    function: Callable[..., Any], names: Sequence[str], wrt: str, *, expanded: bool = False
) -> Derivation:
    """Return how the derivative of a function of numbers follows.

    Parameters
    ----------
    function : callable
        Of as many numbers as there are names.
    names : sequence of str
    wrt : str
        The name in which to derive.
    expanded : bool
        Multiply out first.

    Returns
    -------
    Derivation

    Raises
    ------
    UsageError
        If `wrt` is none of the names.
    GradientError
        If a step does not agree with the engine's derivative.

    Examples
    --------
    >>> found = derive(lambda w: (w - 3) ** 2, ["w"], "w")
    >>> found.step.rule, found.value(w=4.0)
    ('power_chain', 2.0)
    """
    if wrt not in names:
        raise UsageError(f"derivation: no variable `{wrt}`; there is {', '.join(names)}.")
    terms, term = read_function(function, names)
    return derive_term(terms, term, wrt, expanded=expanded)


def derive_term(terms: Terms, term: Expression, wrt: str, *, expanded: bool = False) -> Derivation:
    """Return how the derivative of a term follows; see `derive`."""
    root = expand(terms, term) if expanded else term
    deriver = Deriver(terms, terms.inputs[terms.names.index(wrt)])
    step = deriver.derive(root)
    result = step.result
    if expanded and is_polynomial(root):
        result = expand(terms, result)
    found = Derivation(terms, term, wrt, step, root if root is not term else None, result, 0)
    kept = hush()
    try:
        return replace(found, points=_check(found, deriver))
    finally:
        restore(kept)


def _check(found: Derivation, deriver: Deriver) -> int:
    """Compare every step with the engine's tangents; return at how many points."""
    points = find_points(found.terms, found.function)
    count = points.shape[1]
    if not count:
        return 0
    roots = [found.function] if found.expanded is None else [found.function, found.expanded]
    claims: list[tuple[Step, Expression, Expression]] = [
        (step, term, step.before)
        for step in found.list_steps()
        for term in (deriver.settle(step.after), step.result)
    ]
    claims.append((found.step, found.result, found.function))

    def look(where: Any) -> tuple[list[Any], list[Any]]:
        known = evaluate([term for _, term, _ in claims], where)
        wanted: dict[int, Any] = {}
        for root in roots:
            wanted |= find_tangents(root, deriver.wrt, where)
        shape = where.shape[1:]
        return (
            [np.broadcast_to(known[term.number], shape) for _, term, _ in claims],
            [wanted[before.number] for _, _, before in claims],
        )

    known, wanted = look(points)
    noise = [np.zeros(count) for _ in claims]
    rng = np.random.default_rng(1)
    for _ in range(_NUDGES):  # what the last bits of a point do to the numbers, rounding does too
        near = look(points * (1 + _NUDGE * rng.standard_normal(points.shape)))
        for moved, still in zip(near, (known, wanted), strict=True):
            noise = [n + np.abs(m - s) for n, m, s in zip(noise, moved, still, strict=True)]
    return min(
        _compare(step, *numbers)
        for (step, _, _), numbers in zip(
            claims, zip(known, wanted, noise, strict=True), strict=True
        )
    )


def _compare(step: Step, found: Any, wanted: Any, noise: Any) -> int:
    """Compare what a step says where both are defined; return at how many points."""
    usable = np.isfinite(wanted) & np.isfinite(noise) & np.isfinite(found)
    allowed = _CLOSE * np.maximum(np.abs(wanted), 1.0) + 100 * noise
    gap = np.abs(found - wanted)
    if np.any(~(gap <= allowed) & usable):
        raise GradientError(
            f"derivation: the step by the rule `{step.rule}` does not agree with the engine's"
            " derivative; please report the formula."
        )
    return int(usable.sum())
