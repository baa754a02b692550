"""Changes in place: the one way by which a tensor's buffer gets new numbers.

Invariant: every change is counted in the storage, so that what was kept for a backward pass is
never silently wrong; a recorded change becomes the history, and older aliases are marked stale.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from slopewise._core.graph import Node, bind, check_alias
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._core.views import follow_base, shares_memory
from slopewise._front.abstract import refuse_abstract
from slopewise._front.indexing import set_at
from slopewise._front.operands import as_value, cast
from slopewise._front.shape import broadcast_to, flip, permute, reshape
from slopewise._ops.comparison import where
from slopewise._ops.shape import inverse_axes
from slopewise.errors import DTypeError, GradientError, ShapeError, TraceError, UsageError


def write_in_place(tensor: Any, result: Any) -> Any:
    """Take over the numbers, and the history, of `result`; return the tensor."""
    result = as_value(result)
    if state.recorder is not None:
        for value in (tensor, result):
            if value._value is not None:
                state.recorder.adopt(value)
    if tensor._value is not None and result._value is None:
        refuse_abstract(tensor, "changing a tensor from outside in place")
    if tensor._value is None:
        return _write_traced(tensor, result)
    if state.grad_enabled:
        _check_bases(tensor)
    result = _fit(tensor, result)
    if state.grad_enabled and tensor._requires_grad and not result._requires_grad:
        # A constant is written over a computed tensor: it stays in the graph, with gradient 0.
        nowhere = np.zeros(tuple(tensor.shape), bool)
        result = bind(where, (nowhere, tensor, result), {})
    recorded = state.grad_enabled and result._requires_grad
    storage = tensor._storage
    if recorded:
        _release_saved(result._edge, tensor._value)
        tensor._edge = result._edge
        tensor._requires_grad = True
        storage.rewriter = weakref.ref(tensor)
        storage.rewritten = storage.version + 1
    if not tensor._value.flags.writeable:
        raise UsageError(
            explain("the tensor's memory is read-only; change a .clone() instead.", (tensor,))
        )
    tensor._value[...] = result._value
    storage.version += 1
    tensor._origin = None
    if recorded:
        _tell_bases(tensor)
    return tensor


def _fit(tensor: Any, result: Any) -> Any:
    """Return a result in the shape and dtype of the tensor that it is written to."""
    if result.shape != tensor.shape:
        if not _fits(result.shape, tensor.shape):
            raise ShapeError(
                explain(
                    f"an in-place operation gave shape {result.shape}, but the tensor has"
                    f" {tensor.shape} and cannot grow; write x = x + y.",
                    (tensor,),
                )
            )
        result = broadcast_to(result, tensor.shape)
    if result.dtype != tensor.dtype:
        if tensor.dtype.kind in "bui" and result.dtype.kind == "f":
            raise DTypeError(
                explain(
                    f"an in-place operation gave {result.dtype}, which does not fit a tensor of"
                    f" {tensor.dtype}; write x = x + y.",
                    (tensor,),
                )
            )
        result = cast(result, tensor.dtype)
    return result


def _write_traced(tensor: Any, result: Any) -> Any:
    """Make a change in place part of a trace, for all that looks at the same memory."""
    if state.grad_enabled and state.recorder is not None:
        _check_bases(tensor)
    result = _fit(tensor, result)
    recorded = state.grad_enabled and result._requires_grad
    current: set[int] = set()  # these need not be made anew from what they are views of
    at = tensor
    while True:
        current.add(id(at))
        if (
            (state.recorder is None or id(at) not in state.recorder.adopted)
            and at._edge is not None
            and at._edge.order < state.body
        ):
            raise TraceError(
                explain(
                    "control flow: the body changes a tensor in place that was computed outside of"
                    " it, which happens once for each step. Make it part of the carry and return"
                    " it, or change a copy (x = x.clone()).",
                    (tensor,),
                )
            )
        if state.recorder is not None:
            state.recorder.write(at, result, recorded, current)
        else:
            at._value, at._edge = result._value, result._edge
            at._requires_grad = result._requires_grad
            follow_base(at, recorded, current)
        if not shares_memory(at):
            return tensor
        at, result = _merge_view(at)


def _merge_view(view: Any) -> tuple[Any, Any]:
    """Return what a traced view looks at, and its numbers after a change of the view."""
    if view._base is not None:
        base, index = view._base
        return base, set_at(base, index, view)
    base, primitive, params, output = view._source
    match primitive.name:
        case "alias" | "stop_gradient":
            return base, view
        case "reshape":
            return base, reshape(view, base.shape)
        case "transpose":
            return base, permute(view, inverse_axes(params["axes"]))
        case "flip":
            return base, flip(view, params["axes"])
        case "slice":
            bounds = zip(params["starts"], params["stops"], params["steps"], strict=True)
            return base, set_at(base, tuple(slice(*each) for each in bounds), view)
        case "unbind":
            return base, set_at(base, (*(slice(None),) * params["axis"], output), view)
        case _:
            raise TraceError(
                explain(
                    f"a change in place of a view made by {primitive.name} cannot be traced; change"
                    " the tensor that it is a view of (x[...] = value), or write x = x + y.",
                    (view,),
                )
            )


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Return whether a shape broadcasts to another one."""
    try:
        return np.broadcast_shapes(shape, target) == tuple(target)
    except ValueError:
        return False


def _check_bases(tensor: Any) -> None:
    """Refuse a recorded change of a leaf, of a view of a leaf, or under a stale alias."""
    at = tensor
    while True:
        if at._requires_grad and (at._edge is None or at._edge.leaf):
            what = "a leaf Variable" if at is tensor else "a view of a leaf Variable"
            raise GradientError(
                explain(
                    f"{what} that requires grad is being used in an in-place operation."
                    " Update it inside `with sw.no_grad():`, or compute a new tensor.",
                    (tensor,),
                )
            )
        check_alias(at, "an in-place operation")
        if at._base is None:
            return
        at = at._base[0]


def _tell_bases(tensor: Any) -> None:
    """Make a change of a view part of the history of what it is a view of."""
    version = tensor._storage.version
    at = tensor
    while at._base is not None:
        base, index = at._base
        base._born = at._born = version  # their numbers and their histories are current
        merged = set_at(base, index, at)
        base._edge, base._requires_grad, base._origin = merged._edge, True, None
        at = base


def _release_saved(node: Any, array: np.ndarray[Any, Any]) -> None:
    """Give a node its own copy of what it saved from a buffer that is about to be overwritten."""
    if not isinstance(node, Node) or node.operands is None:
        return
    pending = [node, *(e for e in node.edges if isinstance(e, Node))]
    for each in pending:
        if each.operands is None:
            continue
        current = all(g[0].version == g[1] and g[0].unchanged(g[2]) for g in each.guards)
        if current and any(x is array for x in each.operands):
            each.operands = tuple(x.copy() if x is array else x for x in each.operands)
            each.guards = [g for g in each.guards if g[2] is not array]
