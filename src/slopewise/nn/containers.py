"""Containers of modules and parameters: Sequential, ModuleList, ModuleDict, and parameters'.

Invariant: a container registers its entries under their position or key, so that paths in
`state_dict` are PyTorch's ("0.weight").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slopewise._core.source import explain
from slopewise.errors import IndexRangeError, UsageError
from slopewise.nn.module import Module, require_module
from slopewise.nn.parameter import Parameter


def _settle(index: Any, size: int, name: str) -> int:
    position = index.__index__()
    if not -size <= position < size:
        raise IndexRangeError(
            explain(f"{name}: index {position} is out of range; it has {size} entries.")
        )
    return position % size


class _Entries(Module):
    """What the ordered containers share: entries under the names "0", "1", ..."""

    def _refill(self, modules: Iterable[Any]) -> None:
        for name in list(self._modules):
            delattr(self, name)
        for i, module in enumerate(modules):
            self.add_module(str(i), require_module(module, type(self).__name__))

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        entries = list(self._modules.values())
        if isinstance(index, slice):
            return type(self)._of(entries[index])
        return entries[_settle(index, len(entries), type(self).__name__)]

    def __setitem__(self, index: Any, module: Any) -> None:
        name = list(self._modules)[_settle(index, len(self), type(self).__name__)]
        setattr(self, name, require_module(module, type(self).__name__))

    def __delitem__(self, index: Any) -> None:
        entries = list(self._modules.values())
        if isinstance(index, slice):
            del entries[index]
        else:
            del entries[_settle(index, len(entries), type(self).__name__)]
        self._refill(entries)

    @classmethod
    def _of(cls, modules: list[Any]) -> Any:
        return cls(modules)  # pyright: ignore[reportCallIssue]

    def append(self, module: Any) -> Any:
        """Add a module at the end; return the container."""
        self.add_module(str(len(self)), require_module(module, type(self).__name__))
        return self

    def extend(self, modules: Iterable[Any]) -> Any:
        """Add modules at the end; return the container."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Any) -> None:
        """Put a module before a position."""
        entries = list(self._modules.values())
        entries.insert(index, require_module(module, type(self).__name__))
        self._refill(entries)

    def pop(self, index: int = -1) -> Any:
        """Take a module out and return it."""
        module = self[index]
        del self[index]
        return module


class Sequential(_Entries):
    """Modules applied one after the other.

    Parameters
    ----------
    *args : Module, or one dict of str to Module

    Raises
    ------
    ModuleTypeError
        If an entry is no Module (a class without parentheses, say).

    Examples
    --------
    >>> import slopewise as sw
    >>> model = sw.nn.Sequential(sw.nn.Linear(2, 3), sw.nn.ReLU(), sw.nn.Linear(3, 1))
    >>> model(sw.zeros(5, 2)).shape
    (5, 1)
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, require_module(module, "Sequential"))
        else:
            self._refill(args)

    @classmethod
    def _of(cls, modules: list[Any]) -> Any:
        return cls(*modules)

    def forward(self, input: Any) -> Any:
        """Return the last module's output."""
        for module in self._modules.values():
            input = module(input)
        return input


class ModuleList(_Entries):
    """A list of modules, registered; it has no forward of its own.

    Examples
    --------
    >>> import slopewise as sw
    >>> layers = sw.nn.ModuleList([sw.nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        super().__init__()
        self._refill(modules)

    def __iadd__(self, modules: Iterable[Any]) -> Any:
        return self.extend(modules)


class ModuleDict(Module):
    """A dictionary of modules, registered under their keys.

    Examples
    --------
    >>> import slopewise as sw
    >>> heads = sw.nn.ModuleDict({"mean": sw.nn.Linear(2, 1)})
    >>> list(heads.state_dict())
    ['mean.weight', 'mean.bias']
    """

    def __init__(self, modules: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Any) -> None:
        self.add_module(key, require_module(module, "ModuleDict"))

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """Return the keys."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """Return the modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return (key, module) pairs."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add modules, replacing those of the same keys."""
        for key, module in dict(modules).items():
            self[key] = module


class ParameterList(Module):
    """A list of parameters, registered; plain tensors become parameters.

    Examples
    --------
    >>> import slopewise as sw
    >>> len(list(sw.nn.ParameterList([sw.zeros(2), sw.zeros(3)]).parameters()))
    2
    """

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        for value in values:
            self.append(value)

    def append(self, value: Any) -> Any:
        """Add a parameter at the end; return the list."""
        parameter = value if isinstance(value, Parameter) else Parameter(value)
        self.register_parameter(str(len(self)), parameter)
        return self

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def __getitem__(self, index: int) -> Any:
        return list(self._parameters.values())[_settle(index, len(self), "ParameterList")]


class ParameterDict(Module):
    """A dictionary of parameters, registered under their keys.

    Raises
    ------
    UsageError
        If a key is no valid name.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        for key, value in (values or {}).items():
            self[key] = value

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise UsageError(explain(f"ParameterDict: the key {key!r} is no string."))
        parameter = value if isinstance(value, Parameter) else Parameter(value)
        self.register_parameter(key, parameter)

    def __getitem__(self, key: str) -> Any:
        return self._parameters[key]

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: str) -> bool:
        return key in self._parameters

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return (key, parameter) pairs."""
        return self._parameters.items()
