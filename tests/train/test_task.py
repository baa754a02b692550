"""The task follows from the target."""

from __future__ import annotations

import numpy as np
import pytest

from slopewise.errors import DataError
from slopewise.train.tables import Column
from slopewise.train.task import Target, decide_task


def decide(values, kind="number", task=None):
    dtype = object if kind == "text" else float
    return decide_task(Column("y", kind), np.array(values, dtype=dtype), task)


@pytest.mark.parametrize(
    ("values", "kind", "task"),
    [
        (["a", "b"] * 5, "text", "classification"),
        ([0, 1] * 5, "boolean", "classification"),
        ([0.25, 0.75] * 5, "number", "classification"),
        (list(range(10)) * 20, "number", "classification"),
        (list(range(25, 347)), "number", "regression"),
        (list(range(15)) * 2, "number", "regression"),
        ([0.5, 1.5, 2.5] * 9, "number", "regression"),
    ],
)
def test_task_follows_from_the_values(values, kind, task):
    assert decide(values, kind).task == task


def test_labels_keep_their_spelling():
    assert decide([1, 0] * 9, "boolean").classes == (False, True)
    assert decide([3, 1] * 9).classes == (1, 3)
    assert decide([0.5, 1] * 9).classes == (0.5, 1)


def test_the_user_may_choose():
    assert decide(list(range(10)) * 20, task="regression").task == "regression"
    assert len(decide(list(range(40)), task="classification").classes) == 40


@pytest.mark.parametrize(
    ("values", "kind", "task", "words"),
    [
        (["a"] * 5, "text", None, "two classes"),
        (["a", "b"], "text", "regression", "is text"),
        ([1.5] * 5, "number", "regression", "nothing varies"),
        ([1.0, np.inf], "number", None, "1 infinite value"),
        ([f"k{i}" for i in range(1001)], "text", None, "1001 classes"),
        ([1.0, 2.0], "date", None, "is a date"),
    ],
)
def test_bad_targets_are_named(values, kind, task, words):
    with pytest.raises(DataError, match=words):
        decide(values, kind, task)


def test_encode_and_json():
    target = decide(["b", "a", "b"], "text")
    assert target.encode(np.array(["b", "a", "zz"], dtype=object)).tolist() == [1, 0, -1]
    assert Target.from_json(target.to_json()) == target
