"""Requests: what is asked to be explained, read once for all explanations, and what is refused.

Invariant: a refused request changes nothing, and is told in English and Korean with the remedy. It
is separate because derivations, limits and descents all take a formula, a variable and a point.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from slopewise.errors import SpokenError
from slopewise.explain.complaints import LANGUAGES
from slopewise.explain.formula import Formula

MESSAGES: dict[str, tuple[str, str]] = {
    "lang": (
        "no language {found!r}; there is {known}",
        "{found} 언어는 없습니다. 쓸 수 있는 언어: {known}",
    ),
    "function": (
        "needs a formula or a function of numbers, not {found}",
        "식이나 수의 함수가 있어야 합니다. 받은 것: {found}",
    ),
    "parameters": (
        "the function's variables are its positional parameters; write them out one by one",
        "함수의 변수는 위치 매개변수입니다. 변수를 하나씩 쓰십시오",
    ),
    "no_variable": (
        "{found} has no variable, so there is nothing to derive in; write one, such as w",
        "{found} 식에 변수가 없어 미분할 수 없습니다. 변수를 쓰십시오. 예: w",
    ),
    "which": (
        "of which variable? Pass wrt; there is {known}",
        "어느 변수로 미분할지 정해야 합니다(wrt). 변수: {known}",
    ),
    "wrt_twice": (
        "the variables to derive in must be one or more, each once, not {found}",
        "미분할 변수는 하나 이상이어야 하고 두 번 쓰지 않습니다. 받은 것: {found}",
    ),
    "wrt": (
        "no variable `{found}`; there is {known}",
        "`{found}` 변수는 없습니다. 변수: {known}",
    ),
    "point": (
        "the point names {found}; the variables are {known}",
        "점에 쓴 이름과 식의 변수가 다릅니다. 쓴 이름: {found}. 변수: {known}",
    ),
    "number": (
        "the value of `{name}` is {found}; give a finite number",
        "`{name}` 변수의 값이 유한한 수가 아닙니다. 받은 것: {found}",
    ),
    "shape_name": (
        "a shape for `{found}`, which is no variable; there is {known}",
        "`{found}` 변수는 없어 모양을 정할 수 없습니다. 변수: {known}",
    ),
    "axes": (
        "more than {limit} names of axes; give sizes as numbers",
        "축의 이름이 {limit}개보다 많습니다. 크기를 수로 쓰십시오",
    ),
    "not_number": (
        "the function gives an array of shape {found}; sum it or take its mean first",
        "함숫값이 수가 아니라 배열입니다. 모양: {found}. 합이나 평균을 먼저 구하십시오",
    ),
    "misfit": (
        "the shapes do not fit ({shapes}): {reason}; give others by shapes",
        "모양이 서로 맞지 않습니다. 쓰인 모양: {shapes}. 다른 모양을 정하십시오",
    ),
    "rate": (
        "the learning rate must be a number above 0, not {found}",
        "학습률은 0보다 큰 수여야 합니다. 받은 것: {found}",
    ),
    "tensor": (
        "needs a Tensor that was computed, such as a loss, not {found}",
        "손실처럼 계산된 텐서가 있어야 합니다. 받은 것: {found}",
    ),
    "positive": (
        "{name} must be above 0, not {found}",
        "{name} 값은 0보다 커야 합니다. 받은 것: {found}",
    ),
    "range": (
        "{name} must be {low} to {high}, not {found}",
        "{name} 값은 {low} 이상 {high} 이하여야 합니다. 받은 것: {found}",
    ),
    "choice": (
        "no {name} {found!r}; there is {known}",
        "{name} 값으로 {found} 항목은 없습니다. 쓸 수 있는 값: {known}",
    ),
}
"""Message ids, each with its English and its Korean text."""


def refuse(operation: str, id: str, **values: object) -> SpokenError:
    """Return the error for a request that cannot be met.

    Parameters
    ----------
    operation : str
        What was asked for, such as "derivation".
    id : str
        A key of `MESSAGES`.
    **values : object
        What the message names.

    Returns
    -------
    SpokenError

    Examples
    --------
    >>> print(refuse("derivation", "wrt", found="z", known="x, y"))
    derivation: no variable `z`; there is x, y.
    """
    english, korean = (text.format(**values) for text in MESSAGES[id])
    return SpokenError({"en": f"{operation}: {english}.", "ko": f"{korean}."})


def check_lang(operation: str, lang: str) -> None:
    """Refuse a language that there is not."""
    if lang not in LANGUAGES:
        raise refuse(operation, "lang", found=lang, known=", ".join(LANGUAGES))


def check_choice(operation: str, name: str, found: str, known: Iterable[str]) -> None:
    """Refuse a value that is none of those there are, with the nearest one first."""
    listed = list(known)
    if found not in listed:
        near = difflib.get_close_matches(str(found), listed, 1)
        ordered = near + [x for x in listed if x not in near]
        raise refuse(operation, "choice", name=name, found=found, known=", ".join(ordered))


def check_range(operation: str, name: str, found: int, low: int, high: int) -> None:
    """Refuse a number outside of a range."""
    if not low <= found <= high:
        raise refuse(operation, "range", name=name, found=found, low=low, high=high)


def read_request(operation: str, f: Any) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """Return a function of numbers in order, and their names.

    Parameters
    ----------
    operation : str
        What was asked for.
    f : str, Formula or callable

    Returns
    -------
    callable, tuple of str

    Raises
    ------
    SpokenError
        If it is none of these, or its variables cannot be told.
    FormulaError
        If a text is no formula.

    Examples
    --------
    >>> read_request("derivation", "w x + b")[1]
    ('w', 'x', 'b')
    """
    if isinstance(f, str):
        f = Formula(f)
    if isinstance(f, Formula):
        return f, f.names
    if not callable(f):
        raise refuse(operation, "function", found=type(f).__name__)
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        raise refuse(operation, "parameters") from None
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY) for p in parameters):
        raise refuse(operation, "parameters")
    return f, tuple(p.name for p in parameters)


def choose_variable(operation: str, names: Sequence[str], wrt: str | None) -> str:
    """Return the variable that was asked for, or the only one."""
    if wrt is None and len(names) != 1:
        raise refuse(operation, "which", known=", ".join(names))
    chosen = names[0] if wrt is None else wrt
    if chosen not in names:
        raise refuse(operation, "wrt", found=chosen, known=", ".join(names))
    return chosen


def read_point(
    operation: str, at: Mapping[str, float] | float | None, names: Sequence[str]
) -> dict[str, float] | None:
    """Return a point with a number for each variable, in their order.

    Parameters
    ----------
    operation : str
        What was asked for.
    at : mapping of str to float, or float, or None
        One number will do for one variable.
    names : sequence of str

    Returns
    -------
    dict of str to float, or None
        None for None.

    Raises
    ------
    SpokenError
        If it names other variables, or a value is no finite number.

    Examples
    --------
    >>> read_point("derivation", 4, ["w"]), read_point("derivation", {"w": 4, "b": 1}, "bw")
    ({'w': 4.0}, {'b': 1.0, 'w': 4.0})
    """
    if at is None:
        return None
    given = dict(at) if isinstance(at, Mapping) else {names[0]: at} if len(names) == 1 else {}
    if set(given) != set(names):
        found = ", ".join(map(str, given)) or "-"
        raise refuse(operation, "point", found=found, known=", ".join(names))
    point: dict[str, float] = {}
    for name in names:
        try:
            value = float(given[name])
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise refuse(operation, "number", name=name, found=repr(given[name]))
        point[name] = value
    return point
