"""The layers of PyTorch's modules: which are watched, what kind each is, and its settings.

Invariant: modules are read and never run or changed. It is separate because the probe asks for them
before it hooks into anything, and knows no class by name itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch  # pyright: ignore[reportMissingImports]  (an optional peer)

from slopewise.health.record import SETTINGS
from slopewise.health.torch_arrays import read_tensor

KINDS: list[tuple[str, tuple[str, ...]]] = [
    ("weights", ("Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d",
                 "ConvTranspose3d", "Bilinear", "Embedding")),
    ("norm", ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm", "RMSNorm",
              "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")),
    ("dropout", ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout",
                 "FeatureAlphaDropout")),
    ("pool", ("MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d",
              "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool2d")),
    ("shape", ("Flatten", "Unflatten", "Identity")),
    ("recurrent", ("RNN", "GRU", "LSTM")),
]  # fmt: skip
_WHOLE_AXIS = ("Softmax", "Softmax2d", "Softmin", "LogSoftmax", "GLU", "MultiheadAttention")


def find_type(module: Any) -> tuple[str, str]:
    """Return what kind of layer a module is, and the name of PyTorch's class that it runs as.

    Examples
    --------
    >>> find_type(torch.nn.Linear(2, 3)), find_type(torch.nn.Softmax(-1))
    (('weights', 'Linear'), ('block', 'Softmax'))
    """
    if isinstance(module, torch.jit.ScriptModule):
        return "block", str(getattr(module, "original_name", type(module).__name__))
    kind, name = _find_class(type(module), module.training)
    if kind == "block" and is_parametrized(module):
        name = name.removeprefix("Parametrized")
    return kind, name


@lru_cache(maxsize=1024)
def _find_class(cls: Any, training: bool) -> tuple[str, str]:
    for base in cls.__mro__:
        name = base.__name__
        if not base.__module__.startswith("torch.nn.modules") or base.forward is not cls.forward:
            continue
        for kind, names in KINDS:
            if name in names:
                return kind, name
        random = name == "RReLU" and training
        if base.__module__.endswith(".activation") and name not in _WHOLE_AXIS and not random:
            return "activation", name
    return "block", cls.__name__


def is_parametrized(module: Any) -> bool:
    """Return whether a module computes its weights from others, as weight normalisation does."""
    return isinstance(getattr(module, "parametrizations", None), torch.nn.ModuleDict)


def list_parameters(module: Any) -> list[tuple[str, Any]]:
    """Return the parameters of a watched module, which most often holds no other, by name."""
    if module._modules:
        return list(module.named_parameters())
    return [(name, p) for name, p in module._parameters.items() if p is not None]


def list_layers(model: Any) -> list[tuple[str, Any]]:
    """Return the modules that are watched: those that hold no other, or cannot be looked into.

    Examples
    --------
    >>> nn = torch.nn
    >>> [name for name, _ in list_layers(nn.Sequential(nn.Sequential(nn.Linear(1, 1)), nn.ReLU()))]
    ['0.0', '1']
    """
    found: list[tuple[str, Any]] = []
    seen: set[int] = set()

    def visit(name: str, module: Any) -> None:
        if id(module) in seen:
            return
        seen.add(id(module))
        inner = getattr(module, "_orig_mod", None)
        if isinstance(inner, torch.nn.Module) and hasattr(torch.compiler, "set_stance"):
            visit(name, inner)
            return
        whole = (torch.nn.MultiheadAttention, torch.jit.ScriptModule)
        children = list(module.named_children())
        if not children or is_parametrized(module) or inner or isinstance(module, whole):
            found.append((name or type(module).__name__, module))
            return
        for child, value in children:
            visit(f"{name}.{child}" if name else child, value)

    visit("", model)
    return found


def read_settings(module: Any) -> dict[str, Any]:
    """Return what formulas of a layer need: eps, groups, axes, running statistics."""
    own = vars(module)
    settings = {name: own[name] for name in SETTINGS if name in own}
    settings["training"] = bool(module.training)
    for name in ("running_mean", "running_var"):
        if name in own.get("_buffers", ()) and own["_buffers"][name] is not None:
            settings[name] = read_tensor(own["_buffers"][name])
    return settings
