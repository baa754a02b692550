"""Which rows train, validate and test: decided by each row's content and the seed.

Invariant: the side of a row depends on its values and the seed, never on its position, so a table
in another order splits alike, and rows with one hash land on the same side. Test rows are taken
class by class. It is separate because a split can be checked without a network.

With more than one fold, no row is set apart for validation alone: the rows that are not tested are
dealt into folds, and member k of the committee trains on all folds but k and validates on fold k.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from slopewise.train.faults import Fault

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
TEST = -1
"""The fold number of a test row."""
TRAIN = -2
"""The fold number of a row that every member trains on."""


@dataclass(frozen=True)
class Split:
    """The sides of all rows.

    Parameters
    ----------
    fold : ndarray of shape (rows,), int16
        `TEST`, `TRAIN`, or the number of the fold that the row validates.
    folds : int
        How many members the committee has; 1 means one plain validation set.
    """

    fold: np.ndarray
    folds: int

    @property
    def test(self) -> np.ndarray:
        """Positions of the test rows."""
        return np.flatnonzero(self.fold == TEST)

    @property
    def validation(self) -> np.ndarray:
        """Positions of the rows that some member validates on."""
        return np.flatnonzero(self.fold >= 0)

    @property
    def train(self) -> np.ndarray:
        """Positions of the rows that some member trains on."""
        if self.folds > 1:
            return np.flatnonzero(self.fold != TEST)
        return np.flatnonzero(self.fold == TRAIN)

    def members(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each member, the positions that it trains on and validates on.

        Returns
        -------
        list of (ndarray, ndarray)
        """
        if self.folds == 1:
            return [(self.train, self.validation)]
        return [
            (np.flatnonzero((self.fold != TEST) & (self.fold != k)), np.flatnonzero(self.fold == k))
            for k in range(self.folds)
        ]

    @property
    def sides(self) -> np.ndarray:
        """A word for each row: 'train', 'validation', 'test', or 'fold 1' and so on.

        Returns
        -------
        ndarray of shape (rows,), str
        """
        words = np.full(len(self.fold), "train", dtype=object)
        words[self.fold == TEST] = "test"
        for k in range(self.folds):
            words[self.fold == k] = "validation" if self.folds == 1 else f"fold {k + 1}"
        return words.astype(str)


def hash_rows(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """A 64-bit number for each row that depends on its values and their columns' names only.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (rows,)
        float64 or objects (text, None for missing); the mapping's order does not matter.

    Returns
    -------
    ndarray of shape (rows,), uint64

    Source
    ------
    Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", mix64.

    Examples
    --------
    >>> a = hash_rows({"x": np.array([1.0, 2.0, 1.0])})
    >>> bool(a[0] == a[2]), bool(a[0] == a[1])
    (True, False)
    """
    result: np.ndarray | None = None
    for name in sorted(columns):
        values = columns[name]
        if values.dtype == object:
            bits = _hash_text(values)
        else:
            # -0.0 equals 0.0, and every NaN means missing: one bit pattern for each.
            plain = np.where(np.isnan(values), np.nan, values + 0.0)
            bits = plain.astype(np.float64).view(np.uint64)
        salt = np.uint64(_hash_word(name))
        mixed = _mix(bits ^ salt)
        result = mixed if result is None else _mix(result + mixed * _GOLDEN)
    return result if result is not None else np.zeros(0, dtype=np.uint64)


def _hash_word(word: str) -> int:
    """The first 64 bits of BLAKE2b."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def _hash_text(values: np.ndarray) -> np.ndarray:
    """A 64-bit hash for each text, one for missing."""
    known: dict[str | None, int] = {None: 0x5D5D5D5D5D5D5D5D}
    result = np.empty(len(values), dtype=np.uint64)
    for position, value in enumerate(values):
        code = known.get(value)
        if code is None:
            code = known[value] = _hash_word(str(value))
        result[position] = code
    return result


def _mix(bits: np.ndarray) -> np.ndarray:
    """Spread every bit over all 64 (wraps around on purpose)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _salt(hashes: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """The hashes reordered at random by the seed, differently for each purpose."""
    return _mix(hashes ^ np.uint64(_hash_word(f"{purpose}:{seed}")))


def _cut_share(order: np.ndarray, share: float) -> np.ndarray:
    """Marks about `share` of the rows: those with the smallest hashes, equal rows all together."""
    wanted = round(len(order) * share)
    different, counts = np.unique(order, return_counts=True)
    if wanted <= 0 or len(different) < 2:
        return np.zeros(len(order), dtype=bool)
    marked = np.cumsum(counts)
    # At least one kind of row is marked, and one is left.
    last = int(np.argmin(np.abs(marked[:-1] - wanted)))
    return order <= different[last]


def _deal_folds(order: np.ndarray, folds: int, start: int) -> np.ndarray:
    """Fold numbers dealt out in the order of the hashes; equal rows get the same one."""
    _, inverse = np.unique(order, return_inverse=True)
    return ((inverse.reshape(-1) + start) % folds).astype(np.int16)


def split_rows(
    hashes: np.ndarray,
    classes: np.ndarray | None,
    seed: int,
    test: float,
    validation: float,
    folds: int,
) -> Split:
    """Split by content: rows (or whole groups, when equal hashes are given to a group).

    Parameters
    ----------
    hashes : ndarray of shape (rows,), uint64
        One number per row; rows with the same number stay together.
    classes : ndarray of shape (rows,), int, optional
        Class numbers: each class is split by itself, so that shares agree.
    seed : int
        Another seed gives another split.
    test, validation : float
        Shares of all rows. `validation` is not used with several folds.
    folds : int
        1 for a plain validation set; more for a committee.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If a side would be empty.

    Examples
    --------
    >>> rows = hash_rows({"x": np.arange(100.0)})
    >>> s = split_rows(rows, None, 0, 0.2, 0.1, 1)
    >>> len(s.train), len(s.validation), len(s.test)
    (70, 10, 20)
    """
    rows = len(hashes)
    fold = np.full(rows, TRAIN, dtype=np.int16)
    order = _salt(hashes, seed, "test")
    deal = _salt(hashes, seed, "validation")
    dealt = 0
    strata = [np.arange(rows)] if classes is None else _list_strata(hashes, classes)
    for stratum in strata:
        tested = _cut_share(order[stratum], test)
        fold[stratum[tested]] = TEST
        rest = stratum[~tested]
        if folds > 1:
            fold[rest] = _deal_folds(deal[rest], folds, dealt)
            dealt += len(rest)
        else:
            share = validation * len(stratum) / max(len(rest), 1)
            fold[rest[_cut_share(deal[rest], share)]] = 0
    return check_split(Split(fold, folds), test, len(np.unique(hashes)))


def _list_strata(hashes: np.ndarray, classes: np.ndarray) -> list[np.ndarray]:
    """Positions of the rows of each class; rows of one hash go with the class most have there."""
    different, group = np.unique(hashes, return_inverse=True)
    if len(different) < len(hashes):
        pairs, counts = np.unique(
            np.stack([group.reshape(-1), classes]), axis=1, return_counts=True
        )
        # Sorted by count, so that the last class written for a group is its most frequent one.
        order = np.argsort(counts, kind="stable")
        most = np.zeros(len(different), dtype=classes.dtype)
        most[pairs[0, order]] = pairs[1, order]
        classes = most[group.reshape(-1)]
    order = np.argsort(classes, kind="stable")
    bounds = np.flatnonzero(np.diff(classes[order])) + 1
    return np.split(order, bounds)


def tell_apart(hashes: np.ndarray) -> np.ndarray:
    """Other hashes, different also for equal rows: the first, the second, ... of them.

    Which of several equal rows is called the first depends on their order, but the rows that land
    on each side do not, since they are equal.

    Parameters
    ----------
    hashes : ndarray of shape (rows,), uint64
        One number per row.

    Returns
    -------
    ndarray of shape (rows,), uint64

    Examples
    --------
    >>> len(set(tell_apart(np.zeros(5, np.uint64)).tolist()))
    5
    """
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    lengths = np.diff(np.r_[starts, len(ranked)])
    ordinal = np.empty(len(hashes), dtype=np.uint64)
    ordinal[order] = np.arange(len(ranked)) - np.repeat(starts, lengths)
    return _mix(hashes + ordinal * _GOLDEN)


def split_time(times: np.ndarray, test: float, validation: float) -> Split:
    """Split by time: the last rows test, those before them validate, the first ones train.

    Rows of the same time are on the same side. There is one fold only, since a committee would
    train on rows that are later than those it validates on.

    Parameters
    ----------
    times : ndarray of shape (rows,)
        Seconds or any other number, none missing.
    test, validation : float
        Shares of all rows.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If a side would be empty.

    Examples
    --------
    >>> t = np.arange(10.0)
    >>> split_time(t, 0.2, 0.2).sides.tolist()[-4:]
    ['validation', 'validation', 'test', 'test']
    """
    rows = len(times)
    ranked = np.sort(times)
    fold = np.full(rows, TRAIN, dtype=np.int16)
    test_rows = round(rows * test)
    held = round(rows * validation)
    if held + test_rows < rows:
        fold[times >= ranked[rows - held - test_rows]] = 0
    if test_rows:
        fold[times >= ranked[rows - test_rows]] = TEST
    return check_split(Split(fold, 1), test, len(np.unique(times)))


def check_split(split: Split, test: float, different: int) -> Split:
    """The split itself, if no side of it is empty.

    Parameters
    ----------
    split : Split
        Any split.
    test : float
        The share of test rows that was asked for; with 0 there may be none.
    different : int
        How many different rows (or groups, or times) there are, for the message.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If nothing is left to train on, to validate on, or to test on.
    """
    rows = len(split.fold)
    if test > 0 and not len(split.test):
        raise Fault("too_few_rows", rows=rows, different=different)
    if any(not len(held) or len(fit) < 2 for fit, held in split.members()):
        raise Fault("too_few_rows", rows=rows, different=different)
    return split
