"""Columns to numbers: standardise, one-hot, impute and flag; dates to seconds and cycles.

Invariant: an encoding is fitted on training rows only, in one pass over pieces, and is a plain
record that goes to JSON and back without a change; applying it to a row never depends on other
rows. It is separate because prediction needs it without training.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slopewise.train.faults import Fault, Notice
from slopewise.train.tables import Column, Kind

MAX_CATEGORIES = 1000
YEAR = 365.2425 * 86400.0
DAY = 86400.0


@dataclass(frozen=True)
class ColumnEncoding:
    """How one column becomes numbers.

    Parameters
    ----------
    name : str
        The column.
    kind : {'number', 'boolean', 'text', 'date'}
        Its kind in training.
    mean, scale : float
        Numbers and dates become (value - mean) / scale; missing ones 0.
    flagged : bool
        Whether a further feature says 'missing'.
    categories : tuple of str
        For text: one feature for each; a value that is none of them sets none ('unknown').
    cycles : tuple of float
        For dates: periods in seconds, each of which adds a sine and a cosine.
    """

    name: str
    kind: Kind
    mean: float = 0.0
    scale: float = 1.0
    flagged: bool = False
    categories: tuple[str, ...] = ()
    cycles: tuple[float, ...] = ()

    @property
    def features(self) -> list[str]:
        """Names of the features that the column becomes."""
        if self.kind == "text":
            names = [f"{self.name}={category}" for category in self.categories]
        else:
            names = [self.name]
            for period in self.cycles:
                word = "year" if period == YEAR else "day"
                names += [f"{self.name}:{word} sin", f"{self.name}:{word} cos"]
        return names + ([f"{self.name} missing"] if self.flagged else [])


@dataclass
class Applied:
    """What an encoding met in new rows.

    Parameters
    ----------
    unseen : dict of str to dict of str to int
        For each text column, values not seen in training, and how often.
    missing : dict of str to int
        Missing values in columns that had none in training.
    """

    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    @property
    def notices(self) -> list[Notice]:
        """The same as notices."""
        found = [
            Notice(
                "unseen_category",
                {
                    "column": name,
                    "count": sum(counts.values()),
                    "examples": ", ".join(list(counts)[:3]),
                },
            )
            for name, counts in self.unseen.items()
        ]
        for name, count in self.missing.items():
            found.append(Notice("new_missing", {"column": name, "count": count}))
        return found


@dataclass(frozen=True)
class Encoding:
    """How a table's columns become a matrix.

    Parameters
    ----------
    columns : tuple of ColumnEncoding
        In the order of the features.
    """

    columns: tuple[ColumnEncoding, ...]

    @property
    def features(self) -> list[str]:
        """Names of all features, in the matrix's order."""
        return [name for column in self.columns for name in column.features]

    @property
    def names(self) -> list[str]:
        """Names of the table's columns that are needed."""
        return [column.name for column in self.columns]

    def apply(
        self, piece: Mapping[str, np.ndarray], applied: Applied | None = None, start: int = 0
    ) -> np.ndarray:
        """Encode some rows.

        Parameters
        ----------
        piece : mapping of str to ndarray of shape (rows,)
            As `Table.read` gives them.
        applied : Applied, optional
            Collects what was met for the first time.
        start : int
            Position of the first row, for messages.

        Returns
        -------
        ndarray of shape (rows, features), float32

        Raises
        ------
        DataError
            If a number is infinite.

        Examples
        --------
        >>> e = Encoding((ColumnEncoding("x", "number", mean=1.0, scale=2.0),))
        >>> e.apply({"x": np.array([3.0, np.nan])}).tolist()
        [[1.0], [0.0]]
        """
        rows = len(next(iter(piece.values()))) if piece else 0
        matrix = np.zeros((rows, len(self.features)), dtype=np.float32)
        place = 0
        for column in self.columns:
            width = len(column.features)
            block = matrix[:, place : place + width]
            if column.kind == "text":
                _fill_text(column, piece[column.name], block, applied)
            else:
                _fill_number(column, piece[column.name], block, applied, start)
            place += width
        return matrix

    def to_json(self) -> list[dict[str, Any]]:
        """A JSON form, read back by `Encoding.from_json`."""
        return [
            {
                "name": c.name,
                "kind": c.kind,
                "mean": c.mean,
                "scale": c.scale,
                "flagged": c.flagged,
                "categories": list(c.categories),
                "cycles": list(c.cycles),
            }
            for c in self.columns
        ]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any]]) -> "Encoding":
        """The encoding that `to_json` described."""
        return cls(
            tuple(
                ColumnEncoding(
                    str(c["name"]),
                    c["kind"],
                    float(c["mean"]),
                    float(c["scale"]),
                    bool(c["flagged"]),
                    tuple(c["categories"]),
                    tuple(float(period) for period in c["cycles"]),
                )
                for c in data
            )
        )


def _fill_number(
    column: ColumnEncoding,
    values: np.ndarray,
    block: np.ndarray,
    applied: Applied | None,
    start: int,
) -> None:
    """Standardised values, cycles, and the flag for missing."""
    check_finite(column.name, values, start)
    missing = np.isnan(values)
    if missing.any() and not column.flagged and applied is not None:
        count = applied.missing.get(column.name, 0)
        applied.missing[column.name] = count + int(missing.sum())
    filled = np.where(missing, column.mean, values)
    block[:, 0] = np.clip((filled - column.mean) / column.scale, -1e6, 1e6)
    for index, period in enumerate(column.cycles):
        angle = 2 * math.pi * (filled % period) / period
        block[:, 1 + 2 * index] = np.where(missing, 0.0, np.sin(angle))
        block[:, 2 + 2 * index] = np.where(missing, 0.0, np.cos(angle))
    if column.flagged:
        block[:, -1] = missing


def _fill_text(
    column: ColumnEncoding, values: np.ndarray, block: np.ndarray, applied: Applied | None
) -> None:
    """One feature for each category, and the flag for missing."""
    codes = {category: code for code, category in enumerate(column.categories)}
    for row, value in enumerate(values):
        code = codes.get(value)
        if code is not None:
            block[row, code] = 1.0
        elif value is None:
            if column.flagged:
                block[row, -1] = 1.0
            elif applied is not None:
                applied.missing[column.name] = applied.missing.get(column.name, 0) + 1
        elif applied is not None:
            counts = applied.unseen.setdefault(column.name, {})
            counts[str(value)] = counts.get(str(value), 0) + 1


def check_finite(name: str, values: np.ndarray, start: int = 0) -> None:
    """Check that a column of numbers has no infinite value (NaN means missing and may be).

    Parameters
    ----------
    name : str
        The column, for the message.
    values : ndarray of shape (rows,), float64
        Its values.
    start : int
        Position of the first row, for the message.

    Raises
    ------
    DataError
        With the count and the first row (counted from 1).
    """
    bad = np.flatnonzero(np.isinf(values))
    if len(bad):
        raise Fault("infinite", column=name, count=len(bad), row=start + int(bad[0]) + 1)


class EncodingFit:
    """Collects what an encoding needs, piece by piece.

    Means and squares are merged in float64 without loss; the order of pieces matters only to the
    last digits.

    Parameters
    ----------
    columns : sequence of Column
        The feature columns.

    Source
    ------
    Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", eq. (2.1).

    Examples
    --------
    >>> fit = EncodingFit([Column("x", "number")])
    >>> fit.add({"x": np.array([1.0, 2.0])})
    >>> fit.add({"x": np.array([3.0, np.nan])})
    >>> encoding, notices = fit.finish()
    >>> encoding.columns[0].mean, encoding.features
    (2.0, ['x', 'x missing'])
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = list(columns)
        self._numbers = {c.name: _Moments() for c in columns if c.kind != "text"}
        self._texts: dict[str, dict[str, int]] = {c.name: {} for c in columns if c.kind == "text"}
        self._missing = {c.name: 0 for c in columns}
        self._rows = 0

    def add(self, piece: Mapping[str, np.ndarray], start: int = 0) -> None:
        """Take in some training rows.

        Parameters
        ----------
        piece : mapping of str to ndarray of shape (rows,)
            As `Table.read` gives them.
        start : int
            Position of the first row, for messages.

        Raises
        ------
        DataError
            If a number is infinite.
        """
        for column in self._columns:
            values = piece[column.name]
            if column.kind == "text":
                counts = self._texts[column.name]
                for value in values:
                    if value is None:
                        self._missing[column.name] += 1
                    else:
                        counts[value] = counts.get(value, 0) + 1
            else:
                check_finite(column.name, values, start)
                present = values[~np.isnan(values)]
                self._missing[column.name] += len(values) - len(present)
                self._numbers[column.name].add(present)
        self._rows += len(next(iter(piece.values()))) if piece else 0

    def finish(self) -> tuple[Encoding, list[Notice]]:
        """The encoding, and which columns were left out and why.

        Returns
        -------
        encoding : Encoding
        notices : list of Notice
        """
        encoded: list[ColumnEncoding] = []
        notices: list[Notice] = []
        for column in self._columns:
            name = column.name
            flagged = self._missing[name] > 0
            if self._missing[name] >= self._rows:
                notices.append(Notice("all_missing", {"column": name}))
                continue
            if column.kind == "text":
                found = self._texts[name]
                if len(found) == 1 and not flagged:
                    notices.append(Notice("constant", {"column": name}))
                    continue
                if len(found) == self._rows - self._missing[name] and len(found) > 20:
                    notices.append(Notice("left_out_id", {"column": name, "count": len(found)}))
                    continue
                encoded.append(
                    ColumnEncoding(name, "text", flagged=flagged, categories=tuple(sorted(found)))
                )
                continue
            moments = self._numbers[name]
            scale = moments.deviation
            if not scale > 1e-12 * abs(moments.mean) and not flagged:
                notices.append(Notice("constant", {"column": name}))
                continue
            if not scale > 1e-12 * abs(moments.mean):
                scale = 1.0
            cycles = _choose_cycles(moments) if column.kind == "date" else ()
            encoded.append(
                ColumnEncoding(name, column.kind, moments.mean, scale, flagged, cycles=cycles)
            )
        return Encoding(tuple(encoded)), notices


def _choose_cycles(moments: "_Moments") -> tuple[float, ...]:
    """Year and day, where the dates span more than one of them."""
    span = moments.high - moments.low
    cycles = [YEAR] if span > YEAR else []
    if moments.within_day and span > DAY:
        cycles.append(DAY)
    return tuple(cycles)


class _Moments:
    """Count, mean and sum of squared deviations, merged piece by piece."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.within_day = False

    def add(self, values: np.ndarray) -> None:
        """Merge further values."""
        if not len(values):
            return
        # Dividing first keeps the mean of values near the largest float finite.
        mean = float(np.sum(values / len(values)))
        delta = mean - self.mean
        count = self.count + len(values)
        with np.errstate(over="ignore"):
            squares = float(np.sum((values - mean) ** 2))
            self.squares += squares + delta * delta * self.count * len(values) / count
        self.mean += delta * len(values) / count
        self.count = count
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        self.within_day = self.within_day or bool(np.any(values % DAY != 0))

    @property
    def deviation(self) -> float:
        """The standard deviation (with n, not n - 1)."""
        if not self.count:
            return 0.0
        if not math.isfinite(self.squares):
            return max(abs(self.low), abs(self.high))
        return math.sqrt(self.squares / self.count)
