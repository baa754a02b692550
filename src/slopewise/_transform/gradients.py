"""The functional transforms: grad, value_and_grad, vjp, jvp, jacobian, hessian.

Invariant: each runs the function once on marked inputs and walks what was recorded; a walk is
itself recorded exactly when something outside could differentiate its result.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import enable_grad
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value, new_value, new_zeros
from slopewise._ops.comparison import copy as clone
from slopewise._ops.shape import reshape
from slopewise._transform.inputs import as_values, edge_of, mark
from slopewise._transform.jvp import reaches_beyond, walk_forward
from slopewise._transform.vjp import walk_back
from slopewise._transform.vmap import vmap
from slopewise.errors import GradientError, ShapeError, UsageError

ArgNums = int | tuple[int, ...]


def _one(x: Any) -> Any:
    """Return a cotangent of ones for a scalar output."""
    return np.ones(x.shape, x.dtype)


def _is_linked(leaves: Sequence[Any], heads: Sequence[Any], edges: set[Any]) -> bool:
    """Return whether a derivative must itself be recorded."""
    return any(
        isinstance(x, Value) and (x._value is None or x._requires_grad) for x in leaves
    ) or reaches_beyond(heads, edges)


def _finish(bar: Any, like: Any) -> Any:
    if bar is None:
        return new_zeros(like)
    return bar if isinstance(bar, Value) else new_value(np.asarray(bar), None, False)


def _place(number: int, count: int, operation: str) -> int:
    """Return the position, from 0, of an argument to differentiate in."""
    if not -count <= number < count:
        raise UsageError(
            explain(
                f"{operation}: argument {number} is to be differentiated, but the function was"
                f" called with {count} positional argument(s); pass it by position, or give"
                " another argnums."
            )
        )
    return number % count


def _split_arguments(
    args: tuple[Any, ...], argnums: ArgNums, operation: str
) -> tuple[list[Any], list[Any], Any, Callable[[list[Any]], tuple[Any, ...]]]:
    """Return original leaves, marked leaves, the structure, and how to rebuild the arguments."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    numbers = tuple(_place(n, len(args), operation) for n in numbers)
    chosen = tuple(args[n] for n in numbers)
    leaves, structure = flatten(chosen)
    marked = [mark(x, operation) for x in leaves]

    def rebuild(values: list[Any]) -> tuple[Any, ...]:
        parts = unflatten(structure, values)
        full = list(args)
        for n, part in zip(numbers, parts, strict=True):
            full[n] = part
        return tuple(full)

    return leaves, marked, structure, rebuild


def value_and_grad(
    function: Callable[..., Any], argnums: ArgNums = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that gives the value of `function` and its gradient together.

    Parameters
    ----------
    function : callable
        Returns a 0-d Tensor (or `(Tensor, aux)` with `has_aux`).
    argnums : int or tuple of int
        Which positional arguments to differentiate in; nests of Tensors are allowed.
    has_aux : bool
        Whether the function returns something else beside its value; then the first result is
        `(value, aux)`.

    Returns
    -------
    callable
        `(*args) -> (value, gradient)`; the gradient has the structure of the arguments.

    Raises
    ------
    DTypeError
        If an argument to differentiate in is not a float.
    GradientError
        If the output is not a 0-d float.
    UsageError
        If there is no such argument.

    Examples
    --------
    >>> import slopewise as sw
    >>> value, slope = sw.value_and_grad(lambda w: (w - 3) ** 2)(4.0)
    >>> value.item(), slope.item()
    (1.0, 2.0)
    """

    @wraps(function)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        leaves, marked, structure, rebuild = _split_arguments(args, argnums, "grad")
        with enable_grad():
            out = function(*rebuild(marked), **kwargs)
        value, aux = out if has_aux else (out, None)
        if not isinstance(value, Value) or value.shape != () or value.dtype.kind != "f":
            shape = getattr(value, "shape", type(value).__name__)
            raise GradientError(
                explain(
                    f"grad: the function returned {shape}, and a gradient needs one number; return"
                    " a 0-d float Tensor (loss.sum() or loss.mean()), or use jacobian."
                )
            )
        edges = {edge_of(m) for m in marked}
        head = edge_of(value)
        found: dict[Any, Any] = {}
        if value._requires_grad:
            linked = _is_linked(leaves, [head], edges) or value._value is None
            bar = as_values([_one(value)])[0] if linked else _one(value)
            found = walk_back([(head, bar)], edges, attached=linked, retain=linked, boundary=True)
            if not linked:
                value = new_value(value._value, None, False)
        bars = [_finish(found.get(edge_of(m)), m) for m in marked]
        gradient = unflatten(structure, bars)
        if isinstance(argnums, int):
            gradient = gradient[0]
        return ((value, aux), gradient) if has_aux else (value, gradient)

    return differentiated


def grad(
    function: Callable[..., Any], argnums: ArgNums = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """Return the gradient function of a function with one number as its value.

    Parameters
    ----------
    function : callable
        Returns a 0-d Tensor (or `(Tensor, aux)` with `has_aux`).
    argnums : int or tuple of int
        Which positional arguments to differentiate in.
    has_aux : bool
        Whether the function returns something else beside its value.

    Returns
    -------
    callable
        `(*args) -> gradient`, or `(gradient, aux)` with `has_aux`.

    Raises
    ------
    DTypeError
        If an argument to differentiate in is not a float.
    GradientError
        If the output is not a 0-d float.
    UsageError
        If there is no such argument.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.grad(lambda w: (w - 3) ** 2)(4.0).item()
    2.0
    >>> sw.grad(sw.grad(lambda x: x**3))(2.0).item()
    12.0
    """
    both = value_and_grad(function, argnums, has_aux=has_aux)

    @wraps(function)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        out, gradient = both(*args, **kwargs)
        return (gradient, out[1]) if has_aux else gradient

    return differentiated


def _as_output(out: Any, operation: str) -> Any:
    """Return an output as a Value; a number is a constant."""
    if isinstance(out, Value):
        return out
    if isinstance(out, (bool, int, float, np.ndarray, np.generic)):
        return new_value(np.asarray(out), None, False)
    raise GradientError(
        explain(
            f"{operation}: the function returned {type(out).__name__}, and only Tensors have"
            " derivatives; return a Tensor, or a nest of them."
        )
    )


class _Recording:
    """One run of a function on marked inputs: what came out, and whether others depend on it."""

    def __init__(self, function: Callable[..., Any], primals: tuple[Any, ...], name: str) -> None:
        numbers = tuple(range(len(primals)))
        self.leaves, self.marked, self.structure, rebuild = _split_arguments(primals, numbers, name)
        with enable_grad():
            out = function(*rebuild(self.marked))
        leaves, self.out_structure = flatten(out)
        self.outs = [_as_output(o, name) for o in leaves]
        self.edges = [edge_of(m) for m in self.marked]
        self.heads: list[Any] = [
            edge_of(o) if isinstance(o, Value) and o._requires_grad else None for o in self.outs
        ]
        live = [h for h in self.heads if h is not None]
        self.linked = _is_linked(self.leaves, live, set(self.edges))

    def values(self) -> Any:
        """Return the outputs, without the history of marked inputs unless an outer one needs it."""
        return unflatten(
            self.out_structure, [o if self.linked else strip_history(o) for o in self.outs]
        )

    def pull(self, bars: Sequence[Any]) -> list[Any]:
        """Return the input cotangents for output cotangents."""
        attached = self.linked or any(b._value is None or b._requires_grad for b in bars)
        heads = [
            (h, b if attached else b._value)
            for h, b in zip(self.heads, bars, strict=True)
            if h is not None
        ]
        found = walk_back(heads, set(self.edges), attached=attached, retain=True, boundary=True)
        return [_finish(found.get(e), m) for e, m in zip(self.edges, self.marked, strict=True)]

    def pull_one(self, bar: Any) -> Any:
        """Return the one input cotangent for the one output cotangent."""
        return self.pull([bar])[0]

    def push_one(self, dot: Any) -> Any:
        """Return the one output tangent for the one input tangent."""
        return self.push([dot])[0]

    def push(self, dots: Sequence[Any]) -> list[Any]:
        """Return the output tangents for input tangents."""
        attached = self.linked or any(d._value is None or d._requires_grad for d in dots)
        seeds = {e: d if attached else d._value for e, d in zip(self.edges, dots, strict=True)}
        live = [h for h in self.heads if h is not None]
        taken = {id(d) if attached else id(d._value) for d in dots}
        arrived = iter(
            [
                clone(t) if id(t) in taken else t
                for t in walk_forward(live, seeds, attached=attached)
            ]
        )
        return [
            _finish(next(arrived) if h is not None else None, o)
            for h, o in zip(self.heads, self.outs, strict=True)
        ]


def strip_history(out: Any) -> Any:
    """Return a concrete Value without its history."""
    if not isinstance(out, Value) or out._value is None:
        return out
    return new_value(out._value, None, False)


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the value of `function` and its pullback from output cotangents to input cotangents.

    Parameters
    ----------
    function : callable
        Of as many arguments as there are primals; returns a nest of Tensors.
    *primals : nest of Tensor

    Returns
    -------
    tuple
        The output, and `pull(cotangents) -> tuple` with one cotangent nest for each primal.

    Raises
    ------
    DTypeError
        If a primal is not a float.
    ShapeError
        From `pull`, if the cotangents do not have the structure and shapes of the output.

    Examples
    --------
    >>> import slopewise as sw
    >>> out, pull = sw.vjp(lambda x: x * x, sw.tensor([1.0, 2.0]))
    >>> pull(sw.tensor([1.0, 10.0]))[0]
    tensor([ 2., 40.])
    """
    recording = _Recording(function, primals, "vjp")

    def pull(out_bar: Any) -> Any:
        bars, structure = flatten(out_bar)
        if structure != recording.out_structure:
            raise ShapeError(explain("vjp: the cotangent must have the structure of the output."))
        values = as_values(bars)
        for bar, out in zip(values, recording.outs, strict=True):
            if bar.shape != out.shape:
                raise ShapeError(
                    explain(
                        f"vjp: an output has shape {tuple(out.shape)}, its cotangent"
                        f" {tuple(bar.shape)}; they must be equal.",
                        (bar,),
                    )
                )
        return unflatten(recording.structure, recording.pull(values))

    return recording.values(), pull


def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, Any]:
    """Return the value of `function` and its derivative along `tangents` (forward mode).

    Parameters
    ----------
    function : callable
        A function of as many arguments as there are primals.
    primals, tangents : sequence
        Nests of equal structure and shapes.

    Returns
    -------
    tuple
        The output, and its tangent, of the same structure.

    Raises
    ------
    DTypeError
        If a primal is not a float.
    ShapeError
        If a tangent's shape is not that of its primal, or there are not as many of both.
    UsageError
        If primals or tangents are no tuple or list.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.jvp(lambda x: sw.sin(x), (0.0,), (2.0,))[1].item()
    2.0
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise UsageError(explain("jvp: primals and tangents are tuples; write jvp(f, (x,), (v,))."))
    dots = as_values(flatten(tuple(tangents))[0])
    count = len(flatten(tuple(primals))[0])
    if len(dots) != count:
        raise ShapeError(
            explain(f"jvp: {count} primal(s) have {len(dots)} tangent(s); give one for each.")
        )
    recording = _Recording(function, tuple(primals), "jvp")
    for m, t in zip(recording.marked, dots, strict=True):
        if m.shape != t.shape:
            raise ShapeError(
                explain(f"jvp: a primal has shape {m.shape}, its tangent {t.shape}.", (t,))
            )
    return recording.values(), unflatten(recording.out_structure, recording.push(dots))


def jacobian(
    function: Callable[..., Any], argnums: int = 0, *, mode: str = "reverse"
) -> Callable[..., Any]:
    """Return the function that gives the matrix of all first derivatives.

    Parameters
    ----------
    function : callable
        From an array to an array.
    argnums : int
        Which argument to differentiate in.
    mode : {"reverse", "forward"}
        Reverse costs one walk for each output element, forward one for each input element.

    Returns
    -------
    callable
        Its result has shape (*output.shape, *input.shape).

    Raises
    ------
    DTypeError
        If the argument is not a float.
    ShapeError
        If the argument or the output is a nest of several arrays.
    UsageError
        If the mode is another word, or there is no such argument.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.jacobian(lambda x: x * x)(sw.tensor([1.0, 2.0, 3.0]))
    tensor([[2., 0., 0.],
            [0., 4., 0.],
            [0., 0., 6.]])
    """

    if mode not in ("reverse", "forward"):
        raise UsageError(explain(f"jacobian: mode {mode!r} is not 'reverse' or 'forward'."))

    @wraps(function)
    def differentiated(*args: Any) -> Any:
        place = _place(argnums, len(args), "jacobian")

        def along(x: Any) -> Any:
            return function(*args[:place], x, *args[place + 1 :])

        recording = _Recording(along, (args[place],), "jacobian")
        if len(recording.outs) != 1 or len(recording.marked) != 1:
            raise ShapeError("jacobian: the argument and the output must be one array each.")
        x, out = recording.marked[0], recording.outs[0]
        if mode == "forward":
            columns = vmap(recording.push_one, out_dims=-1)(_basis(x))
            table = reshape(columns, shape=(*out.shape, *x.shape))
        else:
            rows = vmap(recording.pull_one)(_basis(out))
            table = reshape(rows, shape=(*out.shape, *x.shape))
        return table if recording.linked else strip_history(table)

    return differentiated


def _basis(x: Any) -> Any:
    """Return the unit vectors of an array's space, along a new leading axis."""
    size = int(np.prod(x.shape, dtype=int))
    return new_value(np.eye(size, dtype=x.dtype).reshape(size, *x.shape), None, False)


def hessian(function: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that gives the matrix of second derivatives (forward over reverse).

    Parameters
    ----------
    function : callable
        Returns a 0-d Tensor.
    argnums : int
        Which argument to differentiate in.

    Returns
    -------
    callable
        Its result has shape (*input.shape, *input.shape).

    Raises
    ------
    DTypeError
        If the argument is not a float.
    GradientError
        If the output is not a 0-d float.
    ShapeError
        If the argument is a nest of several arrays.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.hessian(lambda w: (w[0] - 3) ** 2 * w[1])(sw.tensor([4.0, 2.0]))
    tensor([[4., 2.],
            [2., 0.]])
    """
    return jacobian(grad(function, argnums), argnums, mode="forward")
