"""Gradient health: which layer loses the gradient, and why.

Invariant: a network is measured without being changed. It is separate because training needs none
of it.
"""

from slopewise.health.measure import Factor, measure
from slopewise.health.probe import record_batch
from slopewise.health.record import Call, Record

__all__ = ["Call", "Factor", "Record", "measure", "record_batch"]
