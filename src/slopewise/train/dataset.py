"""A table made ready to train on: the encoded matrix, the target, the split and what was noticed.

Invariant: the table is read in pieces, so that only the matrix grows with the rows, and a matrix
above the memory budget lies in a temporary file; the encoding has seen training rows only. It is
separate because checks on the data end here: what comes after may trust it.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slopewise.train.encoding import MAX_CATEGORIES, Encoding, EncodingFit
from slopewise.train.faults import Fault, Notice
from slopewise.train.split import Split, hash_rows, split_rows, split_time, tell_apart
from slopewise.train.suspicion import SAMPLE, find_suspects
from slopewise.train.tables import Column, Table, find_column, iterate_pieces
from slopewise.train.task import Target, TaskName, decide_task

PIECE = 65_536
"""Rows read at a time."""
MEMORY = 2**30
"""Bytes of encoded matrix that are held in memory; above, it lies in a temporary file."""
COARSE = 10
"""Rows with equal features stay on one side, unless each occurs more often than this on average:
features so coarse repeat by nature, and whole kinds of rows left out would test something else."""
COMMITTEE_ROWS = 5000
"""With at most so many rows to learn from, every row serves: a committee over five folds."""


@dataclass(frozen=True)
class DataOptions:
    """What the user says about the data.

    Parameters
    ----------
    task : {'regression', 'classification'}, optional
        Instead of what the target suggests.
    drop : tuple of str
        Columns left out.
    drop_missing_target : bool
        Leave out rows without a target, instead of refusing the table.
    group, time : str, optional
        Rows with the same `group` stay together; with `time` the last rows are tested. Neither
        column is learnt from.
    seed : int
        Chooses the split (and all else that is random).
    test, validation : float
        Shares of rows.
    folds : int or 'auto'
        Members of the committee; 1 for a plain validation set.
    memory : int
        Bytes of matrix held in memory.
    """

    task: TaskName | None = None
    drop: tuple[str, ...] = ()
    drop_missing_target: bool = False
    group: str | None = None
    time: str | None = None
    seed: int = 0
    test: float = 0.15
    validation: float = 0.15
    folds: int | str = "auto"
    memory: int = MEMORY

    def check(self) -> None:
        """Check shares, folds and columns against each other.

        Raises
        ------
        DataError
            If a share lies outside [0, 1), or options contradict.
        """
        for option, value in (("--test", self.test), ("--validation", self.validation)):
            if not 0 <= value < 1 or (option == "--validation" and value == 0):
                raise Fault("bad_fraction", option=option, value=value)
        if self.test + self.validation >= 1:
            raise Fault(
                "bad_fraction", option="--test and --validation", value=self.test + self.validation
            )
        if self.folds != "auto" and not (isinstance(self.folds, int) and 1 <= self.folds <= 20):
            raise Fault(
                "bad_option", option="--folds", allowed="auto, or 1 to 20", value=self.folds
            )
        if self.task not in (None, "regression", "classification"):
            raise Fault(
                "bad_option",
                option="--task",
                allowed="regression or classification",
                value=self.task,
            )
        if self.group is not None and self.time is not None:
            raise Fault("group_and_time")


@dataclass
class Dataset:
    """A table ready to train on.

    Parameters
    ----------
    table : Table
        Where the rows come from.
    positions : ndarray of shape (rows,), int64
        The table's row of each row here.
    matrix : ndarray or memmap of shape (rows, features), float32
        The encoded columns.
    truth : ndarray of shape (rows,)
        Class numbers (int64) or target values (float64).
    target : Target
        What is learnt.
    encoding : Encoding
        How columns became the matrix.
    split : Split
        The sides of the rows.
    mean, scale : float
        For regression, of the target over the training rows; the network learns
        (target - mean) / scale. 0 and 1 for classes.
    notices : list of Notice
        What the user should know.
    fingerprint : str
        A hash of all rows as a set: the same table in any order has the same.
    """

    table: Table
    positions: np.ndarray
    matrix: np.ndarray
    truth: np.ndarray
    target: Target
    encoding: Encoding
    split: Split
    mean: float
    scale: float
    notices: list[Notice]
    fingerprint: str
    _folder: Any = field(default=None, repr=False)

    @property
    def rows(self) -> int:
        """How many rows there are on all sides together."""
        return len(self.truth)

    def learn_target(self) -> np.ndarray:
        """What the network is to put out: class numbers, or standardised values.

        Returns
        -------
        ndarray of shape (rows,), int64 or float32
        """
        if self.target.task == "classification":
            return self.truth
        return ((self.truth - self.mean) / self.scale).astype(np.float32)


def prepare_dataset(table: Table, target_name: str | None, options: DataOptions) -> Dataset:
    """Check, split and encode a table.

    Parameters
    ----------
    table : Table
        Any table.
    target_name : str
        The column to learn.
    options : DataOptions
        What the user says about the data.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If the table cannot be learnt from; the message names the column, the count and the remedy.

    Examples
    --------
    >>> from slopewise.train.tables import read_arrays
    >>> rows = np.arange(60.0)
    >>> data = prepare_dataset(read_arrays({"x": rows, "y": rows**2}), "y", DataOptions())
    >>> data.matrix.shape, data.target.task, data.split.folds
    ((60, 1), 'regression', 5)
    """
    options.check()
    if not table.columns:
        raise Fault("no_columns", source=table.source)
    if not table.rows:
        raise Fault("empty_table", source=table.source)
    if target_name is None:
        raise Fault("bad_option", option="--target", allowed="given", value="missing")
    target_column = find_column(table, target_name)
    named = [name for name in (options.group, options.time) if name is not None]
    for name in (*options.drop, *named):
        find_column(table, name)
    if target_name in (*options.drop, *named):
        raise Fault("target_dropped", column=target_name)
    unused = {target_name, *options.drop, *named}
    features = [column for column in table.columns if column.name not in unused]
    if not features:
        raise Fault("no_features", target=target_name)

    notices: list[Notice] = []
    kept, raw = _read_target(table, target_column, options, notices)
    target = decide_task(target_column, raw, options.task)
    coded = target.encode(raw)
    hashes, alike, sides = _scan_rows(table, features, target_column, named, kept)
    if len(np.unique(alike)) * COARSE < len(alike):
        alike = tell_apart(hashes)
    split = _choose_split(alike, sides, coded, target, options)
    notices += _notice_small(target, coded, split)

    fit = EncodingFit(features)
    learning = np.zeros(len(kept), dtype=bool)
    learning[split.train] = True
    names = [column.name for column in features]
    for place, piece, start in _read_kept(table, names, kept):
        mask = learning[place : place + len(next(iter(piece.values())))]
        fit.add({name: values[mask] for name, values in piece.items()}, start)
    encoding, left_out = fit.finish()
    notices += left_out
    if not encoding.columns:
        raise Fault("no_features", target=target_name)

    seen = {column.name for column in encoding.columns}
    suspects = [column for column in features if column.name in seen]
    sample = kept[: min(len(kept), SAMPLE)]
    if suspects and len(sample):
        values = {c.name: _take(table, c.name, sample) for c in suspects}
        notices += find_suspects(suspects, values, target, coded[: len(sample)])

    matrix, folder = _encode_matrix(table, encoding, kept, options.memory)
    mean, scale = 0.0, 1.0
    if target.task == "regression":
        mean = float(np.mean(coded[split.train]))
        scale = float(np.std(coded[split.train])) or 1.0
    total = int(np.bitwise_xor.reduce(hashes)) ^ int(np.sum(hashes, dtype=np.uint64))
    return Dataset(
        table, kept, matrix, coded, target, encoding, split, mean, scale, notices,
        f"{len(kept)}-{total:016x}", folder,
    )  # fmt: skip


def _read_target(
    table: Table, column: Column, options: DataOptions, notices: list[Notice]
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows that have a target, and its values there."""
    pieces = [
        table.read([column.name], start, stop)[column.name]
        for start, stop in iterate_pieces(table.rows, PIECE)
    ]
    raw = np.concatenate(pieces)
    missing = (
        np.array([value is None for value in raw], dtype=bool)
        if raw.dtype == object
        else np.isnan(raw)
    )
    count = int(missing.sum())
    if count == table.rows:
        raise Fault("target_all_missing", column=column.name)
    if count and not options.drop_missing_target:
        raise Fault("target_missing", column=column.name, count=count, rows=table.rows)
    if count:
        notices.append(Notice("dropped_rows", {"count": count}))
    return np.flatnonzero(~missing), raw[~missing]


def _read_kept(
    table: Table, names: Sequence[str], kept: np.ndarray
) -> Iterator[tuple[int, dict[str, np.ndarray], int]]:
    """Pieces of the kept rows: their place among them, their values, and the table's row."""
    place = 0
    for start, stop in iterate_pieces(table.rows, PIECE):
        here = kept[place : place + int(np.searchsorted(kept[place:], stop))]
        if len(here):
            piece = table.read(names, start, stop)
            if len(here) < stop - start:
                piece = {name: values[here - start] for name, values in piece.items()}
            yield place, piece, start
        place += len(here)


def _take(table: Table, name: str, positions: np.ndarray) -> np.ndarray:
    """One column at some rows, given in rising order."""
    first, last = int(positions[0]), int(positions[-1]) + 1
    return table.read([name], first, last)[name][positions - first]


def _scan_rows(
    table: Table, features: list[Column], target: Column, named: list[str], kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hashes of rows and of their features, and the group or time; checks values on the way."""
    hashes = np.zeros(len(kept), dtype=np.uint64)
    alike = np.zeros(len(kept), dtype=np.uint64)
    sides: list[np.ndarray] = []
    found: dict[str, set[str]] = {c.name: set() for c in features if c.kind == "text"}
    infinite: dict[str, list[int]] = {}
    names = [column.name for column in features]
    for place, piece, start in _read_kept(table, [*names, target.name, *named], kept):
        rows = len(piece[target.name])
        hashes[place : place + rows] = hash_rows(piece)
        alike[place : place + rows] = hash_rows({name: piece[name] for name in names})
        for name, known in found.items():
            known.update(value for value in piece[name] if value is not None)
            if len(known) > 50 * MAX_CATEGORIES:
                _refuse_categories(name, known, len(kept))
        for column in features:
            if column.kind != "text":
                bad = np.flatnonzero(np.isinf(piece[column.name]))
                if len(bad):
                    count, row = infinite.get(column.name, [0, int(kept[place + bad[0]]) + 1])
                    infinite[column.name] = [count + len(bad), row]
        if named:
            sides.append(piece[named[0]])
        del start
    for name, (count, row) in infinite.items():
        raise Fault("infinite", column=name, count=count, row=row)
    for name, known in found.items():
        if len(known) > MAX_CATEGORIES:
            _refuse_categories(name, known, len(kept))
    return hashes, alike, np.concatenate(sides) if sides else np.zeros(0)


def _refuse_categories(name: str, known: set[str], rows: int) -> None:
    """Raise: too many categories; say so if the column is nearly all numbers."""
    odd = [value for value in known if not _is_number(value)]
    hint = ""
    if len(odd) < len(known) / 10:
        hint = f"; nearly all are numbers, but not for example {min(odd)!r}: mend it with --sql"
    elif len(known) == rows:
        hint = "; it is different in every row, as an id is"
    raise Fault(
        "too_many_categories", column=name, count=len(known), limit=MAX_CATEGORIES, hint=hint
    )


def _is_number(text: str) -> bool:
    """Whether a text could be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _choose_split(
    hashes: np.ndarray, sides: np.ndarray, coded: np.ndarray, target: Target, options: DataOptions
) -> Split:
    """The split by time, by group, or by the rows' content."""
    if options.time is not None:
        if sides.dtype == object:
            raise Fault("time_kind", column=options.time)
        missing = int(np.isnan(sides).sum())
        if missing:
            raise Fault("time_missing", column=options.time, count=missing)
        return split_time(sides, options.test, options.validation)
    folds = options.folds
    if folds == "auto":
        learning = len(coded) * (1 - options.test)
        # Equal rows share a fold, so it is different rows that must be enough for five.
        folds = 5 if learning <= COMMITTEE_ROWS and len(np.unique(hashes)) >= 30 else 1
    if options.group is not None:
        hashes = hash_rows({options.group: sides})
        groups = len(np.unique(hashes))
        if groups < max(3, int(folds) + 1):
            raise Fault("too_few_groups", column=options.group, groups=groups)
        return split_rows(hashes, None, options.seed, options.test, options.validation, int(folds))
    classes = coded if target.task == "classification" else None
    return split_rows(hashes, classes, options.seed, options.test, options.validation, int(folds))


def _notice_small(target: Target, coded: np.ndarray, split: Split) -> list[Notice]:
    """Notices about classes with few rows and few test rows."""
    notices: list[Notice] = []
    if target.task == "classification":
        counts = np.bincount(coded, minlength=len(target.classes))
        notices += [
            Notice("small_class", {"label": label, "count": int(count)})
            for label, count in zip(target.classes, counts, strict=True)
            if count < 5
        ]
    if 0 < len(split.test) < 20:
        notices.append(Notice("few_test_rows", {"count": len(split.test)}))
    return notices


class _Scratch:
    """A temporary folder that goes with the object, in silence."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="slopewise-")
        weakref.finalize(self, shutil.rmtree, self.name, ignore_errors=True)


def _encode_matrix(
    table: Table, encoding: Encoding, kept: np.ndarray, memory: int
) -> tuple[np.ndarray, Any]:
    """The encoded rows, in memory or in a temporary file that goes when it is no longer used."""
    shape = (len(kept), len(encoding.features))
    blocks = (
        (place, encoding.apply(piece, start=start))
        for place, piece, start in _read_kept(table, encoding.names, kept)
    )
    if shape[0] * shape[1] * 4 <= memory:
        matrix = np.empty(shape, dtype=np.float32)
        for place, block in blocks:
            matrix[place : place + len(block)] = block
        return matrix, None
    folder = _Scratch()
    path = os.path.join(folder.name, "matrix.f32")
    try:
        # Written as a file and mapped afterwards: a full disk is then an error, not a signal.
        with open(path, "wb") as handle:
            for _, block in blocks:
                handle.write(block.tobytes())
    except OSError as error:
        raise Fault("cannot_write", path=path, reason=error.strerror or str(error)) from None
    return np.memmap(path, dtype=np.float32, mode="r", shape=shape), folder
