"""The commands `train` and `demo`: a table in, a folder with model, figures and report out.

Invariant: nothing is written before the data have passed every check; the folder holds a usable
checkpoint from then on, and gets the results all at once; Ctrl-C ends the step, keeps the best and
exits with 130. It is separate from prediction, which writes one file.
"""

import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slopewise.cli.messages import say
from slopewise.cli.terminal import Terminal
from slopewise.train.dataset import Dataset
from slopewise.train.faults import Fault
from slopewise.train.fitting import fit
from slopewise.train.folder import CHECKPOINT, fill_folder, prepare_folder
from slopewise.train.result import Result
from slopewise.train.run import read_run

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it."""


@dataclass
class Interrupt:
    """Turns Ctrl-C into a wish that the loop asks for after every step or call of compiled ones.

    Parameters
    ----------
    wanted : bool
        Whether Ctrl-C was pressed.
    """

    wanted: bool = False
    _old: Any = field(default=None, repr=False)

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._old = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)

    def _note(self, number: int, frame: Any) -> None:
        """Remember the wish; a second Ctrl-C does not wait."""
        del number, frame
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True


def train_table(
    table: str | None,
    options: dict[str, Any],
    given: set[str],
    out: Path | None,
    resume: Path | None,
    terminal: Terminal,
    health: bool = True,
) -> int:
    """Train on a table and write the run's folder.

    Parameters
    ----------
    table : str, optional
        Path of the table; of a resumed run, that of the run if left out.
    options : dict
        Keyword arguments of `slopewise.train.fit`.
    given : set of str
        Which of them the user wrote.
    out, resume : Path, optional
        Folder to write to, and folder to go on from.
    terminal : Terminal
        Where to say what.
    health : bool
        Whether to look at the gradients on the way.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    DataError
        If anything given cannot be used.
    """
    if resume is not None:
        table, options = _take_over(table, options, given, resume)
        out = out or resume
    if table is None:
        raise Fault("bad_option", option="TABLE", allowed="given", value="missing")
    if options.get("target") is None:
        raise Fault("bad_option", option="--target", allowed="given", value="missing")
    folder = out or Path(Path(table).name.partition(".")[0] + "-run")
    begun, made = False, False

    def prepared(data: Dataset) -> None:
        nonlocal begun, made
        made = prepare_folder(folder)
        begun = True
        _tell_data(terminal, data)

    try:
        with Interrupt() as interrupt:
            result = fit(
                table,
                checkpoint=folder / CHECKPOINT,
                resume=resume / CHECKPOINT if resume is not None else None,
                stop=lambda: interrupt.wanted,
                progress=terminal.follow,
                prepared=prepared,
                health=health,
                **options,
            )
    except BaseException as error:
        terminal.close()
        if begun:
            _leave(folder, made, error, terminal)
        raise
    terminal.close()
    try:
        fill_folder(folder, _write_files(result, terminal.lang))
    except BaseException as error:
        _leave(folder, made, error, terminal)
        raise
    _tell_result(terminal, result, folder)
    return INTERRUPTED if result.stopped == "interrupted" else 0


def _take_over(
    table: str | None, options: dict[str, Any], given: set[str], resume: Path
) -> tuple[str | None, dict[str, Any]]:
    """Table and options of the run to go on with; those the user wrote must agree."""
    _, facts = read_run(resume / CHECKPOINT)
    saved = facts["options"]
    known = {
        "target": saved["target"],
        "sql": saved["sql"],
        **saved["data"],
        **saved["network"],
    }
    for name in sorted(given & set(known)):
        old = known[name]
        new = options[name]
        if name == "epochs":
            continue
        same = (
            tuple(old) == tuple(new)
            if isinstance(old, list) and not isinstance(new, str)
            else old == new
        )
        if not same:
            raise Fault(
                "resume_option",
                option="--" + name.replace("_", "-"),
                given=new,
                saved=old,
                folder=resume,
            )
    kept = {"target": saved["target"], "sql": saved["sql"]}
    kept["epochs"] = options["epochs"] if "epochs" in given else saved["network"]["epochs"]
    return table or saved["table"], kept


def _leave(folder: Path, made: bool, error: BaseException, terminal: Terminal) -> None:
    """After a failure: keep a checkpoint that holds work, else take away what was made."""
    checkpoint = folder / CHECKPOINT
    worthless = isinstance(error, Fault) and error.id == "diverged"
    if checkpoint.is_file() and not worthless:
        _, facts = read_run(checkpoint)
        if any(trial["state"]["best_epoch"] for trial in facts["trials"]):
            terminal.note("keeps_checkpoint", folder=folder)
            return
    if made:
        shutil.rmtree(folder, ignore_errors=True)


def _write_files(result: Result, lang: str) -> Callable[[Path], None]:
    """What writes the run's files into a folder."""

    def write(folder: Path) -> None:
        from slopewise.report import write_report

        result.save(folder)
        write_report(result, folder / "report.html", lang=lang)

    return write


def _tell_data(terminal: Terminal, data: Dataset) -> None:
    """Say what is learnt from what."""
    split = data.split
    columns = len(data.encoding.columns)
    terminal.note("table", source=data.table.source, rows=data.rows, columns=columns)
    if data.target.task == "classification":
        terminal.note("task_classes", target=data.target.name, classes=len(data.target.classes))
    else:
        terminal.note("task_number", target=data.target.name)
    if split.folds > 1:
        terminal.note(
            "split_folds", train=len(split.train), folds=split.folds, test=len(split.test)
        )
    else:
        terminal.note(
            "split_plain",
            train=len(split.train),
            validation=len(split.validation),
            test=len(split.test),
        )
    terminal.warn(data.notices)


def _tell_result(terminal: Terminal, result: Result, folder: Path) -> None:
    """Say how it ended, with the figures, and where the files are."""
    chosen = result.candidates[result.chosen]
    if len(result.candidates) > 1:
        terminal.tell(
            "chosen", label=chosen["label"], epoch=chosen["best_epoch"], epochs=chosen["epochs"]
        )
    for side in ("validation", "test"):
        figures = result.metrics[side]
        if figures["rows"]:
            kind = "classes" if result.task == "classification" else "number"
            shown = {name: _show(name, value) for name, value in figures.items()}
            terminal.tell(f"figures_{kind}", side=say(f"side_{side}", terminal.lang), **shown)
    terminal.warn([n for n in result.notices if n.id in ("diverged_later", "not_compiled")])
    if result.stopped == "interrupted":
        terminal.tell("interrupted", folder=folder)
    terminal.tell("written", folder=folder.resolve())
    terminal.tell("report", path=(folder / "report.html").resolve())


def _show(name: str, value: float | None) -> str:
    """A figure as people read it."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if name == "accuracy" else f"{value:.4g}"
