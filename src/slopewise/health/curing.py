"""The cure: remedies tried in order, each proved over seeds against the untouched model.

Invariant: the user's model, optimiser and data are never changed; every trial, the failures too, is
told with its scores. It is separate from the remedies, which know what to do, not whether it
helped, and from the search, which tries them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import slopewise as sw
from slopewise import optim
from slopewise._core.quiet import hush, restore
from slopewise.errors import UsageError
from slopewise.explain.accounts import Account, Table, say_in, spell
from slopewise.explain.requests import check_choice, check_lang, check_range
from slopewise.health.arguments import check_count, check_loss, check_optimizer, check_share
from slopewise.health.examination import Examination
from slopewise.health.examining import STEPS, examine, gather, read_batches
from slopewise.health.finding import REMEDIES
from slopewise.health.framework import Own, find_framework
from slopewise.health.probe import as_tensor
from slopewise.health.remedies import Plan, remake
from slopewise.health.search import Data, Search, Trial
from slopewise.health.wording import CURE
from slopewise.health.wording import REMEDIES as REMEDY_WORDS
from slopewise.nn.module import require_module

if TYPE_CHECKING:
    from slopewise.drawing import Picture

MARGIN = 0.02
"""Two points of accuracy, or as much of R squared."""
CONFIDENCE = 0.95
LEAST_ROWS = 8
"""Of fewer rows a quarter is one or none."""
MOST_BATCHES = 10_000


class Cure(Account):
    """What was tried on a network, and what came of it.

    Attributes
    ----------
    cured : bool
        Whether a remedy was better by the margin.
    model : Module
        A new one with the remedies in it, not trained; a copy of the old one where none helped.
    changes : tuple of str
        The lines of code that make it.
    remedies : tuple of str
        The same as ids.
    trials : tuple of Trial
    before, after : tuple of float
        Scores of the untouched and of the new model, seed by seed.
    examination : Examination
    """

    def __init__(
        self, plan: Plan, trials: Sequence[Trial], before: Sequence[float],
        after: Sequence[float], examination: Examination, lang: str,
    ) -> None:  # fmt: skip
        self.plan = plan
        self.trials = tuple(trials)
        self.before = tuple(before)
        self.after = tuple(after)
        self.examination = examination
        self.lang = lang
        self.model = plan.prepare(0)[0]

    @property
    def cured(self) -> bool:
        """Whether a remedy was better by the margin."""
        return bool(self.plan.remedies)

    @property
    def changes(self) -> tuple[str, ...]:
        """The lines of code that make the new model."""
        return self.plan.changes

    @property
    def remedies(self) -> tuple[str, ...]:
        """The remedies in it."""
        return self.plan.remedies

    def make_optimizer(self, model: Any | None = None) -> Any:
        """Return the optimiser that goes with the new model, or with another one."""
        return self.plan.make_optimizer((self.model if model is None else model).parameters())

    def tell(self, lang: str) -> list[str | Table]:
        """Return the outcome, the lines to change, and the table of trials."""
        before, after = (_spell(float(np.mean(s))) for s in (self.before, self.after))
        key = "cured" if self.cured else "not_cured"
        parts: list[str | Table] = [say_in(CURE, key, lang, before=before, after=after)]
        if self.cured:
            parts.append(say_in(CURE, "changes", lang))
            parts += [f"    {line}" for line in self.changes]
        if self.trials:
            header = [say_in(CURE, k, lang) for k in ("remedy", "before", "after", "gain",
                      "bound", "better")]  # fmt: skip
            rows: list[list[str]] = []
            for t in self._pick_trials():
                scores = [float(np.mean(t.before)), float(np.mean(t.after)), t.gain, t.bound]
                better = say_in(CURE, "yes" if t.better else "no", lang)
                rows.append([_name_trial(t, lang), *map(_spell, scores), better])
            parts.append(Table(header, rows))
        return parts

    def _pick_trials(self) -> list[Trial]:
        """Return of each remedy that was tried on a plan the best variant."""
        best: dict[tuple[Any, ...], Trial] = {}
        for trial in self.trials:
            key = (trial.remedy, trial.changes[:-1], trial.against)
            known = best.get(key)
            if known is None or (trial.better, np.mean(trial.after)) > (
                known.better, np.mean(known.after)
            ):  # fmt: skip
                best[key] = trial
        return list(best.values())

    def picture(self, lang: str | None = None) -> Picture:
        """Return the scores of every trial beside those of the untouched model."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import PALETTE

        picked = self._pick_trials()
        with open_sheet(9.6, max(2.4, 0.3 * len(picked) + 1.2), lang or self.lang) as sheet:
            axes = sheet.figure.subplots()
            for i, trial in enumerate(picked):
                scores = [s if math.isfinite(s) else 0.0 for s in trial.after]
                axes.plot(scores, [i] * len(scores), linestyle="",
                          marker="o" if trial.better else "x",
                          color=PALETTE[0 if trial.better else 1])  # fmt: skip
            axes.axvline(float(np.mean([s if math.isfinite(s) else 0.0 for s in self.before])),
                         color="#888888", linewidth=0.8)  # fmt: skip
            names = [_name_trial(trial, sheet.lang) for trial in picked]
            axes.set_yticks(range(len(picked)), names, fontsize=9)
            axes.invert_yaxis()
            axes.set_xlabel(say_in(CURE, "score", sheet.lang))
            return sheet.finish(say_in(CURE, "picture", lang or self.lang))


def _name_trial(trial: Trial, lang: str) -> str:
    """Return what was tried, and whether on top of what is better already or in its place."""
    name = say_in(REMEDY_WORDS, trial.remedy, lang)
    if trial.against and trial.changes[:-1] != trial.against:
        return say_in(CURE, "instead", lang, name=name)
    return f"+ {name}" if len(trial.changes) > 1 else name


def _spell(value: float) -> str:
    return spell(value, 3) if math.isfinite(value) else "-"


def cure(
    model: Any,
    loss_fn: Callable[[Any, Any], Any],
    data: Any,
    *,
    optimizer: Any = None,
    held: Any = None,
    steps: int = 300,
    batch_size: int | None = None,
    seeds: int = 3,
    margin: float = MARGIN,
    confidence: float = CONFIDENCE,
    remedies: Sequence[str] | None = None,
    examination: Examination | None = None,
    notify: Callable[[str], None] | None = None,
    lang: str = "en",
) -> Cure:
    """Try remedies in order until one is better than the untouched model, and return it.

    Parameters
    ----------
    model : Module
        Nothing of it is changed.
    loss_fn : callable
        From the model's output and the target to a Tensor of one number.
    data : (Tensor, Tensor), DataLoader, or list of (Tensor, Tensor)
        Rows to train on.
    optimizer : Optimizer, optional
        Of the model's parameters; Adam if not given.
    held : (Tensor, Tensor), optional
        Rows to judge by; if not given, a quarter of the data, another one for each seed.
    steps : int
        The budget of each training.
    batch_size : int, optional
        Rows in a step; those of the batches, or 32, if not given.
    seeds : int
        Trainings of each, at least; more of them where few rows are held out. The first ones leave
        out what is hopeless, and up to three times as many decide where a gain is unsure.
    margin : float
        How much better a remedy has to be, in accuracy or R squared.
    confidence : float
        Of the one-sided interval by Student's t over paired seeds and over rows; of remedies that
        no finding names, of all of them together.
    remedies : sequence of str, optional
        Which, in this order; those of the findings first and then all others, if not given.
    examination : Examination, optional
        Of this model; made if not given.
    notify : callable, optional
        Told of each trial in one line, once it is over: a search takes from seconds to minutes.
    lang : str
        "en" or "ko".

    Returns
    -------
    Cure

    Raises
    ------
    UsageError
        If the model is PyTorch's, the data are no batches, rows are too few, or a remedy is none
        there is.

    Notes
    -----
    A first remedy that is better ends the search, unless a plain network of two layers does better
    with the same steps. Then all others race on top of it, and what the findings name alone, too:
    each takes the first seeds, the best four all seeds, and the best of those more where that is
    needed to be sure; where none is better, the next four. The best that is surely better is taken,
    and the others that came so far race again.
    """
    check_lang("cure", lang)
    _require_own(model)
    check_loss("cure", loss_fn)
    check_optimizer("cure", model, optimizer)
    check_count("cure", "batch_size", batch_size)
    check_share("cure", "margin", margin)
    check_share("cure", "confidence", confidence)
    if isinstance(remedies, str):
        raise UsageError(f"cure: remedies must be a list, such as [{remedies!r}].")
    if held is not None and not (isinstance(held, (tuple, list)) and len(held) == 2):
        raise UsageError("cure: held must be a pair of input and target.")
    check_range("cure", "seeds", seeds, 2, 1000)
    check_range("cure", "steps", steps, 1, 10_000_000)
    for remedy in remedies or ():
        check_choice("cure", "remedy", remedy, REMEDIES)
    quiet = hush()
    state = sw.get_rng_state()
    try:
        read, batch = _read_rows(model, data, held, batch_size)
        if optimizer is None:
            optimizer = optim.Adam(model.parameters())
        plan = Plan(copy.deepcopy(model), loss_fn, remake(optimizer), batch)
        if examination is None:
            probing: dict[str, Any] = {
                "steps": min(STEPS, steps),
                "budget": steps,
                "batch_size": batch,
            }
            rows = read.split(0)
            rows_seen = (rows.x, rows.y)
            examination = examine(model, loss_fn, rows_seen, optimizer=optimizer, **probing)

        def tell(trial: Trial) -> None:
            if notify is not None:
                notify(f"{_name_trial(trial, lang)}: {_spell(float(np.mean(trial.after)))}")

        search = Search(read, steps, seeds, margin, confidence, tell)
        found = search.run(plan, examination, remedies)
        before, after = search.tell_scores()
        return Cure(found, search.trials, before, after, examination, lang)
    finally:
        restore(quiet)
        sw.set_rng_state(state)


def _require_own(model: Any) -> None:
    """Refuse what cannot be changed: remedies are made of our own layers."""
    if not isinstance(find_framework(model, "cure"), Own):
        raise UsageError(
            "cure: this is a module of PyTorch's, whose remedies `examine` names but does not try;"
            " build the same layers with slopewise.nn to have them proved."
        )
    require_module(model, "cure")


def _read_rows(model: Any, data: Any, held: Any, batch_size: int | None) -> tuple[Data, int]:
    """Return the rows of the data, and how many of them make a step."""
    dtype = next((p.dtype for p in model.parameters()), sw.get_default_dtype())
    listed = [(as_tensor(x, dtype), as_tensor(y, dtype))
              for x, y in read_batches(data, None, MOST_BATCHES)]  # fmt: skip
    x, y = gather(None, listed, most=None)
    pair = isinstance(data, tuple)
    batch = batch_size or (min(32, len(x)) if pair else len(listed[0][0]))
    judged = None if held is None else (as_tensor(held[0], dtype), as_tensor(held[1], dtype))
    count = len(x) if judged is None else len(judged[0])
    least = 1 if judged is not None else LEAST_ROWS
    if count < least:
        raise UsageError(
            f"cure: {count} rows are too few to hold any out; give at least {LEAST_ROWS}, or rows"
            " to judge by as held=(x, y)."
        )
    return Data(x, y, judged), batch
