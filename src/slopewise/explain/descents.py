"""Descents: where gradient descent goes from a start, step by step, and how it ends.

Invariant: every step is taken by an optimiser of `slopewise.optim` on gradients of the engine; this
module only watches, and judges what it saw by tests that do not depend on the function's scale. It
is separate from the pictures and sentences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from slopewise import optim
from slopewise._core.aval import DTYPES
from slopewise._core.quiet import hush, restore
from slopewise._front.operands import as_value_in
from slopewise._transform.gradients import hessian
from slopewise.errors import UsageError
from slopewise.explain.requests import check_choice, check_range, read_point, refuse

_DOUBLE = DTYPES["float64"]
MOST_STEPS = 100_000
OPTIMIZERS: dict[str, Callable[[list[Any], float], Any]] = {
    "sgd": lambda p, lr: optim.SGD(p, lr=lr),
    "momentum": lambda p, lr: optim.SGD(p, lr=lr, momentum=0.9),
    "nesterov": lambda p, lr: optim.SGD(p, lr=lr, momentum=0.9, nesterov=True),
    "adam": lambda p, lr: optim.Adam(p, lr=lr),
    "adamw": lambda p, lr: optim.AdamW(p, lr=lr),
    "rmsprop": lambda p, lr: optim.RMSprop(p, lr=lr),
    "adagrad": lambda p, lr: optim.Adagrad(p, lr=lr),
}
"""Optimisers by name; momentum is 0.9."""
VERDICTS = (
    "already", "converges", "overshoots", "oscillates", "diverges", "creeps", "unbounded", "saddle",
    "left_domain", "unfinished",
)  # fmt: skip


@dataclass(frozen=True)
class Stop:
    """Where the descent was at one time.

    Attributes
    ----------
    point : tuple of float
    value : float
    gradient : tuple of float
    """

    point: tuple[float, ...]
    value: float
    gradient: tuple[float, ...]


@dataclass(frozen=True)
class Walk:
    """A whole descent.

    Attributes
    ----------
    names : tuple of str
    function : callable
        Of as many numbers as there are names.
    stops : tuple of Stop
        From the start; the last has no step after it.
    lr : float
    optimizer : str
    verdict : str
        One of `VERDICTS`.
    evidence : dict of str to float
        What the verdict rests on.
    """

    names: tuple[str, ...]
    function: Callable[..., Any]
    stops: tuple[Stop, ...]
    lr: float
    optimizer: str
    verdict: str
    evidence: dict[str, float]


def walk_down(
    function: Callable[..., Any],
    names: Sequence[str],
    start: Sequence[float],
    lr: float,
    optimizer: str | Callable[[list[Any]], Any],
    steps: int,
) -> Walk:
    """Take steps against the gradient, and judge where they lead.

    Parameters
    ----------
    function : callable
        Of as many numbers as there are names.
    names : sequence of str
    start : sequence of float
    lr : float
        Learning rate, above 0.
    optimizer : str or callable
        A key of `OPTIMIZERS`, or a function that makes an optimiser from a list of parameters.
    steps : int

    Returns
    -------
    Walk

    Raises
    ------
    SpokenError
        If the rate, the number of steps or the optimiser is not one there is.

    Examples
    --------
    >>> walk = walk_down(lambda w: (w - 3) ** 2, ["w"], [4.0], 1.0, "sgd", 3)
    >>> [stop.point[0] for stop in walk.stops], walk.verdict
    ([4.0, 2.0, 4.0, 2.0], 'oscillates')
    """
    if not math.isfinite(lr) or lr <= 0:
        raise refuse("descend", "rate", found=lr)
    check_range("descend", "steps", steps, 1, MOST_STEPS)
    params = [as_value_in(float(x), _DOUBLE).clone().requires_grad_() for x in start]
    if callable(optimizer):
        stepper, name = optimizer(params), "optimizer"
    else:
        check_choice("descend", "optimizer", optimizer, OPTIMIZERS)
        stepper, name = OPTIMIZERS[optimizer](params, lr), optimizer
    stops = [_look(function, params)]
    for _ in range(steps):
        if not _is_finite(stops[-1]):
            break
        stepper.step()
        stops.append(_look(function, params))
    verdict, evidence = judge(function, stops)
    return Walk(tuple(names), function, tuple(stops), lr, name, verdict, evidence)


def _look(function: Callable[..., Any], params: list[Any]) -> Stop:
    """Return value and gradient where the parameters are, and leave the gradient with them."""
    kept = hush()
    try:
        for p in params:
            p.grad = None
        value = function(*params)
        shape = tuple(getattr(value, "shape", ()))
        if math.prod(shape) != 1:
            raise refuse("descend", "not_number", found=shape)
        if getattr(value, "requires_grad", False):
            value.backward()
    except UsageError:
        raise
    finally:
        restore(kept)
    for p in params:
        if p.grad is None:
            p.grad = p.detach() * 0
    return Stop(
        tuple(float(p.item()) for p in params),
        float(value),
        tuple(float(p.grad.item()) for p in params),
    )


def _is_finite(stop: Stop) -> bool:
    return all(map(math.isfinite, (*stop.point, stop.value, *stop.gradient)))


def _distance(x: Sequence[float], y: Sequence[float]) -> float:
    return math.hypot(*(a - b for a, b in zip(x, y, strict=True)))


def judge(function: Callable[..., Any], stops: Sequence[Stop]) -> tuple[str, dict[str, float]]:
    """Return how a descent ends, and the figures that tell.

    Parameters
    ----------
    function : callable
    stops : sequence of Stop

    Returns
    -------
    str
        One of `VERDICTS`.
    dict of str to float
    """
    first, last = stops[0], stops[-1]
    moves = [_distance(a.point, b.point) for a, b in pairwise(stops)]
    reach = max((_distance(first.point, s.point) for s in stops if _is_finite(s)), default=0.0)
    evidence = {"steps": float(len(moves)), "value": last.value, "reach": reach}
    if not _is_finite(last):
        grew = _grows(stops[:-1])
        return ("diverges" if grew or math.isinf(last.value) else "left_domain"), evidence
    steep = math.hypot(*last.gradient)
    evidence["gradient"] = steep
    scale = max(1e-12, max(map(abs, last.point), default=0.0), reach)
    if not any(moves) or max(moves) <= 1e-13 * scale:
        evidence["bend"] = _bends(function, last.point)
        level = steep == 0
        return (_name_level(function, last, evidence["bend"]) if level else "creeps"), evidence
    if _grows(stops):
        return "diverges", evidence
    still = moves[-1] <= 1e-6 * max(reach, 1e-12) and _settles(moves)
    if still:
        return _judge_still(function, stops, moves, evidence)
    if _returns(stops, moves, reach):
        evidence["period"] = 2.0
        return "oscillates", evidence
    left = steep / bend if (bend := _bends(function, last.point)) > 0 else math.inf
    if left <= 1e-3 * reach and moves[-1] < 0.1 * max(moves):
        # What is left to go, by the bend, is little of what was gone: the rest is more of the same.
        evidence.update(bend=bend, left=left)
        return ("overshoots" if _turned(stops) else "converges"), evidence
    if _falls_for_ever(function, stops, moves):
        return "unbounded", evidence
    if _creeps(stops, moves):
        return "creeps", evidence
    return "unfinished", evidence


def _judge_still(
    function: Callable[..., Any], stops: Sequence[Stop], moves: Sequence[float],
    evidence: dict[str, float],
) -> tuple[str, dict[str, float]]:  # fmt: skip
    """Return the verdict where the steps have died away: a minimum, a saddle, or a flat tail."""
    last = stops[-1]
    bend = _bends(function, last.point)
    evidence["bend"] = bend
    steepest = max(math.hypot(*s.gradient) for s in stops)
    steep = math.hypot(*last.gradient)
    if bend < 0 and steep <= 1e-4 * steepest:
        return "saddle", evidence
    # At a minimum the gradient is what the bend makes of the distance that is left to go.
    near = max(moves[-1], 1e-15 * max(1.0, *map(abs, last.point)))
    if bend <= 0 and steep > 0 and steep < 1e-4 * steepest and not _turned(stops):
        return "creeps", evidence
    left = steep / bend if bend > 0 else math.inf
    if bend > 0 and left > 1e3 * near and left > 1e-3 * max(1e-12, evidence["reach"]):
        return "creeps", evidence
    return ("overshoots" if _turned(stops) else "converges"), evidence


def _name_level(function: Callable[..., Any], stop: Stop, bend: float) -> str:
    """Return what a point without slope is: a minimum or flat, or a saddle, a maximum, a bend."""
    if bend < 0:
        return "saddle"
    for i, x in enumerate(stop.point):
        for side in (-1e-3, 1e-3):
            moved = list(stop.point)
            moved[i] = x + side * max(1.0, abs(x))
            if value_at(function, moved) < stop.value:
                return "saddle"
    return "already"


def value_at(function: Callable[..., Any], point: Sequence[float]) -> float:
    """Return the value of a function of numbers at a point, in float64."""
    kept = hush()
    try:
        return float(function(*(as_value_in(float(x), _DOUBLE) for x in point)))
    finally:
        restore(kept)


def _grows(stops: Sequence[Stop]) -> bool:
    """Return whether the values and the steps both grow without end."""
    values = [s.value for s in stops if math.isfinite(s.value)]
    if len(values) < 3:
        return False
    moves = [_distance(a.point, b.point) for a, b in pairwise(stops)]
    tail = values[-max(3, len(values) // 3) :]
    steps = moves[-max(2, len(moves) // 3) :]
    higher = tail[-1] > tail[0] and tail[-1] > max(values[0], values[1])
    return higher and steps[-1] > 1.001 * steps[0] and steps[-1] > moves[0]


def _settles(moves: Sequence[float]) -> bool:
    """Return whether the last steps are the smallest of all."""
    tail = moves[-max(2, len(moves) // 10) :]
    return max(tail) <= 1e-3 * max(moves)


def _returns(stops: Sequence[Stop], moves: Sequence[float], reach: float) -> bool:
    """Return whether the last steps go to and fro between the same places."""
    if len(stops) < 4:
        return len(stops) == 3 and _distance(stops[0].point, stops[2].point) <= 1e-9 * reach
    tail = stops[-min(len(stops), 8) :]
    twice = [_distance(a.point, b.point) for a, b in zip(tail, tail[2:], strict=False)]
    return max(twice) <= 1e-2 * min(moves[-len(tail) + 1 :]) and moves[-1] > 1e-9 * reach


def _turned(stops: Sequence[Stop]) -> bool:
    """Return whether steps went back on the ones before: over the lowest point and back."""
    turns = 0
    for a, b, c in zip(stops, stops[1:], stops[2:], strict=False):
        one = [y - x for x, y in zip(a.point, b.point, strict=True)]
        two = [y - x for x, y in zip(b.point, c.point, strict=True)]
        turns += sum(x * y for x, y in zip(one, two, strict=True)) < 0
    return turns >= 2


def _falls_for_ever(
    function: Callable[..., Any], stops: Sequence[Stop], moves: Sequence[float]
) -> bool:
    """Return whether the values fall along the way, and further out fall by more and more."""
    if _turned(stops) or any(b.value >= a.value for a, b in pairwise(stops)):
        return False
    if moves[-1] < 0.5 * moves[len(moves) // 2]:
        return False
    first, last = stops[0].point, stops[-1].point
    values = [stops[-1].value]
    for far in (1.0, 10.0, 100.0, 1000.0):
        ahead = [x + far * (x - x0) for x, x0 in zip(last, first, strict=True)]
        values.append(value_at(function, ahead))
    drops = [b - a for a, b in pairwise(values)]
    return all(b < 0 and b < 2 * a for a, b in pairwise(drops))


def _creeps(stops: Sequence[Stop], moves: Sequence[float]) -> bool:
    """Return whether the descent still goes the same way, in steps too small to get anywhere."""
    if _turned(stops) or len(moves) < 3:
        return False
    half = moves[len(moves) // 2]
    rate = (moves[-1] / half) ** (1 / max(1, len(moves) - 1 - len(moves) // 2)) if half else 0.0
    # As many steps again would not take it twice as far.
    slow = moves[-1] > 0 and rate > 0.9 and moves[-1] < 0.5 * max(moves)
    return slow or moves[-1] < 1e-3 * moves[0]


def _bends(function: Callable[..., Any], point: Sequence[float]) -> float:
    """Return the smallest eigenvalue of the Hessian at a point; NaN where there is none."""
    kept = hush()
    try:
        matrix = find_hessian(function, point)
        if not np.all(np.isfinite(matrix)):
            return math.nan
        return float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0])
    finally:
        restore(kept)


def find_hessian(function: Callable[..., Any], point: Sequence[float]) -> Any:
    """Return the engine's second derivatives at a point.

    Examples
    --------
    >>> find_hessian(lambda x, y: x**2 * y, [1.0, 2.0]).tolist()
    [[4.0, 2.0], [2.0, 0.0]]
    """
    count = len(point)

    def packed(x: Any) -> Any:
        value = function(*(x[i] for i in range(count)))
        return value.reshape(()) if hasattr(value, "reshape") else value + 0 * x[0]

    start = as_value_in(np.asarray(point, float), _DOUBLE)
    return np.asarray(hessian(packed)(start)).reshape(count, count)


def read_start(names: Sequence[str], start: Mapping[str, float] | float | None) -> dict[str, float]:
    """Return the start as a point; see `requests.read_point`."""
    point = read_point("descend", start, names)
    if point is None:
        raise refuse("descend", "point", found="-", known=", ".join(names))
    return point
