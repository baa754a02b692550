"""Preparing a table: pieces, memory, missing targets, groups, times, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from slopewise.errors import DataError
from slopewise.train import dataset
from slopewise.train.dataset import DataOptions, prepare_dataset
from slopewise.train.tables import read_arrays


def prepare(columns, target="y", **options):
    return prepare_dataset(read_arrays(columns), target, DataOptions(**options))


def test_pieces_and_files_change_nothing(mixed, monkeypatch):
    plain = prepare(mixed, "label")
    monkeypatch.setattr(dataset, "PIECE", 7)
    other = prepare(mixed, "label", memory=1)
    assert isinstance(other.matrix, np.memmap)
    np.testing.assert_allclose(other.matrix, plain.matrix, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(other.split.fold, plain.split.fold)
    assert other.fingerprint == plain.fingerprint


def test_the_encoding_sees_training_rows_only(numbers):
    data = prepare(numbers, folds=1)
    fitted = numbers["x"][data.positions[data.split.train]]
    assert data.encoding.columns[0].mean == pytest.approx(fitted.mean())
    assert data.mean == pytest.approx(numbers["y"][data.positions[data.split.train]].mean())


def test_rows_without_a_target(numbers):
    numbers["y"][::4] = np.nan
    with pytest.raises(DataError, match=r"missing in 30 of 120 rows.*--drop-missing-target"):
        prepare(numbers)
    data = prepare(numbers, drop_missing_target=True)
    assert data.rows == 90
    np.testing.assert_array_equal(data.truth, numbers["y"][data.positions])
    np.testing.assert_allclose(
        data.matrix[:, 0] * data.encoding.columns[0].scale + data.encoding.columns[0].mean,
        numbers["x"][data.positions],
        atol=1e-5,
    )


@pytest.mark.parametrize("folds", [1, 4])
def test_groups_stay_together(numbers, folds):
    group = np.arange(120) // 6
    data = prepare({**numbers, "g": group}, group="g", folds=folds)
    assert "g" not in data.encoding.names
    for g in range(20):
        assert len(set(data.split.fold[group == g])) == 1


def test_the_last_rows_are_tested(numbers):
    time = np.datetime64("2020-01-01") + np.random.default_rng(0).permutation(120)
    data = prepare({**numbers, "t": time}, time="t")
    assert data.split.folds == 1
    assert time[data.split.test].min() > time[data.split.validation].max()


def test_equal_features_stay_together_whatever_the_target():
    x = np.tile(np.random.default_rng(0).normal(size=50), 3)
    label = np.random.default_rng(1).choice(["a", "b"], 150).astype(object)
    for folds in (1, 5):
        fold = prepare({"x": x, "y": label}, folds=folds).split.fold
        np.testing.assert_array_equal(fold[:50], fold[50:100])
        np.testing.assert_array_equal(fold[:50], fold[100:])


def test_coarse_features_are_split_row_by_row():
    """Three kinds of rows, 200 times each: every kind is on every side, in any order of rows."""
    generator = np.random.default_rng(0)
    x = np.repeat(np.arange(3.0), 200)
    label = np.where(generator.random(600) < 0.3, "a", "b").astype(object)
    order = generator.permutation(600)
    sides = []
    for place in (np.arange(600), order):
        data = prepare({"x": x[place], "y": label[place]})
        test = data.split.test
        sides.append(sorted(zip(x[place][test], label[place][test], strict=True)))
        assert set(x[place][test]) == {0.0, 1.0, 2.0}
        assert abs(len(test) - 90) <= 2
    assert sides[0] == sides[1]


def test_small_tables_get_a_committee_and_large_ones_do_not(numbers):
    assert prepare(numbers).split.folds == 5
    rows = np.arange(6000.0)
    assert prepare({"x": rows, "y": np.sin(rows)}).split.folds == 1


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"target": "Y"}, r"no column `Y`.*nearest: `y`"),
        ({}, {"drop": ("nope",)}, "no column `nope`"),
        ({}, {"drop": ("y",)}, "cannot also be dropped"),
        ({}, {"drop": ("x", "z")}, "no usable column"),
        ({"x": np.r_[np.inf, np.zeros(119)]}, {}, "`x` has 1 infinite"),
        ({"y": np.full(120, np.nan)}, {}, "missing in every row"),
        ({"y": np.r_[np.inf, np.arange(119.0)]}, {}, "target `y` has 1 infinite"),
        ({"y": np.ones(120)}, {}, "only the value 1"),
        ({"x": np.full(120, np.nan), "z": np.ones(120)}, {}, "no usable column"),
        ({}, {"test": 1.5}, "--test must lie"),
        ({}, {"validation": 0.0}, "--validation must lie"),
        ({}, {"test": 0.6, "validation": 0.6}, "together below 1"),
        ({}, {"folds": 0}, "--folds"),
        ({}, {"group": "x", "time": "z"}, "together"),
        ({"g": np.array(["a", "b"] * 60, dtype=object)}, {"group": "g"}, "2 group"),
        ({"t": np.array(["a", "b"] * 60, dtype=object)}, {"time": "t"}, "is text"),
        ({"t": np.r_[np.nan, np.arange(119.0)]}, {"time": "t"}, "missing in 1 row"),
    ],
)
def test_what_is_refused_is_named(numbers, change, options, words):
    with pytest.raises(DataError, match=words) as caught:
        prepare({**numbers, **change}, **options)
    assert "\n" not in str(caught.value)


def test_too_many_categories():
    rows = 12_000
    columns = {"k": np.array([f"k{i}" for i in range(rows)], dtype=object), "y": np.arange(rows)}
    with pytest.raises(DataError, match=r"`k` is text with 12000 .*--drop k"):
        prepare(columns)
    columns["k"] = np.array([str(i / 7) for i in range(rows - 1)] + ["many"], dtype=object)
    with pytest.raises(DataError, match="nearly all are numbers, but not for example 'many'"):
        prepare(columns)


def test_an_empty_table():
    with pytest.raises(DataError, match="no rows"):
        prepare({"x": [], "y": []})
