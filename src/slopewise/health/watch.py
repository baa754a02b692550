"""A watch: what was read of a network time and again while it learned, and what was found when.

Invariant: looks come in the order of time and hold numbers only; a finding is told when it is sure:
at once where signs are plain, else when it is seen twice in a row. It is separate from whoever
takes the readings: a loop written by hand, or training on tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from slopewise.explain.accounts import Account, Table, say_in, spell
from slopewise.health.diagnosis import diagnose
from slopewise.health.examination import clean_numbers, tell_finding
from slopewise.health.finding import Finding
from slopewise.health.readings import Readings, Trajectory
from slopewise.health.telling import WATCHED, tell_layer
from slopewise.health.wording import VERDICTS

if TYPE_CHECKING:
    from slopewise.drawing import Picture

PLAIN = 5.0
"""Findings of this strength need no second look."""
LEARNED = 0.8
"""Below this share of guessing's loss a network has begun to learn, and is judged as one."""
COURSE = 32
"""Losses that tell the course of a long run: the first, the last, and some in between."""


@dataclass(frozen=True)
class Look:
    """One look.

    Attributes
    ----------
    step : int
        Steps of training before it.
    loss : float
        Of the batch that is looked at.
    gradients, ratios : tuple of float
        The gradient's norm in each call's output, and each call's factor.
    findings : tuple of Finding
    """

    step: int
    loss: float
    gradients: tuple[float, ...]
    ratios: tuple[float, ...]
    findings: tuple[Finding, ...] = ()


@dataclass
class Episode:
    """A finding, and from when to when it was seen; `last` is None while it lasts."""

    finding: Finding
    step: int
    last: int | None = None


class Watch(Account):
    """What was seen of a network while it learned.

    Attributes
    ----------
    names, types, letters : list of str
        Of the calls, in their order.
    looks : list of Look
    episodes : list of Episode
        What was found, in the order of time.
    sound : bool
        Whether the first weights are known to be of the right size, so that steps are to blame for
        a loss that is large at the first look.

    Examples
    --------
    >>> from slopewise.health.measure import Factor
    >>> from slopewise.health.readings import Head, Inputs
    >>> watch = Watch()
    >>> layer = Factor("0", "weights", "Linear", "M", 0.5, grad_out=2.0)
    >>> watch.add(0, Readings([layer], Head(loss=0.7, guess=0.7, best=0.0), Inputs()))
    []
    >>> watch.looks[0].gradients
    (2.0,)
    """

    def __init__(self, lang: str = "en", sound: bool = False) -> None:
        self.lang = lang
        self.sound = sound
        self.names: list[str] = []
        self.types: list[str] = []
        self.letters: list[str] = []
        self.looks: list[Look] = []
        self.episodes: list[Episode] = []
        self._best = math.inf  # of the losses after the first

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong at the last look, as far as it is sure."""
        return tuple(episode.finding for episode in self.episodes if episode.last is None)

    def add(self, step: int, readings: Readings) -> list[Finding]:
        """Take readings, and return what is wrong and was not before.

        Parameters
        ----------
        step : int
        readings : Readings

        Returns
        -------
        list of Finding
        """
        factors = readings.factors
        if [f.name for f in factors] != self.names:
            # A network that runs other layers than before is drawn from here on.
            self.names = [f.name for f in factors]
            self.types = [f.type for f in factors]
            self.letters = [f.letter for f in factors]
            self.looks = []
        findings = self._excuse(diagnose(self.recall(readings)))
        look = Look(step, readings.head.loss, tuple(f.grad_out for f in factors),
                    tuple(f.ratio for f in factors), tuple(findings))  # fmt: skip
        before = {f.id for f in self.looks[-1].findings} if self.looks else set[str]()
        self.looks.append(look)
        now = {f.id for f in findings}
        for episode in self.episodes:
            if episode.last is None and episode.finding.id not in now:
                episode.last = step
        lasting = {episode.finding.id for episode in self.episodes if episode.last is None}
        new = [f for f in findings if f.id not in lasting
               and (f.strength >= PLAIN or f.id in before)]  # fmt: skip
        told = {episode.finding.id for episode in self.episodes}
        self.episodes += [Episode(f, step) for f in new]
        return [f for f in new if f.id not in told]

    def _excuse(self, findings: list[Finding]) -> list[Finding]:
        """Leave out that sound first weights explode, where steps were found to be too long."""
        seen = {f.id for f in findings} | {episode.finding.id for episode in self.episodes}
        if not self.sound or "learning_rate_high" not in seen:
            return findings
        return [f for f in findings if (f.id, f.cause) != ("exploding", "initialisation")]

    def recall(self, readings: Readings) -> Readings:
        """Return readings with the course of the loss, once that says something."""
        head, looks = readings.head, self.looks
        if not looks:
            self._best = math.inf
        elif head.loss < self._best:
            self._best = head.loss
        whole = head.guess - head.best
        if not whole > 0:
            return readings
        first = looks[0].loss if looks else head.guess if self.sound else math.inf
        grown = not math.isfinite(head.loss) or head.loss > 2 * max(first, head.guess)
        if grown and math.isfinite(first) and len(looks) < 2:
            ends = [first, head.loss]
            steps = Trajectory(losses=ends, ends=ends, ratios=[math.nan], rows=1, batch=1)
            return replace(readings, trajectory=steps)
        if len(looks) < 2:
            return readings
        if self._best - head.best > LEARNED * whole and not grown:
            return readings
        count = min(COURSE, len(looks) + 1)
        places = [i * len(looks) // (count - 1) for i in range(count - 1)]
        losses = [*(looks[i].loss for i in places), head.loss]
        course = Trajectory(losses=losses, ends=losses, ratios=[math.nan], rows=1, batch=1)
        return replace(readings, trajectory=course)

    def tell(self, lang: str) -> list[str | Table]:
        """Return how often was looked, what was found when, and a table of the layers."""
        count = len(self.looks)
        rows: list[str | Table] = [
            say_in(WATCHED, "some" if self.episodes else "none", lang, looks=count)
        ]
        for episode in self.episodes:
            found = say_in(VERDICTS, episode.finding.id, lang)
            key = "found" if episode.last is None else "ended"
            rows.append(
                say_in(WATCHED, key, lang, step=episode.step, last=episode.last, found=found)
            )
            named = replace(episode.finding, layer=tell_layer(episode.finding.layer, lang))
            rows += tell_finding(named, lang, first=True)
        if self.looks:
            first, last = self.looks[0], self.looks[-1]
            header = [say_in(WATCHED, k, lang) for k in ("layer", "type", "first", "last",
                                                         "factor")]  # fmt: skip
            cells = [
                [tell_layer(name, lang), self.types[i], _spell(first.gradients[i]),
                 _spell(last.gradients[i]), f"{self.letters[i]} {_spell(last.ratios[i])}"]
                for i, name in enumerate(self.names)
            ]  # fmt: skip
            rows.append(Table(header, cells))
        return rows

    def picture(self, lang: str | None = None) -> Picture:
        """Return the gradient over layers and time, and the factors at the last look."""
        from slopewise.drawing import open_sheet
        from slopewise.health.flow import draw_flow

        with open_sheet(8.0, 1.8 + 0.26 * max(6, len(self.names)), lang or self.lang) as sheet:
            draw_flow(sheet.figure, self, sheet.lang)
            return sheet.finish(say_in(WATCHED, "picture", lang or self.lang))

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return clean_numbers({
            "layers": [{"name": n, "type": t, "letter": x}
                       for n, t, x in zip(self.names, self.types, self.letters, strict=True)],
            "looks": [{"step": k.step, "loss": k.loss, "gradients": k.gradients,
                       "ratios": k.ratios} for k in self.looks],
            "findings": [{"from": s.step, "to": s.last, **s.finding.to_dict()}
                         for s in self.episodes],
        })  # fmt: skip


def _spell(value: float) -> str:
    return "-" if math.isnan(value) else spell(value, 3)
