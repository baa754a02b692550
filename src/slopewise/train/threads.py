"""One BLAS thread while small networks train.

Invariant: the number of threads is what it was when the block ends; where NumPy's BLAS cannot be
found or asked, nothing happens. Small products gain nothing from several threads, which then wait
for each other (three times slower was measured on a busy machine), and with one thread a run's
sums are the same on every number of cores. It is separate because it reaches outside Python.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from slopewise._compile import blas

LARGE = 2**18
"""Weights in one layer above which several threads pay."""


def find_controls() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """The functions of NumPy's own OpenBLAS that read and set its number of threads.

    Returns
    -------
    (read, set) or None
        None if NumPy came with another library.
    """
    return blas.find_controls(Path(np.__file__).parent)


@contextmanager
def limit_threads(weights: int) -> Iterator[None]:
    """Use one BLAS thread inside the block, unless the network is large.

    Parameters
    ----------
    weights : int
        Weights in its largest layer.

    Examples
    --------
    >>> with limit_threads(64 * 64):
    ...     product = np.ones((2, 2)) @ np.ones((2, 2))
    """
    controls = find_controls() if weights <= LARGE else None
    if controls is None:
        yield
        return
    read, write = controls
    before = read()
    write(1)
    try:
        yield
    finally:
        write(before)
