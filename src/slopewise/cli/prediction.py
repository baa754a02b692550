"""The command `predict`: a run's folder and a table in, one file of predictions out.

Invariant: the file appears whole or not at all, with one line per row of the table in its order.
It is separate because it knows files and formats, and the model knows neither.
"""

import csv
import gzip
import io
import math
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from slopewise.cli.terminal import Terminal
from slopewise.train.checkpoint import write_bytes
from slopewise.train.faults import Fault
from slopewise.train.frames import open_table
from slopewise.train.predictor import Predictions, load
from slopewise.train.tables import Table, find_column, show_value


def predict_table(
    folder: Path,
    table: str,
    out: Path | None,
    keep: Sequence[str],
    sql: str | None,
    terminal: Terminal,
) -> int:
    """Predict for a table's rows and write them.

    Parameters
    ----------
    folder : Path
        Of the run.
    table : str
        Path of the table.
    out : Path, optional
        A .csv, .csv.gz or .parquet file; CSV to standard output if left out.
    keep : sequence of str
        Columns of the table to copy beside the predictions.
    sql : str, optional
        One SELECT over the table.
    terminal : Terminal
        Where to say what.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    DataError
        If the model, the table or the file cannot be used.
    """
    if out is not None and not out.name.lower().endswith((".csv", ".csv.gz", ".parquet")):
        raise Fault("bad_predict_out", path=out)
    if out is not None and out.exists() and out.resolve() == Path(table).resolve():
        raise Fault("same_file", path=out)
    predictor = load(folder)
    opened, _ = open_table(table, None, sql)
    for name in keep:
        find_column(opened, name)
    predictions = predictor.predict(opened)
    copied = read_shown(opened, keep)
    columns = list_columns(predictions, copied)
    if out is None:
        click.echo(format_csv(columns), nl=False)
    elif out.name.lower().endswith(".parquet"):
        write_bytes(out, format_parquet(columns))
    else:
        data = format_csv(columns).encode()
        write_bytes(out, gzip.compress(data, mtime=0) if out.suffix == ".gz" else data)
    terminal.warn(predictions.notices)
    if out is not None:
        terminal.tell("predicted", rows=opened.rows, path=out)
    return 0


def read_shown(table: Table, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of a table as people write them.

    Parameters
    ----------
    table : Table
        Any table.
    names : sequence of str
        The columns.

    Returns
    -------
    dict of str to ndarray of shape (rows,)
        Numbers as float64; all else as objects.
    """
    shown: dict[str, np.ndarray] = {}
    for name, values in (table.read(list(names), 0, table.rows) if names else {}).items():
        kind = find_column(table, name).kind
        if kind in ("date", "boolean"):
            objects = np.empty(len(values), dtype=object)
            objects[:] = [show_value(kind, value) for value in values]
            values = objects
        shown[name] = values
    return shown


def list_columns(predictions: Predictions, copied: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of the file: the row, copied ones, the prediction, and probabilities.

    Parameters
    ----------
    predictions : Predictions
        What the model said.
    copied : dict of str to ndarray of shape (rows,)
        Columns of the table to go beside them.

    Returns
    -------
    dict of str to ndarray of shape (rows,)
        `row` counts from 1; `probability of LABEL` for each class.
    """
    columns: dict[str, np.ndarray] = {"row": np.arange(1, len(predictions.values) + 1)}
    columns |= copied
    columns["prediction"] = predictions.values
    if predictions.probabilities is not None:
        for place, label in enumerate(predictions.classes):
            columns[f"probability of {label}"] = predictions.probabilities[:, place]
    return columns


def format_csv(columns: dict[str, np.ndarray]) -> str:
    """Columns as CSV; numbers read back exactly, missing ones are empty.

    Parameters
    ----------
    columns : dict of str to ndarray of shape (rows,)
        What to write.

    Returns
    -------
    str

    Examples
    --------
    >>> format_csv({"row": np.array([1]), "prediction": np.array([0.5])})
    'row,prediction\\n1,0.5\\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(_list_lines(columns.values()))
    return buffer.getvalue()


def _list_lines(columns: Iterable[np.ndarray]) -> Iterable[tuple[Any, ...]]:
    """Rows of plain Python values."""
    plain = [[_plain(value) for value in column.tolist()] for column in columns]
    return zip(*plain, strict=True)


def _plain(value: Any) -> Any:
    """A value as CSV shows it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value


def format_parquet(columns: dict[str, np.ndarray]) -> bytes:
    """Columns as a Parquet file, written by DuckDB.

    Parameters
    ----------
    columns : dict of str to ndarray of shape (rows,)
        What to write.

    Returns
    -------
    bytes

    Raises
    ------
    DataError
        If there is no room for the temporary file.
    """
    import duckdb

    frame = {
        name: values if values.dtype != object else _unify(values)
        for name, values in columns.items()
    }
    with tempfile.TemporaryDirectory(prefix="slopewise-") as folder:
        path = Path(folder) / "predictions.parquet"
        connection = duckdb.connect()
        try:
            connection.register("frame", frame)
            literal = str(path).replace("'", "''")
            connection.execute(f"COPY (SELECT * FROM frame) TO '{literal}' (FORMAT parquet)")
            return path.read_bytes()
        except (duckdb.Error, OSError) as error:
            raise Fault("cannot_write", path=path, reason=str(error).splitlines()[0]) from None
        finally:
            connection.close()


def _unify(values: np.ndarray) -> np.ndarray:
    """Labels as an array of one type: numbers or booleans if all are, else text."""
    present = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in present) and len(present) == len(values):
        return values.astype(bool)
    if all(isinstance(value, (int, float)) for value in present) and len(present) == len(values):
        return np.array(values.tolist())
    return values
