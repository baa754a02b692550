"""Print the largest error of every kernel in ULP, beside NumPy and SciPy, PyTorch and JAX.

    PYTHONPATH=src python -m tests.kernels.measure [--count N] [--only NAME ...]

The grids are the tests' own. A derivative is compared with what the peer's automatic
differentiation gives. Peers that are not installed are left out. The table is Markdown.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .oracle import errors
from .table import ROWS, Row

Function = Callable[..., Any]

# name: what it is called in SciPy's `special`, PyTorch and JAX
SCIPY = {
    "sigmoid": "expit", "logsigmoid": "log_expit", "erf": "erf", "erfc": "erfc",
    "normal_cdf": "ndtr", "lgamma": "gammaln", "lgamma_negative": "gammaln", "digamma": "digamma",
    "digamma_negative": "digamma", "xlogy": "xlogy",
}  # fmt: skip
TORCH = {
    "pow": "torch.pow", "atan2": "torch.atan2", "hypot": "torch.hypot", "lgamma": "torch.lgamma",
    "lgamma_negative": "torch.lgamma", "digamma_negative": "torch.digamma",
    "softplus": "torch.nn.functional.softplus", "logsigmoid": "torch.nn.functional.logsigmoid",
    "silu": "torch.nn.functional.silu", "gelu": "torch.nn.functional.gelu",
    "normal_cdf": "torch.special.ndtr", "xlogy": "torch.xlogy",
} | {
    name: f"torch.{name}"
    for name in (
        "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh "
        "atanh sqrt rsqrt square reciprocal sigmoid erf erfc digamma logaddexp"
    ).split()
}  # fmt: skip
JAX = {
    "sigmoid": "jax.nn.sigmoid", "softplus": "jax.nn.softplus", "logsigmoid": "jax.nn.log_sigmoid",
    "silu": "jax.nn.silu", "gelu": "jax.nn.gelu", "erf": "jax.scipy.special.erf",
    "erfc": "jax.scipy.special.erfc", "normal_cdf": "jax.scipy.special.ndtr",
    "lgamma": "jax.scipy.special.gammaln", "lgamma_negative": "jax.scipy.special.gammaln",
    "digamma": "jax.scipy.special.digamma", "digamma_negative": "jax.scipy.special.digamma",
    "xlogy": "jax.scipy.special.xlogy", "rsqrt": "jax.lax.rsqrt", "pow": "jax.numpy.power",
    "atan2": "jax.numpy.arctan2", "asin": "jax.numpy.arcsin", "acos": "jax.numpy.arccos",
    "atan": "jax.numpy.arctan", "asinh": "jax.numpy.arcsinh", "acosh": "jax.numpy.arccosh",
    "atanh": "jax.numpy.arctanh",
} | {
    name: f"jax.numpy.{name}"
    for name in (
        "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh sqrt square reciprocal "
        "hypot logaddexp"
    ).split()
}  # fmt: skip
# name: the function it is the derivative of, and by which operand
SLOPES = {
    "logistic_density": ("sigmoid", 0), "silu_slope": ("silu", 0), "erf_slope": ("erf", 0),
    "normal_density": ("normal_cdf", 0), "gelu_slope": ("gelu", 0), "trigamma": ("digamma", 0),
    "trigamma_negative": ("digamma", 0), "sech_squared": ("tanh", 0), "sec_squared": ("tan", 0),
    "asin_slope": ("asin", 0), "atan_slope": ("atan", 0), "acosh_slope": ("acosh", 0),
    "atanh_slope": ("atanh", 0), "rsqrt_slope": ("rsqrt", 0), "pow_base_slope": ("pow", 0),
    "pow_exponent_slope": ("pow", 1), "hypot_slope": ("hypot", 0), "atan2_slope": ("atan2", 0),
    "logaddexp_slope": ("logaddexp", 0),
}  # fmt: skip


def resolve(path: str) -> Function:
    """Return the object that a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def numpy_peer(row: Row) -> Function | None:
    """Return NumPy's or SciPy's function for a row, if they have one."""
    if row.peer is None and row.name in SCIPY:
        return resolve(f"scipy.special.{SCIPY[row.name]}")
    return row.peer


def torch_peer(row: Row) -> Function | None:
    """Return PyTorch's function for a row, or its gradient, on NumPy arrays."""
    torch = importlib.import_module("torch")
    base, operand = SLOPES.get(row.name, (row.name, None))
    if base not in TORCH:
        return None
    function = resolve(TORCH[base])

    def call(*arrays: np.ndarray) -> np.ndarray:
        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        out = function(*tensors)
        if operand is None:
            return out.detach().numpy()
        out.sum().backward()
        return tensors[operand].grad.numpy()

    return call


def jax_peer(row: Row) -> Function | None:
    """Return JAX's compiled function for a row, or its gradient, on NumPy arrays."""
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    base, operand = SLOPES.get(row.name, (row.name, None))
    if base not in JAX:
        return None
    named = resolve(JAX[base])
    function = (lambda x: named(x, approximate=False)) if base == "gelu" else named
    if operand is not None:
        function = jax.grad(lambda *xs, f=function: f(*xs).sum(), argnums=operand)
    compiled = jax.jit(function)
    return lambda *arrays: np.asarray(compiled(*arrays))


def largest_error(
    function: Function | None, row: Row, operands: Sequence[np.ndarray]
) -> float | None:
    """Return a function's largest error in ULP on a row's operands; None for no function."""
    if function is None:
        return None
    with np.errstate(all="ignore"):
        results = np.asarray(function(*operands))
    return float(errors(results, operands, row.reference, row.slope).max())


def show(value: float | None) -> str:
    """Return a number of ULP for the table."""
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 100 else f"{value:.1e}"


def main() -> None:
    """Measure the rows that the command line names, or all, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--count", type=int, default=6000, help="operands a row, before its cost")
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME", help="rows to measure")
    arguments = parser.parse_args()
    peers: dict[str, Callable[[Row], Function | None]] = {"NumPy/SciPy": numpy_peer}
    if importlib.util.find_spec("torch"):
        peers["PyTorch"] = torch_peer
    if importlib.util.find_spec("jax"):
        peers["JAX"] = jax_peer
    titles = ["Slopewise", *peers]
    print("|  | " + " | ".join(f"float64 {title}" for title in titles), end=" | ")
    print(" | ".join(f"float32 {title}" for title in titles) + " |")
    print("|---" * (1 + 2 * len(titles)) + "|")
    for row in ROWS:
        if arguments.only and row.name not in arguments.only:
            continue
        cells = []
        for dtype in (np.float64, np.float32):
            operands = row.operands(dtype, max(int(arguments.count / row.cost), 60))
            functions = [row.kernel, *(peer(row) for peer in peers.values())]
            cells += [show(largest_error(function, row, operands)) for function in functions]
        print(f"| {row.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
