"""Readings: all that a diagnosis reads, as numbers, whoever took them.

Invariant: no arrays, no tensors, no framework. A probe of any framework that fills a `Record`, and
a watcher that feeds readings over time, come to the same verdicts. It is separate from the measure,
which needs the arrays, and from the diagnosis, which must not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slopewise.health.heads import name_last, pick, rate
from slopewise.health.measure import Factor, measure
from slopewise.health.record import Record


@dataclass
class Head:
    """The end of a network.

    Attributes
    ----------
    loss, guess, best : float
        Of the batch; of the best constant output; of outputs that are right. NaN where unknown.
    reach : float
        The smallest loss within the range of the last layer; NaN where that has no bounds.
    exact, sure, surer : float
        Of right outputs, of the same as logits, and as logits twice as large.
    grad : float
        Norm of the gradient in the outputs.
    passed : float
        Norm of the gradient in the last weights' output over that in the outputs.
    last : str
        Type of the last call, "" where it is one with weights.
    width : int
        Numbers in the output of one row.
    metric : str
        "accuracy" or "r2".
    score, chance : float
        As the metric counts; by guessing.
    spread : float
        How much of the output depends on the sample.
    unfit : bool
        Whether output and target have different shapes.
    target : float
        Size of targets that are numbers: the larger of mean and deviation; NaN for classes.
    """

    loss: float = math.nan
    guess: float = math.nan
    best: float = math.nan
    reach: float = math.nan
    exact: float = math.nan
    sure: float = math.nan
    surer: float = math.nan
    grad: float = math.nan
    passed: float = math.nan
    last: str = ""
    width: int = 1
    metric: str = "accuracy"
    score: float = math.nan
    chance: float = math.nan
    spread: float = math.nan
    unfit: bool = False
    target: float = math.nan

    @property
    def left(self) -> float:
        """What is left to learn: 1 at guessing, 0 where everything is right, above 1 if worse."""
        whole = self.guess - self.best
        return (self.loss - self.best) / whole if whole > 0 else math.nan


@dataclass
class Inputs:
    """The input of a batch.

    Attributes
    ----------
    rms : float
    contrast : float
        The largest standard deviation of a column over the median one, constant columns left out.
    offset : float
        How far columns are from 0, in their standard deviations.
    width : int
        Numbers in a row.
    normalised : bool
        Whether the network normalises them before its first weights.
    broken : float
        Share of the numbers that are none: infinite, or not a number.
    column : int
        The first column with one of those; -1 for none.
    """

    rms: float = math.nan
    contrast: float = 1.0
    offset: float = 0.0
    width: int = 1
    normalised: bool = False
    broken: float = 0.0
    column: int = -1


@dataclass
class Trajectory:
    """A few steps of training, taken on a copy.

    Attributes
    ----------
    losses : list of float
        Of each step's batch, before the step.
    ends : list of float
        Of one and the same batch: before the first step and at places along the way.
    ratios : list of float
        Norm of the true change of all weights over that of the weights, of each step.
    cosines : list of float
        Between each step's gradient and the one before.
    rate : float
        The learning rate; NaN where there is none.
    rows, batch : int
        In the data, and in one step.
    sharpness : float
        Learning rate times the largest eigenvalue of the Hessian; NaN where it was not computed.
    scores : list of float
        The metric at the same places as `ends`.
    others : dict of float to list of float
        `ends` of the same steps with the learning rate times the key.
    plain : list of float
        What a plain network has left to learn at the same places: 1 at guessing, 0 at perfect.
        Empty where that was not tried.
    adaptive : bool
        Whether the optimiser scales each step by the size of gradients, as Adam does.
    frozen : float
        Share of the model's weights that the optimiser does not have, or that take no gradient.
    """

    losses: list[float] = field(default_factory=list[float])
    ends: list[float] = field(default_factory=list[float])
    ratios: list[float] = field(default_factory=list[float])
    cosines: list[float] = field(default_factory=list[float])
    scores: list[float] = field(default_factory=list[float])
    rate: float = math.nan
    rows: int = 0
    batch: int = 0
    sharpness: float = math.nan
    others: dict[float, list[float]] = field(default_factory=dict[float, "list[float]"])
    plain: list[float] = field(default_factory=list[float])
    adaptive: bool = False
    momentum: float = 0.0
    frozen: float = 0.0


@dataclass
class Readings:
    """All that a diagnosis reads.

    Attributes
    ----------
    factors : list of Factor
    head : Head
    inputs : Inputs
    trajectory : Trajectory or None
        None where no optimiser was given.
    after : Readings or None
        The same batch after the trajectory's steps.
    budget : int or None
        Steps that the training is meant to take, where that is known.
    """

    factors: list[Factor]
    head: Head
    inputs: Inputs
    trajectory: Trajectory | None = None
    after: Readings | None = None
    budget: int | None = None


def read(record: Record, full: bool = True, inputs: Inputs | None = None) -> Readings:
    """Return the readings of one batch.

    Parameters
    ----------
    record : Record
    full : bool
        Whether all is measured, as for `measure`.
    inputs : Inputs, optional
        What an earlier reading of the same batch and network found of its input.

    Returns
    -------
    Readings

    Examples
    --------
    >>> import slopewise as sw
    >>> from slopewise.health.probe import record_batch
    >>> model = sw.nn.Sequential(sw.nn.Linear(2, 3), sw.nn.Sigmoid(), sw.nn.Linear(3, 1))
    >>> x, y = np.eye(2), np.array([[0.0], [1.0]])
    >>> found = read(record_batch(model, sw.nn.functional.mse_loss, x, y))
    >>> found.head.guess, found.head.best, found.inputs.contrast
    (0.25, 0.0, 1.0)
    """
    factors = measure(record, full)
    found = _read_inputs(record, factors) if inputs is None else inputs
    return Readings(factors, _read_head(record, factors), found)


def _read_head(record: Record, factors: list[Factor]) -> Head:
    output = record.output
    head = Head(loss=record.loss)
    head.guess = pick(record.trials, "guess")
    head.best = min((v for v in (pick(record.trials, "best"), pick(record.trials, "sure"))
                     if math.isfinite(v)), default=math.nan)  # fmt: skip
    head.reach = pick(record.trials, "reach")
    head.exact = record.trials.get("best", math.nan)
    head.sure = record.trials.get("sure", math.nan)
    head.surer = record.trials.get("surer", math.nan)
    head.width = int(output[0].size) if len(output) else 0
    head.metric, head.score, head.chance = rate(output, record.target)
    if record.grad_output is not None:
        head.grad = float(np.linalg.norm(record.grad_output))
    if len(output) > 1 and np.all(np.isfinite(output)):
        size = float(np.linalg.norm(output))
        apart = output - output.sum(axis=0) / len(output)
        head.spread = float(np.linalg.norm(apart)) / size if size else 0.0
    target = np.asarray(record.target)
    same_size = target.size == output.size and target.dtype.kind == "f"
    head.unfit = same_size and target.ndim != output.ndim
    if head.metric == "r2" and target.dtype.kind == "f" and target.size:
        head.target = max(abs(float(target.mean())), float(target.std()))
    last = next((i for i in reversed(range(len(factors))) if factors[i].letter == "M"), None)
    if last is not None and head.grad > 0:
        got = factors[last].grad_out
        head.passed = (0.0 if math.isnan(got) else got) / head.grad
    head.last = name_last(record)
    return head


def _read_inputs(record: Record, factors: list[Factor]) -> Inputs:
    x = np.asarray(record.input)
    found = Inputs(width=int(x[0].size) if len(x) else 0)
    if x.dtype.kind != "f" or not x.size:
        return found
    finite = np.isfinite(x)
    if not np.all(finite):
        found.broken = 1.0 - float(np.mean(finite))
        if x.ndim > 1:
            axes = tuple(i for i in range(x.ndim) if i != 1)
            found.column = int(np.argmin(finite.all(axis=axes)))
        return found
    if len(x) < 2:
        return found
    found.rms = float(np.sqrt(np.mean(x**2)))
    columns = x.reshape(len(x), -1) if x.ndim == 2 else np.moveaxis(x, 1, -1).reshape(
        -1, x.shape[1])  # fmt: skip
    deviations, means = columns.std(axis=0), columns.mean(axis=0)
    moving = deviations[deviations > 1e-12 * max(found.rms, 1e-300)]
    if moving.size:
        found.contrast = float(moving.max() / np.median(moving))
        found.offset = float(np.sqrt(np.mean(means**2)) / np.sqrt(np.mean(deviations**2)))
    first = next((f for f in factors if f.kind in ("weights", "norm", "recurrent")), None)
    found.normalised = first is not None and first.kind == "norm"
    return found


def read_all(records: list[Record]) -> Any:
    """Return the readings of several batches as one: factors by their geometric means."""
    found = [read(record) for record in records]
    first = found[0]
    for i, factor in enumerate(first.factors):
        same = [r.factors[i] for r in found if len(r.factors) == len(first.factors)]
        for name in ("formula", "measured", "grad_in", "grad_out"):
            values = [getattr(f, name) for f in same]
            if all(v is not None and v > 0 and math.isfinite(v) for v in values):
                setattr(factor, name, math.exp(sum(map(math.log, values)) / len(values)))
    for name in ("loss", "guess", "best", "reach", "grad", "score", "chance"):
        setattr(first.head, name, float(np.mean([getattr(r.head, name) for r in found])))
    return first
