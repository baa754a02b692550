"""Sampling: values and slopes of an elementwise function at many points at once.

Invariant: slopes are the engine's reverse mode in float64; sampling leaves no trace on a module's
parameters. It is separate because every explorer samples.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from slopewise._core.aval import DTYPES
from slopewise._core.quiet import hush, restore
from slopewise._front.operands import as_value_in
from slopewise._transform.gradients import vjp
from slopewise.explain.requests import refuse

MOST_NUMBERS = 1000


def sample(function: Callable[[Any], Any], xs: Any) -> tuple[Any, Any]:
    """Return the values and the slopes of an elementwise function.

    Parameters
    ----------
    function : callable
        Of a float64 tensor, elementwise.
    xs : array_like, shape (n,)

    Returns
    -------
    values, slopes : numpy.ndarray, shape (n,), float64

    Examples
    --------
    >>> values, slopes = sample(lambda x: x * x, [1.0, 2.0])
    >>> values.tolist(), slopes.tolist()
    ([1.0, 4.0], [2.0, 4.0])
    """
    given = as_value_in(np.asarray(xs, np.float64), DTYPES["float64"])
    kept = hush()
    try:
        values, pull = vjp(function, given)
        (slopes,) = pull(values.detach() * 0 + 1)
    finally:
        restore(kept)
    return np.asarray(values.detach()), np.asarray(slopes.detach())


def read_numbers(operation: str, name: str, given: Iterable[float]) -> list[float]:
    """Return finite numbers, or refuse.

    Raises
    ------
    SpokenError
        If there is none, there are too many, or one is no finite number.

    Examples
    --------
    >>> read_numbers("explore_slopes", "slopes", (1, 2))
    [1.0, 2.0]
    """
    found: Sequence[Any] = list(given)
    if not 1 <= len(found) <= MOST_NUMBERS:
        raise refuse(operation, "range", name=f"len({name})", found=len(found), low=1,
                     high=MOST_NUMBERS)  # fmt: skip
    for number in found:
        if not isinstance(number, numbers.Real) or not math.isfinite(number):
            raise refuse(operation, "number", name=name, found=repr(number))
    return [float(number) for number in found]
