"""Tables from dataframes and arrays, and the one door through which every source comes.

Invariant: a frame becomes plain arrays once, through narwhals, with the kinds that the same values
in a file would have. It is separate so that narwhals is known in one place.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from slopewise.train.faults import Fault, first_line
from slopewise.train.files import DuckTable, read_file
from slopewise.train.tables import Column, MemoryTable, Table, convert_array, read_arrays


def read_frame(frame: Any) -> MemoryTable:
    """A table from a pandas, polars or pyarrow table, or any other that narwhals knows.

    Parameters
    ----------
    frame : dataframe
        Eager, or lazy (which is then collected).

    Returns
    -------
    MemoryTable

    Raises
    ------
    DataError
        If it is no table, or a column cannot become numbers or text.
    """
    import narwhals as nw
    import narwhals.exceptions

    try:
        wrapped = nw.from_native(frame)
    except (TypeError, ValueError, narwhals.exceptions.NarwhalsError) as error:
        if isinstance(error, TypeError):
            raise Fault("unknown_table", type=type(frame).__name__) from None
        names = [str(name) for name in getattr(frame, "columns", [])]
        for name in names:
            if names.count(name) > 1:
                raise Fault("same_name", column=name) from None
        raise Fault("broken_file", path="the table", reason=first_line(error)) from None
    if isinstance(wrapped, nw.LazyFrame):
        wrapped = wrapped.collect()
    arrays: dict[str, Any] = {}
    for name in wrapped.columns:
        if str(name) in arrays:
            raise Fault("same_name", column=name)
        arrays[str(name)] = _read_series(wrapped[name], str(name), nw)
    return read_arrays(arrays)


def _read_series(series: Any, name: str, nw: Any) -> np.ndarray:
    """A narwhals series as an array that `read_arrays` takes."""
    dtype = series.dtype
    if dtype.is_numeric():
        return np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)
    if dtype == nw.Boolean:
        missing = series.is_null().to_numpy()
        values = np.array(series.to_list(), dtype=object)
        return values if missing.any() else values.astype(bool)
    if dtype in (nw.Date, nw.Time) or isinstance(dtype, (nw.Datetime, nw.Duration)):
        if dtype == nw.Time:
            raise Fault("unreadable_type", column=name, type="time")
        if isinstance(dtype, nw.Duration):
            return series.to_numpy().astype("timedelta64[us]")
        moments = series.cast(nw.Datetime("us")) if dtype == nw.Date else series
        counted = moments.dt.timestamp("us").cast(nw.Float64).to_numpy()
        missing = np.isnan(counted)
        dates = np.where(missing, 0, counted).astype(np.int64).astype("datetime64[us]")
        return np.where(missing, np.datetime64("NaT"), dates)
    if dtype in (nw.String, nw.Categorical, nw.Object) or isinstance(dtype, nw.Enum):
        values = np.empty(len(series), dtype=object)
        values[:] = series.to_list()
        return values
    raise Fault("unreadable_type", column=name, type=str(dtype))


def open_table(source: Any, target: Any = None, sql: str | None = None) -> tuple[Table, str | None]:
    """Open whatever a caller gives as a table, and find the target's name.

    Parameters
    ----------
    source : path, dataframe, mapping, ndarray of shape (rows, columns), or pair (X, y)
        Where rows come from.
    target : str, int or array_like of shape (rows,), optional
        The target's name; a column number of an array; or the target's values.
    sql : str, optional
        For files: one SELECT over the table `data`.

    Returns
    -------
    table : Table
    target : str or None
        The target's name in the table.

    Raises
    ------
    DataError
        If the source is none of these, or shapes disagree.

    Examples
    --------
    >>> table, target = open_table(np.zeros((4, 2)), target=[0, 1, 0, 1])
    >>> [column.name for column in table.columns], target
    (['x1', 'x2', 'target'], 'target')
    """
    if isinstance(source, (MemoryTable, DuckTable)):
        return source, target
    if isinstance(source, (str, os.PathLike)):
        return read_file(source, sql), target
    if isinstance(source, tuple) and len(source) == 2 and target is None:
        source, target = source
    if isinstance(source, (list, tuple)) or hasattr(source, "numpy"):
        source = np.asarray(source)
    if isinstance(source, np.ndarray) and source.dtype.names is None:
        if source.ndim != 2:
            raise Fault("array_shape", shape=source.shape)
        arrays = {f"x{i + 1}": source[:, i] for i in range(source.shape[1])}
        if isinstance(target, (int, np.integer)) and not isinstance(target, bool):
            target = f"x{int(target) % max(source.shape[1], 1) + 1}"
        table = read_arrays(arrays)
    elif isinstance(source, Mapping):
        table = read_arrays(source)
    elif isinstance(source, np.ndarray):
        table = read_arrays({name: source[name] for name in source.dtype.names or ()})
    else:
        table = read_frame(source)
    if target is None or isinstance(target, str):
        return table, target
    return _append_target(table, target)


def _append_target(table: MemoryTable, target: Any) -> tuple[MemoryTable, str]:
    """The table with the given target values as a further column."""
    raw = target.to_numpy() if hasattr(target, "to_numpy") else np.asarray(target)
    raw = raw.reshape(-1) if raw.ndim == 2 and raw.shape[1] == 1 else raw
    name = str(getattr(target, "name", None) or "target")
    while any(column.name == name for column in table.columns):
        name += "_"
    kind, values = convert_array(name, raw)
    if len(values) != table.rows:
        raise Fault("length_mismatch", target_rows=len(values), rows=table.rows)
    names = [column.name for column in table.columns]
    arrays = {**table.read(names, 0, table.rows), name: values}
    return MemoryTable((*table.columns, Column(name, kind)), arrays, table.source), name
