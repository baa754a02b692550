"""`predict`: formats, copied columns, what is counted, and what is refused."""

from __future__ import annotations

import csv
import gzip
import io
import os

import pytest

QUICK = ["--hidden", "4", "--epochs", "2", "--quiet"]


@pytest.fixture
def trained(call):
    assert call("train", "t.csv", "--target", "c", "--out", "run", *QUICK)[0] == 0
    return "run"


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_gzip_and_screen_agree(call, trained, place):
    code, screen, _ = call("predict", trained, "t.csv")
    assert code == 0
    rows = read(screen)
    assert list(rows[0]) == ["row", "prediction", "probability of no", "probability of yes"]
    assert len(rows) == 80
    assert {row["prediction"] for row in rows} <= {"yes", "no"}
    total = float(rows[0]["probability of no"]) + float(rows[0]["probability of yes"])
    assert total == pytest.approx(1)
    code, out, _ = call("predict", trained, "t.csv", "--out", "p.csv")
    assert "80 predictions: p.csv" in out
    assert (place / "p.csv").read_text() == screen
    call("predict", trained, "t.csv", "--out", "p.csv.gz")
    assert gzip.decompress((place / "p.csv.gz").read_bytes()).decode() == screen


def test_parquet_and_copied_columns(call, trained):
    import duckdb

    code, _, _ = call(
        "predict", trained, "t.csv", "--out", "p.parquet", "--keep", "w", "--keep", "x"
    )
    assert code == 0
    found = duckdb.sql("SELECT * FROM 'p.parquet' ORDER BY row")
    assert found.columns[:4] == ["row", "w", "x", "prediction"]
    table = duckdb.sql("SELECT w FROM 't.csv'").fetchall()
    assert [row[1] for row in found.fetchall()] == [row[0] for row in table]


def test_a_number_is_predicted_in_its_units(call, place):
    call("train", "t.csv", "--target", "y", "--out", "run", "--hidden", "none", "--quiet")
    _, out, _ = call("predict", "run", "t.csv", "--keep", "y")
    for row in read(out):
        assert float(row["prediction"]) == pytest.approx(float(row["y"]), abs=0.5)


def test_unseen_categories_are_counted(call, trained, place):
    text = (place / "t.csv").read_text().replace(",b,", ",violet,")
    (place / "new.csv").write_text(text)
    code, out, err = call("predict", trained, "new.csv")
    assert code == 0
    assert len(read(out)) == 80
    assert "`w`: 27 value(s) not seen in training predict as 'unknown' (violet)" in err


def test_what_is_refused(call, trained, place):
    (place / "other.csv").write_text("X,w\n1,a\n")
    (place / "kind.csv").write_text("x,w,y\nlong,a,1\nwide,b,2\n")
    (place / "empty.csv").write_text("x,w,y\n")
    before = sorted(os.listdir(place))
    for words, said in [
        (["run", "other.csv"], "`x` (nearest: `X`), `y`"),
        (["run", "kind.csv"], "`x` is text, and the model was trained on number"),
        (["run", "empty.csv"], "no rows"),
        (["run", "none.csv"], "no file"),
        (["nothing", "t.csv"], "has no model.json"),
        (["run", "t.csv", "--out", "p.xlsx"], ".csv, .csv.gz or .parquet"),
        (["run", "t.csv", "--out", "t.csv"], "the table itself"),
        (["run", "t.csv", "--out", "no/p.csv"], "cannot write"),
        (["run", "t.csv", "--keep", "zz"], "no column `zz`"),
    ]:
        code, out, err = call("predict", *words)
        assert (code, out) == (2, "")
        assert said in err
        assert err.count("\n") == 1
        assert sorted(os.listdir(place)) == before
