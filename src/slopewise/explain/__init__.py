"""Explanations: how derivatives follow, step by step, from the rules that compute them.

Invariant: nothing here has a rule of its own; steps are read off the primitives' records and
checked against the engine. It is separate because none of the engine needs prose.
"""

from slopewise.explain.array_explanation import ArrayExplanation
from slopewise.explain.backpropagation import Backprop, backprop
from slopewise.explain.derivations import Derivation
from slopewise.explain.explanation import Explanation, derivation
from slopewise.explain.explorers import (
    explore_activation,
    explore_depth,
    explore_exp,
    explore_sigmoid,
    explore_slopes,
    explore_softmax,
)
from slopewise.explain.formula import Formula, parse
from slopewise.explain.partials import Partials, gradient, hessian
from slopewise.explain.portraits import Portrait, explore_tangents
from slopewise.explain.quiz import Exercise, make_exercises
from slopewise.explain.rates import Limit, limit
from slopewise.explain.steps import Step
from slopewise.explain.trails import Descent, descend

__all__ = [
    "ArrayExplanation",
    "Backprop",
    "Derivation",
    "Descent",
    "Exercise",
    "Explanation",
    "Formula",
    "Limit",
    "Partials",
    "Portrait",
    "Step",
    "backprop",
    "derivation",
    "descend",
    "explore_activation",
    "explore_depth",
    "explore_exp",
    "explore_sigmoid",
    "explore_slopes",
    "explore_softmax",
    "explore_tangents",
    "gradient",
    "hessian",
    "limit",
    "make_exercises",
    "parse",
]
