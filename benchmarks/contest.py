"""Contests: one piece of work, the contenders that do it, and what bounds it on this machine.

Invariant: a contender's call returns only when its results exist, and starts each time from the
same values. A peer that cannot be imported or built is None and takes part in nothing. It is
separate from `compiled`, which times contests, so that rows can be read without the clock.
"""

from __future__ import annotations

import ctypes
import importlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import slopewise as sw

Run = Callable[[], Any]
C_FLAGS = ("-O3", "-march=native", "-ffast-math", "-mprefer-vector-width=512")


@dataclass
class Contest:
    """One row: contenders by name (ours first), goals as ratios, and the least work it takes.

    `steps` is what a time is divided by. `flops` and `memory` (bytes) are those of one call, the
    arithmetic of exp and the like not counted.
    """

    work: str
    rtol: float
    steps: int = 1
    dtype: str = "float64"
    flops: float = 0.0
    memory: float = 0.0
    runs: dict[str, Run] = field(default_factory=dict)
    goals: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, run: Run, goal: float | None = None) -> None:
        """Enter a contender, with the ratio to it that is to be reached."""
        self.runs[name] = run
        if goal is not None:
            self.goals[name] = goal

    def add_ours(self, function: Callable[..., Any], *arrays: Any) -> None:
        """Enter compiled Slopewise, writing into the same result arrays each time."""
        compiled = sw.compile(function)
        out = _empty_like(compiled(*arrays))
        self.add("Slopewise", lambda: compiled(*arrays, out=out))

    def add_jax(
        self, peers: Peers, goal: float, make: Callable[[Any, Any], Any], *arrays: Any
    ) -> None:
        """Enter `jax.jit(make(jax, jax.numpy))` on device arrays, where there is a JAX."""
        if peers.jax is None:
            return
        jax = peers.jax
        jitted = jax.jit(make(jax, jax.numpy))
        moved = jax.tree_util.tree_map(jax.numpy.asarray, arrays)
        self.add("JAX", lambda: jax.block_until_ready(jitted(*moved)), goal)


@dataclass
class Peers:
    """The modules that could be imported, the C library, and a line for each that is missing."""

    jax: Any = None
    torch: Any = None
    c: Any = None
    missing: list[str] = field(default_factory=list)


def find_peers() -> Peers:
    """Import JAX (with float64) and PyTorch (on one thread) and build the C baselines."""
    peers = Peers()
    try:
        peers.jax = importlib.import_module("jax")
        peers.jax.config.update("jax_enable_x64", True)
    except ImportError as error:
        peers.missing.append(f"JAX is left out: {error}")
    try:
        peers.torch = importlib.import_module("torch")
        peers.torch.set_num_threads(1)
    except ImportError as error:
        peers.missing.append(f"PyTorch is left out: {error}")
    try:
        peers.c = build_c()
    except (OSError, subprocess.CalledProcessError) as error:
        peers.missing.append(f"C is left out: {error}")
    return peers


def build_c() -> ctypes.CDLL:
    """Compile `baselines.c` in a temporary folder and load it."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("no gcc on the path")
    source = Path(__file__).with_name("baselines.c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "baselines.so")
        command = [compiler, *C_FLAGS, "-shared", "-fPIC", "-o", str(library), str(source), "-lm"]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return ctypes.CDLL(str(library))  # stays mapped after the file is gone


def address(array: np.ndarray) -> ctypes.c_void_p:
    """Return where a contiguous array starts, for a call of C; the pointer keeps the array."""
    if not array.flags.c_contiguous:
        raise ValueError("C takes contiguous arrays only")
    return array.ctypes.data_as(ctypes.c_void_p)


def list_leaves(nest: Any) -> list[np.ndarray]:
    """Return the arrays of a nest of tuples, lists and dicts, in order."""
    if isinstance(nest, dict):
        return [leaf for key in sorted(nest) for leaf in list_leaves(nest[key])]
    if isinstance(nest, tuple | list):
        return [leaf for x in nest for leaf in list_leaves(x)]
    return [np.asarray(nest.detach() if hasattr(nest, "detach") else nest)]


def check_agreement(contest: Contest, results: dict[str, Any]) -> None:
    """Raise `ValueError` where two contenders differ by more than rtol of the largest entry."""
    names = list(results)
    first = list_leaves(results[names[0]])
    for name in names[1:]:
        other = list_leaves(results[name])
        if len(first) != len(other):
            raise ValueError(f"{names[0]} gives {len(first)} arrays, {name} {len(other)}")
        for i, (a, b) in enumerate(zip(first, other, strict=True)):
            if a.shape != b.shape:
                raise ValueError(f"result {i}: {names[0]} {a.shape}, {name} {b.shape}")
            wide = np.asarray(b, np.float64)
            error = float(np.abs(np.asarray(a, np.float64) - wide).max())
            if not error <= contest.rtol * max(float(np.abs(wide).max()), 1e-30):
                raise ValueError(f"result {i}: {names[0]} and {name} differ by {error:.2g}")


def _empty_like(nest: Any) -> Any:
    if isinstance(nest, dict):
        return {key: _empty_like(x) for key, x in nest.items()}
    if isinstance(nest, tuple | list):
        return type(nest)([_empty_like(x) for x in nest])
    return np.empty_like(np.asarray(nest))
