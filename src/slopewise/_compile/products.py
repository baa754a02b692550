"""Matrix products in the loop program: folds of products that the BLAS can do as they lie.

Invariant: a match changes neither what is read nor what is written, only who computes it. It is
separate from scheduling, which asks, and from assembly, which writes the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from slopewise._compile.loops import Axis, Buffer, Index, Term, linearise
from slopewise._compile.steps import Product

LARGE = 1 << 17  # multiplications
SHARED = 16  # rows for which a factor is turned
PANEL = 1 << 20  # bytes of a factor that stay in the second cache
FEW = 16  # rows of about one tile


def match_product(
    out: Buffer, axes: Sequence[Axis], indices: Sequence[Index], term: Term
) -> Product | None:
    """Return a fold of products as one matrix product, if the BLAS can read its operands."""
    x, y = term.operands
    if x.kind != "load" or y.kind != "load":
        return None
    places = [_strides(t.data[0], t.data[1]) for t in (x, y)]
    home = linearise(indices, out.shape)
    if places[0] is None or places[1] is None or home.computed:
        return None
    if any(a not in axes for _, steps in (places[0], places[1]) for a in steps):
        return None
    (x_at, x_steps), (y_at, y_steps) = places[0], places[1]
    out_steps = dict(home.terms)
    groups: dict[str, list[Axis]] = {"batch": [], "m": [], "n": [], "k": []}
    for axis in axes:
        key = (axis in x_steps, axis in y_steps, axis in out_steps)
        kind = {
            (True, True, True): "batch", (True, False, True): "m", (False, True, True): "n",
            (True, True, False): "k",
        }.get(key)  # fmt: skip
        if kind is None:
            return None
        groups[kind].append(axis)
    merged = {
        kind: _merge(members, (x_steps, y_steps, out_steps)) for kind, members in groups.items()
    }
    batch, m, n, k = (merged[kind] for kind in ("batch", "m", "n", "k"))
    if batch is None or m is None or n is None or k is None or min(m[0], n[0], k[0]) < 2:
        return None
    if n[3] != 1 or m[3] < n[0]:
        return None
    if not (_readable(m[1], k[1], m[0], k[0]) and _readable(k[2], n[2], k[0], n[0])):
        return None
    return Product(
        out, x.data[0], y.data[0], (batch[0], m[0], n[0], k[0]),
        (x_at, batch[1], m[1], k[1]), (y_at, batch[2], k[2], n[2]),
        (Index(home.constant), batch[3], m[3]),
    )  # fmt: skip


def suits_blas(product: Product, fixed: bool) -> bool:
    """Return whether the BLAS multiplies faster than a kernel of our own.

    A kernel of our own reads the second factor once for each tile of rows, so that it has to stay
    in the second cache; where its columns are summed along, it is turned first, which many rows
    must share, or all rounds of a loop, where it is `fixed`. `benchmarks/products.py` measures the
    limits.
    """
    _, m, n, k = product.sizes
    if m * n * k < LARGE:
        return False
    turned = product.y_place[3] != 1
    if turned and m < SHARED and not fixed:
        return True
    return k * n * product.out.dtype.itemsize >= PANEL and m > FEW


def _strides(buffer: Buffer, indices: Sequence[Index]) -> tuple[Index, dict[Axis, int]] | None:
    """Return the offset of an access, and its stride along each axis of the domain."""
    flat = linearise(indices, buffer.shape) if len(indices) == len(buffer.shape) else indices[0]
    return None if flat.computed else (Index(flat.constant), dict(flat.terms))


def _merge(
    members: Sequence[Axis], steps: tuple[dict[Axis, int], ...]
) -> tuple[int, int, int, int] | None:
    """Return size and strides of several axes as one; None where they do not join."""
    if not members:
        return (1, 0, 0, 0)
    known = next(s for s in steps if all(a in s for a in members))
    ordered = sorted(members, key=lambda a: -known[a])
    for outer, inner in pairwise(ordered):
        for each in steps:
            if outer in each and each[outer] != each[inner] * inner.size:
                return None
    last = ordered[-1]
    return (prod(a.size for a in members), *(s.get(last, 0) for s in steps))  # type: ignore[return-value]


def _readable(row: int, column: int, rows: int, columns: int) -> bool:
    """Return whether the BLAS can read a matrix with these strides."""
    return (column == 1 and row >= columns) or (row == 1 and column >= rows)
