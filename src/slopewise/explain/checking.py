"""Checking: what every step says, compared with the engine's derivative at points of the domain.

Invariant: what rounding does to a formula at a point is measured and allowed for, and nothing else
is; a step that differs by more is an error, and no line of it is shown. It is separate so that no
rule can know how it will be checked.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise._core.quiet import hush, restore
from slopewise._transform.expression import Expression, order
from slopewise._transform.gradients import jvp
from slopewise.errors import GradientError
from slopewise.explain.reading import NUMBER, Terms, evaluate
from slopewise.explain.steps import Step

POINTS = 24  # at which each step is checked
_TRIED = 400
_CLOSE = 1e-6
_NUDGE, _NUDGES = 1e-14, 3
Claim = tuple[Step, Expression, Expression, bool]
"""A step, a term that it made, what that is said of, and whether it is its derivative."""


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


def list_claims(steps: Sequence[Step], result: Expression, function: Expression) -> list[Claim]:
    """Return all that steps say, and that the last line is the derivative of the function."""
    claims: list[Claim] = []
    for step in steps:
        if step.is_rewrite:
            claims.append((step, step.after, step.before, False))
        else:
            claims += [(step, term, step.before, True) for term in (step.settled, step.result)]
    claims.append((steps[0], result, function, True))
    return claims


def check_claims(
    terms: Terms, wrt: Expression, roots: Sequence[Expression], claims: Sequence[Claim]
) -> int:
    """Compare every claim with the engine's tangents; return at how many points.

    Parameters
    ----------
    terms : Terms
    wrt : Expression
        The input in which was derived.
    roots : sequence of Expression
        What holds all that was derived; the first is the function.
    claims : sequence of Claim

    Returns
    -------
    int
        0 where no point of the domain was found.

    Raises
    ------
    GradientError
        If a claim does not hold.
    """
    points = find_points(terms, roots[0])
    count = points.shape[1]
    if not count:
        return 0
    values = [term for _, made, before, _ in claims for term in (made, before)]

    def look(where: Any) -> tuple[list[Any], list[Any]]:
        known = evaluate(values, where)
        slopes: dict[int, Any] = {}
        for root in roots:
            slopes |= find_tangents(root, wrt, where)
        shape = where.shape[1:]
        return (
            [np.broadcast_to(known[made.number], shape) for _, made, _, _ in claims],
            [
                # What has no value has no slope either, whatever the arithmetic makes of it.
                np.where(np.isnan(known[before.number]), np.nan, slopes[before.number])
                if derived
                else np.broadcast_to(known[before.number], shape)
                for _, _, before, derived in claims
            ],
        )

    kept = hush()
    try:
        known, wanted = look(points)
        noise = [np.zeros(count) for _ in claims]
        rng = np.random.default_rng(1)
        for _ in range(_NUDGES):  # what the last bits of a point do to numbers, rounding does too
            near = look(points * (1 + _NUDGE * rng.standard_normal(points.shape)))
            for moved, still in zip(near, (known, wanted), strict=True):
                noise = [n + np.abs(m - s) for n, m, s in zip(noise, moved, still, strict=True)]
        return min(
            _compare(step, *numbers)
            for (step, _, _, _), numbers in zip(
                claims, zip(known, wanted, noise, strict=True), strict=True
            )
        )
    finally:
        restore(kept)


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
