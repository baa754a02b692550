"""The exponential function beside x squared and sin x: it alone is its own derivative.

Invariant: values and slopes are the engine's, and the rules are read off derivations. It is
separate, as every explorer, because it is one picture with its words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import slopewise as sw
from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.explanation import derivation
from slopewise.explain.explorers.sampling import read_numbers, sample
from slopewise.explain.requests import check_lang
from slopewise.explain.sketch import Sketch

if TYPE_CHECKING:
    from slopewise.drawing import Picture

FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "x^2": lambda x: x * x,
    "sin(x)": sw.sin,
    "exp(x)": sw.exp,
}
BASES = (2.0, math.e, 3.0, 10.0)
_WORDS: Words = {
    "title": ("The exponential function is its own derivative.",
              "지수함수의 도함수는 자기 자신입니다."),
    "function": ("f(x)", "f(x)"),
    "derivative": ("f'(x)", "f'(x)"),
    "values": ("Values and slopes:", "함숫값과 기울기:"),
    "own": (
        "Of the three only e^x has slopes that are its values, at every point: the largest "
        "difference over the table is {gap}.",
        "세 함수 가운데 e^x 함수만 모든 점에서 기울기와 함숫값이 같습니다. 표에서 가장 큰 차이: "
        "{gap}.",
    ),
    "bases": ("Other bases a, and the slope of a^x at 0:",
              "다른 밑 a, 그리고 x = 0에서 a^x 함수의 기울기:"),
    "base_slope": ("slope at 0", "0에서의 기울기"),
    "remark": (
        "e is convenient, not necessary: a^x is as smooth for every base a > 0, and its derivative "
        "is itself times the constant ln a. For e that constant is 1.",
        "밑으로 자연상수를 쓰면 편리할 뿐, 꼭 그래야 하는 것은 아닙니다. 밑 a > 0 값이 무엇이든 "
        "a^x 함수는 똑같이 매끄럽습니다. 그 도함수는 자기 자신에 상수를 곱한 것입니다. 곱하는 "
        "상수: ln a. 밑이 자연상수이면 이 상수가 1입니다.",
    ),
    "line": ("tangent at x = {at}, slope {slope}", "x = {at}에서의 접선, 기울기 {slope}"),
    "slope_axis": ("slope", "기울기"),
    "value_axis": ("value", "함숫값"),
    "same": ("slope equals value", "기울기 = 함숫값"),
    "picture": (
        "The curve of exp with its tangents; beside it the slope against the value: a straight "
        "line for exp only.",
        "접선을 그은 지수함수, 그리고 함숫값에 대한 기울기. 지수함수만 직선이 됩니다.",
    ),
}  # fmt: skip


class Exponential(Account):
    """x squared, sin x and e^x with their slopes, and a^x for several bases.

    Attributes
    ----------
    points : list of float
    values, slopes : dict of str to numpy.ndarray
        By formula, at the points.
    bases : dict of float to float
        The slope of a^x at 0, by base.

    Examples
    --------
    >>> found = explore_exp([0, 1])
    >>> found.values["exp(x)"].tolist() == found.slopes["exp(x)"].tolist()
    True
    """

    def __init__(self, points: Sequence[float], lang: str) -> None:
        self.points = list(points)
        self.lang = lang
        self.values: dict[str, Any] = {}
        self.slopes: dict[str, Any] = {}
        self.rules: dict[str, str] = {}
        for formula, function in FUNCTIONS.items():
            self.values[formula], self.slopes[formula] = sample(function, self.points)
            self.rules[formula] = derivation(formula).result
        self.bases = {a: float(sample(lambda x, a=a: sw.pow(a, x), [0.0])[1][0]) for a in BASES}

    def tell(self, lang: str) -> list[str | Table]:
        """Return the rules, the values and slopes, and what they show."""
        parts: list[str | Table] = [say_in(_WORDS, "title", lang)]
        parts.append(Table(
            [say_in(_WORDS, "function", lang), say_in(_WORDS, "derivative", lang)],
            [[formula, self.rules[formula]] for formula in FUNCTIONS],
        ))  # fmt: skip
        header = ["x"]
        for formula in FUNCTIONS:
            header += [formula, f"({formula})'"]
        rows = [
            [spell(x), *(spell(float(column[i])) for f in FUNCTIONS
                         for column in (self.values[f], self.slopes[f]))]
            for i, x in enumerate(self.points)
        ]  # fmt: skip
        gap = float(np.max(np.abs(self.values["exp(x)"] - self.slopes["exp(x)"])))
        parts += [say_in(_WORDS, "values", lang), Table(header, rows)]
        parts.append(say_in(_WORDS, "own", lang, gap=spell(gap)))
        bases = [[_name(a), spell(slope), spell(math.log(a))] for a, slope in self.bases.items()]
        parts += [say_in(_WORDS, "bases", lang),
                  Table(["a", say_in(_WORDS, "base_slope", lang), "ln a"], bases),
                  say_in(_WORDS, "remark", lang)]  # fmt: skip
        return parts

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return e^x with its tangent at 0."""
        drawing = Sketch(width, height, -3.0, 2.0, -0.5, 7.5)
        drawing.curve(math.exp)
        drawing.line((-3.0, -2.0), (2.0, 3.0), 4)
        drawing.mark(0.0, 1.0, "●")
        return drawing.text()

    def picture(self, lang: str | None = None) -> Picture:
        """Return e^x with tangents, and slopes against values of all three."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import DASHES, PALETTE

        with open_sheet(9.5, 4.2, lang or self.lang) as sheet:
            places: Any = sheet.figure.subplots(1, 2)
            one, two = places
            xs = np.linspace(-3.0, 2.0, 300)
            values, _ = sample(sw.exp, xs)
            one.plot(xs, values, color="#222222", linewidth=2, label="exp(x)")
            for i, at in enumerate((-1.0, 0.0, 1.0)):
                value, slope = (float(found[0]) for found in sample(sw.exp, [at]))
                label = say_in(_WORDS, "line", sheet.lang, at=spell(at), slope=spell(slope, 4))
                one.plot(xs, value + slope * (xs - at), color=PALETTE[i], label=label,
                         linestyle=DASHES[i + 1], linewidth=1.3)  # fmt: skip
                one.plot([at], [value], color=PALETTE[i], marker="o")
            one.set_ylim(-0.5, 7.5)
            one.set_xlabel("x")
            one.legend(fontsize=8)
            for i, (name, function) in enumerate(FUNCTIONS.items()):
                values, slopes = sample(function, np.linspace(-2.0, 2.0, 200))
                two.plot(values, slopes, color=PALETTE[i], linestyle=DASHES[(2 - i) % 3],
                         label=name)  # fmt: skip
            two.set_xlabel(say_in(_WORDS, "value_axis", sheet.lang))
            two.set_ylabel(say_in(_WORDS, "slope_axis", sheet.lang))
            two.legend(fontsize=9)
            return sheet.finish(say_in(_WORDS, "picture", lang or self.lang))


def _name(base: float) -> str:
    return "e" if base == math.e else spell(base)


def explore_exp(points: Sequence[float] = (-2, -1, 0, 1, 2, 3), *, lang: str = "en") -> Exponential:
    """Return x squared, sin x and e^x beside their derivatives: the last is its own.

    Parameters
    ----------
    points : sequence of float
        Where values and slopes are compared.
    lang : str
        "en" or "ko".

    Returns
    -------
    Exponential

    Raises
    ------
    SpokenError
        If a point is no finite number, or there is no such language.

    Examples
    --------
    >>> explore_exp().bases[2.0] == math.log(2)
    True
    """
    check_lang("explore_exp", lang)
    return Exponential(read_numbers("explore_exp", "points", points), lang)
