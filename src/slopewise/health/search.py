"""The search for a cure: which remedies are tried, in which order, and what counts as better.

Invariant: every trial is kept with its scores, the failures too; nothing is trained twice; a plan
is given back only where the lower end of the interval of its gain over the untouched one is
above the margin. It is separate from the cure, which reads what it is given and tells the outcome.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn, optim
from slopewise.errors import SlopewiseError
from slopewise.health.examination import Examination
from slopewise.health.finding import REMEDIES, Finding
from slopewise.health.plain import RATE, SMALLEST_BATCH, make_plain
from slopewise.health.remedies import Plan, Rows, list_variants, score_rows, train_plan

HELD = 0.25
"""Share of the rows that a seed judges by where none are given."""
SCREEN = 3
"""Variants of a remedy are compared after a third of the steps."""
LEAST_STEPS = 50
KEPT = 2
"""So many variants are trained in full: what learns fastest is not always best at the end."""
FIRST_ROWS, SEEN_ROWS = 100, 300
"""Held-out rows that leave a remedy out, and that compare two plans: of few rows, more seeds."""
MOST_SEEDS = 4
"""Seeds that together hold out every row once: more of them would see the same rows again."""
MORE = 3
"""Times as many seeds decide where a gain is unsure."""
PASSED = 4
"""So many remedies of a race go beyond the first seeds, and as many more where none is better."""
PAIRED = 3
"""So many remedies that findings name get another one on top, where none is better alone."""
CERTAIN = 5.0
"""What a finding of this strength names is not left out by the first seeds."""

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
    against : tuple of str
        The lines of what it was compared with.
    """

    remedy: str
    changes: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    gain: float
    bound: float
    better: bool
    against: tuple[str, ...] = ()


class Data:
    """The rows of a cure: for each seed those to train on, and those to judge by."""

    def __init__(self, x: Any, y: Any, held: tuple[Any, Any] | None) -> None:
        self.x, self.y, self.held = x, y, held

    def split(self, seed: int) -> Rows:
        """Return the rows of a seed, which holds out another quarter where no rows are given.

        One quarter of a few rows is too few to judge by; four different ones are all of them.
        """
        if self.held is not None:
            return Rows(self.x, self.y, *self.held, np.arange(len(self.held[0])))
        count = len(self.x)
        cut = max(1, round(count * (1 - HELD)))
        times, place = divmod(seed, round(1 / HELD))
        order = np.roll(np.random.default_rng(times).permutation(count), (count - cut) * place)
        train, held = order[:cut], order[cut:]
        return Rows(self.x[train], self.y[train], self.x[held], self.y[held], held)


class Scored:
    """A plan with its scores, seed by seed, as many as were asked for so far."""

    def __init__(self, plan: Plan, data: Data, steps: int, ours: bool = True) -> None:
        self.plan, self.data, self.steps, self.ours = plan, data, steps, ours
        self.scores: list[float] = []
        self.points: list[tuple[Any, Any]] = []  # of each seed: places of rows, and their scores

    def get(self, count: int) -> list[float]:
        """Return the scores of so many seeds; what is missing is trained."""
        for seed in range(len(self.scores), count):
            rows = self.data.split(seed)
            score, model = train(self.plan, rows, self.steps, seed, self.ours)
            self.scores.append(score)
            points = score_rows(model, rows) if model is not None and math.isfinite(score) else None
            self.points.append((rows.places, points))
        return self.scores[:count]

    def tell_rows(self, count: int) -> dict[int, float]:
        """Return the score of each row, on average over the seeds that held it out."""
        seen: dict[int, list[float]] = {}
        for places, points in self.points[:count]:
            for i, place in enumerate(np.asarray(places).tolist()):
                seen.setdefault(place, []).append(0.0 if points is None else float(points[i]))
        return {place: sum(found) / len(found) for place, found in seen.items()}

    def average(self, count: int) -> float:
        """Return the mean over so many seeds; minus infinity where a training broke down."""
        return float(np.mean(self.get(count)))


def train(plan: Plan, rows: Rows, steps: int, seed: int, ours: bool) -> tuple[float, Any]:
    """Train a plan; of what is not the user's own, a training that fails is one that broke down."""
    try:
        return train_plan(plan, rows, steps, seed)
    except (SlopewiseError, ValueError, ArithmeticError):
        if not ours:
            raise
        return -math.inf, None


class Search:
    """The trials of one cure."""

    def __init__(
        self, data: Data, steps: int, seeds: int, margin: float, confidence: float,
        notify: Callable[[Trial], None] | None = None,
    ) -> None:  # fmt: skip
        self.data, self.steps, self.notify = data, steps, notify
        self.rows = data.split(0)
        self.seeds, self.first = seeds, 1
        if data.held is None:
            # Another seed holds out other rows, so that of few rows all are seen.
            held = max(1, len(self.rows.held_x))
            self.seeds = max(seeds, min(MOST_SEEDS, -(-SEEN_ROWS // held)))
            self.first = min(self.seeds, -(-FIRST_ROWS // held))
        # Remedies look at all rows, as the new model will; columns tell nothing of the targets.
        self.seen = Rows(data.x, data.y, self.rows.held_x, self.rows.held_y)
        self.most = MORE * self.seeds
        self.margin, self.confidence = margin, confidence
        self.trials: list[Trial] = []
        self.level = confidence
        self.others = 1
        self.chosen: dict[tuple[Any, ...], list[Scored]] = {}  # by plan, remedy and how many
        self.start: Scored
        self.proved: Scored
        self.plain: Scored | None = None

    def run(self, plan: Plan, examination: Examination, remedies: Sequence[str] | None) -> Plan:
        self.start = self.proved = best = Scored(plan, self.data, self.steps, ours=False)
        self.plain = self._make_plain(plan)
        listed = _list_remedies(examination, remedies)
        self.others = max(1, sum(finding is None for _, finding in listed))
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
                return self.proved.plan
        pair = self._try_pairs(listed)
        if pair is not None and self._is_proved(pair):
            self._improve(pair, listed)
        return self.proved.plan

    def _try_pairs(self, listed: list[_Listed]) -> Scored | None:
        """Return a remedy that is better on top of one that findings name, where none is alone.

        Input in the right scale, say, may need other steps than the ones that were taken without.
        """
        self.level = 1.0 - (1.0 - self.confidence) / self.others
        least = self._expect(self.start)
        for name, finding in [pair for pair in listed if pair[1] is not None][:PAIRED]:
            for base in self._choose(self.start.plan, name, finding)[:1]:
                if base.average(self.seeds) < least - self.margin:
                    continue
                for remedy, other in listed:
                    if remedy == name:
                        continue
                    for new in self._choose(base.plan, remedy, other, kept=1):
                        if new.average(self.first) - least < self.margin:
                            self._leave(self.start, new)
                        elif self._compare(self.start, new, self.most):
                            return new
        return None

    def _improve(self, best: Scored, listed: list[_Listed]) -> None:
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
            racers = [((remedy, finding), new) for remedy, finding in entered
                      if remedy not in best.plan.remedies
                      for new in self._choose(best.plan, remedy, finding, kept=1)]  # fmt: skip
            racers += [((remedy, finding), new) for remedy, finding in instead
                       for new in self._choose(self.start.plan, remedy, finding)
                       if new.plan.changes != best.plan.changes]  # fmt: skip
            instead = []
            racers.sort(key=lambda racer: racer[1].average(self.first), reverse=True)
            least = self._expect(best) - self.margin
            passed = [racer for racer in racers if racer[1].average(self.first) >= least]
            for _, new in racers[len(passed) :]:
                self._leave(best, new)
            winner, raced = self._race(best, [new for _, new in passed])
            if winner is None:
                break
            dropped = [pair for pair in listed if pair[0] in best.plan.remedies]
            stayed = [pair for pair, new in passed if any(new is one for one in raced)]
            entered = list({pair[0]: pair for pair in (*stayed, *dropped)}.values())
            best = winner

    def _race(self, best: Scored, passed: list[Scored]) -> tuple[Scored | None, list[Scored]]:
        """Return the best that is surely better, of the first few where one is, and those few."""
        winner: Scored | None = None
        raced: list[Scored] = []
        for start in range(0, len(passed), PASSED):
            few = passed[start : start + PASSED]
            if winner is not None:
                for new in few:
                    self._leave(best, new)
                continue
            few.sort(key=lambda new: new.average(self.seeds), reverse=True)
            raced += few
            for place, new in enumerate(few):
                most = self.most if place == 0 else self.seeds
                if self._compare(best, new, most, race=True) and winner is None:
                    winner = new
        return winner, raced

    def tell_scores(self) -> tuple[list[float], list[float]]:
        """Return the scores of the untouched plan and of the one found, over the same seeds."""
        count = max(self.seeds, min(len(self.start.scores), len(self.proved.scores)))
        return self.start.get(count), self.proved.get(count)

    def _is_proved(self, plan: Scored) -> bool:
        """Return whether a plan is better than the untouched one."""
        count = max(len(self.start.scores), len(plan.scores))
        gain, bound = self._measure(self.start, plan, count, self.level)
        while bound < self.margin <= gain and count < self.most:
            count += 1
            gain, bound = self._measure(self.start, plan, count, self.level)
        return bound >= self.margin

    def _measure(
        self, one: Scored, two: Scored, count: int, confidence: float
    ) -> tuple[float, float]:
        """Return the gain of a plan and its lower end, over seeds and over rows.

        Seeds tell how trainings differ. That the rows are some of many is another source of
        chance, which no number of seeds takes away.
        """
        before, after = one.get(count), two.get(count)
        rows = [side.tell_rows(count) for side in (one, two)]
        gaps = np.array([rows[1][place] - rows[0][place] for place in rows[0]])
        error = float(gaps.std(ddof=1)) / math.sqrt(len(gaps)) if len(gaps) > 1 else math.inf
        return compare(before, after, confidence, (error, len(gaps)))

    def _is_enough(self, plan: Scored) -> bool:
        """Return whether a plan comes as far as a plain network with as many steps."""
        if self.plain is None:
            return True
        count = len(plan.scores)
        return plan.average(count) >= self.plain.average(count)

    def _try(self, best: Scored, remedy: str, finding: Finding | None) -> Scored | None:
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
        # Of many that nothing speaks for, one is better by chance.
        share = 1.0 - self.confidence
        self.level = 1.0 - (share if finding is not None else share / self.others)
        return new if self._compare(best, new, self.most, needed=needed) else None

    def _choose(
        self, plan: Plan, remedy: str, finding: Finding | None, kept: int = KEPT
    ) -> list[Scored]:
        """Return the best variants of a remedy, the best one first; none where it does not fit."""
        key = (plan.changes, remedy, kept)
        if key not in self.chosen:
            variants = list(list_variants(remedy, plan, self.seen, finding))
            if len(variants) > kept:
                # Part of the steps tells the best few apart.
                few = max(min(self.steps, LEAST_STEPS), self.steps // SCREEN)
                screened = [(train(v, self.rows, few, 0, True)[0], v) for v in variants]
                screened.sort(key=lambda pair: pair[0], reverse=True)
                variants = [v for _, v in screened[:kept]]
            self.chosen[key] = [Scored(v, self.data, self.steps) for v in variants]
        found = self.chosen[key]
        return sorted(found, key=lambda new: new.average(self.first), reverse=True)

    def _expect(self, plan: Scored) -> float:
        """Return the score that others are compared with after the first seeds.

        Rows that are hard are so for all; but one lucky seed must not shut out all others.
        """
        scores = [s if math.isfinite(s) else 0.0 for s in plan.get(self.seeds)]
        return min(float(np.mean(scores[: self.first])), float(np.mean(scores)))

    def _leave(self, best: Scored, new: Scored) -> None:
        """Note a remedy that the first seeds left out."""
        usual, top = self._expect(best), new.average(self.first)
        self._note(Trial(new.plan.remedies[-1], new.plan.changes, (usual,), (top,), top - usual,
                         math.nan, False, best.plan.changes))  # fmt: skip

    def _note(self, trial: Trial) -> None:
        self.trials.append(trial)
        if self.notify is not None:
            self.notify(trial)

    def _compare(
        self, best: Scored, new: Scored, most: int, *, needed: bool = False, race: bool = False
    ) -> bool:
        """Return whether a plan is surely better; up to so many seeds decide what is not sure."""
        # On top of what is proved, any sure gain of half the margin is worth taking.
        least, wanted = (self.margin / 2, 0.0) if race else (self.margin, self.margin)

        def measure(count: int) -> tuple[float, float]:
            if race:
                return compare(best.get(count), new.get(count), self.confidence)
            return self._measure(best, new, count, self.level)

        count = self.seeds
        gain, bound = measure(count)
        while bound < wanted and count < most:
            # Only the best of a race comes so far, so that it stays as long as it may be better.
            if (2 * gain - bound if race else gain) < least:
                break
            count += 1
            gain, bound = measure(count)
        better = (bound >= wanted and gain >= least) or (needed and gain > -self.margin)
        self._note(Trial(new.plan.remedies[-1], new.plan.changes, tuple(best.get(count)),
                         tuple(new.get(count)), gain, bound, better,
                         best.plan.changes))  # fmt: skip
        return better

    def _make_plain(self, plan: Plan) -> Scored | None:
        """Return a plain network that says how far one may come; None where none fits."""
        x = np.asarray(self.data.x)
        y = np.asarray(self.data.y)
        output = plan.prepare(0)[0]
        with sw.no_grad():
            made = output(self.rows.x[:2])
        made = made[0] if isinstance(made, tuple) else made
        if x.dtype.kind != "f" or made.ndim != 2:
            return None
        classes = int(made.shape[1])
        loss = plan.loss_fn
        if y.dtype.kind != "f" and y.ndim == 1:
            classes = max(classes, int(y.max()) + 1) if classes > 1 else classes
            loss = nn.functional.cross_entropy if classes > 1 else loss

        def draw(model: Any) -> None:
            for module in model:
                if isinstance(module, nn.Linear):
                    module.reset_parameters()

        batch = max(plan.batch, SMALLEST_BATCH)
        peer = replace(plan, model=make_plain(x, classes), loss_fn=loss, batch=batch, draw=draw,
                       make_optimizer=lambda p: optim.Adam(p, lr=RATE))  # fmt: skip
        return Scored(peer, self.data, self.steps)


def compare(
    before: Sequence[float], after: Sequence[float], confidence: float,
    rows: tuple[float, int] = (0.0, 2),
) -> tuple[float, float]:  # fmt: skip
    """Return the mean gain over paired seeds, and the lower end of its one-sided interval.

    `rows` is the standard error that comes of the rows, and their number; both errors are put
    together with the degrees of freedom of Welch (1947).

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
    gain = float(gaps.mean())
    if count < 2 or not math.isfinite(rows[0]):
        return gain, -math.inf
    parts = ((float(gaps.var(ddof=1)) / count, count - 1), (rows[0] ** 2, rows[1] - 1))
    whole = sum(part for part, _ in parts)
    if not whole > 0:
        return gain, gain
    freedom = whole**2 / sum(part**2 / known for part, known in parts)
    return gain, gain - float(stats.t.ppf(confidence, freedom)) * math.sqrt(whole)


def _list_remedies(examination: Examination, remedies: Sequence[str] | None) -> list[_Listed]:
    """Return remedies with what they are for: those of the findings first, then the others."""
    named = {r: f for f in reversed(examination.findings) for r in f.remedies}
    if remedies is not None:
        return [(r, named.get(r)) for r in remedies]
    order = [r for f in examination.findings for r in f.remedies]
    listed = list(dict.fromkeys([*order, *REMEDIES]))
    return [(r, named.get(r)) for r in listed]
