"""Sketches: curves and points in a terminal, eight dots to a character.

Invariant: a sketch never shows a point outside its frame, and says its scale in numbers. It is
separate because it needs no library and no colours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille character, by row and column."""
_BLANK = 0x2800


class Sketch:
    """A frame of characters to draw in.

    Parameters
    ----------
    width, height : int
        Characters.
    left, right, bottom, top : float
        What the edges stand for.

    Examples
    --------
    >>> sketch = Sketch(10, 3, 0.0, 1.0, 0.0, 1.0)
    >>> sketch.line((0.0, 0.0), (1.0, 1.0))
    >>> len(sketch.text().splitlines())
    4
    """

    def __init__(
        self, width: int, height: int, left: float, right: float, bottom: float, top: float
    ) -> None:
        self.width, self.height = max(4, width), max(2, height)
        self.left, self.right = left, right if right > left else left + 1.0
        self.bottom, self.top = bottom, top if top > bottom else bottom + 1.0
        self._cells = np.zeros((self.height, self.width), int)
        self._marks: dict[tuple[int, int], str] = {}

    def _place(self, x: float, y: float) -> tuple[int, int] | None:
        """Return the dot of a point, or None outside of the frame."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return None
        across = (x - self.left) / (self.right - self.left) * (2 * self.width - 1)
        down = (self.top - y) / (self.top - self.bottom) * (4 * self.height - 1)
        column, row = round(across), round(down)
        if 0 <= column < 2 * self.width and 0 <= row < 4 * self.height:
            return row, column
        return None

    def dot(self, x: float, y: float) -> None:
        """Draw a dot."""
        place = self._place(x, y)
        if place is not None:
            row, column = place
            self._cells[row // 4, column // 2] |= _DOTS[row % 4][column % 2]

    def mark(self, x: float, y: float, sign: str) -> None:
        """Put a character at a point."""
        place = self._place(x, y)
        if place is not None:
            self._marks[place[0] // 4, place[1] // 2] = sign

    def line(self, start: tuple[float, float], stop: tuple[float, float], every: int = 1) -> None:
        """Draw a straight line, of every n-th dot."""
        count = 4 * max(self.width, self.height)
        for i, share in enumerate(np.linspace(0.0, 1.0, count)):
            if i % every == 0:
                self.dot(start[0] + share * (stop[0] - start[0]),
                         start[1] + share * (stop[1] - start[1]))  # fmt: skip

    def curve(self, function: Callable[[float], float]) -> None:
        """Draw a function across the frame."""
        xs = np.linspace(self.left, self.right, 4 * self.width)
        for x in xs:
            self.dot(float(x), function(float(x)))

    def text(self) -> str:
        """Return the drawing, with the scale of both axes."""
        rows: list[str] = []
        for i in range(self.height):
            cells = [self._marks.get((i, j)) or _show(self._cells[i, j]) for j in range(self.width)]
            rows.append("".join(cells).rstrip())
        left, right = f"{self.left:.4g}", f"{self.right:.4g}"
        gap = " " * max(1, self.width - len(left) - len(right))
        top, bottom = f"{self.top:.4g}", f"{self.bottom:.4g}"
        pad = max(len(top), len(bottom))
        framed = [
            f"{(top if i == 0 else bottom if i == self.height - 1 else '').rjust(pad)} │{row}"
            for i, row in enumerate(rows)
        ]
        return "\n".join([*framed, f"{' ' * pad}  {left}{gap}{right}"])


def _show(bits: int) -> str:
    return chr(_BLANK + int(bits)) if bits else " "


def find_frame(values: Iterable[float], margin: float = 0.08) -> tuple[float, float]:
    """Return the range that holds all finite values, with a margin.

    Examples
    --------
    >>> find_frame([0.0, 1.0, float("nan")], margin=0.0)
    (0.0, 1.0)
    """
    found = [v for v in values if math.isfinite(v)]
    if not found:
        return -1.0, 1.0
    low, high = min(found), max(found)
    room = (high - low) * margin or max(abs(low), 1.0) * margin
    return low - room, high + room


def find_view(values: Iterable[float]) -> tuple[float, float]:
    """Return a range to draw: of all values, or of most where a few are far out, as at a pole.

    Examples
    --------
    >>> low, high = find_view([float(x) for x in range(-9, 10)] + [1e9])
    >>> low > -30 and high < 30
    True
    """
    found = sorted(v for v in values if math.isfinite(v))
    if len(found) < 8:
        return find_frame(found)
    inner = found[len(found) // 10 : -(len(found) // 10) or None]
    middle = inner[-1] - inner[0]
    low, high = inner[0] - 3 * middle, inner[-1] + 3 * middle
    return find_frame(v for v in found if not middle or low <= v <= high)
