"""Gradient health: which layer loses the gradient, and why.

Invariant: a network is measured without being changed. It is separate because training needs none
of it.
"""

from slopewise.health.curing import Cure, cure
from slopewise.health.diagnosis import diagnose
from slopewise.health.examination import Examination
from slopewise.health.examining import examine
from slopewise.health.finding import Finding
from slopewise.health.measure import Factor, measure
from slopewise.health.probe import record_batch
from slopewise.health.readings import Head, Inputs, Readings, Trajectory, read
from slopewise.health.record import Call, Record
from slopewise.health.search import Trial
from slopewise.health.sweep import NAMES as SWEEPS
from slopewise.health.sweep import Sweep, sweep_depth
from slopewise.health.watch import Watch
from slopewise.health.watching import Watcher

__all__ = [
    "SWEEPS",
    "Call",
    "Cure",
    "Examination",
    "Factor",
    "Finding",
    "Head",
    "Inputs",
    "Readings",
    "Record",
    "Sweep",
    "Trajectory",
    "Trial",
    "Watch",
    "Watcher",
    "cure",
    "diagnose",
    "examine",
    "measure",
    "read",
    "record_batch",
    "sweep_depth",
]
