"""Softmax with temperature: from nearly even shares to nearly all on the largest score.

Invariant: shares and their derivatives are the engine's. It is separate, as every explorer, because
it is one picture with its words.

Source: Hinton, Vinyals & Dean (2015), Distilling the knowledge in a neural network, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import slopewise as sw
from slopewise._core.aval import DTYPES
from slopewise._front.operands import as_value_in
from slopewise._transform.gradients import jacobian
from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.explorers.sampling import read_numbers
from slopewise.explain.requests import check_lang, refuse

if TYPE_CHECKING:
    from slopewise.drawing import Picture

_BAR = 24
_WORDS: Words = {
    "title": ("softmax(z/T) of the scores {scores}, at several temperatures T.",
              "여러 온도 T에서의 softmax(z/T). 점수: {scores}."),
    "share": ("p{i} (z = {z})", "p{i} (z = {z})"),
    "sum": ("sum", "합"),
    "entropy": ("entropy / ln n", "엔트로피 / ln n"),
    "shares": (
        "The shares are positive and sum to 1 at every temperature. A low one sharpens them "
        "towards the largest score, a high one evens them out; the order never changes.",
        "어느 온도에서든 몫은 양수이고 합은 1입니다. 온도가 낮으면 가장 큰 점수로 쏠리고, 높으면 "
        "고르게 됩니다. 순서는 바뀌지 않습니다.",
    ),
    "jacobian": ("The derivatives dp_i/dz_j at T = {t}: (diag(p) - p pᵀ)/T.",
                 "T = {t}에서의 도함수 dp_i/dz_j: (diag(p) - p pᵀ)/T."),
    "rows": (
        "Each row sums to 0: what one share gains the others lose. On the diagonal p(1 - p)/T, "
        "never above 1/(4T), as for the sigmoid.",
        "줄마다 합이 0입니다. 한 몫이 늘면 다른 몫이 그만큼 줄어듭니다. 대각선의 값은 p(1 - p)/T "
        "꼴이며, 시그모이드와 같은 까닭으로 한계가 있습니다. 그 한계: 1/(4T).",
    ),
    "axis": ("temperature T", "온도 T"),
    "picture": ("The shares against the temperature.", "온도에 따른 몫."),
}  # fmt: skip


class Temperatures(Account):
    """Softmax of the same scores at several temperatures.

    Attributes
    ----------
    scores, temperatures : list of float
    shares : numpy.ndarray, shape (temperatures, scores)
    jacobian : numpy.ndarray, shape (scores, scores)
        The engine's derivatives of the shares, at the temperature `shown`.
    shown : float

    Examples
    --------
    >>> found = explore_softmax([0, 0])
    >>> found.shares[0].tolist(), found.jacobian.tolist()
    ([0.5, 0.5], [[0.25, -0.25], [-0.25, 0.25]])
    """

    def __init__(self, scores: Sequence[float], temperatures: Sequence[float], lang: str) -> None:
        self.scores, self.temperatures = list(scores), list(temperatures)
        self.lang = lang
        self.shares = np.array([self._share(t) for t in temperatures])
        self.shown = 1.0 if 1.0 in self.temperatures else self.temperatures[0]
        given = as_value_in(np.array(self.scores), DTYPES["float64"])

        def share(z: Any) -> Any:
            return sw.softmax(z / self.shown, 0)

        self.jacobian: Any = np.asarray(jacobian(share)(given))

    def _share(self, temperature: float) -> Any:
        given = as_value_in(np.array(self.scores), DTYPES["float64"])
        return np.asarray(sw.softmax(given / temperature, 0))

    def tell(self, lang: str) -> list[str | Table]:
        """Return the shares by temperature, and their derivatives."""
        names = [say_in(_WORDS, "share", lang, i=i, z=spell(z))
                 for i, z in enumerate(self.scores, 1)]  # fmt: skip
        most = math.log(len(self.scores)) if len(self.scores) > 1 else 1.0
        header = ["T", *names, say_in(_WORDS, "sum", lang), say_in(_WORDS, "entropy", lang)]
        rows: list[list[str]] = []
        for temperature, p in zip(self.temperatures, self.shares, strict=True):
            entropy = -sum(x * math.log(x) for x in p.tolist() if x > 0) / most
            rows.append([spell(temperature), *(spell(float(x), 4) for x in p),
                         spell(float(p.sum())), spell(abs(entropy), 4)])  # fmt: skip
        short = [f"z{j}" for j in range(1, len(self.scores) + 1)]
        matrix = [[f"p{i}", *(spell(float(x), 4) for x in row)]
                  for i, row in enumerate(self.jacobian, 1)]  # fmt: skip
        scores = ", ".join(spell(z) for z in self.scores)
        return [
            say_in(_WORDS, "title", lang, scores=scores), Table(header, rows),
            say_in(_WORDS, "shares", lang), say_in(_WORDS, "jacobian", lang, t=spell(self.shown)),
            Table(["", *short], matrix), say_in(_WORDS, "rows", lang),
        ]  # fmt: skip

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return the shares as bars, a line for each temperature and score."""
        del width, height
        rows: list[str] = []
        for temperature, p in zip(self.temperatures, self.shares, strict=True):
            rows.append(f"T = {spell(temperature)}")
            rows += [f"  p{i} {'█' * round(_BAR * float(x))} {spell(float(x), 3)}"
                     for i, x in enumerate(p, 1)]  # fmt: skip
        return "\n".join(rows)

    def picture(self, lang: str | None = None) -> Picture:
        """Return the shares against the temperature."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import DASHES, MARKERS, PALETTE

        with open_sheet(6.4, 4.2, lang or self.lang) as sheet:
            axes: Any = sheet.figure.subplots()
            low, high = min(self.temperatures), max(self.temperatures)
            span = np.geomspace(low / 2, high * 2, 120)
            curves = np.array([self._share(float(t)) for t in span])
            for i, score in enumerate(self.scores):
                look = {"color": PALETTE[i % len(PALETTE)]}
                axes.plot(span, curves[:, i], linestyle=DASHES[i % len(DASHES)],
                          label=f"z = {spell(score)}", **look)  # fmt: skip
                axes.plot(self.temperatures, self.shares[:, i], linestyle="",
                          marker=MARKERS[i % len(MARKERS)], **look)  # fmt: skip
            axes.axhline(1 / len(self.scores), color="#888888", linestyle=":", linewidth=1.0)
            axes.set_xscale("log")
            axes.minorticks_off()
            axes.set_xticks(self.temperatures, [spell(t) for t in self.temperatures])
            axes.set_ylim(-0.02, 1.02)
            axes.set_xlabel(say_in(_WORDS, "axis", sheet.lang))
            axes.set_ylabel("p")
            axes.legend(fontsize=9)
            return sheet.finish(say_in(_WORDS, "picture", lang or self.lang))


def explore_softmax(
    scores: Sequence[float] = (2, 1, 0.1),
    temperatures: Sequence[float] = (0.25, 0.5, 1, 2, 4),
    *,
    lang: str = "en",
) -> Temperatures:
    """Return the softmax of scores at several temperatures, and its derivatives.

    Parameters
    ----------
    scores : sequence of float
    temperatures : sequence of float
        Each above 0.
    lang : str
        "en" or "ko".

    Returns
    -------
    Temperatures

    Raises
    ------
    SpokenError
        If a score is no finite number, a temperature is not above 0, or there is no such language.

    Examples
    --------
    >>> [round(float(x), 3) for x in explore_softmax([2, 1, 0.1], [1]).shares[0]]
    [0.659, 0.242, 0.099]
    """
    check_lang("explore_softmax", lang)
    given = read_numbers("explore_softmax", "scores", scores)
    heat = read_numbers("explore_softmax", "temperatures", temperatures)
    if min(heat) <= 0:
        raise refuse("explore_softmax", "positive", name="temperatures", found=min(heat))
    return Temperatures(given, heat, lang)
