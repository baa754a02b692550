"""Trails: a descent as it is told, in the lecture's words, with its picture.

Invariant: what is told is what the walk saw; for a quadratic the rates that converge are derived
from the engine's second derivatives. It is separate from the walk, which knows no language.

Source: Boyd & Vandenberghe (2004), Convex optimization, section 9.3, for the rates of a quadratic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from slopewise._core.quiet import hush, restore
from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.descents import (
    Stop,
    Walk,
    find_hessian,
    read_start,
    value_at,
    walk_down,
)
from slopewise.explain.requests import check_lang, read_request, refuse
from slopewise.explain.sketch import Sketch, find_frame

if TYPE_CHECKING:
    from slopewise.drawing import Picture

TOLD = 6
"""Steps that are told in a sentence each."""
_WORDS: Words = {
    "title": (
        "descent on L = {formula} from {start}, {optimizer}, learning rate {lr}",
        "경사하강: L = {formula}, 출발점 {start}, {optimizer}, 학습률 {lr}",
    ),
    "function": ("the function", "주어진 함수"),
    "step": ("step", "걸음"),
    "slope": ("slope", "기울기"),
    "move": ("move", "이동"),
    "uphill": (
        "step {n}: at {name} = {x} the slope is {g}: uphill to the right, so go left by {move}, to "
        "{next}.",
        "걸음 {n}. 위치: {name} = {x}, 기울기: {g}. 오른쪽이 오르막이므로 방향은 왼쪽, 이동 크기: "
        "{move}, 새 위치: {next}.",
    ),
    "downhill": (
        "step {n}: at {name} = {x} the slope is {g}: downhill to the right, so go right by {move}, "
        "to {next}.",
        "걸음 {n}. 위치: {name} = {x}, 기울기: {g}. 오른쪽이 내리막이므로 방향은 오른쪽, 이동 "
        "크기: "
        "{move}, 새 위치: {next}.",
    ),
    "against": (
        "step {n}: at {name} = {x} the slope is {g}, but what is left of earlier steps carries it "
        "on by {move}, to {next}.",
        "걸음 {n}. 위치: {name} = {x}, 기울기: {g}. 앞선 걸음의 관성 때문에 오르막으로 이동. 이동 "
        "크기: {move}, 새 위치: {next}.",
    ),
    "level": (
        "step {n}: at {name} = {x} the slope is 0, so it stays.",
        "걸음 {n}. 위치: {name} = {x}, 기울기: 0. 평평하므로 움직이지 않습니다.",
    ),
    "absorbed": (
        "step {n}: at {name} = {x} the slope is {g}; the step, {move}, is below the rounding of "
        "{name}, so it stays.",
        "걸음 {n}. 위치: {name} = {x}, 기울기: {g}. 이동 크기: {move}. 반올림 오차보다 작아 "
        "제자리에 머뭅니다.",
    ),
    "several": (
        "step {n}: the gradient {g} points uphill; the step goes the other way, by {move}, to "
        "{next}.",
        "걸음 {n}. 그래디언트: {g}, 오르막 방향. 걸음은 반대 방향, 이동 크기: {move}, 새 위치: "
        "{next}.",
    ),
    "already": ("It starts where the slope is 0, at a lowest point: it stays.",
                "기울기가 0인 가장 낮은 곳에서 출발하여 움직이지 않습니다."),
    "converges": (
        "Verdict: it converges, to {end}, where the slope is {gradient} and the curve bends up.",
        "판정: 수렴. 도착점: {end}, 그곳의 기울기: {gradient}, 곡선은 위로 굽어 있습니다.",
    ),
    "overshoots": (
        "Verdict: it converges, to {end}, stepping over the lowest point and back on the way.",
        "판정: 수렴. 도착점: {end}. 도중에 가장 낮은 곳을 넘어갔다가 되돌아옵니다.",
    ),
    "oscillates": (
        "Verdict: it oscillates: it goes to and fro between {last} and {previous} for ever, and "
        "gets no lower. A smaller learning rate would help.",
        "판정: 진동. 다음 두 곳을 끝없이 오갑니다: {last}, {previous}. 더 낮아지지 않습니다. "
        "학습률을 "
        "줄이면 나아집니다.",
    ),
    "diverges": (
        "Verdict: it diverges: the steps grow, from {first_move} to {last_move}, and so does the "
        "loss. The learning rate is too large.",
        "판정: 발산. 이동 크기가 점점 커집니다. 처음: {first_move}, 끝: {last_move}. 손실도 "
        "커집니다. 학습률이 너무 큽니다.",
    ),
    "creeps": (
        "Verdict: it creeps: the slope is nearly flat, {gradient}, so the steps, now {last_move}, "
        "get it nowhere. That is not convergence.",
        "판정: 제자리걸음. 기울기가 거의 평평하여({gradient}) 이동 크기가 아주 작습니다: "
        "{last_move}. "
        "수렴한 것이 아닙니다.",
    ),
    "unbounded": (
        "Verdict: unbounded below: the loss falls for ever, to {value} so far, and has no minimum.",
        "판정: 아래로 끝이 없음. 손실이 끝없이 줄어들며 최솟값이 없습니다. 지금까지의 손실: "
        "{value}.",
    ),
    "saddle": (
        "Verdict: stuck where the slope is 0 but there is no minimum: a saddle, a maximum or a "
        "flat "
        "bend, at {end}.",
        "판정: 기울기는 0이지만 최솟값이 아닌 곳에 멈춤(안장점, 극댓값 또는 평평한 굽이). "
        "위치: {end}.",
    ),
    "left_domain": (
        "Verdict: it left the domain: at {end} the function has no value.",
        "판정: 정의역을 벗어남. 함숫값이 없는 위치: {end}.",
    ),
    "unfinished": (
        "Verdict: unfinished: after {steps} steps it still goes down, with slope {gradient}. Take "
        "more steps.",
        "판정: 아직 내려가는 중. 걸음 수: {steps}, 기울기: {gradient}. 걸음을 늘리십시오.",
    ),
    "quadratic": (
        "The function is quadratic with second derivative {bends}: a step multiplies the distance "
        "to the lowest point by 1 - lr·{bends}. So it converges for 0 < lr < 2/{bends} = {most}, "
        "fastest at lr = 1/{bends} = {best}; here the factor is {factor}.",
        "이차함수이고 이계도함수: {bends}. 한 걸음마다 가장 낮은 곳까지의 거리에 곱해지는 수: "
        "1 - lr·{bends}. 수렴하는 학습률: 0 < lr < 2/{bends} = {most}, 가장 빠른 학습률: "
        "1/{bends} = "
        "{best}. 지금의 곱: {factor}.",
    ),
    "quadratic_many": (
        "The function is quadratic; its second derivatives bend between {low} and {high}. It "
        "converges for 0 < lr < 2/{high} = {most}, fastest at lr = 2/({low} + {high}) = {best}; "
        "here the slowest direction shrinks by {factor} a step.",
        "이차함수이고 굽은 정도(헤세 행렬의 고윳값)의 범위: {low}, {high}. 수렴하는 학습률: "
        "0 < lr < 2/{high} = {most}, 가장 빠른 학습률: 2/({low} + {high}) = {best}. 지금 가장 느린 "
        "방향에 곱해지는 수: {factor}.",
    ),
    "quadratic_momentum": (
        "The function is quadratic; with momentum {mu} it converges for 0 < lr < 2(1 + "
        "{mu})/{high} "
        "= {most}.",
        "이차함수입니다. 모멘텀 {mu}일 때 수렴하는 학습률: 0 < lr < 2(1 + {mu})/{high} = {most}.",
    ),
    "no_minimum": (
        "The function is quadratic but bends down in some direction: it has no minimum, whatever "
        "the learning rate.",
        "이차함수이지만 아래로 굽은 방향이 있어, 학습률과 관계없이 최솟값이 없습니다.",
    ),
    "curve": ("loss", "손실"),
    "path": ("steps", "걸음"),
    "tangents": ("tangents", "접선"),
    "step_axis": ("step", "걸음"),
    "loss_axis": ("loss", "손실"),
    "picture": ("The path of the descent, and the loss at each step.",
                "경사하강의 경로와 걸음마다의 손실."),
}  # fmt: skip


@dataclass(frozen=True)
class Quadratic:
    """The learning rates of a quadratic.

    Attributes
    ----------
    low, high : float
        The smallest and the largest bend: eigenvalues of the Hessian.
    most, best : float
        Plain descent converges below `most`, and fastest at `best`; NaN where there is no minimum.
    factor : float
        What a step multiplies the distance by, in the slowest direction.
    """

    low: float
    high: float
    most: float
    best: float
    factor: float


def find_quadratic(
    function: Callable[..., Any], point: Sequence[float], lr: float
) -> Quadratic | None:
    """Return the learning rates of a function if it is quadratic.

    Parameters
    ----------
    function : callable
        Of as many numbers as the point has.
    point : sequence of float
    lr : float

    Returns
    -------
    Quadratic or None
        None where the second derivatives are not the same everywhere, or all 0.

    Examples
    --------
    >>> found = find_quadratic(lambda w: (w - 3) ** 2, [4.0], 0.1)
    >>> found.most, found.best, found.factor
    (1.0, 0.5, 0.8)
    """
    rng = np.random.default_rng(5)
    kept = hush()
    try:
        first = find_hessian(function, point)
        if not np.all(np.isfinite(first)) or not np.any(first):
            return None
        for _ in range(4):
            moved = [x + rng.uniform(-2, 2) * max(1.0, abs(x)) for x in point]
            other = find_hessian(function, moved)
            if not np.allclose(other, first, rtol=1e-9, atol=1e-12 * np.abs(first).max()):
                return None
    finally:
        restore(kept)
    bends = np.linalg.eigvalsh((first + first.T) / 2)
    low, high = float(bends[0]), float(bends[-1])
    if low <= 1e-12 * abs(high):
        return Quadratic(low, high, math.nan, math.nan, math.nan)
    factor = max(abs(1 - lr * low), abs(1 - lr * high))
    return Quadratic(low, high, 2 / high, 2 / (low + high), factor)


class Descent(Account):
    """A descent that can be read and looked at.

    Attributes
    ----------
    walk : Walk
    quadratic : Quadratic or None
    verdict : str

    Examples
    --------
    >>> import slopewise as sw
    >>> found = sw.explain.descend("(w-3)^2", 4, lr=1.0, steps=4)
    >>> found.verdict, found.points
    ('oscillates', [4.0, 2.0, 4.0, 2.0, 4.0])
    """

    def __init__(self, walk: Walk, formula: str, lang: str) -> None:
        self.walk = walk
        self.formula = formula
        self.lang = lang
        start = walk.stops[0].point
        self.quadratic = find_quadratic(walk.function, start, walk.lr)

    @property
    def verdict(self) -> str:
        """How it ends; one of `descents.VERDICTS`."""
        return self.walk.verdict

    @property
    def points(self) -> list[Any]:
        """Where it was: numbers for one variable, tuples for several."""
        points = [stop.point for stop in self.walk.stops]
        return [p[0] for p in points] if len(self.walk.names) == 1 else points

    @property
    def losses(self) -> list[float]:
        """The value at every point."""
        return [stop.value for stop in self.walk.stops]

    def _point(self, stop: Stop) -> str:
        pairs = zip(self.walk.names, stop.point, strict=True)
        return ", ".join(f"{name} = {spell(x)}" for name, x in pairs)

    def tell(self, lang: str) -> list[str | Table]:
        """Return the title, sentences, the table, the verdict and what a quadratic allows."""
        walk = self.walk
        parts: list[str | Table] = [
            say_in(_WORDS, "title", lang, formula=self.formula or say_in(_WORDS, "function", lang),
                   start=self._point(walk.stops[0]), optimizer=walk.optimizer, lr=spell(walk.lr))
        ]  # fmt: skip
        parts += [self._tell_step(n, lang) for n in range(1, min(TOLD, len(walk.stops) - 1) + 1)]
        header = [say_in(_WORDS, "step", lang), *walk.names, "L"]
        header += [f"∂L/∂{name}" if len(walk.names) > 1 else say_in(_WORDS, "slope", lang)
                   for name in walk.names]  # fmt: skip
        rows = [
            [str(n), *map(spell, stop.point), spell(stop.value), *map(spell, stop.gradient)]
            for n, stop in enumerate(walk.stops)
        ]
        parts += [Table(header, rows), self._tell_verdict(lang)]
        told = self._tell_quadratic(lang)
        return parts + ([told] if told else [])

    def _tell_step(self, n: int, lang: str) -> str:
        before, after = self.walk.stops[n - 1 : n + 1]
        moves = [b - a for a, b in zip(before.point, after.point, strict=True)]
        if len(moves) > 1:
            gradient = "(" + ", ".join(spell(g, 4) for g in before.gradient) + ")"
            return say_in(_WORDS, "several", lang, n=n, g=gradient,
                          move=spell(math.hypot(*moves), 4), next=self._point(after))  # fmt: skip
        slope, move = before.gradient[0], moves[0]
        key = "uphill" if slope > 0 else "downhill"
        if slope * move > 0:
            key = "against"
        elif not slope and not move:
            key = "level"
        size = spell(abs(move))
        if self.walk.optimizer == "sgd" and slope:
            key = key if move else "absorbed"
            size = spell(abs(move) or self.walk.lr * abs(slope))
            size = f"{spell(self.walk.lr)} × {spell(abs(slope))} = {size}"
        sign = "+" if slope > 0 else ""
        return say_in(_WORDS, key, lang, n=n, name=self.walk.names[0], x=spell(before.point[0]),
                      g=f"{sign}{spell(slope)}", move=size, next=self._point(after))  # fmt: skip

    def _tell_verdict(self, lang: str) -> str:
        stops = self.walk.stops
        moves = [math.dist(a.point, b.point) for a, b in pairwise(stops)]
        last = stops[-1]
        previous = stops[-2] if len(stops) > 1 else last
        return say_in(
            _WORDS, self.verdict, lang, end=self._point(last),
            gradient=spell(math.hypot(*last.gradient), 3), last=self._point(last),
            previous=self._point(previous), first_move=spell(moves[0], 3) if moves else "0",
            last_move=spell(moves[-1], 3) if moves else "0", value=spell(last.value),
            steps=len(moves),
        )  # fmt: skip

    def _tell_quadratic(self, lang: str) -> str:
        found = self.quadratic
        if found is None:
            return ""
        if math.isnan(found.most):
            return say_in(_WORDS, "no_minimum", lang)
        if self.walk.optimizer in ("momentum", "nesterov"):
            if self.walk.optimizer == "nesterov":
                return ""
            return say_in(_WORDS, "quadratic_momentum", lang, mu="0.9", high=spell(found.high),
                          most=spell(2 * 1.9 / found.high))  # fmt: skip
        if self.walk.optimizer != "sgd":
            return ""
        values = {"most": spell(found.most), "best": spell(found.best),
                  "factor": spell(found.factor)}  # fmt: skip
        if len(self.walk.names) == 1:
            factor = 1 - self.walk.lr * found.high
            values["factor"] = spell(factor)
            return say_in(_WORDS, "quadratic", lang, bends=spell(found.high), **values)
        return say_in(_WORDS, "quadratic_many", lang, low=spell(found.low), high=spell(found.high),
                      **values)  # fmt: skip

    # --- drawing ---

    def _known(self) -> list[Stop]:
        """Return the stops that can be drawn."""
        return [s for s in self.walk.stops if all(map(math.isfinite, (*s.point, s.value)))]

    def _window(self, place: int) -> tuple[float, float]:
        """Return the range that shows the path: all of it, or its start where it flies off."""
        xs = [s.point[place] for s in self._known()]
        if self.verdict in ("diverges", "unbounded"):
            xs = xs[: max(4, len(xs) // 8)]
        low, high = min(xs), max(xs)
        room = 0.3 * (high - low) or max(1.0, 0.2 * abs(low))
        return low - room, high + room

    def _value(self, *point: float) -> float:
        return value_at(self.walk.function, point)

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return the curve with the points of the descent; "" for many variables."""
        known = self._known()
        if len(self.walk.names) > 2 or not known:
            return ""
        left, right = self._window(0)
        if len(self.walk.names) == 2:
            bottom, top = self._window(1)
            drawing = Sketch(width, height, left, right, bottom, top)
            for a, b in pairwise(known):
                drawing.line((a.point[0], a.point[1]), (b.point[0], b.point[1]))
            for stop, sign in ((known[0], "o"), (known[-1], "●")):
                drawing.mark(stop.point[0], stop.point[1], sign)
            return drawing.text()
        values = [self._value(float(x)) for x in np.linspace(left, right, 60)]
        bottom, top = find_frame(values)
        drawing = Sketch(width, height, left, right, bottom, top)
        drawing.curve(self._value)
        for n, stop in enumerate(known[:10]):
            drawing.mark(stop.point[0], stop.value, str(n))
        if len(known) > 10:
            drawing.mark(known[-1].point[0], known[-1].value, "●")
        return drawing.text()

    def picture(self, lang: str | None = None) -> Picture:
        """Return the path on the curve or on contour lines, and the loss at each step."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import PALETTE

        count = len(self.walk.names)
        with open_sheet(9.5 if count <= 2 else 5.0, 4.2, lang or self.lang) as sheet:
            places: Any = sheet.figure.subplots(1, 2 if count <= 2 else 1, squeeze=False)
            two = places[0][-1]
            if count <= 2:
                (self._draw_curve if count == 1 else self._draw_contours)(places[0][0], sheet.lang)
            losses = [s.value for s in self._known()]
            two.plot(range(len(losses)), losses, color=PALETTE[1], marker="o", markersize=3)
            least = min(losses)
            if least > 0 and max(losses) > 100 * least:
                two.set_yscale("log")
            two.set_xlabel(say_in(_WORDS, "step_axis", sheet.lang))
            two.set_ylabel(say_in(_WORDS, "loss_axis", sheet.lang))
            return sheet.finish(say_in(_WORDS, "picture", lang or self.lang))

    def _draw_curve(self, axes: Any, lang: str) -> None:
        from slopewise.drawing.settings import PALETTE

        left, right = self._window(0)
        xs = np.linspace(left, right, 400)
        ys = np.array([self._value(float(x)) for x in xs])
        axes.plot(xs, ys, color="#222222", label=say_in(_WORDS, "curve", lang))
        known = [s for s in self._known() if left <= s.point[0] <= right]
        for i, stop in enumerate(known[:3]):
            span = 0.25 * (right - left)
            around = np.array([stop.point[0] - span, stop.point[0] + span])
            label = say_in(_WORDS, "tangents", lang) if i == 0 else None
            axes.plot(around, stop.value + stop.gradient[0] * (around - stop.point[0]),
                      color=PALETTE[0], linestyle="--", linewidth=1.3, label=label)  # fmt: skip
        arrow = {"arrowstyle": "->", "color": PALETTE[1], "lw": 1.0}
        for a, b in pairwise(known):
            axes.annotate("", (b.point[0], b.value), (a.point[0], a.value), arrowprops=arrow)
        axes.plot([s.point[0] for s in known], [s.value for s in known], color=PALETTE[1],
                  marker="o", linestyle="", label=say_in(_WORDS, "path", lang))  # fmt: skip
        axes.set_xlim(left, right)
        axes.set_ylim(*self._frame_losses([float(y) for y in ys], [s.value for s in known]))
        axes.set_xlabel(self.walk.names[0])
        axes.legend(fontsize=9)

    def _frame_losses(self, values: list[float], losses: list[float]) -> tuple[float, float]:
        """Return the range of a curve that shows the path: beside it e^w would dwarf its losses."""
        bottom, top = find_frame(values)
        room = 0.6 * (max(losses) - min(losses))
        if not room:
            return bottom, top
        return max(bottom, min(losses) - room), min(top, max(losses) + room)

    def _draw_contours(self, axes: Any, lang: str) -> None:
        from slopewise.drawing.settings import PALETTE

        (left, right), (bottom, top) = self._window(0), self._window(1)
        xs, ys = np.linspace(left, right, 80), np.linspace(bottom, top, 80)
        zs = np.array([[self._value(float(x), float(y)) for x in xs] for y in ys])
        known = [s for s in self._known()
                 if left <= s.point[0] <= right and bottom <= s.point[1] <= top]  # fmt: skip
        finite = zs[np.isfinite(zs)]
        levels = np.unique(np.quantile(finite, np.linspace(0.01, 0.95, 14))) if finite.size else [0]
        if len(levels) > 1:
            axes.contour(xs, ys, zs, levels=levels, colors="#888888", linewidths=0.8)
        axes.plot([s.point[0] for s in known], [s.point[1] for s in known], color=PALETTE[1],
                  marker="o", markersize=3, label=say_in(_WORDS, "path", lang))  # fmt: skip
        axes.plot(*known[0].point, color=PALETTE[0], marker="s", linestyle="")
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        axes.set_xlabel(self.walk.names[0])
        axes.set_ylabel(self.walk.names[1])
        axes.legend(fontsize=9)


def descend(
    f: str | Callable[..., Any],
    start: Mapping[str, float] | float,
    lr: float = 0.1,
    optimizer: str | Callable[[list[Any]], Any] = "sgd",
    steps: int = 50,
    *,
    lang: str = "en",
) -> Descent:
    """Return a descent: where each step goes and why, and how it ends.

    Parameters
    ----------
    f : str, Formula or callable
        A formula, or a function of numbers.
    start : float, or mapping of str to float
        Where to start; a number will do for one variable.
    lr : float
        Learning rate.
    optimizer : str or callable
        "sgd", "momentum" (0.9), "nesterov", "adam", "adamw", "rmsprop" or "adagrad"; or a function
        that makes an optimiser from a list of parameters.
    steps : int
        How many steps, up to 100,000.
    lang : str
        "en" or "ko".

    Returns
    -------
    Descent

    Raises
    ------
    SpokenError
        If the start, the rate, the steps, the optimiser or the language is not one there is.

    Examples
    --------
    >>> descend("e^w", 4, lr=1.0, steps=30).verdict
    'creeps'
    """
    check_lang("descend", lang)
    function, names = read_request("descend", f)
    if not names:
        raise refuse("descend", "no_variable", found=f)
    point = read_start(names, start)
    walk = walk_down(function, names, list(point.values()), lr, optimizer, steps)
    formula = str(f) if not callable(f) or hasattr(f, "syntax") else ""
    return Descent(walk, formula, lang)
