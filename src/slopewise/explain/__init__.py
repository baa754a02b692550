"""Explanations: how derivatives follow, step by step, from the rules that compute them.

Invariant: nothing here has a rule of its own; steps are read off the primitives' records and
checked against the engine. It is separate because none of the engine needs prose.
"""

from slopewise.explain.derivations import Derivation
from slopewise.explain.explanation import Explanation, derivation
from slopewise.explain.formula import Formula, parse
from slopewise.explain.partials import Partials, gradient, hessian
from slopewise.explain.quiz import Exercise, make_exercises
from slopewise.explain.steps import Step

__all__ = [
    "Derivation",
    "Exercise",
    "Explanation",
    "Formula",
    "Partials",
    "Step",
    "derivation",
    "gradient",
    "hessian",
    "make_exercises",
    "parse",
]
