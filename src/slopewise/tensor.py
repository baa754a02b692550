"""Tensor: eager values with PyTorch's face, `requires_grad`, `backward` and `.grad`.

Invariant: a Tensor adds names to a Value and nothing else: its operators are the front's functions,
its gradients come from the recorded graph. In-place changes go through one place (`_write`), which
counts them, so that what was saved for a backward pass is never silently wrong.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from slopewise._core.graph import Node, Primitive, bind
from slopewise._core.source import explain, find_constants, user_frame
from slopewise._core.state import state
from slopewise._core.value import Storage, Value, new_value
from slopewise._front import contraction, creation, elementwise, indexing, linalg, reduction, shape
from slopewise._front.abstract import refuse_abstract
from slopewise._front.operands import as_array, as_dtype, as_value, cast, read_array
from slopewise._front.printing import format_tensor
from slopewise._ops.arithmetic import add, div, mul, sub
from slopewise._transform.vjp import walk_back
from slopewise.errors import DTypeError, GradientError, ShapeError, UsageError


class RemovableHandle:
    """What registering a hook returns; `remove()` takes the hook away."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


class Tensor(Value):
    """An array that can record how it was computed.

    Make one with `slopewise.tensor`. Operators, methods and attributes are PyTorch's.

    Examples
    --------
    >>> import slopewise as sw
    >>> w = sw.tensor(4.0, requires_grad=True)
    >>> loss = (w - 3) ** 2
    >>> loss.backward()
    >>> w.grad
    tensor(2.)
    """

    __array_priority__ = 1000
    __hash__ = object.__hash__

    def __init__(self, data: Any = (), *, dtype: Any = None) -> None:
        _fill(self, np.array(as_array(data, dtype)), False)

    # --- what it is ---

    @property
    def T(self) -> Any:
        """The tensor with its axes reversed."""
        return shape.permute(self, *reversed(range(self.ndim)))

    @property
    def mT(self) -> Any:
        """The tensor with its last two axes exchanged."""
        return shape.transpose(self, -2, -1)

    @property
    def data(self) -> Any:
        """The same numbers, in shared memory, without history."""
        return creation.detach(self)

    @data.setter
    def data(self, value: Any) -> None:
        source = as_value(value)
        array = read_array(source)
        if self._requires_grad:
            creation.require_float(array.dtype, "data")
        self._value = array
        self._storage = source._storage
        self._origin = None

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Switch recording for a leaf; return the tensor."""
        if requires_grad:
            creation.require_float(self.dtype, "requires_grad_")
        elif self._edge is not None and self._value is not None and self._requires_grad:
            raise GradientError(
                explain(
                    "requires_grad_: only a leaf can stop requiring gradients; use .detach() to get"
                    " the numbers of a computed tensor without its history.",
                    (self,),
                )
            )
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user and not computed from recorded tensors."""
        return not self._requires_grad or self._edge is None

    @property
    def grad_fn(self) -> Node | None:
        """The recorded operation that made it, or None for a leaf."""
        return self._edge if self._requires_grad else None

    @property
    def grad(self) -> Any:
        """The gradient that backward accumulated, or None."""
        if self._grad is None and self._requires_grad and self._edge is not None:
            self._explain_missing_grad()
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None and (not isinstance(value, Value) or value.shape != self.shape):
            raise ShapeError(explain(f"grad: must be None or a Tensor of shape {self.shape}."))
        self._grad = value

    def _explain_missing_grad(self) -> None:
        import warnings

        assert self._edge is not None
        if self._edge.retained is None:
            warnings.warn(
                explain(
                    "The .grad of a tensor that is not a leaf is read, and backward() fills only"
                    " leaves, so it is None. If it was updated as w = w - lr * w.grad, it became a"
                    " computed tensor: update in place instead, with sw.no_grad(): w -= lr *"
                    " w.grad. Otherwise call .retain_grad() before backward().",
                    (self,),
                ),
                UserWarning,
                stacklevel=3,
            )

    @property
    def device(self) -> str:
        """Always "cpu"."""
        return "cpu"

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.numel() * self.dtype.itemsize

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the size of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Return the number of axes."""
        return self.ndim

    def numel(self) -> int:
        """Return the number of elements."""
        array = self._value
        return int(np.prod(self.shape, dtype=np.int64)) if array is None else array.size

    nelement = numel

    def is_floating_point(self) -> bool:
        """Return whether the dtype is a float."""
        return self.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        """Return whether the elements lie in memory in order."""
        return bool(read_array(self).flags.c_contiguous)

    def contiguous(self) -> Any:
        """Return the tensor, copied if its elements do not lie in memory in order."""
        return self if self._value is None or self.is_contiguous() else creation.clone(self)

    def data_ptr(self) -> int:
        """Return the address of the first element."""
        return int(read_array(self).ctypes.data)

    # --- numbers out ---

    def item(self) -> Any:
        """Return the only element as a Python number."""
        array = self._value
        if array is None:
            refuse_abstract(self, "item()")
        if array.size != 1:
            raise ShapeError(
                explain(f"item: needs one element, has {array.size}; use .tolist().", (self,))
            )
        return array.item()

    def tolist(self) -> Any:
        """Return the elements as nested Python lists."""
        return read_array(self).tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """Return an array that shares memory with the tensor.

        Raises
        ------
        GradientError
            If the tensor requires gradients (the history would be lost unseen).
        """
        if self._requires_grad and not force:
            raise GradientError(
                explain(
                    "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy()"
                    " instead.",
                    (self,),
                )
            )
        array = read_array(self)
        self._storage.export(array)
        return array.view()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = read_array(self)
        if self._requires_grad:
            raise GradientError(
                explain(
                    "Can't turn a Tensor that requires grad into an array: its history would be"
                    " lost. Use tensor.detach().numpy() instead.",
                    (self,),
                )
            )
        if copy or (dtype is not None and np.dtype(dtype) != array.dtype):
            return np.array(array, dtype=dtype)
        self._storage.export(array)
        return array.view()

    def __dlpack__(self, **options: Any) -> Any:
        if self._requires_grad:
            raise GradientError(
                explain("Can't export a Tensor that requires grad; use .detach() first.", (self,))
            )
        array = read_array(self)
        self._storage.export(array)
        return array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def _number(self, what: str) -> Any:
        if self._value is None:
            refuse_abstract(self, what)
        if self._value.size != 1:
            raise ShapeError(
                explain(
                    f"{what}: a tensor with {self._value.size} elements has no single value; reduce"
                    " it first (.any(), .all(), .sum()).",
                    (self,),
                )
            )
        return self._value.item()

    def __bool__(self) -> bool:
        return bool(self._number("a Python condition on a tensor"))

    def __float__(self) -> float:
        return float(self._number("float()"))

    def __int__(self) -> int:
        return int(self._number("int()"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iub":
            raise DTypeError(explain("only integer tensors can be indices.", (self,)))
        return int(self._number("an index"))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 and spec else str(self)

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError(explain("len() of a 0-d tensor.", (self,)))
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise ShapeError(explain("iteration over a 0-d tensor.", (self,)))
        return iter(shape.unbind(self, 0))

    def __contains__(self, x: Any) -> bool:
        return bool(reduction.any(elementwise.eq(self, x)))

    def __repr__(self) -> str:
        if self._value is None:
            return f"tensor(<traced>, shape={self.shape}, dtype={self.dtype})"
        suffixes: list[str] = []
        if self.dtype not in (state.default_dtype, np.dtype(np.int64), np.dtype(np.bool_)):
            suffixes.append(f"dtype={self.dtype}")
        if self._requires_grad:
            node = self._edge
            name = None if node is None else node.primitive.name
            suffixes.append("requires_grad=True" if name is None else f"grad_fn=<{name}>")
        return format_tensor(self._value, suffixes)

    # --- gradients ---

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Accumulate the gradient of this tensor in the `.grad` of the leaves it came from.

        Parameters
        ----------
        gradient : Tensor, shape of this tensor, optional
            The cotangent to start from; may be left out for one element (then 1).
        retain_graph : bool, optional
            Keep what was saved, so that backward can run again (default: `create_graph`).
        create_graph : bool
            Record the walk itself, for derivatives of the gradient.

        Raises
        ------
        GradientError
            If nothing was recorded, the graph was freed, or a saved value was changed in place.
        """
        if not self._requires_grad:
            _refuse_backward(self)
        seed = _seed(self, gradient)
        keep = create_graph if retain_graph is None else retain_graph
        head = self if self._edge is None else self._edge
        if self._value is None:
            create_graph = True
        if create_graph:
            seed = as_value(seed)
        elif isinstance(seed, Value):
            seed = read_array(seed)
        for leaf, bar in walk_back(
            [(head, seed)], None, attached=create_graph, retain=keep or create_graph
        ).items():
            _accumulate_grad(leaf, bar)

    def retain_grad(self) -> None:
        """Let backward fill `.grad` of this computed tensor too."""
        if not self._requires_grad:
            raise GradientError(explain("retain_grad: the tensor does not require grad.", (self,)))
        if self._edge is not None:
            self._edge.retained = weakref.ref(self)

    def register_hook(self, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Call `hook(grad)` when the gradient arrives; what it returns replaces the gradient."""
        if not self._requires_grad:
            raise GradientError(
                explain("register_hook: the tensor does not require grad.", (self,))
            )
        target: Any = self if self._edge is None else self._edge
        name = "_hooks" if self._edge is None else "hooks"
        hooks = getattr(target, name)
        if hooks is None:
            hooks = []
            setattr(target, name, hooks)
        hooks.append(hook)
        return RemovableHandle(hooks, hook)

    def detach(self) -> Any:
        """Return the same numbers, in shared memory, without their history."""
        return creation.detach(self)

    def detach_(self) -> Any:
        """Drop the history of this tensor; return it."""
        self._edge = None
        self._requires_grad = False
        return self

    # --- in-place changes ---

    def _write(self, result: Any) -> Any:
        """Take over the numbers, and the history, of `result`; the one place that changes."""
        result = as_value(result)
        if self._value is None or result._value is None:
            self._value, self._edge = result._value, result._edge
            self._requires_grad = result._requires_grad
            return self
        recorded = state.grad_enabled and result._requires_grad
        if self._requires_grad and self._edge is None and state.grad_enabled:
            raise GradientError(
                explain(
                    "a leaf Variable that requires grad is being used in an in-place operation."
                    " Update it inside `with sw.no_grad():`, or compute a new tensor.",
                    (self,),
                )
            )
        if result.shape != self.shape:
            if np.broadcast_shapes(result.shape, self.shape) != self.shape:
                raise ShapeError(
                    explain(
                        f"an in-place operation gave shape {result.shape}, but the tensor has"
                        f" {self.shape} and cannot grow; write x = x + y.",
                        (self,),
                    )
                )
            result = shape.broadcast_to(result, self.shape)
        if result.dtype != self.dtype:
            if self.dtype.kind in "bui" and result.dtype.kind == "f":
                raise DTypeError(
                    explain(
                        f"an in-place operation gave {result.dtype}, which does not fit a tensor of"
                        f" {self.dtype}; write x = x + y.",
                        (self,),
                    )
                )
            result = cast(result, self.dtype)
        storage = self._storage
        if recorded:
            _release_saved(result._edge, self._value)
            self._edge = result._edge
            self._requires_grad = True
            storage.rewriter = weakref.ref(self)
            storage.rewritten = storage.version + 1
        if not self._value.flags.writeable:
            raise UsageError(
                explain("the tensor's memory is read-only; change a .clone() instead.", (self,))
            )
        self._value[...] = result._value
        storage.version += 1
        self._origin = None
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        self._write(indexing.set_at(self, index, value))

    def zero_(self) -> Any:
        """Set all elements to 0."""
        return self._write(creation.zeros_like(self))

    def fill_(self, value: Any) -> Any:
        """Set all elements to one number."""
        return self._write(creation.full_like(self, value))

    def copy_(self, source: Any) -> Any:
        """Take over the numbers of another tensor."""
        return self._write(cast(as_value(source), self.dtype))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if self._edge is not None and self._requires_grad:
            raise GradientError(
                explain(
                    "Only leaf tensors can be deep-copied; use .detach().clone() for a computed"
                    " one.",
                    (self,),
                )
            )
        copied = type(self).__new__(type(self))
        _fill(copied, read_array(self).copy(), self._requires_grad)
        if self._grad is not None:
            copied._grad = creation.clone(self._grad.detach())
        memo[id(self)] = copied
        return copied

    def __reduce__(self) -> Any:
        if self._edge is not None and self._requires_grad:
            raise GradientError("a computed tensor cannot be sent elsewhere; use .detach() first.")
        return _rebuild, (type(self), np.array(read_array(self)), self._requires_grad)

    # --- conversions ---

    def to(self, *args: Any, dtype: Any = None, device: Any = None, **_options: Any) -> Any:
        """Return the tensor in another dtype; the device can only be the CPU."""
        for arg in args:
            if isinstance(arg, Value):
                dtype = arg.dtype
            elif isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "mps"):
                device = arg
            elif not isinstance(arg, bool):
                dtype = arg
        creation.refuse_device(device)
        return self if dtype is None else cast(self, as_dtype(dtype))

    def type(self, dtype: Any) -> Any:
        """Return the tensor in another dtype."""
        return cast(self, as_dtype(dtype))

    def float(self) -> Any:
        """Return the tensor as float32."""
        return cast(self, np.dtype(np.float32))

    def double(self) -> Any:
        """Return the tensor as float64."""
        return cast(self, np.dtype(np.float64))

    def long(self) -> Any:
        """Return the tensor as int64."""
        return cast(self, np.dtype(np.int64))

    def int(self) -> Any:
        """Return the tensor as int32."""
        return cast(self, np.dtype(np.int32))

    def bool(self) -> Any:
        """Return whether each element is not 0."""
        return cast(self, np.dtype(np.bool_))

    def cpu(self) -> Any:
        """Return the tensor (it is on the CPU)."""
        return self

    def type_as(self, other: Any) -> Any:
        """Return the tensor in the dtype of another one."""
        return cast(self, other.dtype)

    def view_as(self, other: Any) -> Any:
        """Return the elements in the shape of another tensor."""
        return shape.reshape(self, other.shape)

    reshape_as = view_as

    def expand_as(self, other: Any) -> Any:
        """Return the tensor broadcast to the shape of another one."""
        return shape.broadcast_to(self, other.shape)

    def new_zeros(self, *size: Any) -> Any:
        """Return zeros of this dtype."""
        return creation.zeros(*size, dtype=self.dtype)

    def new_ones(self, *size: Any) -> Any:
        """Return ones of this dtype."""
        return creation.ones(*size, dtype=self.dtype)

    def new_full(self, size: Any, fill_value: Any) -> Any:
        """Return one number everywhere, in this dtype."""
        return creation.full(size, fill_value, dtype=self.dtype)

    def new_tensor(self, data: Any) -> Any:
        """Return a tensor of this dtype from data."""
        return creation.tensor(data, dtype=self.dtype)

    @property
    def shape(self) -> Any:
        """The size of each axis."""
        value = self._value
        return Shape(value.shape if value is not None else self._edge.shape)  # type: ignore[union-attr]


class Shape(tuple[int, ...]):
    """The sizes of the axes, a tuple; `numel()` is their product."""

    __slots__ = ()

    def numel(self) -> int:
        """Return the number of elements."""
        return int(np.prod(self, dtype=np.int64))


def _fill(tensor: Any, array: np.ndarray[Any, Any], requires_grad: bool) -> None:
    """Set the fields of a bare instance."""
    tensor._value = array
    tensor._edge = None
    tensor._requires_grad = requires_grad
    tensor._storage = Storage()


def _rebuild(cls: type[Tensor], array: np.ndarray[Any, Any], requires_grad: bool) -> Any:
    tensor = cls.__new__(cls)
    _fill(tensor, array, requires_grad)
    return tensor


def _release_saved(node: Any, array: np.ndarray[Any, Any]) -> None:
    """Give a node its own copy of what it saved from a buffer that is about to be overwritten."""
    if not isinstance(node, Node) or node.operands is None:
        return
    pending = [node, *(e for e in node.edges if isinstance(e, Node))]
    for each in pending:
        if each.operands is None:
            continue
        if any(x is array for x in each.operands):
            each.operands = tuple(x.copy() if x is array else x for x in each.operands)
            each.guards = [g for g in each.guards if g[2] is not array]


def _seed(tensor: Tensor, gradient: Any) -> Any:
    """Return the cotangent to start a backward pass from."""
    if gradient is not None:
        seed = as_value(gradient)
        if seed.shape != tuple(tensor.shape):
            raise ShapeError(
                explain(
                    f"backward: the gradient has shape {seed.shape}, the tensor {tensor.shape};"
                    " they must be equal.",
                    (tensor,),
                )
            )
        return cast(seed, tensor.dtype)
    if tensor.numel() != 1:
        raise GradientError(
            explain(
                "grad can be implicitly created only for scalar outputs: the tensor has"
                f" {tensor.numel()} elements. Reduce it (.sum() or .mean()), or pass"
                " backward(gradient=...).",
                (tensor,),
            )
        )
    return np.ones(tuple(tensor.shape), tensor.dtype)


def _accumulate_grad(leaf: Any, bar: Any) -> None:
    value = bar if isinstance(bar, Value) else new_value(np.asarray(bar), None, False)
    if leaf._grad is None:
        leaf._grad = value
    elif isinstance(bar, Value):
        leaf._grad = leaf._grad + value
    else:
        with_grad = leaf._grad
        with_grad._value = with_grad._value + value._value
        with_grad._storage.version += 1


def _refuse_backward(tensor: Tensor) -> NoReturn:
    """Raise PyTorch's sentence, then which variable is meant, where, and what to write."""
    message = "element 0 of tensors does not require grad and does not have a grad_fn"
    frame = user_frame()
    if frame is not None:
        for name, line, text in find_constants(frame, tensor):
            if "requires_grad=False" in text:
                mended = text.replace("requires_grad=False", "requires_grad=True")
            elif text.endswith(")"):
                mended = f"{text[:-1]}, requires_grad=True)"
            else:
                mended = f"{name}.requires_grad_(True)"
            message += (
                f".\n  `{name}` is a constant: line {line} says `{text}`."
                f"\n  To get the gradient with respect to `{name}`, write `{mended}`"
            )
            break
        else:
            message += (
                ".\n  Nothing it was computed from requires gradients. Make the variable with"
                " requires_grad=True, and compute outside of no_grad()"
            )
    raise GradientError(explain(message + "."))


_ELEMENTWISE = (
    "neg abs sign square floor ceil trunc round reciprocal exp exp2 expm1 log log2 log10 log1p sqrt"
    " rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid logsigmoid relu erf"
    " erfc lgamma digamma isnan isinf isfinite add sub mul div true_divide floor_divide remainder"
    " pow maximum minimum atan2 hypot logaddexp xlogy eq ne lt le gt ge clamp lerp logical_and"
    " logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not isclose"
    " allclose nan_to_num"
).split()
_REDUCTION = (
    "sum mean var std prod max min amax amin argmax argmin any all logsumexp softmax log_softmax"
    " norm cumsum cumprod"
).split()
_SHAPE = (
    "reshape view flatten unflatten permute transpose swapaxes movedim t squeeze unsqueeze expand"
    " broadcast_to narrow split chunk unbind flip roll tile repeat repeat_interleave tril triu"
    " diagonal diag"
).split()
_CONTRACTION = "matmul mm mv dot bmm outer".split()
_INPLACE = (
    "add sub mul div pow neg exp sqrt abs clamp relu sigmoid tanh floor ceil round reciprocal"
    " square"
).split()


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def operator(self: Any, other: Any) -> Any:
        return function(other, self)

    return operator


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    def operator(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._requires_grad and self._edge is None and state.grad_enabled:
            self._write(self)
        return self._write(function(self, *args, **kwargs))

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


def install_methods() -> None:
    """Give Tensor the front's functions as methods and operators; called once, by the package."""
    tables: Sequence[tuple[Any, list[str]]] = (
        (elementwise, _ELEMENTWISE),
        (reduction, _REDUCTION),
        (shape, _SHAPE),
        (contraction, _CONTRACTION),
        (indexing, indexing.METHODS),
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
    for name in (*_INPLACE, *indexing.INPLACE):
        setattr(Tensor, f"{name}_", _in_place(getattr(Tensor, name)))
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
        setattr(Tensor, f"__i{symbol}__", _in_place(function))
    for name in "eq ne lt le gt ge neg abs".split():
        setattr(Tensor, f"__{name}__", getattr(Tensor, name))
    Tensor.__pos__ = lambda self: self  # type: ignore[attr-defined]
    Tensor.__invert__ = elementwise.bitwise_not  # type: ignore[attr-defined]
    Tensor.__getitem__ = indexing.get_at  # type: ignore[attr-defined]
