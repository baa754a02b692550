"""What it costs to watch training: the same runs with and without, taken in turn.

Usage: python benchmarks/watching.py [--rounds N]

Invariant: both sides start at the same weights and rows, and end at the same loss; rounds
alternate, and what counts is the median of the ratios within a round. It is separate from the other
benchmarks, whose contenders are other libraries.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn
from slopewise.health import Watcher

DEFAULT, TENTH = 1.05, 1.2
"""Goals: a run looked at by default, and a loop looked at every tenth step."""
Run = Callable[[bool], float]


def fit_table(rows: int, hidden: tuple[int, ...], epochs: int) -> Run:
    """Return a run of `train.fit`, which gives its validation loss."""
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 20))
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * random.normal(size=rows)
    table = {f"x{i}": x[:, i] for i in range(20)} | {"y": y}

    def run(watched: bool) -> float:
        found = sw.train.fit(
            table, target="y", hidden=hidden, epochs=epochs, patience=epochs, folds=1,
            health=watched,
        )  # fmt: skip
        return float(found.history["val_loss"][-1])

    return run


def loop(sizes: tuple[int, ...], batch: int, steps: int, every: int | None) -> Run:
    """Return a loop of our eager engine."""

    def run(watched: bool) -> float:
        sw.manual_seed(0)
        layers = [part for a, b in pairwise(sizes[:-1])
                  for part in (nn.Linear(a, b), nn.ReLU())]  # fmt: skip
        model = nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))
        x, y = sw.randn(batch, sizes[0]), sw.randint(0, sizes[-1], (batch,))
        optimizer = sw.optim.Adam(model.parameters(), lr=1e-3)
        loss_fn = nn.functional.cross_entropy
        watcher = Watcher(model, loss_fn, (x, y), every=every, notify=None) if watched else None
        loss: Any = None
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            if watcher is not None:
                watcher.step()
        return float(loss)

    return run


def loop_torch(sizes: tuple[int, ...], batch: int, steps: int, every: int | None) -> Run | None:
    """Return the same loop of PyTorch's; None where it is not installed."""
    try:
        import torch  # pyright: ignore[reportMissingImports]  (an optional peer)
    except ImportError:
        return None
    torch.set_num_threads(1)

    def run(watched: bool) -> float:
        torch.manual_seed(0)
        layers = [part for a, b in pairwise(sizes[:-1])
                  for part in (torch.nn.Linear(a, b), torch.nn.ReLU())]  # fmt: skip
        model = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-2], sizes[-1]))
        x, y = torch.randn(batch, sizes[0]), torch.randint(0, sizes[-1], (batch,))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        loss_fn = torch.nn.functional.cross_entropy
        watcher = Watcher(model, loss_fn, (x, y), every=every, notify=None) if watched else None
        loss: Any = None
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            if watcher is not None:
                watcher.step()
        return float(loss.detach())

    return run


def list_runs() -> list[tuple[str, Run | None, float]]:
    """Return what is run, each with its goal."""
    small, usual = (64, 64, 64, 10), (784, 256, 256, 10)
    return [
        ("fit, 4,000 rows, 64-64, compiled", fit_table(4000, (64, 64), 60), DEFAULT),
        ("fit, 20,000 rows, 128-128, compiled", fit_table(20_000, (128, 128), 15), DEFAULT),
        ("loop, 64-64-64-10, batch 128, default", loop(small, 128, 1500, None), DEFAULT),
        ("loop, 784-256-256-10, batch 128, default", loop(usual, 128, 300, None), DEFAULT),
        ("loop, 64-64-64-10, batch 128, every 10th", loop(small, 128, 600, 10), TENTH),
        ("loop, 784-256-256-10, batch 128, every 10th", loop(usual, 128, 200, 10), TENTH),
        ("PyTorch, 64-64-64-10, batch 128, default", loop_torch(small, 128, 3000, None), DEFAULT),
        ("PyTorch, 784-256-256-10, batch 128, default", loop_torch(usual, 128, 400, None), DEFAULT),
        ("PyTorch, 64-64-64-10, batch 128, every 10th", loop_torch(small, 128, 1000, 10), TENTH),
        ("PyTorch, 784-256-256-10, batch 128, every 10th", loop_torch(usual, 128, 300, 10), TENTH),
    ]  # fmt: skip


def measure(run: Run, rounds: int) -> tuple[float, float]:
    """Return the median ratio, and the seconds without."""
    for watched in (True, False):
        run(watched)  # compiled and warm
    ratios, plain = [], []
    for number in range(rounds):
        seconds: dict[bool, float] = {}
        losses: dict[bool, float] = {}
        for watched in (False, True) if number % 2 else (True, False):
            began = time.perf_counter()
            losses[watched] = run(watched)
            seconds[watched] = time.perf_counter() - began
        assert losses[True] == losses[False], "watching changed the run"
        ratios.append(seconds[True] / seconds[False])
        plain.append(seconds[False])
    return median(ratios), median(plain)


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description="What it costs to watch training.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"{'run':50} {'without':>9} {'ratio':>7} {'goal':>6}")
    for name, run, goal in list_runs():
        if run is not None:
            ratio, seconds = measure(run, rounds)
            met = "" if ratio <= goal else "  missed"
            print(f"{name:50} {seconds:8.2f}s {ratio:7.3f} {goal:6.2f}{met}", flush=True)


if __name__ == "__main__":
    main()
