"""A trained model with everything needed to predict: columns, encoding, network, labels.

Invariant: the two files `model.safetensors` and `model.json` hold it whole; loading them gives the
same predictions bit for bit, and a table that does not fit is refused by name, never guessed at.
It is separate because prediction needs neither the loop nor the training table.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from slopewise.train.architecture import Architecture
from slopewise.train.checkpoint import FORMAT, read_arrays_file, write_arrays, write_bytes
from slopewise.train.encoding import Applied, Encoding
from slopewise.train.faults import Fault, Notice, first_line
from slopewise.train.frames import open_table
from slopewise.train.loop import CHUNK
from slopewise.train.metrics import apply_softmax
from slopewise.train.networks import build_model
from slopewise.train.tables import Table, iterate_pieces, near_name
from slopewise.train.task import Target
from slopewise.train.threads import limit_threads

PIECE = 16_384


@dataclass(frozen=True)
class Predictions:
    """Predictions for the rows of a table, in its order.

    Parameters
    ----------
    values : ndarray of shape (rows,)
        Labels (objects) or numbers (float64) in the target's units.
    probabilities : ndarray of shape (rows, classes), float64, or None
        For classes.
    classes : tuple
        Labels of the columns of `probabilities`.
    notices : list of Notice
        Unseen categories and newly missing values, with counts.
    """

    values: np.ndarray
    probabilities: np.ndarray | None
    classes: tuple[Any, ...]
    notices: list[Notice]


@dataclass
class Predictor:
    """A trained model that predicts from tables.

    Parameters
    ----------
    target : Target
        What is predicted.
    encoding : Encoding
        How columns become numbers.
    architecture : Architecture
        The network.
    arrays : dict of str to ndarray of shape (members, ...), float32
        Its weights.
    mean, scale : float
        A regression's output times `scale` plus `mean` is in the target's units.
    facts : dict
        How it was trained: settings, version.
    """

    target: Target
    encoding: Encoding
    architecture: Architecture
    arrays: dict[str, np.ndarray]
    mean: float
    scale: float
    facts: dict[str, Any]
    _model: Any = field(default=None, repr=False, compare=False)

    @property
    def model(self) -> Any:
        """The network as an ordinary module, in evaluation mode."""
        if self._model is None:
            self._model = build_model(self.architecture, self.arrays)
        return self._model

    def compute(self, matrix: np.ndarray) -> np.ndarray:
        """The network's outputs for encoded rows.

        Parameters
        ----------
        matrix : ndarray of shape (rows, features), float32
            Encoded rows.

        Returns
        -------
        ndarray of shape (rows, outputs), float32
        """
        return compute_outputs(self.model, matrix, self.architecture.outputs)

    def read_outputs(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What outputs mean: predictions, and probabilities for classes.

        Parameters
        ----------
        outputs : ndarray of shape (rows, outputs)
            As `compute` gives them.

        Returns
        -------
        values : ndarray of shape (rows,)
            Class numbers, or numbers in the target's units.
        probabilities : ndarray of shape (rows, classes) or None
        """
        if self.target.task == "regression":
            return outputs[:, 0].astype(np.float64) * self.scale + self.mean, None
        probabilities = apply_softmax(outputs)
        return probabilities.argmax(axis=1), probabilities

    def predict(self, source: Any, sql: str | None = None) -> Predictions:
        """Predict for every row of a table.

        Parameters
        ----------
        source : path, dataframe, mapping or ndarray
            A table with the columns of training; others are not looked at.
        sql : str, optional
            For files: one SELECT over the table `data`.

        Returns
        -------
        Predictions

        Raises
        ------
        DataError
            If columns are missing or of another type, or the table has no rows.
        """
        table, _ = open_table(source, None, sql)
        self.check_columns(table)
        if not table.rows:
            raise Fault("no_prediction_rows", source=table.source)
        applied = Applied()
        pieces = []
        for start, stop in iterate_pieces(table.rows, PIECE):
            matrix = self.encode(table, applied, start, stop)
            with limit_threads(self.architecture.largest):
                pieces.append(self.compute(matrix))
        values, probabilities = self.read_outputs(np.concatenate(pieces))
        if self.target.task == "classification":
            labels = np.empty(len(self.target.classes), dtype=object)
            labels[:] = self.target.classes
            values = labels[values]
        return Predictions(values, probabilities, self.target.classes, applied.notices)

    def encode(self, table: Table, applied: Applied, start: int, stop: int) -> np.ndarray:
        """Rows of a table as the network's inputs.

        Parameters
        ----------
        table : Table
            Whose columns were checked.
        applied : Applied
            Gathers what was seen on the way.
        start, stop : int
            The first row, and the one after the last.

        Returns
        -------
        ndarray of shape (rows, features), float32
        """
        kinds = {column.name: column.kind for column in table.columns}
        piece = table.read(self.encoding.names, start, stop)
        for column in self.encoding.columns:
            if kinds[column.name] == "text" and column.kind != "text":
                piece[column.name] = np.full(stop - start, np.nan)
            elif kinds[column.name] != "text" and column.kind == "text":
                piece[column.name] = np.full(stop - start, None, dtype=object)
        return self.encoding.apply(piece, applied, start)

    def check_columns(self, table: Table) -> None:
        """Check that a table has the columns that the model needs.

        Parameters
        ----------
        table : Table
            The table to predict for.

        Raises
        ------
        DataError
            Naming the columns that are missing, and those that may be renamed ones.
        """
        kinds = {column.name: column.kind for column in table.columns}
        missing = [name for name in self.encoding.names if name not in kinds]
        if missing:
            known = {*self.encoding.names, self.target.name}
            spare = [name for name in kinds if name not in known]
            hints = [f"`{name}`{near_name(name, spare)}" for name in missing[:10]]
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            shown = ", ".join(f"`{name}`" for name in spare[:5])
            hint = f"; columns that it does not know: {shown}" if spare else ""
            raise Fault("columns_missing", columns=", ".join(hints) + more, hint=hint)
        for column in self.encoding.columns:
            found = kinds[column.name]
            alike = found == column.kind or {found, column.kind} == {"number", "boolean"}
            if not alike and not _is_all_missing(table, column.name):
                raise Fault("columns_type", column=column.name, found=found, expected=column.kind)

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `model.json` into an existing folder.

        Parameters
        ----------
        folder : Path
            Where.

        Raises
        ------
        DataError
            If they cannot be written.
        """
        write_arrays(folder / "model.safetensors", self.arrays, {})
        data = {
            "format": FORMAT,
            **self.facts,
            "target": self.target.to_json(),
            "target_mean": self.mean,
            "target_scale": self.scale,
            "encoding": self.encoding.to_json(),
            "features": self.encoding.features,
            "architecture": self.architecture.to_json(),
            "weights": "model.safetensors",
            "weights_blake2b": _hash_file(folder / "model.safetensors"),
        }
        text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
        write_bytes(folder / "model.json", text.encode())


_OWN_KEYS = {
    "format", "target", "target_mean", "target_scale", "encoding", "features", "architecture",
    "weights", "weights_blake2b",
}  # fmt: skip


def load(folder: str | Path) -> Predictor:
    """Load a trained model from the folder of its run.

    Parameters
    ----------
    folder : str or Path
        With `model.safetensors` and `model.json`.

    Returns
    -------
    Predictor

    Raises
    ------
    DataError
        If there is no model, it is broken, or the two files are not of one run.
    """
    place = Path(folder)
    try:
        data = json.loads((place / "model.json").read_text(encoding="utf-8"))
        if int(data["format"]) > FORMAT:
            raise Fault("wrong_version", path=place, found=data["format"], known=FORMAT)
        arrays, _ = read_arrays_file(place / "model.safetensors")
        if data["weights_blake2b"] != _hash_file(place / "model.safetensors"):
            raise Fault("not_a_run", path=place, reason="its two model files differ in origin")
        architecture = Architecture.from_json(data["architecture"])
        architecture.check()
        return Predictor(
            Target.from_json(data["target"]),
            Encoding.from_json(data["encoding"]),
            architecture,
            arrays,
            float(data["target_mean"]),
            float(data["target_scale"]),
            {key: value for key, value in data.items() if key not in _OWN_KEYS},
        )
    except FileNotFoundError as error:
        name = Path(str(error.filename)).name
        raise Fault("not_a_run", path=place, reason=f"it has no {name}") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, Fault):
            raise
        raise Fault("not_a_run", path=place, reason=first_line(error)) from None


def predict(folder: str | Path | Predictor, source: Any, sql: str | None = None) -> Predictions:
    """Predict for every row of a table, with a model from a run's folder.

    Parameters
    ----------
    folder : str, Path or Predictor
        Where the run was written, or a loaded model.
    source : path, dataframe, mapping or ndarray
        A table with the columns of training.
    sql : str, optional
        For files: one SELECT over the table `data`.

    Returns
    -------
    Predictions

    Raises
    ------
    DataError
        If the model or the table cannot be used.
    """
    predictor = folder if isinstance(folder, Predictor) else load(folder)
    return predictor.predict(source, sql)


def compute_outputs(model: Any, matrix: np.ndarray, outputs: int) -> np.ndarray:
    """A module's outputs for encoded rows, a piece at a time.

    Parameters
    ----------
    model : Module
        Takes (rows, features) and gives (rows, outputs).
    matrix : ndarray of shape (rows, features), float32
        Encoded rows.
    outputs : int
        How many numbers come out per row.

    Returns
    -------
    ndarray of shape (rows, outputs), float32
    """
    import slopewise as sw

    pieces = [np.zeros((0, outputs), dtype=np.float32)]
    with sw.no_grad():
        for start, stop in iterate_pieces(len(matrix), CHUNK):
            x = sw.tensor(np.array(matrix[start:stop], dtype=np.float32))
            pieces.append(np.array(model(x).detach().numpy()))
    return np.concatenate(pieces)


def _is_all_missing(table: Table, name: str) -> bool:
    """Whether a column has no value in any row (its type then says nothing)."""
    for start, stop in iterate_pieces(table.rows, PIECE):
        values = table.read([name], start, stop)[name]
        if values.dtype == object:
            if any(value is not None for value in values):
                return False
        elif not np.all(np.isnan(values)):
            return False
    return True


def _hash_file(path: Path) -> str:
    """BLAKE2b of a file."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
