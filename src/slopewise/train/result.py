"""What a training run gives back: the model, its history, its figures, and how it came to them.

Invariant: every number that the report shows is in here, so that the report computes nothing; and
`save` writes the run's files from here alone, without times, so that equal runs give equal files.
It is separate because it is the interface between training and its readers.
"""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slopewise.train.checkpoint import write_bytes
from slopewise.train.faults import Notice
from slopewise.train.metrics import count_confusion
from slopewise.train.predictor import Predictions, Predictor
from slopewise.train.split import Split
from slopewise.train.task import Target


@dataclass(frozen=True)
class Evaluation:
    """Predictions on one side of the split, beside the truth.

    Parameters
    ----------
    rows : ndarray of shape (n,), int64
        Positions in the table, from 0.
    truth, prediction : ndarray of shape (n,)
        Class numbers (int64), or numbers in the target's units (float64).
    probability : ndarray of shape (n, classes), float64, or None
        For classes.
    loss : ndarray of shape (n,), float64
        Cross-entropy in nats, or the squared error in the target's units.
    """

    rows: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    probability: np.ndarray | None
    loss: np.ndarray


@dataclass(frozen=True)
class WorstRow:
    """A row that was predicted worst.

    Parameters
    ----------
    row : int
        Its number in the table, from 1 (the header of a file is not counted).
    truth, prediction : object
        Labels or numbers.
    loss : float
        As in `Evaluation`.
    probability : float or None
        For classes: what was given to the true class.
    values : dict of str to object
        The row's columns: numbers, text, or None for missing.
    """

    row: int
    truth: Any
    prediction: Any
    loss: float
    probability: float | None
    values: dict[str, Any]


@dataclass(frozen=True)
class FiveSteps:
    """The lecture's five steps with this run's own numbers.

    The numbers are those of the first step of all and of the whole run.

    Parameters
    ----------
    batch_rows : int
        Step 1: rows predicted at once in the first step (by each member).
    row : int
        One of them: its number in the table, from 1.
    truth : object
        Its label, or value in the target's units.
    prediction : float
        What the untrained model said: the probability of that label, or a value in the target's
        units.
    loss : float
        Step 2: the mean loss over the first batch (cross-entropy in nats, or the mean squared
        error of standardised values).
    parameter : str
        Step 3: the parameter whose slope was largest, for example `output.weight[3, 1]`.
    gradient : float
        Its partial derivative of the loss.
    learning_rate : float
        Step 4.
    before, after : float
        The parameter before and after the first step.
    optimizer : str
        Which rule made the step: 'adam' or 'sgd'.
    steps, epochs : int
        Step 5: how often this was repeated (of the network that was chosen).
    first_val_loss, best_val_loss : float
        Validation loss after the first epoch, and the least.
    best_epoch : int
        When it was least.
    """

    batch_rows: int
    row: int
    truth: Any
    prediction: float
    loss: float
    parameter: str
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


@dataclass
class Result:
    """What a training run gives back.

    Parameters
    ----------
    target : Target
        Name, task ('regression' or 'classification') and class labels.
    source : str
        What the table is called.
    table_rows : int
        Rows in the table.
    predictor : Predictor
        The trained model with its encoding.
    history : dict of str to ndarray of shape (epochs,), float64
        Columns `epoch`, `loss`, `val_loss`, `lr`, and `grad.LAYER` for each layer that has
        parameters (`hidden1`, `norm1`, ..., `output`, `linear_path`): the root mean square over
        the epoch's steps of the norm of the loss's gradient, with no weight decay in it.
        Classification losses are cross-entropies in nats; regression losses are mean squared
        errors of the standardised target.
    metrics : dict
        `task`; `test` and `validation`, each with `accuracy`, `log_loss`, `roc_auc` or `r2`,
        `rmse`, `mae` (None where not defined), and `rows`; and what was run: `best_epoch`,
        `epochs`, `stopped`, `folds`, `candidates`.
    split : Split
        The sides of the rows (`positions` maps them to the table).
    positions : ndarray of shape (rows,), int64
        The table's row, from 0, of each row of `split`.
    test, validation : Evaluation
        Predictions beside the truth. With folds, each row is predicted by the member that has not
        trained on it.
    worst : list of WorstRow
        The ten rows with the largest loss: of the test rows, or without these of the validation.
    five_steps : FiveSteps
        The run in the lecture's words.
    candidates : list of dict
        Networks that were compared: `label`, `val_loss`, `best_epoch`, `epochs`, `stopped`.
    chosen : int
        Which of them it is.
    stopped : str
        'patience', 'epochs', 'diverged' or 'interrupted'.
    settings : dict
        `hidden`, `activation`, `norm`, `init`, `linear_path`, `members`, `parameters`,
        `optimizer`, `lr`, `l2`, `batch`, `epochs`, `patience`, `seed`.
    notices : list of Notice
        What the user should know; each has a `text`.
    seconds : float
        How long training took (since it was last resumed).
    health : Watch or None
        What was seen of the network's gradients on the way, where `fit` was told to look.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = np.arange(40.0)
    >>> result = sw.train.fit({"x": x, "y": 2 * x + 1}, target="y", hidden=(), epochs=3)
    >>> result.task, sorted(result.metrics["test"])
    ('regression', ['mae', 'r2', 'rmse', 'rows'])
    """

    target: Target
    source: str
    table_rows: int
    predictor: Predictor
    history: dict[str, np.ndarray]
    metrics: dict[str, Any]
    split: Split
    positions: np.ndarray
    test: Evaluation
    validation: Evaluation
    worst: list[WorstRow]
    five_steps: FiveSteps
    candidates: list[dict[str, Any]]
    chosen: int
    stopped: str
    settings: dict[str, Any]
    notices: list[Notice]
    seconds: float
    health: Any = None

    @property
    def task(self) -> str:
        """'regression' or 'classification'."""
        return self.target.task

    @property
    def classes(self) -> tuple[Any, ...]:
        """Class labels; empty for regression."""
        return self.target.classes

    @property
    def model(self) -> Any:
        """The network as an ordinary module, in evaluation mode."""
        return self.predictor.model

    @property
    def features(self) -> list[str]:
        """Names of the network's inputs."""
        return self.predictor.encoding.features

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, whose weights were kept."""
        return self.five_steps.best_epoch

    @property
    def confusion(self) -> np.ndarray | None:
        """For classes: how often each true class (row) was predicted as each class (column).

        Returns
        -------
        ndarray of shape (classes, classes), int64, or None
            Of the test rows, or without these of the validation rows.
        """
        if self.task != "classification":
            return None
        side = self.test if len(self.test.rows) else self.validation
        return count_confusion(side.truth, side.prediction, len(self.classes))

    def predict(self, source: Any, sql: str | None = None) -> Predictions:
        """Predict for every row of a table.

        Parameters
        ----------
        source : path, dataframe, mapping or ndarray
            A table with the columns of training.
        sql : str, optional
            For files: one SELECT over the table `data`.

        Returns
        -------
        Predictions
        """
        return self.predictor.predict(source, sql)

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors`, `model.json`, `metrics.json` and `history.csv`.

        Parameters
        ----------
        folder : str or Path
            Made if it does not exist; files of these names are replaced.

        Raises
        ------
        DataError
            If they cannot be written.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        self.predictor.save(place)
        text = json.dumps(self.metrics, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        write_bytes(place / "metrics.json", text.encode())
        write_bytes(place / "history.csv", format_history(self.history).encode())


def format_history(history: dict[str, np.ndarray]) -> str:
    """The history as CSV, each number so that it reads back exactly.

    Parameters
    ----------
    history : dict of str to ndarray of shape (epochs,)
        The columns.

    Returns
    -------
    str

    Examples
    --------
    >>> format_history({"epoch": np.array([1.0]), "loss": np.array([0.5])})
    'epoch,loss\\n1,0.5\\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(history)
    for row in zip(*history.values(), strict=True):
        writer.writerow([int(row[0]), *(repr(float(value)) for value in row[1:])])
    return buffer.getvalue()
