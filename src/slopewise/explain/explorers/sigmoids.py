"""The sigmoid with its derivative, which is never above a quarter, and sigmoids of other slopes.

Invariant: slopes are the engine's; the bound is what the formula says, checked against them. It is
separate, as every explorer, because it is one picture with its words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import slopewise as sw
from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.explorers.sampling import read_numbers, sample
from slopewise.explain.requests import check_lang, refuse
from slopewise.explain.sketch import Sketch

if TYPE_CHECKING:
    from slopewise.drawing import Picture

_RISE = 2 * math.log(9)
"""What k x moves while the sigmoid of k x goes from 0.1 to 0.9."""
_WORDS: Words = {
    "title": ("The sigmoid, σ(x) = 1/(1 + e^(-x)), and its derivative σ(x)(1 - σ(x)).",
              "시그모이드 σ(x) = 1/(1 + e^(-x)), 그리고 그 도함수 σ(x)(1 - σ(x))."),
    "bound": (
        "The derivative is never above a quarter: σ(1 - σ) = 1/4 - (σ - 1/2)^2, which is 1/4 where "
        "σ is 1/2, at x = 0, and less everywhere else. The largest slope of the table is {most}.",
        "도함수의 최댓값은 4분의 1입니다: σ(1 - σ) = 1/4 - (σ - 1/2)^2. 최댓값을 갖는 "
        "곳은 x = 0 지점이고, 다른 곳에서는 더 작습니다. 표에서 가장 큰 기울기: {most}.",
    ),
    "sides": (
        "σ(-x) = 1 - σ(x), so the slope is the same on both sides. Far to the right σ rounds to 1, "
        "and σ(1 - σ) written out gives 0; the engine's derivative keeps its digits there: {slope} "
        "at x = 20, as at -20.",
        "σ(-x) = 1 - σ(x) 관계가 성립하므로 기울기는 양쪽이 같습니다. 오른쪽 멀리에서는 반올림한 σ "
        "값이 1이므로 σ(1 - σ) 식을 그대로 계산한 값은 0입니다. 엔진의 도함수는 그곳에서도 "
        "자릿수를 지킵니다. x = 20, x = -20 두 점의 기울기: {slope}.",
    ),
    "written": ("σ(1 - σ) in float32", "σ(1 - σ), float32 계산"),
    "quarter": ("a quarter", "1/4"),
    "picture": ("The sigmoid and its derivative, which stays under a quarter.",
                "시그모이드와 그 도함수. 최댓값은 4분의 1입니다."),
    "family": ("A family of sigmoids, σ(k x), from flat to steep.",
               "기울기가 다른 시그모이드의 모임 σ(k x)."),
    "steepest": ("slope at 0, k/4", "0에서의 기울기 k/4"),
    "rise": ("from 0.1 to 0.9", "0.1에서 0.9까지의 너비"),
    "area": ("area under the slope", "도함수 아래의 넓이"),
    "trade": (
        "By the chain rule the slope is k times steeper at 0 and the rise k times narrower: a "
        "steep sigmoid has a large derivative in a small place, and next to none elsewhere. As k "
        "grows it turns into a step, whose derivative is 0 wherever there is one.",
        "합성함수의 미분법에 따라 0에서의 기울기는 k배, 올라가는 너비는 1/k배가 됩니다. 가파른 "
        "시그모이드는 좁은 곳에서만 도함수가 크고 다른 곳에서는 거의 0입니다. k 값이 커질수록 계단 "
        "함수에 가까워지며, 계단 함수의 도함수는 있는 곳마다 0입니다.",
    ),
    "family_picture": ("Sigmoids of several slopes, and their derivatives.",
                       "기울기가 다른 시그모이드들과 그 도함수."),
}  # fmt: skip


class SigmoidCurve(Account):
    """The sigmoid and its derivative.

    Attributes
    ----------
    points : list of float
    values, slopes, written : numpy.ndarray
        σ and σ' at the points, and σ(1 - σ) as float32 computes it.

    Examples
    --------
    >>> found = explore_sigmoid([-20, 0, 20])
    >>> float(found.slopes[1]), bool(found.slopes[0] == found.slopes[2]), float(found.written[2])
    (0.25, True, 0.0)
    """

    def __init__(self, points: Sequence[float], lang: str) -> None:
        self.points = list(points)
        self.lang = lang
        self.values, self.slopes = sample(sw.sigmoid, self.points)
        single = np.asarray(sw.sigmoid(sw.tensor(self.points, dtype=sw.float32)))
        self.written: Any = single * (1 - single)

    def tell(self, lang: str) -> list[str | Table]:
        """Return values and slopes, the bound, and both sides."""
        rows = [
            [spell(x), spell(float(v)), spell(float(s)), spell(float(w))]
            for x, v, s, w in zip(self.points, self.values, self.slopes, self.written, strict=True)
        ]
        far = float(sample(sw.sigmoid, [20.0])[1][0])
        return [
            say_in(_WORDS, "title", lang),
            Table(["x", "σ(x)", "σ'(x)", say_in(_WORDS, "written", lang)], rows),
            say_in(_WORDS, "bound", lang, most=spell(float(np.max(self.slopes)))),
            say_in(_WORDS, "sides", lang, slope=spell(far)),
        ]

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return both curves."""
        drawing = Sketch(width, height, -8.0, 8.0, -0.05, 1.05)
        drawing.curve(lambda x: 1 / (1 + math.exp(-x)))
        drawing.curve(lambda x: float(sample(sw.sigmoid, [x])[1][0]))
        drawing.line((-8.0, 0.25), (8.0, 0.25), 8)
        return drawing.text()

    def picture(self, lang: str | None = None) -> Picture:
        """Return both curves and the bound."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import PALETTE

        with open_sheet(6.4, 4.2, lang or self.lang) as sheet:
            axes: Any = sheet.figure.subplots()
            xs = np.linspace(-8.0, 8.0, 400)
            values, slopes = sample(sw.sigmoid, xs)
            axes.plot(xs, values, color=PALETTE[0], label="σ(x)")
            axes.plot(xs, slopes, color=PALETTE[1], linestyle="--", label="σ'(x) = σ(x)(1 - σ(x))")
            axes.axhline(0.25, color="#555555", linestyle=":", linewidth=1.2,
                         label=say_in(_WORDS, "quarter", sheet.lang))  # fmt: skip
            axes.plot([0.0], [0.25], color=PALETTE[1], marker="o", linestyle="")
            axes.set_xlabel("x")
            axes.legend(fontsize=9)
            return sheet.finish(say_in(_WORDS, "picture", lang or self.lang))


class Family(Account):
    """Sigmoids of several slopes.

    Attributes
    ----------
    factors : list of float
        k of σ(k x).
    steepest : dict of float to float
        The engine's slope at 0, by factor.

    Examples
    --------
    >>> explore_slopes([1, 4]).steepest
    {1.0: 0.25, 4.0: 1.0}
    """

    def __init__(self, factors: Sequence[float], lang: str) -> None:
        self.factors = list(factors)
        self.lang = lang
        self.steepest = {k: float(self._sample(k, [0.0])[1][0]) for k in factors}

    def _sample(self, factor: float, xs: Any) -> tuple[Any, Any]:
        return sample(lambda x: sw.sigmoid(factor * x), xs)

    def tell(self, lang: str) -> list[str | Table]:
        """Return slope and width of each, and what one costs the other."""
        rows = [[spell(k), spell(slope), spell(_RISE / k, 4)] for k, slope in self.steepest.items()]
        header = ["k", say_in(_WORDS, "steepest", lang), say_in(_WORDS, "rise", lang)]
        return [say_in(_WORDS, "family", lang), Table(header, rows), say_in(_WORDS, "trade", lang)]

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return the curves."""
        drawing = Sketch(width, height, -6.0, 6.0, -0.05, 1.05)
        for k in self.factors:
            drawing.curve(lambda x, k=k: 0.5 + 0.5 * math.tanh(0.5 * k * x))
        return drawing.text()

    def picture(self, lang: str | None = None) -> Picture:
        """Return the curves, and their derivatives."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import DASHES, PALETTE

        with open_sheet(9.5, 4.0, lang or self.lang) as sheet:
            places: Any = sheet.figure.subplots(1, 2)
            one, two = places
            xs = np.linspace(-6.0, 6.0, 400)
            for i, k in enumerate(self.factors):
                values, slopes = self._sample(k, xs)
                look = {"color": PALETTE[i % len(PALETTE)], "linestyle": DASHES[i % len(DASHES)]}
                one.plot(xs, values, label=f"k = {spell(k)}", **look)
                two.plot(xs, slopes, **look)
            one.set_ylabel("σ(k x)")
            two.set_ylabel("k σ'(k x)")
            for axes in (one, two):
                axes.set_xlabel("x")
            one.legend(fontsize=9)
            return sheet.finish(say_in(_WORDS, "family_picture", lang or self.lang))


def explore_sigmoid(
    points: Sequence[float] = (-20, -4, -2, 0, 2, 4, 20), *, lang: str = "en"
) -> SigmoidCurve:
    """Return the sigmoid and its derivative, which is never above a quarter.

    Parameters
    ----------
    points : sequence of float
    lang : str
        "en" or "ko".

    Returns
    -------
    SigmoidCurve

    Raises
    ------
    SpokenError
        If a point is no finite number, or there is no such language.

    Examples
    --------
    >>> [round(float(v), 3) for v in explore_sigmoid([-2, 0, 2]).values]
    [0.119, 0.5, 0.881]
    """
    check_lang("explore_sigmoid", lang)
    return SigmoidCurve(read_numbers("explore_sigmoid", "points", points), lang)


def explore_slopes(factors: Sequence[float] = (0.5, 1, 2, 5), *, lang: str = "en") -> Family:
    """Return sigmoids σ(k x) of several slopes, and what a steep one costs.

    Parameters
    ----------
    factors : sequence of float
        k, each above 0.
    lang : str
        "en" or "ko".

    Returns
    -------
    Family

    Raises
    ------
    SpokenError
        If a factor is no finite number above 0, or there is no such language.

    Examples
    --------
    >>> explore_slopes([2]).steepest[2.0]
    0.5
    """
    check_lang("explore_slopes", lang)
    numbers = read_numbers("explore_slopes", "factors", factors)
    if min(numbers) <= 0:
        raise refuse("explore_slopes", "positive", name="factors", found=min(numbers))
    return Family(numbers, lang)
