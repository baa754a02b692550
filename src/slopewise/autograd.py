"""PyTorch's `autograd` namespace: gradients by name, custom functions, anomaly detection.

Invariant: everything here is a thin form of the transforms. It is separate so that the names are
where PyTorch's users look for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import detect_anomaly, enable_grad, no_grad, set_grad_enabled, state
from slopewise._core.value import Value, new_value
from slopewise._front.creation import detach
from slopewise._front.operands import as_value
from slopewise._transform.custom import Function
from slopewise._transform.gradcheck import gradcheck
from slopewise._transform.inputs import edge_of
from slopewise._transform.vjp import walk_back
from slopewise.errors import GradientError, ShapeError, UsageError

__all__ = [
    "Function", "backward", "detect_anomaly", "enable_grad", "grad", "gradcheck", "no_grad",
    "set_grad_enabled",
]  # fmt: skip


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of outputs with respect to recorded inputs, leaving `.grad` alone.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
    inputs : Tensor or sequence of Tensor
    grad_outputs : Tensor or sequence of Tensor, optional
        Cotangents of the outputs; may be left out for outputs of one element.
    retain_graph : bool, optional
        Keep what was saved (default: `create_graph`).
    create_graph : bool
        Record the walk, for higher derivatives.
    allow_unused : bool
        Give None for an input that the outputs do not depend on, instead of an error.

    Returns
    -------
    tuple of Tensor
        One gradient for each input.

    Raises
    ------
    GradientError
        If an input was not used, or nothing was recorded.
    ShapeError
        If a cotangent has another shape than its output.
    UsageError
        If outputs or inputs are no Tensors, or there is not one cotangent for each output.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor(3.0, requires_grad=True)
    >>> sw.autograd.grad(x**2, x)
    (tensor(6.),)
    """
    outs = _tensors(outputs, "autograd.grad", "outputs")
    ins = _tensors(inputs, "autograd.grad", "inputs")
    given: Sequence[Any] = (
        [grad_outputs] if isinstance(grad_outputs, Value) or grad_outputs is None
        else list(grad_outputs)
    )  # fmt: skip
    if grad_outputs is None:
        given = [None] * len(outs)
    _check_count(given, outs, "autograd.grad", "grad_outputs")
    recorded = create_graph or state.recorder is not None
    heads: list[tuple[Any, Any]] = []
    for out, bar in zip(outs, given, strict=True):
        if not out._requires_grad:
            out.backward()  # raises, and names the variable
        if bar is None and out.numel() != 1:
            raise GradientError(
                explain(
                    "grad can be implicitly created only for scalar outputs; reduce the output or"
                    " pass grad_outputs.",
                    (out,),
                )
            )
        if bar is not None and as_value(bar).shape != out.shape:
            raise ShapeError(
                explain(
                    f"autograd.grad: an output has shape {tuple(out.shape)}, its grad_outputs"
                    f" {tuple(as_value(bar).shape)}; they must be equal.",
                    (out, bar),
                )
            )
        seed = as_value(np.ones(out.shape, out.dtype)) if bar is None else as_value(bar)
        heads.append((edge_of(out), seed if recorded else seed._value))
    edges = {edge_of(x) for x in ins if x._requires_grad}
    keep = create_graph if retain_graph is None else retain_graph
    found = walk_back(heads, edges, attached=recorded, retain=keep or recorded)
    results: list[Any] = []
    for x in ins:
        bar = found.get(edge_of(x)) if x._requires_grad else None
        if bar is None and not allow_unused:
            raise GradientError(
                explain(
                    "One of the differentiated Tensors appears to not have been used in the graph."
                    " Set allow_unused=True if this is the desired behavior.",
                    (x,),
                )
            )
        if bar is not None and not isinstance(bar, Value):
            bar = new_value(np.array(bar), None, False)
        if bar is not None and recorded and not create_graph:
            bar = detach(bar)
        results.append(bar)
    return tuple(results)


def _tensors(given: Any, operation: str, what: str) -> list[Any]:
    """Return one Tensor or several as a list."""
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    for x in listed:
        if not isinstance(x, Value):
            raise UsageError(
                explain(
                    f"{operation}: {what} must be Tensors, not {type(x).__name__}; make one with"
                    " sw.tensor(..., requires_grad=True)."
                )
            )
    return listed


def _check_count(bars: Sequence[Any], outs: Sequence[Any], operation: str, what: str) -> None:
    if len(bars) != len(outs):
        raise UsageError(
            explain(
                f"{operation}: {len(outs)} output(s) and {len(bars)} {what}; give one for each.",
                tuple(outs),
            )
        )


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None) -> None:
    """Run backward for several tensors, one after the other.

    Parameters
    ----------
    tensors : Tensor or sequence of Tensor
    grad_tensors : Tensor or sequence of Tensor, optional
        Cotangents of the tensors; may be left out for tensors of one element.
    retain_graph : bool, optional
        Keep what was saved, so that backward can run again.

    Raises
    ------
    GradientError
        If nothing was recorded, or a cotangent is missing.
    ShapeError
        If a cotangent has another shape than its tensor.
    UsageError
        If these are no Tensors, or there is not one cotangent for each.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor(3.0, requires_grad=True)
    >>> sw.autograd.backward([x**2, 4 * x])
    >>> x.grad
    tensor(10.)
    """
    outs = _tensors(tensors, "autograd.backward", "tensors")
    if grad_tensors is None:
        bars: list[Any] = [None] * len(outs)
    else:
        bars = [grad_tensors] if isinstance(grad_tensors, Value) else list(grad_tensors)
    _check_count(bars, outs, "autograd.backward", "grad_tensors")
    for i, (out, bar) in enumerate(zip(outs, bars, strict=True)):
        out.backward(bar, retain_graph=bool(retain_graph) or i < len(outs) - 1)
