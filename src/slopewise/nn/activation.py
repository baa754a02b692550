"""Activation layers: the functions of `functional.activation` as modules.

Invariant: a layer holds its options and nothing else (PReLU also its slopes); its forward is one
call of the function of the same name.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.source import explain
from slopewise._front.creation import full
from slopewise.errors import UsageError
from slopewise.nn.functional import activation as functional
from slopewise.nn.module import Module
from slopewise.nn.parameter import Parameter


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise."""

    def forward(self, input: Any) -> Any:
        """Return sigmoid(input)."""
        return functional.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent, elementwise."""

    def forward(self, input: Any) -> Any:
        """Return tanh(input)."""
        return functional.tanh(input)


class LogSigmoid(Module):
    """ln sigmoid(x), elementwise, without overflow."""

    def forward(self, input: Any) -> Any:
        """Return logsigmoid(input)."""
        return functional.logsigmoid(input)


class Softsign(Module):
    """x / (1 + |x|), elementwise."""

    def forward(self, input: Any) -> Any:
        """Return softsign(input)."""
        return functional.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x), elementwise."""

    def forward(self, input: Any) -> Any:
        """Return tanhshrink(input)."""
        return functional.tanhshrink(input)


class _InPlace(Module):
    """What the layers with an `inplace` option share."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Return the option, where it is set."""
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """max(0, x), elementwise; the slope at 0 is 0.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.nn.ReLU()(sw.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        """Return relu(input)."""
        return functional.relu(input, self.inplace)


class ReLU6(_InPlace):
    """min(max(0, x), 6), elementwise."""

    def forward(self, input: Any) -> Any:
        """Return relu6(input)."""
        return functional.relu6(input, self.inplace)


class SELU(_InPlace):
    """ELU scaled to keep mean 0 and variance 1 (Klambauer et al. 2017)."""

    def forward(self, input: Any) -> Any:
        """Return selu(input)."""
        return functional.selu(input, self.inplace)


class SiLU(_InPlace):
    """x sigmoid(x), elementwise."""

    def forward(self, input: Any) -> Any:
        """Return silu(input)."""
        return functional.silu(input, self.inplace)


class Mish(_InPlace):
    """x tanh(softplus(x)), elementwise."""

    def forward(self, input: Any) -> Any:
        """Return mish(input)."""
        return functional.mish(input, self.inplace)


class Hardsigmoid(_InPlace):
    """x / 6 + 1/2 limited to [0, 1], elementwise."""

    def forward(self, input: Any) -> Any:
        """Return hardsigmoid(input)."""
        return functional.hardsigmoid(input, self.inplace)


class Hardswish(_InPlace):
    """x hardsigmoid(x), elementwise."""

    def forward(self, input: Any) -> Any:
        """Return hardswish(input)."""
        return functional.hardswish(input, self.inplace)


class Hardtanh(Module):
    """x limited to [min_val, max_val], elementwise."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if not min_val < max_val:
            raise UsageError(
                explain(f"Hardtanh: min_val {min_val} must be below max_val {max_val}.")
            )
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Return hardtanh(input)."""
        return functional.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """Return the limits."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Return leaky_relu(input)."""
        return functional.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """Return the slope."""
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """x where x > 0, else weight * x, with learnt weights (He et al. 2015).

    Attributes
    ----------
    weight : Parameter, shape (num_parameters,)
    """

    weight: Any

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(full((num_parameters,), float(init), dtype=dtype))

    def forward(self, input: Any) -> Any:
        """Return prelu(input, weight)."""
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """Return the number of weights."""
        return f"num_parameters={self.num_parameters}"


class _Alpha(Module):
    """What ELU and CELU share."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Return alpha."""
        return f"alpha={self.alpha}"


class ELU(_Alpha):
    """x where x > 0, else alpha (exp(x) - 1)."""

    def forward(self, input: Any) -> Any:
        """Return elu(input)."""
        return functional.elu(input, self.alpha, self.inplace)


class CELU(_Alpha):
    """x where x > 0, else alpha (exp(x / alpha) - 1)."""

    def forward(self, input: Any) -> Any:
        """Return celu(input)."""
        return functional.celu(input, self.alpha, self.inplace)


class GELU(Module):
    """x Phi(x), Phi the standard normal distribution; approximate="tanh" approximates it."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        """Return gelu(input)."""
        return functional.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """Return the approximation."""
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """ln(1 + exp(beta x)) / beta, exact for every x, so that `threshold` changes nothing."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Any) -> Any:
        """Return softplus(input)."""
        return functional.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"beta={self.beta}, threshold={self.threshold}"


class _AlongAxis(Module):
    """What the layers along one axis share."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        """Return the axis."""
        return f"dim={self.dim}"


class Softmax(_AlongAxis):
    """exp(x) / sum exp(x) along axis `dim`, which must be named."""

    def forward(self, input: Any) -> Any:
        """Return softmax(input)."""
        return functional.softmax(input, self.dim)


class Softmin(_AlongAxis):
    """softmax(-x) along axis `dim`."""

    def forward(self, input: Any) -> Any:
        """Return softmin(input)."""
        return functional.softmin(input, self.dim)


class LogSoftmax(_AlongAxis):
    """ln softmax(x) along axis `dim`, without overflow."""

    def forward(self, input: Any) -> Any:
        """Return log_softmax(input)."""
        return functional.log_softmax(input, self.dim)


class GLU(Module):
    """The first half of axis `dim` times the sigmoid of the second."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Return glu(input)."""
        return functional.glu(input, self.dim)

    def extra_repr(self) -> str:
        """Return the axis."""
        return f"dim={self.dim}"
