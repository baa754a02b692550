"""Splits depend on content and seed only; equal rows stay together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slopewise.errors import DataError
from slopewise.train.split import hash_rows, split_rows, split_time


def make_rows(rows: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(rows)
    words = np.array([None, "a", "b"], dtype=object)
    return {"x": generator.normal(size=rows), "w": words[generator.integers(0, 3, rows)]}


@given(st.permutations(range(60)), st.integers(0, 5), st.sampled_from([1, 3, 5]))
def test_order_of_rows_does_not_matter(order, seed, folds):
    columns = make_rows(60)
    classes = np.arange(60) % 3
    plain = split_rows(hash_rows(columns), classes, seed, 0.2, 0.2, folds)
    moved = {name: values[order] for name, values in columns.items()}
    other = split_rows(hash_rows(moved), classes[order], seed, 0.2, 0.2, folds)
    np.testing.assert_array_equal(other.fold, plain.fold[order])


@given(st.integers(0, 20), st.sampled_from([1, 5]))
def test_equal_rows_stay_together(seed, folds):
    columns = {name: np.tile(values, 3) for name, values in make_rows(40).items()}
    split = split_rows(hash_rows(columns), None, seed, 0.2, 0.2, folds)
    np.testing.assert_array_equal(split.fold[:40], split.fold[40:80])
    np.testing.assert_array_equal(split.fold[:40], split.fold[80:])


def test_few_kinds_of_rows_still_split():
    """Four kinds of rows, a hundred times each: whole kinds are tested."""
    hashes = hash_rows({"x": np.repeat(np.arange(4.0), 100)})
    for seed in range(10):
        split = split_rows(hashes, None, seed, 0.15, 0.15, 1)
        assert [len(split.train), len(split.validation), len(split.test)] == [200, 100, 100]
    with pytest.raises(DataError, match="of which 1 differ"):
        split_rows(np.zeros(400, np.uint64), None, 0, 0.15, 0.15, 1)


@given(st.integers(0, 50))
def test_shares_hold_in_every_class(seed):
    classes = np.array([0] * 100 + [1] * 20)
    split = split_rows(hash_rows(make_rows(120)), classes, seed, 0.2, 0.1, 1)
    assert np.bincount(classes[split.test]).tolist() == [20, 4]
    assert np.bincount(classes[split.validation]).tolist() == [10, 2]
    assert len(split.train) + len(split.validation) + len(split.test) == 120


def test_folds_serve_both_ways():
    split = split_rows(hash_rows(make_rows(101)), None, 0, 0.2, 0.1, 5)
    members = split.members()
    assert sorted(len(held) for _, held in members) == [16, 16, 16, 16, 17]
    for fit, held in members:
        assert not set(fit) & set(held)
        assert not set(split.test) & (set(fit) | set(held))
        assert len(fit) + len(held) == len(split.train) == len(split.validation)
    assert set(split.sides) == {"test", *(f"fold {k}" for k in range(1, 6))}


def test_another_seed_is_another_split():
    hashes = hash_rows(make_rows(100))
    splits = [split_rows(hashes, None, seed, 0.2, 0.1, 1).fold for seed in (0, 1)]
    assert np.any(splits[0] != splits[1])


def test_hash_tells_values_and_names_apart():
    x = np.array([0.0, -0.0, np.nan, -np.nan, 1.0])
    hashes = hash_rows({"x": x})
    assert hashes[0] == hashes[1] and hashes[2] == hashes[3]
    assert len(set(hashes.tolist())) == 3
    assert hash_rows({"a": x[:1], "b": x[4:]}) == hash_rows({"b": x[4:], "a": x[:1]})
    assert hash_rows({"a": x[:1], "b": x[4:]}) != hash_rows({"a": x[4:], "b": x[:1]})


def test_hash_does_not_change_between_versions():
    """Splits are part of a result: the same table must split alike in later versions."""
    columns = {"x": np.array([1.5, np.nan]), "w": np.array(["a", None], dtype=object)}
    assert [hex(int(h)) for h in hash_rows(columns)] == HASHES


HASHES = ["0x12a925bf122cc1ec", "0x8bc28f91abadaebc"]


def test_time_tests_the_last_rows():
    times = np.repeat(np.arange(20.0), 5)
    split = split_time(times, 0.2, 0.1)
    assert times[split.test].min() > times[split.validation].max() > times[split.train].max()
    assert (len(split.validation), len(split.test)) == (10, 20)


@pytest.mark.parametrize("folds", [1, 5])
def test_too_few_rows_are_named(folds):
    with pytest.raises(DataError, match="too few"):
        split_rows(hash_rows(make_rows(3)), None, 0, 0.2, 0.2, folds)
