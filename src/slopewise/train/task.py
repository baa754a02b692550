"""What is to be learnt: the task and its classes, read off the target column.

Invariant: the decision depends on the target's values only, never on the rows' order; classes are
sorted, and a class keeps the value that the user wrote. It is separate because the same labels are
needed again to word predictions.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from slopewise.train.faults import Fault
from slopewise.train.tables import Column, Kind

TaskName = Literal["regression", "classification"]
MAX_CLASSES = 1000
FEW_VALUES = 20
"""A target of whole numbers with at most this many different ones is taken as classes."""


@dataclass(frozen=True)
class Target:
    """The target: its name, the task, and its classes.

    Parameters
    ----------
    name : str
        The column.
    kind : str
        The column's kind in the table.
    task : {'regression', 'classification'}
        What is learnt.
    classes : tuple of str, int, float or bool
        Sorted labels; empty for regression.
    """

    name: str
    kind: Kind
    task: TaskName
    classes: tuple[Any, ...]

    @property
    def outputs(self) -> int:
        """How many numbers the network puts out: one per class, or one."""
        return len(self.classes) or 1

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Class numbers (int64), or the values themselves (float64).

        Parameters
        ----------
        values : ndarray of shape (rows,)
            As the table gives them, none missing.

        Returns
        -------
        ndarray of shape (rows,)
            A label that is not among the classes becomes -1.

        Examples
        --------
        >>> Target("y", "text", "classification", ("a", "b")).encode(np.array(["b", "a"]))
        array([1, 0])
        """
        if self.task == "regression":
            return np.asarray(values, dtype=np.float64)
        codes = {key_label(label): code for code, label in enumerate(self.classes)}
        unique, inverse = np.unique(values.astype(str if self.kind == "text" else np.float64),
                                    return_inverse=True)  # fmt: skip
        found = np.array([codes.get(key_label(value), -1) for value in unique], dtype=np.int64)
        return found[inverse.reshape(-1)]

    def to_json(self) -> dict[str, Any]:
        """A JSON form, read back by `Target.from_json`."""
        return {
            "name": self.name,
            "kind": self.kind,
            "task": self.task,
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Target":
        """The target that `to_json` described."""
        return cls(data["name"], data["kind"], data["task"], tuple(data["classes"]))


def key_label(label: Any) -> str | float:
    """What two spellings of one label share: text as it is, all else as a float.

    Parameters
    ----------
    label : str, int, float or bool
        A class label.

    Returns
    -------
    str or float

    Examples
    --------
    >>> key_label(3) == key_label(np.float64(3.0))
    True
    """
    return str(label) if isinstance(label, str) else float(label)


def decide_task(
    column: Column, values: np.ndarray, task: TaskName | None = None, rows: int | None = None
) -> Target:
    """Decide the task from the target's values.

    Text, booleans and whole numbers with few different values make classes; other numbers make
    a regression.

    Parameters
    ----------
    column : Column
        The target's name and kind.
    values : ndarray of shape (rows,)
        Its values, none missing.
    task : {'regression', 'classification'}, optional
        What the user wants instead.
    rows : int, optional
        The table's rows, for the message; taken from `values` if left out.

    Returns
    -------
    Target

    Raises
    ------
    DataError
        If the target is infinite somewhere, constant, text for a regression, a date, or has
        too many classes.

    Examples
    --------
    >>> decide_task(Column("digit", "number"), np.array([0.0, 1.0, 2.0] * 9)).classes
    (0, 1, 2)
    >>> decide_task(Column("weight", "number"), np.array([0.5, 1.25, 2.0])).task
    'regression'
    """
    name = column.name
    if column.kind == "date":
        raise Fault("target_date", column=name)
    if column.kind == "text":
        if task == "regression":
            raise Fault("target_text_regression", column=name, example=repr(str(values[0])))
        return _make_classes(column, sorted(set(map(str, values))))
    bad = np.flatnonzero(np.isinf(values))
    if len(bad):
        raise Fault("target_infinite", column=name, count=len(bad), row=int(bad[0]) + 1)
    different = np.unique(values)
    if task is None:
        whole = bool(np.all(different == np.round(different)))
        # With n rows, more than n/5 different whole numbers are a measurement, not classes.
        few = len(different) <= max(2, min(FEW_VALUES, (rows or len(values)) // 5))
        binary = len(different) <= 2
        task = (
            "classification"
            if column.kind == "boolean" or (whole and few) or binary
            else "regression"
        )
    if task == "regression":
        if len(different) < 2:
            raise Fault("target_constant", column=name, value=_show(different[0]))
        return Target(name, column.kind, "regression", ())
    return _make_classes(column, [_read_label(value, column.kind) for value in different])


def _make_classes(column: Column, labels: list[Any]) -> Target:
    """A classification target, after the checks on the number of classes."""
    if len(labels) < 2:
        raise Fault("target_one_class", column=column.name, value=repr(labels[0]))
    if len(labels) > MAX_CLASSES:
        raise Fault("target_many_classes", column=column.name, count=len(labels), limit=MAX_CLASSES)
    return Target(column.name, column.kind, "classification", tuple(labels))


def _read_label(value: float, kind: Kind) -> bool | int | float:
    """A label as the user wrote it: true, 3 or 0.5."""
    if kind == "boolean":
        return bool(value)
    return int(value) if float(value).is_integer() else float(value)


def _show(value: float) -> str:
    """A number as people write it."""
    return f"{value:g}"
