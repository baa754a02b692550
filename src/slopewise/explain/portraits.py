"""Portraits: a curve with its tangents at chosen points, and its derivative below it.

Invariant: a tangent is drawn only where the limit of the average rate of change exists; slopes are
the engine's. It is separate from limits, which look at one point closely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.derivations import measure_slope
from slopewise.explain.descents import value_at
from slopewise.explain.rates import Limit, limit
from slopewise.explain.requests import (
    check_lang,
    check_range,
    choose_variable,
    read_point,
    read_request,
    refuse,
)
from slopewise.explain.sketch import Sketch, find_view

if TYPE_CHECKING:
    from slopewise.drawing import Picture

MOST_POINTS = 50
MOST_SLICES = 6
_WORDS: Words = {
    "title": ("tangents of {formula}", "접선: {formula}"),
    "slice": ("along {variable}, with {others}", "변하는 변수: {variable}. 고정한 값: {others}"),
    "function": ("the function", "주어진 함수"),
    "value": ("value", "함숫값"),
    "slope": ("slope", "기울기"),
    "tangent": ("tangent", "접선"),
    "corner": ("none: a corner, {left} and {right}", "없음: 모난 점, {left}, {right}"),
    "one_sided": ("none: an end of the domain", "없음: 정의역의 끝"),
    "vertical": ("none: vertical", "없음: 수직"),
    "jump": ("none: a jump", "없음: 함숫값이 뜀"),
    "undefined": ("none: no value", "없음: 함숫값이 없음"),
    "curve": ("curve", "곡선"),
    "derivative": ("its derivative", "도함수"),
    "tangent_line": ("tangent, slope {slope}", "접선, 기울기 {slope}"),
    "picture": ("A curve with tangents, and its derivative below it.",
                "접선을 그은 곡선, 그리고 아래에 그 도함수."),
}  # fmt: skip


@dataclass(frozen=True)
class Slice:
    """A function along one of its variables.

    Attributes
    ----------
    variable : str
    others : dict of str to float
        What the other variables are held at.
    value, slope : callable
        Of a number.
    points : tuple of Limit
        Where tangents are asked for.
    """

    variable: str
    others: dict[str, float]
    value: Callable[[float], float]
    slope: Callable[[float], float]
    points: tuple[Limit, ...]

    def window(self) -> tuple[float, float]:
        """Return the range of the variable that is drawn."""
        places = [p.at for p in self.points]
        if not places:
            return -4.0, 4.0
        room = max(2.0, 0.75 * (max(places) - min(places)))
        far = max(map(abs, places))
        room = room if far < 1e3 else max(room, 0.1 * far)
        return min(places) - room, max(places) + room


class Portrait(Account):
    """A curve with its tangents, for each of its variables.

    Attributes
    ----------
    slices : tuple of Slice

    Examples
    --------
    >>> import slopewise as sw
    >>> found = sw.explain.explore_tangents("(w-3)^2", [2, 4])
    >>> [point.slope for point in found.slices[0].points]
    [-2.0, 2.0]
    """

    def __init__(self, formula: str, slices: Sequence[Slice], lang: str) -> None:
        self.formula = formula
        self.slices = tuple(slices)
        self.lang = lang

    def tell(self, lang: str) -> list[str | Table]:
        """Return a table of the tangents, for each variable."""
        formula = self.formula or say_in(_WORDS, "function", lang)
        parts: list[str | Table] = [say_in(_WORDS, "title", lang, formula=formula)]
        for part in self.slices:
            if part.others:
                others = ", ".join(f"{name} = {spell(x)}" for name, x in part.others.items())
                said = say_in(_WORDS, "slice", lang, variable=part.variable, others=others)
                parts.append(said)
            words = (say_in(_WORDS, key, lang) for key in ("value", "slope", "tangent"))
            header = [part.variable, *words]
            parts.append(Table(header, [self._tell_point(part, p, lang) for p in part.points]))
        return parts

    def _tell_point(self, part: Slice, point: Limit, lang: str) -> list[str]:
        row = [spell(point.at), spell(point.start), spell(point.slope)]
        if point.verdict != "tangent":
            said = say_in(_WORDS, point.verdict, lang, left=spell(point.left, 4),
                          right=spell(point.right, 4))  # fmt: skip
            return [*row[:2], "-", said]
        moved = f"({part.variable} - {spell(point.at)})" if point.at > 0 else part.variable
        if point.at < 0:
            moved = f"({part.variable} + {spell(-point.at)})"
        if not point.slope:
            return [*row, spell(point.start)]
        slope = {1.0: "", -1.0: "-"}.get(point.slope, spell(point.slope))
        sign = "+" if point.start >= 0 else "-"
        rest = f" {sign} {spell(abs(point.start))}" if point.start else ""
        return [*row, f"{slope}{moved}{rest}"]

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return the curve of the first variable with its tangents, for a terminal."""
        part = self.slices[0]
        left, right = part.window()
        bottom, top = find_view([part.value(float(x)) for x in np.linspace(left, right, 80)])
        drawing = Sketch(width, height, left, right, bottom, top)
        drawing.curve(part.value)
        for point in part.points:
            if point.verdict == "tangent":
                drawing.line((left, _extend(point, left)), (right, _extend(point, right)), 4)
            drawing.mark(point.at, point.start, "●")
        return drawing.text()

    def picture(self, lang: str | None = None) -> Picture:
        """Return for each variable the curve with its tangents, and below it the derivative."""
        from slopewise.drawing import open_sheet

        count = len(self.slices)
        with open_sheet(max(5.4, 3.6 * count), 5.6, lang or self.lang) as sheet:
            axes = sheet.figure.subplots(2, count, sharex="col", squeeze=False,
                                         height_ratios=(3, 2))  # fmt: skip
            for place, part in enumerate(self.slices):
                _draw(axes[0][place], axes[1][place], part, sheet.lang)
            return sheet.finish(say_in(_WORDS, "picture", lang or self.lang))


def _extend(point: Limit, x: Any) -> Any:
    return point.start + point.slope * (x - point.at)


def _draw(above: Any, below: Any, part: Slice, lang: str) -> None:
    """Draw a curve with its tangents, and its derivative below it."""
    from slopewise.drawing.settings import DASHES, MARKERS, PALETTE

    left, right = part.window()
    xs = np.linspace(left, right, 300)
    ys = np.array([part.value(float(x)) for x in xs])
    slopes = np.array([part.slope(float(x)) for x in xs])
    slopes[~np.isfinite(ys)] = np.nan
    above.plot(xs, _break(ys), color="#222222", label=say_in(_WORDS, "curve", lang))
    below.plot(xs, _break(slopes), color="#222222", label=say_in(_WORDS, "derivative", lang))
    for i, point in enumerate(part.points):
        look = {"color": PALETTE[i % len(PALETTE)]}
        marker = MARKERS[i % len(MARKERS)]
        if point.verdict == "tangent":
            label = say_in(_WORDS, "tangent_line", lang, slope=spell(point.slope, 4))
            above.plot(xs, _extend(point, xs), linestyle=DASHES[(i + 1) % len(DASHES)],
                       linewidth=1.3, label=label if i < 6 else None, **look)  # fmt: skip
            below.plot([point.at], [point.slope], marker=marker, linestyle="", **look)
        if math.isfinite(point.start):
            above.plot([point.at], [point.start], marker=marker, linestyle="", **look)
    for axes, values in ((above, ys), (below, slopes)):
        axes.set_ylim(*find_view([float(y) for y in values]))
        axes.legend(fontsize=8)
    above.set_xlim(left, right)
    below.axhline(0, color="#888888", linewidth=0.8)
    below.set_xlabel(part.variable)


def _break(values: Any) -> Any:
    """Return the values with a gap where a curve jumps from one end of the view to the other."""
    bottom, top = find_view([float(v) for v in values])
    shown = np.array(values, float)
    high, low = shown > top, shown < bottom
    torn = (high[1:] & low[:-1]) | (low[1:] & high[:-1])
    shown[1:][torn] = np.nan
    return shown


def explore_tangents(
    f: str | Callable[..., Any],
    at: Mapping[str, float] | Sequence[float] | float | None = None,
    *,
    wrt: str | None = None,
    lang: str = "en",
) -> Portrait:
    """Return a curve with its tangents at chosen points, and its derivative.

    Parameters
    ----------
    f : str, Formula or callable
        A formula, or a function of numbers.
    at : float, sequence of float, or mapping of str to float, optional
        The points of one variable, or one point of several, which is looked at along each of its
        variables.
    wrt : str, optional
        Of several variables, the only one to look along.
    lang : str
        "en" or "ko".

    Returns
    -------
    Portrait

    Raises
    ------
    SpokenError
        If a point, the variable or the language is not one there is.

    Examples
    --------
    >>> print(explore_tangents("relu(x)", [0, 2]).text())
    tangents of relu(x)
    <BLANKLINE>
      x  value  slope                   tangent
      0      0      -  none: a corner, 0 and 1
      2      2      1              (x - 2) + 2
    """
    operation = "explore_tangents"
    check_lang(operation, lang)
    function, names = read_request(operation, f)
    if not names:
        raise refuse(operation, "no_variable", found=f)
    if at is None or isinstance(at, (Mapping, int, float)):
        places = [at]
    else:
        check_range(operation, "points", len(at), 0, MOST_POINTS)
        places = list(at)
    if at is None and len(names) > 1:
        raise refuse(operation, "point", found="-", known=", ".join(names))
    points = [p for p in (read_point(operation, place, names) for place in places) if p]
    along = [choose_variable(operation, names, wrt)] if wrt else list(names[:MOST_SLICES])
    slices = [_cut(function, names, variable, points) for variable in along]
    formula = str(f) if not callable(f) or hasattr(f, "syntax") else ""
    return Portrait(formula, slices, lang)


def _cut(
    function: Callable[..., Any], names: Sequence[str], variable: str,
    points: Sequence[Mapping[str, float]],
) -> Slice:  # fmt: skip
    """Return a function along one variable, the others held at the first of the points."""
    held = dict(points[0]) if points else {}
    others = {name: x for name, x in held.items() if name != variable}

    def value(x: float) -> float:
        return value_at(function, [x if name == variable else held[name] for name in names])

    def slope(x: float) -> float:
        return measure_slope(function, names, variable, 1, {**held, variable: x})

    limits = tuple(limit(function, p, wrt=variable) for p in points)
    return Slice(variable, others, value, slope, limits)
