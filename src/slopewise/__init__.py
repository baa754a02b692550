"""Slopewise: learn by gradient descent, fast, and read every derivative.

`import slopewise as sw`, or `import slopewise as torch` to run ordinary PyTorch teaching code. Only
NumPy is imported at once; what a name needs beyond it is imported when the name is first used.
"""

from __future__ import annotations

import importlib as _importlib
from math import e, inf, nan, pi
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from slopewise import autograd, errors
from slopewise._core.aval import DTYPES as _DTYPES
from slopewise._core.state import (
    enable_grad, get_default_dtype, is_grad_enabled, no_grad, set_default_dtype, set_grad_enabled,
)  # fmt: skip
from slopewise._core.value import install_value_class as _install_value_class
from slopewise._front.contraction import (
    bmm, dot, einsum, linear, matmul, mm, mv, outer, tensordot,
)  # fmt: skip
from slopewise._front.control import (
    checkpoint, cond, fori_loop, scan, while_loop,
)  # fmt: skip
from slopewise._front.convolution import (
    adaptive_avg_pool2d, avg_pool1d, avg_pool2d, conv1d, conv2d, max_pool1d, max_pool2d,
)  # fmt: skip
from slopewise._front.creation import (
    arange, as_tensor, asarray, clone, detach, empty, empty_like, eye, from_dlpack, from_numpy,
    full, full_like, linspace, logspace, ones, ones_like, zeros, zeros_like,
)  # fmt: skip
from slopewise._front.creation import tensor as _tensor
from slopewise._front.elementwise import (
    abs, acos, acosh, add, allclose, asin, asinh, atan, atan2, atanh, bitwise_and, bitwise_not,
    bitwise_or, bitwise_xor, ceil, clamp, cos, cosh, digamma, div, eq, erf, erfc, exp, exp2,
    expm1, floor, floor_divide, ge, gt, hypot, isclose, isfinite, isinf, isnan, le, lerp,
    lgamma, log, log10, log1p, log2, logaddexp, logical_and, logical_not, logical_or,
    logical_xor, logsigmoid, lt, maximum, minimum, mul, nan_to_num, ne, neg, pow, reciprocal,
    relu, remainder, round, rsqrt, sigmoid, sign, sin, sinh, softplus, sqrt, square, sub, tan,
    tanh, true_divide, trunc, where, xlogy,
)  # fmt: skip
from slopewise._front.indexing import (
    argsort, dynamic_update_slice, gather, index_add, index_fill, index_select, masked_fill,
    masked_select, nonzero, one_hot, scatter, scatter_add, scatter_set, sort, take_along_dim,
    topk,
)  # fmt: skip
from slopewise._front.random import (
    Generator, bernoulli, get_rng_state, initial_seed, manual_seed, multinomial, normal, rand,
    rand_like, randint, randn, randn_like, randperm, set_rng_state,
)  # fmt: skip
from slopewise._front.reduction import (
    Extremum, all, amax, amin, any, argmax, argmin, cumprod, cumsum, log_softmax, logsumexp,
    max, mean, min, norm, prod, softmax, std, std_mean, sum, var, var_mean,
)  # fmt: skip
from slopewise._front.shape import (
    broadcast_tensors, broadcast_to, cat, chunk, concat, concatenate, diag, diagonal, expand,
    flatten, flip, meshgrid, movedim, narrow, pad, permute, repeat, repeat_interleave, reshape,
    roll, split, squeeze, stack, swapaxes, t, tile, transpose, tril, triu, unbind, unflatten,
    unsqueeze, view,
)  # fmt: skip
from slopewise._front.linalg import cdist, det, inverse, logdet, pinverse, slogdet, trace
from slopewise._ops.registry import install as _install_primitives
from slopewise._transform.custom import custom_jvp, custom_vjp
from slopewise._transform.gradcheck import gradcheck
from slopewise._transform.gradients import grad, hessian, jacobian, jvp, value_and_grad, vjp
from slopewise._transform.stabilize import install as _install_recognitions
from slopewise._transform.vmap import vmap
from slopewise.tensor import Tensor
from slopewise.tensor import install_methods as _install_methods

if _TYPE_CHECKING:
    from slopewise import examples, linalg, nn, optim, report, train, utils

__version__ = "0.1.0"

_install_primitives()
_install_recognitions()
_install_value_class(Tensor)
_install_methods()

tensor = _tensor  # the function; the module of the same name was imported above
float32 = float = _DTYPES["float32"]
float64 = double = _DTYPES["float64"]
int8, uint8 = _DTYPES["int8"], _DTYPES["uint8"]
int16 = short = _DTYPES["int16"]
int32 = int = _DTYPES["int32"]
int64 = long = _DTYPES["int64"]
bool = _DTYPES["bool"]

_LAZY = ("examples", "linalg", "nn", "optim", "report", "train", "utils")


def __getattr__(name: str) -> _Any:
    """Import a subpackage when it is first used."""
    if name in _LAZY:
        return _importlib.import_module(f"slopewise.{name}")
    if name in ("save", "load"):
        return getattr(_importlib.import_module("slopewise.nn.serialization"), name)
    raise AttributeError(f"module 'slopewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, the lazily imported ones too."""
    return sorted({*__all__, *globals()})


__all__ = [
    "Extremum", "Generator", "Tensor", "abs", "acos", "acosh", "adaptive_avg_pool2d", "add",
    "all", "allclose", "amax", "amin", "any", "arange", "argmax", "argmin", "argsort",
    "as_tensor", "asarray", "asin", "asinh", "atan", "atan2", "atanh", "autograd", "avg_pool1d",
    "avg_pool2d", "bernoulli", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "bmm",
    "bool", "broadcast_tensors", "broadcast_to", "cat", "cdist", "ceil", "checkpoint", "chunk",
    "clamp", "clone", "concat", "concatenate", "cond", "conv1d", "conv2d", "cos", "cosh",
    "cumprod", "cumsum", "custom_jvp", "custom_vjp", "det", "detach", "diag", "diagonal",
    "digamma", "div", "dot", "double", "dynamic_update_slice", "e", "einsum", "empty",
    "empty_like", "enable_grad", "eq", "erf", "erfc", "errors", "examples", "exp", "exp2",
    "expand", "expm1", "eye", "flatten", "flip", "float", "float32", "float64", "floor",
    "floor_divide", "fori_loop", "from_dlpack", "from_numpy", "full", "full_like", "gather",
    "ge", "get_default_dtype", "get_rng_state", "grad", "gradcheck", "gt", "hessian", "hypot",
    "index_add", "index_fill", "index_select", "inf", "initial_seed", "int", "int16", "int32",
    "int64", "int8", "inverse", "is_grad_enabled", "isclose", "isfinite", "isinf", "isnan",
    "jacobian", "jvp", "le", "lerp", "lgamma", "linalg", "linear", "linspace", "load", "log",
    "log10", "log1p", "log2", "log_softmax", "logaddexp", "logdet", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsigmoid", "logspace", "logsumexp", "long",
    "lt", "manual_seed", "masked_fill", "masked_select", "matmul", "max", "max_pool1d",
    "max_pool2d", "maximum", "mean", "meshgrid", "min", "minimum", "mm", "movedim", "mul",
    "multinomial", "mv", "nan", "nan_to_num", "narrow", "ne", "neg", "nn", "no_grad", "nonzero",
    "norm", "normal", "one_hot", "ones", "ones_like", "optim", "outer", "pad", "permute", "pi",
    "pinverse", "pow", "prod", "rand", "rand_like", "randint", "randn", "randn_like",
    "randperm", "reciprocal", "relu", "remainder", "repeat", "repeat_interleave", "report",
    "reshape", "roll", "round", "rsqrt", "save", "scan", "scatter", "scatter_add",
    "scatter_set", "set_default_dtype", "set_grad_enabled", "set_rng_state", "short", "sigmoid",
    "sign", "sin", "sinh", "slogdet", "softmax", "softplus", "sort", "split", "sqrt", "square",
    "squeeze", "stack", "std", "std_mean", "sub", "sum", "swapaxes", "t", "take_along_dim",
    "tan", "tanh", "tensor", "tensordot", "tile", "topk", "trace", "train", "transpose", "tril",
    "triu", "true_divide", "trunc", "uint8", "unbind", "unflatten", "unsqueeze", "utils",
    "value_and_grad", "var", "var_mean", "view", "vjp", "vmap", "where", "while_loop", "xlogy",
    "zeros", "zeros_like",
]  # fmt: skip
