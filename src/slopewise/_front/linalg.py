"""Linear algebra of the front, PyTorch's `torch.linalg`.

Invariant: matrices are the last two axes, leading axes are batches; shapes are checked here. A
factorisation that fails numerically says which one, and the remedy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from slopewise._core.graph import bind
from slopewise._core.source import explain
from slopewise._core.state import state
from slopewise._front import norms, reduction
from slopewise._front.contraction import matmul
from slopewise._front.operands import Axes, as_value, cast, promote_operands
from slopewise._front.shape import (
    broadcast_to,
    common_shape,
    diagonal,
    reshape,
    transpose,
    unsqueeze,
)
from slopewise._ops import linalg as ops
from slopewise.errors import ShapeError, UsageError

METHODS = ["det", "logdet", "inverse", "cholesky", "qr", "svd", "trace", "pinverse"]


class Slogdet(NamedTuple):
    """Sign and logarithm of the absolute determinant."""

    sign: Any
    logabsdet: Any


class Eigh(NamedTuple):
    """Eigenvalues in rising order and the eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


class Svd(NamedTuple):
    """Left singular vectors, singular values, right singular vectors as rows."""

    U: Any
    S: Any
    Vh: Any


class Qr(NamedTuple):
    """Orthonormal columns and the upper triangle."""

    Q: Any
    R: Any


def _matrix(input: Any, operation: str, square: bool = True) -> Any:
    x = as_value(input)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        kind = "square matrices" if square else "matrices"
        raise ShapeError(
            explain(f"{operation}: needs {kind} on the last two axes, has {tuple(x.shape)}.", (x,))
        )
    return x if x.dtype.kind == "f" else cast(x, state.default_dtype)


def inv(A: Any) -> Any:
    """Return the inverse matrices.

    Parameters
    ----------
    A : Tensor, shape (..., n, n)

    Returns
    -------
    Tensor, shape (..., n, n)

    Raises
    ------
    DomainError
        If a matrix is singular.
    ShapeError
        If the matrices are not square.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.inv(sw.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return bind(ops.inv, (_matrix(A, "inv"),), {})


inverse = inv


def solve(A: Any, B: Any) -> Any:
    """Return X with A X = B; B holds vectors (one axis less) or matrices.

    Parameters
    ----------
    A : Tensor, shape (..., n, n)
    B : Tensor, shape (n,), (..., n) or (..., n, k)

    Returns
    -------
    Tensor, shape of B, batches broadcast

    Raises
    ------
    DomainError
        If a matrix is singular.
    ShapeError
        If the sizes differ.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.solve(sw.tensor([[2.0, 0.0], [0.0, 4.0]]), sw.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    a, b = promote_operands((_matrix(A, "solve"), as_value(B)))
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if vector:
        b = unsqueeze(b, -1)
    if b.shape[-2] != a.shape[-1]:
        raise ShapeError(explain(f"solve: A has {a.shape[-1]} rows, B has {b.shape[-2]}.", (a, b)))
    lead = a.shape[:-2] if len(a.shape) >= len(b.shape) else b.shape[:-2]
    a = a if a.shape[:-2] == lead else broadcast_to(a, (*lead, *a.shape[-2:]))
    b = b if b.shape[:-2] == lead else broadcast_to(b, (*lead, *b.shape[-2:]))
    out = bind(ops.solve, (a, b), {})
    return reshape(out, out.shape[:-1]) if vector else out


def det(A: Any) -> Any:
    """Return the determinants; the gradient is the adjugate's transpose, at singular A too.

    Parameters
    ----------
    A : Tensor, shape (..., n, n)

    Returns
    -------
    Tensor, shape (...)

    Raises
    ------
    ShapeError
        If the matrices are not square.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.det(sw.tensor([[2.0, 1.0], [0.0, 3.0]]))
    tensor(6.)
    """
    return bind(ops.det, (_matrix(A, "det"),), {})


def slogdet(A: Any) -> Slogdet:
    """Return the sign and the logarithm of the absolute determinant.

    Parameters
    ----------
    A : Tensor, shape (..., n, n)

    Returns
    -------
    Slogdet
        `sign` and `logabsdet`, each a Tensor of shape (...).

    Raises
    ------
    ShapeError
        If the matrices are not square.

    Examples
    --------
    >>> import slopewise as sw
    >>> sign, size = sw.slogdet(sw.tensor([[-2.0, 0.0], [0.0, 2.0]]))
    >>> sign.item(), round(size.item(), 4)
    (-1.0, 1.3863)
    """
    return Slogdet(*bind(ops.slogdet, (_matrix(A, "slogdet"),), {}))


def logdet(A: Any) -> Any:
    """Return the logarithm of the determinant (NaN where it is negative).

    Parameters
    ----------
    A : Tensor, shape (..., n, n)

    Returns
    -------
    Tensor, shape (...)

    Raises
    ------
    ShapeError
        If the matrices are not square.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.logdet(sw.eye(2))
    tensor(0.)
    """
    from slopewise._front.elementwise import where

    sign, size = slogdet(A)
    return where(sign < 0, float("nan"), size)


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """Return L with A = L L^T, for positive definite A.

    Source: Murray (2016), Differentiation of the Cholesky decomposition, equation 8 (the
    derivative).

    Parameters
    ----------
    A : Tensor, shape (..., n, n)
    upper : bool
        Return the transpose of L.

    Returns
    -------
    Tensor, shape (..., n, n)

    Raises
    ------
    DomainError
        If a matrix is not positive definite.
    ShapeError
        If the matrices are not square.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.cholesky(sw.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    out = bind(ops.cholesky, (_matrix(A, "cholesky"),), {})
    return transpose(out, -2, -1) if upper else out


def qr(A: Any, mode: str = "reduced") -> Qr:
    """Return Q with orthonormal columns and upper triangular R, A = Q R (at least as many rows).

    Source: Walter & Lehmann (2010), Algorithmic differentiation of linear algebra, section 2.2 (the
    derivative).

    Parameters
    ----------
    A : Tensor, shape (..., m, n), m >= n
    mode : str
        Only "reduced".

    Returns
    -------
    Qr
        `Q`, shape (..., m, n), and `R`, shape (..., n, n).

    Raises
    ------
    ShapeError
        If the matrix has more columns than rows, or the mode is another one.

    Examples
    --------
    >>> import slopewise as sw
    >>> q, r = sw.linalg.qr(sw.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> sw.allclose(q @ r, sw.tensor([[3.0, 1.0], [4.0, 2.0]]), atol=1e-6)
    True
    """
    a = _matrix(A, "qr", square=False)
    if mode != "reduced" or a.shape[-2] < a.shape[-1]:
        raise ShapeError(
            explain("qr: only mode 'reduced', for at least as many rows as columns.", (a,))
        )
    return Qr(*bind(ops.qr, (a,), {}))


def eigh(A: Any) -> Eigh:
    """Return eigenvalues and eigenvectors of symmetric matrices.

    The derivative of eigenvectors does not exist where eigenvalues are equal, and says so; for
    functions of the eigenvalues alone use `eigvalsh`.

    Source: Giles (2008), Collected matrix derivative results, section 3.1 (the derivative).

    Parameters
    ----------
    A : Tensor, shape (..., n, n)

    Returns
    -------
    Eigh
        `eigenvalues`, shape (..., n), rising; `eigenvectors`, shape (..., n, n), as columns.

    Raises
    ------
    ShapeError
        If the matrices are not square.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.eigh(sw.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    return Eigh(*bind(ops.eigh, (_matrix(A, "eigh"),), {}))


def eigvalsh(A: Any) -> Any:
    """Return the eigenvalues of symmetric matrices, in rising order.

    Parameters
    ----------
    A : Tensor, shape (..., n, n)

    Returns
    -------
    Tensor, shape (..., n)

    Raises
    ------
    ShapeError
        If the matrices are not square.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.eigvalsh(sw.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1., 2.])
    """
    return bind(ops.eigvalsh, (_matrix(A, "eigvalsh"),), {})


def svd(A: Any, full_matrices: bool = False) -> Svd:
    """Return the reduced singular value decomposition.

    Source: Townsend (2016), Differentiating the singular value decomposition, section 2.

    Parameters
    ----------
    A : Tensor, shape (..., m, n)
    full_matrices : bool
        Only False is supported.

    Returns
    -------
    Svd
        `U`, shape (..., m, k), `S`, shape (..., k), falling, and `Vh`, shape (..., k, n), with k
        the smaller of m and n.

    Raises
    ------
    UsageError
        If the full matrices are asked for.
    ShapeError
        If there are fewer than two axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.svd(sw.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    if full_matrices:
        raise UsageError(explain("svd: only full_matrices=False."))
    return Svd(*bind(ops.svd, (_matrix(A, "svd", square=False),), {}))


def svdvals(A: Any) -> Any:
    """Return the singular values, in falling order.

    Parameters
    ----------
    A : Tensor, shape (..., m, n)

    Returns
    -------
    Tensor, shape (..., min(m, n))

    Raises
    ------
    ShapeError
        If there are fewer than two axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.svdvals(sw.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    return bind(ops.svdvals, (_matrix(A, "svdvals", square=False),), {})


def pinv(A: Any, rcond: float = 1e-15) -> Any:
    """Return the pseudo-inverse, through the singular value decomposition.

    Parameters
    ----------
    A : Tensor, shape (..., m, n)
    rcond : float
        Singular values up to rcond times the largest one count as 0.

    Returns
    -------
    Tensor, shape (..., n, m)

    Raises
    ------
    ShapeError
        If there are fewer than two axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.pinverse(sw.tensor([[2.0]]))
    tensor([[0.5000]])
    """
    from slopewise._front.elementwise import where

    u, s, vh = svd(A)
    keep = s > reduction.amax(s, -1, True) * rcond
    back = where(keep, 1.0 / where(keep, s, 1.0), 0.0)
    return matmul(transpose(vh, -2, -1) * unsqueeze(back, -2), transpose(u, -2, -1))


pinverse = pinv


def trace(A: Any) -> Any:
    """Return the sum of the diagonal.

    Parameters
    ----------
    A : Tensor, shape (..., n, m)

    Returns
    -------
    Tensor, shape (...)

    Raises
    ------
    IndexRangeError
        If there are fewer than two axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.trace(sw.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    return reduction.sum(diagonal(A, 0, -2, -1), -1)


def vector_norm(x: Any, ord: Any = 2, dim: Axes = None, keepdim: bool = False) -> Any:
    """Return the norm of vectors; the gradient of the 2-norm at 0 is 0.

    Parameters
    ----------
    x : Tensor, shape (...)
    ord : float
        Which norm: 1, 2, inf, -inf, 0 (the number of elements that are not 0) or another number.
    dim : int or sequence of int, optional
        The axes to reduce (default: all).
    keepdim : bool
        Keep reduced axes with size 1.

    Returns
    -------
    Tensor, shape without the reduced axes

    Raises
    ------
    DTypeError
        If x does not hold floats.
    IndexRangeError
        If an axis does not exist.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.vector_norm(sw.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return norms.norm(x, ord, dim, keepdim)


def matrix_norm(
    A: Any, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False
) -> Any:
    """Return the norm of matrices: "fro", "nuc", 2, -2, 1, -1, inf or -inf.

    Parameters
    ----------
    A : Tensor, shape (..., n, m)
    ord : str or float
        Which norm: 2 and -2 are the largest and the smallest singular value, "nuc" their sum, 1 and
        inf the largest sum of a column and of a row.
    dim : pair of int
        The axes of the matrices; the last two for 2, -2 and "nuc".
    keepdim : bool
        Keep the two axes with size 1; not for 2, -2 and "nuc".

    Returns
    -------
    Tensor, shape (...)

    Raises
    ------
    UsageError
        If the order is another one, or does not go with `dim` and `keepdim`.
    ShapeError
        If there are fewer than two axes.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.matrix_norm(sw.tensor([[3.0, 0.0], [0.0, 4.0]]), "nuc")
    tensor(7.)
    """
    x = _matrix(A, "matrix_norm", square=False)
    if ord == "fro":
        return norms.norm(x, 2, dim, keepdim)
    if ord in ("nuc", 2, -2) and tuple(dim) == (-2, -1) and not keepdim:
        levels = svdvals(x)
        if ord == "nuc":
            return reduction.sum(levels, -1)
        return reduction.amax(levels, -1) if ord == 2 else reduction.amin(levels, -1)
    if ord in (1, -1, float("inf"), float("-inf")):
        first, second = (dim[0], dim[1]) if abs(ord) == 1 else (dim[1], dim[0])
        sums = reduction.sum(x.abs(), first, True)
        found = (reduction.amax if ord > 0 else reduction.amin)(sums, second, True)
        if keepdim:
            return found
        axes = {a % x.ndim for a in dim}
        return reshape(found, tuple(n for i, n in enumerate(found.shape) if i not in axes))
    raise UsageError(explain(f"matrix_norm: order {ord!r} is not known."))


def norm(A: Any, ord: Any = None, dim: Axes = None, keepdim: bool = False) -> Any:
    """Return the norm of a vector or a matrix (by default of all elements).

    Parameters
    ----------
    A : Tensor, shape (...)
    ord : float or str, optional
        Of a matrix as in `matrix_norm`, else as in `vector_norm` (default 2).
    dim : int or sequence of int, optional
        The axes of a vector norm.
    keepdim : bool
        Keep reduced axes with size 1.

    Returns
    -------
    Tensor, shape without the reduced axes

    Raises
    ------
    DTypeError
        If A does not hold floats.
    UsageError
        If the order of a matrix norm is not known.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.norm(sw.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if ord is None or dim is not None or as_value(A).ndim != 2:
        return norms.norm(A, 2 if ord is None else ord, dim, keepdim)
    return matrix_norm(A, ord, keepdim=keepdim)


def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """Return the distances between all rows of two sets; the gradient at distance 0 is 0.

    Parameters
    ----------
    x1 : Tensor, shape (..., n, d)
    x2 : Tensor, shape (..., m, d)
    p : float
        Which norm measures the distance.

    Returns
    -------
    Tensor, shape (..., n, m)

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.cdist(sw.tensor([[0.0, 0.0]]), sw.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    a, b = promote_operands((as_value(x1), as_value(x2)))
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            explain(
                f"cdist: shapes {tuple(a.shape)} and {tuple(b.shape)} need two axes or more, and"
                " the same number of columns.",
                (x1, x2),
            )
        )
    common_shape((a.shape[:-2], b.shape[:-2]), "cdist: the leading axes", (x1, x2))
    return norms.norm(unsqueeze(a, -2) - unsqueeze(b, -3), p, -1)


def matrix_power(A: Any, n: int) -> Any:
    """Return A multiplied with itself n times (inverted for negative n).

    Parameters
    ----------
    A : Tensor, shape (..., n, n)
    n : int

    Returns
    -------
    Tensor, shape (..., n, n)

    Raises
    ------
    DomainError
        If n is negative and a matrix is singular.
    ShapeError
        If the matrices are not square.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.linalg.matrix_power(sw.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    base = _matrix(A, "matrix_power") if n >= 0 else inv(A)
    out: Any = None
    for bit in bin(abs(n))[2:]:
        out = None if out is None else matmul(out, out)
        if bit == "1":
            out = base if out is None else matmul(out, base)
    if out is None:
        import numpy as np

        return as_value(
            np.broadcast_to(np.eye(base.shape[-1], dtype=base.dtype), base.shape).copy()
        )
    return out
