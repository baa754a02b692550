"""Every source gives the same table: files through DuckDB, frames through narwhals, arrays."""

from __future__ import annotations

import gzip
import importlib

import numpy as np
import pandas
import pytest

from slopewise.errors import DataError
from slopewise.train import files
from slopewise.train.files import read_file
from slopewise.train.frames import open_table
from slopewise.train.tables import Table, find_column, read_arrays

KINDS = {"size": "number", "colour": "text", "day": "date", "label": "text"}


def read_all(table: Table) -> dict[str, np.ndarray]:
    return table.read([column.name for column in table.columns], 0, table.rows)


def assert_same(left: Table, right: Table) -> None:
    assert [(c.name, c.kind) for c in left.columns] == [(c.name, c.kind) for c in right.columns]
    for name, values in read_all(left).items():
        np.testing.assert_array_equal(values, read_all(right)[name])


def make_frame(kind: str, columns: dict) -> object:
    library = importlib.import_module(kind)
    return library.table(columns) if kind == "pyarrow" else library.DataFrame(columns)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_frames_equal_arrays(kind, mixed):
    table = read_arrays(mixed)
    assert {c.name: c.kind for c in table.columns} == KINDS
    assert_same(open_table(make_frame(kind, mixed), "label")[0], table)


def test_csv_gzip_and_parquet_equal_arrays(tmp_path, mixed, csv_of):
    plain = csv_of(tmp_path / "t.csv", mixed)
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    parquet = tmp_path / "t.parquet"
    make_frame("pandas", mixed).to_parquet(parquet)
    for path in (plain, packed, parquet):
        assert_same(read_file(path), read_arrays(mixed))


def test_a_file_held_on_disk_reads_alike(tmp_path, mixed, csv_of, monkeypatch):
    path = csv_of(tmp_path / "t.csv", mixed)
    in_memory = read_all(read_file(path))
    monkeypatch.setattr(files, "DISK_BYTES", 0)
    table = read_file(path)
    for name, values in read_all(table).items():
        np.testing.assert_array_equal(values, in_memory[name])
    table.close()


def test_rows_keep_their_positions(tmp_path, numbers, csv_of):
    table = read_file(csv_of(tmp_path / "t.csv", numbers))
    whole = read_all(table)
    piece = table.read(["y", "x"], 30, 40)
    assert list(piece) == ["y", "x"]
    np.testing.assert_array_equal(piece["x"], whole["x"][30:40])


def test_sql_selects_and_joins(tmp_path, numbers, csv_of):
    path = csv_of(tmp_path / "t.csv", {"k": np.arange(4), "x": [1, 2, 3, 4]})
    other = csv_of(tmp_path / "o.csv", {"k": [1, 3], "w": [10, 30]})
    table = read_file(path, f"SELECT x, w FROM data JOIN '{other}' USING (k) ORDER BY k")
    assert read_all(table)["w"].tolist() == [10, 30]


def test_a_late_value_widens_the_type(tmp_path, csv_of):
    values = [str(i) for i in range(30_000)] + ["2.5"]
    path = csv_of(tmp_path / "t.csv", {"x": values})
    table = read_file(path)
    assert table.columns[0].kind == "number"
    assert table.read(["x"], 30_000, 30_001)["x"].tolist() == [2.5]


def test_a_late_word_makes_text_in_a_large_file(tmp_path, csv_of, monkeypatch):
    values = [str(i) for i in range(250_000)] + ["many"]
    path = csv_of(tmp_path / "t.csv", {"x": values})
    monkeypatch.setattr(files, "DISK_BYTES", 0)
    table = read_file(path)
    assert (table.columns[0].kind, table.rows) == ("text", 250_001)
    table.close()


def test_words_of_truth(tmp_path, csv_of):
    path = csv_of(tmp_path / "t.csv", {"a": ["true", "FALSE", None], "b": ["yes", "no", "no"]})
    table = read_file(path)
    assert [c.kind for c in table.columns] == ["boolean", "text"]
    assert read_all(table)["a"][:2].tolist() == [1, 0]


def test_infinity_in_the_first_row_is_a_number(tmp_path, csv_of):
    table = read_file(
        csv_of(tmp_path / "t.csv", {"x": ["-inf", 1.5, "NA"], "w": ["inf", "a", "b"]})
    )
    assert [c.kind for c in table.columns] == ["number", "text"]
    assert read_all(table)["x"][0] == -np.inf


def test_a_quoted_name_and_a_pattern_in_the_path(tmp_path):
    path = tmp_path / "it's [1].csv"
    path.write_text('"a ""b""",y\n1,2\n', encoding="utf-8")
    assert read_all(read_file(path))['a "b"'].tolist() == [1]


def test_array_forms():
    matrix = np.arange(12.0).reshape(4, 3)
    by_number, target = open_table(matrix, 2)
    assert (target, len(by_number.columns)) == ("x3", 3)
    pair, target = open_table((matrix, [0, 1, 0, 1]))
    assert (target, len(pair.columns)) == ("target", 4)
    beside, target = open_table({"target": [1.0, 2.0]}, np.array([0.0, 1.0]))
    assert target == "target_"
    assert beside.rows == 2


def test_objects_booleans_and_zones():
    frame = pandas.DataFrame(
        {
            "flag": pandas.array([True, None, False], dtype="boolean"),
            "count": pandas.array([1, None, 3], dtype="Int64"),
            "when": pandas.to_datetime(["2024-01-01", None, "1970-01-01"]).tz_localize(
                "Asia/Seoul"
            ),
        }
    )
    table, _ = open_table(frame)
    assert [c.kind for c in table.columns] == ["boolean", "number", "date"]
    values = read_all(table)
    assert values["flag"][0] == 1 and np.isnan(values["flag"][1])
    assert values["when"][2] == -9 * 3600


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.csv", None, "no file"),
        ("t.xlsx", b"zz", "format"),
        ("t.csv.gz", b"no gzip", "GZIP"),
        ("t.parquet", b"PAR1zzzz", "Parquet"),
        ("t.csv", bytes(range(256)) * 20, "no table of text|cannot read"),
        ("t.csv", "x,w\n1,가\n".encode("cp949"), "save it as UTF-8"),
        ("t.csv", "x,w\n1,a\n".encode("utf-16"), "save it as UTF-8"),
        ("t.csv", b"a,b\n" + b"1,2\n" * 250_000 + b"1,2,3\n", "line 250002 has 3 fields"),
        ("r.csv", b"a,b,y\n" + b"1,2,3\n" * 50 + b"1,2,3,4\n", "line 52 has 4 fields"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "sql", ["DROP TABLE t", "SELECT 1; SELECT 2", "SELECT nothing FROM data", "SELEC"]
)
def test_bad_sql_is_named(tmp_path, numbers, csv_of, sql):
    with pytest.raises(DataError, match="--sql"):
        read_file(csv_of(tmp_path / "t.csv", numbers), sql)


def test_bad_arrays_are_named():
    with pytest.raises(DataError, match="shape"):
        open_table(np.zeros((2, 2, 2)), 0)
    with pytest.raises(DataError, match="3 values for 2 rows"):
        open_table(np.zeros((2, 2)), [0, 1, 2])
    with pytest.raises(DataError, match="int"):
        open_table(3, "y")
    with pytest.raises(DataError, match="nearest: `Size`"):
        find_column(read_arrays({"Size": [1]}), "size")


def test_a_nested_column_is_refused_when_it_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x\n1\n", encoding="utf-8")
    table = read_file(path, "SELECT [x] AS nested, x FROM data")
    assert table.read(["x"], 0, 1)["x"].tolist() == [1]
    with pytest.raises(DataError, match="--drop nested"):
        table.read(["nested"], 0, 1)
