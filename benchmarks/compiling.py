"""How long compiling takes: cold, and warm from the cache on disk.

Invariant: each time is that of a process of its own, on one thread, from the first call until its
result is there; the imports are stated apart. A goal is printed beside each time it belongs to.

    python benchmarks/compiling.py             # all rows
    python benchmarks/compiling.py mixture     # the rows whose names contain a word
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

REPEATS = 5
GOAL_WARM = 0.015
Work = tuple[Callable[..., Any], tuple[Any, ...]]


def write_scalars(sw: Any) -> Work:
    """Return the gradient of an expression of about a hundred operations on numbers."""

    def formula(x: Any, y: Any, a: Any) -> Any:
        total = 0.0
        for k in range(1, 8):
            u = x * k + a * y
            v = sw.exp(-u * u / k) + x * y
            total = total + (v * u - a / k) ** 2
        return total

    return sw.grad(formula, (0, 1, 2)), (0.3, 0.4, 0.7)


def write_arrays(sw: Any) -> Work:
    """Return the gradient of about a hundred operations on arrays, a third of them sin and exp."""

    def formula(x: Any, y: Any, a: Any) -> Any:
        total = 0.0
        for k in range(1, 9):
            u = sw.sin(x * k) + a * sw.exp(-y * y / k)
            v = sw.tanh(u) * sw.log(1.0 + x * x)
            total = total + (v / (1.0 + u * u)).sum() / k
        return total * a

    rng = np.random.default_rng(0)
    return sw.grad(formula, (0, 1, 2)), (rng.random(50), rng.random(50), 0.7)


def write_mixture(sw: Any) -> Work:
    """Return the value and the gradient of a Gaussian-mixture likelihood (see `formulas`)."""
    from contest import Peers
    from formulas import mixture

    return _take_ours(sw, lambda: mixture(Peers()))


def write_network(sw: Any) -> Work:
    """Return a training loop of a network 784-128-10 with SGD (see `networks`)."""
    from contest import Peers
    from networks import shallow_network

    return _take_ours(sw, lambda: shallow_network(Peers()))


def write_step(sw: Any, optimizer: str) -> Work:
    """Return a training step of modules, with an optimiser, on a network 784-128-10."""
    model = sw.nn.Sequential(sw.nn.Linear(784, 128), sw.nn.ReLU(), sw.nn.Linear(128, 10))
    stepper = getattr(sw.optim, optimizer)(model.parameters(), lr=0.01)
    loss = sw.nn.CrossEntropyLoss()

    def step(x: Any, y: Any) -> Any:
        stepper.zero_grad()
        value = loss(model(x), y)
        value.backward()
        stepper.step()
        return value.detach()

    rng = np.random.default_rng(0)
    x, y = rng.random((64, 784), dtype=np.float32), rng.integers(0, 10, 64)
    return step, (sw.tensor(x), sw.tensor(y))


def write_chain(sw: Any, count: int, gradient: bool) -> Work:
    """Return x = sin(x) * a + b, repeated until there are `count` operations."""

    def chain(x: Any, a: Any, b: Any) -> Any:
        for _ in range(count // 3):
            x = sw.sin(x) * a + b
        return x

    return sw.grad(chain, (0, 1, 2)) if gradient else chain, (0.3, 0.9, 0.2)


ROWS: dict[str, tuple[Callable[[Any], Work], float | None]] = {
    "100 operations on numbers, gradient": (write_scalars, 0.05),
    "100 operations on arrays, gradient": (write_arrays, 0.05),
    "Gaussian mixture, gradient": (write_mixture, 0.5),
    "network 784-128-10, SGD loop": (write_network, 0.3),
    "network 784-128-10, SGD step": (lambda sw: write_step(sw, "SGD"), 0.3),
    "network 784-128-10, Adam step": (lambda sw: write_step(sw, "Adam"), 0.3),
    **{
        f"chain of {count}{', gradient' if gradient else ''}": (
            lambda sw, count=count, gradient=gradient: write_chain(sw, count, gradient),
            5.0 if count == 10_000 else None,
        )
        for gradient in (False, True)
        for count in (2_500, 10_000, 20_000)
    },
}


def _take_ours(sw: Any, make: Callable[[], Any]) -> Work:
    """Return what a contest gives to `compile`, uncompiled."""
    seen: list[Any] = []

    class Seen:
        def __init__(self, function: Any) -> None:
            seen.append(function)

        def __call__(self, *args: Any) -> Any:
            seen.append(args)
            raise _Taken

    kept, sw.compile = sw.compile, Seen
    try:
        make()
    except _Taken:
        pass
    finally:
        sw.compile = kept
    return seen[0], seen[1]


class _Taken(Exception):
    """Tells that the arguments are known."""


def measure(name: str) -> dict[str, float]:
    """Return the seconds of the imports, of the first call and of a later one, in this process."""
    begin = perf_counter()
    import slopewise as sw

    imported = perf_counter()
    function, arguments = ROWS[name][0](sw)
    started = perf_counter()
    import llvmlite.binding

    del llvmlite
    ready = perf_counter()
    compiled = sw.compile(function)
    compiled(*arguments)
    done = perf_counter()
    compiled(*arguments)  # which makes the way in without Python
    settled = perf_counter()
    compiled(*arguments)
    later = perf_counter() - settled
    return {
        "import": imported - begin,
        "llvmlite": ready - started,
        "first": done - ready,
        "later": later,
    }


def measure_apart(name: str, folder: str, bytecode: str) -> dict[str, float]:
    """Return what `measure` returns in a new process, with a cache in a folder, or `off`.

    Modules are read as bytecode from another folder, as those of an installed package are.
    """
    environment = dict(
        os.environ, SLOPEWISE_CACHE=folder, PYTHONPYCACHEPREFIX=bytecode,
        SLOPEWISE_NUM_THREADS="1", OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="",
    )  # fmt: skip
    command = [sys.executable, __file__, "--measure", name]
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def report(names: list[str]) -> None:
    """Print a line for each row: cold, warm, the goals, a later call, and llvmlite's import."""
    print(f"{'ms':42}{'cold':>8}{'goal':>8}{'warm':>8}{'goal':>8}{'run':>8}{'llvmlite':>10}")
    with tempfile.TemporaryDirectory() as parent:
        bytecode = str(Path(parent, "bytecode"))
        measure_apart(next(iter(ROWS)), "off", bytecode)
        for number, name in enumerate(names):
            goal = ROWS[name][1]
            folder = str(Path(parent, f"objects{number}"))
            repeats = 1 if "chain" in name else REPEATS
            cold = [measure_apart(name, "off", bytecode) for _ in range(repeats)]
            measure_apart(name, folder, bytecode)
            warm = [measure_apart(name, folder, bytecode) for _ in range(repeats)]
            first = [min(m["first"] for m in each) * 1e3 for each in (cold, warm)]
            aims = ["" if goal is None else f"{goal * 1e3:.0f}"]
            aims.append("" if "chain" in name else f"{GOAL_WARM * 1e3:.0f}")
            apart, run = (min(m[key] for m in warm) * 1e3 for key in ("llvmlite", "later"))
            print(
                f"{name:42}{first[0]:8.1f}{aims[0]:>8}{first[1]:8.1f}{aims[1]:>8}{run:8.1f}"
                f"{apart:10.1f}",
                flush=True,
            )


def main() -> None:
    """Measure the rows that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="rows whose names contain this")
    parser.add_argument("--measure", help="measure one row in this process, as JSON")
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(measure(chosen.measure)))
        return
    report([name for name in ROWS if chosen.word in name])


if __name__ == "__main__":
    main()
