"""Learning rate schedules, under PyTorch's names.

Invariant: a schedule writes `group["lr"]` and nothing else (OneCycleLR momentum too), so that it
works with every optimiser.
"""

from __future__ import annotations

from slopewise.optim.lr_scheduler.cycle import OneCycleLR
from slopewise.optim.lr_scheduler.decay import (
    CosineAnnealingLR,
    ExponentialLR,
    MultiStepLR,
    StepLR,
)
from slopewise.optim.lr_scheduler.plateau import ReduceLROnPlateau
from slopewise.optim.lr_scheduler.schedule import LambdaLR, LRScheduler

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "StepLR",
]
