"""How the functional transforms take their arguments and mark what they differentiate.

Invariant: Python and NumPy floats become float64 (scientists expect it); Tensors keep their dtype.
A marked input is fresh, so that nested transforms cannot confuse whose derivative is asked for.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise._core.state import enable_grad
from slopewise._core.value import Value, new_value
from slopewise._ops.comparison import alias
from slopewise.errors import DTypeError


def as_values(leaves: Sequence[Any]) -> list[Any]:
    """Return Values for arrays and numbers; Values are passed through."""
    return [x if isinstance(x, Value) else _wrap(x) for x in leaves]


def _wrap(x: Any) -> Any:
    """Return a Value over a copy: the caller can still change an array, and a node may keep it."""
    return new_value(np.array(x), None, False)


def mark(x: Any, operation: str) -> Any:
    """Return a fresh differentiable Value equal to `x`, linked to it if `x` is recorded."""
    value = as_values([x])[0]
    if value.dtype.kind != "f":
        raise DTypeError(
            f"{operation}: the argument has dtype {value.dtype}, and only floats have derivatives;"
            " pass a float (4.0, or x.to(float32))."
        )
    if value._value is None or value._requires_grad:
        with enable_grad():
            linked = alias(value)
        if linked._edge is not None:
            linked._edge.active = True
        else:
            linked = new_value(value._value, None, True)
            linked._storage, linked._born = value._storage, value._storage.version
        linked._requires_grad = True
        return linked
    fresh = new_value(value._value, None, True)
    fresh._storage, fresh._born = value._storage, value._storage.version
    return fresh


def edge_of(value: Any) -> Any:
    """Return the edge that stands for a Value in the graph."""
    return value if value._edge is None else value._edge
