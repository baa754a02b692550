"""One run: its candidates trained one after the other, its checkpoint, its conclusion.

Invariant: a run is determined by its data, recipes and seed; interrupted at any step and unpacked
from its checkpoint, it ends bit for bit where the undisturbed one does. It is separate from `fit`,
which turns what a caller says into a run.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import slopewise as sw
from slopewise.train.checkpoint import read_arrays_file, write_arrays
from slopewise.train.dataset import Dataset
from slopewise.train.evaluation import (
    evaluate_members,
    evaluate_rows,
    list_worst,
    measure_side,
    tell_steps,
)
from slopewise.train.faults import Fault, Notice
from slopewise.train.loop import Trial
from slopewise.train.predictor import Predictor
from slopewise.train.recipe import Progress, Recipe, Rows
from slopewise.train.result import Result
from slopewise.train.search import choose_plainest, describe_candidates
from slopewise.train.watching import Watcher

INTERVAL = 1.0
"""Seconds between checkpoints at the ends of epochs."""


def read_run(checkpoint: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a run's checkpoint.

    Parameters
    ----------
    checkpoint : Path
        The file.

    Returns
    -------
    arrays : dict of str to ndarray
    facts : dict
        `options` (with `target`, `table`, `sql`, `data`, `network`), `fingerprint`, `trials`.

    Raises
    ------
    DataError
        If there is none, or it cannot be read.
    """
    if not checkpoint.is_file():
        raise Fault("nothing_to_resume", path=checkpoint.parent)
    arrays, facts = read_arrays_file(checkpoint)
    if not {"options", "fingerprint", "trials"} <= set(facts):
        raise Fault("broken_checkpoint", path=checkpoint, reason="it is not a run's checkpoint")
    return arrays, facts


class Run:
    """The candidates of one run, trained one after the other.

    Parameters
    ----------
    data : Dataset
        The table, ready.
    rows : Rows
        What the loop reads of it.
    recipes : list of Recipe
        The candidates, plainest first.
    options : dict
        What a checkpoint tells of how the run was started.
    checkpoint : Path, optional
        Where to keep it.
    watcher : Watcher, optional
        Looks at the networks on the way.
    """

    def __init__(
        self,
        data: Dataset,
        rows: Rows,
        recipes: list[Recipe],
        options: dict[str, Any],
        checkpoint: Path | None,
        watcher: Watcher | None = None,
    ) -> None:
        self.data = data
        self.rows = rows
        self.recipes = recipes
        self.options = options
        self.checkpoint = checkpoint
        self.trials: list[Trial] = []
        self.watcher = watcher
        self.found: list[tuple[int, Notice]] = []

    def unpack(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go back to the trials of a checkpoint.

        Parameters
        ----------
        arrays : dict of str to ndarray
            As `read_run` gives them.
        facts : dict
            The same.
        """
        for number, state in enumerate(facts["trials"]):
            trial = Trial(self.recipes[number], self.rows)
            prefix = f"{number}/"
            own = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
            trial.unpack(own, state)
            self.trials.append(trial)

    def save(self) -> None:
        """Write the checkpoint, if one is wanted.

        Raises
        ------
        DataError
            If it cannot be written; the one before it stays.
        """
        if self.checkpoint is None:
            return
        arrays: dict[str, np.ndarray] = {}
        states = []
        for number, trial in enumerate(self.trials):
            own, state = trial.pack()
            arrays |= {f"{number}/{name}": values for name, values in own.items()}
            states.append(state)
        facts = {
            "version": sw.__version__,
            "options": self.options,
            "fingerprint": self.data.fingerprint,
            "trials": states,
        }
        write_arrays(self.checkpoint, arrays, facts)

    def train(self, stop: Callable[[], bool], progress: Callable[[Progress], None]) -> bool:
        """Train the candidates.

        Parameters
        ----------
        stop : callable
            Asked after every step, or after each call of compiled ones; true ends training.
        progress : callable
            Told as often.

        Returns
        -------
        bool
            False if stopped.
        """
        self.save()
        for number, recipe in enumerate(self.recipes):
            if number == len(self.trials):
                self.trials.append(Trial(recipe, self.rows))

            def notify(trial: Trial, number: int = number) -> None:
                seen = self.watcher.look(trial, number) if self.watcher is not None else ()
                self.found += [(number, notice) for notice in seen]
                progress(_describe_progress(trial, number + 1, len(self.recipes), seen))

            if not self.trials[number].run(stop, notify, self.save, INTERVAL):
                return False
        self.save()
        return True

    def conclude(self, finished: bool, seconds: float) -> Result:
        """Choose the network, evaluate it, and gather everything that readers need.

        Parameters
        ----------
        finished : bool
            Whether training ended by itself.
        seconds : float
            How long it took.

        Returns
        -------
        Result

        Raises
        ------
        DataError
            If every candidate's loss became infinite or NaN.
        """
        data = self.data
        chosen = self._choose()
        trial = self.trials[chosen]
        state, recipe = trial.state, trial.recipe
        stopped = state.stopped if finished else "interrupted"
        notices = list(data.notices)
        if not finished:
            epochs = sum(each.state.epoch for each in self.trials)
            notices.append(Notice("interrupted", {"epochs": epochs}))
        reasons = [each.state.not_compiled for each in self.trials if each.state.not_compiled]
        if reasons:
            notices.append(Notice("not_compiled", {"reason": reasons[0]}))
        notices += [notice for number, notice in self.found if number == chosen]
        if stopped == "diverged":
            notices.append(Notice("diverged_later", {"epoch": state.epoch}))
        settings = _list_settings(recipe, self.options["network"], len(self.trials))
        predictor = Predictor(
            data.target,
            data.encoding,
            recipe.architecture,
            trial.best,
            data.mean,
            data.scale,
            {"slopewise": sw.__version__, "trained_on": data.table.source, "settings": settings},
        )
        test = evaluate_rows(
            data, predictor, data.split.test, predictor.compute(data.matrix[data.split.test])
        )
        validation = evaluate_members(data, predictor)
        candidates = describe_candidates(self.recipes, [each.state for each in self.trials])
        metrics = {
            "task": data.target.task,
            "target": data.target.name,
            "test": measure_side(test),
            "validation": measure_side(validation),
            "best_epoch": state.best_epoch,
            "epochs": state.epoch,
            "stopped": stopped,
            "folds": data.split.folds,
            "chosen": recipe.label,
            "candidates": candidates,
        }
        history = {name: np.array(values) for name, values in state.history.items()}
        worst = list_worst(data, test if len(test.rows) else validation)
        return Result(
            data.target, data.table.source, data.table.rows, predictor, history, metrics,
            data.split, data.positions, test, validation, worst, tell_steps(data, trial),
            candidates, chosen, stopped, settings, notices, seconds,
            self.watcher.report(chosen) if self.watcher is not None else None,
        )  # fmt: skip

    def _choose(self) -> int:
        """The candidate to take, judged by rows that it was not trained on."""
        losses: list[np.ndarray | None] = []
        for trial in self.trials:
            if trial.state.best_epoch == 0 and trial.state.stopped == "diverged":
                losses.append(None)
                continue
            now = trial.network.read_arrays()
            trial.restore_best()
            rows = trial.measure_rows()
            trial.network.write_arrays(now)
            losses.append(rows if np.all(np.isfinite(rows)) else None)
        if all(rows is None for rows in losses):
            state = self.trials[0].state
            loss = state.history["loss"][-1] if state.history["loss"] else float("nan")
            raise Fault("diverged", value=loss, epoch=state.epoch, lr=self.trials[0].recipe.lr)
        if any(trial.state.best_epoch for trial in self.trials):
            # A candidate cut off before its first epoch has first weights only.
            losses = [
                rows if trial.state.best_epoch else None
                for rows, trial in zip(losses, self.trials, strict=True)
            ]
        return choose_plainest(losses)


def _describe_progress(
    trial: Trial, number: int, count: int, notices: Sequence[Notice]
) -> Progress:
    """Where a trial is."""
    state = trial.state
    history = state.history
    if state.step:
        loss = state.loss_sum / state.step
    else:
        loss = history["loss"][-1] if history["loss"] else float("nan")
    return Progress(
        number,
        count,
        trial.recipe.label,
        state.epoch + (1 if state.step else 0),
        trial.recipe.epochs,
        state.step or trial.steps,
        trial.steps,
        loss,
        history["val_loss"][-1] if history["val_loss"] else float("nan"),
        state.best_loss,
        state.best_epoch,
        state.lr,
        notices,
    )


def _list_settings(recipe: Recipe, network: dict[str, Any], trials: int) -> dict[str, Any]:
    """How the chosen network was built and trained."""
    architecture = recipe.architecture
    return {
        "hidden": list(architecture.hidden),
        "chosen_from": trials,
        "activation": architecture.activation,
        "norm": architecture.norm,
        "init": architecture.init,
        "linear_path": architecture.has_path,
        "members": architecture.members,
        "parameters": architecture.parameters,
        "optimizer": recipe.optimizer,
        "lr": recipe.lr,
        "l2": recipe.l2,
        "batch": recipe.batch,
        "epochs": recipe.epochs,
        "patience": recipe.patience,
        "seed": recipe.seed,
        "asked_hidden": network["hidden"],
    }
