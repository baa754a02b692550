"""Linear algebra on the last two axes: inverse, solve, factorisations, eigenvalues, determinant.

Invariant: leading axes are batches; symmetric functions read (A + A^T)/2, so their gradients are
symmetric. Rules use the inverse and contractions, never the primitive itself on a tangent, so that
their transposes exist. Where a derivative does not exist (eigenvectors of equal eigenvalues), the
rule says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Jvp, Library, Sample, Text
from slopewise._ops.arithmetic import add, div, mul, neg, sub
from slopewise._ops.contraction import contract
from slopewise._ops.shape import broadcast_to, reshape, sum, transpose
from slopewise.errors import DomainError, GradientError


def swap(x: Any) -> Any:
    """Return the matrices transposed."""
    n = len(x.shape)
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


def product(x: Any, y: Any) -> Any:
    """Return the matrix products of two stacks of matrices of equal batch axes."""
    n = len(x.shape) - 2
    lead = tuple(range(n))
    return contract(x, y, x_axes=(n + 1,), y_axes=(n,), x_batch=lead, y_batch=lead)


def diagonal_part(x: Any) -> Any:
    """Return the diagonals of square matrices."""
    n = x.shape[-1]
    eye = np.broadcast_to(np.eye(n, dtype=x.dtype), x.shape)
    return sum(mul(x, eye), axes=(len(x.shape) - 1,), keepdims=False)


def trace_of_product(x: Any, y: Any) -> Any:
    """Return the traces of matrix products."""
    n = len(x.shape)
    return sum(mul(x, swap(y)), axes=(n - 2, n - 1), keepdims=False)


def as_columns(x: Any, shape: tuple[int, ...]) -> Any:
    """Return vectors as rows that scale the columns of matrices of a shape."""
    return broadcast_to(reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1])), shape=shape)


def masked(x: Any, mask: np.ndarray[Any, Any]) -> Any:
    """Return matrices weighted elementwise by a constant matrix."""
    return mul(x, np.broadcast_to(mask.astype(x.dtype), x.shape))


def _symmetric(a: Any) -> Any:
    return (a + np.swapaxes(a, -1, -2)) * 0.5


def _half(x: Any) -> Any:
    """Return the symmetric part of tangents."""
    return add(x, swap(x)) * 0.5


def _well_conditioned(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape) + 3 * np.eye(shape[-2], shape[-1])


def _spread_symmetric(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.standard_normal(shape) * 0.3 + np.diag(np.arange(1.0, shape[-1] + 1))


def _linalg(
    name: str,
    *,
    value: Callable[..., Any],
    rule: Callable[..., Any],
    abstract: Callable[..., Any],
    samples: Callable[..., Any],
    library: Library,
    text: Text,
) -> Primitive:
    """Return the record of a function of one stack of matrices."""
    record: Primitive = Primitive(
        name,
        value=value,
        derivative=Jvp(rule),
        lowering=library,
        abstract=abstract,
        batch=lambda operands, batched, size: record(operands[0]),
        samples=samples,
        text=text,
    )
    return record


def _square_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((_well_conditioned(rng, 3, 3),)),
        Sample((_well_conditioned(rng, 2, 3, 3),)),
        Sample((_well_conditioned(rng, 1, 1),)),
    ]


def _symmetric_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((_spread_symmetric(rng, 3, 3),)),
        Sample((_spread_symmetric(rng, 2, 3, 3),)),
    ]


_SINGULAR = (
    "a matrix is singular, so it has no inverse. Add a multiple of the identity, or use pinv."
)
_INDEFINITE = "a matrix is not positive definite. Add a small multiple of the identity to it."
_ENDLESS = "the iteration did not converge. Look for elements that are infinite or not a number."


def _told(name: str, reason: str) -> Callable[[], DomainError]:
    return lambda: DomainError(f"{name}: {reason}")


def _vectors(a: Aval) -> Aval:
    return Aval(a.shape[:-1], a.dtype)


# --- inverse and solve -------------------------------------------------------------------------

inv = _linalg(
    "inv",
    value=np.linalg.inv,
    rule=lambda tangents, out, _a: neg(product(product(out, tangents[0]), out)),
    abstract=lambda a: a,
    samples=_square_samples,
    library=Library("getri", _told("inv", _SINGULAR)),
    text=Text("inverse rule", "역행렬의 미분", r"(A^{-1})' = -A^{-1}A'A^{-1}"),
)


def _solve_rule(tangents: Any, out: Any, a: Any, _b: Any) -> Any:
    a_dot, b_dot = tangents
    return product(inv(a), sub(b_dot, product(a_dot, out)))


def _batch_solve(operands: Any, batched: Any, size: int) -> Any:
    a, b = (
        x if m else broadcast_to(x, shape=(size, *x.shape))
        for x, m in zip(operands, batched, strict=True)
    )
    return solve(a, b)


solve = Primitive(
    "solve",
    value=np.linalg.solve,
    derivative=Jvp(_solve_rule, wrt=(0, 1)),
    lowering=Library("gesv", _told("solve", _SINGULAR)),
    abstract=lambda a, b: b,
    batch=_batch_solve,
    samples=lambda rng: [
        Sample((_well_conditioned(rng, 3, 3), rng.standard_normal((3, 2)))),
        Sample((_well_conditioned(rng, 2, 3, 3), rng.standard_normal((2, 3, 1)))),
    ],
    text=Text("linear system rule", "연립방정식의 미분", r"(A^{-1}b)' = A^{-1}(b'-A'x)"),
)


# --- determinant -------------------------------------------------------------------------------


def _adjugate(a: Any) -> Any:
    # Through the SVD, A = U S V: adj A = det(UV) V^T adj(S) U^T, also where A is singular.
    u, s, vh = np.linalg.svd(a)
    n = a.shape[-1]
    others = np.ones_like(s)
    for i in range(n):
        others[..., i] = np.prod(np.delete(s, i, axis=-1), axis=-1)
    sign = np.round(np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    left = np.swapaxes(vh, -1, -2) * others[..., None, :]
    return (sign * np.matmul(left, np.swapaxes(u, -1, -2))).astype(a.dtype)


def _adjugate_rule(tangents: Any, _out: Any, a: Any) -> Any:
    # The adjugate is a polynomial in A; its tangent follows the recursion that computes it, which
    # divides by nothing, so that it holds for singular A too.
    # Source: Faddeev & LeVerrier (Householder 1964, The theory of matrices, section 6.7).
    n = a.shape[-1]
    eye = np.broadcast_to(np.eye(n, dtype=a.dtype), a.shape)
    a_dot = tangents[0]
    m: Any = eye
    m_dot: Any = a_dot * 0.0
    for k in range(1, n):
        am = product(a, m)
        am_dot = add(product(a_dot, m), product(a, m_dot))
        m = sub(am, mul(_spread_scalar(_trace(am), a.shape), eye) * (1.0 / k))
        m_dot = sub(am_dot, mul(_spread_scalar(_trace(am_dot), a.shape), eye) * (1.0 / k))
    return m_dot if n % 2 == 1 else neg(m_dot)


def _trace(x: Any) -> Any:
    return sum(diagonal_part(x), axes=(len(x.shape) - 2,), keepdims=False)


def _spread_scalar(x: Any, shape: tuple[int, ...]) -> Any:
    return broadcast_to(reshape(x, shape=(*x.shape, 1, 1)), shape=shape)


adjugate = _linalg(
    "adjugate",
    value=_adjugate,
    rule=_adjugate_rule,
    abstract=lambda a: a,
    samples=_square_samples,
    library=Library("gesvd", _told("adjugate", _ENDLESS)),
    text=Text("adjugate rule", "수반행렬의 미분", r"(\mathrm{adj}A)'"),
)
det = _linalg(
    "det",
    value=np.linalg.det,
    rule=lambda tangents, _out, a: trace_of_product(adjugate(a), tangents[0]),
    abstract=lambda a: Aval(a.shape[:-2], a.dtype),
    samples=_square_samples,
    library=Library("getrf"),
    text=Text(
        "Jacobi's formula",
        "행렬식의 미분 (야코비 공식)",
        r"(\det A)' = \mathrm{tr}(\mathrm{adj}(A)A')",
    ),
)


def _slogdet_rule(tangents: Any, out: Any, a: Any) -> Any:
    return (out[0] * 0.0, trace_of_product(inv(a), tangents[0]))


slogdet = _linalg(
    "slogdet",
    value=lambda a: tuple(np.linalg.slogdet(a)),
    rule=_slogdet_rule,
    abstract=lambda a: (Aval(a.shape[:-2], a.dtype), Aval(a.shape[:-2], a.dtype)),
    samples=_square_samples,
    library=Library("getrf"),
    text=Text(
        "Jacobi's formula", "행렬식의 미분 (야코비 공식)", r"(\ln|\det A|)' = \mathrm{tr}(A^{-1}A')"
    ),
)


# --- factorisations ----------------------------------------------------------------------------


def _lower_half(n: int) -> np.ndarray[Any, Any]:
    """Return weights that keep the strict lower triangle and half of the diagonal."""
    return np.tri(n) - 0.5 * np.eye(n)


def _cholesky_rule(tangents: Any, out: Any, _a: Any) -> Any:
    # Source: Murray (2016), Differentiation of the Cholesky decomposition, equation 8.
    back = inv(out)
    middle = product(product(back, _half(tangents[0])), swap(back))
    return product(out, masked(middle, _lower_half(out.shape[-1])))


cholesky = _linalg(
    "cholesky",
    value=lambda a: np.linalg.cholesky(_symmetric(a)),
    rule=_cholesky_rule,
    abstract=lambda a: a,
    samples=_symmetric_samples,
    library=Library("potrf", _told("cholesky", _INDEFINITE)),
    text=Text("Cholesky rule", "촐레스키 분해의 미분", r"L' = L\,\Phi(L^{-1}A'L^{-T})"),
)


def _qr_rule(tangents: Any, out: Any, _a: Any) -> Any:
    # Source: Walter & Lehmann (2010), Algorithmic differentiation of linear algebra, section 2.2.
    q, r = out
    n = r.shape[-1]
    scaled = product(tangents[0], inv(r))
    inner = product(swap(q), scaled)
    lower = masked(inner, np.tri(n, k=-1))
    turn = sub(lower, swap(lower))
    q_dot = add(product(q, sub(turn, inner)), scaled)
    return q_dot, product(sub(inner, turn), r)


qr = _linalg(
    "qr",
    value=lambda a: tuple(np.linalg.qr(a)),
    rule=_qr_rule,
    abstract=lambda a: (a, Aval((*a.shape[:-2], a.shape[-1], a.shape[-1]), a.dtype)),
    samples=lambda rng: [
        Sample((_well_conditioned(rng, 3, 3),)),
        Sample((_well_conditioned(rng, 2, 4, 3),)),
    ],
    library=Library("geqrf"),
    text=Text("QR rule", "QR 분해의 미분", r"A' = Q'R+QR'"),
)


def _gaps(levels: Any, *, kind: str) -> Any:
    gaps = levels[..., None, :] - levels[..., :, None]
    n = levels.shape[-1]
    scale = np.max(np.abs(levels), axis=-1, initial=0.0)[..., None, None]
    close = np.abs(gaps) <= 4 * np.finfo(levels.dtype).eps * scale
    if np.any(close & ~np.eye(n, dtype=bool)):
        raise _ambiguous(kind=kind)
    inverse = 1.0 / np.where(gaps == 0, 1.0, gaps)
    return np.where(np.eye(n, dtype=bool), 0.0, inverse).astype(levels.dtype)


def _ambiguous(*, kind: str) -> GradientError:
    return GradientError(
        f"the derivative of {kind} does not exist where two of the {_LEVELS[kind]} are equal:"
        f" the {kind} are not unique there. Use a function of the {_LEVELS[kind]} alone"
        " (eigvalsh, svdvals: sums over equal ones are right), or a function that does not"
        " depend on the choice."
    )


_LEVELS = {"eigenvectors": "eigenvalues", "singular vectors": "singular values"}


def _gaps_rule(tangents: Any, out: Any, levels: Any, *, kind: str) -> Any:
    dot = tangents[0]
    shape = out.shape
    change = sub(as_columns(dot, shape), swap(as_columns(dot, shape)))
    return neg(mul(mul(out, out), change))


inverse_gaps = Primitive(
    "inverse_gaps",
    value=_gaps,
    derivative=Jvp(_gaps_rule),
    lowering=Library("gaps", _ambiguous),
    abstract=lambda levels, *, kind: Aval((*levels.shape, levels.shape[-1]), levels.dtype),
    batch=lambda operands, batched, size, *, kind: inverse_gaps(operands[0], kind=kind),
    samples=lambda rng: [Sample((np.array([1.0, 2.5, 4.0]),), {"kind": "eigenvectors"})],
    text=Text("quotient rule", "몫의 미분법", r"(1/(\lambda_j-\lambda_i))'"),
)


def _eigh_rule(tangents: Any, out: Any, _a: Any) -> Any:
    # Source: Giles (2008), Collected matrix derivative results, section 3.1.
    levels, vectors = out
    inner = product(product(swap(vectors), _half(tangents[0])), vectors)
    turned = mul(inverse_gaps(levels, kind="eigenvectors"), inner)
    return diagonal_part(inner), product(vectors, turned)


eigh = _linalg(
    "eigh",
    value=lambda a: tuple(np.linalg.eigh(_symmetric(a))),
    rule=_eigh_rule,
    abstract=lambda a: (_vectors(a), a),
    samples=_symmetric_samples,
    library=Library("syevd", _told("eigh", _ENDLESS)),
    text=Text("eigenvalue rule", "고윳값의 미분", r"\lambda_i' = v_i^TA'v_i"),
)


def _eigvalsh_rule(tangents: Any, _out: Any, a: Any) -> Any:
    _, vectors = eigh(a)
    return diagonal_part(product(product(swap(vectors), _half(tangents[0])), vectors))


eigvalsh = _linalg(
    "eigvalsh",
    value=lambda a: np.linalg.eigvalsh(_symmetric(a)),
    rule=_eigvalsh_rule,
    abstract=_vectors,
    samples=_symmetric_samples,
    library=Library("syevd", _told("eigvalsh", _ENDLESS)),
    text=Text("eigenvalue rule", "고윳값의 미분", r"\lambda_i' = v_i^TA'v_i"),
)


def _svd_avals(a: Aval) -> tuple[Aval, Aval, Aval]:
    *lead, m, n = a.shape
    k = min(m, n)
    return (
        Aval((*lead, m, k), a.dtype), Aval((*lead, k), a.dtype), Aval((*lead, k, n), a.dtype),
    )  # fmt: skip


def _svd_rule(tangents: Any, out: Any, _a: Any) -> Any:
    # Source: Townsend (2016), Differentiating the singular value decomposition, section 2. With
    # 1/(s_j^2 - s_i^2) = (1/(s_j - s_i)) (1/(s_j + s_i)).
    u, s, vh = out
    a_dot = tangents[0]
    inner = product(product(swap(u), a_dot), swap(vh))
    shape = inner.shape
    columns = as_columns(s, shape)
    rows = swap(columns)
    gaps = inverse_gaps(s, kind="singular vectors")
    eye = np.broadcast_to(np.eye(shape[-1], dtype=s.dtype), shape)
    sums = div(sub(np.ones(shape, s.dtype), eye), add(add(columns, rows), eye))
    factor = mul(gaps, sums)
    left = mul(factor, add(mul(inner, columns), mul(rows, swap(inner))))
    right = mul(factor, add(mul(rows, inner), mul(swap(inner), columns)))
    u_dot, v_dot = product(u, left), product(swap(vh), right)
    tall = product(a_dot, swap(vh))
    u_dot = add(u_dot, div(sub(tall, product(u, inner)), as_columns(s, u_dot.shape)))
    wide = product(swap(a_dot), u)
    v_dot = add(v_dot, div(sub(wide, product(swap(vh), swap(inner))), as_columns(s, v_dot.shape)))
    return u_dot, diagonal_part(inner), swap(v_dot)


svd = _linalg(
    "svd",
    value=lambda a: tuple(np.linalg.svd(a, full_matrices=False)),
    rule=_svd_rule,
    abstract=_svd_avals,
    samples=lambda rng: [
        Sample((_spread_symmetric(rng, 3, 3),)),
        Sample((np.concatenate([_spread_symmetric(rng, 3, 3), rng.standard_normal((1, 3))]),)),
    ],
    library=Library("gesdd", _told("svd", _ENDLESS)),
    text=Text("singular value rule", "특잇값의 미분", r"\sigma_i' = u_i^TA'v_i"),
)


def _svdvals_rule(tangents: Any, _out: Any, a: Any) -> Any:
    u, _, vh = svd(a)
    return diagonal_part(product(product(swap(u), tangents[0]), swap(vh)))


svdvals = _linalg(
    "svdvals",
    value=lambda a: np.linalg.svd(a, compute_uv=False),
    rule=_svdvals_rule,
    abstract=lambda a: _svd_avals(a)[1],
    samples=lambda rng: [Sample((_spread_symmetric(rng, 3, 3),))],
    library=Library("gesdd", _told("svdvals", _ENDLESS)),
    text=Text("singular value rule", "특잇값의 미분", r"\sigma_i' = u_i^TA'v_i"),
)

PRIMITIVES = (
    inv, solve, adjugate, det, slogdet, cholesky, qr, inverse_gaps, eigh, eigvalsh, svd, svdvals,
)  # fmt: skip
