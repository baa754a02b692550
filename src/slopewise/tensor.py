"""Tensor: eager values with PyTorch's face, `requires_grad`, `backward` and `.grad`.

Invariant: a Tensor adds names to a Value and nothing else: its operators are the front's functions,
its gradients come from the recorded graph. In-place changes go through one place (`_write`), which
counts them, so that what was saved for a backward pass is never silently wrong.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from slopewise._core.graph import Node
from slopewise._core.source import explain
from slopewise._core.state import changes, no_grad, state
from slopewise._core.value import Storage, Value
from slopewise._front import creation, elementwise, indexing, joins, reduction, shape
from slopewise._front.abstract import refuse_abstract
from slopewise._front.backward import run_backward
from slopewise._front.devices import device as Device
from slopewise._front.devices import refuse_device
from slopewise._front.mutation import write_in_place
from slopewise._front.operands import as_array, as_dtype, as_value, cast, read_array
from slopewise._front.printing import format_tensor
from slopewise.errors import DTypeError, GradientError, ShapeError, TraceError


class RemovableHandle:
    """What registering a hook returns; `remove()` takes the hook away."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing.

        Examples
        --------
        >>> import slopewise as sw
        >>> x = sw.tensor(3.0, requires_grad=True)
        >>> handle = x.register_hook(lambda bar: bar * 100)
        >>> handle.remove()
        >>> (x * 2).backward()
        >>> x.grad
        tensor(2.)
        """
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


class Tensor(Value):
    """An array that can record how it was computed.

    Make one with `slopewise.tensor`. Operators, methods and attributes are PyTorch's.

    Parameters
    ----------
    data : number, nested sequence, array or Tensor
    dtype : dtype, optional
        By default: float32 for Python floats, int64 for ints, bool; arrays keep theirs.

    Raises
    ------
    DTypeError
        If the data are not numbers, or the dtype is not supported.

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
        if state.recorder is not None:
            _write_data(self, source)
            return
        array = read_array(source)
        if self._requires_grad:
            creation.require_float(array.dtype, "data")
        changes.count += 1
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
        """Switch recording for a leaf; return the tensor.

        Parameters
        ----------
        requires_grad : bool

        Returns
        -------
        Tensor
            The tensor itself.

        Raises
        ------
        DTypeError
            If its dtype is not a float.
        GradientError
            If recording is switched off for a computed tensor.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.zeros(2).requires_grad_().requires_grad
        True
        """
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
        changes.count += 1
        if state.recorder is not None and (self._value is not None or self.is_leaf):
            if self._value is not None:
                state.recorder.adopt(self)
            state.recorder.require_grad(self, bool(requires_grad))
        else:
            self._requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user and not computed from recorded tensors."""
        return not self._requires_grad or self._edge is None or self._edge.leaf

    @property
    def grad_fn(self) -> Node | None:
        """The recorded operation that made it, or None for a leaf."""
        return None if self.is_leaf else self._edge

    @property
    def grad(self) -> Any:
        """The gradient that backward accumulated, or None."""
        if self._grad is None and not self.is_leaf:
            self._explain_missing_grad()
        if state.recorder is not None:
            state.recorder.read_grad(self)
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None and (not isinstance(value, Value) or value.shape != self.shape):
            raise ShapeError(explain(f"grad: must be None or a Tensor of shape {self.shape}."))
        if state.recorder is not None:
            state.recorder.clear_grad(self)
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
    def device(self) -> Device:
        """Always the CPU."""
        return Device("cpu")

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.numel() * self.dtype.itemsize

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the size of one axis.

        Parameters
        ----------
        dim : int, optional

        Returns
        -------
        tuple of int, or int

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.ones(2, 3).size(1)
        3
        """
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Return the number of axes.

        Returns
        -------
        int

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.ones(2, 3).dim()
        2
        """
        return self.ndim

    def numel(self) -> int:
        """Return the number of elements.

        Returns
        -------
        int

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.ones(2, 3).numel()
        6
        """
        array = self._value
        return int(np.prod(self.shape, dtype=np.int64)) if array is None else array.size

    nelement = numel

    def is_floating_point(self) -> bool:
        """Return whether the dtype is a float.

        Returns
        -------
        bool

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).is_floating_point()
        False
        """
        return self.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        """Return whether the elements lie in memory in order.

        Returns
        -------
        bool

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.ones(2, 3).T.is_contiguous()
        False
        """
        return bool(read_array(self).flags.c_contiguous)

    def contiguous(self) -> Any:
        """Return the tensor, copied if its elements do not lie in memory in order.

        Returns
        -------
        Tensor, shape of this tensor

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.ones(2, 3).contiguous().is_contiguous()
        True
        """
        return self if self._value is None or self.is_contiguous() else creation.clone(self)

    def data_ptr(self) -> int:
        """Return the address of the first element.

        Returns
        -------
        int

        Examples
        --------
        >>> import slopewise as sw
        >>> x = sw.ones(2)
        >>> x.data_ptr() == x.detach().data_ptr()
        True
        """
        return int(read_array(self).ctypes.data)

    # --- numbers out ---

    def item(self) -> Any:
        """Return the only element as a Python number.

        Returns
        -------
        bool, int or float

        Raises
        ------
        ShapeError
            If there is not exactly one element.
        TraceError
            If the function is traced.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([2.5]).item()
        2.5
        """
        array = self._value
        if array is None:
            refuse_abstract(self, "item()")
        if array.size != 1:
            raise ShapeError(
                explain(f"item: needs one element, has {array.size}; use .tolist().", (self,))
            )
        return array.item()

    def tolist(self) -> Any:
        """Return the elements as nested Python lists.

        Returns
        -------
        list, or a number for a 0-d tensor

        Raises
        ------
        TraceError
            If the function is traced.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
        """
        return read_array(self).tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """Return an array that shares memory with the tensor.

        Parameters
        ----------
        force : bool
            Give the numbers of a tensor that requires gradients too.

        Returns
        -------
        numpy.ndarray, shape of this tensor

        Raises
        ------
        GradientError
            If the tensor requires gradients (the history would be lost unseen).
        TraceError
            If the function is traced.

        Examples
        --------
        >>> import slopewise as sw
        >>> x = sw.zeros(2)
        >>> x.numpy()[0] = 5.0
        >>> x
        tensor([5., 0.])
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
        return iter(joins.unbind(self, 0))

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
            If nothing was recorded, the graph was freed, a saved value was changed in place, or the
            tensor has several elements and no `gradient` is given.
        ShapeError
            If the shape of `gradient` is another one.

        Examples
        --------
        >>> import slopewise as sw
        >>> x = sw.tensor([1.0, 2.0], requires_grad=True)
        >>> (x**2).backward(sw.tensor([1.0, 10.0]))
        >>> x.grad
        tensor([ 2., 40.])
        """
        run_backward(self, gradient, retain_graph, create_graph)

    def retain_grad(self) -> None:
        """Let backward fill `.grad` of this computed tensor too.

        Raises
        ------
        GradientError
            If the tensor does not require gradients.

        Examples
        --------
        >>> import slopewise as sw
        >>> x = sw.tensor(3.0, requires_grad=True)
        >>> y = x * 2
        >>> y.retain_grad()
        >>> (y * y).backward()
        >>> y.grad
        tensor(12.)
        """
        if not self._requires_grad:
            raise GradientError(explain("retain_grad: the tensor does not require grad.", (self,)))
        if self._edge is not None:
            self._edge.retained = weakref.ref(self)
            self._edge.plain = False

    def register_hook(self, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Call `hook(grad)` when the gradient arrives; what it returns replaces the gradient.

        Parameters
        ----------
        hook : callable
            `(gradient) -> gradient or None`.

        Returns
        -------
        RemovableHandle

        Raises
        ------
        GradientError
            If the tensor does not require gradients.

        Examples
        --------
        >>> import slopewise as sw
        >>> x = sw.tensor(3.0, requires_grad=True)
        >>> _ = x.register_hook(lambda bar: bar * 100)
        >>> (x * 2).backward()
        >>> x.grad
        tensor(200.)
        """
        if not self._requires_grad:
            raise GradientError(
                explain("register_hook: the tensor does not require grad.", (self,))
            )
        target: Any = self if self._edge is None else self._edge
        name = "_hooks" if self._edge is None else "hooks"
        target.plain = False
        hooks = getattr(target, name)
        if hooks is None:
            hooks = []
            setattr(target, name, hooks)
        hooks.append(hook)
        return RemovableHandle(hooks, hook)

    def detach(self) -> Any:
        """Return the same numbers, in shared memory, without their history.

        Returns
        -------
        Tensor, shape of this tensor

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1.0], requires_grad=True).detach().requires_grad
        False
        """
        return creation.detach(self)

    def detach_(self) -> Any:
        """Drop the history of this tensor; return it.

        Returns
        -------
        Tensor
            The tensor itself.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1.0], requires_grad=True).detach_().requires_grad
        False
        """
        if self._value is None or state.recorder is not None:
            return self._detach_traced()
        self._edge = None
        self._requires_grad = False
        return self

    def _detach_traced(self) -> Any:
        kept = creation.detach(self)
        self._edge = kept._edge
        self._requires_grad = False
        return self

    # --- in-place changes ---

    def _write(self, result: Any) -> Any:
        """Take over the numbers, and the history, of `result`; the one place that changes."""
        return write_in_place(self, result)

    def __setitem__(self, index: Any, value: Any) -> None:
        if self._value is None and isinstance(value, Value) and value._base is not None:
            base, place = value._base
            if base is self and place is index:
                return  # x[index] += y has changed the view x[index], and x with it
        self._write(indexing.set_at(self, index, value))

    def zero_(self) -> Any:
        """Set all elements to 0.

        Returns
        -------
        Tensor
            The tensor itself.

        Raises
        ------
        GradientError
            If it is a leaf that requires gradients, outside of `no_grad`.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.ones(2).zero_()
        tensor([0., 0.])
        """
        return self._write(creation.zeros_like(self))

    def fill_(self, value: Any) -> Any:
        """Set all elements to one number.

        Parameters
        ----------
        value : number or 0-d Tensor

        Returns
        -------
        Tensor
            The tensor itself.

        Raises
        ------
        GradientError
            If it is a leaf that requires gradients, outside of `no_grad`.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.zeros(2).fill_(7.0)
        tensor([7., 7.])
        """
        return self._write(creation.full_like(self, value))

    def copy_(self, source: Any) -> Any:
        """Take over the numbers of another tensor.

        Parameters
        ----------
        source : Tensor, of a shape that broadcasts to that of this tensor
            Its numbers are converted to the dtype of this tensor.

        Returns
        -------
        Tensor
            The tensor itself.

        Raises
        ------
        GradientError
            If it is a leaf that requires gradients, outside of `no_grad`.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.zeros(2).copy_(sw.tensor([1, 2]))
        tensor([1., 2.])
        """
        # Cloned, so that the history has a node of its own and not the source's.
        return self._write(creation.clone(cast(as_value(source), self.dtype)))

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
        """Return the tensor in another dtype; the device can only be the CPU.

        Parameters
        ----------
        *args : dtype, device name or Tensor
            A Tensor stands for its dtype.
        dtype : dtype, optional
        device : optional
            Only the CPU.
        **_options : optional
            `non_blocking`, `copy` and the like, taken for PyTorch's sake; they change nothing.

        Returns
        -------
        Tensor, shape of this tensor
            The tensor itself, if its dtype is right already.

        Raises
        ------
        UsageError
            If the device is not the CPU.
        DTypeError
            If the dtype is not supported.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).to(sw.float64)
        tensor([1., 2.], dtype=float64)
        """
        for arg in args:
            if isinstance(arg, Value):
                dtype = arg.dtype
            elif isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "mps"):
                device = arg
            elif not isinstance(arg, bool):
                dtype = arg
        refuse_device(device)
        return self if dtype is None else cast(self, as_dtype(dtype))

    def type(self, dtype: Any) -> Any:
        """Return the tensor in another dtype.

        Parameters
        ----------
        dtype : dtype

        Returns
        -------
        Tensor, shape of this tensor

        Raises
        ------
        DTypeError
            If the dtype is not supported.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).type(sw.float32)
        tensor([1., 2.])
        """
        return cast(self, as_dtype(dtype))

    def float(self) -> Any:
        """Return the tensor as float32.

        Returns
        -------
        Tensor of float32, shape of this tensor

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).float()
        tensor([1., 2.])
        """
        return cast(self, np.dtype(np.float32))

    def double(self) -> Any:
        """Return the tensor as float64.

        Returns
        -------
        Tensor of float64, shape of this tensor

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).double()
        tensor([1., 2.], dtype=float64)
        """
        return cast(self, np.dtype(np.float64))

    def long(self) -> Any:
        """Return the tensor as int64.

        Returns
        -------
        Tensor of int64, shape of this tensor
            Fractions are cut off.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1.5, -1.5]).long()
        tensor([ 1, -1])
        """
        return cast(self, np.dtype(np.int64))

    def int(self) -> Any:
        """Return the tensor as int32.

        Returns
        -------
        Tensor of int32, shape of this tensor
            Fractions are cut off.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1.5, -1.5]).int()
        tensor([ 1, -1], dtype=int32)
        """
        return cast(self, np.dtype(np.int32))

    def bool(self) -> Any:
        """Return whether each element is not 0.

        Returns
        -------
        Tensor of bool, shape of this tensor

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([0.0, 2.0]).bool()
        tensor([False,  True])
        """
        return cast(self, np.dtype(np.bool_))

    def cpu(self) -> Any:
        """Return the tensor (it is on the CPU).

        Returns
        -------
        Tensor
            The tensor itself.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).cpu()
        tensor([1, 2])
        """
        return self

    def type_as(self, other: Any) -> Any:
        """Return the tensor in the dtype of another one.

        Parameters
        ----------
        other : Tensor

        Returns
        -------
        Tensor, shape of this tensor

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).type_as(sw.ones(1))
        tensor([1., 2.])
        """
        return cast(self, other.dtype)

    def view_as(self, other: Any) -> Any:
        """Return the elements in the shape of another tensor.

        Parameters
        ----------
        other : Tensor, of as many elements

        Returns
        -------
        Tensor, shape of other

        Raises
        ------
        ShapeError
            If the number of elements differs.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).view_as(sw.ones(2, 1)).shape
        (2, 1)
        """
        return shape.reshape(self, other.shape)

    reshape_as = view_as

    def expand_as(self, other: Any) -> Any:
        """Return the tensor broadcast to the shape of another one.

        Parameters
        ----------
        other : Tensor

        Returns
        -------
        Tensor, shape of other

        Raises
        ------
        ShapeError
            If the shapes do not fit.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).expand_as(sw.ones(2, 2))
        tensor([[1, 2],
                [1, 2]])
        """
        return shape.broadcast_to(self, other.shape)

    def new_zeros(self, *size: Any) -> Any:
        """Return zeros of this dtype.

        Parameters
        ----------
        *size : int, or one sequence of int

        Returns
        -------
        Tensor, shape (*size)

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).new_zeros(3)
        tensor([0, 0, 0])
        """
        return creation.zeros(*size, dtype=self.dtype)

    def new_ones(self, *size: Any) -> Any:
        """Return ones of this dtype.

        Parameters
        ----------
        *size : int, or one sequence of int

        Returns
        -------
        Tensor, shape (*size)

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).new_ones(3)
        tensor([1, 1, 1])
        """
        return creation.ones(*size, dtype=self.dtype)

    def new_full(self, size: Any, fill_value: Any) -> Any:
        """Return one number everywhere, in this dtype.

        Parameters
        ----------
        size : int or sequence of int
        fill_value : number or 0-d Tensor

        Returns
        -------
        Tensor, shape (*size)

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1, 2]).new_full((2,), 7)
        tensor([7, 7])
        """
        return creation.full(size, fill_value, dtype=self.dtype)

    def new_tensor(self, data: Any) -> Any:
        """Return a tensor of this dtype from data.

        Parameters
        ----------
        data : number, nested sequence, array or Tensor

        Returns
        -------
        Tensor, shape of the data

        Raises
        ------
        DTypeError
            If the data are not numbers.

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.tensor([1.0]).new_tensor([1, 2])
        tensor([1., 2.])
        """
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
        """Return the number of elements.

        Returns
        -------
        int

        Examples
        --------
        >>> import slopewise as sw
        >>> sw.ones(2, 3).shape.numel()
        6
        """
        return int(np.prod(self, dtype=np.int64))


def _write_data(tensor: Any, source: Any) -> None:
    """Replace the numbers of a tensor while a compiled function is traced."""
    if source.shape != tensor.shape or source.dtype != tensor.dtype:
        raise TraceError(
            explain(
                f"data: a compiled function cannot give a tensor of {tensor.dtype} and shape"
                f" {tuple(tensor.shape)} numbers of {source.dtype} and shape"
                f" {tuple(source.shape)}; make a new tensor outside.",
                (tensor, source),
            )
        )
    with no_grad():
        write_in_place(tensor, source)


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
