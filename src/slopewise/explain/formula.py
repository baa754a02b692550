"""A formula that can be called: its names, and its value through the engine's own functions.

Invariant: what is computed is a composition of the public functions, so gradients, `vmap` and
`compile` see it like any code; operations on Python numbers alone are done in float64. It is
separate because the syntax tree knows nothing of tensors.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any

import numpy as np

from slopewise._core.aval import DTYPES
from slopewise._core.value import Value
from slopewise._front import contraction, elementwise, norms, reduction
from slopewise._front.operands import as_value, as_value_in
from slopewise.errors import UsageError
from slopewise.explain.parser import read_formula
from slopewise.explain.syntax import (
    CONSTANTS,
    Apply,
    Binary,
    Name,
    Negate,
    Number,
    Syntax,
    fold,
    walk,
)

_CONSTANT_VALUES = {"e": math.e, "pi": math.pi}
_DOUBLE = DTYPES["float64"]


def _divide_logs(x: Any, base: Any = None) -> Any:
    """Return ln x, or the logarithm to a base."""
    if base is None:
        return elementwise.log(x)
    # A number's logarithm is a number again, which takes the dtype of what it meets.
    below = elementwise.log(base) if isinstance(base, Value) else _apply(elementwise.log, [base])
    return elementwise.div(elementwise.log(x), below)


def _fold_pairs(pair: Callable[[Any, Any], Any], whole: Callable[[Any], Any]) -> Any:
    """Return a function of one operand (over all its elements) or of several (elementwise)."""

    def function(*operands: Any) -> Any:
        return whole(operands[0]) if len(operands) == 1 else reduce(pair, operands)

    return function


_APPLIED: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(elementwise, name)
        for name in (
            "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh exp expm1 log1p log2 log10"
            " sqrt abs sign floor ceil sigmoid logsigmoid softplus relu silu gelu erf erfc lgamma"
            " digamma atan2 where"
        ).split()
    },
    "log": _divide_logs,
    "mean": reduction.mean,
    "sum": reduction.sum,
    "max": _fold_pairs(elementwise.maximum, reduction.max),
    "min": _fold_pairs(elementwise.minimum, reduction.min),
    "softmax": partial(norms.softmax, dim=-1),
    "log_softmax": partial(norms.log_softmax, dim=-1),
    "logsumexp": partial(norms.logsumexp, dim=-1),
}
"""What each function of a formula computes; softmax and logsumexp go along the last axis."""
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": elementwise.add, "-": elementwise.sub, "*": elementwise.mul, "/": elementwise.div,
    "^": elementwise.pow, "@": contraction.matmul, "<": elementwise.lt, "<=": elementwise.le,
    ">": elementwise.gt, ">=": elementwise.ge, "==": elementwise.eq, "!=": elementwise.ne,
}  # fmt: skip


class Formula:
    """A formula read from text; call it with a value for each of its names.

    Parameters
    ----------
    text : str
        The formula.

    Attributes
    ----------
    text : str
        As it was written.
    syntax : Syntax
        Its tree.
    names : tuple of str
        Its free names in order of first appearance; e and pi are constants and not among them.

    Raises
    ------
    FormulaError
        If the text is no formula.

    Examples
    --------
    >>> formula = Formula("σ(w x + b)")
    >>> formula.names
    ('w', 'x', 'b')
    >>> formula(w=2.0, x=0.5, b=-1.0).item()
    0.5
    """

    __slots__ = ("__weakref__", "constants", "names", "syntax", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.syntax = read_formula(text)
        seen = dict.fromkeys(node.name for node in walk(self.syntax) if isinstance(node, Name))
        self.names = tuple(name for name in seen if name not in CONSTANTS)
        self.constants = tuple(name for name in seen if name in CONSTANTS)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Formula({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Formula) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return Formula, (self.text,)

    def __call__(self, *given: Any, **values: Any) -> Any:
        """Compute the formula.

        Parameters
        ----------
        *given : Tensor, array or number; or one mapping of names to them
            Values in the order of `names`.
        **values : Tensor, array or number
            Values by name. Numbers are float64 and take the dtype of what they meet; `e` and `pi`
            may be given too where the formula has them.

        Returns
        -------
        Tensor, the common shape

        Raises
        ------
        UsageError
            If a value is missing, superfluous, given twice, or no number, array or tensor.

        Examples
        --------
        >>> parse("x^2 + 1")(3.0).item()
        10.0
        >>> parse('"body mass" / 2')({"body mass": 3.0}).item()
        1.5
        """
        bound = self._bind(given, values)
        # `e` that was given is a value like any other.
        base = "e" not in bound
        result = fold(self.syntax, lambda node, below: _evaluate(node, below, bound, base))
        return as_value_in(result, _DOUBLE) if isinstance(result, float) else result

    def _bind(self, given: tuple[Any, ...], values: dict[str, Any]) -> dict[str, Any]:
        """Return a value for each name."""
        what = f"formula {_shorten(self.text)}"
        if len(given) == 1 and isinstance(given[0], Mapping):
            bound: dict[str, Any] = dict(given[0])  # pyright: ignore[reportUnknownArgumentType]
        elif len(given) > len(self.names):
            raise UsageError(
                f"{what}: {len(given)} values for {len(self.names)} names"
                f" ({_list_names(self.names)}); leave out the others."
            )
        else:
            bound = dict(zip(self.names, given, strict=False))
        twice = [name for name in values if name in bound]
        if twice:
            raise UsageError(f"{what}: given twice: {_list_names(twice)}; give each once.")
        bound.update(values)
        allowed = (*self.names, *self.constants)
        surplus = [name for name in bound if name not in allowed]
        missing = [name for name in self.names if name not in bound]
        if surplus or missing:
            parts: list[str] = []
            if missing:
                parts.append(f"no value for {_list_names(missing)}")
            if surplus:
                parts.append(f"no such name: {_list_names(surplus)}")
            raise UsageError(
                f"{what}: {'; '.join(parts)}. Its names are: {_list_names(self.names)}."
                + _suggest(surplus, missing)
            )
        return {name: _read_value(what, name, value) for name, value in bound.items()}


def parse(text: str) -> Formula:
    """Read a formula.

    Parameters
    ----------
    text : str
        Such as ``"2x^2 + sin(x)"``; the grammar stands in `slopewise.explain.parser`.

    Returns
    -------
    Formula

    Raises
    ------
    FormulaError
        If the text is no formula; the message shows the place, what was expected and a remedy.

    Examples
    --------
    >>> parse("2x² + e^x").names
    ('x',)
    >>> parse("2x² + e^x")(0.0).item()
    1.0
    """
    return Formula(text)


def _read_value(what: str, name: str, value: Any) -> Any:
    """Return a value as the engine takes it: a Tensor, or a Python float."""
    if isinstance(value, Value):
        return value
    if isinstance(value, np.ndarray):
        return as_value(value)
    if isinstance(value, (int, float, np.number, np.bool_)):
        try:
            return float(value)  # pyright: ignore[reportUnknownArgumentType]
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    raise UsageError(
        f"{what}: the value of {_list_names([name])} is a {type(value).__name__}; give a number,"
        " a NumPy array or a Tensor."
    )


def _evaluate(node: Syntax, below: list[Any], bound: dict[str, Any], base: bool) -> Any:
    """Return the value of a node from the values of its operands."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        return bound[node.name] if node.name in bound else _CONSTANT_VALUES[node.name]
    if isinstance(node, Negate):
        return -below[0]
    if isinstance(node, Apply):
        return _apply(_APPLIED[node.function], below)
    if not isinstance(node, Binary):
        raise TypeError(f"formula: {type(node).__name__} is no node of a formula")
    if base and node.operator == "^" and isinstance(node.left, Name) and node.left.name == "e":
        return _apply(elementwise.exp, below[1:])  # e^x is exact where exp is
    return _apply(_OPERATORS[node.operator], below)


def _apply(function: Callable[..., Any], operands: list[Any]) -> Any:
    """Apply a function; the outcome of Python numbers alone is a Python number again.

    A number keeps no dtype of its own, so that it takes that of the tensor it meets.
    """
    if function is elementwise.where:
        operands = [as_value(operands[0]), *operands[1:]]
        if not any(isinstance(x, Value) for x in operands[1:]):
            operands[1:] = [as_value_in(x, _DOUBLE) for x in operands[1:]]
        return function(*operands)
    if any(isinstance(x, Value) for x in operands):
        return function(*operands)
    result = function(*(as_value_in(x, _DOUBLE) for x in operands))
    # Under a trace the outcome may have no numbers yet.
    return result if result._value is None else result._value.item()


def _list_names(names: Any) -> str:
    """Return names in quotes, cut where there are many."""
    shown = [repr(_shorten(str(name))) for name in list(names)[:20]]
    return ", ".join(shown + ["..."] * (len(names) > 20)) or "none"


def _suggest(surplus: list[str], missing: list[str]) -> str:
    """Return a remedy where a given name is close to a missing one."""
    for name in surplus:
        near = difflib.get_close_matches(str(name)[:60], [m[:60] for m in missing], 1, 0.6)
        if near:
            return f" Did you mean {near[0]!r} for {_shorten(str(name))!r}?"
    return " Give a value for each of them and for no other."


def _shorten(text: str) -> str:
    """Return a text of at most 60 characters, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"
