"""Sparse Jacobians: columns (or rows) that share no row are differentiated together.

Invariant: two columns of one colour never meet in a row of the pattern, so that each entry is read
off one product alone. Colours depend on the pattern only and are found once; the products are an
ordinary traceable computation. It is separate from the dense transforms because of the pattern.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.value import new_value
from slopewise._ops.indexing import take
from slopewise._ops.shape import cat, reshape
from slopewise._transform.gradients import _place, _Recording, strip_history
from slopewise._transform.vmap import vmap
from slopewise.errors import ShapeError

_Array = np.ndarray[Any, Any]
# So many numbers are pushed through the function at once; more products follow one another.
_BATCH = 1 << 22


@dataclass(frozen=True)
class Colouring:
    """A pattern, and which of its columns (forward) or rows (reverse) are taken together.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the Jacobian.
    rows, columns : ndarray of int, shape (entries,)
        Where the entries are, row by row.
    mode : {"forward", "reverse"}
        Whether columns are coloured (a jvp for each colour) or rows (a vjp for each).
    colours : ndarray of int, shape (columns,) or (rows,)
        The colour of each, from 0; -1 for those without entries.
    count : int
        How many colours there are.
    """

    shape: tuple[int, int]
    rows: _Array
    columns: _Array
    mode: str
    colours: _Array
    count: int


def _greedy(
    order: _Array, starts: list[int], partners: list[int], others: int
) -> tuple[_Array, int]:
    """Give each line, in the order stated, the least colour that none it shares a place with has.

    Lines without entries get none (-1).
    """
    taken = [0] * others  # for each crossing line, the set of colours met there, as bits
    colours = np.full(len(order), -1, dtype=np.int64)
    count = 0
    for line in order.tolist():
        crossed = partners[starts[line] : starts[line + 1]]
        if not crossed:
            continue
        forbidden = 0
        for other in crossed:
            forbidden |= taken[other]
        lowest = ~forbidden & (forbidden + 1)
        for other in crossed:
            taken[other] |= lowest
        colours[line] = lowest.bit_length() - 1
        count = max(count, lowest.bit_length())
    return colours, count


def _colour(lines: _Array, crossing: _Array, n: int, others: int) -> tuple[_Array, int]:
    """Colour `n` lines so that no two of one colour cross the same other line."""
    order = np.argsort(lines, kind="stable")
    partners: list[int] = crossing[order].tolist()
    starts: list[int] = np.concatenate([[0], np.cumsum(np.bincount(lines, minlength=n))]).tolist()
    lengths = np.bincount(crossing, minlength=others)
    least = int(lengths.max(initial=0))
    best = _greedy(np.arange(n), starts, partners, others)
    if best[1] > least:
        # As they stand is best for bands; largest degree first for most others.
        degrees = np.bincount(lines, weights=lengths[crossing] - 1, minlength=n)
        largest = np.argsort(-degrees, kind="stable")
        second = _greedy(largest, starts, partners, others)
        best = min(best, second, key=lambda found: found[1])
    return best


def colour_pattern(rows: _Array, columns: _Array, shape: tuple[int, int], mode: str) -> Colouring:
    """Return the colouring of a pattern for one mode, or for the mode with fewer colours.

    Parameters
    ----------
    rows, columns : ndarray of int, shape (entries,)
        Where the Jacobian may differ from 0, row by row, each place once.
    shape : tuple of int
        Rows and columns of the Jacobian.
    mode : {"auto", "forward", "reverse"}
        "auto" takes forward mode where both need equally many colours.

    Returns
    -------
    Colouring
    """
    m, n = shape
    forward = reverse = None
    if mode != "reverse":
        forward = _colour(columns, rows, n, m)
    if mode != "forward":
        # No colouring of the rows has fewer colours than the fullest column has entries.
        least = int(np.bincount(columns, minlength=n).max(initial=0))
        if forward is None or least < forward[1]:
            reverse = _colour(rows, columns, m, n)
    if reverse is not None and (forward is None or reverse[1] < forward[1]):
        return Colouring(shape, rows, columns, "reverse", *reverse)
    assert forward is not None
    return Colouring(shape, rows, columns, "forward", *forward)


def entries_of(
    function: Callable[..., Any], colouring: Colouring, args: tuple[Any, ...], argnums: int
) -> Any:
    """Return the entries of the Jacobian at the places of the pattern, row by row.

    Parameters
    ----------
    function : callable
        From an array to an array.
    colouring : Colouring
    args : tuple
        The arguments of the function.
    argnums : int
        Which argument to differentiate in.

    Returns
    -------
    Tensor, shape (entries,)

    Raises
    ------
    ShapeError
        If the pattern's shape is not that of the Jacobian, or there are several arrays.
    """
    place = _place(argnums, len(args), "sparse_jacobian")

    def along(x: Any) -> Any:
        return function(*args[:place], x, *args[place + 1 :])

    recording = _Recording(along, (args[place],), "sparse_jacobian")
    if len(recording.outs) != 1 or len(recording.marked) != 1:
        raise ShapeError(
            explain("sparse_jacobian: the argument and the output must be one array each.")
        )
    x, out = recording.marked[0], recording.outs[0]
    m, n = prod(out.shape), prod(x.shape)
    if colouring.shape != (m, n):
        raise ShapeError(
            explain(
                f"sparse_jacobian: the pattern has shape {colouring.shape}, but an output of shape"
                f" {tuple(out.shape)} by an argument of shape {tuple(x.shape)} makes a Jacobian of"
                f" shape {(m, n)}; give one row for each output element and one column for each"
                " input element."
            )
        )
    if colouring.mode == "forward":
        product, across, into, like = recording.push_one, colouring.columns, colouring.rows, x
    else:
        product, across, into, like = recording.pull_one, colouring.rows, colouring.columns, out
    answer = _decompress(product, colouring, across, into, like, m if like is x else n)
    return answer if recording.linked else strip_history(answer)


def _decompress(
    product: Callable[[Any], Any],
    colouring: Colouring,
    across: _Array,
    into: _Array,
    like: Any,
    length: int,
) -> Any:
    """Return the entries, each read off the product for the colour of its line."""
    if not len(across):
        return new_value(np.zeros(0, like.dtype), None, False)
    size = max(1, _BATCH // max(1, length, len(colouring.colours)))
    colours = colouring.colours[across]
    parts: list[Any] = []
    order: list[_Array] = []
    for start in range(0, colouring.count, size):
        stop = min(start + size, colouring.count)
        held = np.flatnonzero((colours >= start) & (colours < stop))
        chosen = colouring.colours == np.arange(start, stop)[:, None]
        seeds = chosen.astype(like.dtype).reshape(stop - start, *like.shape)
        table = vmap(product)(new_value(seeds, None, False))
        flat = reshape(table, shape=((stop - start) * length,))
        parts.append(take(flat, (colours[held] - start) * length + into[held]))
        order.append(held)
    if len(parts) == 1:
        return parts[0]
    back = np.argsort(np.concatenate(order))
    return take(cat(*parts, axis=0), back)
