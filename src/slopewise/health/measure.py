"""The measure: what each call does to the gradient, by its own formula, beside what was measured.

Invariant: the factors of calls in a row multiply to the ratio of the gradients at both ends. A for
activations, N for normalisation, M for weights; each is computed from the layer's own numbers and
compared with the gradients that were recorded. It is separate from the verdict, which reads these
figures and no arrays.

Source: A and M in the wide limit: Schoenholz et al. (2016), section 3; M between extreme singular
values: Saxe et al. (2013); the projection of batch norm: Ioffe & Szegedy (2015), section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slopewise.health.convolving import Convolution
from slopewise.health.record import Call, Record
from slopewise.health.steps import measure_steps

LETTERS = {"activation": "A", "norm": "N", "weights": "M"}
"""Kinds of call, each with the letter of its factor; others have a measured ratio of their own."""
SATURATED = 0.05
"""A slope below this share of the steepest one is saturated."""
ALIKE = 1e-3
"""Rows that differ by more have broken their symmetry, whatever their gradients are."""
SMALLEST = {"d": 1e-280, "f": 1e-30}
"""Squares below this, or above its inverse, have lost digits, by the kind of float."""
MOST_CONVOLVED = 1 << 16
"""Numbers of a sample up to which a convolution's largest singular value is estimated."""
MOST_SINGULAR = 512
"""Rows and columns up to which singular values are computed."""


@dataclass
class Factor:
    """What one call does to the gradient.

    Attributes
    ----------
    name, kind, type : str
        Of the call.
    letter : str
        "A", "N" or "M"; "R" for a measured ratio.
    formula : float or None
        By the layer's own formula; None where there is none.
    measured : float or None
        The gradient handed back over the gradient received; None where either is missing.
    grad_in, grad_out : float
        Norms of the gradient handed back and received.
    parts : dict of str to float
        What the factor is made of: scale and kept for N, scale and alignment for M, dead and
        saturated for A.
    forward : dict of str to float
        Of the output: rms, mean, std, and `spread`, how much of it depends on the sample.
    weights : dict of str to float
        Norms of the weight and of its gradient, rho, the smallest and largest singular value, the
        number of rows, and how unlike each other rows and their gradients are.
    steps : list of dict of str to float
        Of a recurrent layer: A, M and the gradient's norm at each time step.
    """

    name: str
    kind: str
    type: str
    letter: str
    formula: float | None = None
    measured: float | None = None
    grad_in: float = math.nan
    grad_out: float = math.nan
    parts: dict[str, float] = field(default_factory=dict[str, float])
    forward: dict[str, float] = field(default_factory=dict[str, float])
    weights: dict[str, float] = field(default_factory=dict[str, float])
    steps: list[dict[str, float]] = field(default_factory=list["dict[str, float]"])

    @property
    def ratio(self) -> float:
        """The formula's factor where there is one, else the measured ratio."""
        found = self.formula if self.formula is not None else self.measured
        return math.nan if found is None else found


def measure(record: Record, full: bool = True) -> list[Factor]:
    """Return the factors of every call, in the order of the calls.

    Parameters
    ----------
    record : Record
    full : bool
        Whether all is computed. Without it singular values are left out, products with weights are
        taken as they were measured, of weights a few rows are compared, and no deviation is taken.

    Returns
    -------
    list of Factor

    Examples
    --------
    >>> import slopewise as sw
    >>> from slopewise.health.probe import record_batch
    >>> model = sw.nn.Sequential(sw.nn.Linear(2, 3), sw.nn.Sigmoid(), sw.nn.Linear(3, 1))
    >>> record = record_batch(model, sw.nn.functional.mse_loss, np.ones((4, 2)), np.ones((4, 1)))
    >>> [(f.letter, abs(f.formula - f.measured) < 1e-6) for f in measure(record)]
    [('M', True), ('A', True), ('M', True)]
    """
    found = [measure_call(call, full) for call in record.calls]
    for i, call in enumerate(record.calls):
        if call.kind == "add" and call.grad_y is not None:
            _measure_shares(record, i, found[i])
    return found


def _measure_shares(record: Record, place: int, found: Factor) -> None:
    """Return what each way into a sum hands back of the gradient where the ways part.

    The way past a block hands back g itself, the block what it makes of g: the shares are the
    products with their sum over its square, and sum to 1.
    """
    call = record.calls[place]
    inner = [s for s in call.sources if s >= 0]
    for way in inner:
        start = _find_fork(record, way, set(inner) - {way})
        if start is None:
            continue
        whole, past = record.calls[start].grad_y, call.grad_y
        if whole is None or past.shape != whole.shape or not np.any(whole):
            continue
        size = float(np.sum(whole**2))
        found.parts["past"] = float(np.sum(past * whole)) / size
        found.parts["through"] = float(np.sum((whole - past) * whole)) / size
        return


def _find_fork(record: Record, place: int, others: set[int]) -> int | None:
    """Go back from a call along single sources to one that another way into the sum starts at."""
    while place >= 0:
        sources = record.calls[place].sources
        if len(sources) != 1:
            return None
        place = sources[0]
        if place in others:
            return place
    return None


def measure_call(call: Call, full: bool = True) -> Factor:
    """Return the factor of one call."""
    found = Factor(call.name, call.kind, call.type, LETTERS.get(call.kind, "R"))
    found.grad_in, found.grad_out = _norm(call.grad_x), _norm(call.grad_y)
    if call.grad_x is not None and call.grad_y is not None and found.grad_out > 0:
        found.measured = found.grad_in / found.grad_out
    if call.y is not None and call.y.dtype.kind == "f":
        found.forward = _describe(call.y, full)
    if call.kind == "activation" and call.slope is not None:
        _describe_slopes(call, found)
    formula = _FORMULAS.get(call.kind)
    if formula is not None and call.grad_y is not None and found.grad_out > 0:
        formula(call, found)
        if full and call.type == "Linear":
            _measure_linear(call, found)
        if full and call.type in ("Conv1d", "Conv2d"):
            _measure_convolution(call, found)
    if call.kind == "weights":
        _measure_weights(call, found, full)
    elif call.kind == "recurrent":
        found.steps = measure_steps(call)
    return found


def _norm(x: Any) -> float:
    """Return the Frobenius norm, computed so that squares neither overflow nor vanish."""
    if x is None or not x.size:
        return math.nan
    smallest = SMALLEST.get(x.dtype.char)
    if smallest is not None:
        flat = x.ravel(order="K")
        square = float(flat @ flat)
        if smallest < square < 1 / smallest:
            return math.sqrt(square)
        x = x.astype(np.float64, copy=False)
    largest = float(np.max(np.abs(x)))
    if not largest or not math.isfinite(largest):
        return largest
    return largest * float(np.sqrt(np.sum((x / largest) ** 2)))


def _describe(y: Any, full: bool) -> dict[str, float]:
    """Return the size of an output, and how much of it depends on the sample."""
    total = float(y.sum())
    finite = y
    if not math.isfinite(total):
        finite = y[np.isfinite(y)]
        total = float(finite.sum())
    count = finite.size
    if not count:
        return {"rms": math.nan, "mean": math.nan, "std": math.nan, "spread": math.nan}
    rms = _norm(finite) / math.sqrt(count)
    mean = total / count
    wanted = full or y.ndim < 2
    std = _norm(finite - mean) / math.sqrt(count) if wanted else math.nan
    over_samples = std
    if y.ndim > 1:
        over_samples = _norm(y - y.sum(axis=0) / len(y)) / math.sqrt(y.size)
    spread = over_samples / rms if rms else 0.0
    return {"rms": rms, "mean": mean, "std": std, "spread": spread}


# ------------------------------------------------------------------ A


def _measure_activation(call: Call, found: Factor) -> None:
    """A: the norm of slope times gradient over that of the gradient."""
    if call.slope is None:
        return
    found.formula = _norm(call.slope * call.grad_y) / found.grad_out


def _describe_slopes(call: Call, found: Factor) -> None:
    """Shares of slopes that are flat or none, which need no gradient to be seen."""
    slope = call.slope
    size = np.abs(slope)
    # A unit is dead when it has no slope for any sample.
    by_unit = size.reshape(len(slope), -1).max(axis=0)
    bound = max(float(by_unit.max(initial=0.0)), _STEEPEST.get(call.type.lower(), 1.0))
    count = max(1, slope.size)
    found.parts["saturated"] = np.count_nonzero(size < SATURATED * bound) / count
    found.parts["dead"] = np.count_nonzero(by_unit == 0) / max(1, by_unit.size)
    found.parts["live"] = float(np.count_nonzero(by_unit > 0))
    found.parts["bound"] = bound
    mean_slope = _norm(slope) / math.sqrt(count)
    # 0 where all slopes are the same, as in the straight part of an activation.
    bend = _norm(slope - slope.sum() / count) / math.sqrt(count)
    found.parts["bend"] = bend / max(mean_slope, 1e-300)
    found.parts["mean_slope"] = mean_slope


_STEEPEST = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0, "softplus": 1.0, "hardsigmoid": 1 / 6}


# ------------------------------------------------------------------ N


def _measure_norm(call: Call, found: Factor) -> None:
    """N: the scale, and the share of the gradient that the projection keeps."""
    x, g = call.x, call.grad_y
    gamma, eps = call.parameters.get("weight"), call.settings.get("eps", 1e-5)
    if eps is None:  # PyTorch's RMSNorm, for the smallest of its dtype
        eps = float(np.finfo(x.dtype).eps)
    if call.type == "LayerNorm":
        shape = tuple(call.settings["normalized_shape"])
        axes = tuple(range(x.ndim - len(shape), x.ndim))
        sigma = np.sqrt(x.var(axis=axes, keepdims=True) + eps)
        scaled = g * (1.0 if gamma is None else gamma)
        unit = (x - x.mean(axis=axes, keepdims=True)) / sigma
        projected = _project(scaled, unit, axes) / sigma
        found.parts["scale"] = _norm(scaled / sigma) / found.grad_out
    elif call.type == "RMSNorm":
        shape = tuple(call.settings["normalized_shape"])
        axes = tuple(range(x.ndim - len(shape), x.ndim))
        sigma = np.sqrt((x**2).mean(axis=axes, keepdims=True) + eps)
        scaled = g * (1.0 if gamma is None else gamma)
        unit = x / sigma
        projected = (scaled - np.mean(scaled * unit, axis=axes, keepdims=True) * unit) / sigma
        found.parts["scale"] = _norm(scaled / sigma) / found.grad_out
    elif call.type.startswith("BatchNorm"):
        axes = tuple(i for i in range(x.ndim) if i != 1)
        shape = tuple(-1 if i == 1 else 1 for i in range(x.ndim))
        factor = 1.0 if gamma is None else gamma.reshape(shape)
        batch = call.settings["training"] or "running_var" not in call.settings
        if batch:
            sigma = np.sqrt(x.var(axis=axes, keepdims=True) + eps)
            unit = (x - x.mean(axis=axes, keepdims=True)) / sigma
            projected = factor / sigma * _project(g, unit, axes)
        else:
            sigma = np.sqrt(call.settings["running_var"].reshape(shape) + eps)
            projected = factor / sigma * g
        found.parts["scale"] = _norm(factor / sigma * g) / found.grad_out
    else:
        return
    found.formula = _norm(projected) / found.grad_out
    found.parts["kept"] = found.formula / found.parts["scale"] if found.parts["scale"] else 0.0


def _project(g: Any, unit: Any, axes: tuple[int, ...]) -> Any:
    """Take away what only shifts and scales: the mean, and what lies along the unit values."""
    along = np.mean(g * unit, axis=axes, keepdims=True) * unit
    return g - np.mean(g, axis=axes, keepdims=True) - along


# ------------------------------------------------------------------ M


def _measure_product(call: Call, found: Factor) -> None:
    """M: the initialisation's scale times how the gradient lies to the weights."""
    weight = call.parameters.get("weight")
    if weight is None or call.type == "Embedding":
        return
    found.weights["norm"] = _norm(weight)
    scale = found.parts["scale"] = found.weights["norm"] / math.sqrt(len(weight))
    found.formula = found.measured
    if found.formula is not None and scale:
        found.parts["alignment"] = found.formula / scale


def _measure_linear(call: Call, found: Factor) -> None:
    """M by its own formula, and the extreme singular values that it lies between."""
    weight = call.parameters.get("weight")
    if weight is None:
        return
    found.formula = _norm(call.grad_y @ weight) / found.grad_out
    if found.parts.get("scale"):
        found.parts["alignment"] = found.formula / found.parts["scale"]
    if max(weight.shape) <= MOST_SINGULAR and np.all(np.isfinite(weight)):
        values = np.linalg.svd(weight, compute_uv=False)
        found.weights["smallest"] = float(values[-1])
        found.weights["largest"] = float(values[0])


def _measure_convolution(call: Call, found: Factor) -> None:
    """M by the transposed convolution, and the largest singular value that it lies below."""
    weight = call.parameters.get("weight")
    modes = (call.settings.get("padding_mode", "zeros"), call.settings.get("padding", 0))
    if weight is None or call.x is None or modes[0] != "zeros" or isinstance(modes[1], str):
        return
    convolution = Convolution(weight, call.settings, call.x.shape)
    found.formula = _norm(convolution.apply_adjoint(call.grad_y)) / found.grad_out
    if found.parts.get("scale"):
        found.parts["alignment"] = found.formula / found.parts["scale"]
    if np.all(np.isfinite(weight)) and math.prod(call.x.shape[1:]) <= MOST_CONVOLVED:
        found.weights["largest"] = convolution.measure_largest()


def _differ(weight: Any, full: bool) -> float:
    """Return how unlike each other the rows are: 0 where all are the same; NaN for no numbers."""
    if not full:
        weight = weight[:: max(1, len(weight) // 4)].astype(np.float64)
    size = _norm(weight)
    if not math.isfinite(size):
        return math.nan
    return _norm(weight - weight.sum(axis=0) / len(weight)) / size if size > 0 else 0.0


def _measure_weights(call: Call, found: Factor, full: bool) -> None:
    """The weight's gradient: its norm is that of g times that of h times rho."""
    weight = call.parameters.get("weight")
    if weight is None:
        return
    size = found.weights["norm"] if "norm" in found.weights else _norm(weight)
    found.weights["norm"] = size
    found.weights["rows"] = float(len(weight))
    found.weights["scale"] = size / math.sqrt(len(weight))
    several = len(weight) > 1 and call.type != "Embedding"
    if several:
        found.weights["unlike"] = _differ(weight, full)
    grad = call.grads.get("weight")
    if grad is None:
        return
    found.weights["grad"] = _norm(grad)
    if several and (full or found.weights["unlike"] < ALIKE):
        found.weights["unlike_grad"] = _differ(grad, full)
    sizes = found.grad_out * _norm(call.x) if call.x is not None else math.nan
    if sizes and math.isfinite(sizes):
        found.weights["rho"] = found.weights["grad"] / sizes


_FORMULAS = {
    "activation": _measure_activation, "norm": _measure_norm, "weights": _measure_product,
}  # fmt: skip
