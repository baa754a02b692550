"""gradcheck: does a function's gradient agree with differences of its values?

Invariant: the reference is made of function values alone, in float64, with a step for each
element; at a kink the one-sided slopes on both sides bound what is right.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slopewise._core.state import no_grad
from slopewise._core.tree import flatten
from slopewise._core.value import Value, new_value
from slopewise._transform.gradients import vjp
from slopewise._transform.inputs import as_values
from slopewise.errors import GradientError


def _evaluate(function: Callable[..., Any], arrays: Sequence[Any]) -> list[Any]:
    with no_grad():
        outs, _ = flatten(function(*(new_value(a, None, False) for a in arrays)))
    return [np.asarray(o._value if isinstance(o, Value) else o, float) for o in outs]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compare the gradient of a function with finite differences, one-sided at kinks.

    Parameters
    ----------
    func : callable
        Of float64 Tensors; returns a nest of Tensors.
    inputs : Tensor or sequence of Tensor
        Those that require gradients are checked (all floats, if none does).
    eps : float
        Step of the differences, relative to elements above 1.
    atol, rtol : float
        Allowed distance to the interval between the left and right slopes.
    raise_exception : bool
        Raise on disagreement; otherwise return False.

    Returns
    -------
    bool
        Whether they agree.

    Raises
    ------
    GradientError
        On disagreement; the message names the input, the element and both numbers.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor([0.5, -2.0], dtype=sw.float64)
    >>> sw.gradcheck(lambda v: sw.sin(v) * sw.abs(v), x)
    True
    """
    given = as_values([inputs] if isinstance(inputs, Value) else list(inputs))
    arrays = [np.array(x._value, float) if x.dtype.kind == "f" else x._value for x in given]
    checked = [i for i, x in enumerate(given) if x._requires_grad] or [
        i for i, x in enumerate(given) if x.dtype.kind == "f"
    ]

    def along(*chosen: Any) -> Any:
        full = [new_value(a, None, False) for a in arrays]
        for i, x in zip(checked, chosen, strict=True):
            full[i] = x
        return tuple(flatten(func(*full))[0])

    middle = _evaluate(func, arrays)
    outs, pull = vjp(along, *(new_value(arrays[i], None, False) for i in checked))
    for k, out in enumerate(outs):
        for position in np.ndindex(out.shape):
            bars = [np.zeros(o.shape, o.dtype) for o in outs]
            bars[k][position] = 1
            grads = pull(tuple(new_value(b, None, False) for b in bars))
            for i, gradient in zip(checked, grads, strict=True):
                for element in np.ndindex(arrays[i].shape):
                    step = eps * max(1.0, abs(float(arrays[i][element])))
                    slopes: list[float] = []
                    for signed in (step, -step):
                        moved = [a.copy() for a in arrays]
                        moved[i][element] += signed
                        change = _evaluate(func, moved)[k][position] - middle[k][position]
                        slopes.append(float(change) / signed)
                    found = float(gradient._value[element])
                    low, high = min(slopes), max(slopes)
                    slack = atol + rtol * max(abs(low), abs(high))
                    if not low - slack <= found <= high + slack:
                        if not raise_exception:
                            return False
                        raise GradientError(
                            f"gradcheck: input {i}, element {element}, output {k} {position}: the"
                            f" gradient is {found:.9g}, differences give {low:.9g} to {high:.9g}."
                        )
    return True
