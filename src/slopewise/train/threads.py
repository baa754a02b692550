"""One BLAS thread while small networks train.

Invariant: the number of threads is what it was when the block ends; where NumPy's BLAS cannot be
found or asked, nothing happens. Small products gain nothing from several threads, which then wait
for each other (three times slower was measured on a busy machine), and with one thread a run's
sums are the same on every number of cores. It is separate because it reaches outside Python.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

LARGE = 2**18
"""Weights in one layer above which several threads pay."""
_NAMES = (
    "scipy_openblas_{}_num_threads64_",
    "openblas_{}_num_threads64_",
    "openblas_{}_num_threads",
)


@cache
def find_controls() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """The functions of NumPy's own OpenBLAS that read and set its number of threads.

    Returns
    -------
    (read, set) or None
        None if NumPy came with another library.
    """
    package = Path(np.__file__).parent
    folders = [package.parent / "numpy.libs", package / ".dylibs"]
    for path in (file for folder in folders if folder.is_dir() for file in folder.iterdir()):
        if "openblas" not in path.name:
            continue
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for name in _NAMES:
            read = getattr(library, name.format("get"), None)
            write = getattr(library, name.format("set"), None)
            if read is not None and write is not None:
                read.restype, write.argtypes, write.restype = ctypes.c_int, [ctypes.c_int], None
                return read, write
    return None


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
