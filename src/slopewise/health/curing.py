"""The cure: remedies tried in order, each proved over seeds against the untouched model.

Invariant: the user's model, optimiser and data are never changed; every trial, the failures too, is
told with its scores; a remedy counts only where the lower end of the interval of its gain is
above the margin. It is separate from the remedies, which know what to do, not whether it helped.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import slopewise as sw
from slopewise import nn, optim
from slopewise._core.quiet import hush, restore
from slopewise.explain.accounts import Account, Table, say_in, spell
from slopewise.explain.requests import check_choice, check_lang, check_range
from slopewise.health.examination import Examination
from slopewise.health.examining import STEPS, examine, gather, read_batches
from slopewise.health.finding import REMEDIES, Finding
from slopewise.health.probe import as_tensor
from slopewise.health.remedies import Plan, Rows, list_variants, remake, train_plan
from slopewise.health.surgery import Standardise
from slopewise.health.wording import CURE
from slopewise.health.wording import REMEDIES as REMEDY_WORDS
from slopewise.nn.module import require_module

if TYPE_CHECKING:
    from slopewise.drawing import Picture

MARGIN = 0.02
"""Two points of accuracy, or as much of R squared."""
CONFIDENCE = 0.95
HELD = 0.25
"""Share of the rows to judge by where none are given."""
SCREEN = 3
"""Variants of a remedy are compared after a third of the steps."""
LEAST_STEPS = 50
MORE = 3
"""Times as many seeds decide where a large gain is unsure."""
MOST_BATCHES = 10_000


@dataclass(frozen=True)
class Trial:
    """One remedy that was tried.

    Attributes
    ----------
    remedy : str
    changes : tuple of str
        The lines that make it.
    before, after : tuple of float
        Scores of what it was compared with and of itself, seed by seed; fewer where the first seed
        settled it.
    gain, bound : float
        Mean difference, and the lower end of its interval.
    better : bool
    """

    remedy: str
    changes: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    gain: float
    bound: float
    better: bool


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
        after: Sequence[float], examination: Examination, goal: float, lang: str,
    ) -> None:  # fmt: skip
        self.plan = plan
        self.trials = tuple(trials)
        self.before = tuple(before)
        self.after = tuple(after)
        self.examination = examination
        self.goal = goal
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
            rows = [[say_in(REMEDY_WORDS, t.remedy, lang), _spell(float(np.mean(t.before))),
                     _spell(float(np.mean(t.after))), _spell(t.gain), _spell(t.bound),
                     say_in(CURE, "yes" if t.better else "no", lang)]
                    for t in self.trials]  # fmt: skip
            parts.append(Table(header, rows))
        return parts

    def picture(self, lang: str | None = None) -> Picture:
        """Return the scores of every trial beside those of the untouched model."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import PALETTE

        with open_sheet(6.4, max(2.4, 0.4 * len(self.trials) + 1.2), lang or self.lang) as sheet:
            axes = sheet.figure.subplots()
            for i, trial in enumerate(self.trials):
                scores = [s if math.isfinite(s) else 0.0 for s in trial.after]
                axes.plot(scores, [i] * len(scores), linestyle="",
                          marker="o" if trial.better else "x",
                          color=PALETTE[0 if trial.better else 1])  # fmt: skip
            axes.axvline(float(np.mean([s if math.isfinite(s) else 0.0 for s in self.before])),
                         color="#888888", linewidth=0.8)  # fmt: skip
            names = [say_in(REMEDY_WORDS, t.remedy, sheet.lang) for t in self.trials]
            axes.set_yticks(range(len(self.trials)), names)
            axes.invert_yaxis()
            axes.set_xlabel(say_in(CURE, "score", sheet.lang))
            return sheet.finish(say_in(CURE, "picture", lang or self.lang))


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
        Rows to judge by; a quarter of the data if not given.
    steps : int
        The budget of each training.
    batch_size : int, optional
        Rows in a step; those of the batches, or 32, if not given.
    seeds : int
        Trainings of each; the first one leaves out what is hopeless, and up to three times as many
        decide where a large gain is unsure.
    margin : float
        How much better a remedy has to be, in accuracy or R squared.
    confidence : float
        Of the one-sided interval by Student's t over paired seeds.
    remedies : sequence of str, optional
        Which, in this order; those of the findings first and then all others, if not given.
    examination : Examination, optional
        Of this model; made if not given.
    lang : str
        "en" or "ko".

    Returns
    -------
    Cure

    Raises
    ------
    UsageError
        If the data are no batches, or a remedy is none there is.

    Notes
    -----
    A first remedy that is better ends the search, unless a plain network of two layers still does
    better by the margin with the same steps. Then further remedies are tried on top of it.
    """
    check_lang("cure", lang)
    require_module(model, "cure")
    check_range("cure", "seeds", seeds, 2, 1000)
    check_range("cure", "steps", steps, 1, 10_000_000)
    for remedy in remedies or ():
        check_choice("cure", "remedy", remedy, REMEDIES)
    quiet = hush()
    state = sw.get_rng_state()
    try:
        rows, batch = _read_rows(model, data, held, batch_size)
        if optimizer is None:
            optimizer = optim.Adam(model.parameters())
        plan = Plan(copy.deepcopy(model), loss_fn, remake(optimizer), batch)
        if examination is None:
            probing: dict[str, Any] = {
                "steps": min(STEPS, steps),
                "budget": steps,
                "batch_size": batch,
            }
            rows_seen = (rows.x, rows.y)
            examination = examine(model, loss_fn, rows_seen, optimizer=optimizer, **probing)
        search = _Search(rows, steps, range(seeds), margin, confidence)
        found = search.run(plan, examination, remedies)
        return Cure(found, search.trials, search.untouched, search.best, examination,
                    search.goal, lang)  # fmt: skip
    finally:
        restore(quiet)
        sw.set_rng_state(state)


def _read_rows(model: Any, data: Any, held: Any, batch_size: int | None) -> tuple[Rows, int]:
    """Return the rows of the data, split where no others are held out."""
    dtype = next((p.dtype for p in model.parameters()), sw.get_default_dtype())
    listed = [(as_tensor(x, dtype), as_tensor(y, dtype))
              for x, y in read_batches(data, None, MOST_BATCHES)]  # fmt: skip
    x, y = gather(None, listed, most=None)
    pair = isinstance(data, tuple)
    batch = batch_size or (min(32, len(x)) if pair else len(listed[0][0]))
    if held is not None:
        return Rows(x, y, as_tensor(held[0], dtype), as_tensor(held[1], dtype)), batch
    order = np.random.default_rng(0).permutation(len(x))
    cut = max(1, round(len(x) * (1 - HELD)))
    return Rows(x[order[:cut]], y[order[:cut]], x[order[cut:]], y[order[cut:]]), batch


class _Search:
    """The trials of one cure."""

    def __init__(
        self, rows: Rows, steps: int, seeds: Sequence[int], margin: float, confidence: float
    ) -> None:
        self.rows, self.steps = rows, steps
        self.seeds: Sequence[int] = list(seeds)
        self.most = MORE * len(self.seeds)
        self.margin, self.confidence = margin, confidence
        self.trials: list[Trial] = []
        self.untouched: list[float] = []
        self.best: list[float] = []
        self.goal = math.nan
        self.start: Plan

    def run(self, plan: Plan, examination: Examination, remedies: Sequence[str] | None) -> Plan:
        self.start = plan
        self.untouched = self.best = [self._score(plan, seed) for seed in self.seeds]
        self.goal = self._find_goal(plan)
        listed = _list_remedies(examination, remedies)
        again = [pair for pair in listed if pair[1] is not None]
        proved, scores = plan, self.untouched
        for remedy, finding in [*listed, *again]:
            if remedy in plan.remedies:
                continue
            better = self._try(plan, remedy, finding)
            if better is None:
                continue
            plan = better
            if self._is_proved():
                proved, scores = plan, self.best
                if not float(np.mean(self.best)) < self.goal - self.margin / 2:
                    break
        self.best = scores if proved is not self.start else self.untouched
        return proved

    def _is_proved(self) -> bool:
        """Return whether the best plan is better than the untouched one."""
        return compare(self.untouched, self.best, self.confidence)[1] >= self.margin

    def _score(self, plan: Plan, seed: int) -> float:
        return train_plan(plan, self.rows, self.steps, seed)[0]

    def _try(self, plan: Plan, remedy: str, finding: Finding | None) -> Plan | None:
        """Return the best variant of a remedy where it is better than the plan."""
        first = self.seeds[0]
        variants = list(list_variants(remedy, plan, self.rows, finding))
        if not variants:
            return None
        chosen = variants[0]
        if len(variants) > 1:
            # Part of the steps tells the best few apart; the best one is then trained in full.
            few = max(min(self.steps, LEAST_STEPS), self.steps // SCREEN)
            screened = [(train_plan(v, self.rows, few, first)[0], v) for v in variants]
            chosen = max(screened, key=lambda pair: pair[0])[1]
        top = self._score(chosen, first)
        usual = float(np.mean([s if math.isfinite(s) else 0.0 for s in self.best]))
        # What is plainly wrong is put right even where that alone does not help yet.
        needed = remedy == "head" and top >= usual - self.margin
        # On top of what is proved already, any sure gain of half the margin is worth taking.
        extra = plan is not self.start and self._is_proved()
        least = self.margin / 2 if extra else self.margin
        if top - usual < least and not needed:
            self.trials.append(Trial(remedy, chosen.changes, (usual,), (top,), top - usual,
                                     math.nan, False))  # fmt: skip
            return None
        after = [top, *(self._score(chosen, seed) for seed in self.seeds[1:])]
        gain, bound = compare(self.best, after, self.confidence)
        wanted = 0.0 if extra else self.margin
        while bound < wanted and self.margin <= gain / 3 and len(after) < self.most:
            # A large gain that is not sure yet: more seeds decide.
            seed = self.seeds[-1] + 1
            self.seeds = [*self.seeds, seed]
            self.untouched = [*self.untouched, self._score(self.start, seed)]
            self.best = [*self.best, self._score(plan, seed)]
            after.append(self._score(chosen, seed))
            gain, bound = compare(self.best, after, self.confidence)
        better = (bound >= wanted and gain >= least) or (needed and gain > -self.margin)
        self.trials.append(Trial(remedy, chosen.changes, tuple(self.best), tuple(after), gain,
                                 bound, better))  # fmt: skip
        if not better:
            return None
        self.best = after
        return chosen

    def _find_goal(self, plan: Plan) -> float:
        """Return what a plain network reaches with as many steps, on average over the seeds."""
        x = np.asarray(self.rows.x)
        with_shape = np.asarray(self.rows.held_y)
        output = plan.prepare(0)[0]
        with sw.no_grad():
            made = output(self.rows.x[:2])
        made = made[0] if isinstance(made, tuple) else made
        if x.dtype.kind != "f" or made.ndim != 2:
            return math.nan
        width, classes = int(x[0].size), int(made.shape[1])
        state = sw.get_rng_state()
        loss = plan.loss_fn
        if with_shape.dtype.kind != "f":
            classes = max(classes, int(with_shape.max()) + 1) if classes > 1 else classes
            loss = nn.functional.cross_entropy if classes > 1 else loss
        scores: list[float] = []
        for seed in self.seeds:
            sw.manual_seed(seed)
            layers = [nn.Flatten(), nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
                      nn.Linear(64, classes)]  # fmt: skip
            plain = nn.Sequential(Standardise(x), *layers)
            peer = replace(plan, model=plain, loss_fn=loss, batch=max(plan.batch, 16), draw=None,
                           make_optimizer=lambda p: optim.Adam(p, lr=5e-3))  # fmt: skip
            scores.append(train_plan(peer, self.rows, self.steps, seed)[0])
        sw.set_rng_state(state)
        return float(np.mean(scores))


def compare(
    before: Sequence[float], after: Sequence[float], confidence: float
) -> tuple[float, float]:
    """Return the mean gain over paired seeds, and the lower end of its one-sided interval.

    Scores that broke down count as the worst of the others, so that they have a difference.

    Examples
    --------
    >>> gain, bound = compare([0.5, 0.5, 0.6], [0.9, 0.9, 0.9], 0.95)
    >>> round(gain, 3), round(bound, 3)
    (0.367, 0.269)
    """
    from scipy import stats

    finite = [s for s in (*before, *after) if math.isfinite(s)]
    worst = min(0.0, *finite) if finite else 0.0
    one, two = ([s if math.isfinite(s) else worst for s in side] for side in (before, after))
    gaps = np.subtract(two, one)
    count = len(gaps)
    error = float(gaps.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    gain = float(gaps.mean())
    return gain, gain - float(stats.t.ppf(confidence, count - 1)) * error


def _list_remedies(
    examination: Examination, remedies: Sequence[str] | None
) -> list[tuple[str, Finding | None]]:
    """Return remedies with what they are for: those of the findings first, then the others."""
    named = {r: f for f in reversed(examination.findings) for r in f.remedies}
    if remedies is not None:
        return [(r, named.get(r)) for r in remedies]
    order = [r for f in examination.findings for r in f.remedies]
    listed = list(dict.fromkeys([*order, *REMEDIES]))
    return [(r, named.get(r)) for r in listed]
