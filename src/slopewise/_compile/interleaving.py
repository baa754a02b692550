"""Interleaving: two stretches of straight code, written line by line in turns.

Invariant: every line keeps its place among those of its own stretch, and no line comes before one
whose result it takes. It is separate because it works on text, after everything else is decided.
"""

from __future__ import annotations

import re
from itertools import zip_longest

_NAME = re.compile(r"%t\d+")


def interleave(lines: list[str], first: int, second: int, end: int) -> None:
    """Write two stretches in turns, in place, unless one branches or takes from the other.

    Parameters
    ----------
    lines : list of str
        Of a function.
    first, second, end : int
        Where the first stretch starts, where the second does, and where that ends.

    Examples
    --------
    >>> lines = ["  %t1 = a", "  %t2 = b %t1", "  %t3 = a", "  %t4 = b %t3"]
    >>> interleave(lines, 0, 2, 4)
    >>> lines
    ['  %t1 = a', '  %t3 = a', '  %t2 = b %t1', '  %t4 = b %t3']
    """
    one, two = lines[first:second], lines[second:end]
    if any(line.endswith(":") for line in (*one, *two)):
        return
    made = {line.split(" = ", 1)[0].strip() for line in one}
    if any(not made.isdisjoint(_NAME.findall(line)) for line in two):
        return
    pairs = zip_longest(one, two)
    lines[first:end] = [line for pair in pairs for line in pair if line is not None]
