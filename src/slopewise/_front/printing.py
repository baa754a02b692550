"""How a tensor is shown: PyTorch's layout and number format.

Invariant: one column width for all numbers; scientific notation where they span more than three
decades; long axes are cut to three entries at each end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_EDGE = 3
_THRESHOLD = 1000
_LINE = 80


def _shown(array: np.ndarray[Any, Any], cut: bool) -> np.ndarray[Any, Any]:
    """Return the numbers that will be shown."""
    if not cut:
        return array.reshape(-1)
    for axis in range(array.ndim):
        if array.shape[axis] > 2 * _EDGE:
            ends = [*range(_EDGE), *range(array.shape[axis] - _EDGE, array.shape[axis])]
            array = np.take(array, ends, axis)
    return array.reshape(-1)


def _formatter(array: np.ndarray[Any, Any], cut: bool) -> Callable[[Any], str]:
    numbers = _shown(array, cut)
    if array.dtype.kind != "f":
        texts = [str(x) for x in numbers.tolist()]
        width = max((len(t) for t in texts), default=0)
        return lambda x: str(x.item()).rjust(width)
    finite = numbers[np.isfinite(numbers) & (numbers != 0)]
    size = np.abs(finite.astype(np.float64))
    whole = bool(np.all(finite == np.ceil(finite)))
    small, big = (size.min(), size.max()) if size.size else (1.0, 1.0)
    scientific = big / small > 1000.0 or big > 1e8 or (small < 1e-4 and not whole)

    def show(x: Any) -> str:
        if not np.isfinite(x):
            return str(float(x))
        if scientific:
            return f"{float(x):.4e}"
        return f"{float(x):.0f}." if whole else f"{float(x):.4f}"

    width = max((len(show(x)) for x in numbers if np.isfinite(x)), default=0)
    return lambda x: show(x).rjust(width)


def _lines(array: np.ndarray[Any, Any], show: Callable[[Any], str], indent: int, cut: bool) -> str:
    if array.ndim == 0:
        return show(array[()])
    n = array.shape[0]
    shorten = cut and n > 2 * _EDGE
    order = [*range(_EDGE), -1, *range(n - _EDGE, n)] if shorten else list(range(n))
    if array.ndim == 1:
        cells = [" ..." if i == -1 and shorten else show(array[i]) for i in order]
        width = max((len(c) for c in cells), default=1) + 2
        per_line = max(1, (_LINE - indent) // width)
        rows = [", ".join(cells[k : k + per_line]) for k in range(0, len(cells), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(rows) + "]"
    parts = [
        "..." if i == -1 and shorten else _lines(array[i], show, indent + 1, cut) for i in order
    ]
    gap = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
    return "[" + gap.join(parts) + "]"


def format_tensor(array: np.ndarray[Any, Any], suffixes: list[str], prefix: str = "tensor(") -> str:
    """Return the text of a tensor, as PyTorch lays it out."""
    cut = array.size > _THRESHOLD
    if array.size == 0:
        body = "[]"
        if array.ndim != 1:
            suffixes = [f"size={tuple(array.shape)}", *suffixes]
    else:
        body = _lines(array, _formatter(array, cut), len(prefix), cut)
    return prefix + ", ".join([body, *suffixes]) + ")"
