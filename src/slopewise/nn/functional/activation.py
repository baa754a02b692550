"""Activation functions: what a layer applies to its weighted sums.

Invariant: each is right in its saturated ends: no branch that is not taken overflows, and slopes
are computed from the operand. At a kink the slope is the one stated beside the function.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._front import elementwise, norms, reduction
from slopewise._front.joins import chunk
from slopewise._front.operands import apply_unary, as_value
from slopewise._front.random import rand
from slopewise._front.shape import reshape
from slopewise._ops import comparison, exponential, special
from slopewise.errors import ShapeError, UsageError

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _in_place(input: Any, result: Any, inplace: bool) -> Any:
    return input._write(result) if inplace else result


def relu(input: Any, inplace: bool = False) -> Any:
    """Return max(0, x), elementwise; the slope at 0 is 0.

    Source: Nair & Hinton (2010), Rectified linear units improve restricted Boltzmann machines.
    """
    return _in_place(input, elementwise.relu(input), inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """Return min(max(0, x), 6), elementwise."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Return x limited to [min_val, max_val], elementwise; the slope at an edge is 0."""
    low, high = float(min_val), float(max_val)
    x = as_value(input)
    out = elementwise.where(x > low, elementwise.where(x < high, x, high), low)
    return _in_place(input, out, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Return x where x > 0, else negative_slope * x; the slope at 0 is negative_slope.

    Source: Maas, Hannun & Ng (2013), Rectifier nonlinearities improve acoustic models.
    """
    x = as_value(input)
    return _in_place(input, elementwise.where(x > 0, x, x * float(negative_slope)), inplace)


def prelu(input: Any, weight: Any) -> Any:
    """Return x where x > 0, else weight * x, with one weight or one for each channel (axis 1).

    Parameters
    ----------
    input : Tensor, shape (N, C, ...) or any shape for one weight
    weight : Tensor, shape (1,) or (C,)

    Raises
    ------
    ShapeError
        If there is neither one weight nor one for each channel.

    Source: He et al. (2015), Delving deep into rectifiers, equation 1.
    """
    x, w = as_value(input), as_value(weight)
    if w.shape != (1,) and w.ndim:
        channels = x.shape[1] if x.ndim > 1 else (x.shape[0] if x.ndim else 1)
        if w.shape != (channels,):
            raise ShapeError(
                explain(
                    f"prelu: {w.shape[0]} weights for an input of shape {x.shape} with {channels}"
                    " channels; give one weight, or one for each channel.",
                    (x, w),
                )
            )
        w = reshape(w, (-1, *(1,) * (x.ndim - 2))) if x.ndim > 1 else w
    return elementwise.where(x > 0, x, w * x)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return x where x > 0, else alpha (exp(x) - 1); the slope at 0 is alpha.

    Source: Clevert, Unterthiner & Hochreiter (2016), Fast and accurate deep network learning by
    exponential linear units, equation 15.
    """
    x = as_value(input)
    below = elementwise.expm1(elementwise.clamp(x, max=0.0)) * float(alpha)
    return _in_place(input, elementwise.where(x > 0, x, below), inplace)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return x where x > 0, else alpha (exp(x / alpha) - 1).

    Source: Barron (2017), Continuously differentiable exponential linear units, equation 2.
    """
    x = as_value(input)
    below = elementwise.expm1(elementwise.clamp(x, max=0.0) / float(alpha)) * float(alpha)
    return _in_place(input, elementwise.where(x > 0, x, below), inplace)


def selu(input: Any, inplace: bool = False) -> Any:
    """Return ELU with the scale and alpha that keep mean 0 and variance 1.

    Source: Klambauer et al. (2017), Self-normalizing neural networks, equation 2.
    """
    return _in_place(input, elu(input, SELU_ALPHA) * SELU_SCALE, inplace)


def gelu(input: Any, approximate: str = "none") -> Any:
    """Return x Phi(x), Phi the standard normal distribution; "tanh" approximates it.

    Raises
    ------
    UsageError
        If `approximate` is not "none" or "tanh".

    Source: Hendrycks & Gimpel (2016), Gaussian error linear units, equation 1 and section 2.
    """
    if approximate == "none":
        return apply_unary(special.gelu, input)
    if approximate != "tanh":
        raise UsageError(explain(f"gelu: approximate={approximate!r} is not 'none' or 'tanh'."))
    x = as_value(input)
    inner = (x + elementwise.pow(x, 3.0) * 0.044715) * sqrt(2.0 / pi)
    return x * (elementwise.tanh(inner) + 1.0) * 0.5


def silu(input: Any, inplace: bool = False) -> Any:
    """Return x sigmoid(x), elementwise.

    Source: Elfwing, Uchibe & Doya (2018), Sigmoid-weighted linear units, equation 9.
    """
    x = as_value(input)
    return _in_place(input, elementwise.silu(x), inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """Return x tanh(softplus(x)), elementwise.

    Source: Misra (2019), Mish: a self regularized non-monotonic activation function, equation 1.
    """
    x = as_value(input)
    return _in_place(input, x * elementwise.tanh(elementwise.softplus(x)), inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """Return x / 6 + 1/2 limited to [0, 1], elementwise."""
    return _in_place(input, hardtanh(as_value(input) + 3.0, 0.0, 6.0) / 6.0, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Return x hardsigmoid(x), elementwise."""
    x = as_value(input)
    return _in_place(input, x * hardsigmoid(x), inplace)


def softsign(input: Any) -> Any:
    """Return x / (1 + |x|), elementwise."""
    x = as_value(input)
    return x / (elementwise.abs(x) + 1.0)


def tanhshrink(input: Any) -> Any:
    """Return x - tanh(x), elementwise."""
    x = as_value(input)
    return x - elementwise.tanh(x)


def sigmoid(input: Any) -> Any:
    """Return 1 / (1 + exp(-x)), elementwise."""
    return apply_unary(exponential.sigmoid, input)


def tanh(input: Any) -> Any:
    """Return the hyperbolic tangent, elementwise."""
    return apply_unary(exponential.tanh, input)


def logsigmoid(input: Any) -> Any:
    """Return ln sigmoid(x), without overflow."""
    return apply_unary(exponential.logsigmoid, input)


softplus = elementwise.softplus


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """Return exp(x) / sum exp(x) along one axis.

    Raises
    ------
    UsageError
        If no axis is named.
    """
    return norms.softmax(input, dim, dtype=dtype)


def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """Return softmax(-x) along one axis."""
    return norms.softmax(-as_value(input), dim, dtype=dtype)


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """Return ln softmax(x) along one axis, without overflow."""
    return norms.log_softmax(input, dim, dtype=dtype)


def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Any:
    """Return a sample of the Gumbel-softmax distribution; `hard` rounds it to one-hot.

    Source: Jang, Gu & Poole (2017), Categorical reparameterization with Gumbel-softmax, equation 2.
    """
    x = as_value(logits)
    uniform = rand(x.shape, dtype=x.dtype)
    noise = -elementwise.log(-elementwise.log(elementwise.clamp(uniform, min=1e-30)) + 1e-30)
    soft = norms.softmax((x + noise) / tau, dim)
    if not hard:
        return soft
    largest = reduction.amax(soft, dim, keepdim=True)
    chosen = bind(comparison.convert, (soft == largest,), {"dtype": x.dtype})
    return chosen - soft.detach() + soft


def glu(input: Any, dim: int = -1) -> Any:
    """Return a * sigmoid(b), with a and b the two halves of one axis.

    Source: Dauphin et al. (2017), Language modeling with gated convolutional networks, equation 1.
    """
    first, gate = chunk(input, 2, dim)
    if first.shape != gate.shape:
        raise ShapeError(explain(f"glu: axis {dim} of shape {as_value(input).shape} is odd."))
    return first * elementwise.sigmoid(gate)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Return vectors along one axis divided by their p-norm, which counts as at least eps."""
    x = as_value(input)
    length = norms.norm(x, p, dim, keepdim=True)
    return x / elementwise.clamp(length, min=float(eps))
