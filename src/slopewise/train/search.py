"""Which network: candidates from the plain to the flexible, compared on rows not trained on.

Invariant: every candidate is trained by the same loop on the same members and judged by the loss
of rows that it did not train on; nothing depends on which table it is. The plainest candidate
within one standard error of the best is taken. It is separate because a run with a network given
by the user skips it.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slopewise.train.architecture import Architecture
from slopewise.train.faults import Fault
from slopewise.train.recipe import Recipe

LINEAR_LR = 1e-2
HIDDEN_LR = 3e-3
SEARCH_ROWS = 20_000
"""With more rows to train on, only two candidates are compared: there is enough to learn from."""


@dataclass(frozen=True)
class NetworkOptions:
    """What the user says about the network and its training.

    Parameters
    ----------
    hidden : tuple of int or 'auto'
        Widths; () for a linear model; 'auto' compares candidates.
    activation, norm, init : str
        As in `Architecture`.
    lr : float, optional
        Learning rate; 0.01 for a linear model and 0.003 for others if left out.
    l2 : float, optional
        Precision of the weights' prior; 1 if left out, or compared.
    batch : int, optional
        Rows in a step; a power of two near a sixteenth of the rows, 16 to 256, if left out.
    epochs, patience : int
        When to stop.
    optimizer : {'adam', 'sgd'}
        Which optimiser steps.
    compile : bool or 'auto'
        Whether steps run as compiled code.
    """

    hidden: tuple[int, ...] | str = "auto"
    activation: str = "relu"
    norm: str = "none"
    init: str = "auto"
    lr: float | None = None
    l2: float | None = None
    batch: int | None = None
    epochs: int = 200
    patience: int = 20
    optimizer: str = "adam"
    compile: bool | str = "auto"

    def check(self) -> None:
        """Check numbers and words.

        Raises
        ------
        DataError
            Naming the option and what it may be.
        """
        Architecture(
            1,
            1,
            () if isinstance(self.hidden, str) else self.hidden,
            self.activation,
            self.norm,
            self.init,
        ).check()
        if isinstance(self.hidden, str) and self.hidden != "auto":
            raise Fault(
                "bad_option", option="--hidden", allowed="auto, none or widths", value=self.hidden
            )
        for option, number in (("--epochs", self.epochs), ("--patience", self.patience)):
            if number < 1:
                raise Fault("bad_option", option=option, allowed="1 or more", value=number)
        if self.batch is not None and self.batch < 1:
            raise Fault("bad_option", option="--batch", allowed="1 or more", value=self.batch)
        if self.lr is not None and not (self.lr > 0 and math.isfinite(self.lr)):
            raise Fault("bad_option", option="--lr", allowed="a number above 0", value=self.lr)
        if self.l2 is not None and not (self.l2 >= 0 and math.isfinite(self.l2)):
            raise Fault("bad_option", option="--l2", allowed="0 or more", value=self.l2)
        if self.optimizer not in ("adam", "sgd"):
            raise Fault(
                "bad_option", option="--optimizer", allowed="adam or sgd", value=self.optimizer
            )
        if self.compile not in ("auto", True, False):
            raise Fault(
                "bad_option", option="compile", allowed="'auto', True or False", value=self.compile
            )


def read_widths(hidden: Sequence[int] | int | str | None) -> tuple[int, ...] | str:
    """Widths of hidden layers from any of the forms that users write.

    Parameters
    ----------
    hidden : sequence of int, int, str or None
        Widths; one width; '64,64', 'none' or 'auto'; None is 'none'.

    Returns
    -------
    tuple of int, or 'auto'

    Raises
    ------
    DataError
        If it is none of these.

    Examples
    --------
    >>> read_widths("64,32"), read_widths(8), read_widths("none"), read_widths("auto")
    ((64, 32), (8,), (), 'auto')
    """
    if hidden is None or hidden in ("none", "auto", ""):
        return "auto" if hidden == "auto" else ()
    try:
        if isinstance(hidden, str):
            return tuple(int(part) for part in hidden.split(","))
        if isinstance(hidden, int):
            return (hidden,)
        return tuple(operator.index(width) for width in hidden)
    except (TypeError, ValueError):
        raise Fault("bad_hidden", value=hidden) from None


def choose_batch(rows: int) -> int:
    """Rows in a step: a power of two near a sixteenth of the rows, at least 16, at most 256.

    Beyond 262,144 rows it grows on, so that an epoch has at most some thousand steps.

    Parameters
    ----------
    rows : int
        Training rows.

    Returns
    -------
    int

    Examples
    --------
    >>> choose_batch(100), choose_batch(1500), choose_batch(50_000)
    (16, 64, 256)
    """
    wanted = max(16, min(256, rows // 16), rows // 2048)
    return 2 ** int(math.log2(wanted))


def list_recipes(
    options: NetworkOptions, inputs: int, outputs: int, members: int, rows: int, seed: int
) -> list[Recipe]:
    """The networks to compare, from the plainest on; one only if the user chose it.

    Parameters
    ----------
    options : NetworkOptions
        What the user says.
    inputs, outputs : int
        Of the network.
    members : int
        Of the committee.
    rows : int
        That each member trains on.
    seed : int
        Of all that is random.

    Returns
    -------
    list of Recipe

    Examples
    --------
    >>> [r.label for r in list_recipes(NetworkOptions(), 4, 3, 5, 100, 0)][:2]
    ['linear, l2 1', '64 + linear path, l2 1']
    """
    strength = 1.0 if options.l2 is None else options.l2
    kinds: list[tuple[tuple[int, ...], bool, float]]
    if not isinstance(options.hidden, str):
        kinds = [(options.hidden, False, strength)]
    elif rows > SEARCH_ROWS:
        kinds = [((), False, strength), ((64, 64), True, strength)]
    else:
        kinds = [((), False, strength), ((64,), True, strength), ((64, 64), True, strength)]
        if options.l2 is None:
            kinds.append(((64, 64), True, 10.0))
    recipes = []
    for hidden, skip, l2 in kinds:
        architecture = Architecture(
            inputs, outputs, hidden, options.activation, options.norm, options.init, skip, members
        )
        default = HIDDEN_LR if hidden else LINEAR_LR
        recipes.append(
            Recipe(
                architecture,
                options.lr if options.lr is not None else default,
                l2,
                options.batch or choose_batch(rows),
                options.epochs,
                options.patience,
                seed,
                options.optimizer,
                options.compile,
            )
        )
    return recipes


def choose_plainest(losses: Sequence[np.ndarray | None]) -> int:
    """The first candidate whose loss is within one standard error of the least.

    The error is that of the mean difference to the best one, row by row.

    Parameters
    ----------
    losses : sequence of (ndarray of shape (rows,) or None)
        Losses of the same rows for each candidate, plainest first; None if it diverged.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no candidate at all.

    Source
    ------
    Breiman, Friedman, Olshen and Stone 1984, section 3.4.3, the 1 SE rule, on paired differences.

    Examples
    --------
    >>> choose_plainest([np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.1, 0.9])])
    0
    """
    means = [math.inf if rows is None else float(np.mean(rows)) for rows in losses]
    best = int(np.argmin(means))
    chosen = losses[best]
    if chosen is None:
        raise ValueError("choose_plainest: every candidate diverged")
    for number, rows in enumerate(losses[:best]):
        if rows is None:
            continue
        excess = rows - chosen
        if float(excess.mean()) <= float(excess.std()) / math.sqrt(len(excess)):
            return number
    return best


def describe_candidates(recipes: Sequence[Recipe], states: Sequence[Any]) -> list[dict[str, Any]]:
    """A line for each candidate, for metrics and report.

    Parameters
    ----------
    recipes : sequence of Recipe
        The candidates.
    states : sequence of State
        How their training went.

    Returns
    -------
    list of dict
        `label`, `val_loss` (None if it never had one), `best_epoch`, `epochs`, `stopped`.
    """
    return [
        {
            "label": recipe.label,
            "val_loss": state.best_loss if math.isfinite(state.best_loss) else None,
            "best_epoch": state.best_epoch,
            "epochs": state.epoch,
            "stopped": state.stopped or "interrupted",
        }
        for recipe, state in zip(recipes, states, strict=False)
    ]
