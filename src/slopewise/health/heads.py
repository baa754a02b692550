"""Outputs to try on a loss: what it is at guessing and at its best, and what outputs it wants.

Invariant: trial outputs are NumPy arrays made of the batch's outputs and targets alone, so every
framework tries the same. It is separate because whoever evaluates a loss knows the framework, and
whoever reads the answers must not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from slopewise.health.record import Record

SURE = 15.0
"""Logits of this size are certain to a few parts in ten million."""
RANGES: dict[str, tuple[float, float]] = {
    "relu": (0.0, math.inf), "relu6": (0.0, 6.0), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0),
    "softmax": (0.0, 1.0), "softmin": (0.0, 1.0), "hardsigmoid": (0.0, 1.0),
    "hardtanh": (-1.0, 1.0), "softsign": (-1.0, 1.0), "softplus": (0.0, math.inf),
    "exp": (0.0, math.inf), "abs": (0.0, math.inf), "square": (0.0, math.inf),
}  # fmt: skip
"""Activations that cannot give every number, by lower-case type, with what they can give."""


def make_trials(output: Any, target: Any, last: str = "") -> dict[str, Any]:
    """Return outputs whose losses tell what a loss wants.

    Parameters
    ----------
    output : ndarray of shape (n, ...)
        What the model gave.
    target : ndarray
        Numbers of the same size, or classes.
    last : str
        The type of the layer that made the output.

    Returns
    -------
    dict of str to ndarray
        Names begin with "guess" (the same for every row), "best" (as if everything were known),
        "sure" and "surer" (the same as logits), and "reach" (best within the last layer's range).

    Examples
    --------
    >>> trials = make_trials(np.zeros((4, 2)), np.array([0, 1, 1, 1]))
    >>> trials["guess"][0].tolist(), trials["best"][0].tolist()
    ([0.25, 0.75], [1.0, 0.0])
    """
    exact = _fill_exact(output, target)
    if exact is None:
        return {}
    mean = np.broadcast_to(exact.mean(axis=0), exact.shape)
    if last == "logsoftmax":
        return {"guess": np.log(np.maximum(mean, 1e-6)), "best": np.log(np.maximum(exact, 1e-7))}
    trials = {"guess": mean, "best": exact}
    if np.all((exact == 0) | (exact == 1)):
        safe = np.clip(mean, 1e-6, 1 - 1e-6)
        one_column = exact.ndim < 2 or exact.shape[1] == 1
        trials["guess_logits"] = np.log(safe / (1 - safe)) if one_column else np.log(safe)
        trials["sure"] = SURE * (2 * exact - 1)
        trials["surer"] = 2 * trials["sure"]
    if last.lower() in RANGES:
        low, high = RANGES[last.lower()]
        for name in ("best", "sure"):
            if name in trials:
                trials[f"reach_{name}"] = np.clip(trials[name], low, high)
    return trials


def name_last(record: Record) -> str:
    """Return the type of the last activation where that bounds the outputs, else "".

    A softmax made of functions is told by its rows, which sum to 1.
    """
    for call in reversed(record.calls):
        if call.type.lower() in (*RANGES, "logsoftmax"):
            return call.type.lower()
        if call.kind in ("weights", "norm", "recurrent", "activation"):
            break
    output = np.asarray(record.output)
    if output.ndim < 2 or not output.size or output.min() < 0 < output.max():
        return ""
    if not np.all(np.isfinite(output)):
        return ""
    if np.all(output <= 0) and np.allclose(np.exp(output).sum(axis=1), 1.0, atol=1e-4):
        return "logsoftmax"
    if not np.all(output >= 0):
        return ""
    return "softmax" if np.allclose(output.sum(axis=1), 1.0, atol=1e-4) else ""


def _fill_exact(output: Any, target: Any) -> Any:
    """Return the outputs that say exactly what is wanted; None where that cannot be told."""
    target = np.asarray(target)
    if target.dtype.kind == "f" or (target.size == output.size and target.ndim >= output.ndim):
        return target.astype(float).reshape(output.shape) if target.size == output.size else None
    if output.ndim < 2 or not target.size:
        fits = target.size == output.size
        return target.astype(float).reshape(output.shape) if fits else None
    if output.shape[1] == 1 and target.size == output.size:
        return target.astype(float).reshape(output.shape)
    classes = output.shape[1]
    whole = target.dtype.kind in "iub" and target.shape == (len(output), *output.shape[2:])
    if not whole or target.min() < 0 or target.max() >= classes:
        return None
    return np.moveaxis(np.eye(classes)[target.astype(int)], -1, 1)


def rate(output: Any, target: Any) -> tuple[str, float, float]:
    """Return how good outputs are: what is counted, how much of it, and by guessing.

    Parameters
    ----------
    output : ndarray of shape (n, ...)
    target : ndarray

    Returns
    -------
    str, float, float
        "accuracy" with the share of the most frequent class, or "r2" with 0.

    Examples
    --------
    >>> rate(np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([0, 0]))
    ('accuracy', 0.5, 1.0)
    """
    metric, points, chance = rate_rows(output, target)
    return metric, float(points.mean()) if points is not None else math.nan, chance


def rate_rows(output: Any, target: Any) -> tuple[str, Any, float]:
    """Return how good the outputs of each row are, so that their mean is what `rate` gives.

    Parameters
    ----------
    output : ndarray of shape (n, ...)
    target : ndarray

    Returns
    -------
    str, ndarray of shape (n,) or None, float
        What is counted, each row's part of it, and that of guessing; None where none can be told.

    Examples
    --------
    >>> rate_rows(np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([0, 0]))[1].tolist()
    [1.0, 0.0]
    """
    if _are_classes(output, target):
        if not math.isfinite(float(np.sum(output))):
            return "accuracy", None, math.nan
        hits = (output.argmax(axis=1) == target).astype(float)
        return "accuracy", hits, int(np.bincount(target).max()) / len(target)
    exact = _fill_exact(output, target)
    if exact is None or not np.all(np.isfinite(output)):
        return "accuracy", None, math.nan
    binary = np.all((exact == 0) | (exact == 1))
    if binary and (exact.ndim < 2 or exact.shape[1] == 1):
        cut = 0.5 if output.min() >= 0 and output.max() <= 1 else 0.0
        share = float(exact.mean())
        right = (output > cut) == (exact > 0.5)
        return "accuracy", _average_rows(right), max(share, 1 - share)
    if binary and np.all(exact.sum(axis=1) == 1):
        right = output.argmax(axis=1) == exact.argmax(axis=1)
        return "accuracy", _average_rows(right), float(exact.mean(axis=0).max())
    left = _average_rows((output - exact) ** 2)
    whole = float(np.mean((exact - exact.mean(axis=0)) ** 2))
    return "r2", 1.0 - left / whole if whole else None, 0.0


def _average_rows(values: Any) -> Any:
    """Return the mean of each row."""
    return values.reshape(len(values), -1).mean(axis=1)


def _are_classes(output: Any, target: Any) -> bool:
    """Return whether a target names one class for each row of several outputs."""
    target = np.asarray(target)
    several = output.ndim == 2 and output.shape[1] > 1 and target.shape == (len(output),)
    if not several or target.dtype.kind not in "iu" or not len(target):
        return False
    return bool(target.min() >= 0 and target.max() < output.shape[1])


def pick(trials: Mapping[str, float], prefix: str) -> float:
    """Return the smallest finite loss of the trials of a name.

    Examples
    --------
    >>> pick({"guess": 2.0, "guess_logits": 0.7, "best": 0.1}, "guess")
    0.7
    """
    found = [v for k, v in trials.items() if k.startswith(prefix) and math.isfinite(v)]
    return min(found, default=math.nan)
