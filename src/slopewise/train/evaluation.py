"""From a trained network to what readers see: predictions, figures, worst rows, the five steps.

Invariant: every prediction comes from the model as it is saved, and a validation row is predicted
by a member that has not trained on it. It is separate because it looks at a run from outside.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise.train.dataset import Dataset
from slopewise.train.loop import Trial
from slopewise.train.metrics import measure_classes, measure_numbers
from slopewise.train.predictor import Predictor, compute_outputs
from slopewise.train.result import Evaluation, FiveSteps, WorstRow
from slopewise.train.tables import Kind, Table, show_value

WORST = 10
"""How many of the rows predicted worst are listed."""


def evaluate_rows(
    data: Dataset, predictor: Predictor, rows: np.ndarray, outputs: np.ndarray
) -> Evaluation:
    """Predictions beside the truth for some rows.

    Parameters
    ----------
    data : Dataset
        Where the truth is.
    predictor : Predictor
        Reads the outputs.
    rows : ndarray of shape (n,), int64
        Rows of the dataset.
    outputs : ndarray of shape (n, outputs)
        What the network put out for them.

    Returns
    -------
    Evaluation
    """
    truth = data.truth[rows]
    prediction, probability = predictor.read_outputs(outputs)
    if probability is None:
        loss = (prediction - truth) ** 2
    else:
        own = probability[np.arange(len(rows)), truth]
        loss = -np.log(np.maximum(own, np.finfo(np.float64).tiny))
    return Evaluation(data.positions[rows], truth, prediction, probability, loss)


def evaluate_members(data: Dataset, predictor: Predictor) -> Evaluation:
    """The same for validation rows, each predicted by the member that has not trained on it.

    Parameters
    ----------
    data : Dataset
        With the split.
    predictor : Predictor
        With one member for each fold.

    Returns
    -------
    Evaluation
        In the order of the rows.
    """
    model = predictor.model
    members = [model] if data.split.folds == 1 else list(model.members)
    held = [rows for _, rows in data.split.members()]
    outputs = [
        compute_outputs(member, data.matrix[rows], data.target.outputs)
        for member, rows in zip(members, held, strict=True)
    ]
    rows = np.concatenate(held)
    order = np.argsort(rows)
    return evaluate_rows(data, predictor, rows[order], np.concatenate(outputs)[order])


def measure_side(side: Evaluation) -> dict[str, Any]:
    """The figures of one side.

    Parameters
    ----------
    side : Evaluation
        Predictions beside the truth.

    Returns
    -------
    dict
        As `measure_classes` or `measure_numbers` gives them, and `rows`.
    """
    if side.probability is not None:
        figures: dict[str, Any] = measure_classes(side.truth, side.probability)
    else:
        figures = measure_numbers(side.truth, side.prediction)
    return {**figures, "rows": len(side.rows)}


def list_worst(data: Dataset, side: Evaluation) -> list[WorstRow]:
    """The rows with the largest loss, with their columns.

    Parameters
    ----------
    data : Dataset
        Whose table is read.
    side : Evaluation
        Where to look.

    Returns
    -------
    list of WorstRow
        Largest loss first.
    """
    worst = []
    for place in np.argsort(-side.loss, kind="stable")[:WORST]:
        row = int(side.rows[place])
        truth, prediction = side.truth[place], side.prediction[place]
        probability = None
        if side.probability is not None:
            probability = float(side.probability[place, truth])
            truth, prediction = data.target.classes[truth], data.target.classes[prediction]
        else:
            truth, prediction = float(truth), float(prediction)
        values = _read_row(data.table, data.encoding.names, row)
        worst.append(
            WorstRow(row + 1, truth, prediction, float(side.loss[place]), probability, values)
        )
    return worst


def _read_row(table: Table, names: Sequence[str], row: int) -> dict[str, Any]:
    """One row's values, dates as text, None for missing."""
    kinds: dict[str, Kind] = {column.name: column.kind for column in table.columns}
    found = table.read(names, row, row + 1)
    return {name: show_value(kinds[name], array[0]) for name, array in found.items()}


def tell_steps(data: Dataset, trial: Trial) -> FiveSteps:
    """The lecture's five steps with the chosen network's numbers.

    Parameters
    ----------
    data : Dataset
        In whose units to speak.
    trial : Trial
        The network's training.

    Returns
    -------
    FiveSteps
    """
    state = trial.state
    first = state.first_step
    position = first.get("position", 0)
    output = np.array([first.get("output", [0.0] * data.target.outputs)])
    truth: Any = data.truth[position]
    if data.target.task == "classification":
        shifted = np.exp(output[0] - output[0].max())
        prediction = float(shifted[truth] / shifted.sum())
        truth = data.target.classes[truth]
    else:
        prediction = float(output[0, 0] * data.scale + data.mean)
        truth = float(truth)
    val_loss = state.history["val_loss"] or [float("nan")]
    place = ", ".join(map(str, first.get("place", [])))
    return FiveSteps(
        first.get("batch_rows", 0),
        int(data.positions[position]) + 1,
        truth,
        prediction,
        first.get("loss", float("nan")),
        f"{first['parameter']}[{place}]" if first else "",
        first.get("gradient", float("nan")),
        first.get("lr", state.lr),
        first.get("before", float("nan")),
        first.get("after", float("nan")),
        trial.recipe.optimizer,
        state.epoch * trial.steps + state.step,
        state.epoch,
        val_loss[0],
        state.best_loss,
        state.best_epoch,
    )
