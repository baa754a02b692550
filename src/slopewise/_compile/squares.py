"""Squares: columns that lie apart in memory, read or written as rows and turned in registers.

Invariant: a square has as many rows as a vector has lanes. It is separate because loads, stores and
copies all turn squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slopewise._compile.builder import Builder, Register


def turn(b: Builder, rows: Sequence[Register], lanes: int) -> list[Register]:
    """Return the columns of a square: halves are exchanged at distance 1, 2, 4, ..."""
    current = list(rows)
    distance = 1
    while distance < lanes:
        for i in range(lanes):
            if i & distance:
                continue
            x, y = current[i], current[i + distance]
            low = [k if not k & distance else lanes + k - distance for k in range(lanes)]
            high = [k + distance if not k & distance else lanes + k for k in range(lanes)]
            current[i] = b.shuffle(x, y, low)
            current[i + distance] = b.shuffle(x, y, high)
        distance *= 2
    return current


def find_runs(listed: list[tuple[int, Any]], lanes: int) -> list[list[Any]]:
    """Return runs of what lies at consecutive places, of half as many as lanes up to as many.

    Examples
    --------
    >>> find_runs([(4, "e"), (2, "c"), (3, "d"), (9, "j")], 4)
    [['c', 'd', 'e']]
    """
    found: list[list[Any]] = []
    run: list[Any] = []
    last = 0
    for place, each in sorted(listed, key=lambda x: x[0]):
        if run and (place != last + 1 or len(run) == lanes):
            found.append(run)
            run = []
        run.append(each)
        last = place
    return [r for r in [*found, run] if 2 * len(r) >= lanes]


def find_windows(listed: list[tuple[int, Any]], lanes: int) -> list[list[tuple[int, Any]]]:
    """Return what lies so near that a vector spans it, half as many as lanes at least.

    Examples
    --------
    >>> find_windows([(0, "a"), (9, "j"), (3, "d"), (1, "b")], 4)
    [[(0, 'a'), (1, 'b'), (3, 'd')]]
    """
    found: list[list[tuple[int, Any]]] = []
    left = sorted(listed, key=lambda x: x[0])
    while left:
        window = [x for x in left if x[0] < left[0][0] + lanes]
        enough = 2 * len(window) >= lanes
        if enough:
            found.append(window)
        left = left[len(window) if enough else 1 :]
    return found
