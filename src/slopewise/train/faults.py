"""What can be wrong with a table or a request, in words: one template for each message id.

Invariant: every `DataError` of this package, and every notice to the user, is made here from an id
and named values, so that the command line can say the same in another language. Each text is one
line, names the column or the number at fault, and ends with the remedy. It is separate because the
texts are data: no other module of the package holds a sentence.
"""

from dataclasses import dataclass
from typing import Any

from slopewise.errors import DataError

ENGLISH: dict[str, str] = {
    # the table
    "no_such_file": "no file {path}: check the path",
    "unknown_format": (
        "cannot tell the format of {path}: give a .csv, .tsv, .csv.gz or .parquet file"
    ),
    "broken_file": "cannot read {path}: {reason}",
    "not_text": "cannot read {path}: it is no table of text with separated columns",
    "not_utf8": (
        "cannot read {path}: it is not UTF-8 text; save it as UTF-8 (in Excel: CSV UTF-8)"
    ),
    "ragged_file": (
        "cannot read {path}: line {line} has {found} fields and the header has {expected}"
    ),
    "bad_sql": "the --sql query failed: {reason}",
    "sql_not_select": "--sql takes one SELECT statement; the table is called `data` in it",
    "empty_table": "{source} has no rows: nothing can be learnt from it",
    "no_columns": "{source} has no columns",
    "same_name": "column `{column}` occurs twice: rename one of the two",
    "unreadable_type": (
        "column `{column}` has type {type}, which cannot become a number: leave it out with "
        "--drop {column}, or convert it with --sql"
    ),
    "array_shape": "the array has shape {shape}: give one of shape (rows, columns)",
    "array_type": "column `{column}` has dtype {dtype}, which cannot become a number",
    "length_mismatch": "the target has {target_rows} values for {rows} rows: they must be equal",
    "unknown_table": (
        "cannot read a table from a {type}: give a path, a pandas, polars or pyarrow table, a "
        "dict of arrays, or a NumPy array"
    ),
    # columns
    "no_such_column": "no column `{column}` in the table; it has: {columns}{hint}",
    "target_dropped": "the target `{column}` cannot also be dropped",
    "no_features": "no usable column is left to predict `{target}` from",
    "infinite": (
        "column `{column}` has {count} infinite value(s), first in row {row}: mend them, or "
        "leave the column out with --drop {column}"
    ),
    "too_many_categories": (
        "column `{column}` is text with {count} different values, and {limit} is the limit: "
        "leave it out with --drop {column}{hint}"
    ),
    # the target
    "target_missing": (
        "the target `{column}` is missing in {count} of {rows} rows: fill them in, or leave "
        "those rows out with --drop-missing-target"
    ),
    "target_all_missing": "the target `{column}` is missing in every row",
    "target_infinite": "the target `{column}` has {count} infinite value(s), first in row {row}",
    "target_one_class": (
        "the target `{column}` has only the value {value}: at least two classes are needed"
    ),
    "target_constant": "the target `{column}` has only the value {value}: nothing varies",
    "target_text_regression": (
        "the target `{column}` is text (for example {example}), so --task regression cannot be "
        "used: take --task classification, or a column of numbers"
    ),
    "target_many_classes": (
        "the target `{column}` has {count} classes, and {limit} is the limit: for a number use "
        "--task regression; otherwise group the classes"
    ),
    "target_date": (
        "the target `{column}` is a date: convert it to a number with --sql, or take another one"
    ),
    # splitting
    "too_few_rows": (
        "{rows} row(s), of which {different} differ, are too few to train, validate and test on: "
        "give at least 10 different ones"
    ),
    "bad_fraction": "{option} must lie between 0 and 1, together below 1, and is {value}",
    "too_few_groups": (
        "`{column}` has {groups} group(s), too few for training, validation and test: leave "
        "--group out, or use --folds 1"
    ),
    "group_and_time": "--group and --time cannot be used together",
    "time_missing": "the --time column `{column}` is missing in {count} row(s)",
    "time_kind": "the --time column `{column}` is text: it must be a date or a number",
    # options
    "bad_option": "{option} must be {allowed}, and is {value}",
    "diverged": (
        "the loss became {value} in epoch {epoch}: lower the learning rate (--lr, now {lr})"
    ),
    # the command line
    "need_table": "give a TABLE to train on",
    "need_target": "give --target COLUMN",
    "bad_hidden": "--hidden takes widths such as 64,64, or none, or auto; it is {value}",
    "bad_folds": "--folds takes auto or a number from 1 to 20; it is {value}",
    "resume_option": (
        "{option} is {given}, and the run in {folder} was started with {saved}: leave it out, or "
        "start a new run"
    ),
    "bad_predict_out": "--out must end in .csv, .csv.gz or .parquet, and is {path}",
    "same_file": "--out {path} is the table itself: choose another file",
    # the run's folder
    "output_exists": (
        "{path} exists and is not the folder of an earlier run: choose another --out folder"
    ),
    "not_a_run": "{path} is not the folder of a training run: {reason}",
    "cannot_write": "cannot write {path}: {reason}",
    "broken_checkpoint": "the checkpoint {path} cannot be read: {reason}",
    "nothing_to_resume": "{path} has no checkpoint to go on from",
    "resume_differs": (
        "the table is not the one that {path} was trained on ({what} differs): give the same "
        "table, or start a new run"
    ),
    "wrong_version": "{path} was written by format version {found}; this one reads up to {known}",
    # prediction
    "columns_missing": "the table lacks the column(s) {columns}, which the model needs{hint}",
    "columns_type": "column `{column}` is {found}, and the model was trained on {expected} there",
    "no_prediction_rows": "{source} has no rows to predict",
    "unknown_example": "no example called {name}; there are: {names}",
}
NOTICES: dict[str, str] = {
    "looks_like_id": (
        "column `{column}` looks like an id ({reason}): it says nothing about new rows; leave it "
        "out with --drop {column}"
    ),
    "left_out_id": (
        "column `{column}` is left out: it is text and its {count} values are all different"
    ),
    "looks_like_leak": (
        "column `{column}` alone tells the target ({reason}): if it is known only after the "
        "target, leave it out with --drop {column}"
    ),
    "all_missing": "column `{column}` is left out: it is missing in every training row",
    "constant": "column `{column}` is left out: it has one value only",
    "small_class": "class {label} has {count} row(s) only: its figures say little",
    "few_test_rows": "the test figures rest on {count} rows only",
    "interrupted": "stopped by the user after {epochs} epoch(s): the best so far is kept",
    "unseen_category": (
        "column `{column}`: {count} value(s) not seen in training predict as 'unknown' ({examples})"
    ),
    "new_missing": "column `{column}`: {count} missing value(s), none in training: the mean is put",
    "diverged_later": (
        "the loss became infinite or NaN in epoch {epoch}: the best before it is kept; a lower "
        "--lr may go further"
    ),
    "not_compiled": "training ran step by step, since it could not be compiled: {reason}",
    "gradient_health": "epoch {epoch}, {network}: {found} ({place}); cause: {cause}",
    "dropped_rows": "{count} row(s) without a target are left out",
}
"""Notices: things that the user should know and that stop nothing."""


@dataclass(frozen=True)
class Notice:
    """Something the user should know that stops nothing.

    Parameters
    ----------
    id : str
        A key of `NOTICES`.
    values : dict of str to object
        What the text names: columns, counts, examples.

    Examples
    --------
    >>> Notice("constant", {"column": "unit"}).text
    'column `unit` is left out: it has one value only'
    """

    id: str
    values: dict[str, Any]

    @property
    def text(self) -> str:
        """The English sentence."""
        return NOTICES[self.id].format(**self.values)


class Fault(DataError):
    """A `DataError` that remembers its message id and values, so that it can be said again.

    Parameters
    ----------
    id : str
        A key of `ENGLISH`.
    **values : object
        What the text names.

    Examples
    --------
    >>> str(Fault("target_all_missing", column="y"))
    'the target `y` is missing in every row'
    """

    def __init__(self, id: str, **values: Any) -> None:
        super().__init__(" ".join(ENGLISH[id].format(**values).split()))
        self.id = id
        self.values = values


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without the prefix that DuckDB puts before it.

    Parameters
    ----------
    error : BaseException
        Any error.

    Returns
    -------
    str
        One line, at most 200 characters.

    Examples
    --------
    >>> first_line(ValueError("IO Error: no such file\\nLINE 1"))
    'no such file'
    """
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0]
    head, _, tail = line.partition(" Error: ")
    return (tail if tail and " " not in head.replace(" ", "", 1) else line)[:200]
