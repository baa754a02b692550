"""The exception tree: every error that Slopewise raises on purpose.

Invariant: each class derives from `SlopewiseError` and from the built-in class that Python or
PyTorch users would catch in its place. The module imports nothing, so that every layer can use it.
It is separate because errors are public API and must be visible on one screen.
"""


class SlopewiseError(Exception):
    """Base of all errors raised by Slopewise."""


class ShapeError(SlopewiseError, RuntimeError, ValueError):
    """Operand shapes or axes do not fit an operation."""


class DTypeError(SlopewiseError, RuntimeError, TypeError):
    """An operand's dtype does not fit an operation."""


class DomainError(SlopewiseError, RuntimeError, ValueError):
    """A value lies where an operation is not defined (a class index out of range, say)."""


class IndexRangeError(SlopewiseError, IndexError):
    """An index lies outside the axis that it indexes."""


class GradientError(SlopewiseError, RuntimeError):
    """A derivative was asked for where none is recorded, or where it would be wrong."""


class TraceError(SlopewiseError, RuntimeError):
    """A traced function used the value of an abstract tensor (in a Python branch, say)."""


class UsageError(SlopewiseError, ValueError):
    """A function was called with arguments that make no sense together."""


class DataError(SlopewiseError, ValueError):
    """A table, a column or a file cannot be used; the message is one line."""


class GradientWarning(UserWarning):
    """A gradient became NaN or infinite at a singular point; the message says where."""
