"""Tables behind one small interface: columns with kinds, rows by position, read in pieces.

Invariant: `read` gives float64 with NaN for missing (numbers, booleans as 0 and 1, dates as
seconds since 1970) and objects with None for missing (text); the same row is at the same position
at every call. It is separate so that nothing else knows where rows come from: tables in files are
in `files`, dataframes in `frames`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from slopewise.train.faults import Fault

Kind = Literal["number", "boolean", "text", "date"]


@dataclass(frozen=True)
class Column:
    """A column's name and kind (`number`, `boolean`, `text` or `date`)."""

    name: str
    kind: Kind


class Table(Protocol):
    """Rows by position: what training and prediction read."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in the table's order."""
        ...

    @property
    def rows(self) -> int:
        """How many rows there are."""
        ...

    @property
    def source(self) -> str:
        """Where the rows come from, for people."""
        ...

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, np.ndarray]:
        """Values of the rows from `start` up to `stop`."""
        ...


def find_column(table: Table, name: str) -> Column:
    """The column of that name.

    Parameters
    ----------
    table : Table
        Any table.
    name : str
        The column wanted.

    Returns
    -------
    Column
        Its name and kind.

    Raises
    ------
    DataError
        If there is none; the message lists the columns and the nearest name.

    Examples
    --------
    >>> find_column(read_arrays({"a": [1.0], "b": ["x"]}), "b")
    Column(name='b', kind='text')
    """
    for column in table.columns:
        if column.name == name:
            return column
    names = [column.name for column in table.columns]
    shown = ", ".join(names[:20]) + (f", ... ({len(names)} columns)" if len(names) > 20 else "")
    raise Fault("no_such_column", column=name, columns=shown, hint=near_name(name, names))


def near_name(name: str, names: Sequence[str]) -> str:
    """A hint that names the nearest of `names`, or an empty text.

    Parameters
    ----------
    name : str
        What was asked for.
    names : sequence of str
        What there is.

    Returns
    -------
    str
        For example `` (nearest: `age`)``.

    Examples
    --------
    >>> near_name("Age", ["age", "sex"])
    ' (nearest: `age`)'
    """
    import difflib

    lowered = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), list(lowered), 1, 0.6)
    return f" (nearest: `{lowered[near[0]]}`)" if near else ""


def show_value(kind: Kind, value: Any) -> Any:
    """A value as people write it: dates as text, whole numbers without a point, None for missing.

    Parameters
    ----------
    kind : {'number', 'boolean', 'text', 'date'}
        The column's kind.
    value : float, str or None
        As `Table.read` gives it.

    Returns
    -------
    object

    Examples
    --------
    >>> show_value("date", 1704067200.0), show_value("number", 3.0), show_value("boolean", 1.0)
    ('2024-01-01', 3, True)
    """
    if kind == "text":
        return value
    if np.isnan(value):
        return None
    if kind == "date":
        moment = str(np.datetime64(round(value * 1e6), "us"))
        return moment.removesuffix(".000000").removesuffix("T00:00:00").replace("T", " ")
    if kind == "boolean":
        return bool(value)
    return int(value) if float(value).is_integer() else float(value)


def iterate_pieces(rows: int, size: int) -> Iterator[tuple[int, int]]:
    """Bounds of consecutive pieces of at most `size` rows.

    Parameters
    ----------
    rows, size : int
        Number of rows in all, and in a piece.

    Yields
    ------
    tuple of int
        Start and stop.

    Examples
    --------
    >>> list(iterate_pieces(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, rows, size):
        yield start, min(start + size, rows)


class MemoryTable:
    """A table whose columns lie in memory as arrays.

    Parameters
    ----------
    columns : tuple of Column
        Names and kinds.
    values : dict of str to ndarray, each of shape (rows,)
        float64, or objects for text.
    source : str
        Where it comes from, for people.
    """

    def __init__(
        self, columns: tuple[Column, ...], values: dict[str, np.ndarray], source: str
    ) -> None:
        self.columns = columns
        self.source = source
        self.rows = len(next(iter(values.values()))) if values else 0
        self._values = values

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, np.ndarray]:
        """Values of the rows from `start` up to `stop`, as views.

        Parameters
        ----------
        names : sequence of str
            The columns wanted.
        start, stop : int
            Row positions.

        Returns
        -------
        dict of str to ndarray, each of shape (stop - start,)
        """
        return {name: self._values[name][start:stop] for name in names}


def read_arrays(arrays: Mapping[str, Any], source: str = "the table") -> MemoryTable:
    """A table from named arrays or lists.

    Parameters
    ----------
    arrays : mapping of str to array_like of shape (rows,)
        Numbers, booleans, text, or NumPy dates. None and NaN mean missing.
    source : str
        What messages call it.

    Returns
    -------
    MemoryTable

    Raises
    ------
    DataError
        If lengths differ or a dtype cannot be used.

    Examples
    --------
    >>> table = read_arrays({"x": [1, 2, 3], "colour": ["red", None, "blue"]})
    >>> table.rows, [column.kind for column in table.columns]
    (3, ['number', 'text'])
    """
    columns: list[Column] = []
    values: dict[str, np.ndarray] = {}
    rows = -1
    for name, raw in arrays.items():
        kind, array = convert_array(str(name), raw)
        if rows not in (-1, len(array)):
            raise Fault("array_shape", shape=f"({len(array)},) beside ({rows},) in `{name}`")
        rows = len(array)
        columns.append(Column(str(name), kind))
        values[str(name)] = array
    return MemoryTable(tuple(columns), values, source)


def convert_array(name: str, raw: Any) -> tuple[Kind, np.ndarray]:
    """The kind of an array and its values as float64 or objects.

    Parameters
    ----------
    name : str
        The column, for messages.
    raw : array_like of shape (rows,)
        Its values.

    Returns
    -------
    kind : str
    values : ndarray of shape (rows,)

    Raises
    ------
    DataError
        If it has another shape, or a dtype that cannot be used.

    Examples
    --------
    >>> convert_array("x", [True, False])
    ('boolean', array([1., 0.]))
    """
    array = np.asarray(raw)
    if array.ndim != 1:
        raise Fault("array_shape", shape=array.shape)
    if array.dtype.kind == "b":
        return "boolean", array.astype(np.float64)
    if array.dtype.kind in "iuf":
        return "number", array.astype(np.float64)
    if array.dtype.kind in "Mm":
        missing = np.isnat(array)
        unit = "datetime64[us]" if array.dtype.kind == "M" else "timedelta64[us]"
        seconds = array.astype(unit).astype(np.int64) / 1e6
        return "date", np.where(missing, np.nan, seconds)
    if array.dtype.kind in "UST":
        return "text", array.astype(str).astype(object)
    if array.dtype.kind == "O":
        return _convert_objects(name, array)
    raise Fault("array_type", column=name, dtype=array.dtype)


def _convert_objects(name: str, array: np.ndarray) -> tuple[Kind, np.ndarray]:
    """Objects: numbers if all are, else text; None and NaN are missing."""
    import datetime
    import numbers

    missing = np.array([v is None or _is_nan(v) for v in array], dtype=bool)
    present = array[~missing]
    if all(isinstance(v, (bool, np.bool_)) for v in present) and len(present):
        kind: Kind = "boolean"
    elif all(isinstance(v, numbers.Real) or hasattr(v, "as_tuple") for v in present):
        kind = "number"
    elif all(isinstance(v, datetime.date) for v in present):
        converted = np.full(len(array), np.nan)
        dates = np.array(present, dtype="datetime64[us]").astype(np.int64) / 1e6
        converted[~missing] = dates
        return "date", converted
    elif all(isinstance(v, (str, bool, numbers.Real)) for v in present):
        text = array.copy()
        text[missing] = None
        text[~missing] = [str(v) for v in present]
        return "text", text
    else:
        odd = next(v for v in present if not isinstance(v, (str, bool, numbers.Real)))
        raise Fault("array_type", column=name, dtype=type(odd).__name__)
    result = np.full(len(array), np.nan)
    result[~missing] = present.astype(np.float64)
    return kind, result


def _is_nan(value: Any) -> bool:
    """Whether a value is NaN, NaT or pandas' NA (whose comparison has no truth value)."""
    try:
        return bool(value != value)  # noqa: PLR0124 - only such values differ from themselves
    except TypeError:
        return True
