"""State of modules by name: collecting it, and copying it back in place.

Invariant: everything is checked before anything is written, so a refused load changes nothing, and
the error names every name and shape that does not fit. It is separate from `Module` because it is
the one place that decides what belongs to a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from slopewise._core.state import no_grad
from slopewise._core.value import Value
from slopewise._front.operands import as_value
from slopewise.errors import SlopewiseError


class StateDictError(SlopewiseError, RuntimeError):
    """A state does not fit a module: names are missing or unexpected, or shapes differ."""


class LoadResult(NamedTuple):
    """Names that a module has and the state lacks, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _members(module: Any, prefix: str) -> dict[str, Any]:
    """Return every parameter and persistent buffer by path (a shared one under each path)."""
    found: dict[str, Any] = {}
    pending = [(prefix, module)]
    while pending:
        path, current = pending.pop()
        for name, parameter in current._parameters.items():
            if parameter is not None:
                found[path + name] = parameter
        for name, buffer in current._buffers.items():
            if buffer is not None and name not in current._transient:
                found[path + name] = buffer
        below = [(f"{path}{n}.", m) for n, m in current._modules.items() if m is not None]
        pending.extend(reversed(below))
    return found


def collect_state(module: Any, prefix: str, keep_vars: bool) -> dict[str, Any]:
    """Return the state by path: detached tensors that share memory, or the tensors themselves."""
    return {
        path: tensor if keep_vars else tensor.detach()
        for path, tensor in _members(module, prefix).items()
    }


def load_state(module: Any, state_dict: Mapping[str, Any], strict: bool) -> LoadResult:
    """Copy a state into a module, or raise one error that names all that does not fit."""
    if not isinstance(state_dict, Mapping):
        raise StateDictError(
            f"load_state_dict: expected a dict from names to tensors, got"
            f" {type(state_dict).__name__}; pass model.state_dict() or sw.load(path)."
        )
    targets = _members(module, "")
    missing = [name for name in targets if name not in state_dict]
    unexpected = [name for name in state_dict if name not in targets]
    problems: list[str] = []
    if strict and unexpected:
        problems.append("Unexpected key(s) in state_dict: " + _quote(unexpected))
    if strict and missing:
        problems.append("Missing key(s) in state_dict: " + _quote(missing))
    values: dict[str, Any] = {}
    for name, target in targets.items():
        if name not in state_dict:
            continue
        given = state_dict[name]
        if not isinstance(given, (Value, np.ndarray)):
            problems.append(f"{name} is a {type(given).__name__}; a tensor is needed.")
            continue
        value = as_value(given)
        if tuple(value.shape) != tuple(target.shape):
            problems.append(
                f"size mismatch for {name}: copying a param with shape {tuple(value.shape)} from"
                f" state_dict, the shape in current model is {tuple(target.shape)}."
            )
        values[name] = value
    if problems:
        remedy = (
            "Build the model as it was when the state was saved; strict=False ignores names that"
            " are missing or unexpected, and no shape."
        )
        raise StateDictError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t"
            + "\n\t".join([*problems, remedy])
        )
    with no_grad():
        for name, value in values.items():
            targets[name].copy_(value.detach())
    return LoadResult(missing, unexpected)


def _quote(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names) + "."
