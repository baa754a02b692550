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
"""Share of the rows that a seed judges by where none are given."""
SCREEN = 3
"""Variants of a remedy are compared after a third of the steps."""
LEAST_STEPS = 50
KEPT = 2
"""So many variants are trained in full: what learns fastest is not always best at the end."""
FIRST_ROWS, SEEN_ROWS = 100, 300
"""Held-out rows that leave a remedy out, and that compare two plans: of few rows, more seeds."""
MOST_SEEDS = 12
"""Seeds that are added for the sake of few rows."""
MORE = 3
"""Times as many seeds decide where a gain is unsure."""
PASSED = 4
"""So many remedies of a race go beyond the first seeds, and as many more where none is better."""
CERTAIN = 5.0
"""What a finding of this strength names is not left out by the first seeds."""
MOST_BATCHES = 10_000

_Listed = tuple[str, Finding | None]
"""A remedy, and what it is for."""


@dataclass(frozen=True)
class Trial:
    """One remedy that was tried.

    Attributes
    ----------
    remedy : str
    changes : tuple of str
        The lines that make it.
    before, after : tuple of float
        Scores of what it was compared with and of itself, seed by seed; one mean each where the
        first seeds settled it.
    gain, bound : float
        Mean difference, and the lower end of its interval.
    better : bool
        Whether that is enough; of several that are, the one with the best scores is taken.
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
    A first remedy that is better ends the search, unless a plain network of two layers does better
    with the same steps. Then all others race on top of it, and what the findings name alone, too:
    each takes the first seeds, the best four all seeds, and the best of those more where that is
    needed to be sure; where none is better, the next four. The best that is surely better is taken,
    and the others that came so far race again.
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
        search = _Search(read, steps, seeds, margin, confidence)
        found = search.run(plan, examination, remedies)
        before, after = search.tell_scores()
        goal = math.nan if search.plain is None else search.plain.average(seeds)
        return Cure(found, search.trials, before, after, examination, goal, lang)
    finally:
        restore(quiet)
        sw.set_rng_state(state)


class _Data:
    """The rows of a cure: for each seed those to train on, and those to judge by."""

    def __init__(self, x: Any, y: Any, held: tuple[Any, Any] | None) -> None:
        self.x, self.y, self.held = x, y, held

    def split(self, seed: int) -> Rows:
        """Return the rows of a seed, which holds out another quarter where no rows are given.

        One quarter of a few rows is too few to judge by; three different ones are most of them.
        """
        if self.held is not None:
            return Rows(self.x, self.y, *self.held)
        count = len(self.x)
        cut = max(1, round(count * (1 - HELD)))
        times, place = divmod(seed, round(1 / HELD))
        order = np.roll(np.random.default_rng(times).permutation(count), (count - cut) * place)
        train, held = order[:cut], order[cut:]
        return Rows(self.x[train], self.y[train], self.x[held], self.y[held])


def _read_rows(model: Any, data: Any, held: Any, batch_size: int | None) -> tuple[_Data, int]:
    """Return the rows of the data, and how many of them make a step."""
    dtype = next((p.dtype for p in model.parameters()), sw.get_default_dtype())
    listed = [(as_tensor(x, dtype), as_tensor(y, dtype))
              for x, y in read_batches(data, None, MOST_BATCHES)]  # fmt: skip
    x, y = gather(None, listed, most=None)
    pair = isinstance(data, tuple)
    batch = batch_size or (min(32, len(x)) if pair else len(listed[0][0]))
    judged = None if held is None else (as_tensor(held[0], dtype), as_tensor(held[1], dtype))
    return _Data(x, y, judged), batch


class _Scored:
    """A plan with its scores, seed by seed, as many as were asked for so far."""

    def __init__(self, plan: Plan, data: _Data, steps: int) -> None:
        self.plan, self.data, self.steps = plan, data, steps
        self.scores: list[float] = []

    def get(self, count: int) -> list[float]:
        """Return the scores of so many seeds; what is missing is trained."""
        for seed in range(len(self.scores), count):
            self.scores.append(train_plan(self.plan, self.data.split(seed), self.steps, seed)[0])
        return self.scores[:count]

    def average(self, count: int) -> float:
        """Return the mean over so many seeds; minus infinity where a training broke down."""
        return float(np.mean(self.get(count)))


class _Search:
    """The trials of one cure."""

    def __init__(
        self, data: _Data, steps: int, seeds: int, margin: float, confidence: float
    ) -> None:
        self.data, self.steps = data, steps
        self.rows = data.split(0)
        held = len(self.rows.held_x)
        self.seeds = max(seeds, min(MOST_SEEDS, -(-SEEN_ROWS // held)))
        self.first = min(self.seeds, -(-FIRST_ROWS // held))
        # Remedies look at all rows, as the new model will; columns tell nothing of the targets.
        self.seen = Rows(data.x, data.y, self.rows.held_x, self.rows.held_y)
        self.most = MORE * self.seeds
        self.margin, self.confidence = margin, confidence
        self.trials: list[Trial] = []
        self.start: _Scored
        self.proved: _Scored
        self.plain: _Scored | None = None

    def run(self, plan: Plan, examination: Examination, remedies: Sequence[str] | None) -> Plan:
        self.start = self.proved = best = _Scored(plan, self.data, self.steps)
        self.plain = self._make_plain(plan)
        listed = _list_remedies(examination, remedies)
        again = [pair for pair in listed if pair[1] is not None]
        tried: set[tuple[str, tuple[str, ...]]] = set()
        for remedy, finding in [*listed, *again]:
            # What was tried on a plan would come out the same on it.
            if remedy in best.plan.remedies or (remedy, best.plan.changes) in tried:
                continue
            tried.add((remedy, best.plan.changes))
            better = self._try(best, remedy, finding)
            if better is None:
                continue
            best = better
            if self._is_proved(best):
                self._improve(best, listed)
                break
        return self.proved.plan

    def _improve(self, best: _Scored, listed: list[_Listed]) -> None:
        """Let the other remedies race on top of what is proved, until that comes far enough.

        Tried one after another, the first lucky one would win, and one unlucky seed would shut out
        the best. So all take one seed, a few of them some, and the best as many as it takes
        (successive halving: Jamieson & Talwalkar 2016).
        """
        entered = listed
        # What the findings name also races alone: what came first may stand in its way.
        instead = [pair for pair in listed if pair[1] is not None]
        while self._is_proved(best):
            self.proved = best
            if self._is_enough(best):
                break
            racers = [(pair, new) for pair in entered if pair[0] not in best.plan.remedies
                      for new in self._choose(best.plan, *pair)]  # fmt: skip
            racers += [(pair, new) for pair in instead
                       for new in self._choose(self.start.plan, *pair)
                       if new.plan.changes != best.plan.changes]  # fmt: skip
            instead = []
            racers.sort(key=lambda racer: racer[1].average(self.first), reverse=True)
            least = self._expect(best) - self.margin
            passed = [racer for racer in racers if racer[1].average(self.first) >= least]
            for _, new in racers[len(passed) :]:
                self._leave(best, new)
            winner = self._race(best, [new for _, new in passed])
            if winner is None:
                break
            dropped = [pair for pair in listed if pair[0] in best.plan.remedies]
            stayed = [pair for pair, new in passed if new is not winner]
            entered = list({pair[0]: pair for pair in (*stayed, *dropped)}.values())
            best = winner

    def _race(self, best: _Scored, passed: list[_Scored]) -> _Scored | None:
        """Return the best that is surely better, of the first few where one of them is."""
        winner: _Scored | None = None
        for start in range(0, len(passed), PASSED):
            few = passed[start : start + PASSED]
            if winner is not None:
                for new in few:
                    self._leave(best, new)
                continue
            few.sort(key=lambda new: new.average(self.seeds), reverse=True)
            for place, new in enumerate(few):
                most = self.most if place == 0 else self.seeds
                if self._compare(best, new, most, race=True) and winner is None:
                    winner = new
        return winner

    def tell_scores(self) -> tuple[list[float], list[float]]:
        """Return the scores of the untouched plan and of the one found, over the same seeds."""
        count = max(self.seeds, min(len(self.start.scores), len(self.proved.scores)))
        return self.start.get(count), self.proved.get(count)

    def _is_proved(self, plan: _Scored) -> bool:
        """Return whether a plan is better than the untouched one."""
        # Most often the seeds that are known of both suffice.
        known = (len(self.start.scores), len(plan.scores))
        return any(
            compare(self.start.get(count), plan.get(count), self.confidence)[1] >= self.margin
            for count in range(min(known), max(known) + 1)
        )

    def _is_enough(self, plan: _Scored) -> bool:
        """Return whether a plan comes as far as a plain network with as many steps."""
        if self.plain is None:
            return True
        count = len(plan.scores)
        return plan.average(count) >= self.plain.average(count)

    def _try(self, best: _Scored, remedy: str, finding: Finding | None) -> _Scored | None:
        """Return the best variant of a remedy where it is better than the plan by the margin."""
        found = self._choose(best.plan, remedy, finding)
        if not found:
            return None
        gain = found[0].average(self.first) - self._expect(best)
        # What is plainly wrong is put right even where that alone does not help yet.
        needed = remedy == "head" and gain >= -self.margin
        certain = finding is not None and finding.strength >= CERTAIN and gain >= -self.margin
        if gain < self.margin and not needed and not certain:
            self._leave(best, found[0])
            return None
        least = found[0].average(self.first) - self.margin
        close = [new for new in found if new.average(self.first) >= least]
        new = max(close, key=lambda new: new.average(self.seeds)) if len(close) > 1 else close[0]
        return new if self._compare(best, new, self.most, needed=needed) else None

    def _choose(self, plan: Plan, remedy: str, finding: Finding | None) -> list[_Scored]:
        """Return the best variants of a remedy, the best one first; none where it does not fit."""
        variants = list(list_variants(remedy, plan, self.seen, finding))
        if len(variants) > KEPT:
            # Part of the steps tells the best few apart.
            few = max(min(self.steps, LEAST_STEPS), self.steps // SCREEN)
            screened = [(train_plan(v, self.rows, few, 0)[0], v) for v in variants]
            screened.sort(key=lambda pair: pair[0], reverse=True)
            variants = [v for _, v in screened[:KEPT]]
        found = [_Scored(v, self.data, self.steps) for v in variants]
        found.sort(key=lambda new: new.average(self.first), reverse=True)
        return found

    def _expect(self, plan: _Scored) -> float:
        """Return the score that others are compared with after the first seeds.

        Rows that are hard are so for all; but one lucky seed must not shut out all others.
        """
        scores = [s if math.isfinite(s) else 0.0 for s in plan.get(self.seeds)]
        return min(float(np.mean(scores[: self.first])), float(np.mean(scores)))

    def _leave(self, best: _Scored, new: _Scored) -> None:
        """Note a remedy that the first seeds left out."""
        usual, top = self._expect(best), new.average(self.first)
        self.trials.append(Trial(new.plan.remedies[-1], new.plan.changes, (usual,), (top,),
                                 top - usual, math.nan, False))  # fmt: skip

    def _compare(
        self, best: _Scored, new: _Scored, most: int, *, needed: bool = False, race: bool = False
    ) -> bool:
        """Return whether a plan is surely better; up to so many seeds decide what is not sure."""
        # On top of what is proved, any sure gain of half the margin is worth taking.
        least, wanted = (self.margin / 2, 0.0) if race else (self.margin, self.margin)
        count = self.seeds
        gain, bound = compare(best.get(count), new.get(count), self.confidence)
        while bound < wanted and count < most:
            # Only the best of a race comes so far, so that it stays as long as it may be better.
            if (2 * gain - bound if race else gain) < least:
                break
            count += 1
            gain, bound = compare(best.get(count), new.get(count), self.confidence)
        better = (bound >= wanted and gain >= least) or (needed and gain > -self.margin)
        self.trials.append(Trial(new.plan.remedies[-1], new.plan.changes, tuple(best.get(count)),
                                 tuple(new.get(count)), gain, bound, better))  # fmt: skip
        return better

    def _make_plain(self, plan: Plan) -> _Scored | None:
        """Return a plain network that says how far one may come; None where none fits."""
        x = np.asarray(self.data.x)
        y = np.asarray(self.data.y)
        output = plan.prepare(0)[0]
        with sw.no_grad():
            made = output(self.rows.x[:2])
        made = made[0] if isinstance(made, tuple) else made
        if x.dtype.kind != "f" or made.ndim != 2:
            return None
        width, classes = int(x[0].size), int(made.shape[1])
        loss = plan.loss_fn
        if y.dtype.kind != "f":
            classes = max(classes, int(y.max()) + 1) if classes > 1 else classes
            loss = nn.functional.cross_entropy if classes > 1 else loss

        def draw(model: Any) -> None:
            for module in model:
                if isinstance(module, nn.Linear):
                    module.reset_parameters()

        layers = [nn.Flatten(), nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
                  nn.Linear(64, classes)]  # fmt: skip
        plain = nn.Sequential(Standardise(x), *layers)
        peer = replace(plan, model=plain, loss_fn=loss, batch=max(plan.batch, 16), draw=draw,
                       make_optimizer=lambda p: optim.Adam(p, lr=5e-3))  # fmt: skip
        return _Scored(peer, self.data, self.steps)


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


def _list_remedies(examination: Examination, remedies: Sequence[str] | None) -> list[_Listed]:
    """Return remedies with what they are for: those of the findings first, then the others."""
    named = {r: f for f in reversed(examination.findings) for r in f.remedies}
    if remedies is not None:
        return [(r, named.get(r)) for r in remedies]
    order = [r for f in examination.findings for r in f.remedies]
    listed = list(dict.fromkeys([*order, *REMEDIES]))
    return [(r, named.get(r)) for r in listed]
