"""Activations: any of `slopewise.nn` beside its derivative, with the ranges where it learns little.

Invariant: slopes are the engine's; a range counts as saturated where the slope stays below
`SATURATED`, and as dead where it is exactly 0. It is separate, as every explorer, because it is one
picture with its words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slopewise import nn
from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.explorers.sampling import read_numbers, sample
from slopewise.explain.requests import check_choice, check_lang
from slopewise.explain.sketch import Sketch, find_frame

if TYPE_CHECKING:
    from slopewise.drawing import Picture

SATURATED = 0.05
"""A slope below this, of either sign, passes next to nothing on."""
EDGE = 10.0
"""How far out, on either side, an activation is looked at."""
NAMES = (
    "CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid",
    "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh",
    "Tanhshrink",
)  # fmt: skip
"""Activations that go number by number."""
_WORDS: Words = {
    "title": ("The activation {name} beside its derivative.",
              "활성화 함수 {name} 그리고 그 도함수."),
    "from": ("from", "시작"),
    "to": ("to", "끝"),
    "kind": ("slope", "기울기"),
    "saturated": ("saturated: below {limit}", "포화: {limit} 미만"),
    "dead": ("dead: exactly 0", "죽음: 정확히 0"),
    "flat": ("flat in passing: below {limit}", "잠시 평평함: {limit} 미만"),
    "ranges": ("Where little of a gradient passes, between {low} and {high}:",
               "{low}부터 {high}까지 가운데 기울기가 거의 지나가지 못하는 곳:"),
    "none": ("The slope is at least {limit} everywhere between {low} and {high}.",
             "{low}부터 {high}까지 어디서나 기울기가 {limit} 이상입니다."),
    "most": ("The largest slope is {most}, at x = {at}; at 0 it is {zero}.",
             "가장 큰 기울기: {most}, 위치: x = {at}. 0에서의 기울기: {zero}."),
    "most_often": ("The largest slope is {most}, over a whole range; at 0 it is {zero}.",
                   "가장 큰 기울기: {most}, 한 범위 전체에서 같습니다. 0에서의 기울기: {zero}."),
    "dead_units": (
        "A unit whose input stays in the dead range for all the data gets no gradient at all and "
        "never comes back.",
        "모든 데이터에서 입력이 죽은 범위에 있는 단위는 기울기를 전혀 받지 못하여 되살아나지 "
        "못합니다.",
    ),
    "curve": ("{name}", "{name}"),
    "slope": ("its derivative", "도함수"),
    "shade": ("saturated", "포화"),
    "shade_dead": ("dead", "죽음"),
    "picture": ("The activation and its derivative, its saturated ranges shaded.",
                "활성화 함수와 그 도함수. 포화한 범위에 음영을 넣었습니다."),
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """A range where the slope stays small.

    Attributes
    ----------
    start, stop : float
        Infinite where it goes on beyond what was looked at.
    kind : {'saturated', 'dead', 'flat'}
        Flat in passing is a range with steeper ones on both sides.
    """

    start: float
    stop: float
    kind: str


class ActivationCard(Account):
    """An activation beside its derivative.

    Attributes
    ----------
    name : str
    points : list of float
    values, slopes : numpy.ndarray
        At the points.
    ranges : tuple of Range
        Where the slope stays below 0.05.

    Examples
    --------
    >>> card = explore_activation("ReLU")
    >>> card.ranges
    (Range(start=-inf, stop=0.0, kind='dead'),)
    """

    def __init__(
        self, name: str, function: Callable[[Any], Any], points: Sequence[float], lang: str
    ) -> None:
        self.name = name
        self.function = function
        self.points = list(points)
        self.lang = lang
        self.values, self.slopes = sample(function, self.points)
        self.ranges = find_ranges(function)
        self._xs = np.linspace(-EDGE, EDGE, 4001)
        self._curve, self._slopes = sample(function, self._xs)

    def tell(self, lang: str) -> list[str | Table]:
        """Return values and slopes, the largest slope, and the ranges of small ones."""
        rows = [
            [spell(x), spell(float(v)), spell(float(s))]
            for x, v, s in zip(self.points, self.values, self.slopes, strict=True)
        ]
        steepest = int(np.argmax(np.abs(self._slopes)))
        often = np.isclose(self._slopes, self._slopes[steepest], rtol=1e-9).sum() > 20
        zero = float(sample(self.function, [0.0])[1][0])
        parts: list[str | Table] = [
            say_in(_WORDS, "title", lang, name=self.name),
            Table(["x", "φ(x)", "φ'(x)"], rows),
            say_in(_WORDS, "most_often" if often else "most", lang,
                   most=spell(float(self._slopes[steepest]), 4),
                   at=spell(float(self._xs[steepest]), 3), zero=spell(zero, 4)),
        ]  # fmt: skip
        edges = {"low": spell(-EDGE), "high": spell(EDGE), "limit": spell(SATURATED)}
        if not self.ranges:
            return [*parts, say_in(_WORDS, "none", lang, **edges)]
        found = [
            [_spell_end(r.start), _spell_end(r.stop), say_in(_WORDS, r.kind, lang, **edges)]
            for r in self.ranges
        ]
        header = [say_in(_WORDS, key, lang) for key in ("from", "to", "kind")]
        parts += [say_in(_WORDS, "ranges", lang, **edges), Table(header, found)]
        if any(r.kind == "dead" for r in self.ranges):
            parts.append(say_in(_WORDS, "dead_units", lang))
        return parts

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return the curve and its derivative."""
        near = np.abs(self._xs) <= 5
        bottom, top = find_frame([*self._curve[near].tolist(), *self._slopes[near].tolist()])
        drawing = Sketch(width, height, -5.0, 5.0, bottom, top)
        for values in (self._curve, self._slopes):
            for x, y in zip(self._xs[near], values[near], strict=True):
                drawing.dot(float(x), float(y))
        return drawing.text()

    def picture(self, lang: str | None = None) -> Picture:
        """Return the curve and its derivative, ranges of small slopes shaded."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import PALETTE

        with open_sheet(6.4, 4.4, lang or self.lang) as sheet:
            axes: Any = sheet.figure.subplots()
            near = np.abs(self._xs) <= 8
            axes.plot(self._xs[near], self._curve[near], color=PALETTE[0], label=self.name)
            axes.plot(self._xs[near], self._slopes[near], color=PALETTE[1], linestyle="--",
                      label=say_in(_WORDS, "slope", sheet.lang))  # fmt: skip
            said: set[str] = set()
            for part in self.ranges:
                dead = part.kind == "dead"
                key = "shade_dead" if dead else "shade"
                label = say_in(_WORDS, key, sheet.lang) if key not in said else None
                said.add(key)
                axes.axvspan(max(-8.0, part.start), min(8.0, part.stop), facecolor="#888888",
                             alpha=0.35 if dead else 0.15, hatch="//" if dead else None,
                             edgecolor="#777777", linewidth=0, label=label)  # fmt: skip
            axes.axhline(0, color="#555555", linewidth=0.8)
            axes.set_xlim(-8, 8)
            axes.set_xlabel("x")
            axes.legend(fontsize=9)
            return sheet.finish(say_in(_WORDS, "picture", lang or self.lang))


def find_ranges(function: Callable[[Any], Any]) -> tuple[Range, ...]:
    """Return where the slope of an elementwise function stays below `SATURATED`.

    Parameters
    ----------
    function : callable
        Of a float64 tensor, elementwise.

    Returns
    -------
    tuple of Range

    Examples
    --------
    >>> import slopewise as sw
    >>> [(round(r.start, 3), round(r.stop, 3)) for r in find_ranges(sw.sigmoid)]
    [(-inf, -2.887), (2.887, inf)]
    """
    xs = np.linspace(-EDGE, EDGE, 4001)
    _, slopes = sample(function, xs)
    kinds = np.where(slopes == 0, 2, np.where(np.abs(slopes) < SATURATED, 1, 0))
    found: list[Range] = []
    start = 0
    for stop in range(1, len(xs) + 1):
        if stop < len(xs) and kinds[stop] == kinds[start]:
            continue
        kind = int(kinds[start])
        # A slope of 0 at a single point is a turning point, not a range.
        if kind and stop - start > 1:
            first = -np.inf if start == 0 else _find_edge(function, xs[start - 1], xs[start], kind)
            last = np.inf if stop == len(xs) else _find_edge(function, xs[stop], xs[stop - 1], kind)
            outer = start == 0 or stop == len(xs)
            beside = found and found[-1].kind == "dead"
            name = "dead" if kind == 2 else "saturated" if outer or beside else "flat"
            found.append(Range(float(first), float(last), name))
        start = stop
    return tuple(_join(found, float(xs[1] - xs[0])))


def _join(ranges: Sequence[Range], gap: float) -> list[Range]:
    """Return the ranges, flat ones that a single point of slope 0 tore apart put together."""
    joined: list[Range] = []
    for part in ranges:
        last = joined[-1] if joined else None
        if last and last.kind == part.kind == "flat" and part.start - last.stop <= 2 * gap:
            joined[-1] = Range(last.start, part.stop, "flat")
        else:
            joined.append(part)
    return joined


def _find_edge(function: Callable[[Any], Any], outside: float, inside: float, kind: int) -> float:
    """Return where a range begins, between a point outside and one inside of it."""
    for _ in range(40):
        middle = 0.5 * (outside + inside)
        (slope,) = sample(function, [middle])[1]
        small = slope == 0 if kind == 2 else abs(slope) < SATURATED
        outside, inside = (outside, middle) if small else (middle, inside)
    edge = 0.5 * (outside + inside)
    return round(edge, 9) + 0.0


def find_activation(activation: str | Callable[[Any], Any]) -> tuple[str, Callable[[Any], Any]]:
    """Return the name and the function of an activation.

    Raises
    ------
    SpokenError
        If there is none of that name; it says which is near.

    Examples
    --------
    >>> find_activation("leaky_relu")[0]
    'LeakyReLU'
    """
    if not isinstance(activation, str):
        name = getattr(activation, "__name__", type(activation).__name__)
        return name, activation
    plain = {name.lower(): name for name in NAMES}
    asked = activation.lower().replace("_", "")
    if asked in plain:
        return plain[asked], getattr(nn, plain[asked])()
    check_choice("explore_activation", "activation", asked, plain)
    raise AssertionError(activation)


def explore_activation(
    activation: str | Callable[[Any], Any],
    points: Sequence[float] = (-4, -2, -1, 0, 1, 2, 4),
    *,
    lang: str = "en",
) -> ActivationCard:
    """Return an activation beside its derivative, with the ranges where it saturates or is dead.

    Parameters
    ----------
    activation : str, Module or callable
        The name of one in `slopewise.nn`, as "GELU" or "leaky_relu"; or a function or module that
        goes number by number.
    points : sequence of float
        Where values and slopes are told.
    lang : str
        "en" or "ko".

    Returns
    -------
    ActivationCard

    Raises
    ------
    SpokenError
        If there is no such activation or language, or a point is no finite number.

    Examples
    --------
    >>> explore_activation("tanh").slopes.tolist()[3]
    1.0
    """
    check_lang("explore_activation", lang)
    name, function = find_activation(activation)
    return ActivationCard(name, function, read_numbers("explore_activation", "points", points),
                          lang)  # fmt: skip


def _spell_end(end: float) -> str:
    """Return an end of a range, which may be infinite."""
    return spell(end, 4).replace("inf", "∞")
