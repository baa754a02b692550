"""The examination: what was measured of a network, and what was found, told in both languages.

Invariant: everything told is a number of the readings or a word of the findings; telling computes
nothing. It is separate from taking the readings, which each framework does in its own way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slopewise.explain.accounts import Account, Table, say_in, spell
from slopewise.health.diagnosis import diagnose, is_converged
from slopewise.health.finding import Finding
from slopewise.health.measure import Factor
from slopewise.health.readings import Head, Readings
from slopewise.health.wording import CAUSES, EVIDENCE, EXPLAINED, REMEDIES, VERDICTS, WORDS

if TYPE_CHECKING:
    from slopewise.drawing import Picture


class Examination(Account):
    """A network's gradient health.

    Attributes
    ----------
    readings : Readings
    findings : tuple of Finding
        The gravest first; empty where nothing is wrong.
    verdict : str
        The first finding's id, else "converged" or "healthy".
    healthy : bool
        Whether nothing was found.

    Examples
    --------
    >>> from slopewise.health.readings import Head, Inputs, Readings
    >>> found = Examination(Readings([], Head(loss=0.7, guess=0.7, best=0.0), Inputs(rms=1.0)))
    >>> found.verdict, found.healthy
    ('healthy', True)
    """

    def __init__(
        self, readings: Readings, findings: Sequence[Finding] | None = None, lang: str = "en"
    ) -> None:
        self.readings = readings
        self.findings = tuple(diagnose(readings) if findings is None else findings)
        self.lang = lang

    @property
    def factors(self) -> list[Factor]:
        """The factors of every call, in order."""
        return self.readings.factors

    @property
    def head(self) -> Head:
        """The loss, and what reaches the last weights of it."""
        return self.readings.head

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def verdict(self) -> str:
        """The gravest finding's id, else "converged" or "healthy"."""
        if self.findings:
            return self.findings[0].id
        return "converged" if is_converged(self.readings) else "healthy"

    def tell(self, lang: str) -> list[str | Table]:
        """Return the verdict, each finding, and the table of factors."""
        said = say_in(VERDICTS, self.verdict, lang)
        parts: list[str | Table] = [
            f"{say_in(WORDS, 'verdict', lang, found=said)} {say_in(EXPLAINED, self.verdict, lang)}"
        ]
        for place, finding in enumerate(self.findings):
            parts += tell_finding(finding, lang, first=place == 0)
        head = self.head
        loss = say_in(WORDS, "loss", lang, loss=_spell(head.loss), guess=_spell(head.guess),
                      best=_spell(head.best))  # fmt: skip
        score = say_in(WORDS, head.metric, lang, score=_spell(head.score),
                       chance=_spell(head.chance))  # fmt: skip
        parts.append(f"{loss} {score}")
        if self.factors:
            keys = ("layer", "type", "factor", "value", "parts", "gradient", "size", "spread",
                    "weight", "rho")  # fmt: skip
            header = [say_in(WORDS, key, lang) for key in keys]
            parts.append(Table(header, [_tell_factor(f, lang) for f in self.factors]))
        return parts

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold; numbers that are not finite become None."""
        factors = [
            {"name": f.name, "kind": f.kind, "type": f.type, "letter": f.letter,
             "formula": f.formula, "measured": f.measured, "grad_in": f.grad_in,
             "grad_out": f.grad_out, "parts": f.parts, "forward": f.forward,
             "weights": f.weights, "steps": f.steps}
            for f in self.factors
        ]  # fmt: skip
        found = {
            "verdict": self.verdict, "healthy": self.healthy,
            "findings": [finding.to_dict() for finding in self.findings],
            "head": vars(self.head), "inputs": vars(self.readings.inputs), "layers": factors,
            "trajectory": vars(self.readings.trajectory) if self.readings.trajectory else None,
        }  # fmt: skip
        return clean_numbers(found)

    def json(self, indent: int | None = 2) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def picture(self, lang: str | None = None) -> Picture:
        """Return the gradient's size at each layer, and the logarithm of each factor."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import PALETTE

        factors = [f for f in self.factors if math.isfinite(f.grad_out) and f.grad_out > 0]
        with open_sheet(max(5.4, 0.32 * len(factors) + 2), 5.6, lang or self.lang) as sheet:
            above, below = sheet.figure.subplots(2, 1, sharex=True)
            places = range(len(factors))
            above.plot(places, [f.grad_out for f in factors], marker="o", color=PALETTE[0])
            above.set_yscale("log")
            above.set_ylabel(say_in(WORDS, "axis", sheet.lang))
            for i, letter in enumerate("ANMR"):
                own = [p for p in places if factors[p].letter == letter
                       and 0 < factors[p].ratio < math.inf]  # fmt: skip
                if own:
                    below.bar(own, [math.log(factors[p].ratio) for p in own],
                              color=PALETTE[i % len(PALETTE)],
                              label=say_in(WORDS, letter, sheet.lang))  # fmt: skip
            below.axhline(0, color="#888888", linewidth=0.8)
            below.set_ylabel(say_in(WORDS, "axis_factor", sheet.lang))
            below.set_xticks(list(places), [f.name for f in factors], rotation=90, fontsize=7)
            if factors:
                below.legend(fontsize=8)
            return sheet.finish(say_in(WORDS, "picture", lang or self.lang))


def tell_finding(finding: Finding, lang: str, first: bool = False) -> list[str]:
    """Return the paragraphs of a finding; of the first one, the verdict was told already."""
    rows: list[str] = []
    if not first:
        said = say_in(VERDICTS, finding.id, lang)
        explained = say_in(EXPLAINED, finding.id, lang)
        rows.append(f"{say_in(WORDS, 'verdict', lang, found=said)} {explained}")
    lines: list[str] = []
    if finding.layer:
        key = "blame" if finding.factor else "where"
        lines.append(say_in(WORDS, key, lang, layer=finding.layer, factor=finding.factor,
                            share=f"{finding.blame:.0f}"))  # fmt: skip
    lines.append(say_in(WORDS, "cause", lang, cause=say_in(CAUSES, finding.cause, lang)))
    rows.append(" ".join(lines))
    if finding.evidence:
        found = ", ".join(f"{say_in(EVIDENCE, key, lang)} {_spell(value)}"
                          for key, value in finding.evidence.items())  # fmt: skip
        rows.append(say_in(WORDS, "evidence", lang, found=found))
    tried = "; ".join(f"{i}. {say_in(REMEDIES, remedy, lang)}"
                      for i, remedy in enumerate(finding.remedies, 1))  # fmt: skip
    if tried:
        rows.append(say_in(WORDS, "remedies", lang, found=tried))
    return rows


def _tell_factor(f: Factor, lang: str) -> list[str]:
    shown = [say_in(WORDS, key, lang, x=_spell(value)) for key, value in f.parts.items()
             if key in ("dead", "saturated", "scale", "alignment", "kept")
             and not (key in ("dead", "saturated") and value == 0)]  # fmt: skip
    return [f.name, f.type, f.letter, _spell(f.ratio), ", ".join(shown) or "-",
            _spell(f.grad_out), _spell(f.forward.get("rms", math.nan)),
            _spell(f.forward.get("spread", math.nan)), _spell(f.weights.get("grad", math.nan)),
            _spell(f.weights.get("rho", math.nan))]  # fmt: skip


def _spell(value: float) -> str:
    return "-" if value is None or math.isnan(value) else spell(value, 3)


def clean_numbers(value: Any) -> Any:
    """Return the same with None for numbers that JSON cannot hold, and names for keys."""
    if isinstance(value, dict):
        return {str(k): clean_numbers(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_numbers(v) for v in value]
    if isinstance(value, (bool, str, int)) or value is None:
        return value
    number = float(value)
    return number if math.isfinite(number) else None
