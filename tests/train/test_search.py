"""Candidates and the rule that chooses among them."""

from __future__ import annotations

import numpy as np
import pytest

from slopewise.errors import DataError
from slopewise.train.search import NetworkOptions, choose_batch, choose_plainest, list_recipes


def test_the_plainest_within_one_standard_error():
    generator = np.random.default_rng(0)
    base = generator.random(200)
    slightly = base - 0.001 + np.tile([-0.05, 0.05], 100)  # standard error 0.0035
    clearly = base - 0.2
    assert choose_plainest([base, slightly]) == 0
    assert choose_plainest([base, slightly, clearly]) == 2
    assert choose_plainest([None, base, base + 1]) == 1
    with pytest.raises(ValueError, match="every candidate"):
        choose_plainest([None, None])


def test_a_network_of_the_user_is_the_only_candidate():
    recipes = list_recipes(NetworkOptions(hidden=(8,), l2=0.5, lr=0.1), 4, 2, 1, 100, 0)
    assert len(recipes) == 1
    assert not recipes[0].architecture.has_path
    assert (recipes[0].l2, recipes[0].lr) == (0.5, 0.1)


def test_many_rows_mean_fewer_candidates():
    few = list_recipes(NetworkOptions(), 4, 2, 5, 1000, 0)
    many = list_recipes(NetworkOptions(), 4, 2, 1, 100_000, 0)
    assert len(few) > len(many) >= 2
    assert few[0].architecture.hidden == many[0].architecture.hidden == ()


def test_batch_is_a_power_of_two():
    for rows in (1, 50, 999, 10_000, 10_000_000):
        batch = choose_batch(rows)
        assert batch & (batch - 1) == 0
        assert batch >= 16


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": "64"}, "--hidden"),
        ({"hidden": (0,)}, "--hidden"),
        ({"activation": "swish"}, "--activation"),
        ({"norm": "group"}, "--norm"),
        ({"init": "zero"}, "--init"),
        ({"lr": 0.0}, "--lr"),
        ({"lr": float("nan")}, "--lr"),
        ({"l2": -1.0}, "--l2"),
        ({"epochs": 0}, "--epochs"),
        ({"patience": 0}, "--patience"),
        ({"batch": 0}, "--batch"),
        ({"optimizer": "lion"}, "--optimizer"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(DataError, match=words):
        NetworkOptions(**options).check()
