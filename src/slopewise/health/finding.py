"""Findings: what is wrong, where, by how much, what shows it, and what to try.

Invariant: a finding is names and numbers; its sentences are made elsewhere, in any language. It is
separate because diagnosis, cure, reports and watchers all pass findings on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PROBLEMS = (
    "vanishing", "exploding", "forward_collapse", "dying_relu", "saturated", "no_head_gradient",
    "wrong_head", "learning_rate_high", "learning_rate_low", "oscillation", "input_scale",
    "symmetry", "too_narrow", "normalisation", "broken_input", "target_scale", "cut_off", "frozen",
)  # fmt: skip
"""What a finding may be."""
CAUSES = (
    "activation", "initialisation", "saturation", "normalisation", "width", "depth", "input",
    "learning_rate", "batch", "range", "twice", "one_unit", "loss", "shapes", "constant",
    "output", "not_numbers", "target", "cut", "left_out", "sign", "time",
)  # fmt: skip
"""What may be behind it."""
REMEDIES = (
    "head", "scale_target", "standardise", "initialisation", "recurrence", "lsuv", "activation",
    "batch_norm", "layer_norm", "residual", "lower_rate", "raise_rate", "optimiser", "clipping",
    "larger_batch", "width",
)  # fmt: skip
"""What may be tried, in the order in which it is tried where nothing else is known."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes
    ----------
    id : str
        One of `PROBLEMS`.
    cause : str
        One of `CAUSES`.
    layer : str
        Where most of it happens; "" where it is of the whole network.
    factor : str
        "A", "N" or "M", "" where no factor is to blame.
    blame : float
        The layer's share of the blame, in per cent.
    evidence : dict of str to float
        The numbers that show it.
    remedies : tuple of str
        Of `REMEDIES`, in the order in which to try them.
    shares : dict of str to float
        Blame of every layer that has any, in per cent, by its name.
    strength : float
        How far beyond its threshold it is: 1 is at the threshold.

    Examples
    --------
    >>> found = Finding("vanishing", "activation", "1", "A", 25.0, {"ratio": 1e-6}, ("activation",))
    >>> found.to_dict()["cause"]
    'activation'
    """

    id: str
    cause: str
    layer: str = ""
    factor: str = ""
    blame: float = 100.0
    evidence: dict[str, float] = field(default_factory=dict[str, float])
    remedies: tuple[str, ...] = ()
    shares: dict[str, float] = field(default_factory=dict[str, float])
    strength: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "id": self.id, "cause": self.cause, "layer": self.layer, "factor": self.factor,
            "blame": self.blame, "evidence": dict(self.evidence),
            "remedies": list(self.remedies), "shares": dict(self.shares),
            "strength": self.strength,
        }  # fmt: skip
