"""Slopewise: learn by gradient descent, fast, and read every derivative.

`import slopewise as sw`, or `import slopewise as torch` to run ordinary PyTorch teaching code. Only
NumPy is imported at once; what a name needs beyond it is imported when the name is first used.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

from slopewise import autograd, errors
from slopewise._core import aval as _aval
from slopewise._core.state import (
    enable_grad, get_default_dtype, is_grad_enabled, no_grad, set_default_dtype, set_grad_enabled,
)  # fmt: skip
from slopewise._core.value import install_value_class as _install_value_class
from slopewise._front import contraction as _contraction
from slopewise._front import control as _control
from slopewise._front import convolution as _convolution
from slopewise._front import creation as _creation
from slopewise._front import elementwise as _elementwise
from slopewise._front import indexing as _indexing
from slopewise._front import linalg as _linalg
from slopewise._front import random as _random
from slopewise._front import reduction as _reduction
from slopewise._front import shape as _shape
from slopewise._ops import registry as _registry
from slopewise._transform import stabilize as _stabilize
from slopewise._transform.custom import custom_jvp, custom_vjp
from slopewise._transform.gradcheck import gradcheck
from slopewise._transform.gradients import grad, hessian, jacobian, jvp, value_and_grad, vjp
from slopewise._transform.vmap import vmap
from slopewise.tensor import Tensor
from slopewise.tensor import install_methods as _install_methods

__version__ = "0.1.0"

_registry.install()
_stabilize.install()
_install_value_class(Tensor)
_install_methods()

_FRONT = (_creation, _elementwise, _reduction, _shape, _contraction, _indexing, _random, _control, _convolution)
for _module in _FRONT:
    for _name, _function in vars(_module).items():
        if callable(_function) and getattr(_function, "__module__", "").startswith(
            "slopewise._front"
        ) and not _name.startswith("_"):
            globals()[_name] = _function

for _name in ("cdist", "det", "inverse", "logdet", "pinverse", "slogdet", "trace"):
    globals()[_name] = getattr(_linalg, _name)

float32 = float = _aval.DTYPES["float32"]
float64 = double = _aval.DTYPES["float64"]
int8, uint8 = _aval.DTYPES["int8"], _aval.DTYPES["uint8"]
int16 = short = _aval.DTYPES["int16"]
int32 = int = _aval.DTYPES["int32"]
int64 = long = _aval.DTYPES["int64"]
bool = _aval.DTYPES["bool"]
from math import e, inf, nan, pi  # noqa: E402

_LAZY = ("nn", "optim", "utils", "train", "linalg", "explain", "health", "report", "examples")


def __getattr__(name: str) -> _Any:
    """Import a subpackage when it is first used."""
    if name in _LAZY:
        return _importlib.import_module(f"slopewise.{name}")
    raise AttributeError(f"module 'slopewise' has no attribute {name!r}")
