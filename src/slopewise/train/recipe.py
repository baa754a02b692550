"""What a trial is told and what it tells: recipe, rows, state, progress.

Invariant: plain records; `State` holds every number that the next step depends on and goes through
JSON without a change. It is separate so that those who only read them need no network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slopewise.train.architecture import Architecture
from slopewise.train.faults import Notice


@dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Parameters
    ----------
    architecture : Architecture
        The network.
    lr : float
        Adam's first learning rate; it is halved whenever the validation loss has not fallen for a
        third of `patience` epochs.
    l2 : float
        Precision of the normal prior of each weight: the loss of n rows gets l2/2 times the sum
        of squared weights (ridge regression's and scikit-learn's 1/C).
    batch : int
        Rows in a step.
    epochs : int
        At most so many passes.
    patience : int
        Epochs without a lower validation loss after which training ends.
    seed : int
        Of weights and orders.
    optimizer : {'adam', 'sgd'}
        Which optimiser steps.
    compile : bool or 'auto'
        Whether steps run as compiled code; 'auto' where that is sure to pay.
    """

    architecture: Architecture
    lr: float
    l2: float
    batch: int
    epochs: int
    patience: int
    seed: int
    optimizer: str = "adam"
    compile: bool | str = "auto"

    @property
    def label(self) -> str:
        """A short name for people: `linear`, `64-64` or `64-64 + linear`."""
        widths = "-".join(map(str, self.architecture.hidden))
        if not widths:
            return f"linear, l2 {self.l2:g}"
        path = " + linear path" if self.architecture.has_path else ""
        return f"{widths}{path}, l2 {self.l2:g}"


@dataclass(frozen=True)
class Rows:
    """What the loop reads: the matrix, what to put out, and each member's rows.

    Parameters
    ----------
    matrix : ndarray or memmap of shape (rows, features), float32
        Encoded rows.
    wanted : ndarray of shape (rows,), int64 or float32
        Class numbers or standardised values.
    members : list of (ndarray, ndarray)
        For each member, positions that it trains on and validates on.
    """

    matrix: np.ndarray
    wanted: np.ndarray
    members: list[tuple[np.ndarray, np.ndarray]]

    @property
    def train_rows(self) -> int:
        """Rows that each member sees in an epoch."""
        return min(len(fit) for fit, _ in self.members)


@dataclass(frozen=True)
class Progress:
    """Where a trial is, after a step or several.

    Parameters
    ----------
    trial, trials : int
        Number of this network (from 1) and of networks compared.
    label : str
        Its name.
    epoch, epochs : int
        Epoch (from 1) and the most there can be.
    step, steps : int
        Steps done in this epoch, and in a whole one.
    loss, val_loss : float
        Mean training loss of this epoch so far; validation loss after the last one (NaN at first).
    best : float
        Least validation loss so far (infinite at first).
    best_epoch : int
        Its epoch; 0 at first.
    lr : float
        Learning rate.
    notices : sequence of Notice
        What a watcher found just now.
    """

    trial: int
    trials: int
    label: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    val_loss: float
    best: float
    best_epoch: int
    lr: float
    notices: Sequence[Notice] = ()


@dataclass
class State:
    """The numbers of a trial that change while it runs (its arrays are kept beside them).

    Parameters
    ----------
    epoch, step : int
        Finished epochs, and finished steps of the next one.
    lr : float
        Learning rate now.
    best_loss : float
        Least validation loss; infinite before the first.
    best_epoch : int
        Its epoch, counted from 1; 0 before the first.
    stale : int
        Epochs since then.
    loss_sum : float
        Sum of the batches' losses in the epoch that runs.
    gradient_sums : list of float
        The same of squared gradient norms, one for each layer.
    stopped : str
        '' while it runs; then 'patience', 'epochs' or 'diverged'.
    history : dict of str to list of float
        Columns of the history so far.
    first_step : dict
        What happened in the very first step, for the report.
    compiled_from : int
        The step, counted from 0 over all epochs, from which on steps are compiled; -1 for none.
    not_compiled : str
        Why they could not be compiled.
    """

    epoch: int = 0
    step: int = 0
    lr: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0
    stale: int = 0
    loss_sum: float = 0.0
    gradient_sums: list[float] = field(default_factory=list)
    stopped: str = ""
    history: dict[str, list[float]] = field(default_factory=dict)
    first_step: dict[str, Any] = field(default_factory=dict)
    compiled_from: int = -1
    not_compiled: str = ""
