"""LSUV: layer-sequential unit variance, an initialisation that looks at data.

Invariant: layers are visited in the order in which a forward pass calls them, each is rescaled
until its output has variance 1 on the given batch, and nothing is recorded or updated (batch
statistics included). It is separate from `init` because it needs a model and data.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import no_grad
from slopewise._core.value import Value
from slopewise._front.operands import as_value
from slopewise.errors import DomainError, UsageError


def lsuv_(
    module: Any, input: Any, tol: float = 0.1, max_iter: int = 10, orthonormal: bool = True
) -> Any:
    """Rescale the weights of a model, layer by layer, to outputs of variance 1.

    Parameters
    ----------
    module : Module
        The model; its modules with a weight of 2 or more axes (Linear, Conv) are visited.
    input : Tensor, or a tuple of them
        One batch, as the model takes it.
    tol : float
        How far a variance may be from 1.
    max_iter : int
        Rescalings of a layer.
    orthonormal : bool
        Fill the weights with orthogonal matrices first, as the method says.

    Returns
    -------
    Module
        The model itself.

    Raises
    ------
    UsageError
        If the model has no such layer.
    DomainError
        If a layer's output does not vary at all, or is not finite.

    Source: Mishkin & Matas (2015), All you need is a good init, algorithm 1.

    Examples
    --------
    >>> import slopewise as sw
    >>> model = sw.nn.Sequential(sw.nn.Linear(8, 16), sw.nn.ReLU(), sw.nn.Linear(16, 16))
    >>> x = sw.randn(256, 8)
    >>> model = sw.nn.init.lsuv_(model, x)
    >>> abs(model(x).var().item() - 1) < 0.2
    True
    """
    from slopewise.nn.init import orthogonal_

    inputs = input if isinstance(input, tuple) else (input,)
    layers = [(name, m) for name, m in module.named_modules() if _has_weight(m)]
    if not layers:
        raise UsageError(explain("lsuv_: the model has no layer with a weight matrix."))
    if orthonormal:
        for _, layer in layers:
            orthogonal_(layer.weight)
    for name, layer in _in_call_order(module, layers, inputs):
        for _ in range(max_iter):
            variance = _output_variance(module, layer, inputs)
            if not np.isfinite(variance) or variance == 0.0:
                raise DomainError(
                    explain(
                        f"lsuv_: the output of layer `{name}` has variance {variance} on this"
                        " batch, so no scale makes it 1. Check the batch for constant or missing"
                        " numbers, and the layers before it for dead units."
                    )
                )
            if abs(variance - 1.0) <= tol:
                break
            with no_grad():
                layer.weight._write(layer.weight * as_value(
                    np.asarray(variance**-0.5, layer.weight.dtype)))  # fmt: skip
    return module


def _has_weight(module: Any) -> bool:
    weight = module._parameters.get("weight")
    # An embedding's table has two axes too, but is no map of its input's numbers.
    return weight is not None and len(weight.shape) >= 2 and not hasattr(module, "num_embeddings")


def _quiet_forward(module: Any, inputs: tuple[Any, ...]) -> None:
    """Run the model as in training, and put every buffer back as it was."""
    buffers = [(b, b._value.copy()) for b in module.buffers()]
    with no_grad():
        module(*inputs)
        for buffer, saved in buffers:
            buffer._write(as_value(saved))


def _in_call_order(module: Any, layers: list[Any], inputs: tuple[Any, ...]) -> list[Any]:
    called: list[Any] = []
    names = {layer: name for name, layer in layers}

    def note(layer: Any, _args: Any, _output: Any) -> None:
        if layer not in called:
            called.append(layer)

    handles = [layer.register_forward_hook(note) for _, layer in layers]
    try:
        _quiet_forward(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [(names[layer], layer) for layer in called]


def _output_variance(module: Any, layer: Any, inputs: tuple[Any, ...]) -> float:
    seen: list[float] = []

    def measure(_layer: Any, _args: Any, output: Any) -> None:
        if isinstance(output, Value):
            seen.append(float(np.var(output._value, dtype=np.float64)))  # type: ignore[arg-type]

    handle = layer.register_forward_hook(measure)
    try:
        _quiet_forward(module, inputs)
    finally:
        handle.remove()
    return seen[0]
