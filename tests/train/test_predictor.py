"""A table that does not fit the model is refused by name; a folder that is no run as well."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slopewise.errors import DataError
from slopewise.train import fit, load


@pytest.fixture
def trained(mixed):
    return fit(mixed, "label", hidden=(4,), epochs=2).predictor


def test_a_renamed_column_is_named(trained, mixed):
    mixed["Size"] = mixed.pop("size")
    with pytest.raises(DataError, match=r"lacks .*`size` \(nearest: `Size`\)"):
        trained.predict(mixed)


def test_another_type_is_named(trained, mixed):
    with pytest.raises(DataError, match=r"`colour` is number.*trained on text"):
        trained.predict({**mixed, "colour": np.arange(150)})
    with pytest.raises(DataError, match="`size` is text"):
        trained.predict({**mixed, "size": np.array(["x"] * 150)})


def test_the_target_is_not_needed_and_order_of_columns_does_not_matter(trained, mixed):
    expected = trained.predict(mixed).probabilities
    mixed.pop("label")
    turned = dict(reversed(mixed.items()))
    np.testing.assert_array_equal(trained.predict(turned).probabilities, expected)


def test_unseen_categories_predict_and_are_counted(trained, mixed):
    mixed["colour"] = np.array(["violet"] * 149 + ["red"], dtype=object)
    found = trained.predict(mixed)
    assert [n.id for n in found.notices] == ["unseen_category"]
    assert found.notices[0].values["count"] == 149
    assert len(found.values) == 150


@pytest.mark.parametrize("name", ["size", "colour"])
def test_a_column_that_is_all_missing_may_be_of_any_type(trained, mixed, name):
    number = {**mixed, name: np.full(150, np.nan)}
    text = {**mixed, name: np.full(150, None, dtype=object)}
    np.testing.assert_array_equal(
        trained.predict(number).probabilities, trained.predict(text).probabilities
    )


def test_infinity_and_no_rows_are_named(trained, mixed):
    mixed["size"][3] = np.inf
    with pytest.raises(DataError, match=r"`size` has 1 infinite .* row 4"):
        trained.predict(mixed)
    with pytest.raises(DataError, match="no rows"):
        trained.predict({name: values[:0] for name, values in mixed.items()})


def test_folders_that_are_no_run(trained, tmp_path):
    with pytest.raises(DataError, match=r"no model\.json"):
        load(tmp_path)
    trained.save(tmp_path)
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text[:50])
    with pytest.raises(DataError, match="not the folder"):
        load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**json.loads(text), "format": 99}))
    with pytest.raises(DataError, match="version 99"):
        load(tmp_path)
    (tmp_path / "model.json").write_text(text)
    fit({"x": np.arange(50.0), "y": np.arange(50.0)}, "y", epochs=1).predictor.save(tmp_path)
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(DataError, match="differ in origin"):
        load(tmp_path)
