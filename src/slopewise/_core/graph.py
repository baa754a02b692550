"""Primitive, Node and `bind`: how an operation is applied, and how it is recorded.

Invariant: a Node is written once and holds only what its derivative reads. Eager operations that
need gradients and operations on abstract values record the same Nodes, so one graph serves the
tape, the transforms and the compiler. Nodes are numbered in creation order, which is a topological
order. It is separate because everything else is a reader of what is recorded here.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from slopewise._core.aval import Aval, broadcast_shapes
from slopewise._core.origin import Origin
from slopewise._core.quiet import hush, restore
from slopewise._core.rules import (
    Derivative,
    Index,
    Linear,
    Lowering,
    Multilinear,
    Partials,
    Pointwise,
    Samples,
    Text,
    View,
    Zero,
)
from slopewise._core.source import explain
from slopewise._core.state import enable_grad, recorders, state
from slopewise._core.value import Array, Value, is_array, is_tuple, new_value, owner_of
from slopewise._core.views import note_views
from slopewise.errors import GradientError, ShapeError, SlopewiseError

PACKAGE = str(Path(__file__).resolve().parent.parent)
_next_number = count().__next__
_ndarray = np.ndarray
_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]
_asarray = np.asarray
_float64 = np.float64
_NUMBERS = (float, int, bool)


class _Ours(dict[str, bool]):
    """Whether a source file belongs to this package, worked out once for each file."""

    def __missing__(self, file: str) -> bool:
        ours = self[file] = file.startswith(PACKAGE)
        return ours


_is_ours = _Ours()
Edge = Any  # Node | Value (a leaf) | None (no gradient flows)


class Primitive:
    """One operation, stated once: value, derivative, lowering, wording.

    Calling it with arrays alone evaluates it at once; with Values it is recorded where needed.

    Attributes
    ----------
    name : str
        Its name in graphs and messages.
    value : callable
        NumPy reference `(*operands, **params) -> array` (or a tuple of arrays).
    derivative, lowering : Derivative, Lowering
        One of the kinds in `rules`.
    abstract : callable
        `(*avals, **params) -> Aval` (or a tuple of Avals).
    batch : callable
        `(operands, batched, size, **params) -> result`, batch axes first; used by `vmap`.
    samples : callable
        `(rng) -> [Sample, ...]`, what the registry test runs it on.
    text : Text
        The name of the rule in two languages, and its formula.
    """

    def __init__(
        self,
        name: str,
        *,
        value: Callable[..., Any],
        derivative: Derivative,
        lowering: Lowering,
        abstract: Callable[..., Any],
        batch: Callable[..., Any],
        samples: Samples,
        text: Text,
    ) -> None:
        self.name = name
        self.value = value
        self.kernel = value
        self.derivative = derivative
        self.lowering = lowering
        self.abstract = abstract
        self.batch = batch
        self.samples = samples
        self.text = text
        self.recognise: Callable[..., Any] | None = None
        self.is_head = False
        self.is_carrier = False
        self.is_square = False
        self.is_product = False
        self.is_sum = False
        self.quiet = isinstance(lowering, (View, Index))
        self.pointwise = type(lowering) is Pointwise
        self.differentiable = type(derivative) is not Zero
        self.keeps_out = derivative.keep_out
        self.keep_mask, self.keep_others = _positions_kept(derivative)

    def __repr__(self) -> str:
        return self.name

    def __call__(self, *operands: Any, **params: Any) -> Any:
        for x in operands:
            if isinstance(x, Value):
                return bind(self, operands, params)
        out = self.kernel(*operands, **params)
        if out.__class__ is _float64 and all(type(x) in _NUMBERS for x in operands):
            # What numbers give is a number, which has no say in the dtype of what it meets.
            return float(out)
        return out


def _positions_kept(derivative: Derivative) -> tuple[Callable[[int], bool], bool]:
    """Return which operands the rule reads, and whether it is each for the others' sake."""
    if isinstance(derivative, Partials):
        return derivative.keep.__getitem__, False
    if isinstance(derivative, Multilinear):
        return lambda _i: True, True
    if isinstance(derivative, Linear):
        wrt = derivative.wrt
        if wrt is None:
            return lambda _i: False, False
        return lambda i: i not in wrt, False
    return lambda _i: True, False


class Node:
    """One recorded application of a primitive.

    `edges[i]` leads to where operand i came from: a Node, a leaf Value, or None where no gradient
    flows. `operands[i]` is its array where the derivative reads it, else None; `guards` are the
    (storage, version, array) of what is kept. `output` is not -1 for one of several outputs.
    Only nodes of abstract values can be inactive: no gradient flows through those.
    """

    edges: tuple[Edge, ...]
    operands: tuple[Any, ...] | None
    out: Any
    params: dict[str, Any]
    guards: Any = ()
    hooks: list[Any] | None = None
    retained: Any = None
    bypass: Any = None
    output: int = -1
    active: bool = True
    plain: bool = True  # none of the five fields above is set
    light: bool = False  # nothing is kept, so the node can be walked again
    leaf: bool = False  # stands for a leaf tensor while a compiled function is traced

    def __init__(
        self,
        primitive: Primitive,
        edges: tuple[Edge, ...],
        operands: tuple[Any, ...] | None,
        out: Any,
        params: dict[str, Any],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.primitive = primitive
        self.edges = edges
        self.operands = operands
        self.out = out
        self.params = params
        self.shape = shape
        self.dtype = dtype
        self.order = _next_number()
        frame = _getframe(2)
        code = frame.f_code
        while _is_ours[code.co_filename] and frame.f_back is not None:
            frame = frame.f_back
            code = frame.f_code
        self.place = (code, frame.f_lasti)

    def __repr__(self) -> str:
        return f"<{self.primitive.name} -> {self.dtype}{list(self.shape)}>"

    def free(self) -> None:
        """Drop what was kept for the derivative, and the way up."""
        self.operands = self.out = self.bypass = None
        self.guards = self.edges = ()

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def aval(self) -> Aval:
        return Aval(self.shape, self.dtype)


class _Engine:
    """Primitives that recording itself needs; the registry installs them once."""

    broadcast: Primitive
    stop: Primitive
    alias: Primitive
    convert: Primitive
    add: Primitive


engine = _Engine()


def next_order() -> int:
    """Return a number that all nodes made so far are below, and all later ones above."""
    return _next_number()


def bind(
    primitive: Primitive,
    operands: tuple[Any, ...],
    params: dict[str, Any],
    recognise: bool = True,
) -> Any:
    """Apply a primitive to operands of which at least one is a Value."""
    if recorders and state.recorder is not None:
        return state.recorder.bind(primitive, operands, params)
    tracked = False
    remembered = primitive.is_head or (primitive.is_product and operands[0] is operands[1])
    arrays: list[Any] = []
    for x in operands:
        if isinstance(x, Value):
            array = x._value
            if array is None:
                return bind_abstract(primitive, operands, params)
            if x._requires_grad:
                tracked = True
            if x._origin is not None:
                remembered = remembered or (
                    primitive.is_carrier and (primitive.is_sum or not x._origin[0].square)
                )
                if recognise and primitive.recognise is not None:
                    return _bind_recognised(primitive, operands, params)
            if x._storage.rewriter is not None:
                check_alias(x, primitive.name)
            arrays.append(array)
        else:
            arrays.append(x)
    out = evaluate(primitive, operands, arrays, params)
    tracked = tracked and primitive.differentiable and state.grad_enabled
    if is_tuple(out):
        return wrap_outputs(primitive, operands, arrays, params, out, tracked)
    result = new_value(out, None, False)
    if primitive.quiet and out.base is not None:
        _share_storage(result, operands)
    if tracked and out.dtype.kind == "f":
        result._edge = record(primitive, operands, arrays, params, out, result)
        result._requires_grad = True
    if remembered:
        result._origin = (Origin(primitive, operands, params), result._storage.version)
    return result


def evaluate(
    primitive: Primitive, operands: tuple[Any, ...], arrays: list[Any], params: dict[str, Any]
) -> Any:
    """Run the kernel; what it raises is told again with the user's variables and line."""
    token = hush()
    try:
        out = primitive.kernel(*arrays, **params)
    except SlopewiseError as error:
        raise type(error)(explain(str(error), operands)) from None
    except np.linalg.LinAlgError as error:
        failure = getattr(primitive.lowering, "failure", None)
        failed: Any = error if failure is None else failure(**params)
        raise type(failed)(explain(str(failed), operands)) from error
    except (ValueError, IndexError, TypeError) as error:
        raise ShapeError(explain(f"{primitive.name}: {error}", operands)) from error
    finally:
        restore(token)
    return out if out.__class__ is _ndarray or out.__class__ is tuple else _asarray(out)


def _share_storage(result: Value, operands: tuple[Any, ...]) -> None:
    """Let a view share the storage of the operand whose memory it looks at."""
    owner = owner_of(result._value)  # type: ignore[arg-type]
    for x in operands:
        if isinstance(x, Value) and owner_of(x._value) is owner:  # type: ignore[arg-type]
            result._storage = x._storage
            result._born = x._storage.version
            return


def _bind_recognised(
    primitive: Primitive, operands: tuple[Any, ...], params: dict[str, Any]
) -> Any:
    """Take the better way if the composition is a known one; else bind as it stands."""
    assert primitive.recognise is not None
    tracked = state.grad_enabled and any(
        isinstance(x, Value) and x._requires_grad for x in operands
    )
    better = primitive.recognise(operands, tracked)
    if better is None:
        return bind(primitive, operands, params, recognise=False)
    arrays = [x._value if isinstance(x, Value) else x for x in operands]
    return _bind_bypassed(primitive, operands, arrays, params, better, tracked)


def record(
    primitive: Primitive,
    operands: tuple[Any, ...],
    arrays: list[Any],
    params: dict[str, Any],
    out: Any,
    result: Value | None,
    kind: type[Node] = Node,
) -> Node:
    """Make the node of an eager operation, keeping only what the derivative reads."""
    shape: tuple[int, ...] = () if result is None else out.shape
    dtype = out[0].dtype if result is None else out.dtype
    edges: list[Edge] = []
    live = 0
    for x in operands:
        if isinstance(x, Value) and x._requires_grad:
            edge: Edge = x._edge
            if edge is None:
                edge = x
            if primitive.pointwise and edge.shape != shape:
                # Broadcasting is a node of its own, but its value is never materialised here:
                # NumPy broadcasts the operand as it reads it.
                edge = Node(
                    engine.broadcast, (edge,), (None,), None, {"shape": shape}, shape, dtype
                )
                edge.light = True
            live += 1
            edges.append(edge)
        else:
            edges.append(None)
    guards: list[Any] = []
    kept: list[Any] = []
    keep = primitive.keep_mask
    heavy = False
    for i, array in enumerate(arrays):
        if type(array) is not _ndarray:
            kept.append(array)
        elif keep(i) and not (primitive.keep_others and live == 1 and edges[i] is not None):
            heavy = True
            x = operands[i]
            if isinstance(x, Value):
                storage = x._storage
                if storage.exported:
                    array = array.copy()
                else:
                    storage.saved = True
                    guards.append((storage, storage.version, array))
            kept.append(array)
        else:
            kept.append(Aval(array.shape, array.dtype) if edges[i] is None else None)
    node = kind(primitive, tuple(edges), tuple(kept), None, params, shape, dtype)
    node.light = not heavy and not primitive.keeps_out
    if primitive.keeps_out:
        node.out = out
        if result is not None:
            result._storage.saved = True
            guards.append((result._storage, result._storage.version, out))
    if guards:
        node.guards = guards
    return node


def check_alias(x: Value, operation: str) -> None:
    """Refuse an alias whose recorded history lacks an in-place change made through another one."""
    storage = x._storage
    if storage.rewriter is None or not state.grad_enabled:
        return
    if x._born < storage.rewritten and storage.rewriter() is not x:
        raise GradientError(
            explain(
                f"{operation}: its operand shares memory with a tensor that was changed in"
                " place while gradients were recorded, and its own history does not know that"
                " change. Use the changed tensor itself, or take a .clone() before the change.",
                (x,),
            )
        )


def wrap_outputs(
    primitive: Primitive,
    operands: tuple[Any, ...],
    arrays: list[Any],
    params: dict[str, Any],
    outs: tuple[Any, ...],
    tracked: bool,
    kind: type[Node] = Node,
) -> tuple[Any, ...]:
    """Return Values of the outputs of an operation, recorded if it is tracked."""
    outs = tuple(_asarray(out) for out in outs)
    results = tuple(new_value(out, None, False) for out in outs)
    if primitive.quiet:
        for result in results:
            _share_storage(result, operands)
    if tracked and primitive.differentiable:
        parent = record(primitive, operands, arrays, params, outs, None, kind)
        if not primitive.keeps_out:
            parent.out = tuple(Aval(out.shape, out.dtype) for out in outs)
        else:
            parent.guards = [*parent.guards]
            parent.guards.extend((r._storage, 0, o) for r, o in zip(results, outs, strict=True))
            for r in results:
                r._storage.saved = True
        for i, (result, out) in enumerate(zip(results, outs, strict=True)):
            if out.dtype.kind == "f":
                result._edge = select_output(parent, i, Aval(out.shape, out.dtype))
                result._requires_grad = True
    return results


def select_output(parent: Node, i: int, aval: Aval) -> Node:
    """Return the node that stands for output `i` of a node with several outputs."""
    node = Node(parent.primitive, (parent,), (None,), None, {}, aval.shape, aval.dtype)
    node.output = i
    node.plain = False
    return node


def aval_of(x: Any) -> Aval:
    """Return the aval of a Value, an array or a Python number."""
    if isinstance(x, Value):
        return x.aval
    array: Array = np.asarray(x)
    return Aval(array.shape, array.dtype)


def bind_abstract(primitive: Primitive, operands: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Record an operation of which an operand has no numbers, or the better way to its result."""
    origins = [x._origin[0] for x in operands if isinstance(x, Value) and x._origin is not None]
    if origins and primitive.recognise is not None and state.recognising:
        better = primitive.recognise(operands, True)
        if better is not None:
            return better[0]
    result = _record_abstract(primitive, operands, params)
    if primitive.quiet:
        note_views(result, operands[0], primitive, params)
    if (
        primitive.is_head
        or (primitive.is_product and operands[0] is operands[1])
        or (primitive.is_carrier and any(primitive.is_sum or not o.square for o in origins))
    ):
        result._origin = (Origin(primitive, operands, params), result._storage.version)
    return result


def _record_abstract(
    primitive: Primitive, operands: tuple[Any, ...], params: dict[str, Any]
) -> Any:
    """Record an operation on abstract values: everything is kept."""
    if primitive.pointwise:
        shapes: list[tuple[int, ...]] = [
            x.shape for x in operands if isinstance(x, Value) or is_array(x)
        ]
        shape = broadcast_shapes(*shapes, operation=primitive.name)
        operands = tuple(
            engine.broadcast(x, shape=shape)
            if (isinstance(x, Value) or is_array(x)) and x.shape != shape
            else x
            for x in operands
        )
    aval = primitive.abstract(*(_aval_or_number(x) for x in operands), **params)
    edges: list[Edge] = []
    arrays: list[Any] = []
    tracked = False
    for x in operands:
        if isinstance(x, Value):
            arrays.append(x._value)
            if x._value is None:
                edges.append(x._edge)
                tracked = tracked or x._requires_grad
            elif x._requires_grad:
                edges.append(x._edge if x._edge is not None else x)
                tracked = True
            else:
                edges.append(None)
        else:
            arrays.append(x)
            edges.append(None)
    if not state.grad_enabled and primitive.differentiable:
        # Replaying the graph must not record what was traced without gradients.
        cut = tuple(engine.stop(x) if isinstance(x, Value) else x for x in operands)
        with enable_grad():
            return _record_abstract(primitive, cut, params)
    tracked = tracked and primitive.differentiable
    avals: tuple[Aval, ...] = aval if is_tuple(aval) else (aval,)
    first = avals[0]
    node = Node(primitive, tuple(edges), tuple(arrays), None, params, first.shape, first.dtype)
    node.active = tracked
    node.plain = tracked
    if not is_tuple(aval):
        return new_value(None, node, tracked and first.dtype.kind == "f")
    node.out = aval
    results: list[Any] = []
    for i, a in enumerate(avals):
        edge = select_output(node, i, a)
        edge.active = tracked and a.dtype.kind == "f"
        results.append(new_value(None, edge, edge.active))
    return tuple(results)


def _aval_or_number(x: Any) -> Any:
    return aval_of(x) if isinstance(x, (Value, np.ndarray)) else x


def operand_at(node: Node, i: int) -> Any:
    """Return operand `i` of a node as the operation saw it, attached to the graph."""
    edge = node.edges[i]
    assert node.operands is not None
    array = node.operands[i]
    if edge is None:
        return array
    if isinstance(edge, Value):
        return edge
    if array is not None and array.shape != edge.shape:
        array = np.broadcast_to(array, edge.shape)
    return new_value(array, edge, True)


def _bind_bypassed(
    primitive: Primitive,
    operands: tuple[Any, ...],
    arrays: list[Any],
    params: dict[str, Any],
    better: tuple[Any, tuple[Any, ...]],
    tracked: bool,
) -> Any:
    """Record a recognised composition: the value and the gradient take the better way.

    The node keeps its ordinary edges too, so that hooks and gradients of the values that are
    passed by still work.
    """
    replacement, passed = better
    out: Array = replacement._value
    result = new_value(out, None, False)
    result._origin = replacement._origin
    if tracked:
        node = record(primitive, operands, arrays, params, out, result)
        # A detached value, or a leaf made of one, is not passed by: its gradient ends there.
        if replacement._requires_grad and all(isinstance(p._edge, Node) for p in passed):
            edge = replacement._edge if replacement._edge is not None else replacement
            node.plain = False
            node.bypass = (edge, tuple(p._edge for p in passed))
        result._edge = node
        result._requires_grad = True
    return result
