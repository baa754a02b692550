"""Blame: how much each layer and each factor has to do with a gradient that vanishes or explodes.

Invariant: shares are of logarithms, so that they add up over layers as factors multiply, and sum to
100 per cent. It is separate from the rules that decide whether anything is wrong at all.

An activation is blamed for what no weights of usual size make good: the steepest slope it has (1/4
for a sigmoid). What it loses beyond, as half of a ReLU's gradient, is what an initialisation has to
make good (He et al. 2015: gain 1/E), so the weights are measured against that. What is lost beyond
even that is saturation, or units that are dead.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from slopewise.health.measure import Factor

EXPECTED = {
    "relu": math.sqrt(0.5), "relu6": math.sqrt(0.5), "leakyrelu": math.sqrt(0.5), "gelu": 0.68,
    "silu": 0.62, "mish": 0.66, "elu": 0.81, "hardswish": 0.62, "tanh": 0.68,
    "softplus": 0.54, "softsign": 0.57, "selu": 0.98,
}  # fmt: skip
"""Root mean square slope over its steepest where inputs are standard normal, by lower-case type."""
LEAST = 1e-30
"""In place of a factor of 0, so that it has a logarithm."""


@dataclass
class Part:
    """One layer's logarithm of one kind.

    Attributes
    ----------
    layer : str
    letter : str
        "A", "N", "M" or "R".
    kind : str
        "activation", "saturation", "initialisation", "normalisation" or "other".
    log : float
        Below 0 where the gradient shrinks.
    """

    layer: str
    letter: str
    kind: str
    log: float


def split(factors: Sequence[Factor]) -> list[Part]:
    """Return the parts of every factor between the first and the last weights.

    Parameters
    ----------
    factors : sequence of Factor

    Returns
    -------
    list of Part

    Examples
    --------
    >>> sigmoid = Factor("1", "activation", "Sigmoid", "A", formula=0.21, parts={"bound": 0.25})
    >>> layers = [Factor(name, "weights", "Linear", "M", 1.0) for name in "02"]
    >>> [(p.kind, round(p.log, 2)) for p in split([layers[0], sigmoid, layers[1]])]
    [('activation', -1.39), ('saturation', -0.17)]
    """
    parts: list[Part] = []
    weights = [i for i, f in enumerate(factors) if f.letter == "M"]
    if not weights:
        return []
    owed = 1.0  # what activations before these weights' gradient leave for them to make good
    ceiling: Part | None = None  # what the activation before these weights takes at its steepest
    for i in range(weights[0] + 1, weights[-1] + 1):
        f = factors[i]
        value = f.ratio
        if math.isnan(value):
            continue
        log = math.log(max(value, LEAST)) if math.isfinite(value) else -math.log(LEAST)
        if f.letter == "A":
            bound = f.parts.get("bound", 1.0)
            shape = EXPECTED.get(f.type.lower(), 1.0)
            limit = math.log(bound) if bound > 0 else math.log(LEAST)
            rest = log - limit - math.log(shape)
            ceiling = Part(f.name, "A", "activation", limit if f.type.lower() != "relu" else 0.0)
            parts.append(ceiling)
            if rest < 0:
                parts.append(Part(f.name, "A", "saturation", rest))
            owed = shape * math.exp(max(rest, 0.0))
        elif f.letter == "M":
            gain = log + math.log(owed)
            if ceiling is not None and gain > 0 > ceiling.log:
                # Large weights give back what the activation takes, before they give too much.
                given = min(gain, -ceiling.log)
                ceiling.log += given
                gain -= given
            parts.append(Part(f.name, "M", "initialisation", gain))
            owed, ceiling = 1.0, None
        elif f.letter == "N":
            parts.append(Part(f.name, "N", "normalisation", log))
        else:
            parts.append(Part(f.name, "R", "other", log))
    return [p for p in parts if p.log]


def split_nominal(factors: Sequence[Factor]) -> list[Part]:
    """Return what the size of the weights alone makes of the gradient, layer by layer.

    It can be told where no gradient comes through.

    Examples
    --------
    >>> layer = Factor("2", "weights", "Linear", "M", weights={"scale": 0.5})
    >>> [round(p.log, 2) for p in split_nominal([layer, layer])]
    [-0.69]
    """
    parts: list[Part] = []
    weights = [i for i, f in enumerate(factors) if f.letter == "M" and "scale" in f.weights]
    for before, i in itertools.pairwise(weights):
        types = [f.type.lower() for f in factors[before + 1 : i] if f.letter in "AR"]
        normal = any(f.letter == "N" for f in factors[before + 1 : i])
        shape = min((EXPECTED.get(t, 1.0) for t in types), default=1.0)
        scale = max(factors[i].weights["scale"] * shape, LEAST)
        if not normal:
            parts.append(Part(factors[i].name, "M", "initialisation", math.log(scale)))
    return parts


def share(parts: Sequence[Part], sign: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the blame in per cent by layer, and by kind.

    Parameters
    ----------
    parts : sequence of Part
    sign : int
        -1 for what makes the gradient vanish, 1 for what makes it explode.

    Returns
    -------
    dict of str to float, dict of str to float
        Largest first.

    Examples
    --------
    >>> parts = [Part("0", "M", "initialisation", -1.0), Part("1", "A", "activation", -3.0)]
    >>> share(parts, -1)
    ({'1': 75.0, '0': 25.0}, {'activation': 75.0, 'initialisation': 25.0})
    """
    guilty = [p for p in parts if p.log * sign > 0]
    whole = sum(abs(p.log) for p in guilty)
    layers: dict[str, float] = {}
    kinds: dict[str, float] = {}
    for p in guilty:
        layers[p.layer] = layers.get(p.layer, 0.0) + 100 * abs(p.log) / whole
        kinds[p.kind] = kinds.get(p.kind, 0.0) + 100 * abs(p.log) / whole
    return _sort(layers), _sort(kinds)


def _sort(shares: dict[str, float]) -> dict[str, float]:
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
