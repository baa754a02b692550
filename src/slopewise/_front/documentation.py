"""The docstrings of functions that a factory makes: numpydoc text from a primitive's record.

Invariant: the rule and its formula come from the record, so that the text cannot disagree with the
derivative; what is said in words, and the example, come from the table here. It is separate since
the text of fifty functions would hide their code.
"""

from __future__ import annotations

from collections.abc import Sequence

from slopewise._core.graph import Primitive

# Name: what it returns in words, the operands of the example with "|" between, what is printed.
_WORDS: dict[str, tuple[str, str, str]] = {
    "neg": ("-input", "[1.0, -2.0]", "[-1.,  2.]"),
    "abs": ("the absolute value of input", "[1.0, -2.0]", "[1., 2.]"),
    "sign": ("-1, 0 or 1 by the sign of input", "[-2.0, 0.0, 3.0]", "[-1.,  0.,  1.]"),
    "square": ("input squared", "[1.0, -2.0]", "[1., 4.]"),
    "floor": ("the largest whole number that is not above input", "[1.5, -1.5]", "[ 1., -2.]"),
    "ceil": ("the smallest whole number that is not below input", "[1.5, -1.5]", "[ 2., -1.]"),
    "trunc": ("input without its fraction", "[1.5, -1.5]", "[ 1., -1.]"),
    "reciprocal": ("1 / input", "[2.0, 4.0]", "[0.5000, 0.2500]"),
    "exp": ("e to the power of input", "[0.0, 1.0]", "[1.0000, 2.7183]"),
    "exp2": ("2 to the power of input", "[0.0, 3.0]", "[1., 8.]"),
    "expm1": ("exp(input) - 1, exact near 0", "[0.0, 1.0]", "[0.0000, 1.7183]"),
    "log": ("the natural logarithm of input", "[1.0, 2.0]", "[0.0000, 0.6931]"),
    "log2": ("the logarithm of input to base 2", "[1.0, 3.0]", "[0.0000, 1.5850]"),
    "log10": ("the logarithm of input to base 10", "[1.0, 2.0]", "[0.0000, 0.3010]"),
    "log1p": ("ln(1 + input), exact near 0", "[0.0, 1.0]", "[0.0000, 0.6931]"),
    "sqrt": ("the square root of input", "[4.0, 9.0]", "[2., 3.]"),
    "rsqrt": ("1 / sqrt(input)", "[4.0, 2.0]", "[0.5000, 0.7071]"),
    "sin": ("the sine of input, in radians", "[0.0, 1.0]", "[0.0000, 0.8415]"),
    "cos": ("the cosine of input, in radians", "[0.0, 1.0]", "[1.0000, 0.5403]"),
    "tan": ("the tangent of input, in radians", "[0.0, 1.0]", "[0.0000, 1.5574]"),
    "asin": ("the angle whose sine is input, from -pi/2 to pi/2", "[0.0, 1.0]", "[0.0000, 1.5708]"),
    "acos": ("the angle whose cosine is input, from 0 to pi", "[0.0, 1.0]", "[1.5708, 0.0000]"),
    "atan": ("the angle whose tangent is input, from -pi/2 to pi/2",
        "[0.0, 1.0]", "[0.0000, 0.7854]"),
    "sinh": ("the hyperbolic sine of input", "[0.0, 1.0]", "[0.0000, 1.1752]"),
    "cosh": ("the hyperbolic cosine of input", "[0.0, 1.0]", "[1.0000, 1.5431]"),
    "tanh": ("the hyperbolic tangent of input", "[0.0, 1.0]", "[0.0000, 0.7616]"),
    "asinh": ("the inverse of sinh", "[0.0, 1.0]", "[0.0000, 0.8814]"),
    "acosh": ("the inverse of cosh", "[1.0, 2.0]", "[0.0000, 1.3170]"),
    "atanh": ("the inverse of tanh", "[0.0, 0.5]", "[0.0000, 0.5493]"),
    "sigmoid": ("1 / (1 + exp(-input))", "[0.0, 1.0]", "[0.5000, 0.7311]"),
    "logsigmoid": ("ln sigmoid(input), without overflow",
        "[0.0, -100.0]", "[  -0.6931, -100.0000]"),
    "relu": ("input where it is positive, else 0", "[1.0, -2.0]", "[1., 0.]"),
    "silu": ("input times sigmoid(input)", "[0.0, 1.0]", "[0.0000, 0.7311]"),
    "gelu": ("input times the normal distribution function of input",
        "[0.0, 1.0]", "[0.0000, 0.8413]"),
    "erf": ("the error function of input", "[0.0, 1.0]", "[0.0000, 0.8427]"),
    "erfc": ("1 - erf(input), exact for large input", "[0.0, 1.0]", "[1.0000, 0.1573]"),
    "lgamma": ("ln of the absolute gamma function of input", "[4.0, 5.0]", "[1.7918, 3.1781]"),
    "digamma": ("the slope of ln gamma at input", "[1.0, 2.0]", "[-0.5772,  0.4228]"),
    "isnan": ("whether input is NaN", "[1.0, sw.nan]", "[False,  True]"),
    "isinf": ("whether input is infinite", "[1.0, sw.inf]", "[False,  True]"),
    "isfinite": ("whether input is neither NaN nor infinite", "[1.0, sw.inf]", "[ True, False]"),
    "mul": ("the product of input and other", "[1.0, 2.0] | [3.0, 4.0]", "[3., 8.]"),
    "remainder": ("input - floor(input / other) * other, with the sign of other",
        "[-7.0, 7.0] | [3.0, 3.0]", "[2., 1.]"),
    "maximum": ("the larger number; ties share the gradient equally",
        "[1.0, 5.0] | [3.0, 4.0]", "[3., 5.]"),
    "minimum": ("the smaller number; ties share the gradient equally",
        "[1.0, 5.0] | [3.0, 4.0]", "[1., 4.]"),
    "atan2": ("the angle of the point at height input and width other, from -pi to pi",
        "[0.0, 1.0] | [1.0, 0.0]", "[0.0000, 1.5708]"),
    "hypot": ("sqrt(input^2 + other^2), without overflow",
        "[3.0, 5.0] | [4.0, 12.0]", "[ 5., 13.]"),
    "logaddexp": ("ln(exp(input) + exp(other)), without overflow", "[0.0] | [0.0]", "[0.6931]"),
    "xlogy": ("input * ln(other), and 0 where input is 0",
        "[0.0, 2.0] | [0.0, 3.0]", "[0.0000, 2.1972]"),
    "eq": ("whether input == other", "[1, 2] | [1, 3]", "[ True, False]"),
    "ne": ("whether input != other", "[1, 2] | [1, 3]", "[False,  True]"),
    "lt": ("whether input < other", "[1, 2] | [1, 3]", "[False,  True]"),
    "le": ("whether input <= other", "[1, 2] | [1, 1]", "[ True, False]"),
    "gt": ("whether input > other", "[1, 2] | [1, 1]", "[False,  True]"),
    "ge": ("whether input >= other", "[1, 2] | [1, 3]", "[ True, False]"),
    "bitwise_and": ("input and other, bit by bit", "[6, 1] | [3, 2]", "[2, 0]"),
    "bitwise_or": ("input or other, bit by bit", "[6, 1] | [3, 2]", "[7, 3]"),
    "bitwise_xor": ("one of input and other but not both, bit by bit", "[6, 1] | [3, 2]", "[5, 3]"),
}  # fmt: skip
_SOURCES = {
    "relu": "Nair & Hinton (2010), Rectified linear units improve restricted Boltzmann machines.",
    "silu": "Elfwing, Uchibe & Doya (2018), Sigmoid-weighted linear units, equation 9.",
    "gelu": "Hendrycks & Gimpel (2016), Gaussian error linear units, equation 1 and section 2.",
}
_SHAPES = "ShapeError\n    If the shapes do not broadcast together."


def describe_rule(primitive: Primitive) -> str:
    """Return how the function is differentiated: the name of the rule and the formula."""
    if not primitive.differentiable:
        return "Piecewise constant: no gradient flows."
    return f"Derivative ({primitive.text.en}):\n\n    {primitive.text.latex}"


def compose(
    summary: str, notes: Sequence[str], sections: Sequence[tuple[str, str]], example: str = ""
) -> str:
    """Return a numpydoc docstring: the first line, paragraphs, sections, and one example."""
    parts = [summary, *notes]
    parts += [f"{title}\n{'-' * len(title)}\n{text}" for title, text in sections if text]
    if example:
        parts.append(f"Examples\n--------\n>>> import slopewise as sw\n{example}")
    return "\n\n".join(parts) + "\n"


def describe_elementwise(
    name: str, primitive: Primitive, operands: str, minimum: int = 0, raises: str = ""
) -> str:
    """Return the docstring of an elementwise function of one operand or two."""
    words, data, printed = _WORDS.get(name, ("", "", ""))
    is_pair = "," in operands
    what = "Tensor or number, of shapes that broadcast" if is_pair else "Tensor, shape (...)"
    if raises:
        what = what.replace("Tensor or number", "Tensor of bool or int, or number")
    note = "\n    Integers become floats." if minimum == 2 else ""
    dtype = " of bool" if _gives_truth(name) else ""
    given = ", ".join(f"sw.tensor({x})" for x in data.split(" | "))
    source = _SOURCES.get(name)
    return compose(
        f"Return {name}({operands}), elementwise{f': {words}' if words else ''}.",
        [describe_rule(primitive), *([f"Source: {source}"] if source else [])],
        [
            ("Parameters", f"{operands} : {what}{note}"),
            ("Returns", f"Tensor{dtype}, {'the common shape' if is_pair else 'shape of input'}"),
            ("Raises", "\n".join(x for x in (raises, _SHAPES if is_pair else "") if x)),
        ],
        f">>> sw.{name}({given})\ntensor({printed})" if words else "",
    )


def _gives_truth(name: str) -> bool:
    return name in ("isnan", "isinf", "isfinite", "eq", "ne", "lt", "le", "gt", "ge")
