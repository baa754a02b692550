"""Diagrams: boxes and arrows, placed in layers by a layout library.

Invariant: an arrow that crosses a layer passes between its boxes; where a box stands depends on the
graph alone. It is separate from what the boxes say.

Source: Sugiyama, Tagawa & Toda (1981), Methods for visual understanding of hierarchical system
structures, for the layers; the library follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from slopewise.drawing.picture import Picture, open_sheet
from slopewise.drawing.settings import PALETTE

_LINE = 0.19
"""Height of a line of text, in inches."""
_LETTER = 0.082
"""Width of a column of text, in inches."""
_ROOM = 0.45
"""Between boxes side by side; a label of an arrow fits under a box."""
_DROP = 0.62
"""Between layers."""
_LONGEST = 34
"""Columns of a line; longer ones are cut."""


@dataclass(frozen=True)
class Box:
    """A box of a diagram.

    Attributes
    ----------
    lines : tuple of str
        The first is darker.
    kind : {'root', 'plain', 'leaf'}
    """

    lines: tuple[str, ...]
    kind: str = "plain"


@dataclass(frozen=True)
class Arrow:
    """An arrow between two boxes, by their numbers, with a label."""

    start: int
    stop: int
    label: str = ""


def place_boxes(count: int, arrows: Sequence[Arrow]) -> tuple[list[Any], dict[Any, list[Any]]]:
    """Return where boxes stand, and the corners that arrows pass.

    Parameters
    ----------
    count : int
        How many boxes.
    arrows : sequence of Arrow
        Without a cycle.

    Returns
    -------
    list of (float, int)
        Place across, and layer from the bottom, for each box.
    dict of (int, int) to list of (float, int)
        The places between layers that an arrow passes, by its ends.

    Examples
    --------
    >>> places, _ = place_boxes(3, [Arrow(0, 1), Arrow(1, 2)])
    >>> [layer for _, layer in places]
    [2, 1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = list(dict.fromkeys((a.start, a.stop) for a in arrows))
    starts, stops = [a for a, _ in pairs], [b for _, b in pairs]
    tied = coo_array((np.ones(len(pairs)), (starts, stops)), shape=(count, count))
    _, pieces = connected_components(tied, directed=False)
    places: dict[int, tuple[float, int]] = {}
    routes: dict[Any, list[Any]] = {pair: [] for pair in pairs}
    offset = 0.0
    for piece in dict.fromkeys(int(pieces[a]) for a in starts):
        offset = _place_piece([p for p in pairs if pieces[p[0]] == piece], offset, places, routes)
    for node in range(count):
        if node not in places:
            places[node] = (offset, 0)
            offset += 1
    return [places[node] for node in range(count)], routes


def _place_piece(
    pairs: list[tuple[int, int]], offset: float, places: dict[int, tuple[float, int]],
    routes: dict[Any, list[Any]],
) -> float:  # fmt: skip
    """Place boxes that hang together, and return where the next ones may stand.

    One piece at a time: the library numbers the corners of arrows on from the boxes of a piece, and
    would give them the numbers of other pieces' boxes.
    """
    from fast_sugiyama import from_edges

    tied = sorted({box for pair in pairs for box in pair})
    short = {box: i for i, box in enumerate(tied)}
    found: Any = from_edges(
        [(short[a], short[b]) for a, b in pairs], vertex_spacing=1, dummy_vertices=True,
        dummy_size=1, ranking_type="minimize", crossing_minimization="barycenter",
    )  # fmt: skip
    ((positions, _, _, edges),) = found
    left = min(x for _, (x, _) in positions)
    here: dict[Any, tuple[float, int]] = {
        node: (x - left + offset, round(y)) for node, (x, y) in positions
    }
    places.update({tied[node]: place for node, place in here.items() if node < len(tied)})
    following: dict[Any, Any] = {a: b for a, b in edges or () if a >= len(tied)}
    for a, b in edges or ():
        if a >= len(tied) or b < len(tied):
            continue
        path: list[Any] = [b]
        while path[-1] >= len(tied):
            path.append(following[path[-1]])
        routes[tied[a], tied[path[-1]]] = [here[node] for node in path[:-1]]
    return max(x for x, _ in here.values()) + 1


def draw_diagram(
    boxes: Sequence[Box], arrows: Sequence[Arrow], lang: str, describe: Callable[[str], str]
) -> Picture:
    """Return a diagram.

    Parameters
    ----------
    boxes : sequence of Box
    arrows : sequence of Arrow
        Without a cycle.
    lang : {'en', 'ko'}
    describe : callable
        From the language that the labels are in to what is to be seen, in words.

    Returns
    -------
    Picture

    Examples
    --------
    >>> picture = draw_diagram([Box(("a",)), Box(("b",))], [Arrow(0, 1)], "en", lambda lang: "a, b")
    >>> picture.svg().count("<svg")
    1
    """
    places, routes = place_boxes(len(boxes), arrows)
    shown = [tuple(_cut(line) for line in box.lines) for box in boxes]
    wide = max((len(line) for lines in shown for line in lines), default=4) * _LETTER + 0.3
    tall = max((len(lines) for lines in shown), default=1) * _LINE + 0.16
    layers = 1 + max((y for _, y in places), default=0)
    across = [x for x, _ in places] + [x for route in routes.values() for x, _ in route]
    left, right = min(across, default=0.0), max(across, default=0.0)
    step, rise = wide + _ROOM, tall + _DROP
    width = (right - left) * step + wide + 0.4
    height = (layers - 1) * rise + tall + 0.4

    def put(place: tuple[float, int]) -> tuple[float, float]:
        return (place[0] - left) * step + wide / 2 + 0.2, place[1] * rise + tall / 2 + 0.2

    with open_sheet(width, height, lang) as sheet:
        sheet.figure.set_layout_engine("none")
        axes: Any = sheet.figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, width)
        axes.set_ylim(0, height)
        axes.axis("off")
        for arrow in arrows:
            route = [put(p) for p in routes.get((arrow.start, arrow.stop), ())]
            _draw_arrow(axes, put(places[arrow.start]), put(places[arrow.stop]), route, tall, arrow)
        for box, lines, place in zip(boxes, shown, places, strict=True):
            _draw_box(axes, box.kind, lines, put(place), wide, tall)
        return sheet.finish(describe(lang))


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _draw_box(
    axes: Any, kind: str, lines: tuple[str, ...], place: tuple[float, float], wide: float,
    tall: float,
) -> None:  # fmt: skip
    from matplotlib.patches import FancyBboxPatch

    colour = {"root": PALETTE[1], "leaf": PALETTE[2], "plain": "#777777"}[kind]
    x, y = place
    axes.add_patch(
        FancyBboxPatch((x - wide / 2, y - tall / 2), wide, tall, boxstyle="round,pad=0,"
                       "rounding_size=0.06", facecolor="white", edgecolor=colour,
                       linewidth=1.6 if kind != "plain" else 1.0, zorder=3)
    )  # fmt: skip
    top = y + _LINE * (len(lines) - 1) / 2
    for i, line in enumerate(lines):
        axes.text(x, top - i * _LINE, line, ha="center", va="center", fontsize=9,
                  color="#222222" if i == 0 else "#555555", zorder=4)  # fmt: skip


def _draw_arrow(
    axes: Any, start: tuple[float, float], stop: tuple[float, float],
    route: Sequence[tuple[float, float]], tall: float, arrow: Arrow,
) -> None:  # fmt: skip
    """Draw an arrow from the foot of a box to the head of another, past the corners given."""
    path = [(start[0], start[1] - tall / 2)]
    for x, y in route:
        path += [(x, y + tall / 2), (x, y - tall / 2)]
    path.append((stop[0], stop[1] + tall / 2))
    look = {"color": "#555555", "linewidth": 1.0, "zorder": 1}
    for a, b in pairwise(path[:-1]):
        axes.plot((a[0], b[0]), (a[1], b[1]), **look)
    axes.annotate("", path[-1], path[-2], zorder=2,
                  arrowprops={"arrowstyle": "-|>", "color": "#555555", "linewidth": 1.0,
                              "shrinkA": 0, "shrinkB": 0})  # fmt: skip
    if arrow.label:
        (x0, y0), (x1, y1) = path[0], path[1]
        # Nearer to where it ends, so that labels of arrows from one box stand apart.
        axes.text(x0 + 0.6 * (x1 - x0), y0 + 0.6 * (y1 - y0), _cut(arrow.label), fontsize=8,
                  ha="center", va="center", color=PALETTE[0], zorder=5,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})  # fmt: skip
