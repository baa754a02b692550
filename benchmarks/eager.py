"""Eager training steps beside PyTorch's, in one run: medians and the ratio of medians.

    python benchmarks/eager.py

Both sides run the same function on one thread, by turns, from the same weights and data, and must
reach the same loss before anything is timed. Without PyTorch only our side is measured. The table
is Markdown. It is separate from the tests because a time is a measurement and no assertion.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy loads its BLAS

import argparse
import importlib
import importlib.util
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Step = Callable[[], Any]


@dataclass(frozen=True)
class Work:
    """One thing to time: a function from a PyTorch-shaped module to a step, and its goal."""

    name: str
    make: Callable[[str], Step]
    goal: float


def scalar_step(library: str) -> Step:
    """Return the lecture's cell: forward and backward of (w - 3)^2 at w = 4."""
    torch = importlib.import_module(library)

    def step() -> Any:
        w = torch.tensor(4.0, requires_grad=True)
        loss = (w - 3) ** 2
        loss.backward()
        return loss

    return step


def network_step(library: str, sizes: Sequence[int], batch: int) -> Step:
    """Return one training step of a ReLU network: zero_grad, forward, loss, backward, SGD."""
    torch = importlib.import_module(library)
    functional = importlib.import_module(f"{library}.nn.functional")
    rng = np.random.default_rng(0)
    layers: list[Any] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 1 / np.sqrt(parameter.shape[-1])
            values = rng.uniform(-scale, scale, tuple(parameter.shape)).astype(np.float32)
            parameter.copy_(torch.tensor(values))
    x = torch.tensor(rng.standard_normal((batch, sizes[0])).astype(np.float32))
    y = torch.tensor(rng.integers(0, sizes[-1], batch))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> Any:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


WORKS = [
    Work("scalar (w - 3)², forward + backward", scalar_step, 0.2),
    Work(
        "MLP 64-64-64-10, batch 32, training step",
        lambda library: network_step(library, (64, 64, 64, 10), 32),
        0.4,
    ),
    Work(
        "MLP 784-512-512-10, batch 128, training step",
        lambda library: network_step(library, (784, 512, 512, 10), 128),
        1.0,
    ),
]
IMPORT_GOAL = 0.25  # seconds


def seconds_per_call(step: Step, calls: int) -> float:
    """Time a loop of calls."""
    start = time.perf_counter()
    for _ in range(calls):
        step()
    return (time.perf_counter() - start) / calls


def measure(steps: Sequence[Step], rounds: int, round_seconds: float) -> list[float]:
    """Return each step's median time, in seconds, over rounds that take the steps by turns."""
    for step in steps:
        seconds_per_call(step, 5)
    calls = [max(1, round(round_seconds / seconds_per_call(step, 10))) for step in steps]
    times: list[list[float]] = [[] for _ in steps]
    for turn in range(rounds):
        order = range(len(steps)) if turn % 2 == 0 else reversed(range(len(steps)))
        for i in order:
            times[i].append(seconds_per_call(steps[i], calls[i]))
    return [statistics.median(column) for column in times]


def import_seconds(library: str, times: int) -> float:
    """Return the median time of the import in fresh processes, NumPy's import included."""
    program = (
        f"import sys, time; sys.path[:0] = {sys.path!r}; start = time.perf_counter(); "
        f"import {library}; print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", program]
    runs = [
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(times + 1)
    ]
    return statistics.median(runs[1:])  # the first one fills the file cache


def check_same_loss(name: str, steps: Sequence[Step]) -> None:
    """Run ten steps on each side and raise `SystemExit` where the losses differ."""
    losses = [[float(step().item()) for _ in range(10)] for step in steps]
    for other in losses[1:]:
        if not np.allclose(losses[0], other, rtol=1e-4):
            sys.exit(f"{name}: the two sides do not compute the same loss: {losses[0]} {other}")


def in_unit(seconds: float) -> str:
    """Format a time with the unit that suits its size."""
    unit, size = next(u for u in (("s", 1.0), ("ms", 1e-3), ("µs", 0.0)) if seconds >= u[1] * 0.1)
    return f"{seconds / (size or 1e-6):.3g} {unit}"


def row(work: str, ours: float, theirs: float | None, ratio: bool, goal: float) -> str:
    """Format one line of the table; the goal is a ratio, or else seconds of ours."""
    measured = (ours / theirs if theirs else None) if ratio else ours
    cells = [
        work,
        in_unit(ours),
        "-" if theirs is None else in_unit(theirs),
        "-" if theirs is None else f"{ours / theirs:.3f}",
        f"≤ {goal}" if ratio else f"< {goal} s",
        "-" if measured is None else "yes" if measured <= goal else "no",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time eager steps beside PyTorch's.")
    parser.add_argument("--rounds", type=int, default=41, help="rounds per work (41)")
    parser.add_argument("--round-seconds", type=float, default=0.02, help="length of one (0.02)")
    parser.add_argument("--imports", type=int, default=9, help="fresh processes to import in (9)")
    parser.add_argument("--ours", default="slopewise", help="the module under test (slopewise)")
    parser.add_argument("--theirs", default="torch", help="the module beside it (torch)")
    options = parser.parse_args()

    libraries = [options.ours]
    if importlib.util.find_spec(options.theirs) is not None:
        libraries.append(options.theirs)
    else:
        print(f"{options.theirs} is not installed, so only {options.ours} is measured.\n")
    for library in libraries:
        module = importlib.import_module(library)
        if library == "torch":
            module.set_num_threads(1)
        print(f"{library} {module.__version__}", end=", ")
    print(f"NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print("One thread; medians; a goal without a unit is for the ratio ours / theirs.\n")

    print("| work | ours | PyTorch | ratio | goal | met |")
    print("|---|--:|--:|--:|--:|---|")
    for work in WORKS:
        steps = [work.make(library) for library in libraries]
        check_same_loss(work.name, steps)
        times = measure(steps, options.rounds, options.round_seconds)
        theirs = times[1] if len(times) > 1 else None
        print(row(work.name, times[0], theirs, True, work.goal), flush=True)
    imports = [import_seconds(library, options.imports) for library in libraries]
    theirs = imports[1] if len(imports) > 1 else None
    print(row("import, in a fresh process", imports[0], theirs, False, IMPORT_GOAL))
    return 0


if __name__ == "__main__":
    sys.exit(main())
