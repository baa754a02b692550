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


class SpokenError(UsageError):
    """A `UsageError` that can be told in English and Korean."""

    def __init__(self, descriptions: dict[str, str]) -> None:
        super().__init__(descriptions)
        self._descriptions = descriptions

    def __str__(self) -> str:
        return self._descriptions["en"]

    def describe(self, lang: str = "en") -> str:
        """Return the whole message in a language: 'en' or 'ko'."""
        if lang not in self._descriptions:
            raise UsageError(f"describe: lang is {lang!r}; use one of {list(self._descriptions)}.")
        return self._descriptions[lang]


class FormulaError(SpokenError):
    """A formula cannot be read; the message shows the place, what was expected, and a remedy.

    Attributes: `text` (the formula), `place` (start and stop in it), `message` (one line, English),
    `expected` (ids of what may stand there).
    """

    def __init__(
        self,
        text: str,
        place: tuple[int, int],
        message: str,
        expected: tuple[str, ...],
        descriptions: dict[str, str],
    ) -> None:
        super().__init__(descriptions)
        self.args = (text, place, message, expected, descriptions)  # what pickle makes it of
        self.text = text
        self.place = place
        self.message = message
        self.expected = expected


class DataError(SlopewiseError, ValueError):
    """A table, a column or a file cannot be used; the message is one line."""


class GradientWarning(UserWarning):
    """A gradient became NaN or infinite at a singular point; the message says where."""
