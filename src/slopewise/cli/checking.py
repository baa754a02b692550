"""The command `check`: a run's folder or a function that builds a model in, a verdict out.

Invariant: the exit code is the verdict, 1 where something was found; a folder is read and nothing
of it unpickled, and a file is run only where one is named, after a warning. It is separate because
no other command runs code of the user's.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from slopewise.cli.formulas import make_page, write_out
from slopewise.cli.messages import say
from slopewise.cli.spoken import SpokenCommand

FORMATS = ("text", "json", "html")
_BUILDER = re.compile(r"(.+\.py):(\w+)")
FAULTY = 1
"""Exit code where something was found."""


def build_check(lang: str) -> click.Command:
    """The command `check`.

    Parameters
    ----------
    lang : {'en', 'ko'}
        Of its help and its output.

    Returns
    -------
    click.Command
    """
    options = [
        click.argument("subject"),
        click.option("--data", help=say("help_check_data", lang)),
        click.option("--target", help=say("help_check_target", lang)),
        click.option("--sql", help=say("help_sql", lang)),
        click.option("--batch", type=click.IntRange(min=1), help=say("help_batch_rows", lang)),
        click.option("--format", "form", type=click.Choice(FORMATS), default="text",
                     show_default=True, help=say("help_check_format", lang)),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False),
                     help=say("help_check_out", lang)),
        click.option("--lang", type=click.Choice(("en", "ko")), help=say("help_lang", lang)),
    ]  # fmt: skip

    def check(**given: Any) -> int:
        subject = given["subject"]
        builder = _BUILDER.fullmatch(subject)
        if Path(subject).is_dir():
            found = _check_run(Path(subject), given, lang)
        elif builder is not None:
            found = _check_builder(Path(builder[1]), builder[2], given, lang)
        else:
            raise click.UsageError(say("check_subject", lang, subject=subject))
        write_out(_show(found, given["form"], subject, lang), given["out"], lang)
        return 0 if found.healthy else FAULTY

    for option in reversed(options):
        check = option(check)
    return click.command("check", cls=SpokenCommand, help=say("check_about", lang))(check)


def _show(found: Any, form: str, subject: str, lang: str) -> str:
    """Return an examination in a format."""
    if form == "json":
        return json.dumps({"subject": subject, **found.to_dict()}, indent=2, ensure_ascii=False)
    if form == "text":
        return found.text(lang, full=True)
    title = say("check_title", lang, subject=subject)
    svg = found.picture(lang).svg() if found.factors else ""
    body = found.html(lang, full=True) + "\n" + svg[svg.find("<svg") :]
    return make_page(title, body, lang)


# ------------------------------------------------------------------ runs


def _check_run(folder: Path, given: dict[str, Any], lang: str) -> Any:
    """Examine the network of a run, on the table that it was trained on or another one."""
    from slopewise.health.run_folder import examine_run
    from slopewise.train.folder import CHECKPOINT
    from slopewise.train.frames import open_table
    from slopewise.train.predictor import load
    from slopewise.train.run import read_run

    predictor = load(folder)
    table, sql = given["data"], given["sql"]
    if table is None and (folder / CHECKPOINT).is_file():
        _, facts = read_run(folder / CHECKPOINT)
        table, sql = facts["options"].get("table"), sql or facts["options"].get("sql")
    if table is None:
        raise click.UsageError(say("check_need_data", lang))
    opened, _ = open_table(table, None, sql)
    return examine_run(predictor, opened, "en" if given["form"] == "json" else lang)


# ------------------------------------------------------------------ functions


def _check_builder(path: Path, name: str, given: dict[str, Any], lang: str) -> Any:
    """Examine what a function of a file builds, on a table."""
    from slopewise.health.examining import examine

    if given["data"] is None:
        raise click.UsageError(say("check_need_data", lang))
    x, y = read_numbers(given["data"], given["target"], given["sql"], lang)
    if not path.is_file():
        raise click.UsageError(say("check_no_file", lang, path=path))
    click.secho(say("warning", lang, text=say("check_runs", lang, path=path)), err=True,
                fg="yellow")  # fmt: skip
    subject = f"{path}:{name}"
    with _speak_of(subject, lang):
        module = _run_file(path)
    names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
    if not callable(getattr(module, name, None)):
        told = ", ".join(names) or "-"
        raise click.UsageError(say("check_no_function", lang, path=path, name=name, names=told))
    with _speak_of(subject, lang):
        built = getattr(module, name)()
    model, loss_fn, optimizer = _take_apart(built, y, subject, lang)
    with _speak_of(subject, lang):
        data = (x, y) if y.dtype.kind == "i" else (x, y[:, None])
        return examine(model, loss_fn, data, optimizer=optimizer, batch_size=given["batch"],
                       lang=lang)  # fmt: skip


def _run_file(path: Path) -> Any:
    """Run a file as a module; files beside it can be imported by it."""
    spec = importlib.util.spec_from_file_location(f"slopewise_check_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


@contextmanager
def _speak_of(subject: str, lang: str) -> Iterator[None]:
    """Say in one line what went wrong in code of the user's."""
    try:
        yield
    except click.ClickException:
        raise
    except (Exception, SystemExit) as error:
        # A file that exits has built nothing, whatever code it exits with.
        first = (str(error).strip() or "-").splitlines()[0]
        own = str(Path(subject.rpartition(":")[0]).resolve())
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                 if str(Path(frame.filename).resolve()) == own]  # fmt: skip
        at = f" {say('check_line', lang, line=lines[-1])}" if lines else ""
        reason = f"{type(error).__name__}: {first}{at}"
        raise click.UsageError(say("check_fails", lang, subject=subject, reason=reason)) from error


def _take_apart(built: Any, y: np.ndarray, subject: str, lang: str) -> tuple[Any, Any, Any]:
    """Return model, loss and optimiser of what was built; the usual loss where none is given."""
    parts = built if isinstance(built, tuple) else (built,)
    model, loss_fn, optimizer = (*parts, None, None)[:3]
    usable = hasattr(model, "named_modules") and len(parts) <= 3
    if not usable or (loss_fn is not None and not callable(loss_fn)):
        kinds = [type(part).__name__ for part in parts]
        found = f"({', '.join(kinds)})" if isinstance(built, tuple) else kinds[0]
        raise click.UsageError(say("check_no_model", lang, subject=subject, found=found))
    if loss_fn is None:
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(model, torch.nn.Module):
            space = torch.nn.functional
        else:
            from slopewise.nn import functional as space
        loss_fn = space.cross_entropy if y.dtype.kind == "i" else space.mse_loss
    return model, loss_fn, optimizer


def read_numbers(
    source: str, target: str | None, sql: str | None, lang: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of a table as they are, in their order, and the targets.

    Parameters
    ----------
    source : str
        Path of the table.
    target : str, optional
        The target's column; the last one if left out.
    sql : str, optional
        One SELECT over the table.
    lang : {'en', 'ko'}
        Of messages.

    Returns
    -------
    ndarray of shape (rows, columns), float32
    ndarray of shape (rows,)
        Class numbers (int64), or numbers (float32).

    Raises
    ------
    click.UsageError
        If a column holds no numbers, or some are missing.
    DataError
        If the table cannot be read.
    """
    from slopewise.train.frames import open_table
    from slopewise.train.tables import find_column
    from slopewise.train.task import decide_task

    table, _ = open_table(source, None, sql)
    name = target if target is not None else table.columns[-1].name
    column = find_column(table, name)
    others = [c for c in table.columns if c.name != name]
    if not others:
        raise click.UsageError(say("check_no_columns", lang, path=source, column=name))
    for other in others:
        if other.kind not in ("number", "boolean"):
            kind = say(f"kind_{other.kind}", lang)
            raise click.UsageError(say("check_not_number", lang, column=other.name, kind=kind))
    read = table.read([*(c.name for c in others), name], 0, table.rows)
    values = read[name]
    for key, part in read.items():
        text = key == name and column.kind == "text"
        bad = sum(v is None for v in part) if text else int(
            np.sum(~np.isfinite(np.asarray(part, dtype=float))))  # fmt: skip
        if bad:
            raise click.UsageError(say("check_missing", lang, column=key, count=bad))
    x = np.stack([np.asarray(read[c.name], np.float32) for c in others], axis=1)
    task = decide_task(column, values)
    encoded = task.encode(values)
    return x, encoded if task.task == "classification" else encoded.astype(np.float32)
