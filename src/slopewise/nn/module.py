"""Module: a function with parameters, buffers and submodules, as in PyTorch.

Invariant: what is registered (`_parameters`, `_buffers`, `_modules`) is also a plain instance
attribute of the same name, so that reading `self.weight` costs one dictionary look-up; every change
goes through `__setattr__` or a register method, which keep the two together. Calling a module
without hooks is a direct call of `forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import changes, no_grad, state
from slopewise._core.value import Value
from slopewise._front.operands import as_dtype
from slopewise.errors import SlopewiseError, UsageError
from slopewise.nn import hooks, loading
from slopewise.nn.parameter import Buffer, Parameter
from slopewise.tensor import RemovableHandle, Tensor

_set = object.__setattr__
_REGISTERED = ("_parameters", "_buffers", "_modules")


class ModuleTypeError(SlopewiseError, TypeError):
    """A value of another kind was assigned to a registered name, or something is no Module."""


class Module:
    """Base of all layers and models: assign layers and Parameters in `__init__`, state `forward`.

    Attributes
    ----------
    training : bool
        Whether dropout and batch normalisation behave as in training; see `train` and `eval`.

    Examples
    --------
    >>> import slopewise as sw
    >>> class Line(sw.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.slope = sw.nn.Parameter(sw.tensor(2.0))
    ...
    ...     def forward(self, x):
    ...         return self.slope * x
    >>> Line()(sw.tensor(3.0)).item()
    6.0
    """

    _tracked = "shallow"  # each change of an attribute is counted in `changes`
    training: bool = True
    _hooked: bool = False
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _transient: set[str]
    _hooks: hooks.HookTable

    def __init__(self) -> None:
        _set(self, "training", True)
        _set(self, "_parameters", {})
        _set(self, "_buffers", {})
        _set(self, "_modules", {})
        _set(self, "_transient", set())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass states its own.

        Raises
        ------
        UsageError
            If the subclass does not.
        """
        raise UsageError(
            f'Module [{type(self).__name__}] is missing the required "forward" function: define'
            " forward(self, x) in the class."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooked:
            return hooks.call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # --- what is assigned ---

    def __setattr__(self, name: str, value: Any) -> None:
        changes.count += 1
        if isinstance(value, Parameter):
            self._require_init("parameters", name)
            self._forget(name, "_parameters")
            self._parameters[name] = value
        elif isinstance(value, Module):
            self._require_init("modules", name)
            self._forget(name, "_modules")
            self._modules[name] = value
        elif isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)
            return
        else:
            kept = self.__dict__
            if name in kept.get("_parameters", ()):
                if value is not None:
                    raise ModuleTypeError(
                        f"cannot assign '{type(value).__name__}' as parameter '{name}'"
                        " (nn.Parameter or None expected). Wrap it: nn.Parameter(tensor), or change"
                        f" the numbers in place: with sw.no_grad(): self.{name}.copy_(tensor)."
                    )
                self._parameters[name] = None
            elif name in kept.get("_buffers", ()):
                if value is not None and not isinstance(value, Tensor):
                    raise ModuleTypeError(
                        f"cannot assign '{type(value).__name__}' as buffer '{name}' (a Tensor or"
                        " None expected)."
                    )
                self._buffers[name] = value
            elif name in kept.get("_modules", ()):
                if value is not None:
                    raise ModuleTypeError(
                        f"cannot assign '{type(value).__name__}' as child module '{name}'"
                        " (nn.Module or None expected); del the name first to use it otherwise."
                    )
                self._modules[name] = None
        _set(self, name, value)

    def __delattr__(self, name: str) -> None:
        changes.count += 1
        for table in _REGISTERED:
            self.__dict__.get(table, {}).pop(name, None)
        self._transient.discard(name)
        object.__delattr__(self, name)

    def _require_init(self, kind: str, name: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                f"cannot assign {kind} before Module.__init__() call: put super().__init__() on the"
                f" first line of {type(self).__name__}.__init__, before self.{name} = ..."
            )

    def _forget(self, name: str, kept: str) -> None:
        """Drop a name from the tables of the other kinds; in its own it keeps its place."""
        for table in _REGISTERED:
            if table != kept:
                self.__dict__[table].pop(name, None)

    def _check_name(self, kind: str, name: str, table: str) -> None:
        if not isinstance(name, str) or "." in name or not name:
            raise UsageError(f'{kind} name {name!r} must be a non-empty string without ".".')
        if hasattr(self, name) and name not in self.__dict__[table]:
            raise UsageError(f"attribute '{name}' already exists; choose another {kind} name.")

    def register_parameter(self, name: str, param: Any) -> None:
        """Add a parameter (or None: an absent one) under a name.

        Raises
        ------
        ModuleTypeError
            If it is neither a Parameter nor None.
        """
        self._require_init("parameters", name)
        self._check_name("parameter", name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise ModuleTypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' (nn.Parameter"
                " or None required); wrap it: nn.Parameter(tensor)."
            )
        changes.count += 1
        self._parameters[name] = param
        _set(self, name, param)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Add a tensor that is state but not learnt; `persistent` ones are in `state_dict`.

        Raises
        ------
        ModuleTypeError
            If it is neither a Tensor nor None.
        """
        self._require_init("buffers", name)
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ModuleTypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (a Tensor or"
                " None required)."
            )
        self._buffers[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)
        changes.count += 1
        _set(self, name, tensor)

    def add_module(self, name: str, module: Any) -> None:
        """Add a submodule (or None) under a name.

        Raises
        ------
        ModuleTypeError
            If it is neither a Module nor None.
        """
        self._require_init("modules", name)
        self._check_name("module", name, "_modules")
        if module is not None and not isinstance(module, Module):
            raise ModuleTypeError(f"{type(module).__name__} is not a Module subclass.")
        changes.count += 1
        self._modules[name] = module
        _set(self, name, module)

    register_module = add_module

    # --- what is there ---

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = ""
    ) -> Iterator[tuple[str, Any]]:
        """Yield (path, module) for this module and all below it, each module once."""
        seen = set() if memo is None else memo
        if self in seen:
            return
        seen.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(seen, f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Any]:
        """Yield this module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, module) for the direct submodules, each once."""
        seen: set[Any] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Any]:
        """Yield the direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def _named_members(self, table: str, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, member in module.__dict__[table].items():
                if member is not None and id(member) not in seen:
                    seen.add(id(member))
                    yield (f"{path}.{name}" if path else name), member

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Any]]:
        """Yield (path, parameter), each parameter once; of submodules too if `recurse`."""
        return self._named_members("_parameters", prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """Yield the parameters, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Any]]:
        """Yield (path, buffer), each buffer once."""
        return self._named_members("_buffers", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """Yield the buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Any:
        """Return the submodule at a dotted path ("" is the module itself).

        Raises
        ------
        AttributeError
            If there is none.
        """
        module: Any = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(f"{type(module).__name__} has no submodule `{name}`.")
            module = found
        return module

    def get_parameter(self, target: str) -> Any:
        """Return the parameter at a dotted path."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._parameters.get(name)
        if found is None:
            raise AttributeError(f"there is no parameter `{target}`.")
        return found

    def get_buffer(self, target: str) -> Any:
        """Return the buffer at a dotted path."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._buffers.get(name)
        if found is None:
            raise AttributeError(f"there is no buffer `{target}`.")
        return found

    # --- modes and conversions ---

    def train(self, mode: bool = True) -> Any:
        """Switch this module and all below it to training (or evaluation); return it."""
        changes.count += 1
        for module in self.modules():
            _set(module, "training", bool(mode))
        return self

    def eval(self) -> Any:
        """Switch to evaluation: no dropout, running statistics in batch normalisation."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Switch recording for all parameters; return the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or set them to 0."""
        for parameter in self.parameters():
            if state.recorder is not None:
                clear = state.recorder.clear_grad if set_to_none else state.recorder.read_grad
                clear(parameter)
            if set_to_none or parameter._grad is None:
                parameter._grad = None
            else:
                parameter._grad = parameter._grad.new_zeros(parameter.shape)

    def apply(self, fn: Callable[[Any], Any]) -> Any:
        """Call `fn` with every module, the lowest first; return the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _convert(self, dtype: np.dtype[Any]) -> Any:
        """Convert floats in place, so that optimisers and shared references still hold."""
        with no_grad():
            for tensor in [*self.parameters(), *self.buffers()]:
                if tensor.dtype.kind == "f" and tensor.dtype != dtype:
                    tensor.data = tensor.data.to(dtype)
                    if tensor._grad is not None:
                        tensor._grad = tensor._grad.detach().to(dtype)
        return self

    def to(self, *args: Any, dtype: Any = None, device: Any = None, **options: Any) -> Any:
        """Convert parameters and buffers of float dtype in place; the device can only be the CPU.

        Raises
        ------
        UsageError
            If the dtype is no float.
        """
        from slopewise._front.devices import refuse_device

        for arg in args:
            if isinstance(arg, Value):
                dtype = arg.dtype
            elif isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "mps"):
                device = arg
            elif not isinstance(arg, bool):
                dtype = arg
        refuse_device(device)
        if dtype is None:
            return self
        chosen = as_dtype(dtype)
        if chosen.kind != "f":
            raise UsageError(f"Module.to: only floating point dtypes, got {chosen}.")
        return self._convert(chosen)

    def float(self) -> Any:
        """Convert parameters and buffers to float32."""
        return self._convert(np.dtype(np.float32))

    def double(self) -> Any:
        """Convert parameters and buffers to float64."""
        return self._convert(np.dtype(np.float64))

    def cpu(self) -> Any:
        """Return the module (it is on the CPU)."""
        return self

    # --- state ---

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Return parameters and persistent buffers by path; the tensors share memory.

        Examples
        --------
        >>> import slopewise as sw
        >>> sorted(sw.nn.Linear(2, 1).state_dict())
        ['bias', 'weight']
        """
        return loading.collect_state(self, prefix, keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Copy numbers into parameters and buffers, in place, after checking all of them.

        Parameters
        ----------
        state_dict : mapping of str to Tensor
        strict : bool
            Whether a missing or an unexpected name is an error.

        Returns
        -------
        LoadResult
            The names that were missing and unexpected.

        Raises
        ------
        StateDictError
            If names or shapes do not fit; nothing is changed then.
        """
        return loading.load_state(self, state_dict, strict)

    # --- hooks ---

    def _hook_table(self) -> hooks.HookTable:
        if "_hooks" not in self.__dict__:
            _set(self, "_hooks", hooks.HookTable())
        _set(self, "_hooked", True)
        return self._hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns replaces the arguments."""
        return self._hook_table().add("before", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; what it returns replaces the output."""
        return self._hook_table().add("after", hook, prepend, with_kwargs)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` in backward, once for each call.

        What it returns (a tuple, one entry for each positional Tensor argument) replaces the
        gradients with respect to the inputs.
        """
        return self._hook_table().add("backward", hook, prepend, False)

    # --- how it is shown ---

    def extra_repr(self) -> str:
        """Return what stands in parentheses after the class name."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        extra = self.extra_repr()
        name = type(self).__name__
        if not lines:
            return f"{name}({extra})"
        head = [extra] if extra else []
        return "\n  ".join([f"{name}(", *head, *lines]) + "\n)"


def require_module(value: Any, where: str) -> Any:
    """Return a Module, or raise the error that says what is wrong with it."""
    if not isinstance(value, Module):
        hint = "; write its name with parentheses" if isinstance(value, type) else ""
        raise ModuleTypeError(explain(f"{where}: {value!r} is not a Module{hint}."))
    return value
