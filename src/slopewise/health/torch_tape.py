"""PyTorch's tape: what ran between two tensors, the slope of it, and gradients that are lent.

Invariant: nodes are walked, and run backward where a slope is asked for; whatever gathers in leaves
meanwhile is put back. It is separate because the probe records calls of layers, and the tape knows
functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  (an optional peer)

from slopewise.health.torch_arrays import read_floats

_POINTWISE = (
    "Relu", "Sigmoid", "Tanh", "Exp", "Expm1", "Log", "Log1p", "Softplus", "Gelu", "Silu", "Elu",
    "LeakyRelu", "Hardtanh", "Hardswish", "Hardsigmoid", "Mish", "Abs", "Pow", "Sqrt", "Sin", "Cos",
    "Sinh", "Cosh", "Atan", "Asinh", "Neg", "Mul", "Div", "Add", "Sub", "Rsub", "Clamp",
    "ClampMin", "ClampMax", "Reciprocal", "Erf", "LogSigmoid", "Threshold", "Clone", "Alias",
)  # fmt: skip
"""Nodes of the tape that work number by number, where one operand comes in."""
Key = tuple[int, int]
"""A node of the tape and which of its outputs; or a tensor that is on none."""


def find_key(tensor: Any) -> Key:
    """Return where a tensor comes from on the tape."""
    if tensor.grad_fn is None:
        return (id(tensor), -1)
    return (id(tensor.grad_fn), tensor.output_nr)


def name_node(node: Any) -> str:
    """Return the name of a node's function, such as "Relu"."""
    return type(node).__name__.partition("Backward")[0]


def is_pointwise(node: Any) -> bool:
    """Return whether a node works number by number on one operand."""
    operands = [each for each, _ in node.next_functions if each is not None]
    return name_node(node) in _POINTWISE and len(operands) == 1


def walk_back(node: Any, number: int, known: dict[Key, int]) -> tuple[list[Any], list[int]]:
    """Return the nodes between a tensor and outputs that are known, and those outputs' places."""
    found: dict[int, Any] = {}
    sources: dict[int, None] = {}
    pending = [(node, number)]
    while pending:
        node, number = pending.pop()
        if (id(node), number) in known:
            sources[known[(id(node), number)]] = None
        elif type(node).__name__ != "AccumulateGrad" and id(node) not in found:
            found[id(node)] = node
            pending.extend((n, i) for n, i in node.next_functions if n is not None)
    ordered = sorted(found.values(), key=_count)
    return ordered, sorted(sources)


def _count(node: Any) -> int:
    """Return a number that grows in the order in which nodes were made."""
    return node._sequence_nr() if hasattr(node, "_sequence_nr") else 0


def find_slope(module: Any, x: Any, like: Any) -> Any:
    """Return an activation's derivative at every element of its input."""
    with torch.enable_grad():
        at = torch.as_tensor(np.array(x)).to(like.device, like.dtype).requires_grad_()
        out = type(module).forward(module, at.clone())
        return read_floats(torch.autograd.grad(out.sum(), at)[0])


def find_chain_slope(chain: list[Any], like: Any) -> Any:
    """Return the derivative of functions of one operand, one after another; None if unknown."""
    if not isinstance(like, torch.Tensor):
        like = torch.as_tensor(like, dtype=torch.float32)
    slope = torch.ones_like(like.detach())
    with suppress(RuntimeError, TypeError), torch.no_grad():
        for node in reversed(chain):
            back = node(slope)
            back = back if isinstance(back, tuple) else (back,)
            places = [i for i, (n, _) in enumerate(node.next_functions) if n is not None]
            slope = back[places[0]]
        return read_floats(slope)
    return None


def find_leaves(model: Any, loss: Any) -> list[Any]:
    """Return the model's parameters, and every other leaf that a loss reaches."""
    leaves = {id(p): p for p in model.parameters()}
    pending, seen = [loss.grad_fn], set[int]()
    nodes: list[Any] = []  # keeps wrappers of nodes alive, so that their ids stay theirs
    while pending:
        node = pending.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        nodes.append(node)
        variable = getattr(node, "variable", None)
        if variable is not None:
            leaves[id(variable)] = variable
        pending.extend(n for n, _ in node.next_functions)
    return list(leaves.values())


@contextmanager
def lend_gradients(leaves: Iterable[Any]) -> Iterator[Callable[[], dict[int, Any]]]:
    """Let gradients gather in leaves, and put back what was there.

    Hooks that act on gathered gradients, as optimisers in the backward pass, are put aside.
    """
    kept = [(p, p.grad) for p in leaves]
    acting = [hooks for p, _ in kept if (hooks := getattr(p, "_post_accumulate_grad_hooks", None))]
    aside = [dict(hooks) for hooks in acting]
    for hooks in acting:
        hooks.clear()
    for p, grad in kept:
        if grad is not None:
            p.grad = None
    try:
        yield lambda: {id(p): p.grad for p, _ in kept if p.grad is not None}
    finally:
        for p, grad in kept:
            p.grad = grad
        for hooks, put in zip(acting, aside, strict=True):
            hooks.update(put)


@contextmanager
def lend_buffers(model: Any) -> Iterator[None]:
    """Let a pass change copies of the buffers, and put the very same tensors back.

    A copy that is written back would count as a change to whoever has saved the buffer.
    """
    kept: list[tuple[dict[str, Any], str, Any]] = []
    copied: list[tuple[Any, Any]] = []
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):
            copied += [(b, b.detach().clone()) for b in module.buffers(recurse=False)]
            continue
        for name, buffer in module._buffers.items():
            if buffer is not None:
                kept.append((module._buffers, name, buffer))
    try:
        for buffers, name, buffer in kept:
            buffers[name] = buffer.detach().clone()
        yield
    finally:
        for buffers, name, buffer in kept:
            buffers[name] = buffer
        with torch.no_grad():
            for buffer, old in copied:
                buffer.copy_(old)
