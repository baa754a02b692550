"""Products of the front: matmul and its kin, all contractions.

Invariant: shapes are checked here, so that an error names the operands and the axes that differ.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.value import Value
from slopewise._front.documentation import compose, describe_rule
from slopewise._front.operands import as_value, promote_operands, settle_axis
from slopewise._front.reduction import sum as sum_over
from slopewise._front.shape import broadcast_to, common_shape, diagonal, permute
from slopewise._ops.contraction import contract
from slopewise.errors import ShapeError


def _pair(x: Any, y: Any) -> tuple[Any, Any]:
    if isinstance(x, Value) and isinstance(y, Value) and x.dtype == y.dtype:
        return x, y
    a, b = promote_operands((x, y))
    return as_value(a), as_value(b)


def contract_axes(x: Any, y: Any, x_axes: tuple[int, ...], y_axes: tuple[int, ...]) -> Any:
    """Return the contraction of the given axes, without batch axes."""
    params = {"x_axes": x_axes, "y_axes": y_axes, "x_batch": (), "y_batch": ()}
    return bind(contract, (x, y), params)


def matmul(input: Any, other: Any) -> Any:
    """Return the matrix product; leading axes are batches and broadcast.

    Parameters
    ----------
    input : Tensor, shape (..., n, k) or (k,)
    other : Tensor, shape (..., k, m) or (k,)

    Returns
    -------
    Tensor, shape (..., n, m)
        A vector operand loses its axis.

    Raises
    ------
    ShapeError
        If the inner sizes differ or an operand is a number.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.matmul(sw.tensor([[1.0, 2.0]]), sw.tensor([3.0, 4.0]))
    tensor([11.])
    """
    x, y = _pair(input, other)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(explain("matmul: needs at least 1 axis; use * for numbers.", (x, y)))
    y_axis = y.ndim - 2 if y.ndim > 1 else 0
    if x.shape[-1] != y.shape[y_axis]:
        raise ShapeError(
            explain(
                f"matmul: shapes {x.shape} and {y.shape} do not fit: the last axis of the first has"
                f" size {x.shape[-1]}, and axis {y_axis - y.ndim} of the second {y.shape[y_axis]};"
                " they must be equal. Transpose an operand with .T or .mT, or reshape it.",
                (x, y),
            )
        )
    if y.ndim <= 2:
        return contract_axes(x, y, (x.ndim - 1,), (y_axis,))
    if x.ndim == 1:
        return contract_axes(y, x, (y_axis,), (0,))
    lead = common_shape((x.shape[:-2], y.shape[:-2]), "matmul: the leading axes", (x, y))
    x = x if x.shape[:-2] == lead else broadcast_to(x, (*lead, *x.shape[-2:]))
    y = y if y.shape[:-2] == lead else broadcast_to(y, (*lead, *y.shape[-2:]))
    n = len(lead)
    batch = tuple(range(n))
    params = {"x_axes": (n + 1,), "y_axes": (n,), "x_batch": batch, "y_batch": batch}
    return bind(contract, (x, y), params)


# Name: shapes of the operands and the result, then the operands and the result of the example.
_PRODUCTS = {
    "mm": ("(n, k)", "(k, m)", "(n, m)", "[[1.0, 2.0]]", "[[3.0], [4.0]]", "[[11.]]"),
    "mv": ("(n, k)", "(k,)", "(n,)", "[[1.0, 2.0]]", "[3.0, 4.0]", "[11.]"),
    "dot": ("(n,)", "(n,)", "()", "[1.0, 2.0]", "[3.0, 4.0]", "11."),
    "bmm": ("(b, n, k)", "(b, k, m)", "(b, n, m)", "[[[1.0, 2.0]]]", "[[[3.0], [4.0]]]",
            "[[[11.]]]"),
}  # fmt: skip


def _exact(name: str, x_ndim: int, y_ndim: int) -> Any:
    def product(input: Any, other: Any) -> Any:
        x, y = _pair(input, other)
        if x.ndim != x_ndim or y.ndim != y_ndim:
            raise ShapeError(
                explain(f"{name}: needs {x_ndim} and {y_ndim} axes; matmul takes any.", (x, y))
            )
        return matmul(x, y)

    product.__name__ = product.__qualname__ = name
    first, second, result, one, other, printed = _PRODUCTS[name]
    product.__doc__ = compose(
        f"Return the product of operands with {x_ndim} and {y_ndim} axes.",
        [describe_rule(contract)],
        [
            ("Parameters", f"input : Tensor, shape {first}\nother : Tensor, shape {second}"),
            ("Returns", f"Tensor, shape {result}"),
            ("Raises", "ShapeError\n    If an operand has another number of axes or sizes differ."),
        ],
        f">>> sw.{name}(sw.tensor({one}), sw.tensor({other}))\ntensor({printed})",
    )
    return product


mm = _exact("mm", 2, 2)
mv = _exact("mv", 2, 1)
dot = _exact("dot", 1, 1)
bmm = _exact("bmm", 3, 3)


def outer(input: Any, other: Any) -> Any:
    """Return the table of all products of two vectors.

    Parameters
    ----------
    input : Tensor, shape (n,)
    other : Tensor, shape (m,)

    Returns
    -------
    Tensor, shape (n, m)

    Raises
    ------
    ShapeError
        If an operand is not a vector.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.outer(sw.tensor([1, 2]), sw.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    x, y = _pair(input, other)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(explain("outer: needs two vectors.", (x, y)))
    return contract_axes(x, y, (), ())


def tensordot(input: Any, other: Any, dims: Any = 2) -> Any:
    """Return the contraction of the last `dims` axes with the first, or of named pairs of axes.

    Parameters
    ----------
    input : Tensor, shape (*free axes, *contracted axes)
    other : Tensor, shape (*contracted axes, *free axes)
    dims : int, or two sequences of int
        How many axes to contract, or the axes of input and, in the same order, those of other.

    Returns
    -------
    Tensor, shape (*free axes of input, *free axes of other)

    Raises
    ------
    ShapeError
        If paired axes differ in size.
    IndexRangeError
        If a named axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.tensordot(sw.tensor([[1.0, 2.0]]), sw.tensor([3.0, 4.0]), 1)
    tensor([11.])
    """
    x, y = _pair(input, other)
    if isinstance(dims, int):
        x_axes, y_axes = tuple(range(x.ndim - dims, x.ndim)), tuple(range(dims))
    else:
        first, second = dims
        x_axes = tuple(settle_axis(a, x.ndim, "tensordot") for a in first)
        y_axes = tuple(settle_axis(a, y.ndim, "tensordot") for a in second)
    if [x.shape[a] for a in x_axes] != [y.shape[a] for a in y_axes]:
        raise ShapeError(explain(f"tensordot: axes {x_axes} and {y_axes} differ in size.", (x, y)))
    return contract_axes(x, y, x_axes, y_axes)


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Return input @ weight.T + bias.

    Parameters
    ----------
    input : Tensor, shape (..., in_features)
    weight : Tensor, shape (out_features, in_features)
    bias : Tensor, shape (out_features,), optional

    Returns
    -------
    Tensor, shape (..., out_features)

    Raises
    ------
    ShapeError
        If the sizes of in_features differ.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linear(sw.tensor([1.0, 2.0]), sw.tensor([[3.0, 4.0]]), sw.tensor([0.5]))
    tensor([11.5000])
    """
    x, w = _pair(input, weight)
    if x.ndim == 0 or x.shape[-1] != w.shape[-1]:
        raise ShapeError(
            explain(
                f"linear: the input has shape {x.shape}, and the weight {w.shape} needs"
                f" {w.shape[-1]} features on the last axis.",
                (x, w),
            )
        )
    out = contract_axes(x, w, (x.ndim - 1,), (w.ndim - 1,))
    return out if bias is None else out + bias


def einsum(equation: str, *operands: Any) -> Any:
    """Return sums of products named by letters, such as "bij,bjk->bik".

    Parameters
    ----------
    equation : str
        One group of letters for each operand, and after "->" those of the result; "..." stands for
        leading axes. Without "->" the result has the letters that occur once, in order.
    *operands : Tensor

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If the letters do not fit the shapes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.einsum("ij,ij->i", sw.tensor([[1.0, 2.0], [3.0, 4.0]]), sw.ones(2, 2))
    tensor([3., 7.])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    values = promote_operands([as_value(x) for x in operands])
    groups, target = _read_equation(equation, values)
    terms: list[tuple[Any, str]] = []
    for i, (x, labels) in enumerate(zip(values, groups, strict=True)):
        elsewhere = set(target).union(*(g for j, g in enumerate(groups) if j != i))
        terms.append(_single_term(x, labels, elsewhere))
    while len(terms) > 1:
        later = set(target).union(*(labels for _, labels in terms[2:]))
        terms[:2] = [_pair_terms(terms[0], terms[1], later)]
    x, labels = terms[0]
    return permute(x, tuple(labels.index(c) for c in target)) if labels != target else x


def _read_equation(equation: str, values: list[Any]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result, "..." replaced by spare letters."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    groups = left.split(",")
    if len(groups) != len(values):
        raise ShapeError(
            explain(f"einsum: {equation!r} names {len(groups)} operands, got {len(values)}.")
        )
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in text]
    depth = 0
    full: list[str] = []
    for group, x in zip(groups, values, strict=True):
        extra = x.ndim - len(group.replace("...", "")) if "..." in group else 0
        depth = max(depth, extra)
        letters = group.replace("...", "".join(reversed(spare[:extra])))
        if len(letters) != x.ndim or (not letters.isalpha() and letters):
            raise ShapeError(
                explain(
                    f"einsum: {group!r} does not name the axes of shape {tuple(x.shape)}.", (x,)
                )
            )
        full.append(letters)
    lead = "".join(reversed(spare[:depth]))
    if arrow:
        target = right.replace("...", lead)
    else:
        every = "".join(full)
        target = lead + "".join(
            sorted(c for c in set(every) if every.count(c) == 1 and c not in lead)
        )
    sizes: dict[str, int] = {}
    for letters, x in zip(full, values, strict=True):
        for c, n in zip(letters, x.shape, strict=True):
            if sizes.setdefault(c, n) != n:
                raise ShapeError(
                    explain(f"einsum: {c!r} has sizes {sizes[c]} and {n}.", tuple(values))
                )
    if any(c not in sizes for c in target) or len(set(target)) != len(target):
        raise ShapeError(explain(f"einsum: the result {target!r} does not fit the operands."))
    return full, target


def _single_term(x: Any, labels: str, elsewhere: set[str]) -> tuple[Any, str]:
    """Take diagonals of repeated letters, and sum over letters that nothing else has."""
    for c in dict.fromkeys(labels):
        while labels.count(c) > 1:
            i, j = labels.index(c), labels.rindex(c)
            x = diagonal(x, 0, i, j)
            labels = labels[:i] + labels[i + 1 : j] + labels[j + 1 :] + c
    axes = tuple(i for i, c in enumerate(labels) if c not in elsewhere)
    if axes:
        x = sum_over(x, axes)
        labels = "".join(c for i, c in enumerate(labels) if i not in axes)
    return x, labels


def _pair_terms(a: tuple[Any, str], b: tuple[Any, str], later: set[str]) -> tuple[Any, str]:
    """Contract two terms over the letters that only they share."""
    (x, p), (y, q) = a, b
    shared = [c for c in p if c in q]
    batch = [c for c in shared if c in later]
    inner = [c for c in shared if c not in later]
    params = {
        "x_axes": tuple(p.index(c) for c in inner), "y_axes": tuple(q.index(c) for c in inner),
        "x_batch": tuple(p.index(c) for c in batch), "y_batch": tuple(q.index(c) for c in batch),
    }  # fmt: skip
    labels = "".join(batch) + "".join(c for c in p + q if c not in shared)
    return bind(contract, (x, y), params), labels
