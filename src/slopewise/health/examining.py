"""Examining a model of our own: its batches, a probe, and probing steps on a copy.

Invariant: model, optimiser, loader and random generator are what they were before. It is separate
from the examination itself, which does not know where readings come from.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import slopewise as sw
from slopewise._core.quiet import hush, restore
from slopewise.errors import UsageError
from slopewise.explain.requests import check_lang, check_range
from slopewise.health.arguments import check_count, check_loss, check_optimizer
from slopewise.health.examination import Examination
from slopewise.health.framework import Framework, find_framework
from slopewise.health.plain import follow_plain
from slopewise.health.probe import as_tensor
from slopewise.health.readings import Readings, read, read_all
from slopewise.health.trajectory import follow, measure_sharpness

BATCHES = 1
"""Batches whose factors are averaged."""
STEPS = 60
"""Probing steps, each of three to four copies."""
LOOKED_AT = 1024
"""Rows that losses along the way are measured on."""
SCALES = (0.1, 10.0, 100.0)
"""Other learning rates that are tried, as multiples."""


def examine(
    model: Any,
    loss_fn: Callable[[Any, Any], Any],
    data: Any,
    *,
    optimizer: Any = None,
    batches: int = BATCHES,
    batch_size: int | None = None,
    steps: int = STEPS,
    budget: int | None = None,
    lang: str = "en",
) -> Examination:
    """Return a network's gradient health, with a verdict.

    Parameters
    ----------
    model : Module or torch.nn.Module
        Nothing of it is changed.
    loss_fn : callable
        From the model's output and the target to a Tensor of one number.
    data : (Tensor, Tensor), DataLoader, or list of (Tensor, Tensor)
        Input and target, or batches of them; of the model's framework, or NumPy arrays.
    optimizer : Optimizer, optional
        Ours or PyTorch's, of the model's parameters. With it a few steps are taken on copies,
        which shows faults of the learning rate.
    batches : int
        How many batches the factors are averaged over.
    batch_size : int, optional
        Rows in a step, where `data` is one pair; all of them if not given.
    steps : int
        Probing steps.
    budget : int, optional
        Steps that the training is meant to take: a rate is too low only for so many.
    lang : str
        "en" or "ko".

    Returns
    -------
    Examination

    Raises
    ------
    UsageError
        If the data are no batches, or the loss is not one number.

    Examples
    --------
    >>> from slopewise import nn
    >>> _ = sw.manual_seed(0)
    >>> layers = [layer for _ in range(9) for layer in (nn.Linear(5, 5), nn.Sigmoid())]
    >>> model = nn.Sequential(*layers, nn.Linear(5, 2))
    >>> x, y = sw.randn(64, 5), sw.randint(0, 2, (64,))
    >>> found = examine(model, nn.functional.cross_entropy, (x, y))
    >>> found.verdict, found.findings[0].cause
    ('vanishing', 'activation')
    """
    check_lang("examine", lang)
    frame = find_framework(model)
    check_range("examine", "batches", batches, 1, 1000)
    check_range("examine", "steps", steps, 1, 100_000)
    model = frame.unwrap(model)
    check_loss("examine", loss_fn)
    check_optimizer("examine", model, optimizer)
    check_count("examine", "batch_size", batch_size)
    check_count("examine", "budget", budget)
    quiet = hush()
    try:
        with frame.keep(model, data):

            def take(value: Any) -> Any:
                return frame.take(value, model)

            listed = [(take(x), take(y))
                      for x, y in read_batches(data, batch_size, max(batches, steps))]  # fmt: skip
            whole = gather(data, listed, take=take, join=frame.join)
            records = [frame.record(model, loss_fn, x, y)
                       for x, y in _choose(listed, whole, batches)]  # fmt: skip
            readings = read_all(records)
            if optimizer is not None:
                readings.budget = budget
                _follow_all(frame, readings, model, loss_fn, listed, whole, optimizer, steps, data)
            return Examination(readings, lang=lang)
    finally:
        restore(quiet)


def _choose(listed: Sequence[Any], whole: Any, batches: int) -> Sequence[Any]:
    """Return the batches to measure; of very small ones, many together."""
    if len(listed[0][0]) < min(32, len(whole[0])):
        return [tuple(part[:128] for part in whole)]
    return listed[:batches]


def read_batches(data: Any, batch_size: int | None, count: int) -> list[Any]:
    """Return up to so many batches of data in any of the forms taken.

    Raises
    ------
    UsageError
        If there are none, or one is no pair.
    """
    if isinstance(data, tuple) and len(data) == 2:
        x, y = data
        rows = len(x)
        if not rows or len(y) != rows:
            raise UsageError(
                f"examine: data has {rows} rows of input and {len(y)} of targets; give as many of"
                " both, and at least one."
            )
        if batch_size is None or batch_size >= rows:
            return [(x, y)]
        order = np.random.default_rng(0).permutation(rows)
        x, y = (v if hasattr(v, "detach") else np.asarray(v) for v in (x, y))
        places = [order[i : i + batch_size] for i in range(0, rows - batch_size + 1, batch_size)]
        return [(x[p], y[p]) for p in places[:count]]
    generator = getattr(data, "generator", None)
    state = None if generator is None else generator.get_state()
    try:
        found = [tuple(batch) for batch in itertools.islice(data, count)]
    except TypeError as error:
        raise UsageError(
            "examine: data must be (x, y), a DataLoader or a list of batches"
            f" (x, y), not {type(data).__name__}."
        ) from error
    finally:
        if generator is not None:
            generator.set_state(state)
    if not found or any(len(batch) != 2 for batch in found):
        raise UsageError("examine: data has no batches of input and target; give pairs (x, y).")
    return found


def gather(
    data: Any, listed: Sequence[Any], most: int | None = LOOKED_AT,
    take: Callable[[Any], Any] | None = None, join: Callable[[Sequence[Any]], Any] = sw.cat,
) -> Any:  # fmt: skip
    """Return rows of several batches as one batch, up to so many."""
    if isinstance(data, tuple) and len(data) == 2:
        dtype = listed[0][0].dtype
        return tuple((take(v) if take else as_tensor(v, dtype))[:most] for v in data)
    parts: list[list[Any]] = [[], []]
    rows = 0
    for x, y in listed:
        parts[0].append(x)
        parts[1].append(y)
        rows += len(x)
        if most is not None and rows >= most:
            break
    return tuple(join(p)[:most] if len(p) > 1 else p[0] for p in parts)


def _follow_all(
    frame: Framework, readings: Readings, model: Any, loss_fn: Any, listed: Sequence[Any],
    whole: Any, optimizer: Any, steps: int, data: Any,
) -> None:  # fmt: skip
    with frame.keep(model, data):
        found, after = follow(model, loss_fn, listed, whole, optimizer, steps)
    if found.frozen == 1:
        readings.trajectory = found
        return
    for scale in SCALES:
        with frame.keep(model, data):
            other, _ = follow(model, loss_fn, listed, whole, optimizer, steps, scale)
        found.others[scale] = other.ends
    arrays = [(frame.read(x), frame.read(y)) for x, y in (*listed, whole)]
    found.plain = follow_plain(arrays[:-1], arrays[-1], steps)
    if not found.adaptive:
        found.sharpness = found.rate * measure_sharpness(model, loss_fn, listed[0])
    readings.trajectory = found
    if math.isfinite(found.ends[-1]):
        x, y = _choose(listed, whole, 1)[0]
        readings.after = read(frame.record(after, loss_fn, x, y))
