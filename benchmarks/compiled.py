"""Compiled Slopewise beside JAX, PyTorch and hand-written C, in one run: ratios of medians.

    python benchmarks/compiled.py [row ...]     all rows, or the named ones
    python benchmarks/compiled.py --list        the names of the rows

All contenders run by turns, on one thread unless the row says otherwise, and must agree before
anything is timed. A time is the median of many calls, after the compilation. The peers are the
dependency group `peers` (jax and torch), and gcc builds `baselines.c`; a peer that is missing is
left out, and a line says so. The table is Markdown. Beside each of our times stands the part of the
machine's limit that it reaches: the larger one of flops over the rate of a big matrix product and
of bytes over the rate of a big copy, both measured in the same run. A working set that stays in the
cache may pass the latter. A row that misses its goal, or fails, stays in the table.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy loads its BLAS
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
if hasattr(os, "sched_setaffinity"):  # XLA starts a thread for each core it may use, flags or not
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import demo
import formulas
import networks
import numpy as np
import scaling
from contest import Contest, Peers, Run, check_agreement, find_peers

Row = Callable[[Peers], Contest]
ROWS: dict[str, Row] = {
    "call-float": formulas.call_with_float,
    "call-out": formulas.call_with_out,
    "descend": formulas.descend,
    "logistic-float64": lambda peers: formulas.logistic(peers, "float64"),
    "logistic-float32": lambda peers: formulas.logistic(peers, "float32"),
    "logsumexp": formulas.log_sum_exp,
    "mlp-128": networks.shallow_network,
    "mlp-32x5": networks.deep_network,
    "mlp-1024": networks.wide_network,
    "cnn": networks.convolutional_network,
    "lstm": networks.recurrent_network,
    "mixture": formulas.mixture,
    "projections": formulas.projections,
    "kmeans": formulas.k_means,
    "runge-kutta": formulas.runge_kutta,
    "nested": formulas.nested_minimisation,
    "demo": demo.demo_training,
    "carry": scaling.long_carry,
    "threads-logistic": scaling.threads_logistic,
    "threads-mlp": scaling.threads_network,
}


@dataclass(frozen=True)
class Machine:
    """What was measured: bytes per second of a copy, flops per second by dtype."""

    bandwidth: float
    flops: dict[str, float]


def measure_machine() -> Machine:
    """Time a copy of 512 MiB and products of 2048 x 2048 matrices; the best of five counts."""
    source = np.ones(1 << 26)
    target = np.empty_like(source)
    copied = best_time(lambda: np.copyto(target, source), 5)
    rates = {}
    n = 2048
    for dtype in ("float32", "float64"):
        a = np.random.default_rng(0).random((n, n)).astype(dtype)
        out = np.empty_like(a)
        rates[dtype] = 2 * n**3 / best_time(lambda a=a, out=out: np.matmul(a, a, out=out), 5)
    return Machine(2 * source.nbytes / copied, rates)


def name_processor() -> str:
    """Return the processor's name and the number of cores, as far as the system tells."""
    name = platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = " ".join([*names[:1], name])
    return f"{name}, {os.cpu_count()} cores"


def best_time(run: Run, times: int) -> float:
    """Return the shortest time of a call, in seconds, the first one not counted."""
    run()
    return min(seconds_per_call(run, 1) for _ in range(times))


def seconds_per_call(run: Run, calls: int) -> float:
    """Time a loop of calls."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def measure(runs: dict[str, Run], seconds: float) -> dict[str, float]:
    """Return each contender's median time over rounds that take the contenders by turns."""
    names = list(runs)
    single = {name: best_time(runs[name], 3) for name in names}
    calls = {name: max(1, round(1e-3 / single[name])) for name in names}
    round_time = sum(single[name] * calls[name] for name in names)
    rounds = int(min(201, max(5, seconds / round_time)))
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else names[::-1]:
            times[name].append(seconds_per_call(runs[name], calls[name]))
    return {name: statistics.median(column) for name, column in times.items()}


def in_unit(seconds: float) -> str:
    """Format a time with the unit that suits its size."""
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 0.0))
    unit, size = next(u for u in units if seconds >= u[1] * 0.1)
    return f"{seconds / (size or 1e-9):.3g} {unit}"


def describe_limit(contest: Contest, seconds: float, machine: Machine) -> str:
    """Return which limit binds, what was reached of it, and the percentage."""
    by_flops = contest.flops / machine.flops[contest.dtype]
    by_memory = contest.memory / machine.bandwidth
    if max(by_flops, by_memory) == 0:
        return "–"
    if by_flops >= by_memory:
        return f"{contest.flops / seconds / 1e9:.3g} GFLOP/s, {by_flops / seconds:.0%}"
    return f"{contest.memory / seconds / 1e9:.3g} GB/s, {by_memory / seconds:.0%}"


def describe(contest: Contest, times: dict[str, float], machine: Machine) -> list[str]:
    """Return the Markdown lines of one contest, one for each peer."""
    ours = times["Slopewise"]
    limit = describe_limit(contest, ours, machine)
    time_of_ours = in_unit(ours / contest.steps)
    peers = [name for name in times if name != "Slopewise"]
    lines = []
    for i, name in enumerate(peers or ["–"]):
        cells = [contest.work, time_of_ours] if i == 0 else ["", ""]
        if name in times:
            ratio = ours / times[name]
            cells += [name, in_unit(times[name] / contest.steps), f"{ratio:#.3g}"]
            goal = contest.goals.get(name)
            met = "" if goal is None else "met" if ratio <= goal else "missed"
            cells += ["" if goal is None else f"{goal:.3g}", met]
        else:
            cells += ["–"] * 5
        cells.append(limit if i == 0 else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def compete(row: Row, peers: Peers, machine: Machine, seconds: float) -> list[str]:
    """Build, check and time one row."""
    contest = row(peers)
    results: dict[str, Any] = {name: run() for name, run in contest.runs.items()}
    check_agreement(contest, results)
    return describe(contest, measure(contest.runs, seconds), machine)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Compiled Slopewise beside its peers.")
    parser.add_argument("rows", nargs="*", metavar="row", help="names of rows; all by default")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--seconds", type=float, default=1.0, help="measuring time for each row")
    options = parser.parse_args()
    if options.list:
        print("\n".join(ROWS))
        return
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        sys.exit(f"no such row: {', '.join(unknown)}; the rows are {', '.join(ROWS)}")
    peers = find_peers()
    machine = measure_machine()
    print(f"{time.strftime('%Y-%m-%d')}, {name_processor()}, Python {platform.python_version()},")
    print(f"NumPy {np.__version__}, one thread; copy {machine.bandwidth / 1e9:.3g} GB/s,")
    rates = (f"{dtype} {rate / 1e9:.3g} GFLOP/s" for dtype, rate in machine.flops.items())
    print(f"matrix product {', '.join(rates)}.")
    for name in ("jax", "torch"):
        module = getattr(peers, name)
        if module is not None:
            print(f"{name} {module.__version__}.")
    for line in peers.missing:
        print(line)
    print("\n| work | Slopewise | against | its time | ratio | goal | | of the limit |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.rows or ROWS:
        try:
            lines = compete(ROWS[name], peers, machine, options.seconds)
        except Exception as error:  # one row's failure is a result, and the others are still due
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            lines = [f"| {name} | failed: {reason.replace('|', '/')} | | | | | | |"]
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
