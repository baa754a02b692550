"""What a report says, as plain records taken from a training run's result.

Invariant: this is the one module that knows `slopewise.train`'s `Result`; page, sentences and
pictures read these records only. Nothing is computed here but sums, shares and choices of what to
show. It is separate so that a change in training is followed in one place.
"""

import platform
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from slopewise.train.result import Result

FIGURES = {
    "classification": ("accuracy", "log_loss", "roc_auc"),
    "regression": ("r2", "rmse", "mae"),
}
"""Figures of merit of each task, in the order in which they are shown."""
LIBRARIES = ("numpy", "scipy", "llvmlite", "duckdb", "narwhals", "safetensors")
COLUMNS_SHOWN = 100
"""Columns of the table that are listed."""
_PARAMETER = re.compile(r"^(\w+)\.(weight|bias)\[([\d, ]*)\]$")


@dataclass(frozen=True)
class Column:
    """A column that was learnt from: its name, its kind, and how many inputs it became."""

    name: str
    kind: str
    inputs: int
    flagged: bool


@dataclass(frozen=True)
class Shares:
    """How many rows each side of the split has; `folds` above 1 means a committee."""

    train: int
    validation: int
    test: int
    folds: int


@dataclass(frozen=True)
class Curves:
    """One number per finished epoch, each of shape (epochs,); norms by layer, first layer first."""

    epoch: np.ndarray
    loss: np.ndarray
    val_loss: np.ndarray
    lr: np.ndarray
    norms: dict[str, np.ndarray]
    best: int

    @property
    def total(self) -> np.ndarray:
        """The norm of the whole gradient, of shape (epochs,)."""
        if not self.norms:
            return np.zeros(len(self.epoch))
        with np.errstate(over="ignore"):
            return np.hypot.reduce(list(self.norms.values()), axis=0)

    @property
    def chain(self) -> list[str]:
        """The layers that the gradient passes one after the other (no path beside them)."""
        return [name for name in self.norms if name != "linear_path"]


@dataclass(frozen=True)
class Side:
    """Predictions beside the truth: class numbers, or numbers in the target's units."""

    name: str
    truth: np.ndarray
    prediction: np.ndarray
    confusion: np.ndarray | None


@dataclass(frozen=True)
class Worst:
    """A row that was predicted worst; its number counts from 1."""

    row: int
    truth: Any
    prediction: Any
    loss: float
    probability: float | None
    values: dict[str, Any]


@dataclass(frozen=True)
class Steps:
    """The lecture's five steps; `parameter` is empty if not even one step was made.

    `input` and `output` are what the parameter joins, None where that has no name in the table.
    """

    batch_rows: int
    row: int
    truth: Any
    prediction: float
    loss: float
    parameter: str
    input: str | None
    output: Any
    gradient: float
    learning_rate: float
    before: float
    after: float
    optimizer: str
    steps: int
    epochs: int
    first_val_loss: float
    best_val_loss: float
    best_epoch: int


@dataclass(frozen=True)
class Content:
    """All that the report of one run says."""

    source: str
    target: str
    task: str
    classes: tuple[Any, ...]
    table_rows: int
    used_rows: int
    columns: list[Column]
    column_count: int
    inputs: int
    shares: Shares
    settings: dict[str, Any]
    figures: tuple[str, ...]
    metrics: dict[str, dict[str, Any]]
    notices: list[tuple[str, dict[str, Any], str]]
    curves: Curves
    side: Side | None
    worst: list[Worst]
    steps: Steps
    candidates: list[dict[str, Any]]
    chosen: int
    stopped: str
    seconds: float
    versions: dict[str, str]
    health: Any = None

    @property
    def members(self) -> int:
        """How many networks share the work."""
        return int(self.settings.get("members", 1))


def read_content(result: "Result") -> Content:
    """Take from a result what its report says.

    Parameters
    ----------
    result : Result
        Of a run that ended in any way.

    Returns
    -------
    Content
    """
    target, encoding = result.target, result.predictor.encoding
    split = result.split
    columns = [
        Column(column.name, column.kind, len(column.features), column.flagged)
        for column in encoding.columns[:COLUMNS_SHOWN]
    ]
    folds = split.folds
    shares = Shares(len(split.train), len(split.validation), len(split.test), folds)
    figures = FIGURES[target.task]
    metrics = {
        side: {name: result.metrics[side].get(name) for name in (*figures, "rows")}
        for side in ("test", "validation")
    }
    return Content(
        source=result.source,
        target=target.name,
        task=target.task,
        classes=tuple(target.classes),
        table_rows=result.table_rows,
        used_rows=len(result.positions),
        columns=columns,
        column_count=len(encoding.columns),
        inputs=len(encoding.features),
        shares=shares,
        settings=dict(result.settings),
        figures=figures,
        metrics=metrics,
        notices=[(notice.id, dict(notice.values), notice.text) for notice in result.notices],
        curves=_read_curves(result),
        side=_read_side(result),
        worst=[
            Worst(w.row, w.truth, w.prediction, w.loss, w.probability, w.values)
            for w in result.worst
        ],
        steps=_read_steps(result),
        candidates=list(result.candidates),
        chosen=result.chosen,
        stopped=result.stopped,
        seconds=result.seconds,
        versions=_read_versions(result),
        health=result.health,
    )


def _read_curves(result: "Result") -> Curves:
    """The history, with layers from the input to the output."""
    history = {name: np.asarray(values, float) for name, values in result.history.items()}
    none = np.zeros(0)
    norms = {
        name.removeprefix("grad."): values
        for name, values in history.items()
        if name.startswith("grad.")
    }
    return Curves(
        history.get("epoch", none).astype(np.int64),
        history.get("loss", none),
        history.get("val_loss", none),
        history.get("lr", none),
        norms,
        result.best_epoch,
    )


def _read_side(result: "Result") -> Side | None:
    """The test rows, or without these the validation rows, or None if there are neither."""
    for name in ("test", "validation"):
        side = getattr(result, name)
        if len(side.rows):
            return Side(name, side.truth, side.prediction, result.confusion)
    return None


def _read_steps(result: "Result") -> Steps:
    """The five steps, with names for what the chosen parameter joins."""
    told = result.five_steps
    source, leads_to = _name_ends(result, told.parameter)
    return Steps(
        told.batch_rows,
        told.row,
        told.truth,
        told.prediction,
        told.loss,
        told.parameter,
        source,
        leads_to,
        told.gradient,
        told.learning_rate,
        told.before,
        told.after,
        told.optimizer,
        told.steps,
        told.epochs,
        told.first_val_loss,
        told.best_val_loss,
        told.best_epoch,
    )


def _name_ends(result: "Result", parameter: str) -> tuple[str | None, Any]:
    """The input that a weight comes from and the class that it leads to, where these exist."""
    match = _PARAMETER.match(parameter)
    if match is None:
        return None, None
    layer, kind, inside = match.groups()
    place = [int(part) for part in inside.split(",") if part.strip()]
    features = result.predictor.encoding.features
    hidden = bool(result.settings.get("hidden"))
    from_input = layer in ("hidden1", "linear_path") or (layer == "output" and not hidden)
    source = None
    if kind == "weight" and from_input and len(place) == 2 and place[0] < len(features):
        source = features[place[0]]
    leads_to = None
    if layer in ("output", "linear_path") and place and place[-1] < len(result.target.classes):
        leads_to = result.target.classes[place[-1]]
    return source, leads_to


def _read_versions(result: "Result") -> dict[str, str]:
    """Versions of what the run was computed with."""
    versions = {
        "Slopewise": str(result.predictor.facts.get("slopewise", "")),
        "Python": ".".join(map(str, sys.version_info[:3])),
    }
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    system = f"{platform.system()} {platform.machine()}".strip()
    return {**versions, "": system} if system else versions
