"""PyTorch's `utils` namespace: `utils.data` feeds rows to a training loop."""

from slopewise.utils import data

__all__ = [
    "data",
]
