"""A line search for the strong Wolfe conditions: enough decrease, and a slope that has flattened.

Invariant: the search only calls `evaluate(step)`, and returns a point that it has evaluated. The
bracketing, the cubic interpolation and the safeguards are those of PyTorch (after minFunc), so that
both take the same steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any


@dataclass(frozen=True)
class Point:
    """One evaluation along a direction: step, value, gradient, and slope along the direction."""

    step: float
    value: float
    grad: Any
    slope: float


def minimize_cubic(
    a: Point, b: Point, low: float | None = None, high: float | None = None
) -> float:
    """Return the minimiser, within bounds, of the cubic through two points with their slopes.

    Source: Nocedal & Wright (2006), Numerical optimization, equation 3.59.

    Examples
    --------
    >>> minimize_cubic(Point(0.0, 1.0, None, -2.0), Point(2.0, 1.0, None, 2.0))
    1.0
    """
    left, right = (a, b) if a.step <= b.step else (b, a)
    low = left.step if low is None else low
    high = right.step if high is None else high
    width = right.step - left.step
    middle = (low + high) / 2.0
    if width == 0.0:
        return middle
    d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.step - b.step)
    under_root = d1 * d1 - a.slope * b.slope
    if not under_root >= 0.0:
        return middle
    d2 = sqrt(under_root)
    denominator = right.slope - left.slope + 2.0 * d2
    if denominator == 0.0 or not isfinite(denominator):
        return middle
    lowest = right.step - width * ((right.slope + d2 - d1) / denominator)
    return min(max(lowest, low), high)


def search_strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    step: float,
    largest: float,
    max_evals: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
) -> tuple[Point, int]:
    """Return a point that fulfils the strong Wolfe conditions, and the number of evaluations.

    Parameters
    ----------
    evaluate : callable
        From a step length to the Point there.
    start : Point
        The point at step 0.
    step : float
        The first step to try.
    largest : float
        Largest element of the direction, in absolute value.
    max_evals : int
        Evaluations after which the best point so far is returned.
    c1, c2 : float
        Enough decrease: value <= start + c1 step slope; flat enough: |slope| <= c2 |start slope|.
    tolerance : float
        Smallest change of a parameter that is worth refining.

    Source: Nocedal & Wright (2006), Numerical optimization, algorithms 3.5 and 3.6.
    """

    def too_high(point: Point) -> bool:
        return point.value > start.value + c1 * point.step * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    new = evaluate(step)
    evals, rounds = 1, 0
    previous = start
    bracket: list[Point] = []
    while rounds < max_evals:
        if too_high(new) or (rounds > 1 and new.value >= previous.value):
            bracket = [previous, new]
            break
        if flat(new):
            return new, evals
        if new.slope >= 0:
            bracket = [previous, new]
            break
        ahead = new.step + 0.01 * (new.step - previous.step)
        step = minimize_cubic(previous, new, ahead, new.step * 10.0)
        previous = new
        new = evaluate(step)
        evals += 1
        rounds += 1
    if rounds >= max_evals:
        return (start if start.value <= new.value else new), evals

    # Zoom: the bracket holds a point that fulfils the conditions.
    slow = False
    low, high = (0, 1) if bracket[0].value <= bracket[1].value else (1, 0)
    while rounds < max_evals:
        nearest = min(bracket[0].step, bracket[1].step)
        furthest = max(bracket[0].step, bracket[1].step)
        if (furthest - nearest) * largest < tolerance:
            break
        step = minimize_cubic(bracket[0], bracket[1])
        margin = 0.1 * (furthest - nearest)
        if min(furthest - step, step - nearest) < margin:
            # Too close to an end, for the second time or on it: go a tenth inwards.
            if slow or step >= furthest or step <= nearest:
                at_far_end = abs(step - furthest) < abs(step - nearest)
                step = furthest - margin if at_far_end else nearest + margin
                slow = False
            else:
                slow = True
        else:
            slow = False
        new = evaluate(step)
        evals += 1
        rounds += 1
        if too_high(new) or new.value >= bracket[low].value:
            bracket[high] = new
            low, high = (0, 1) if bracket[0].value <= bracket[1].value else (1, 0)
            continue
        done = flat(new)
        if not done and new.slope * (bracket[high].step - bracket[low].step) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = new
        if done:
            break
    return bracket[low], evals
