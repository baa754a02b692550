"""The few switches of a thread: gradient mode, default dtype, the tracing depth.

Invariant: every switch is thread-local and is changed only by the context managers here or by an
explicit setter; `Switches` and `changes` repeat, where machine code can read it, what it must know.
It is separate so that no other module holds mutable global state.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Generator
from contextlib import ContextDecorator, contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from slopewise.errors import DTypeError


class Switches(ctypes.Structure):
    """The switches of one thread that a compiled function depends on, as eight bytes of memory.

    Attributes
    ----------
    grad_enabled : int
        Whether operations are recorded.
    default_dtype : int
        NumPy's number of the dtype.
    recording : int
        Whether a compiled function is being traced.
    """

    _fields_ = (
        ("grad_enabled", ctypes.c_uint8),
        ("default_dtype", ctypes.c_uint8),
        ("recording", ctypes.c_uint8),
        ("_rest", ctypes.c_uint8 * 5),
    )


_assign = threading.local.__setattr__


class _State(threading.local):
    switches: Switches
    grad_enabled: bool = True
    default_dtype: np.dtype[Any] = np.dtype(np.float32)
    anomaly: bool = False
    recognising: bool = True  # whether traced compositions take their better ways
    body: int = 0  # the number since which nodes belong to the body of a loop that is being traced
    recorder: Any = None  # what records a compiled function's operations, while it is traced

    def __init__(self) -> None:
        _assign(self, "switches", Switches(True, self.default_dtype.num, False))

    def __setattr__(self, name: str, value: Any) -> None:
        _assign(self, name, value)
        if name == "grad_enabled":
            self.switches.grad_enabled = bool(value)
        elif name == "recorder":
            self.switches.recording = value is not None
        elif name == "default_dtype":
            self.switches.default_dtype = value.num


state = _State()
recorders: list[Any] = []  # those of all threads: empty unless something is being traced


class _Changes(ctypes.Structure):
    """Counts changes of the attributes of modules and optimisers, so that guards can skip them."""

    _fields_ = (("count", ctypes.c_int64),)


changes = _Changes()


def _record(enabled: bool) -> None:
    """Set the gradient mode, in half the time that the assignment takes."""
    _assign(state, "grad_enabled", enabled)
    state.switches.grad_enabled = 1 if enabled else 0


class _GradMode(ContextDecorator):
    """Set gradient recording inside a `with` block or a decorated function."""

    _enabled: bool

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(state.grad_enabled)
        _record(self._enabled)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _record(self._previous.pop())

    def _recreate_cm(self) -> _GradMode:
        return type(self).__new__(type(self))._reset(self._enabled)

    def _reset(self, enabled: bool) -> _GradMode:
        _GradMode.__init__(self, enabled)
        return self

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return super().__call__(func)


class no_grad(_GradMode):
    """Record no gradients inside; a context manager and a decorator, as in PyTorch.

    Examples
    --------
    >>> import slopewise as sw
    >>> w = sw.tensor(4.0, requires_grad=True)
    >>> with sw.no_grad():
    ...     (w * 2).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_GradMode):
    """Record gradients inside, also within an outer `no_grad`.

    Examples
    --------
    >>> import slopewise as sw
    >>> with sw.no_grad(), sw.enable_grad():
    ...     sw.is_grad_enabled()
    True
    """

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_GradMode):
    """Switch gradient recording at once; as a context manager, until the block ends.

    Parameters
    ----------
    mode : bool
        Whether operations are recorded.

    Examples
    --------
    >>> import slopewise as sw
    >>> with sw.set_grad_enabled(False):
    ...     sw.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._previous.append(state.grad_enabled)
        state.grad_enabled = mode

    def __enter__(self) -> None:
        state.grad_enabled = self._enabled

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function: the switch holds inside it only."""
        if self._previous:
            state.grad_enabled = self._previous.pop()
        return _GradMode(self._enabled)(func)


def is_grad_enabled() -> bool:
    """Return whether operations are recorded for differentiation.

    Returns
    -------
    bool

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.is_grad_enabled()
    True
    """
    return state.grad_enabled


def get_default_dtype() -> np.dtype[Any]:
    """Return the dtype that Python floats get in `tensor(...)`.

    Returns
    -------
    numpy.dtype

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.get_default_dtype()
    dtype('float32')
    """
    return state.default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Set the dtype that Python floats get in `tensor(...)`: float32 or float64.

    Parameters
    ----------
    dtype : dtype or str
        float32 or float64.

    Raises
    ------
    DTypeError
        If `dtype` is not float32 or float64.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.set_default_dtype(sw.float64)
    >>> sw.tensor(1.0).dtype
    dtype('float64')
    >>> sw.set_default_dtype(sw.float32)
    """
    try:
        chosen = np.dtype(dtype)
    except TypeError:
        chosen = dtype
    if chosen not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise DTypeError(
            f"set_default_dtype: {chosen!s} cannot be a default; use float32 or float64."
        )
    state.default_dtype = chosen


@contextmanager
def detect_anomaly() -> Generator[None]:
    """Turn a NaN or infinite gradient at a singular point into an error with its source line.

    Raises
    ------
    GradientError
        In a backward pass inside, where a gradient becomes NaN or infinite.

    Examples
    --------
    >>> import slopewise as sw
    >>> x = sw.tensor(0.0, requires_grad=True)
    >>> with sw.autograd.detect_anomaly():
    ...     sw.sqrt(x).backward()
    Traceback (most recent call last):
    ...
    slopewise.errors.GradientError: sqrt: ...
    """
    previous = state.anomaly
    state.anomaly = True
    try:
        yield
    finally:
        state.anomaly = previous
