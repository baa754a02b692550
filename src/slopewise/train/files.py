"""Tables in files: CSV (also .gz), TSV and Parquet, read through DuckDB.

Invariant: a file (or a query over it) is evaluated once, into a DuckDB table that spills to disk,
so rows keep their positions and tables larger than memory can be read in pieces; every failure of
DuckDB becomes one line. It is separate so that DuckDB is known in one place.
"""

import contextlib
import csv
import glob
import gzip
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slopewise.train.faults import Fault, first_line
from slopewise.train.tables import Column, Kind

MISSING_WORDS = (
    "", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>",
)  # fmt: skip
"""Words that mean a missing value in a CSV file: those that pandas takes, too."""
DISK_BYTES = 64 * 2**20
"""Files above this size are held by DuckDB in a temporary file instead of in memory."""
SNIFFED_TYPES = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "DOUBLE", "VARCHAR")
NUMBER_TYPES = (
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
    "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BIGNUM",
)  # fmt: skip


class DuckTable:
    """A table inside a DuckDB connection, read by row position.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds the table `t`.
    source : str
        Where it comes from, for people.
    folder : str
        Temporary files, which go with the table.
    sniffed : bool
        Whether types are guesses from text, so that words may be looked at again.
    """

    def __init__(self, connection: Any, source: str, folder: str, sniffed: bool) -> None:
        self.source = source
        self._connection = connection
        self._finalizer = weakref.finalize(self, _close, connection, folder)
        self._select: dict[str, str] = {}
        columns: list[Column] = []
        described: list[tuple[str, str]] = [
            row[:2] for row in connection.execute("DESCRIBE t").fetchall()
        ]
        words = [name for name, kind in described if kind == "VARCHAR"] if sniffed else []
        better = _sniff_words(connection, words)
        for name, type_name in described:
            quoted = _quote(name)
            type_name = better.get(name, type_name)
            if any(name.lower() == column.name.lower() for column in columns):
                raise Fault("same_name", column=name)
            kind, expression = _read_duck_type(type_name, quoted)
            columns.append(Column(name, kind))
            self._select[name] = f"{expression} AS {quoted}"
        self._types = {name: kind for name, kind, *_ in ((c.name, c.kind) for c in columns)}
        self.columns = tuple(columns)
        self.rows = int(connection.execute("SELECT count(*) FROM t").fetchone()[0])

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, np.ndarray]:
        """Values of the rows from `start` up to `stop`.

        Parameters
        ----------
        names : sequence of str
            The columns wanted.
        start, stop : int
            Row positions.

        Returns
        -------
        dict of str to ndarray, each of shape (stop - start,)

        Raises
        ------
        DataError
            If a column has a type that cannot become a number.
        """
        chosen = list(dict.fromkeys(names))
        if not chosen:
            return {}
        for name in chosen:
            if self._select[name].startswith("!"):
                kind = self._select[name][1:].partition(" AS ")[0]
                raise Fault("unreadable_type", column=name, type=kind)
        query = (
            f"SELECT {', '.join(self._select[name] for name in chosen)} FROM t "
            f"WHERE rowid >= {int(start)} AND rowid < {int(stop)} ORDER BY rowid"
        )
        found = self._connection.execute(query).fetchnumpy()
        result: dict[str, np.ndarray] = {}
        for name, values in zip(chosen, found.values(), strict=True):
            missing = np.ma.getmaskarray(values)
            plain = np.ma.getdata(values)
            if self._types[name] == "text":
                result[name] = _put_none(plain.astype(object), missing)
            else:
                result[name] = np.where(missing, np.nan, plain.astype(np.float64))
        return result

    def close(self) -> None:
        """Free the connection and its temporary files; this also happens by itself."""
        self._finalizer()


def _close(connection: Any, folder: str) -> None:
    """Close a connection and take its temporary files away."""
    connection.close()
    shutil.rmtree(folder, ignore_errors=True)


def _put_none(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The values, with None where they are missing."""
    values[missing] = None
    return values


def _quote(name: str) -> str:
    """A column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _sniff_words(connection: Any, names: list[str]) -> dict[str, str]:
    """Text columns that hold only true and false, or only numbers (the sniffer misses inf)."""
    if not names:
        return {}
    tests = [
        f"bool_and(lower({_quote(name)}) IN ('true', 'false')), "
        f"bool_and(TRY_CAST({_quote(name)} AS DOUBLE) IS NOT NULL) "
        f"FILTER ({_quote(name)} IS NOT NULL)"
        for name in names
    ]
    found = connection.execute(f"SELECT {', '.join(tests)} FROM t").fetchone()
    better: dict[str, str] = {}
    for place, name in enumerate(names):
        truths, numbers = found[2 * place : 2 * place + 2]
        if truths or numbers:
            better[name] = "BOOLEAN" if truths else "DOUBLE"
    return better


def _read_duck_type(type_name: str, quoted: str) -> tuple[Kind, str]:
    """The kind of a DuckDB type and the expression that converts it ('!...': it cannot)."""
    base = type_name.partition("(")[0].strip()
    if type_name.endswith("]"):
        return "text", "!" + type_name
    if base in NUMBER_TYPES:
        return "number", f"CAST({quoted} AS DOUBLE)"
    if base == "BOOLEAN":
        return "boolean", f"CAST(CAST({quoted} AS BOOLEAN) AS DOUBLE)"
    if base.startswith(("DATE", "TIME", "INTERVAL")):
        return "date", f"CAST(epoch({quoted}) AS DOUBLE)"
    if base in ("VARCHAR", "UUID", "ENUM"):
        return "text", f"CAST({quoted} AS VARCHAR)"
    if base in ('"NULL"', "NULL"):
        return "number", f"CAST({quoted} AS DOUBLE)"
    return "text", "!" + type_name


def read_file(path: str | os.PathLike[str], sql: str | None = None) -> DuckTable:
    """Read a CSV (also .gz), TSV or Parquet file through DuckDB.

    Parameters
    ----------
    path : str or path
        The file. Types are found by DuckDB's sniffer.
    sql : str, optional
        One SELECT statement over the table `data`; it may join other files by name.

    Returns
    -------
    DuckTable
        Its rows keep the file's order; with `sql`, the order of one evaluation of the query.

    Raises
    ------
    DataError
        If the file does not exist, cannot be parsed, or the query fails.
    """
    import duckdb

    place = Path(path)
    if not place.is_file():
        raise Fault("no_such_file", path=place)
    suffixes = [suffix.lower() for suffix in place.suffixes]
    literal = "'" + glob.escape(str(place)).replace("'", "''") + "'"
    if suffixes[-1:] in ([".parquet"], [".pq"]):
        scan = f"read_parquet({literal})"
    elif suffixes[-1:] in ([".csv"], [".tsv"], [".txt"], [".data"]) or suffixes[-1:] == [".gz"]:
        scan = _write_scan(place, literal)
    else:
        raise Fault("unknown_format", path=place)
    folder = tempfile.mkdtemp(prefix="slopewise-")
    database = ":memory:"
    if place.stat().st_size > DISK_BYTES:
        database = os.path.join(folder, "table.duckdb")
    connection = duckdb.connect(
        database, config={"temp_directory": folder, "autoinstall_known_extensions": False}
    )
    try:
        _fill_table(connection, place, scan, sql)
        sniffed = scan.startswith("read_csv")
        table = DuckTable(connection, place.name, folder, sniffed)
        if sql is None and len(table.columns) == 1 and sniffed:
            _check_fields(place)
        return table
    except BaseException:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_scan(path: Path, literal: str) -> str:
    """The call that reads a CSV file, which must hold text.

    Whole numbers are read as DOUBLE, since a later 2.5 would be rounded to fit a BIGINT. Words such
    as yes and no stay words. Nothing is skipped, since the sniffer else takes lines with another
    number of fields for a preamble and drops them.
    """
    with open(path, "rb") as handle:
        head = handle.read(4096)
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise Fault("not_utf8", path=path)
        if b"\0" in head and path.suffix.lower() != ".gz":
            raise Fault("not_text", path=path)
    words = ", ".join(f"'{word}'" for word in MISSING_WORDS)
    types = ", ".join(f"'{name}'" for name in SNIFFED_TYPES)
    size = -1 if path.stat().st_size <= DISK_BYTES else 200_000
    return (
        f"read_csv({literal}, nullstr=[{words}], auto_type_candidates=[{types}], skip=0, "
        f"sample_size={size})"
    )


def _explain(error: BaseException) -> str:
    """DuckDB's reason in one line; for a CSV error the line's number and what is wrong there."""
    head = first_line(error)
    if not head.startswith("CSV Error on Line"):
        return head
    others = [line for line in str(error).splitlines()[1:] if line.strip()]
    cause = next((line for line in others if not line.startswith("Original Line")), "")
    return f"{head.removeprefix('CSV Error on ').lower()}: {cause}"[:200]


def _check_fields(path: Path) -> None:
    """Raise if the lines of a file differ in their fields, naming the first that does."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8", errors="replace", newline="") as handle:
        header = handle.readline()
        handle.seek(0)
        separators = [mark for mark in ",;\t|" if mark in header]
        if not separators:
            return
        counts = (len(fields) for fields in csv.reader(handle, delimiter=separators[0]))
        expected = next(counts, 0)
        for line, found in enumerate(counts, 2):
            if found not in (0, expected):
                raise Fault("ragged_file", path=path, line=line, found=found, expected=expected)


def _fill_table(connection: Any, place: Path, scan: str, sql: str | None) -> None:
    """Evaluate the scan (and the query over it) once, into the table `t`."""
    import duckdb

    def create(text: str) -> None:
        if sql is None:
            connection.execute(f"CREATE TABLE t AS SELECT * FROM {text}")
            return
        connection.execute(f"CREATE OR REPLACE VIEW data AS SELECT * FROM {text}")
        connection.execute(f"CREATE TABLE t AS {sql.strip().rstrip(';')}")

    if sql is not None:
        try:
            statements = duckdb.extract_statements(sql)
        except duckdb.Error as error:
            raise Fault("bad_sql", reason=first_line(error)) from None
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise Fault("sql_not_select")
    try:
        try:
            create(scan)
        except (duckdb.ConversionException, duckdb.InvalidInputException):
            if not scan.startswith("read_csv"):
                raise
            # The sniffer looks at the first rows only; a later value may need a wider type.
            create(scan.replace("sample_size=200000", "sample_size=-1"))
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        if sql is None:
            raise Fault("broken_file", path=place, reason=first_line(error)) from None
        raise Fault("bad_sql", reason=first_line(error)) from None
    except (duckdb.Error, UnicodeDecodeError) as error:
        if "Invalid unicode" in str(error) or isinstance(error, UnicodeDecodeError):
            raise Fault("not_utf8", path=place) from None
        if "sniffing" in str(error):
            with contextlib.suppress(OSError, EOFError, csv.Error):
                _check_fields(place)
            raise Fault("not_text", path=place) from None
        raise Fault("broken_file", path=place, reason=_explain(error)) from None
