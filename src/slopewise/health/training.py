"""Watching `train.fit`: what its protocol of a watcher asks for.

Invariant: the run's arrays are read and never written, and no random number is drawn. One member
of a committee stands for all: they differ in rows only. It is separate from loops written by hand,
whose model is at hand as a module.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn
from slopewise._core.quiet import hush, restore
from slopewise.health.framework import Own
from slopewise.health.readings import read
from slopewise.health.telling import speak_notice
from slopewise.health.watch import Watch
from slopewise.health.watching import FREE, ROWS, SHARE
from slopewise.train.architecture import Architecture
from slopewise.train.faults import Notice
from slopewise.train.loop import Trial
from slopewise.train.networks import build_model, load_member

PARTS = 50
"""Looks at a run of full length."""


@dataclass
class _Candidate:
    """What is kept of a network that is watched."""

    watch: Watch
    batch: tuple[Any, Any]
    began: float
    due: int = 1
    spent: float = 0.0
    trials: dict[str, float] | None = None
    model: Any = None


class TrainingWatcher:
    """Looks at the networks of a run, each about fifty times."""

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._frame = Own()

    def look(self, trial: Trial, number: int) -> Sequence[Notice]:
        """Look at a trial, if it is time to.

        Parameters
        ----------
        trial : Trial
        number : int
            Which candidate, from 0.

        Returns
        -------
        sequence of Notice
            What is wrong now and was not before.
        """
        kept = self._candidates.get(number)
        if kept is None:
            kept = self._candidates[number] = _begin(trial)
        state = trial.state
        done = state.epoch * trial.steps + state.step
        passed = time.perf_counter() - kept.began
        allowed = kept.spent <= SHARE * passed or len(kept.watch.looks) < FREE
        if done < kept.due or not allowed:
            return ()
        began = time.perf_counter()
        kept.due = done + max(1, trial.steps * trial.recipe.epochs // PARTS)
        found = self._read(trial, kept, done)
        kept.spent += time.perf_counter() - began
        epoch = state.epoch + (1 if state.step else 0)
        label = trial.recipe.label
        return [
            Notice("gradient_health", speak_notice({
                "epoch": epoch, "network": label, "problem": finding.id, "layer": finding.layer,
                "origin": finding.cause,
            }, "en"))
            for finding in found
        ]  # fmt: skip

    def report(self, number: int) -> Watch | None:
        """Return what was seen of a candidate, or None."""
        kept = self._candidates.get(number)
        return kept.watch if kept is not None else None

    def _read(self, trial: Trial, kept: _Candidate, done: int) -> Any:
        """Take the readings of the network as it is now."""
        recipe = trial.recipe
        loss = nn.functional.cross_entropy if trial.classes else measure_numbers
        names = name_layers(recipe.architecture)
        quiet = hush()
        try:
            with self._frame.keep(None, None):
                arrays = {name: values[:1] for name, values in trial.network.read_arrays().items()}
                alone = replace(recipe.architecture, members=1)
                if kept.model is None:
                    kept.model = build_model(alone, arrays).train()
                else:
                    load_member(kept.model, alone, arrays)
                record = self._frame.record(kept.model, loss, *kept.batch, kept.trials is None,
                                            full=False)  # fmt: skip
            if kept.trials is None:
                kept.trials = record.trials
            record.trials = kept.trials
            for call in record.calls:
                call.name = names.get(call.name, call.name)
            return kept.watch.add(done, read(record, full=False))
        finally:
            restore(quiet)


def name_layers(architecture: Architecture) -> dict[str, str]:
    """Return the run's names of an ordinary network's layers.

    Examples
    --------
    >>> list(name_layers(Architecture(2, 1, hidden=(3,))).values())
    ['hidden1', 'activation1', 'output', 'output_sum']
    """
    kinds = ("hidden", "activation")
    if architecture.norm != "none":
        kinds = ("hidden", "norm", "activation")
    found: dict[str, str] = {}
    for number in range(1, len(architecture.hidden) + 1):
        for kind in kinds:
            found[f"body.{len(found)}"] = f"{kind}{number}"
    found[f"body.{len(found)}"] = "output"
    if architecture.has_path:
        found["linear_path"] = "linear_path"
    return {**found, "before output": "output_sum"}


def _begin(trial: Trial) -> _Candidate:
    """Take the rows that are looked at: those that the first member learns from."""
    own = trial.rows.members[0][0]
    # Tables are often sorted by what is to be learned.
    places = own[np.linspace(0, len(own) - 1, min(ROWS, len(own))).round().astype(int)]
    x, y = trial.rows.matrix[places], trial.rows.wanted[places]
    batch = (sw.tensor(x.copy()), sw.tensor(y.copy()))
    return _Candidate(Watch(sound=True), batch, time.perf_counter())


def measure_numbers(output: Any, target: Any) -> Any:
    """The mean squared error of one output for each row."""
    return nn.functional.mse_loss(output.reshape(target.shape), target)
