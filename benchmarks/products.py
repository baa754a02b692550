"""Matrix products: kernels of our own beside the BLAS, and which of them the compiler takes.

Invariant: both are the same compiled product, with the choice forced; they run by turns on one
thread, and both go through Python, whose share, the time of a product of two by two, is taken off.
`x'y` has the first factor stored transposed, `xy'` the second. A row is marked where the
compiler takes the slower one by more than a tenth.

    python benchmarks/products.py              # all sizes
    python benchmarks/products.py float32      # one dtype
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

os.environ["SLOPEWISE_CACHE"] = "off"
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

import slopewise as sw
from slopewise._compile import sums
from slopewise._front import entering

SIZES = (
    (4, 256, 256), (8, 128, 128), (16, 64, 64), (32, 32, 32),
    (16, 128, 64), (64, 128, 784), (64, 64, 64), (128, 128, 128), (256, 10, 1024), (16, 256, 128),
    (32, 512, 512), (256, 512, 256), (784, 128, 64), (256, 1024, 784), (512, 512, 512),
)  # fmt: skip
FORMS = ("xy", "x'y", "xy'")
TURNS = 100


def multiply(form: str) -> Callable[[Any, Any], Any]:
    """Return the product whose factors are stored as the form says."""
    return {
        "xy": lambda x, y: x @ y, "x'y": lambda x, y: x.T @ y, "xy'": lambda x, y: x @ y.T,
    }[form]  # fmt: skip


def compile_with(choice: Callable[..., bool], form: str, x: Any, y: Any) -> Callable[[], Any]:
    """Return a call of the compiled product, with the choice between the two forced."""
    kept = sums.suits_blas
    sums.suits_blas = choice
    try:
        compiled = sw.compile(multiply(form))
        out = np.empty_like(compiled(x, y))
    finally:
        sums.suits_blas = kept
    return lambda: compiled(x, y, out=out)


def time_by_turns(*runs: Callable[[], Any]) -> list[float]:
    """Return the median time of each."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(TURNS):
        for run, found in zip(runs, times, strict=True):
            run()
            start = perf_counter()
            run()
            found.append(perf_counter() - start)
    return [median(found) for found in times]


def measure_share() -> float:
    """Return the seconds of a call that multiplies next to nothing."""
    x = np.ones((2, 2))
    call = compile_with(lambda *_: False, "xy", x, x)
    return time_by_turns(call)[0]


def measure(m: int, n: int, k: int, form: str, dtype: Any, share: float) -> str:
    """Return one row of the table."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((k, m) if form == "x'y" else (m, k)).astype(dtype)
    y = rng.standard_normal((n, k) if form == "xy'" else (k, n)).astype(dtype)
    taken: list[bool] = []
    chosen = sums.suits_blas

    def note(*given: Any) -> bool:
        taken.append(chosen(*given))
        return taken[-1]

    compile_with(note, form, x, y)
    own, blas = time_by_turns(
        compile_with(lambda *_: False, form, x, y), compile_with(lambda *_: True, form, x, y)
    )
    own, blas = own - share, blas - share
    ratio = own / blas
    takes = "BLAS" if taken and taken[0] else "own"
    wrong = (ratio < 0.9) if takes == "BLAS" else (ratio > 1.1)
    speeds = " ".join(f"{2e-9 * m * n * k / t:7.1f}" for t in (own, blas))
    return f"{m:5} {n:5} {k:5}  {form:4} {speeds}  {ratio:6.2f}  {takes}{' *' if wrong else ''}"


def main() -> None:
    """Print GFLOP/s of both, the ratio of their times, and what the compiler takes."""
    sw.set_num_threads(1)
    entering.make_entry = lambda *_: False  # no call goes past Python
    share = measure_share()
    for dtype in sys.argv[1:] or ("float32", "float64"):
        print(f"{dtype}\n    m     n     k  form     own    BLAS   own/BLAS  taken")
        for sizes in SIZES:
            for form in FORMS:
                print(measure(*sizes, form, np.dtype(dtype), share), flush=True)


if __name__ == "__main__":
    main()
