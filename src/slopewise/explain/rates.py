"""Limits: the average rate of change as the step shrinks, and what it turns into.

Invariant: rates are differences of the engine's float64 values, and the slope that they are held
against is the engine's derivative, which subtracts nothing. It is separate from derivations, which
go by rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from slopewise._core.aval import DTYPES
from slopewise._core.quiet import hush, restore
from slopewise._front.operands import as_value_in
from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.derivations import measure_slope
from slopewise.explain.requests import (
    check_lang,
    choose_variable,
    read_point,
    read_request,
    refuse,
)
from slopewise.explain.sketch import Sketch, find_frame

if TYPE_CHECKING:
    from slopewise.drawing import Picture

LADDER = (1.0, 0.5, 0.1, *(10.0**-k for k in range(2, 16)))
"""Steps that are taken unless others are asked for."""
_UNIT = 2.0**-53
_DOUBLE = DTYPES["float64"]
_WORDS: Words = {
    "title": (
        "average rate of change of f({variable}) = {formula} from {variable} = {at}",
        "평균변화율: f({variable}) = {formula}, 출발점: {variable} = {at}",
    ),
    "function": ("the function", "주어진 함수"),
    "value": ("f(a + h)", "f(a + h)"),
    "rate": ("(f(a + h) - f(a))/h", "(f(a + h) - f(a))/h"),
    "error": ("error", "오차"),
    "remark": ("", ""),
    "best": ("nearest", "가장 가까움"),
    "rounding": ("rounding", "반올림 오차"),
    "turn_line": (
        "left of here, h = {turn}, rounding rules",
        "이 왼쪽(h = {turn})은 반올림 오차가 더 큼",
    ),
    "tangent": (
        "The rates go to {slope}: the slope of the tangent, the derivative at the point.",
        "평균변화율의 극한: {slope}. 이것이 접선의 기울기, 곧 미분계수입니다.",
    ),
    "corner": (
        "From the left the rates go to {left}, from the right to {right}: a corner, with no "
        "tangent. The engine's derivative takes {slope}.",
        "왼쪽에서의 극한: {left}, 오른쪽에서의 극한: {right}. 두 값이 달라 접선이 없는 모난 "
        "점입니다. 엔진이 쓰는 값: {slope}.",
    ),
    "one_sided": (
        "The function is defined on one side only; there the rates go to {limit}.",
        "함수가 한쪽에서만 정의됩니다. 그쪽에서의 극한: {limit}.",
    ),
    "vertical": (
        "The rates grow without bound: the tangent is vertical, and there is no slope.",
        "평균변화율이 끝없이 커집니다. 접선이 수직이므로 기울기가 없습니다.",
    ),
    "jump": (
        "The function jumps here, so the rates grow like 1/h: there is no slope. The engine's "
        "derivative, {slope}, is that of the pieces.",
        "함수가 이 점에서 뛰므로 평균변화율이 1/h 꼴로 커집니다. 기울기가 없습니다. 엔진의 값은 "
        "조각의 기울기입니다: {slope}.",
    ),
    "undefined": (
        "The function has no finite value at the point, so there is nothing to start from.",
        "이 점에서 함숫값이 유한하지 않아 평균변화율을 구할 수 없습니다.",
    ),
    "turn": (
        "Below h of about {turn} rounding takes over: f(a + h) and f(a) agree in most of their "
        "digits, and the difference keeps only the rest. Automatic differentiation subtracts no "
        "nearby values; its slope is right to the last digits: {slope}.",
        "h 값이 대략 {turn} 아래이면 반올림 오차가 더 커집니다. f(a + h), f(a) 두 값의 자릿수가 "
        "대부분 같아서 뺄셈에 남는 자릿수가 적기 때문입니다. 자동 미분은 가까운 두 값을 빼지 "
        "않으므로 끝자리까지 맞습니다: {slope}.",
    ),
    "curve": ("curve", "곡선"),
    "tangent_line": ("tangent, slope {slope}", "접선, 기울기 {slope}"),
    "secant_line": ("secant, h = {h}, rate {rate}", "할선, h = {h}, 평균변화율 {rate}"),
    "error_axis": ("error of the rate", "평균변화율의 오차"),
    "picture": (
        "A curve with secants that turn into its tangent; beside it the error against h.",
        "곡선, 접선에 가까워지는 할선, 그리고 h에 따른 오차.",
    ),
}


@dataclass(frozen=True)
class Rate:
    """One step of a limit.

    Attributes
    ----------
    h : float
    value : float
        f(a + h).
    rate : float
        (f(a + h) - f(a))/h.
    error : float
        Its distance from the engine's derivative.
    """

    h: float
    value: float
    rate: float
    error: float


class Limit(Account):
    """The average rate of change as the step shrinks.

    Attributes
    ----------
    rates : list of Rate
        The largest step first.
    slope : float
        The engine's derivative.
    verdict : str
        "tangent", "corner", "one_sided", "vertical", "jump" or "undefined".
    left, right : float
        What the rates go to from either side; NaN where that is nothing.
    turn : float or None
        The step below which rounding takes over.
    best : Rate or None
        The rate nearest to the slope.

    Examples
    --------
    >>> import slopewise as sw
    >>> found = sw.explain.limit("(w-3)^2", 4)
    >>> found.slope, found.verdict, [r.rate for r in found.rates[:2]]
    (2.0, 'tangent', [3.0, 2.5])
    """

    def __init__(
        self,
        function: Callable[[float], float],
        formula: str,
        variable: str,
        at: float,
        steps: Sequence[float],
        slopes: tuple[float, float],
        lang: str,
    ) -> None:
        self.function = function
        self.formula = formula
        self.variable = variable
        self.at = at
        self.slope, bend = slopes
        self.lang = lang
        self.start = function(at)
        self.rates = [self._take(h) for h in steps]
        self.left, self.right = self._approach(-1.0), self._approach(1.0)
        self.verdict = self._judge()
        known = [r for r in self.rates if math.isfinite(r.error)]
        self.best = min(known, key=lambda r: r.error) if known else None
        self.turn = self._find_turn(bend)

    def _take(self, h: float) -> Rate:
        value = self.function(self.at + h)
        taken = (self.at + h) - self.at  # what is left of h beside the point's digits
        rate = (value - self.start) / taken if taken else math.nan
        return Rate(h, value, rate, abs(rate - self.slope))

    def _approach(self, side: float) -> float:
        """Return what the rates go to from one side: a number, an infinity, or NaN for nothing."""
        scale = max(1.0, abs(self.at))
        rates = [self._take(side * scale * 2.0**-j).rate for j in range(2, 45)]
        if not math.isfinite(self._take(side * scale * 2.0**-20).value):
            return math.nan
        # Twice the closer rate less the other one: the first term of the error goes.
        ends = [2 * near - far for far, near in pairwise(rates)]
        gaps = [abs(y - x) if math.isfinite(x + y) else math.inf for x, y in pairwise(ends)]
        best = min(range(len(gaps)), key=gaps.__getitem__)
        usual = abs(rates[0]) if math.isfinite(rates[0]) else 0.0
        if gaps[best] <= 1e-3 * max(abs(ends[best]), usual, 1e-12):
            return ends[best]
        return math.copysign(math.inf, rates[30])

    def _judge(self) -> str:
        if not math.isfinite(self.start):
            return "undefined"
        sides = [self.left, self.right]
        if any(map(math.isinf, sides)):
            return "jump" if self._jumps() else "vertical"
        defined = [s for s in sides if not math.isnan(s)]
        if len(defined) < 2:
            return "one_sided" if defined else "undefined"
        room = 1e-3 * max(1e-9, abs(self.left), abs(self.right))
        return "tangent" if abs(self.left - self.right) <= room else "corner"

    def _jumps(self) -> bool:
        """Return whether the value changes as much for a much smaller step."""
        scale = max(1.0, abs(self.at))
        for side in (-1.0, 1.0):
            far, near = (self._take(side * scale * h).value for h in (1e-6, 1e-11))
            if math.isfinite(near) and abs(near - self.start) > 0.5 * abs(far - self.start) > 0:
                return True
        return False

    def _find_turn(self, bend: float) -> float | None:
        """Return where the two parts of the error are equal: h |f''|/2 and 2 u |f|/h."""
        size = max(abs(self.start), abs(self.at * self.slope))
        if self.verdict != "tangent" or not math.isfinite(bend) or not bend or not size:
            return None
        return 2.0 * math.sqrt(_UNIT * size / abs(bend))

    def tell(self, lang: str) -> list[str | Table]:
        """Return the title, the table and what it shows."""
        formula = self.formula or say_in(_WORDS, "function", lang)
        title = say_in(_WORDS, "title", lang, variable=self.variable, formula=formula,
                       at=spell(self.at))  # fmt: skip
        if self.verdict == "undefined":
            return [title, say_in(_WORDS, "undefined", lang)]
        header = ["h", *(say_in(_WORDS, key, lang) for key in ("value", "rate", "error")), ""]
        rows: list[list[str]] = []
        for rate in self.rates:
            remark = ""
            if rate is self.best and self.verdict == "tangent" and len(self.rates) > 1:
                remark = say_in(_WORDS, "best", lang)
            elif self.turn is not None and abs(rate.h) < self.turn and rate.error > 0:
                remark = say_in(_WORDS, "rounding", lang)
            rows.append([spell(rate.h), spell(rate.value, 12), spell(rate.rate, 12),
                         spell(rate.error, 3), remark])  # fmt: skip
        parts: list[str | Table] = [title, Table(header, rows)]
        limit = self.right if math.isnan(self.left) else self.left
        parts.append(
            say_in(
                _WORDS,
                self.verdict,
                lang,
                slope=spell(self.slope, 12),
                left=spell(self.left),
                right=spell(self.right),
                limit=spell(limit),
            )
        )
        if self.turn is not None and self.verdict == "tangent":
            slope = spell(self.slope, 16)
            parts.append(say_in(_WORDS, "turn", lang, turn=spell(self.turn, 2), slope=slope))
        return parts

    def _shown(self) -> list[Rate]:
        """Return the steps whose secants are drawn."""
        return [r for r in self.rates if abs(r.h) >= 0.1 and math.isfinite(r.rate)][:3]

    def _frame(self) -> tuple[float, float]:
        widest = max((abs(r.h) for r in self._shown()), default=1.0)
        return self.at - 1.5 * widest, self.at + 1.5 * widest

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return the curve with its tangent and a secant, for a terminal."""
        left, right = self._frame()
        values = [self.function(float(x)) for x in np.linspace(left, right, 50)]
        bottom, top = find_frame(values)
        drawing = Sketch(width, height, left, right, bottom, top)
        drawing.curve(self.function)
        if math.isfinite(self.slope):
            drawing.curve(lambda x: self.start + self.slope * (x - self.at))
        for rate in self._shown()[:1]:
            drawing.mark(self.at + rate.h, rate.value, "o")
        drawing.mark(self.at, self.start, "●")
        return drawing.text()

    def picture(self, lang: str | None = None) -> Picture:
        """Return the curve with its secants and tangent, and the error against h."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import DASHES, MARKERS, PALETTE

        left, right = self._frame()
        xs = np.linspace(left, right, 400)
        with open_sheet(9.5, 4.2, lang or self.lang) as sheet:
            one, two = sheet.figure.subplots(1, 2)
            ys = np.array([self.function(float(x)) for x in xs])
            one.plot(
                xs, ys, color="#222222", linewidth=2, label=say_in(_WORDS, "curve", sheet.lang)
            )
            for i, rate in enumerate(self._shown()):
                label = say_in(_WORDS, "secant_line", sheet.lang, h=spell(rate.h),
                               rate=spell(rate.rate, 4))  # fmt: skip
                one.plot(xs, self.start + rate.rate * (xs - self.at), color=PALETTE[i + 1],
                         linestyle=DASHES[i + 1], linewidth=1.2, label=label)  # fmt: skip
                one.plot([self.at + rate.h], [rate.value], color=PALETTE[i + 1],
                         marker=MARKERS[i + 1], linestyle="")  # fmt: skip
            if math.isfinite(self.slope) and self.verdict in ("tangent", "corner"):
                label = say_in(_WORDS, "tangent_line", sheet.lang, slope=spell(self.slope, 4))
                one.plot(xs, self.start + self.slope * (xs - self.at), color=PALETTE[0],
                         linewidth=2.2, label=label)  # fmt: skip
            if math.isfinite(self.start):
                one.plot([self.at], [self.start], color=PALETTE[0], marker="o", linestyle="")
            bottom, top = find_frame([float(y) for y in ys])
            one.set_ylim(bottom, top)
            one.set_xlim(left, right)
            one.set_xlabel(self.variable)
            one.legend(fontsize=8)
            known = [r for r in self.rates if math.isfinite(r.error) and r.error > 0]
            if known:
                two.loglog([abs(r.h) for r in known], [r.error for r in known], marker="o",
                           color=PALETTE[1])  # fmt: skip
            if self.turn is not None:
                said = say_in(_WORDS, "turn_line", sheet.lang, turn=spell(self.turn, 2))
                two.axvline(self.turn, color=PALETTE[0], linestyle="--", linewidth=1.2, label=said)
                two.legend(fontsize=8)
            two.set_xlabel("h")
            two.set_ylabel(say_in(_WORDS, "error_axis", sheet.lang))
            return sheet.finish(say_in(_WORDS, "picture", lang or self.lang))


def limit(
    f: str | Callable[..., Any],
    at: Mapping[str, float] | float,
    *,
    h: float | Sequence[float] | None = None,
    wrt: str | None = None,
    lang: str = "en",
) -> Limit:
    """Return the average rate of change of a function as the step shrinks.

    Parameters
    ----------
    f : str, Formula or callable
        A formula, or a function of numbers.
    at : float, or mapping of str to float
        The point; a number will do for one variable.
    h : float, or sequence of float, optional
        The steps; not 0. By default from 1 down to 1e-15.
    wrt : str, optional
        The variable that moves; may be left out where there is one.
    lang : str
        "en" or "ko".

    Returns
    -------
    Limit

    Raises
    ------
    SpokenError
        If the point, the variable, a step or the language is not one there is.

    Source: Higham (2002), Accuracy and stability of numerical algorithms, section 1.14, for the
    step below which rounding takes over.

    Examples
    --------
    >>> [rate.rate for rate in limit("(w-3)^2", 3, h=1.0).rates]
    [1.0]
    """
    check_lang("limit", lang)
    function, names = read_request("limit", f)
    variable = choose_variable("limit", names, wrt)
    point = read_point("limit", at, names)
    assert point is not None
    steps = list(LADDER) if h is None else [h] if isinstance(h, (int, float)) else list(h)
    for step in steps:
        if not math.isfinite(step) or step == 0:
            raise refuse("limit", "number", name="h", found=repr(step))
    place = names.index(variable)

    def along(x: float) -> float:
        given = [as_value_in(point[name], _DOUBLE) for name in names]
        given[place] = as_value_in(float(x), _DOUBLE)
        kept = hush()
        try:
            return float(function(*given))
        finally:
            restore(kept)

    slopes = [measure_slope(function, names, variable, order, point) for order in (1, 2)]
    formula = str(f) if not callable(f) or hasattr(f, "syntax") else ""
    return Limit(along, formula, variable, point[variable], [float(x) for x in steps],
                 (slopes[0], slopes[1]), lang)  # fmt: skip
