"""What the parser of formulas says when it cannot read one, in English and Korean, by message id.

Invariant: each id has both texts with the same placeholders; in Korean no particle follows a
placeholder: a fixed noun stands between. A description shows the line and a caret under the place.
It is separate because texts are data, and the parser holds none.
"""

from __future__ import annotations

import unicodedata
from typing import Any, cast

from slopewise.errors import FormulaError

LANGUAGES = ("en", "ko")
SHOWN = 72
"""Columns of the formula that a description shows."""

MESSAGES: dict[str, tuple[str, str]] = {
    "empty": (
        "The formula is empty. Write one, such as w*x + b.",
        "식이 비어 있습니다. w*x + b 형태의 식을 쓰십시오.",
    ),
    "length": (
        "The formula has {count} characters; at most {limit} are read. Split it into parts.",
        "식의 글자 수가 {count}개입니다. 최대 {limit}개까지 읽으니 식을 나누십시오.",
    ),
    "depth": (
        "Brackets, signs and powers are nested more than {limit} deep. Simplify the formula.",
        "괄호, 부호, 거듭제곱이 {limit}단계보다 깊게 겹쳤습니다. 식을 간단히 하십시오.",
    ),
    "character": (
        "The character {found} ({code}) means nothing in a formula. Leave it out.",
        "{found} 문자({code})는 식에서 뜻이 없습니다. 지우십시오.",
    ),
    "invisible": (
        "There is an invisible or broken character ({code}). Leave it out.",
        "보이지 않거나 깨진 문자({code})가 있습니다. 지우십시오.",
    ),
    "digits": (
        "The number has {count} digits; at most {limit} are read. Round it.",
        "수의 자릿수가 {count}개입니다. 최대 {limit}개까지 읽으니 반올림하십시오.",
    ),
    "exponent": (
        "The number is too large or too small: powers of ten go from -{limit} to {limit}.",
        "수가 너무 크거나 작습니다. 10의 거듭제곱은 -{limit} 이상 {limit} 이하로 쓰십시오.",
    ),
    "underscore": (
        "A number has no underscores. Write 1000, not 1_000.",
        "수에는 밑줄을 쓰지 않습니다. 1_000 대신 1000 형태로 쓰십시오.",
    ),
    "points": (
        "A number has one decimal point at most. Leave the other out.",
        "수의 소수점은 하나까지입니다. 나머지를 지우십시오.",
    ),
    "decimal_comma": (
        "A decimal comma is not read. Use a point: {remedy}.",
        "소수점에는 쉼표를 쓰지 않습니다. 다음과 같이 점을 쓰십시오: {remedy}",
    ),
    "comma": (
        "A comma separates arguments of a function only. Leave it out.",
        "쉼표는 함수의 인수 사이에만 씁니다. 지우십시오.",
    ),
    "quote": (
        "The quoted name is not closed. Add {found} at its end.",
        "따옴표로 시작한 이름이 끝나지 않았습니다. 끝에 다음 기호를 쓰십시오: {found}",
    ),
    "quote_kind": (
        "The quotation mark {found} is not read. Put names in \"double quotes\" or `backquotes`.",
        "{found} 따옴표는 읽지 않습니다. 이름은 \"큰따옴표\" 또는 `역따옴표` 안에 쓰십시오.",
    ),
    "quote_empty": (
        "The quoted name is empty. Write the name of a column in it.",
        "따옴표 안의 이름이 비어 있습니다. 열 이름을 쓰십시오.",
    ),
    "operand": (
        "A value is missing before {found}.",
        "{found} 앞에 값이 없습니다.",
    ),
    "end": (
        "The formula ends where a value is missing.",
        "식이 값이 필요한 곳에서 끝났습니다.",
    ),
    "unopened": (
        "{found} closes a bracket that is not open. Leave it out or open one before it.",
        "{found} 괄호에 짝이 되는 여는 괄호가 없습니다. 지우거나 앞에서 괄호를 여십시오.",
    ),
    "mismatch": (
        "{found} does not close {opened} (opened at character {position}). Write {remedy}.",
        "{found} 괄호는 {position}번째 글자에서 연 {opened} 괄호와 짝이 맞지 않습니다. "
        "다음 괄호를 쓰십시오: {remedy}",
    ),
    "unclosed": (
        "{opened} is not closed (opened at character {position}). Add {remedy}.",
        "{position}번째 글자에서 연 {opened} 괄호가 닫히지 않았습니다. 다음 괄호를 쓰십시오: "
        "{remedy}",
    ),
    "number_product": (
        "A number after a value is unclear. Put *, another operator or brackets between.",
        "값 바로 뒤의 수는 뜻이 분명하지 않습니다. 사이에 * 등의 연산자나 괄호를 쓰십시오.",
    ),
    "equals": (
        "A single = is not read: use == in where; of an equation, write the right side only.",
        "= 기호 하나는 읽지 않습니다. where 안에서는 ==를 쓰고, 등식은 오른쪽 식만 쓰십시오.",
    ),
    "percent": (
        "The sign % is not read. For percent, divide by 100.",
        "% 기호는 읽지 않습니다. 백분율은 100으로 나누십시오.",
    ),
    "factorial": (
        "The sign ! is not read. For the factorial of n, write exp(lgamma(n + 1)).",
        "! 기호는 읽지 않습니다. n의 계승은 다음과 같이 쓰십시오: exp(lgamma(n + 1))",
    ),
    "comparison": (
        "The comparison {found} stands outside the condition of where. "
        "Write where(condition, value, other value).",
        "{found} 비교가 where 조건 밖에 있습니다. 다음과 같이 쓰십시오: where(조건, 값, 다른 값)",
    ),
    "chain": (
        "Comparisons do not chain. Put one where inside another.",
        "비교는 이어 쓸 수 없습니다. where 안에 다른 where를 쓰십시오.",
    ),
    "truth": (
        "A comparison is no number to compute with. Write where(condition, 1, 0).",
        "비교는 계산에 쓰는 수가 아닙니다. 다음과 같이 쓰십시오: where(조건, 1, 0)",
    ),
    "condition": (
        "The first argument of where is no comparison. Write one, such as x > 0.",
        "where 함수의 첫 인수가 비교가 아닙니다. x > 0 형태의 비교를 쓰십시오.",
    ),
    "bare": (
        "{function} is a function and has no argument here. Write {function}(x), or \"{function}\" "
        "for a column of that name.",
        "{function} 함수에 인수가 없습니다. {function}(x) 형태로 쓰거나, 같은 이름의 열이면 "
        "\"{function}\" 형태로 쓰십시오.",
    ),
    "bare_argument": (
        "The argument of {function} is unclear without brackets. Write {function}(...).",
        "괄호가 없어서 {function} 함수의 인수가 분명하지 않습니다. {function}(...) 형태로 "
        "쓰십시오.",
    ),
    "misspelt": (
        "{found} is no function. Did you mean '{remedy}'? For a product write {found}*(...).",
        "{found} 함수는 없습니다. '{remedy}' 함수를 쓰려던 것입니까? 곱이면 {found}*(...) 형태로 "
        "쓰십시오.",
    ),
    "unknown": (
        "{found} is no function, so it has no arguments. Functions are: {remedy}.",
        "{found} 함수는 없습니다. 쓸 수 있는 함수: {remedy}",
    ),
    "refused": (
        "{found} is not read as a function. Write {remedy}.",
        "{found} 함수는 없습니다. 다음과 같이 쓰십시오: {remedy}",
    ),
    "arguments": (
        "{function} takes {wanted}, not {count}.",
        "{function} 함수의 인수가 {count}개입니다. 필요한 인수: {wanted}",
    ),
    "inverse": (
        "{function}^-1 is unclear. Write {remedy}(...) or 1/{function}(...).",
        "{function}^-1 표기는 뜻이 분명하지 않습니다. {remedy}(...) 또는 1/{function}(...) 형태로 "
        "쓰십시오.",
    ),
    "function_power": (
        "The power of a function is a whole number from 1. Write {function}(...)^(...).",
        "함수의 거듭제곱은 1 이상의 정수로 씁니다. {function}(...)^(...) 형태로 쓰십시오.",
    ),
    "two_powers": (
        "Two powers in a row are unclear here. Put the first in brackets.",
        "이어진 두 거듭제곱의 뜻이 분명하지 않습니다. 앞의 거듭제곱을 괄호로 묶으십시오.",
    ),
    "superscript": (
        "The superscript {found} is not read. Raised may be digits with a sign, or one of ⁿˣʸᵏᵐ.",
        "{found} 위 첨자는 읽을 수 없습니다. 부호가 있는 숫자나 ⁿˣʸᵏᵐ 중 하나를 쓰십시오.",
    ),
    "large_power": (
        "The constant power is too large: at most {limit} is read. Compute in logarithms.",
        "상수 지수가 너무 큽니다. 최대 {limit}까지 읽으니 로그로 계산하십시오.",
    ),
}  # fmt: skip
"""Message ids, each with its English and its Korean text."""

EXPECTED: dict[str, tuple[str, str]] = {
    "number": ("a number", "수"),
    "name": ("a name", "이름"),
    "function": ("a function", "함수"),
    "opening": ("an opening bracket", "여는 괄호"),
    "operator": ("an operator", "연산자"),
    "closing": ("a closing bracket", "닫는 괄호"),
    "comma": ("a comma", "쉼표"),
    "comparison": ("a comparison", "비교"),
    "end": ("the end of the formula", "식의 끝"),
    "argument": ("an argument", "인수"),
}
"""What may stand at a place, in English and Korean."""

_FRAME = (
    "cannot read the formula: {message}\n{picture}\nexpected: {expected}",
    "식을 읽을 수 없습니다: {message}\n{picture}\n쓸 수 있는 것: {expected}",
)


def complain(
    text: str,
    place: tuple[int, int],
    id: str,
    expected: tuple[str, ...] = (),
    **values: Any,
) -> FormulaError:
    """Make the error for a place of a formula; a value may be a pair, English and Korean.

    Parameters
    ----------
    text : str
        The formula.
    place : tuple of two ints
        Start and stop in the formula.
    id : str
        A key of `MESSAGES`.
    expected : tuple of str
        Keys of `EXPECTED`.
    **values : object
        What the message names.

    Returns
    -------
    FormulaError

    Raises
    ------
    KeyError
        If there is no such message, or a value that it names is not given.

    Examples
    --------
    >>> print(complain("2 + ", (4, 4), "end", ("number", "name")))
    cannot read the formula: The formula ends where a value is missing.
      2 +
          ^
    expected: a number, a name
    """
    picture = show_place(text, place)
    messages: list[str] = []
    said: dict[str, str] = {}
    for which, lang in enumerate(LANGUAGES):
        named: dict[str, str] = {}
        for name, value in values.items():
            is_pair = isinstance(value, tuple)
            named[name] = clean(str(cast(tuple[str, str], value)[which] if is_pair else value))
        message = MESSAGES[id][which].format(**named)
        wanted = ", ".join(EXPECTED[key][which] for key in expected)
        whole = _FRAME[which].format(message=message, picture=picture, expected=wanted)
        messages.append(message)
        said[lang] = whole if expected else whole.rsplit("\n", 1)[0]
    return FormulaError(text, place, messages[0], expected, said)


def show_place(text: str, place: tuple[int, int]) -> str:
    """Return the line of a place with a caret under its first character.

    Wide characters (Korean, Chinese, Japanese) take two columns, combining ones none.

    Parameters
    ----------
    text : str
        The formula.
    place : tuple of two ints
        Start and stop in the formula.

    Returns
    -------
    str
        Two lines, indented by two columns; a long line is cut on both sides.

    Examples
    --------
    >>> print(show_place("키 + % x", (4, 5)))
      키 + % x
           ^
    """
    start = min(max(place[0], 0), len(text))
    first = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    ends = [at for at in (text.find("\n", start), text.find("\r", start)) if at >= 0]
    last = min(ends, default=len(text))
    left = max(first, start - SHOWN // 2)
    right = min(last, left + SHOWN)
    head = ("…" if left > first else "") + clean(text[left:start])
    tail = clean(text[start:right]) + ("…" if right < last else "")
    return f"  {head}{tail}".rstrip() + f"\n  {' ' * count_columns(head)}^"


def count_columns(text: str) -> int:
    """Return how many columns a text takes on a terminal.

    Parameters
    ----------
    text : str

    Returns
    -------
    int

    Examples
    --------
    >>> count_columns("키=x")
    4
    """
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def clean(text: str) -> str:
    """Return a text with white space as spaces and what cannot be printed as �.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Of the same length.

    Examples
    --------
    >>> clean("a\\tb")
    'a b'
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)
