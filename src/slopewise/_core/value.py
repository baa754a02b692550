"""Value: what operations take and return; Storage: what the views of one buffer share.

Invariant: a Value is concrete (`_value` is an ndarray) or abstract (`_value` is None and `_edge`
is a Node that knows the shape). A leaf that requires gradients is its own edge, so no object
points back at a Value and reference counting alone frees a graph. It is separate from `Tensor`
so that the engine does not depend on the front.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from slopewise._core.aval import Aval

if TYPE_CHECKING:
    from slopewise._core.graph import Node

Array = NDArray[Any]


def is_tuple(x: Any) -> TypeGuard[tuple[Any, ...]]:
    """Return whether `x` is a tuple: the outputs of an operation that has several."""
    return isinstance(x, tuple)


def is_sequence(x: Any) -> TypeGuard[Sequence[Any]]:
    """Return whether `x` is a tuple or a list."""
    return isinstance(x, (tuple, list))


def is_array(x: Any) -> TypeGuard[Array]:
    """Return whether `x` is an array."""
    return isinstance(x, np.ndarray)


class Storage:
    """What the aliases of one buffer share: how often it was changed, and who can see it.

    `exported` says that NumPy or DLPack aliases exist, through which it can change unseen: what is
    saved for a backward pass is then copied. `saved` says that a node already kept the buffer
    itself; exporting it later takes a checksum, compared before the buffer is read again.
    `rewriter` is the one Value whose recorded history includes the change in place that made
    version `rewritten`; aliases from before it must not be used in recorded operations.
    """

    version: int = 0
    exported: bool = False
    saved: bool = False
    checksum: int | None = None
    rewriter: Any = None
    rewritten: int = 0

    def export(self, array: Array) -> None:
        """Note that the buffer of `array` is visible outside from now on."""
        if self.saved and self.checksum is None:
            self.checksum = fingerprint(array)
        self.exported = True

    def unchanged(self, array: Array) -> bool:
        """Return whether an exported buffer still holds what it held when it was exported."""
        return self.checksum is None or self.checksum == fingerprint(array)


def owner_of(array: Array) -> Array:
    """Return the array that owns the memory that `array` looks at."""
    base = array.base
    return base if type(base) is np.ndarray else array


def fingerprint(array: Array) -> int:
    """Return a checksum of the whole buffer behind `array`."""
    owner = owner_of(array)
    return crc32(np.ascontiguousarray(owner).view(np.uint8).reshape(-1).data)


class Value:
    """An operand or a result; `slopewise.Tensor` is its one public subclass."""

    _value: Array | None = None
    _edge: Node | None = None
    _requires_grad: bool = False
    _storage: Storage
    _origin: Any = None
    _grad: Any = None
    _hooks: list[Callable[[Any], Any]] | None = None
    _base: Any = None  # (Value, index) for a view made by indexing
    _born: int = 0  # the storage's version when this alias of it was made
    _weak: bool = False  # stands for a Python number: takes the dtype of what it meets
    _source: Any = None  # what a view without numbers was made from
    _views: list[Any] | None = None  # weak references to the views of a value without numbers

    @property
    def shape(self) -> tuple[int, ...]:
        value = self._value
        if value is not None:
            return value.shape
        assert self._edge is not None
        return self._edge.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        value = self._value
        if value is not None:
            return value.dtype
        assert self._edge is not None
        return self._edge.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def aval(self) -> Aval:
        return Aval(self.shape, self.dtype)


class _Front:
    """Holds the class that results are wrapped in; the front installs it once."""

    value_class: type[Value] = Value


front = _Front()


def install_value_class(value_class: type[Value]) -> None:
    """Make every result an instance of `value_class`."""
    front.value_class = value_class


def new_value(array: Array | None, edge: Node | None, requires_grad: bool) -> Any:
    """Return a Value over `array` (None: abstract) with its own storage."""
    cls = front.value_class
    result = cls.__new__(cls)
    result._value = array
    result._edge = edge
    result._requires_grad = requires_grad
    result._storage = Storage()
    return result


def new_zeros(like: Any) -> Any:
    """Return a Value of zeros with the shape and dtype of `like`."""
    shape: tuple[int, ...] = like.shape
    dtype: np.dtype[Any] = like.dtype
    return new_value(np.zeros(shape, dtype), None, False)
