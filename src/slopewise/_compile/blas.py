"""Routines of the BLAS: their addresses for compiled code, and their number of threads.

Invariant: compiled code finds a routine by its place in ROUTINES, so that no address is part of the
code, and the BLAS runs on one thread while it is called from there. It is separate because it
reaches outside Python.
"""

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from slopewise._compile.interrupts import WORDS, list_words

ROUTINES = ("sgemm", "dgemm")
SPREAD, BOARD, CLOCKS, WATCH = range(len(ROUTINES), len(ROUTINES) + 4)  # further words
_CONTROLS = (
    "scipy_openblas_{}_num_threads64_",
    "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads64_",
    "openblas_{}_num_threads",
)


def make_table(products: bool) -> Any:
    """Return a table: the addresses of ROUTINES, of threads, clocks, and what interrupts need."""
    found = _find_routines() if products else [None] * len(ROUTINES)
    return (ctypes.c_void_p * (WATCH + WORDS))(*found, None, None, None, *list_words())


@cache
def _find_routines() -> list[int]:
    """Return the addresses of the BLAS that came with SciPy; importing SciPy takes much longer."""
    package = _find_scipy()
    for library in _open_libraries(package):
        routines = [getattr(library, f"scipy_{routine}_", None) for routine in ROUTINES]
        if all(r is not None for r in routines):
            return [ctypes.cast(r, ctypes.c_void_p).value or 0 for r in routines if r is not None]
    from scipy.linalg import cython_blas  # pyright: ignore[reportAttributeAccessIssue]

    read = ctypes.pythonapi.PyCapsule_GetPointer
    read.restype, read.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    capsules = [cython_blas.__pyx_capi__[routine] for routine in ROUTINES]
    return [read(c, name(c)) for c in capsules]


@cache
def _find_scipy() -> Path:
    """Return the folder of SciPy, without importing it."""
    found = find_spec("scipy")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent


def _open_libraries(package: Path) -> Generator[Any]:
    """Yield the OpenBLAS libraries that came with a package."""
    folders = [package.parent / f"{package.name}.libs", package / ".dylibs"]
    for path in (file for folder in folders if folder.is_dir() for file in folder.iterdir()):
        if "openblas" in path.name:
            with suppress(OSError):
                yield ctypes.CDLL(str(path))


@cache
def find_controls(package: Path) -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Return what reads and sets the number of threads of the OpenBLAS that came with a package.

    Parameters
    ----------
    package : Path
        The folder of NumPy or SciPy.

    Returns
    -------
    (read, set) or None
        None if the package came with another library.
    """
    for library in _open_libraries(package):
        for stem in _CONTROLS:
            read = getattr(library, stem.format("get"), None)
            write = getattr(library, stem.format("set"), None)
            if read is not None and write is not None:
                read.restype, write.argtypes, write.restype = ctypes.c_int, [ctypes.c_int], None
                return read, write
    return None


@contextmanager
def one_thread() -> Generator[None]:
    """Hold the BLAS to one thread inside the block."""
    controls = find_controls(_find_scipy())
    if controls is None:
        yield
        return
    read, write = controls
    before = read()
    if before == 1:
        yield
        return
    write(1)
    try:
        yield
    finally:
        write(before)
