"""Slopes of well-known activations by formula, from arrays alone.

Invariant: what is given is the derivative at every element, in the dtype of the input; an
activation that is not known gives None, and its framework is asked instead. It is separate because
looks while a network learns take it for both frameworks: running a layer once more would cost them
a good part of their time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _decay(size: Any) -> Any:
    """Return e**-size / (1 + e**-size)**2, which keeps its digits where it is small."""
    small = np.exp(-size)
    return small / (1.0 + small) ** 2


_KNOWN: dict[str, Callable[[Any], Any]] = {
    "ReLU": lambda x: (x > 0).astype(x.dtype),
    "Sigmoid": lambda x: _decay(np.abs(x)),
    "Tanh": lambda x: 4.0 * _decay(2.0 * np.abs(x)),
}


def find_known_slope(name: str, x: Any) -> Any:
    """Return an activation's derivative at every element of its input; None if it is not known.

    Parameters
    ----------
    name : str
        The layer's class.
    x : ndarray of floats

    Returns
    -------
    ndarray or None

    Examples
    --------
    >>> find_known_slope("ReLU", np.array([-1.0, 2.0])).tolist()
    [0.0, 1.0]
    >>> find_known_slope("Mish", np.array([0.0])) is None
    True
    """
    known = _KNOWN.get(name)
    return None if known is None or x is None or x.dtype.kind != "f" else known(x)
