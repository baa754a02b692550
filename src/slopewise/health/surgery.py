"""Surgery: layers replaced, inserted, drawn anew and widened, on a copy of a model.

Invariant: every function takes a model and changes that one; callers pass copies. What is found by
name is found through a record of one batch, so generic modules are operated on as well as
Sequential ones; what a model does in its own forward cannot be changed, and is left. It is separate
from the remedies, which decide what is done.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn
from slopewise.health.apportion import EXPECTED
from slopewise.health.heads import RANGES
from slopewise.health.record import Call, Record

FLAT = {"sigmoid": 0.25, "hardsigmoid": 1 / 6}
"""Steepest slopes that are far from 1, by lower-case type."""
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
MOST_GAIN = 4.8
"""No gain is larger than that of a sigmoid."""


class Residual(nn.Module):
    """A block with a connection past it.

    Parameters
    ----------
    block : Module
        Its output has the shape of its input.

    Examples
    --------
    >>> Residual(nn.Identity())(sw.ones(2))
    tensor([2., 2.])
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block = block

    def forward(self, input: Any) -> Any:
        """Return the input and what the block makes of it, added."""
        return input + self.block(input)


class Standardise(nn.Module):
    """Inputs with mean 0 and deviation 1 in every column.

    Parameters
    ----------
    x : ndarray of shape (n, ...)
        Rows to take mean and deviation from; columns without deviation are only shifted.
    whole : bool
        One mean and one deviation for all columns, which keeps their sizes beside each other.

    Examples
    --------
    >>> Standardise(np.array([[1.0], [3.0]]))(sw.tensor([[2.0]]))
    tensor([[0.]])
    """

    mean: Any
    deviation: Any

    def __init__(self, x: Any, whole: bool = False) -> None:
        super().__init__()
        x = np.asarray(x, float)
        axes = tuple(i for i in range(x.ndim) if i != 1 or whole)
        mean = x.mean(axis=axes, keepdims=True)
        deviation = x.std(axis=axes, keepdims=True)
        deviation[deviation <= 1e-12 * np.abs(mean).max(initial=1e-300)] = 1.0
        self.register_buffer("mean", sw.tensor(mean[0].astype(np.float32)))
        self.register_buffer("deviation", sw.tensor(deviation[0].astype(np.float32)))

    def forward(self, input: Any) -> Any:
        """Return the standardised input."""
        return (input - self.mean.to(input.dtype)) / self.deviation.to(input.dtype)


class Rescale(nn.Module):
    """Outputs in the unit of the targets.

    Parameters
    ----------
    mean, deviation : float
        Of the targets.

    Examples
    --------
    >>> Rescale(100.0, 10.0)(sw.tensor([1.0]))
    tensor([110.])
    """

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean = mean
        self.deviation = deviation

    def forward(self, input: Any) -> Any:
        """Return the outputs, scaled and shifted."""
        return input * self.deviation + self.mean


def open_gates(module: Any, bias: float = 3.0) -> None:
    """Make a recurrent layer keep what it has seen.

    Source: Jozefowicz et al. (2015), section 2.2, for forget gates that start open; Le et al.
    (2015), section 2, for recurrent weights that keep the size of what they pass on.
    """
    gates = {"LSTM": 4, "GRU": 3}.get(type(module).__name__, 1)
    # Of an LSTM the second gate forgets; of a GRU the second keeps the old state.
    place = 1 if gates > 1 else None
    with sw.no_grad():
        for name, p in module.named_parameters():
            size = p.shape[0] // gates
            if name.startswith("weight_hh"):
                for gate in range(gates):
                    rows = p[gate * size : (gate + 1) * size]
                    nn.init.orthogonal_(rows)
            elif name.startswith("bias_ih") and place is not None:
                p[place * size : (place + 1) * size].fill_(bias)
            elif name.startswith("bias_hh") and place is not None:
                p[place * size : (place + 1) * size].fill_(0.0)


def replace(model: Any, name: str, new: Any) -> Any:
    """Put a layer in the place of another, and return the model (or the new one at the root).

    Parameters
    ----------
    model : Module
    name : str
        Dotted; "" or the class's name for the model itself.
    new : Module

    Returns
    -------
    Module

    Examples
    --------
    >>> replace(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()), "1", nn.Tanh())[1]
    Tanh()
    """
    if name not in dict(model.named_modules()) or not name:
        return new
    parent, _, last = name.rpartition(".")
    owner = model.get_submodule(parent) if parent else model
    owner._modules[last] = new
    if last in vars(owner):
        setattr(owner, last, new)
    return model


def find_weights(record: Record) -> list[int]:
    """Return the places of calls that have weights which multiply."""
    return [i for i, c in enumerate(record.calls)
            if c.kind == "weights" and c.type in ("Linear", "Conv1d", "Conv2d")]  # fmt: skip


def find_hidden(record: Record) -> list[Call]:
    """Return the activations that are modules and lie before the last weights."""
    weights = find_weights(record)
    return [c for i, c in enumerate(record.calls) if c.kind == "activation" and weights
            and i < weights[-1] and not c.name.startswith("before ")]  # fmt: skip


def find_output(record: Record) -> Call | None:
    """Return the activation at the output that bounds it, where that is a module."""
    weights = find_weights(record)
    after = record.calls[weights[-1] + 1 :] if weights else []
    found = [c for c in after if c.type.lower() in RANGES and not c.name.startswith("before ")]
    return found[-1] if found else None


def next_activation(record: Record, place: int) -> str:
    """Return the type of the activation that weights lead to, in lower case; "" for none."""
    for call in record.calls[place + 1 :]:
        if call.kind == "activation":
            return call.type.lower()
        if call.kind == "weights":
            break
    return ""


def find_gain(activation: str) -> float:
    """Return the gain that keeps the gradient's size through an activation (He et al. 2015).

    Examples
    --------
    >>> round(find_gain("relu"), 3), find_gain("")
    (1.414, 1.0)
    """
    if not activation:
        return 1.0
    return min(MOST_GAIN, 1 / (EXPECTED.get(activation, 1.0) * FLAT.get(activation, 1.0)))


def initialise(model: Any, record: Record, gain: Callable[[str], float] = find_gain) -> None:
    """Draw all weights anew: orthogonal rows, scaled by the gain; biases 0.

    Source: Saxe et al. (2013), section 3, for orthogonal weights.
    """
    weights = find_weights(record)
    with sw.no_grad():
        for place in weights:
            module = model.get_submodule(record.calls[place].name.partition("#")[0])
            draw(module, gain(next_activation(record, place)) if place != weights[-1] else 1.0)
        for module in model.modules():
            if isinstance(module, _NORMS) and module.weight is not None:
                module.weight.fill_(1.0)
                module.bias.zero_()


def draw(module: Any, gain: float) -> None:
    """Draw a layer's weights anew, its rows of length `gain`."""
    with sw.no_grad():
        weight = module.weight
        nn.init.orthogonal_(weight)
        rows = len(weight)
        size = math.sqrt(float((weight**2).sum()) / rows)
        weight.mul_(gain / size if size else 1.0)
        if getattr(module, "bias", None) is not None:
            module.bias.zero_()


def equalise(model: Any, record: Record, x: Any) -> None:
    """Scale each layer's weights until its outputs have variance 1 (LSUV).

    Source: Mishkin & Matas (2015), section 3.
    """
    initialise(model, record)
    seen: list[Any] = []
    with sw.no_grad():
        for place in find_weights(record)[:-1]:
            module = model.get_submodule(record.calls[place].name.partition("#")[0])
            for _ in range(3):
                seen.clear()
                handle = module.register_forward_hook(lambda _m, _a, out: seen.append(out))
                try:
                    model(x)
                finally:
                    handle.remove()
                size = float(np.std(np.asarray(seen[0], float)))
                if not math.isfinite(size) or size < 1e-12 or abs(size - 1) < 0.05:
                    break
                module.weight.mul_(1 / size)


def insert_norms(model: Any, record: Record, kind: str) -> Any:
    """Put a normalisation behind every layer with weights but the last; None where none fits."""
    changed = False
    weights = find_weights(record)
    for place in weights[:-1]:
        call = record.calls[place]
        after = record.calls[place + 1] if place + 1 < len(record.calls) else None
        if "#" in call.name or (after is not None and after.kind == "norm"):
            continue
        width = call.y.shape[1] if call.type != "Linear" else call.y.shape[-1]
        norm = _make_norm(kind, call, width)
        if norm is not None:
            layer = model.get_submodule(call.name)
            model = replace(model, call.name, nn.Sequential(layer, norm))
            changed = True
    return model if changed else None


def _make_norm(kind: str, call: Call, width: int) -> Any:
    if kind == "batch":
        if call.type == "Conv2d":
            return nn.BatchNorm2d(width)
        return nn.BatchNorm1d(width) if call.y.ndim == 2 or call.type == "Conv1d" else None
    return nn.LayerNorm(width) if call.type == "Linear" else nn.GroupNorm(1, width)


def swap_norms(model: Any, record: Record, kind: str) -> Any:
    """Put fresh normalisations of one kind in the place of those there are."""
    changed = False
    for call in record.calls:
        if call.kind != "norm" or call.y is None or call.y.ndim != 2:
            continue
        width = call.y.shape[-1]
        new = nn.BatchNorm1d(width) if kind == "batch" else nn.LayerNorm(width)
        model = replace(model, call.name, new)
        changed = True
    return model if changed else None


def swap_activations(model: Any, record: Record, make: Callable[[], Any]) -> Any:
    """Put another activation in the place of every hidden one."""
    found = find_hidden(record)
    for call in found:
        model = replace(model, call.name.partition("#")[0], make())
    return model if found else None


def wrap_residual(model: Any) -> Any:
    """Put connections past blocks of equal width in Sequentials; None where there are none."""
    changed = False
    for module in [m for m in model.modules() if isinstance(m, nn.Sequential)]:
        layers = list(module)
        groups: list[list[Any]] = []
        for layer in layers:
            if _find_linear(layer) is not None or not groups:
                groups.append([layer])
            else:
                groups[-1].append(layer)
        if len(groups) < 3:
            continue
        made: list[Any] = []
        for group in groups[:-1]:
            linear = _find_linear(group[0])
            square = linear is not None and linear.in_features == linear.out_features
            if square and len(group) > 1:
                made.append(Residual(nn.Sequential(*group)))
                changed = True
            else:
                made += group
        made += groups[-1]
        module._refill(made)
    return model if changed else None


def _find_linear(layer: Any) -> Any:
    """Return a Linear, alone or first in a Sequential with its normalisation."""
    if isinstance(layer, nn.Linear):
        return layer
    if isinstance(layer, nn.Sequential) and len(layer) == 2 and isinstance(layer[0], nn.Linear):
        return layer[0]
    return None


def widen(model: Any, record: Record, width: int) -> Any:
    """Make hidden layers of a chain of Linears at least so wide; None where none is narrower."""
    calls = record.calls
    weights = find_weights(record)
    chain = all(c.type == "Linear" and "#" not in c.name for c in (calls[i] for i in weights))
    straight = all(c.sources == (i - 1,) for i, c in enumerate(calls))
    if len(weights) < 2 or not chain or not straight:
        return None
    if any(c.kind not in ("weights", "activation", "norm", "dropout", "shape") for c in calls):
        return None
    if all(calls[i].y.shape[-1] >= width for i in weights[:-1]):
        return None
    size = calls[weights[0]].x.shape[-1]
    for i, call in enumerate(calls[weights[0] :], weights[0]):
        if i in weights:
            out = call.y.shape[-1]
            wide = out if i == weights[-1] else max(out, width)
            layer = nn.Linear(size, wide, bias="bias" in call.parameters)
            draw(layer, find_gain(next_activation(record, i)) if i != weights[-1] else 1.0)
            model = replace(model, call.name, layer)
            size = wide
        elif call.kind == "norm" and i < weights[-1]:
            new = nn.LayerNorm(size) if call.type == "LayerNorm" else nn.BatchNorm1d(size)
            model = replace(model, call.name, new)
    return model
