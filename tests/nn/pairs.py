"""One layer in both libraries: the same numbers in, outputs and all gradients compared.

It is separate because every oracle test of layers and losses goes through it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import slopewise as sw

TOLERANCE = 1e-10


def leaves(nest: Any) -> list[Any]:
    """Return the tensors of a nest of tuples, left to right; None is left out."""
    if nest is None:
        return []
    if isinstance(nest, (tuple, list)):
        return [leaf for part in nest for leaf in leaves(part)]
    return [nest]


def to_ours(array: Any, grad: bool = True) -> Any:
    """Return our tensor of an array; floats ask for gradients."""
    if not isinstance(array, np.ndarray):
        return array
    return sw.tensor(array, requires_grad=grad and array.dtype.kind == "f")


def to_theirs(array: Any, grad: bool = True) -> Any:
    """Return PyTorch's tensor of an array; floats ask for gradients."""
    import torch

    if not isinstance(array, np.ndarray):
        return array
    tensor = torch.tensor(array)
    return tensor.requires_grad_() if grad and array.dtype.kind == "f" else tensor


def assert_close(ours: Any, theirs: Any, what: str, tolerance: float = TOLERANCE) -> None:
    """Compare a tensor with PyTorch's, shapes and numbers (NaN agrees with NaN)."""
    assert tuple(ours.shape) == tuple(theirs.shape), what
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=what
    )


def compare_functions(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    operands: Sequence[Any],
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> None:
    """Compare outputs, and the gradients of all float operands for random cotangents."""
    our_operands = [to_ours(a) for a in operands]
    their_operands = [to_theirs(a) for a in operands]
    our_outputs = leaves(ours(*our_operands))
    their_outputs = leaves(theirs(*their_operands))
    _compare_outputs(our_outputs, their_outputs, tolerance, seed)
    for i, (a, b) in enumerate(zip(our_operands, their_operands, strict=True)):
        if isinstance(operands[i], np.ndarray) and operands[i].dtype.kind == "f":
            _compare_grads(a, b, f"gradient of operand {i}", tolerance)


def compare_layers(
    ours: Any,
    theirs: Any,
    operands: Sequence[Any],
    tolerance: float = TOLERANCE,
    seed: int = 0,
    train: bool = True,
) -> None:
    """Copy PyTorch's numbers into our layer, then compare outputs, gradients and buffers."""
    theirs.double().train(train)
    ours.double().train(train)
    copy_state(theirs, ours)
    compare_functions(ours, theirs, operands, tolerance, seed)
    names = dict(theirs.named_parameters())
    assert {n: tuple(p.shape) for n, p in names.items()} == {
        n: tuple(p.shape) for n, p in ours.named_parameters()
    }
    for name, parameter in ours.named_parameters():
        _compare_grads(parameter, names[name], f"gradient of {name}", tolerance)
    for name, buffer in theirs.named_buffers():
        assert_close(ours.get_buffer(name), buffer, name, tolerance)


def copy_state(theirs: Any, ours: Any) -> None:
    """Load PyTorch's state into our module: the names must be the same."""
    state = {name: np.array(t.detach().numpy()) for name, t in theirs.state_dict().items()}
    ours.load_state_dict(state)


def _compare_outputs(ours: list[Any], theirs: list[Any], tolerance: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert_close(a, b, f"output {i}", tolerance)
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if b.requires_grad]
    if not pairs:
        return
    bars = [rng.standard_normal(tuple(b.shape)) for _, b in pairs]
    total = sum((a * sw.tensor(bar)).sum() for (a, _), bar in zip(pairs, bars, strict=True))
    total.backward()
    import torch

    torch.autograd.backward([b for _, b in pairs], [torch.tensor(bar) for bar in bars])


def _compare_grads(ours: Any, theirs: Any, what: str, tolerance: float) -> None:
    if theirs.grad is None:
        assert ours.grad is None or not np.any(ours.grad.numpy()), what
        return
    assert ours.grad is not None, what
    assert_close(ours.grad, theirs.grad, what, tolerance)
