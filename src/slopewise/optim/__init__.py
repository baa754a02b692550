"""Optimisers and learning rate schedules, under PyTorch's names.

Invariant: an optimiser changes parameters in place and knows nothing of modules; a schedule changes
learning rates and knows nothing of parameters.
"""

from __future__ import annotations

from slopewise.optim import lr_scheduler
from slopewise.optim.adagrad import Adagrad
from slopewise.optim.adam import Adam, AdamW
from slopewise.optim.lbfgs import LBFGS
from slopewise.optim.optimizer import Optimizer
from slopewise.optim.rmsprop import RMSprop
from slopewise.optim.sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "lr_scheduler",
]
