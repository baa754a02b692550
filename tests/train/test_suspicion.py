"""Ids and leaks are warned of; ordinary columns are not."""

from __future__ import annotations

import numpy as np
import pytest

from slopewise.examples import EXAMPLES
from slopewise.train.dataset import DataOptions, prepare_dataset
from slopewise.train.files import read_file
from slopewise.train.tables import read_arrays


def find(columns: dict, target: str = "y") -> dict[str, str]:
    data = prepare_dataset(read_arrays(columns), target, DataOptions())
    return {n.values["column"]: n.id for n in data.notices if "column" in n.values}


def test_ids_and_leaks():
    generator = np.random.default_rng(0)
    y = generator.normal(size=200)
    labels = np.where(y > 0, "high", "low").astype(object)
    shuffled = generator.permutation(200)
    columns = {
        "x": y + generator.normal(size=200),
        "number": np.arange(200),
        "customer_id": shuffled * 7 + generator.integers(0, 7, 200),
        "name": np.array([f"n{i}" for i in shuffled], dtype=object),
        "copy": 3 * y - 1,
        "group": np.where(y > 0, "g1", "g2").astype(object),
        "y": y,
    }
    found = find(columns)
    assert found == {
        "number": "looks_like_id",
        "customer_id": "looks_like_id",
        "name": "left_out_id",
        "copy": "looks_like_leak",
    }
    found = find({**columns, "y": labels})
    assert found["copy"] == found["group"] == "looks_like_leak"
    assert "x" not in found


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_shipped_tables_raise_no_suspicion(name):
    example = EXAMPLES[name]
    data = prepare_dataset(read_file(example.path), example.target, DataOptions())
    assert [n.text for n in data.notices if n.id.startswith("looks_like")] == []
