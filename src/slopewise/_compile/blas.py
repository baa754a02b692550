"""Routines of BLAS and LAPACK: their addresses for compiled code, and their number of threads.

Invariant: compiled code finds a routine by its place in ROUTINES, so that no address is part of the
code, and the BLAS runs on one thread while it is called from there, which the code sees to. It is
separate because it reaches outside Python.
"""

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from slopewise._compile.interrupts import WORDS, list_words

ROUTINES = (
    "sgemm", "dgemm", "dgesv", "dgetrf", "dpotrf", "dgeqrf", "dorgqr", "dsyevd", "dgesdd",
)  # fmt: skip
READ, SET = len(ROUTINES), len(ROUTINES) + 1  # the number of threads; null where it has no control
SPREAD, BOARD, CLOCKS, WATCH = range(SET + 1, SET + 5)  # further words
_CONTROLS = (
    "scipy_openblas_{}_num_threads64_",
    "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads64_",
    "openblas_{}_num_threads",
)


def make_table(products: bool) -> Any:
    """Return a table: the addresses of ROUTINES, of threads, clocks, and what interrupts need."""
    found: list[int | None] = [None] * (SET + 1)
    if products:
        controls = find_controls(_find_scipy()) or (None, None)
        found = [*_find_routines(), *(_address(c) for c in controls)]
    return (ctypes.c_void_p * (WATCH + WORDS))(*found, None, None, None, *list_words())


def _address(function: Any) -> int | None:
    return None if function is None else ctypes.cast(function, ctypes.c_void_p).value


@cache
def _find_routines() -> list[int]:
    """Return the addresses in the library that came with SciPy.

    Importing SciPy, which is asked where there is no such library, takes much longer.
    """
    package = _find_scipy()
    for library in _open_libraries(package):
        routines = [getattr(library, f"scipy_{routine}_", None) for routine in ROUTINES]
        if all(r is not None for r in routines):
            return [ctypes.cast(r, ctypes.c_void_p).value or 0 for r in routines if r is not None]
    from scipy.linalg import cython_blas, cython_lapack  # pyright: ignore

    read = ctypes.pythonapi.PyCapsule_GetPointer
    read.restype, read.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    offered = {**cython_lapack.__pyx_capi__, **cython_blas.__pyx_capi__}
    capsules = [offered[routine] for routine in ROUTINES]
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
