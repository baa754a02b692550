"""Which functions of the front are methods and operators of Tensor.

Invariant: a method is the front's function itself; an in-place one writes its result through
`Tensor._write`. One explicit call installs them, so that Tensor holds only what is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slopewise._core.graph import Primitive, bind
from slopewise._core.state import state
from slopewise._core.value import Value
from slopewise._core.views import bases_of
from slopewise._front import (
    contraction,
    creation,
    elementwise,
    gathering,
    indexing,
    joins,
    linalg,
    logic,
    norms,
    reduction,
    shape,
)
from slopewise._ops.arithmetic import add, div, mul, sub
from slopewise.tensor import Tensor

_ELEMENTWISE = (
    "neg abs sign square floor ceil trunc round reciprocal exp exp2 expm1 log log2 log10 log1p sqrt"
    " rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid logsigmoid relu erf"
    " erfc lgamma digamma isnan isinf isfinite add sub mul div true_divide floor_divide remainder"
    " pow maximum minimum atan2 hypot logaddexp xlogy eq ne lt le gt ge clamp lerp"
).split()
_LOGIC = (
    "logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not"
    " isclose allclose nan_to_num"
).split()
_REDUCTION = "sum mean var std prod max min amax amin argmax argmin any all".split()
_NORMS = "logsumexp softmax log_softmax norm cumsum cumprod".split()
_SHAPE = (
    "reshape view flatten unflatten permute transpose swapaxes movedim t squeeze unsqueeze expand"
    " broadcast_to narrow flip tril triu diagonal diag"
).split()
_JOINS = "split chunk unbind roll tile repeat repeat_interleave".split()
_CONTRACTION = "matmul mm mv dot bmm outer".split()
_INPLACE = (
    "add sub mul div pow neg exp sqrt abs clamp relu sigmoid tanh floor ceil round reciprocal"
    " square"
).split()


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def operator(self: Any, other: Any) -> Any:
        return function(other, self)

    return operator


def _in_place(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def operator(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._requires_grad and self._edge is None and state.grad_enabled:
            self._write(self)
        return self._write(function(self, *args, **kwargs))

    operator.__name__ = name
    operator.__qualname__ = f"Tensor.{name}"
    operator.__doc__ = f"Do as `{function.__name__}` does, in place; return the tensor itself."
    return operator


_DIRECT = {"add": add, "sub": sub, "mul": mul, "div": div}


def _direct(primitive: Primitive, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a binary operator that goes straight to the primitive where dtypes agree."""

    def operator(self: Any, other: Any) -> Any:
        array = self._value
        if array is not None and array.dtype.kind == "f":
            kind = type(other)
            if kind is float or kind is int:
                return bind(primitive, (self, other), _NO_PARAMS)
            if isinstance(other, Value) and other.dtype == array.dtype:
                return bind(primitive, (self, other), _NO_PARAMS)
        return function(self, other)

    return operator


_NO_PARAMS: dict[str, Any] = {}


def _get_item(self: Any, index: Any) -> Any:
    """Return self[index]; a view knows what it is a view of, so that changes in place reach it."""
    out = indexing.get_at(self, index)
    if (out._storage is self._storage and state.grad_enabled) or (
        out._source is not None and bases_of(out)[-1] is bases_of(self)[-1]
    ):
        out._base = (self, index)
    return out


def install_methods() -> None:
    """Give Tensor the front's functions as methods and operators; called once, by the package."""
    tables: Sequence[tuple[Any, Sequence[str]]] = (
        (elementwise, _ELEMENTWISE),
        (logic, _LOGIC),
        (reduction, _REDUCTION),
        (norms, _NORMS),
        (shape, _SHAPE),
        (joins, _JOINS),
        (contraction, _CONTRACTION),
        (gathering, gathering.METHODS),
        (linalg, linalg.METHODS),
    )
    for module, names in tables:
        for name in names:
            setattr(Tensor, name, getattr(module, name))
    for alias, name in (
        ("absolute", "abs"), ("clip", "clamp"), ("multiply", "mul"), ("divide", "div"),
        ("subtract", "sub"), ("negative", "neg"), ("arcsin", "asin"), ("arccos", "acos"),
        ("arctan", "atan"),
    ):  # fmt: skip
        setattr(Tensor, alias, getattr(Tensor, name))
    Tensor.clone = creation.clone  # type: ignore[attr-defined]
    for name in (*_INPLACE, *gathering.INPLACE):
        setattr(Tensor, f"{name}_", _in_place(getattr(Tensor, name), f"{name}_"))
    for name, symbol in (
        ("add", "add"), ("sub", "sub"), ("mul", "mul"), ("div", "truediv"), ("pow", "pow"),
        ("floor_divide", "floordiv"), ("remainder", "mod"), ("matmul", "matmul"),
        ("bitwise_and", "and"), ("bitwise_or", "or"), ("bitwise_xor", "xor"),
    ):  # fmt: skip
        function = getattr(Tensor, name)
        primitive = _DIRECT.get(name)
        quick = function if primitive is None else _direct(primitive, function)
        setattr(Tensor, f"__{symbol}__", quick)
        setattr(Tensor, f"__r{symbol}__", _reflected(function))
        setattr(Tensor, f"__i{symbol}__", _in_place(function, f"__i{symbol}__"))
    for name in "eq ne lt le gt ge neg abs".split():
        setattr(Tensor, f"__{name}__", getattr(Tensor, name))
    Tensor.__pos__ = lambda self: self  # type: ignore[attr-defined]
    Tensor.__invert__ = logic.bitwise_not  # type: ignore[attr-defined]
    Tensor.__getitem__ = _get_item  # type: ignore[attr-defined]
