"""Rows of `compiled` that compare Slopewise with itself: more threads, and a longer carry.

Invariant: the contenders run the same compiled function; only the number of threads, or the size
of what a loop carries, differs. These rows undo the pinning to one core, so that they come last.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from contest import Contest, Peers
from networks import forward, make_batch, make_layers

import slopewise as sw


def _add_threads(contest: Contest, compiled: Callable[..., Any], *arrays: Any) -> None:
    """Enter a function on two threads and on one."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))

    def run(count: int) -> Any:
        sw.set_num_threads(count)
        return compiled(*arrays)

    contest.add("Slopewise", lambda: run(2))
    contest.add("one thread", lambda: run(1), 0.6)


def threads_logistic(_: Peers) -> Contest:
    """Return the row of a logistic loss and its gradient on two threads."""
    n, d = 100_000, 30
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((n, d)), rng.standard_normal(d)
    y = (rng.random(n) > 0.5) * 1.0

    def loss(w: Any, x: Any, y: Any) -> Any:
        z = x @ w
        return (sw.softplus(z) - y * z).mean()

    contest = Contest(
        "logistic loss and gradient, 100k×30, float64, 2 threads", 0.0,
        flops=4.0 * n * d, memory=x.nbytes + y.nbytes,
    )  # fmt: skip
    _add_threads(contest, sw.compile(sw.value_and_grad(loss)), w, x, y)
    return contest


def threads_network(_: Peers) -> Contest:
    """Return the row of the loss and the gradient of a wide network on two threads."""
    sizes, batch = (784, 1024, 1024, 10), 256
    rng = np.random.default_rng(0)
    layers = make_layers(rng, sizes)
    x, y = make_batch(rng, batch, sizes[0])

    def loss(layers: Any, x: Any, y: Any) -> Any:
        return sw.nn.functional.cross_entropy(forward(layers, x, sw.relu), y)

    flops = 6.0 * batch * sum(a * b for a, b in pairwise(sizes))
    contest = Contest(
        "MLP 784-1024-1024-10, batch 256, gradient, 2 threads", 0.0, dtype="float32", flops=flops
    )
    _add_threads(contest, sw.compile(sw.value_and_grad(loss)), layers, x, y)
    return contest


def long_carry(_: Peers) -> Contest:
    """Return the row of a loop that writes single elements of a carry, long and short."""
    steps = 1_000_000
    contest = Contest("10⁶ steps, each writes one element of a carry of 10⁵", 0.0, steps=steps)

    def fill(carry: Any) -> Any:
        size = len(carry)

        def body(i: Any, c: Any) -> Any:
            return sw.scatter_set(c, (i % size,), c[i % size] + 1.0)

        return sw.fori_loop(0, steps, body, carry).sum()

    for name, size in (("Slopewise", 100_000), ("a carry of 10³", 1_000)):
        compiled, start = sw.compile(fill), np.zeros(size)
        contest.add(name, lambda f=compiled, x=start: f(x), None if size > 1_000 else 1.5)
    return contest
