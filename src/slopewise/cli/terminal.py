"""What the user sees while a run goes on: lines, warnings, and a bar with its figures.

Invariant: figures go to standard output, all else to standard error; a stream that is no terminal
gets plain lines without colour or bar; `--quiet` leaves errors only. It is separate so that the
commands say what happened and not how it is shown.
"""

import math
import sys
import time
from typing import Any

import click

from slopewise.cli.messages import say, say_notice
from slopewise.train.faults import Notice
from slopewise.train.recipe import Progress

REFRESH = 0.1
"""Seconds between two drawings of the bar."""


class Terminal:
    """The user's terminal, in a language, loud or quiet.

    Parameters
    ----------
    lang : {'en', 'ko'}
        Language.
    quiet : bool
        Whether to say nothing but errors.
    """

    def __init__(self, lang: str, quiet: bool) -> None:
        self.lang = lang
        self.quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._rate = Rate()
        self._drawn = 0.0
        self._last: Progress | None = None

    def tell(self, id: str, **values: Any) -> None:
        """A line for standard output.

        Parameters
        ----------
        id : str
            Of the message.
        **values : object
            What it names.
        """
        if not self.quiet:
            click.echo(say(id, self.lang, **values))

    def note(self, id: str, **values: Any) -> None:
        """A line for standard error.

        Parameters
        ----------
        id : str
            Of the message.
        **values : object
            What it names.
        """
        if not self.quiet:
            click.echo(say(id, self.lang, **values), err=True)

    def warn(self, notices: list[Notice]) -> None:
        """Warnings for standard error.

        Parameters
        ----------
        notices : list of Notice
            What the user should know.
        """
        for notice in notices:
            if not self.quiet:
                text = say_notice(notice.id, self.lang, notice.values)
                click.secho(say("warning", self.lang, text=text), err=True, fg="yellow")

    def follow(self, progress: Progress) -> None:
        """Show where training is; called after every step or several.

        Parameters
        ----------
        progress : Progress
            Where it is.
        """
        if self.quiet:
            return
        for notice in progress.notices:
            self._say_now(notice)
        last = self._last
        if last is not None and last.trial != progress.trial:
            self._finish_candidate(last)
        self._last = progress
        self._rate.count(progress)
        now = time.monotonic()
        if now - self._drawn < REFRESH or not sys.stderr.isatty():
            return
        self._drawn = now
        if self._bar is None:
            self._bar = self._open_bar()
        done = (progress.epoch - 1) * progress.steps + progress.step
        self._bar.update(
            self._task,
            description=say(
                "progress",
                self.lang,
                number=progress.trial,
                count=progress.trials,
                label=progress.label,
                epoch=progress.epoch,
                loss=_show(progress.loss),
                val_loss=_show(progress.val_loss),
                lr=f"{progress.lr:.2g}",
                rate=f"{self._rate.steps:.0f}",
                left=_show_time(self._rate.left(progress)),
            ),
            completed=done,
            total=progress.epochs * progress.steps,
        )
        self._bar.refresh()

    def _say_now(self, notice: Notice) -> None:
        """A warning in the middle of training, above the bar."""
        text = say("warning", self.lang, text=say_notice(notice.id, self.lang, notice.values))
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, style="yellow")
        else:
            click.secho(text, err=True, fg="yellow")

    def _open_bar(self) -> Any:
        """Draw the bar for the first time."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar
        from rich.table import Column

        # All figures are in one column, so that a narrow terminal breaks them between words.
        bar = Bar(
            BarColumn(bar_width=12),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=False)),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        bar.start()
        self._task = bar.add_task("", total=1)
        return bar

    def _finish_candidate(self, last: Progress) -> None:
        """A line for a candidate that has been trained."""
        line = say(
            "candidate_done",
            self.lang,
            number=last.trial,
            count=last.trials,
            label=last.label,
            loss=last.best,
            epoch=last.best_epoch,
        )
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line, err=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._last is not None and self._last.trials > 1 and not self.quiet:
            self._finish_candidate(self._last)
        self._last = None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Rate:
    """Steps per second, over about the last two seconds."""

    def __init__(self) -> None:
        self.steps = 0.0
        self._since = time.monotonic()
        self._counted = 0
        self._trial, self._done = 0, 0

    def count(self, progress: Progress) -> None:
        """Count the steps since the last time.

        Parameters
        ----------
        progress : Progress
            Where training is; the same place twice is counted once.
        """
        done = (progress.epoch - 1) * progress.steps + progress.step
        if (progress.trial, done) == (self._trial, self._done):
            return
        # A run that is resumed starts somewhere: its first place counts as one step.
        self._counted += done - self._done if progress.trial == self._trial else 1
        self._trial, self._done = progress.trial, done
        passed = time.monotonic() - self._since
        if passed >= 0.5:
            found = self._counted / passed
            self.steps = found if not self.steps else 0.5 * self.steps + 0.5 * found
            self._since, self._counted = time.monotonic(), 0

    def left(self, progress: Progress) -> float:
        """Seconds until the last epoch there can be, of this network and those after it.

        Parameters
        ----------
        progress : Progress
            Where training is.

        Returns
        -------
        float
            NaN while the rate is not known.
        """
        if not self.steps:
            return math.nan
        done = (progress.epoch - 1) * progress.steps + progress.step
        ahead = (progress.trials - progress.trial + 1) * progress.epochs * progress.steps - done
        return max(ahead, 0) / self.steps


def _show(value: float) -> str:
    """A loss in four digits."""
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _show_time(seconds: float) -> str:
    """A duration as minutes and seconds, or hours."""
    if not math.isfinite(seconds):
        return "-"
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
