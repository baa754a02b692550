"""Running backward from a tensor: the seed, the walk, and what is said where nothing was recorded.

Invariant: only leaves get a `.grad`, and it is accumulated; a walk that is recorded (create_graph)
gives gradients that have histories themselves.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from slopewise._core.graph import check_alias
from slopewise._core.source import explain, find_constants, user_frame
from slopewise._core.state import set_grad_enabled, state
from slopewise._core.trace import ancestors
from slopewise._core.value import Value, new_value
from slopewise._front.creation import detach
from slopewise._front.mutation import write_in_place
from slopewise._front.operands import as_value, cast, read_array
from slopewise._transform.vjp import walk_back
from slopewise.errors import GradientError, ShapeError, TraceError


def run_backward(tensor: Any, gradient: Any, retain_graph: bool | None, create_graph: bool) -> None:
    """Accumulate the gradient of a tensor in the `.grad` of the leaves it came from."""
    if not tensor._requires_grad:
        refuse_backward(tensor)
    if state.recorder is not None:
        _run_recorded(state.recorder, tensor, gradient, create_graph)
        return
    check_alias(tensor, "backward")
    seed = make_seed(tensor, gradient)
    keep = create_graph if retain_graph is None else retain_graph
    head = tensor if tensor._edge is None else tensor._edge
    if tensor._value is None:
        create_graph = True
    if create_graph:
        seed = as_value(seed)
    elif isinstance(seed, Value):
        seed = read_array(seed)
    for leaf, bar in walk_back(
        [(head, seed)], None, attached=create_graph, retain=keep or create_graph
    ).items():
        _accumulate_grad(leaf, bar)


def _run_recorded(recorder: Any, tensor: Any, gradient: Any, create_graph: bool) -> None:
    """Make a backward pass part of a trace; the leaves there are nodes that know their tensors."""
    if tensor._value is not None:
        recorder.adopt(tensor)
    head = tensor._edge
    leaves = recorder.leaves
    above = ancestors([head])
    reached = {n for n in above if n in leaves and n.active}
    recorder.freed.update(n for n in above if n.active and not n.leaf)
    seed = as_value(make_seed(tensor, gradient))
    found = walk_back([(head, seed)], reached, attached=True, retain=True)
    for node in sorted(found, key=lambda n: n.order):
        entry = leaves[node]
        if entry.computed:
            raise TraceError(
                explain(
                    "backward: a gradient flows into a tensor that was computed before the compiled"
                    " function ran, and its history is not part of it. Compute the tensor inside,"
                    " or use tensor.detach().",
                    (entry.tensor,),
                )
            )
        recorder.read_grad(entry.tensor)
        bar = as_value(found[node])
        old = entry.tensor._grad
        with set_grad_enabled(create_graph):
            if not create_graph:
                bar = detach(bar)
            if old is None:
                entry.tensor._grad = bar
            elif create_graph:
                entry.tensor._grad = old + bar
            else:
                write_in_place(old, old + bar)


def make_seed(tensor: Any, gradient: Any) -> Any:
    """Return the cotangent to start a backward pass from."""
    if gradient is not None:
        seed = as_value(gradient)
        if seed.shape != tuple(tensor.shape):
            raise ShapeError(
                explain(
                    f"backward: the gradient has shape {seed.shape}, the tensor {tensor.shape};"
                    " they must be equal.",
                    (tensor,),
                )
            )
        return cast(seed, tensor.dtype)
    if tensor.numel() != 1:
        raise GradientError(
            explain(
                "grad can be implicitly created only for scalar outputs: the tensor has"
                f" {tensor.numel()} elements. Reduce it (.sum() or .mean()), or pass"
                " backward(gradient=...).",
                (tensor,),
            )
        )
    return np.ones(tuple(tensor.shape), tensor.dtype)


def _accumulate_grad(leaf: Any, bar: Any) -> None:
    value = bar if isinstance(bar, Value) else new_value(np.asarray(bar), None, False)
    if value._value is not None and not value._value.flags.writeable:
        value._value = np.array(value._value)
    if leaf._grad is None:
        leaf._grad = value
    elif isinstance(bar, Value):
        leaf._grad = leaf._grad + value
    else:
        with_grad = leaf._grad
        with_grad._value = with_grad._value + value._value
        with_grad._storage.version += 1


def refuse_backward(tensor: Any) -> NoReturn:
    """Raise PyTorch's sentence, then which variable is meant, where, and what to write."""
    message = "element 0 of tensors does not require grad and does not have a grad_fn"
    frame = user_frame()
    if frame is not None:
        for name, line, text in find_constants(frame, tensor):
            if "requires_grad=False" in text:
                mended = text.replace("requires_grad=False", "requires_grad=True")
            elif text.endswith(")"):
                mended = f"{text[:-1]}, requires_grad=True)"
            else:
                mended = f"{name}.requires_grad_(True)"
            message += (
                f".\n  `{name}` is a constant: line {line} says `{text}`."
                f"\n  To get the gradient with respect to `{name}`, write `{mended}`"
            )
            break
        else:
            message += (
                ".\n  Nothing it was computed from requires gradients. Make the variable with"
                " requires_grad=True, and compute outside of no_grad()"
            )
    raise GradientError(explain(message + "."))
