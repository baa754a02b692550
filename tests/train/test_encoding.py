"""Encodings are fitted on training rows, treat each row by itself, and go to JSON and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slopewise.errors import DataError
from slopewise.train.encoding import DAY, YEAR, Applied, ColumnEncoding, Encoding, EncodingFit
from slopewise.train.tables import Column

FLOATS = hnp.arrays(
    np.float64,
    st.integers(2, 40),
    elements=st.floats(-1e6, 1e6) | st.just(float("nan")) | st.integers(-5, 5).map(float),
)
WORDS = st.lists(st.sampled_from(["a", "b", "ä\n", "", None]), min_size=2, max_size=40)


def fit_columns(columns: dict, kinds: dict, pieces: int = 1) -> tuple[Encoding, list]:
    fit = EncodingFit([Column(name, kinds[name]) for name in columns])
    rows = len(next(iter(columns.values())))
    for place in np.array_split(np.arange(rows), pieces):
        fit.add({name: values[place] for name, values in columns.items()})
    return fit.finish()


@given(FLOATS)
def test_numbers_are_standardised(values):
    encoding, notices = fit_columns({"x": values}, {"x": "number"})
    present = values[~np.isnan(values)]
    if not len(present) or (len(set(present)) == 1 and len(present) == len(values)):
        assert not encoding.columns
        assert notices
        return
    matrix = encoding.apply({"x": values})
    assert np.all(np.isfinite(matrix))
    assert np.all(matrix[np.isnan(values), 0] == 0)
    assert abs(matrix[~np.isnan(values), 0].mean()) < 1e-3
    if matrix.shape[1] == 2:
        np.testing.assert_array_equal(matrix[:, 1] == 1, np.isnan(values))


@given(FLOATS, WORDS, st.integers(1, 5))
def test_pieces_and_json_change_nothing(values, words, pieces):
    rows = min(len(values), len(words))
    columns = {"x": values[:rows], "w": np.array(words[:rows], dtype=object)}
    kinds = {"x": "number", "w": "text"}
    whole, _ = fit_columns(columns, kinds)
    again = Encoding.from_json(json.loads(json.dumps(whole.to_json())))
    assert again == whole
    parts, _ = fit_columns(columns, kinds, pieces)
    assert parts.features == whole.features
    if whole.columns:
        np.testing.assert_allclose(parts.apply(columns), whole.apply(columns), rtol=1e-4, atol=1e-5)
        row = {name: column[:1] for name, column in columns.items()}
        np.testing.assert_array_equal(whole.apply(row)[0], whole.apply(columns)[0])


def test_text_is_one_hot_and_unknown_is_counted():
    words = np.array(["b", "a", None, "a"], dtype=object)
    encoding, _ = fit_columns({"w": words}, {"w": "text"})
    assert encoding.features == ["w=a", "w=b", "w missing"]
    applied = Applied()
    new = np.array(["zz", "a", None, "zz", "q"], dtype=object)
    assert encoding.apply({"w": new}, applied).tolist() == [
        [0, 0, 0],
        [1, 0, 0],
        [0, 0, 1],
        [0, 0, 0],
        [0, 0, 0],
    ]
    assert applied.unseen == {"w": {"zz": 2, "q": 1}}
    assert "3 value(s) not seen" in applied.notices[0].text


def test_newly_missing_values_are_counted():
    encoding = Encoding(
        (ColumnEncoding("x", "number", 2.0), ColumnEncoding("w", "text", categories=("a",)))
    )
    applied = Applied()
    piece = {"x": np.array([np.nan, 1.0]), "w": np.array([None, None], dtype=object)}
    assert encoding.apply(piece, applied)[:, 0].tolist() == [0.0, -1.0]
    assert applied.missing == {"x": 1, "w": 2}
    assert len(applied.notices) == 2


def test_dates_get_cycles_where_they_span_them():
    def features(days):
        seconds = np.asarray(days) * DAY
        return fit_columns({"d": seconds}, {"d": "date"})[0]

    assert features(np.arange(30.0)).features == ["d"]
    assert len(features(np.arange(0.0, 900, 7)).features) == 3
    hourly = features(np.arange(0, 3, 1 / 24))
    assert hourly.columns[0].cycles == (DAY,)
    noon = hourly.apply({"d": np.array([0.5 * DAY])})[0]
    np.testing.assert_allclose(noon[1:], [0, -1], atol=1e-6)
    year = ColumnEncoding("d", "date", cycles=(YEAR,))
    assert Encoding((year,)).apply({"d": np.array([np.nan])}).tolist() == [[0, 0, 0]]


def test_columns_that_say_nothing_are_left_out():
    many = np.array([f"id{i}" for i in range(30)], dtype=object)
    columns = {"c": np.ones(30), "n": np.full(30, np.nan), "t": many}
    encoding, notices = fit_columns(columns, {"c": "number", "n": "number", "t": "text"})
    assert not encoding.columns
    assert [n.id for n in notices] == ["constant", "all_missing", "left_out_id"]


def test_huge_values_stay_finite():
    values = np.array([1e308, -1e308, 1e308])
    encoding, _ = fit_columns({"x": values}, {"x": "number"})
    assert np.all(np.isfinite(encoding.apply({"x": values})))


def test_infinity_is_named():
    fit = EncodingFit([Column("x", "number")])
    with pytest.raises(DataError, match=r"`x` has 2 infinite value\(s\), first in row 12"):
        fit.add({"x": np.array([0, np.inf, -np.inf])}, start=10)
