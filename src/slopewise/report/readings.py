"""What the numbers of a run say: which sentences hold, with which values.

Invariant: a sentence is chosen by a stated rule from the numbers alone, and no rule knows which
table it is; a reading is a message id with formatted values, so it holds in every language. It is
separate because these judgements are tested without a page.
"""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slopewise.report.content import Content, Curves, Side, Steps
from slopewise.report.digits import format_count, format_near, format_number

FAR = 1000.0
"""A first layer's gradient so many times below the last one's counts as vanishing."""
NOISE = 1e-12
"""Losses and residuals below this share of their scale are rounding noise."""
PAIRS = 15
CLASSES_SHOWN = 20
"""Classes up to which a confusion matrix can be read."""


@dataclass(frozen=True)
class Reading:
    """A sentence: its message id and what it names."""

    id: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerNorms:
    """A layer's gradient norm at three epochs, and its median ratio to the last layer's."""

    layer: str
    first: float
    best: float
    last: float
    ratio: float | None


@dataclass(frozen=True)
class Pair:
    """How often rows of one class were predicted as another (class numbers)."""

    truth: int
    prediction: int
    rows: int
    share: float


def read_stop(content: Content) -> Reading:
    """Why training ended.

    Parameters
    ----------
    content : Content
        Of any run.

    Returns
    -------
    Reading
    """
    values = {
        "patience": {"patience": content.settings.get("patience")},
        "epochs": {"epochs": format_count(len(content.curves.epoch))},
    }
    return Reading(f"stopped.{content.stopped}", values.get(content.stopped, {}))


def read_step(steps: Steps) -> list[Reading]:
    """What became of the first step's weight: the plain step, or what the optimiser made of it.

    Parameters
    ----------
    steps : Steps
        Of a run that made a first step at least in part.

    Returns
    -------
    list of Reading

    Notes
    -----
    A step of plain descent agrees with `w - lr * slope` to float32 rounding; a larger difference
    comes from the pull of regularisation.
    """
    before, after = steps.before, steps.after
    step = steps.learning_rate * steps.gradient
    if not np.isfinite(after):
        return [Reading("step4.missing")]
    values = {"before": format_near(before, step), "after": format_near(after, after - before)}
    if steps.optimizer == "adam":
        # With almost no slope, regularisation can turn the step round or shorten it.
        moved = before - after
        usual = moved * steps.gradient > 0 and abs(abs(moved) / steps.learning_rate - 1) < 0.1
        return [Reading("step4.adam" if usual else "step4.adam.other", values)]
    rounding = 4 * float(np.finfo(np.float32).eps) * max(abs(before), abs(after))
    exact = abs(before - step - after) <= max(rounding, 1e-4 * abs(step))
    return [Reading("step4.exact" if exact else "step4.decay", {"after": values["after"]})]


def read_losses(curves: Curves) -> list[Reading]:
    """What the loss curves say: overfitting, still falling, or level; and the learning rate.

    Parameters
    ----------
    curves : Curves
        Of any run.

    Returns
    -------
    list of Reading

    Notes
    -----
    Overfitting is said where, from the best epoch to the last, the training loss fell by 5 % or
    more and the validation loss rose by 2 % or more.
    """
    readings: list[Reading] = []
    count = len(curves.epoch)
    if not count:
        return readings
    undrawable = ~(np.isfinite(curves.loss) & np.isfinite(curves.val_loss))
    if undrawable.any():
        readings.append(Reading("loss.hidden", {"count": format_count(int(undrawable.sum()))}))
    best = int(np.searchsorted(curves.epoch, curves.best))
    if best < count and curves.epoch[best] == curves.best:
        train, train_last = float(curves.loss[best]), float(curves.loss[-1])
        val, val_last = float(curves.val_loss[best]), float(curves.val_loss[-1])
        if best == count - 1:
            readings.append(Reading("loss.falling"))
        elif train_last < 0.95 * train and val_last > 1.02 * val:
            shown = {
                "train": train, "train_last": train_last, "val": val, "val_last": val_last,
            }  # fmt: skip
            values = {name: format_loss(value) for name, value in shown.items()}
            readings.append(Reading("loss.overfit", {"epoch": curves.best, **values}))
        else:
            values = {"epoch": curves.best, "val": format_loss(val)}
            readings.append(Reading("loss.level", values))
    first, last = float(curves.lr[0]), float(curves.lr[-1])
    if first != last:
        values = {"first": format_number(first), "last": format_number(last)}
        readings.append(Reading("loss.rate", values))
    return readings


def compare_layers(curves: Curves) -> list[LayerNorms]:
    """Each layer's gradient norm at the first, best and last epoch, beside the last layer's.

    Parameters
    ----------
    curves : Curves
        Of at least one epoch.

    Returns
    -------
    list of LayerNorms
        `ratio` is the median over epochs of the layer's norm over the last layer's; None where
        no epoch has both.
    """
    if not curves.norms:
        return []
    best = int(np.searchsorted(curves.epoch, curves.best))
    best = min(best, len(curves.epoch) - 1)
    reference = curves.norms[curves.chain[-1]]
    rows = []
    for layer, norms in curves.norms.items():
        with np.errstate(all="ignore"):
            ratios = norms / reference
        good = ratios[np.isfinite(ratios)]
        ratio = float(np.median(good)) if len(good) else None
        rows.append(LayerNorms(layer, float(norms[0]), float(norms[best]), float(norms[-1]), ratio))
    return rows


def read_gradients(curves: Curves) -> list[Reading]:
    """What the gradient norms say: steady, vanishing or exploding, infinite, or 0.

    Parameters
    ----------
    curves : Curves
        Of any run.

    Returns
    -------
    list of Reading
        Values named `first`, `last` and `layers` are layers' names.
    """
    readings: list[Reading] = []
    if not len(curves.epoch) or not curves.norms:
        return readings
    together = np.array(list(curves.norms.values()))
    bad = ~np.isfinite(together).all(axis=0)
    if bad.any():
        epoch = int(curves.epoch[int(np.argmax(bad))])
        readings.append(Reading("gradients.infinite", {"epoch": epoch}))
    chain = curves.chain
    if len(chain) == 1:
        readings.append(Reading("gradients.one"))
    else:
        ratio = next(row.ratio for row in compare_layers(curves) if row.layer == chain[0])
        if ratio is not None:
            kind = "steady"
            if ratio < 1 / FAR:
                kind = "vanishing"
            elif ratio > FAR:
                kind = "exploding"
            values = {"first": chain[0], "last": chain[-1], "ratio": format_number(ratio, 2)}
            readings.append(Reading(f"gradients.{kind}", values))
    zero = [name for name, values in curves.norms.items() if np.any(values == 0)]
    if zero:
        readings.append(Reading("gradients.zero", {"layers": zero}))
    total = curves.total
    if len(total) > 1 and np.isfinite(total[[0, -1]]).all() and total[-1] < total[0] / 2:
        values = {"first": format_number(total[0], 3), "last": format_number(total[-1], 3)}
        readings.append(Reading("gradients.total", values))
    return readings


def list_pairs(confusion: np.ndarray) -> list[Pair]:
    """The pairs of classes that were confused, the most frequent first.

    Parameters
    ----------
    confusion : ndarray of shape (classes, classes), int64
        Rows are true classes, columns predicted ones.

    Returns
    -------
    list of Pair

    Examples
    --------
    >>> list_pairs(np.array([[5, 1], [0, 2]]))
    [Pair(truth=0, prediction=1, rows=1, share=0.16666666666666666)]
    """
    totals = confusion.sum(axis=1)
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    places = np.argwhere(wrong)
    counts = wrong[wrong > 0]
    order = np.argsort(-counts, kind="stable")
    return [
        Pair(int(t), int(p), int(wrong[t, p]), float(wrong[t, p] / totals[t]))
        for t, p in places[order]
    ]


def list_weak(confusion: np.ndarray, shown: int = 10) -> list[tuple[int, int, int, float]]:
    """The classes that were recognised least often.

    Parameters
    ----------
    confusion : ndarray of shape (classes, classes), int64
        Rows are true classes.
    shown : int
        How many.

    Returns
    -------
    list of (class, right rows, rows, share)
        Only classes that have rows.
    """
    totals = confusion.sum(axis=1)
    present = np.flatnonzero(totals)
    shares = confusion.diagonal()[present] / totals[present]
    order = np.lexsort((present, shares))[:shown]
    return [
        (int(c), int(confusion[c, c]), int(totals[c]), float(share))
        for c, share in zip(present[order], shares[order], strict=True)
    ]


def read_residuals(side: Side) -> list[Reading]:
    """How large residuals are, and how many rows cannot be drawn.

    Parameters
    ----------
    side : Side
        Of a regression, with at least one row.

    Returns
    -------
    list of Reading
    """
    truth, prediction = np.asarray(side.truth, float), np.asarray(side.prediction, float)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        residual = truth - prediction
        good = residual[np.isfinite(residual)]
        if not len(good):
            return []
        floor = NOISE * float(np.max(np.abs(truth[np.isfinite(truth)]), initial=0.0))
        half, most = np.quantile(np.abs(good), [0.5, 0.9])
        mean = float(np.mean(good))
    values = {"half": half, "most": most, "mean": mean}
    shown = {name: format_number(value, 3, floor) for name, value in values.items()}
    return [Reading("scatter.spread", shown)]


def format_loss(value: float | None) -> str:
    """A loss in four digits; below rounding noise it is 0.

    Parameters
    ----------
    value : float or None
        Any number.

    Returns
    -------
    str

    Examples
    --------
    >>> format_loss(2.3025853633880615), format_loss(2.2e-16)
    ('2.303', '0')
    """
    return format_number(value, 4, NOISE)
