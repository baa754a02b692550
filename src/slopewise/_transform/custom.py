"""Derivatives stated by users: custom_jvp, custom_vjp, and PyTorch's autograd.Function.

Invariant: a custom derivative is a `Higher` record whose rules call the user's functions with
Tensors, so it nests and is recorded like any other. It is separate from the table since these
records belong to the user's functions.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Node, Primitive, bind
from slopewise._core.rules import Control, Higher, Text
from slopewise._core.source import explain
from slopewise._core.state import enable_grad, no_grad, state
from slopewise._core.trace import trace
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value, is_tuple, new_zeros, owner_of
from slopewise._transform.gradients import jvp
from slopewise._transform.inputs import as_values, edge_of, mark
from slopewise._transform.vjp import read_operands, walk_back
from slopewise._transform.vmap import vmap
from slopewise.errors import GradientError


def _plain(operands: Sequence[Any]) -> list[Any]:
    return as_values(list(operands))


def _call_flat(function: Callable[..., Any], operands: Sequence[Any]) -> tuple[list[Any], Any]:
    return flatten(function(*operands))


def make_custom(
    name: str,
    function: Callable[..., Any],
    pull: Callable[[Node, Any], Sequence[Any]],
    push: Callable[[Node, Sequence[Any]], Any],
    closed: bool = True,
) -> Primitive:
    """Return the record of a user's function: flat operands in, a tuple of outputs out.

    `closed` refuses functions that use tensors with gradients beside their operands.
    """

    def value(*arrays: Any, **_params: Any) -> Any:
        operands = _plain(arrays)
        with enable_grad() if closed else no_grad():
            outs, _ = _call_flat(function, operands)
        if closed and any(isinstance(o, Value) and o._requires_grad for o in outs):
            raise GradientError(
                f"{name}: the function uses a tensor that requires gradients and is not one of its"
                " arguments, so the stated derivative cannot reach it; pass it as an argument."
            )
        results = [np.asarray(o._value if isinstance(o, Value) else o) for o in outs]
        given = [owner_of(x._value) for x in operands]
        # Copied where an output is an operand, or looks at one: each has a buffer of its own.
        return tuple(r.copy() if any(owner_of(r) is g for g in given) else r for r in results)

    def abstract(*avals: Any, **_params: Any) -> Any:
        graph, _ = trace(lambda *xs: _call_flat(function, xs)[0], [_aval(a) for a in avals])
        return tuple(
            Aval(o.shape, o.dtype) if hasattr(o, "shape") else _aval(o) for o in graph.outputs
        )

    def batch(operands: Sequence[Any], batched: Sequence[bool], size: int, **_params: Any) -> Any:
        del size
        record_ = batch_custom(name, function, pull, push, batched)
        return bind(record_, tuple(_plain(operands)), {})

    return Primitive(
        name,
        value=value,
        derivative=Higher(pull, push),
        lowering=Control(),
        abstract=abstract,
        batch=batch,
        samples=lambda rng: (),
        text=Text("derivative given by the user", "사용자가 정한 미분", r"f'"),
    )


def _aval(x: Any) -> Aval:
    return x if isinstance(x, Aval) else Aval(np.shape(x), np.asarray(x).dtype)


def batch_custom(
    name: str,
    function: Callable[..., Any],
    pull: Callable[[Node, Any], Sequence[Any]],
    push: Callable[[Node, Sequence[Any]], Any],
    batched: Sequence[bool],
) -> Primitive:
    """Return the batched form of a custom record: its function and both its rules are mapped."""
    dims = tuple(0 if b else None for b in batched)

    def mapped(*operands: Any) -> Any:
        return tuple(vmap(lambda *xs: tuple(_call_flat(function, xs)[0]), dims)(*operands))

    def mapped_pull(node: Node, out_bar: Any) -> Sequence[Any]:
        operands = _plain(read_operands(node, True))
        bars = _fill_bars(node, out_bar)

        def one(*values: Any) -> Any:
            inputs, cotangents = values[: len(operands)], values[len(operands) :]
            record_ = make_custom(name, function, pull, push)
            marked = [mark(x, name) if x.dtype.kind == "f" else x for x in inputs]
            with enable_grad():
                outs = bind(record_, tuple(marked), {})
            found = walk_back(
                [(edge_of(o), c) for o, c in zip(outs, cotangents, strict=True)],
                {edge_of(m) for m in marked}, attached=True, retain=True,
            )  # fmt: skip
            return tuple(found.get(edge_of(m), new_zeros(m)) for m in marked)

        return vmap(one, (*dims, *(0 for _ in bars)))(*operands, *bars)

    def mapped_push(node: Node, tangents: Sequence[Any]) -> Any:
        operands = _plain(read_operands(node, True))
        moving = [i for i, x in enumerate(operands) if x.dtype.kind == "f"]
        dots = [new_zeros(operands[i]) if tangents[i] is None else tangents[i] for i in moving]

        def one(*values: Any) -> Any:
            inputs, directions = list(values[: len(operands)]), values[len(operands) :]
            record_ = make_custom(name, function, pull, push)

            def along(*floats: Any) -> Any:
                full = list(inputs)
                for i, x in zip(moving, floats, strict=True):
                    full[i] = x
                return bind(record_, tuple(full), {})

            return jvp(along, [inputs[i] for i in moving], directions)[1]

        return vmap(one, (*dims, *(dims[i] for i in moving)))(*operands, *dots)

    return make_custom(name, mapped, mapped_pull, mapped_push)


def _refuse_push(node: Node, tangents: Sequence[Any]) -> Any:
    raise GradientError(
        f"{node.primitive.name}: only a reverse-mode rule was given (custom_vjp or"
        " autograd.Function), so forward mode cannot pass it; state it with custom_jvp."
    )


class custom_vjp:
    """A function whose reverse-mode derivative you state.

    Parameters
    ----------
    function : callable
        Positional Tensors in, a nest of Tensors out.

    Raises
    ------
    GradientError
        When called before `defvjp`, in forward mode, or if the gradients do not fit the inputs.

    Examples
    --------
    >>> import slopewise as sw
    >>> @sw.custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, bar: (sw.clamp(bar, -1.0, 1.0),))
    >>> sw.grad(lambda x: clip_gradient(x) * 10)(2.0).item()
    1.0
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._forward: Callable[..., Any] | None = None
        self._backward: Callable[..., Any] | None = None
        update_wrapper(self, function)

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """State `forward(*args) -> (out, residuals)` and `backward(residuals, out_bar) -> bars`.

        Parameters
        ----------
        forward : callable
            `(*args) -> (out, residuals)`; the residuals may be anything.
        backward : callable
            `(residuals, out_bar) -> bars`, one gradient for each argument; None where there is
            none.

        Examples
        --------
        >>> import slopewise as sw
        >>> f = sw.custom_vjp(lambda x: x * x)
        >>> f.defvjp(lambda x: (x * x, x), lambda x, bar: (bar * 2 * x,))
        >>> sw.grad(f)(3.0).item()
        6.0
        """
        self._forward, self._backward = forward, backward

    def __call__(self, *args: Any) -> Any:
        """Apply the function; its derivative will be the stated one."""
        forward, backward = self._forward, self._backward
        if forward is None or backward is None:
            raise GradientError(explain(f"{self.function.__name__}: call .defvjp(...) first."))
        leaves, structure = flatten(args)
        outer: list[Any] = []

        def flat(*operands: Any) -> Any:
            out = self.function(*unflatten(structure, list(operands)))
            outs, out_structure = flatten(out)
            outer[:] = [out_structure]
            return tuple(outs)

        def pull(node: Node, out_bar: Any) -> Sequence[Any]:
            operands = _plain(read_operands(node, True))
            bars = _fill_bars(node, out_bar)
            _, residuals = forward(*unflatten(structure, operands))
            given = backward(residuals, unflatten(outer[0], bars))
            return _pair_bars(self.function.__name__, node, given)

        record_ = make_custom(self.function.__name__, flat, pull, _refuse_push)
        outs = bind(record_, tuple(_plain(leaves)), {})
        return unflatten(outer[0], list(outs))


def _fill_bars(node: Node, out_bar: Any) -> list[Any]:
    """Return one cotangent Value for each output; zeros where none arrived."""
    return [
        new_zeros(o) if b is None else as_values([b])[0]
        for b, o in zip(out_bar, node.out, strict=True)
    ]


def _pair_bars(name: str, node: Node, given: Any) -> list[Any]:
    bars: list[Any] = [given] if isinstance(given, Value) else list(given)
    if len(bars) != len(node.edges):
        bars = flatten(bars)[0]
    if len(bars) < len(node.edges):
        raise GradientError(
            f"{name}: backward returned {len(bars)} gradients for {len(node.edges)} inputs; return"
            " one for each (None where there is none)."
        )
    for bar, edge in zip(bars, node.edges, strict=False):
        if bar is not None and edge is not None and tuple(bar.shape) != tuple(edge.shape):
            raise GradientError(
                f"{name}: backward returned a gradient of shape {tuple(bar.shape)} for an input of"
                f" shape {tuple(edge.shape)}."
            )
    return bars[: len(node.edges)]


class custom_jvp:
    """A function whose derivative you state once, as a tangent rule; both modes follow.

    Parameters
    ----------
    function : callable
        Positional Tensors in, one Tensor out.

    Raises
    ------
    GradientError
        When called before `defjvp`.

    Examples
    --------
    >>> import slopewise as sw
    >>> @sw.custom_jvp
    ... def cube(x):
    ...     return x**3
    >>> cube.defjvp(lambda primals, tangents: (cube(*primals), 3 * primals[0] ** 2 * tangents[0]))
    >>> sw.grad(cube)(2.0).item()
    12.0
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._rule: Callable[..., Any] | None = None
        update_wrapper(self, function)

    def defjvp(self, rule: Callable[..., Any]) -> None:
        """State `rule(primals, tangents) -> (out, out_dot)`, linear in the tangents.

        Parameters
        ----------
        rule : callable
            It gets two tuples, one entry for each argument.

        Examples
        --------
        >>> import slopewise as sw
        >>> f = sw.custom_jvp(lambda x: x * x)
        >>> f.defjvp(lambda primals, tangents: (f(*primals), 2 * primals[0] * tangents[0]))
        >>> sw.jvp(f, (3.0,), (1.0,))[1].item()
        6.0
        """
        self._rule = rule

    def __call__(self, *args: Any) -> Any:
        """Apply the function; its derivative will be the stated one."""
        rule = self._rule
        if rule is None:
            raise GradientError(explain(f"{self.function.__name__}: call .defjvp(...) first."))

        def flat(*operands: Any) -> Any:
            return (self.function(*operands),)

        def run(operands: Sequence[Any], tangents: Sequence[Any]) -> Any:
            with enable_grad():
                return rule(tuple(operands), tuple(tangents))[1]

        def push(node: Node, tangents: Sequence[Any]) -> Any:
            operands = _plain(read_operands(node, True))
            full = [
                new_zeros(x) if t is None
                else as_values([t])[0]
                for t, x in zip(tangents, operands, strict=True)
            ]  # fmt: skip
            return (run(operands, full),)

        def pull(node: Node, out_bar: Any) -> Sequence[Any]:
            # The rule is linear in the tangents, so its derivative at 0 is its transpose.
            operands = _plain(read_operands(node, True))
            seeds = [mark(new_zeros(x), self.function.__name__) for x in operands]
            out_dot = run(operands, seeds)
            bar = _fill_bars(node, out_bar)[0]
            if not out_dot._requires_grad:
                return [None] * len(operands)
            edges = [edge_of(s) for s in seeds]
            found = walk_back([(edge_of(out_dot), bar)], set(edges), attached=True, retain=True)
            return [found.get(e) for e in edges]

        record_ = make_custom(self.function.__name__, flat, pull, push)
        return bind(record_, tuple(_plain(args)), {})[0]


class FunctionContext:
    """What `forward` leaves for `backward`: tensors, flags and plain attributes.

    Attributes
    ----------
    saved_tensors : tuple of Tensor
        What `save_for_backward` was given.
    needs_input_grad : tuple of bool
        For each argument of `apply`, whether it requires gradients.
    """

    def __init__(self) -> None:
        self.saved_tensors: tuple[Any, ...] = ()
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for backward.

        Parameters
        ----------
        *tensors : Tensor
            They come back as `ctx.saved_tensors`.
        """
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Taken for PyTorch's sake; outputs of integer dtype have no gradient anyway.

        Parameters
        ----------
        *tensors : Tensor
        """

    def set_materialize_grads(self, value: bool) -> None:
        """Taken for PyTorch's sake; missing gradients are always zeros.

        Parameters
        ----------
        value : bool
        """


class Function:
    """PyTorch's custom function: static `forward(ctx, ...)` and `backward(ctx, *grads)`.

    Examples
    --------
    >>> import slopewise as sw
    >>> class Double(sw.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...
    ...     @staticmethod
    ...     def backward(ctx, bar):
    ...         return bar * 2
    >>> x = sw.tensor(3.0, requires_grad=True)
    >>> Double.apply(x).backward()
    >>> x.grad.item()
    2.0
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; save what backward needs in `ctx`.

        Parameters
        ----------
        ctx : FunctionContext
        *args, **kwargs : Tensor or anything
            What `apply` was given.

        Returns
        -------
        Tensor or tuple of Tensor

        Raises
        ------
        GradientError
            If the subclass does not define it.
        """
        raise GradientError("a Function needs a static method forward(ctx, ...).")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return one gradient for each input of forward (None where there is none).

        Parameters
        ----------
        ctx : FunctionContext
            The one that forward filled.
        *grad_outputs : Tensor, shapes of the outputs

        Returns
        -------
        Tensor or tuple of (Tensor or None)

        Raises
        ------
        GradientError
            If the subclass does not define it.
        """
        raise GradientError("a Function needs a static method backward(ctx, *grad_outputs).")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Apply the function to positional arguments.

        Parameters
        ----------
        *args : Tensor or anything
            They are passed to forward after `ctx`.

        Returns
        -------
        Tensor or tuple of Tensor
            What forward returns.

        Raises
        ------
        GradientError
            In the backward pass, if the gradients do not fit the inputs; in forward mode.
        """
        places = [i for i, a in enumerate(args) if isinstance(a, Value)]
        context = FunctionContext()
        context.needs_input_grad = tuple(isinstance(a, Value) and a._requires_grad for a in args)
        several: list[bool] = []

        def flat(*operands: Any) -> Any:
            full = list(args)
            for i, x in zip(places, operands, strict=True):
                full[i] = x
            out = cls.forward(context, *full)
            several[:] = [is_tuple(out)]
            return out if is_tuple(out) else (out,)

        def pull(node: Node, out_bar: Any) -> Sequence[Any]:
            saved = context
            if state.grad_enabled:
                # The walk is recorded: what forward saves must have its history.
                full = list(args)
                for i, x in zip(places, _plain(read_operands(node, True)), strict=True):
                    full[i] = x
                saved = FunctionContext()
                saved.needs_input_grad = context.needs_input_grad
                cls.forward(saved, *full)
            given = cls.backward(saved, *_fill_bars(node, out_bar))
            bars = [given] if isinstance(given, Value) or given is None else list(given)
            if len(bars) < len(args):
                raise GradientError(
                    f"{cls.__name__}.backward returned {len(bars)} gradients for {len(args)}"
                    " inputs; return one for each (None where there is none)."
                )
            return _pair_bars(cls.__name__, node, [bars[i] for i in places])

        record_ = make_custom(cls.__name__, flat, pull, _refuse_push, closed=False)
        if not places:
            return cls.forward(context, *args)
        outs = bind(record_, tuple(args[i] for i in places), {})
        return outs if several[0] else outs[0]
