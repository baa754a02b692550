"""Optimizer: parameter groups, array state, and how an update function is applied.

Invariant: an algorithm is one pure function `update(param, grad, *state, lr, ...)` that returns
the new parameter and the new state. It is written in operators and primitives, so that the same
function runs on plain arrays (an eager step, in place) and on traced tensors (a compiled step).
Everything that a step changes is a tensor: step counts, moments and learning rates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import changes, enable_grad, no_grad, state
from slopewise._core.value import Value, new_value
from slopewise._front.operands import as_value, cast
from slopewise.errors import ShapeError, SlopewiseError, UsageError

Update = Callable[..., tuple[Any, ...]]
_copyto = np.copyto
_errstate = np.errstate


class ParameterKindError(SlopewiseError, TypeError):
    """What an optimiser was given is no tensor, or no collection of tensors."""


class ParamGroup(dict[str, Any]):
    """The settings of some parameters; `group["lr"]` is a number, kept in a 0-d tensor.

    Writing a number to "lr" changes the tensor `rate` in place, so that a compiled step, which
    reads the tensor, sees it. A tensor may be written too, and then takes its place.

    Examples
    --------
    >>> import slopewise as sw
    >>> optimizer = sw.optim.SGD([sw.zeros(2, requires_grad=True)], lr=0.1)
    >>> group = optimizer.param_groups[0]
    >>> group["lr"] = 0.05
    >>> group["lr"], group.rate.item()
    (0.05, 0.05)
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.rate: Any = new_value(np.zeros((), np.float64), None, False)
        changes.count += 1
        if "lr" in settings:
            self["lr"] = settings["lr"]

    def __getitem__(self, key: str) -> Any:
        if key == "lr":
            value = self.rate._value
            return self.rate if value is None else value.item()
        return dict.__getitem__(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        changes.count += key != "lr"
        if key == "lr":
            if state.recorder is not None:
                with no_grad():
                    self.rate._write(cast(as_value(value), np.dtype(np.float64)))
            elif isinstance(value, Value) and value._value is None:
                self.rate = value
            else:
                given: Any = value._value if isinstance(value, Value) else value
                number = float(given)
                if self.rate._value is None:
                    self.rate = new_value(np.zeros((), np.float64), None, False)
                self.rate._value[...] = number
                self.rate._storage.version += 1
                value = number
        dict.__setitem__(self, key, value)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting, or the default."""
        value = dict.get(self, key, default)
        return self["lr"] if key == "lr" and key in self else value

    def update(self, *args: Any, **settings: Any) -> None:
        """Change several settings."""
        for key, value in dict(*args, **settings).items():
            self[key] = value

    def settings(self) -> dict[str, Any]:
        """Return the settings without the parameters, as a plain dict."""
        return {key: self[key] for key in self if key != "params"}


def as_factor(number: Any, like: Any) -> Any:
    """Return a scalar in the dtype of `like`, so that a product keeps that dtype.

    Step counts and rates are float64, and a 0-d float64 array would make everything float64.
    """
    if isinstance(number, Value):
        return cast(number, like.dtype)
    if isinstance(number, (np.ndarray, np.generic)):
        return number.astype(like.dtype)
    return number


def require_range(name: str, value: float, holds: bool) -> None:
    """Refuse a setting that is out of range, in PyTorch's words."""
    if not holds:
        raise UsageError(explain(f"Invalid {name} value: {value}"))


def _require_rate(lr: Any) -> None:
    number: Any = lr._value if isinstance(lr, Value) else lr
    if number is not None and not float(number) >= 0.0:
        raise UsageError(explain(f"Invalid learning rate: {lr}; it must not be negative."))


class Optimizer:
    """Base of all optimisers.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        Dicts have "params" and settings of their own.
    defaults : dict
        Settings for groups that do not state them.

    Attributes
    ----------
    param_groups : list of ParamGroup
    state : dict of Tensor to dict
        What is kept for each parameter, tensors of its shape and 0-d step counts.

    Raises
    ------
    UsageError
        If there are no parameters, one is no leaf, or a setting is out of range.
    ParameterKindError
        If something given is no tensor.
    """

    _tracked = "deep"  # each change of an attribute, or of what it holds, is counted in `changes`
    _whole_state = False  # whether the state belongs to all parameters together

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Any, dict[str, Any]] = {}
        self.param_groups: list[ParamGroup] = []
        self._steps = 0
        if isinstance(params, Value):
            raise ParameterKindError(
                explain(
                    "params argument given to the optimizer should be an iterable of Tensors or"
                    " dicts, but got one Tensor; put it in a list: [w].",
                    (params,),
                )
            )
        groups = list(params)
        if not groups:
            raise UsageError(
                explain(
                    "optimizer got an empty parameter list: a generator such as model.parameters()"
                    " is used up after one pass, and layers in a plain Python list are not"
                    " registered (use nn.ModuleList)."
                )
            )
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __setattr__(self, name: str, value: Any) -> None:
        changes.count += name != "_steps"  # a plain count of steps changes nothing
        object.__setattr__(self, name, value)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters with settings of their own; other settings are the defaults.

        Raises
        ------
        UsageError
            If a parameter is there already, is no leaf, or there is none.
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise ParameterKindError(explain('param_group must be a dict with the key "params".'))
        given = param_group["params"]
        params = [given] if isinstance(given, Value) else list(given)
        for p in params:
            _require_leaf(p)
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if known & {id(p) for p in params} or len({id(p) for p in params}) != len(params):
            raise UsageError(
                explain("some parameters appear in more than one parameter group, or twice in one.")
            )
        settings = {**self.defaults, **param_group, "params": params}
        if "lr" in settings:
            _require_rate(settings["lr"])
        changes.count += 1
        self.param_groups.append(ParamGroup(settings))

    # --- gradients ---

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients, or set them to 0."""
        for group in self.param_groups:
            for p in group["params"]:
                if state.recorder is not None:
                    clear = state.recorder.clear_grad if set_to_none else state.recorder.read_grad
                    clear(p)
                if set_to_none or p._grad is None:
                    p._grad = None
                else:
                    p._grad = new_value(np.zeros(p.shape, p.dtype), None, False)

    # --- stepping ---

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; return the loss of `closure`, if given."""
        loss = None
        if closure is not None:
            if not callable(closure):
                raise UsageError(
                    explain(
                        f"step: its argument is a function that computes the loss again, not"
                        f" {closure!r}; one call is one step."
                    )
                )
            with enable_grad():
                loss = closure()
        self._steps += 1
        if state.recorder is not None:
            for group in self.param_groups:
                for p in group["params"]:
                    state.recorder.read_grad(p)
        with _errstate(all="ignore"):
            for group in self.param_groups:
                self._advance(group)
        return loss

    def _advance(self, group: ParamGroup) -> None:
        """Step the parameters of one group."""
        for p in group["params"]:
            if p._grad is not None:
                self._update_one(p, self._state_of(p, group), group)

    def _update_one(self, param: Any, state: dict[str, Any], group: ParamGroup) -> None:
        """Apply the algorithm to one parameter."""
        raise UsageError(f"{type(self).__name__} states no update; define _update_one.")

    def _start(self, param: Any, group: ParamGroup) -> dict[str, Any]:
        """Return the state of a parameter before its first step."""
        del param, group
        return {}

    def _state_of(self, param: Any, group: ParamGroup) -> dict[str, Any]:
        kept = self.state.get(param)
        if kept is None:
            changes.count += 1
            kept = self.state[param] = self._start(param, group)
        return kept

    def init_state(self) -> None:
        """Make the state of every parameter now, and not at its first step (for compiling)."""
        if self._whole_state:
            return
        for group in self.param_groups:
            for p in group["params"]:
                self._state_of(p, group)

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the settings, with parameters numbered in order.

        Returns
        -------
        dict
            "state": tensors for each parameter's number; "param_groups": plain settings.
        """
        numbers = self._numbers()
        groups = [
            {**group.settings(), "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {numbers[id(p)]: dict(entries) for p, entries in self.state.items() if entries}
        return {"state": state, "param_groups": groups}

    def _numbers(self) -> dict[int, int]:
        params = [p for group in self.param_groups for p in group["params"]]
        return {id(p): i for i, p in enumerate(params)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state and settings; tensors are copied to the parameters' dtypes.

        Raises
        ------
        UsageError
            If the groups differ in number or size.
        ShapeError
            If a tensor has not its parameter's shape.
        """
        given = list(state_dict["param_groups"])
        if len(given) != len(self.param_groups):
            raise UsageError(
                explain(
                    f"loaded state dict has a different number of parameter groups: {len(given)},"
                    f" and the optimizer has {len(self.param_groups)}."
                )
            )
        places: dict[Any, Any] = {}
        for old, group in zip(given, self.param_groups, strict=True):
            if len(old["params"]) != len(group["params"]):
                raise UsageError(
                    explain(
                        "loaded state dict contains a parameter group that doesn't match the size"
                        f" of optimizer's group: {len(old['params'])} and {len(group['params'])}."
                    )
                )
            places.update(zip(old["params"], group["params"], strict=True))
        state = {
            places[number]: {
                name: _restore(name, entry, places[number], not self._whole_state)
                for name, entry in entries.items()
            }
            for number, entries in state_dict["state"].items()
            if number in places
        }
        for old, group in zip(given, self.param_groups, strict=True):
            group.update({k: v for k, v in old.items() if k != "params"})
        self.state = state

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {value}" for key, value in sorted(group.settings().items())]
        return "\n".join([*lines, ")"])


def _require_leaf(p: Any) -> None:
    if not isinstance(p, Value):
        raise ParameterKindError(
            explain(
                f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__};"
                " pass model.parameters(), or a list of tensors."
            )
        )
    if p._requires_grad and p._edge is not None and p._value is not None:
        raise UsageError(
            explain(
                "can't optimize a non-leaf Tensor: it was computed from others, and a step would"
                " not change those. Optimize what it was computed from, or make it a leaf:"
                " w = w.detach().requires_grad_().",
                (p,),
            )
        )


def _restore(name: str, entry: Any, param: Any, fitted: bool) -> Any:
    """Return one entry of a loaded state: a copy, in the dtype (and shape) of the parameter."""
    if isinstance(entry, (list, tuple)):
        return [_restore(name, e, param, fitted) for e in entry]
    if name == "step":
        number = entry._value if isinstance(entry, Value) else entry
        return new_value(np.array(number, np.float64).reshape(()), None, False)
    if not isinstance(entry, (Value, np.ndarray)):
        return entry
    array = np.asarray(entry._value if isinstance(entry, Value) else entry)
    if fitted and array.shape != tuple(param.shape):
        raise ShapeError(
            explain(
                f"load_state_dict: {name} has shape {array.shape}, and its parameter"
                f" {tuple(param.shape)}; the parameters must come in the order in which they were"
                " saved."
            )
        )
    dtype = param.dtype if array.dtype.kind == "f" else array.dtype
    return new_value(np.array(array, dtype), None, False)


def zeros_beside(param: Any, number: float = 0.0) -> Any:
    """Return a state tensor of a parameter's shape and dtype."""
    return new_value(np.full(param.shape, number, param.dtype), None, False)


def new_count() -> Any:
    """Return a step count: a 0-d float64 tensor."""
    return new_value(np.zeros((), np.float64), None, False)


def apply_update(
    update: Update,
    param: Any,
    state: dict[str, Any],
    names: Iterable[str],
    group: ParamGroup,
    **options: Any,
) -> None:
    """Run an update function and write what it returns into the parameter and its state."""
    grad = param._grad
    kept = [state[name] for name in names]
    arrays = [k._value for k in kept]
    rate = group.rate._value
    value, grad_value = param._value, grad._value
    if value is None or grad_value is None or rate is None or any(a is None for a in arrays):
        with no_grad():
            new = update(as_value(param), grad, *kept, lr=group.rate, **options)
            param._write(new[0])
            for tensor, fresh in zip(kept, new[1:], strict=True):
                tensor._write(fresh)
        return
    new = update(value, grad_value, *arrays, lr=rate.item(), **options)
    _copyto(value, new[0])
    param._storage.version += 1
    param._origin = None
    for tensor, array, fresh in zip(kept, arrays, new[1:], strict=True):
        _copyto(array, fresh)
        tensor._storage.version += 1
