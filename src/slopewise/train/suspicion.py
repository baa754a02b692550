"""Columns that look like ids, or that give the target away.

Invariant: these are warnings only; nothing is changed by them, and what is said is a fact about
the rows looked at. It is separate because the rules are heuristic and are tested on tables of both
kinds.
"""

import re

import numpy as np

from slopewise.train.faults import Notice
from slopewise.train.tables import Column
from slopewise.train.task import Target

SAMPLE = 50_000
"""At most so many rows are looked at."""
_ID_NAME = re.compile(r"(^|[_\s-])(id|ids|uuid|guid|key|index|idx|rowid|row|nr|no)$", re.IGNORECASE)
_ID_CAMEL = re.compile(r"([a-z]ID|[a-z]Id|^ID|^Id|^Unnamed: ?\d*|^column0)$")


def find_suspects(
    columns: list[Column], values: dict[str, np.ndarray], target: Target, coded: np.ndarray
) -> list[Notice]:
    """Warnings for columns that look like ids or leak the target.

    Parameters
    ----------
    columns : list of Column
        The feature columns.
    values : dict of str to ndarray of shape (rows,)
        Their values, as `Table.read` gives them.
    target : Target
        What is learnt.
    coded : ndarray of shape (rows,)
        The target as class numbers or values.

    Returns
    -------
    list of Notice

    Examples
    --------
    >>> rows = np.arange(100.0)
    >>> t = Target("y", "number", "regression", ())
    >>> found = find_suspects([Column("row_id", "number")], {"row_id": rows}, t, rows % 7)
    >>> [notice.id for notice in found]
    ['looks_like_id']
    """
    notices: list[Notice] = []
    for column in columns:
        array = values[column.name][:SAMPLE]
        reason = explain_id(column, array)
        if reason:
            notices.append(Notice("looks_like_id", {"column": column.name, "reason": reason}))
        reason = explain_leak(array, target, coded[:SAMPLE])
        if reason:
            notices.append(Notice("looks_like_leak", {"column": column.name, "reason": reason}))
    return notices


def explain_id(column: Column, values: np.ndarray) -> str:
    """Why a column looks like an id, or an empty text.

    Text that is different in every row is an id; so are whole numbers that count the rows one by
    one, or that are all different and have a name such as `customer_id`.

    Parameters
    ----------
    column : Column
        Name and kind.
    values : ndarray of shape (rows,)
        Its values.

    Returns
    -------
    str

    Examples
    --------
    >>> explain_id(Column("n", "number"), np.arange(50.0))
    'its values count the rows'
    >>> explain_id(Column("age", "number"), np.array([30.0, 41.0, 30.0]))
    ''
    """
    if column.kind == "text":
        present = [value for value in values if value is not None]
        if len(present) >= 20 and len(set(present)) == len(present):
            return "its values are all different"
        return ""
    if column.kind != "number":
        return ""
    present = values[np.isfinite(values)]
    if len(present) < 20 or np.any(present != np.round(present)):
        return ""
    different = np.unique(present)
    if len(different) < len(present):
        return ""
    if np.all(np.diff(different) == different[1] - different[0]):
        return "its values count the rows"
    if _ID_NAME.search(column.name) or _ID_CAMEL.search(column.name):
        return "its values are all different"
    return ""


def explain_leak(values: np.ndarray, target: Target, coded: np.ndarray) -> str:
    """Why a column alone tells the target, or an empty text.

    For classes: a rule on this column alone, with one interval or one set of values per class,
    is right for 99.9 % of the rows. For numbers: the correlation is above 0.999.

    Parameters
    ----------
    values : ndarray of shape (rows,)
        The column's values.
    target : Target
        What is learnt.
    coded : ndarray of shape (rows,)
        Class numbers or values.

    Returns
    -------
    str

    Examples
    --------
    >>> y = np.array([0, 1] * 20)
    >>> t = Target("y", "number", "classification", (0, 1))
    >>> explain_leak(10.0 * y, t, y)
    'it is right for 100.0 % of the rows'
    """
    present = (
        np.array([v is not None for v in values]) if values.dtype == object else ~np.isnan(values)
    )
    if present.sum() < 20 or present.mean() < 0.5:
        return ""
    values, coded = values[present], coded[present]
    if target.task == "regression":
        if values.dtype == object or np.ptp(values) == 0 or np.ptp(coded) == 0:
            return ""
        if not np.all(np.isfinite(values)):
            return ""
        with np.errstate(over="ignore", invalid="ignore"):
            r = float(np.corrcoef(values, coded)[0, 1])
        return f"their correlation is {r:.4f}" if abs(r) > 0.999 else ""
    counts = np.bincount(coded)
    if counts.max() > 0.999 * len(coded):
        return ""
    share = _score_rule(values, coded, len(target.classes))
    # A few distinct values per row could be right by chance; require that they repeat.
    return f"it is right for {100 * share:.1f} % of the rows" if share >= 0.999 else ""


def _score_rule(values: np.ndarray, coded: np.ndarray, classes: int) -> float:
    """How often the best simple rule on one column is right."""
    different, inverse = np.unique(
        values.astype(str) if values.dtype == object else values, return_inverse=True
    )
    inverse = inverse.reshape(-1)
    if values.dtype == object or len(different) <= classes:
        if len(different) * 5 > len(values):
            return 0.0
        table = np.zeros((len(different), classes))
        np.add.at(table, (inverse, coded), 1)
        return float(table.max(1).sum() / len(values))
    # Numbers: the classes must fill one interval each, in some order, so the class changes
    # classes - 1 times on the way up; each further change costs at least one error.
    order = np.argsort(inverse, kind="stable")
    steps = int(np.sum(np.diff(coded[order]) != 0))
    present = len(np.unique(coded))
    return 1.0 - max(steps - (present - 1), 0) / len(values)
