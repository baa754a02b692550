"""Explorers: one call each for what the lecture shows about exp, sigmoid, softmax and activations.

Invariant: every number is computed by the engine when the explorer is called. They are separate
from derivations because they show whole curves and families, not one formula's rules.
"""

from slopewise.explain.explorers.activations import ActivationCard as ActivationCard
from slopewise.explain.explorers.activations import explore_activation as explore_activation
from slopewise.explain.explorers.depth import Depth as Depth
from slopewise.explain.explorers.depth import explore_depth as explore_depth
from slopewise.explain.explorers.exponential import Exponential as Exponential
from slopewise.explain.explorers.exponential import explore_exp as explore_exp
from slopewise.explain.explorers.sigmoids import Family as Family
from slopewise.explain.explorers.sigmoids import SigmoidCurve as SigmoidCurve
from slopewise.explain.explorers.sigmoids import explore_sigmoid as explore_sigmoid
from slopewise.explain.explorers.sigmoids import explore_slopes as explore_slopes
from slopewise.explain.explorers.softmaxes import Temperatures as Temperatures
from slopewise.explain.explorers.softmaxes import explore_softmax as explore_softmax
