"""The functions of formulas: names, numbers of arguments, other spellings, and what is not read.

Invariant: every function here has its computation in `formula.py`, and a name that is neither here
nor refused is a variable. It is separate because the tree, the parser and evaluation share it.
"""

from __future__ import annotations

FUNCTIONS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(
        (
            "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh exp expm1 log1p log2 log10"
            " sqrt abs sign floor ceil sigmoid logsigmoid softplus relu silu gelu erf erfc lgamma"
            " digamma mean sum softmax log_softmax logsumexp"
        ).split(),
        (1, 1),
    ),
    "log": (1, 2), "atan2": (2, 2), "where": (3, 3), "max": (1, 10_000), "min": (1, 10_000),
}  # fmt: skip
"""Functions, each with the least and the greatest number of arguments."""
ALIASES = {
    "ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "arsinh": "asinh", "arcosh": "acosh",
    "artanh": "atanh",
}  # fmt: skip
"""Other spellings of functions."""
INVERSES = {
    **{f: "a" + f for f in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{"a" + f: f for f in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "exp": "log", "log": "exp",
}  # fmt: skip
"""Functions with the function that undoes them."""
REFUSED = {
    "sec": "1/cos(...)", "csc": "1/sin(...)", "cosec": "1/sin(...)", "cot": "1/tan(...)",
    "cbrt": "(...)^(1/3)", "pow": "(...)^(...)", "lg": "log10(...)", "sgn": "sign(...)",
    "maximum": "max(..., ...)", "minimum": "min(..., ...)", "tg": "tan(...)",
}  # fmt: skip
"""Names that elsewhere are functions, each with what to write."""


def names_function(kind: str, name: str) -> bool:
    """Whether a token is the name of a function.

    Parameters
    ----------
    kind, name : str
        Kind and value of the token.

    Returns
    -------
    bool

    Examples
    --------
    >>> names_function("name", "ln"), names_function("quoted", "ln")
    (True, False)
    """
    return kind == "name" and ALIASES.get(name, name) in FUNCTIONS


def count_arguments(function: str) -> tuple[str, str]:
    """Say how many arguments a function takes, in English and Korean.

    Parameters
    ----------
    function : str
        A key of `FUNCTIONS`.

    Returns
    -------
    tuple of two str

    Examples
    --------
    >>> count_arguments("max")
    ('1 or more arguments', '1개 이상')
    """
    least, most = FUNCTIONS[function]
    if least == most:
        return f"{least} argument{'s' if least > 1 else ''}", f"{least}개"
    if most > 100:
        return f"{least} or more arguments", f"{least}개 이상"
    return f"{least} to {most} arguments", f"{least}~{most}개"
