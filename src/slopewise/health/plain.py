"""The plain network: what two layers of usual make learn of the same data in as many steps.

Invariant: it is made of the data alone, in our own engine, whatever framework the examined network
is of; its progress is told relative to guessing, so that losses need not be the same. It is
separate because examination and cure both ask what there is to be learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn, optim
from slopewise.health.surgery import Standardise
from slopewise.health.trajectory import follow
from slopewise.nn import functional as F

WIDTH = 64
RATE = 5e-3
SMALLEST_BATCH = 16


def make_plain(x: Any, outputs: int) -> Any:
    """Return a network of two hidden layers that standardises its input.

    Examples
    --------
    >>> model = make_plain(np.arange(6.0).reshape(3, 2), 4)
    >>> model(sw.zeros(5, 2)).shape
    (5, 4)
    """
    width = int(np.asarray(x)[0].size)
    layers = [nn.Flatten(), nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(),
              nn.Linear(WIDTH, outputs)]  # fmt: skip
    return nn.Sequential(Standardise(x), *layers)


def choose_loss(y: Any) -> tuple[Callable[[Any, Any], Any], int] | None:
    """Return the usual loss for targets, and how many outputs it takes; None for other targets."""
    y = np.asarray(y)
    if y.dtype.kind in "iu" and y.ndim == 1 and y.size and y.min() >= 0:
        return F.cross_entropy, int(y.max()) + 1
    if y.dtype.kind == "f" and y.ndim <= 2:
        shape = (-1, 1) if y.ndim == 1 else (-1, y.shape[1])
        return lambda out, target: F.mse_loss(out, target.reshape(shape)), shape[1]
    return None


def follow_plain(
    batches: Sequence[tuple[Any, Any]], whole: tuple[Any, Any], steps: int
) -> list[float]:
    """Return what the plain network has left to learn along the way: 1 at guessing, 0 at perfect.

    Parameters
    ----------
    batches : sequence of (array, array)
    whole : (array, array)
        Looked at along the way.
    steps : int

    Returns
    -------
    list of float
        Empty where the data are not rows of numbers with classes or numbers as targets.
    """
    x, y = np.asarray(whole[0]), np.asarray(whole[1])
    chosen = choose_loss(y)
    if chosen is None or x.dtype.kind != "f" or len(x) < 2 or not np.all(np.isfinite(x)):
        return []
    loss, outputs = chosen
    numbers = y.dtype.kind == "f"
    scale = float(np.std(y)) if numbers else 1.0
    if not scale > 0:
        return []
    shift = float(np.mean(y)) if numbers else 0

    def convert(pair: tuple[Any, Any]) -> tuple[Any, Any]:
        a, b = (np.asarray(v) for v in pair)
        target = ((b - shift) / scale).astype(np.float32) if numbers else b
        return sw.tensor(a.astype(np.float32)), sw.tensor(target)

    rows = max(SMALLEST_BATCH, len(np.asarray(batches[0][0])))
    made = [convert(batch) for batch in batches]
    if len(made[0][0]) < SMALLEST_BATCH:
        made = _join(made, rows)
    state = sw.get_rng_state()
    sw.manual_seed(0)
    try:
        model = make_plain(x, outputs)
        adam = optim.Adam(model.parameters(), lr=RATE)
        found, _ = follow(model, loss, made, convert(whole), adam, steps)
    finally:
        sw.set_rng_state(state)
    if numbers:
        columns = ((y - shift) / scale).reshape(len(y), -1)
        guess = float(np.mean(columns.var(axis=0)))
    else:
        shares = np.bincount(y, minlength=outputs) / len(y)
        guess = -float(sum(s * math.log(s) for s in shares if s > 0))
    return [e / guess for e in found.ends] if guess > 0 else []


def _join(batches: list[tuple[Any, Any]], rows: int) -> list[tuple[Any, Any]]:
    """Return larger batches, for a network that is to show what can be learned."""
    per = max(1, math.ceil(rows / max(1, len(batches[0][0]))))
    groups = [batches[i : i + per] for i in range(0, len(batches), per)]
    return [(sw.cat([b[0] for b in g]), sw.cat([b[1] for b in g])) for g in groups]
