"""L-BFGS inside a compiled function: the same steps, with every decision made in the graph.

Invariant: one call evaluates the closure as often, and at the same points, as the eager step; each
line search is one loop whose body evaluates the closure once, and a phase says what comes next. It
is separate from the eager step, which can decide in Python.

Source: Nocedal & Wright (2006), Numerical optimization, algorithms 3.5, 3.6 and 7.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from slopewise._core.state import enable_grad, no_grad
from slopewise._front.control import while_loop
from slopewise._front.elementwise import isfinite, maximum, minimum, sqrt, where
from slopewise._front.gathering import dynamic_update_slice
from slopewise._front.joins import cat
from slopewise._front.operands import as_value, as_value_in, cast

_DOUBLE, _INTEGER = np.dtype(np.float64), np.dtype(np.int64)
_C1, _C2, _NARROW = 1e-4, 0.9, 1e-9
_LEAST_CURVATURE = 1e-10
KEPT = (
    "n_iter", "func_evals", "total", "H_diag", "t", "prev_loss", "d", "prev_flat_grad", "old_dirs",
    "old_stps", "ro",
)  # fmt: skip
"""What is kept between steps, in the order of the loop's carry."""


class Point(NamedTuple):
    """One evaluation along a direction: step, value, slope, gradient, all traced."""

    step: Any
    value: Any
    slope: Any
    grad: Any


def _number(x: float) -> Any:
    return as_value_in(x, _DOUBLE)


def _pick(condition: Any, x: Point, y: Point) -> Point:
    return Point(*(where(condition, a, b) for a, b in zip(x, y, strict=True)))


def _dot(x: Any, y: Any) -> Any:
    return cast((x * y).sum(), _DOUBLE)


def _times(number: Any, vector: Any) -> Any:
    """Return a float64 number times a vector, in the vector's dtype."""
    return cast(number, vector.dtype) * vector


class TracedStep:
    """One `step(closure)` in the graph.

    Parameters
    ----------
    params : list of Tensor
    group : ParamGroup
        The settings.
    kept : dict of str to Tensor
        `KEPT`; read at the start and written at the end.
    closure : callable
        Clears the gradients, computes the loss, calls backward and returns the loss.
    """

    def __init__(
        self, params: list[Any], group: Any, kept: dict[str, Any], closure: Callable[[], Any]
    ) -> None:
        self.params = params
        self.group = group
        self.kept = kept
        self.closure = closure
        self.rows = int(kept["ro"].shape[0])

    # --- the parameters as one vector ---

    def _read(self) -> Any:
        return cat([as_value(p).detach().reshape(-1) for p in self.params])

    def _write(self, vector: Any) -> None:
        start = 0
        for p in self.params:
            size = int(np.prod(p.shape, dtype=int))
            p._write(cast(vector[start : start + size].reshape(p.shape), p.dtype))
            start += size

    def _measure(self) -> tuple[Any, Any, Any]:
        """Return the loss, its number and the gradient, where the parameters are now."""
        with enable_grad():
            loss = self.closure()
        grads = [
            as_value(p).detach() * 0 if p._grad is None else as_value(p._grad).detach()
            for p in self.params
        ]
        number = cast(as_value(loss).detach().reshape(()), _DOUBLE)
        return loss, number, cat([g.reshape(-1) for g in grads])

    # --- stepping ---

    def run(self) -> Any:
        """Take up to max_iter directions; return the loss at the start."""
        group = self.group
        with no_grad():
            first_loss, loss, grad = self._measure()
            kept = [as_value(self.kept[name]) for name in KEPT]
            evals, turn = _number(1.0), _number(0.0)

            def goes_on(carry: Any) -> Any:
                turn, going, _, _, grad, *_ = carry
                steep = cast(grad.abs().max(), _DOUBLE) > group["tolerance_grad"]
                return going & (turn < group["max_iter"]) & steep

            going = turn < 1.0
            carry = while_loop(
                goes_on, self._take_direction, (turn, going, evals, loss, grad, *kept)
            )
            done = dict(zip(KEPT, carry[5:], strict=True))
            done["func_evals"] = done["func_evals"] + carry[2]
            for name, value in done.items():
                self.kept[name]._write(value)
        return first_loss

    def _take_direction(self, carry: Any) -> Any:
        """Return the carry after one direction: the whole of an iteration."""
        turn, _, evals, loss, grad, *kept = carry
        state: dict[str, Any] = dict(zip(KEPT, kept, strict=True))
        group = self.group
        turn = turn + 1.0
        state["n_iter"] = state["n_iter"] + 1.0
        direction = self._choose_direction(state, grad)
        first = state["n_iter"] == 1.0
        rate = as_value(group.rate)
        short = minimum(_number(1.0), 1.0 / cast(grad.abs().sum(), _DOUBLE))
        length = where(first, rate * short, rate)
        slope = _dot(grad, direction)
        flat = slope > -group["tolerance_change"]
        last = turn >= group["max_iter"]
        previous, state["prev_loss"] = loss, loss
        state["prev_flat_grad"], state["d"] = grad, direction
        here = self._read()
        start = Point(_number(0.0), loss, slope, grad)
        left = group["max_eval"] - evals
        searching = group["line_search_fn"] is not None
        wanted = ~flat if searching else ~(flat | last)
        point, used = self._search(start, length, here, direction, left, wanted, searching)
        moved = where(flat, here, here + _times(point.step, direction))
        self._write(moved)
        evals = evals + used
        reach = cast(direction.abs().max(), _DOUBLE) * point.step.abs()
        stops = (
            flat
            | (evals >= group["max_eval"])
            | (reach <= group["tolerance_change"])
            | ((point.value - previous).abs() < group["tolerance_change"])
        )
        # Without a search the last direction is not evaluated: the loss stays as it was.
        unseen = ~wanted if not searching else flat
        state["t"] = where(flat, length, point.step)
        value = where(unseen, loss, point.value)
        return (turn, ~stops, evals, value, where(unseen, grad, point.grad),
                *(state[name] for name in KEPT))  # fmt: skip

    def _choose_direction(self, state: dict[str, Any], grad: Any) -> Any:
        """Return the next direction, after taking the last step into the history."""
        first = state["n_iter"] == 1.0
        change = grad - state["prev_flat_grad"]
        step = _times(state["t"], state["d"])
        curvature = _dot(change, step)
        curved = ~first & (curvature > _LEAST_CURVATURE)
        row = state["total"] % self.rows
        for name, fresh in (("old_dirs", change), ("old_stps", step)):
            old = state[name]
            kept = where(curved, fresh, old[row])
            state[name] = dynamic_update_slice(old, kept.reshape(1, -1), (row, 0))
        safe = where(curved, curvature, 1.0)
        inverse = where(curved, 1.0 / safe, state["ro"][row])
        state["ro"] = dynamic_update_slice(state["ro"], inverse.reshape(1), (row,))
        norm = where(curved, _dot(change, change), 1.0)
        scale = where(curved, safe / norm, state["H_diag"])
        state["H_diag"] = where(first, 1.0, scale)
        total = state["total"] + cast(curved, _INTEGER)
        state["total"] = where(first, cast(curved, _INTEGER), total)
        return self._turn(-grad, state)

    def _turn(self, vector: Any, state: dict[str, Any]) -> Any:
        """Return the approximate inverse Hessian times a vector, by two loops over the history."""
        total, dirs, stps, ro = (state[name] for name in ("total", "old_dirs", "old_stps", "ro"))
        count = minimum(total, self.rows)

        def down(carry: Any) -> Any:
            k, q, weights = carry
            row = (total - 1 - k) % self.rows
            weight = _dot(stps[row], q) * ro[row]
            q = q - _times(weight, dirs[row])
            return k + 1, q, dynamic_update_slice(weights, weight.reshape(1), (row,))

        def up(carry: Any) -> Any:
            k, q, weights = carry
            row = (total - count + k) % self.rows
            weight = weights[row] - _dot(dirs[row], q) * ro[row]
            return k + 1, q + _times(weight, stps[row]), weights

        zero = total * 0
        _, q, weights = while_loop(lambda c: c[0] < count, down, (zero, vector, ro * 0.0))
        q = _times(state["H_diag"], q)
        _, q, _ = while_loop(lambda c: c[0] < count, up, (zero, q, weights))
        return q

    # --- the line search ---

    def _search(
        self, start: Point, length: Any, here: Any, direction: Any, most: Any, wanted: Any,
        strong: bool,
    ) -> tuple[Point, Any]:  # fmt: skip
        """Return the point that is taken, and how often the closure was evaluated for it."""
        largest = cast(direction.abs().max(), _DOUBLE)

        def evaluate(step: Any) -> Point:
            self._write(here + _times(step, direction))
            _, value, grad = self._measure()
            return Point(step, value, _dot(grad, direction), grad)

        def body(carry: Any) -> Any:
            _, used, rounds, zooming, slow, high_first, step, *flat = carry
            previous, one, two = (Point(*flat[i : i + 4]) for i in (0, 4, 8))
            new = evaluate(step)
            used = used + 1.0
            if not strong:
                return (used < 0, used, rounds, zooming, slow, high_first, step,
                        *previous, *new, *two)  # fmt: skip
            rounds = where(used > 1.0, rounds + 1.0, rounds)
            too_high = new.value > start.value + _C1 * new.step * start.slope
            level = new.slope.abs() <= -_C2 * start.slope

            # Bracketing: the interval, the end, or a longer step.
            spent = rounds >= most
            worse = too_high | ((rounds > 1.0) & (new.value >= previous.value))
            enters = ~zooming & ~spent & (worse | (~level & (new.slope >= 0)))
            ends = ~zooming & (spent | (~worse & level))
            taken = _pick(spent & (start.value <= new.value), start, new)
            ahead = new.step + 0.01 * (new.step - previous.step)
            longer = _minimize_cubic(previous, new, ahead, new.step * 10.0)

            # Zooming: the new point takes the place of one end.
            low, high = _pick(high_first, two, one), _pick(high_first, one, two)
            rises = too_high | (new.value >= low.value)
            finished = zooming & ~rises & level
            crosses = ~rises & ~level & (new.slope * (high.step - low.step) >= 0)
            next_low = _pick(rises, low, new)
            next_high = _pick(rises, new, _pick(crosses, low, high))
            zoom_one = _pick(high_first, next_high, next_low)
            zoom_two = _pick(high_first, next_low, next_high)
            one = _pick(zooming, zoom_one, _pick(enters, previous, one))
            two = _pick(zooming, zoom_two, _pick(enters, new, two))
            sorted_anew = enters | (zooming & rises)
            high_first = where(sorted_anew, ~(one.value <= two.value), high_first)

            inside = zooming | enters
            narrow = (one.step - two.step).abs() * largest < _NARROW
            stops = inside & (finished | (rounds >= most) | narrow)
            shorter, slow = _step_between(one, two, where(inside, slow, slow & False))
            step = where(inside, shorter, longer)
            best = _pick(high_first, two, one)
            one = _pick(ends, taken, _pick(stops, best, one))
            previous = _pick(inside | ends, previous, new)
            return (~(ends | stops), used, rounds, inside, slow, high_first, step,
                    *previous, *one, *two)  # fmt: skip

        at_length = Point(length, start.value, start.slope, start.grad)
        no = wanted & ~wanted
        zero = _number(0.0)
        carry = (wanted, zero, zero, no, no, no, length,
                 *start, *at_length, *start)  # fmt: skip
        done = while_loop(lambda c: c[0], body, carry)
        return Point(*done[11:15]), done[1]


def _minimize_cubic(a: Point, b: Point, low: Any, high: Any) -> Any:
    """Return the minimiser, within bounds, of the cubic through two points with their slopes."""
    left, right = _pick(a.step <= b.step, a, b), _pick(a.step <= b.step, b, a)
    width = right.step - left.step
    middle = (low + high) / 2.0
    gap = a.step - b.step
    d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / where(gap == 0, 1.0, gap)
    under_root = d1 * d1 - a.slope * b.slope
    d2 = sqrt(where(under_root >= 0, under_root, 0.0))
    below = right.slope - left.slope + 2.0 * d2
    sound = (width != 0) & (under_root >= 0) & (below != 0) & isfinite(below)
    lowest = right.step - width * ((right.slope + d2 - d1) / where(below == 0, 1.0, below))
    return where(sound, minimum(maximum(lowest, low), high), middle)


def _step_between(one: Point, two: Point, slow: Any) -> tuple[Any, Any]:
    """Return the next step inside an interval, and whether it came close to an end."""
    nearest, furthest = minimum(one.step, two.step), maximum(one.step, two.step)
    step = _minimize_cubic(one, two, nearest, furthest)
    margin = 0.1 * (furthest - nearest)
    close = minimum(furthest - step, step - nearest) < margin
    # Too close to an end, for the second time or on it: go a tenth inwards.
    inwards = close & (slow | (step >= furthest) | (step <= nearest))
    far = (step - furthest).abs() < (step - nearest).abs()
    moved = where(far, furthest - margin, nearest + margin)
    return where(inwards, moved, step), close & ~inwards


def make_kept(size: int, rows: int, dtype: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return what is kept before the first step, as arrays.

    Parameters
    ----------
    size : int
        Elements of all parameters.
    rows : int
        Pairs of the history.
    dtype : dtype
        Of the parameters.

    Returns
    -------
    dict of str to ndarray

    Examples
    --------
    >>> make_kept(3, 2, np.float32)["old_dirs"].shape
    (2, 3)
    """
    return {
        "n_iter": np.zeros(()), "func_evals": np.zeros(()), "total": np.zeros((), np.int64),
        "H_diag": np.ones(()), "t": np.zeros(()), "prev_loss": np.zeros(()),
        "d": np.zeros(size, dtype), "prev_flat_grad": np.zeros(size, dtype),
        "old_dirs": np.zeros((rows, size), dtype), "old_stps": np.zeros((rows, size), dtype),
        "ro": np.zeros(rows),
    }  # fmt: skip
