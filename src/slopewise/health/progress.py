"""Progress: what a few probing steps tell of the learning rate, and of learning at all.

Invariant: everything is relative to what guessing and perfect outputs lose, so no scale of a loss
matters. Steps with ten times the rate stand for ten times as many steps where both are stable. It
is separate from the rules of the diagnosis, which ask it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

from slopewise.health.readings import Readings

HORIZON = 2000
"""Steps that a training is taken to have where its length is not known."""
STRONG = 3.0
"""How strong a sign has to be in a network that learns."""
STEP = 1e-3
"""A step changes healthy weights by about a thousandth of their size."""


@dataclass
class Progress:
    """What the trajectory shows.

    Attributes
    ----------
    known : bool
        Whether steps were taken.
    left : float
        Of the loss after the steps: 1 at guessing, 0 at perfect.
    reached : float
        The least that is to be expected of the budget, seen by steps with larger rates.
    lag : float
        `reached` less what a plain network has left; NaN where that is not known.
    ratio, cosine : float
        Medians over the steps.
    lower, higher : float
        Loss with a tenth of the rate, and the best one with more.
    """

    known: bool = False
    left: float = math.nan
    reached: float = math.nan
    lag: float = math.nan
    ratio: float = math.nan
    cosine: float = math.nan
    lower: float = math.nan
    higher: float = math.nan
    too_high: bool = False
    too_low: bool = False
    diverges: bool = False
    explodes: bool = False
    bounces: bool = False
    high: float = 0.0
    low: float = 0.0

    @property
    def stuck(self) -> bool:
        """Whether little will be learned."""
        return self.known and not self.reached < 0.8

    @property
    def threshold(self) -> float:
        """How strong a sign has to be, given what is learned."""
        if not self.known:
            return 1.0
        if self.too_low or self.too_high:
            return 1.0  # what is seen of learning has another reason
        if math.isnan(self.lag):
            return STRONG if self.reached < 0.3 else 0.4 if self.stuck else 1.0
        if self.lag < 0.1:
            return STRONG
        # Where a plain network learns and this one does not, something keeps it from learning.
        return 0.4 if self.stuck else 0.6 if self.lag > 0.5 else 0.7 if self.lag > 0.15 else 1.0


def judge_progress(readings: Readings) -> Progress:
    """Return what the trajectory of readings shows.

    Parameters
    ----------
    readings : Readings

    Returns
    -------
    Progress

    Examples
    --------
    >>> from slopewise.health.readings import Head, Inputs, Trajectory
    >>> steps = Trajectory(losses=[1.0, 9.0, 80.0], ends=[1.0, 9.0, 800.0], ratios=[0.5, 0.5])
    >>> found = judge_progress(Readings([], Head(loss=1, guess=1, best=0), Inputs(), steps))
    >>> found.too_high, found.diverges
    (True, True)
    """
    t, head = readings.trajectory, readings.head
    if t is None or not t.ratios:
        return Progress()
    whole = head.guess - head.best
    if not whole > 0:
        whole = abs(t.ends[0]) or 1.0

    def left(loss: float) -> float:
        base = head.best if math.isfinite(head.best) else 0.0
        return (loss - base) / whole if math.isfinite(loss) else math.inf

    p = Progress(known=True, left=left(t.ends[-1]))
    p.ratio = median([r for r in t.ratios if math.isfinite(r)] or [math.nan])
    p.cosine = median(t.cosines) if t.cosines else math.nan
    steps = len(t.ratios)
    budget = readings.budget or HORIZON
    outcomes = {1.0: min(map(left, t.ends[1:]))}
    for scale, ends in t.others.items():
        # As many steps with this rate as the budget has with the true one.
        place = math.floor(min(1.0, budget / (scale * steps)) * (len(ends) - 1))
        if scale > 1 and place > 0:
            outcomes[scale] = min(map(left, ends[1 : place + 1]))
    p.reached = min(outcomes.values())
    plain = [x for x in t.plain[1:] if math.isfinite(x)]
    if plain and math.isfinite(p.reached):
        p.lag = p.reached - min(plain)
    best = {s: min(map(left, e[1:])) for s, e in t.others.items()}
    p.lower = t.others.get(0.1, [math.nan])[-1]
    p.higher = min((e[-1] for s, e in t.others.items() if s > 1 and math.isfinite(e[-1])),
                   default=math.nan)  # fmt: skip
    start = left(t.ends[0])
    p.diverges = not math.isfinite(t.ends[-1]) or p.left > max(1.5 * start, 2.0)
    jumps = [b - a for a, b in zip(t.ends[1:], t.ends[2:], strict=False)]
    p.explodes = not math.isfinite(t.ends[-1]) or max(map(left, t.ends)) > 30 * max(start, 1.0)
    p.bounces = p.cosine < -0.2 or (bool(jumps) and max(jumps) > 0.2 * whole)
    calmer = p.left - best.get(0.1, math.inf)
    p.high = 10.0 if p.diverges else max(0.0, calmer / 0.2)
    p.too_high = p.diverges or (calmer > 0.2 and p.ratio > 3 * STEP) or (
        calmer > 0.1 and p.ratio > 10 * STEP)  # fmt: skip
    faster = p.reached - min(best.values(), default=math.inf)
    p.low = max(0.0, faster / 0.25)
    # Weights that will have changed by a tenth in all stay what they were drawn as.
    still = budget * p.ratio < 0.1 and faster > 0.05
    # Weights that will have changed by a hundredth in all cannot have learned anything.
    stands = budget * p.ratio < 0.01
    p.too_low = not p.too_high and p.reached > 0.3 and p.ratio < STEP and (
        faster > 0.25 or still or stands)  # fmt: skip
    p.low = max(p.low, 2.0 if p.too_low and stands else 0.0)
    return p
