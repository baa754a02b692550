"""The same code under both names: values, shapes, dtypes and gradients against PyTorch.

Invariant: each expression takes the module and tensors and is run twice, in float64; nothing here
knows how Slopewise computes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

RNG = np.random.default_rng(7)
A = RNG.standard_normal((3, 4))
B = RNG.standard_normal((3, 4)) + 0.1
P = RNG.random((3, 4)) + 0.5
V = RNG.standard_normal(4)
S = RNG.standard_normal((4, 4))
SPD = S @ S.T + 4 * np.eye(4)
T3 = RNG.standard_normal((2, 3, 4))
IMG = RNG.standard_normal((2, 3, 6, 5))
KER = RNG.standard_normal((4, 3, 3, 2))
I = np.array([[0, 2, 1, 0], [1, 1, 0, 2], [2, 0, 2, 1]])

Expression = tuple[str, Callable[..., Any], tuple[np.ndarray[Any, Any], ...]]
EXPRESSIONS: list[Expression] = [
    ("arithmetic", lambda m, x, y: (x + 2 * y - 3) * (y / 2) - x / (y * y + 1), (A, B)),
    ("reflected", lambda m, x: 2 - x + 3 / (x + 5) + 2**x + (-x), (A,)),
    ("powers", lambda m, x: x**2 + x**3 + x**-1 + (x + 5) ** 0.5 + (x + 5) ** 1.5, (P,)),
    ("floor division and remainder", lambda m, x, y: (x.detach() // y.detach()) * x + x % y, (A, P)),
    ("broadcasting", lambda m, x, v: x * v + x[:, :1] - v, (A, V)),
    ("exp family", lambda m, x: m.exp(x) + m.expm1(x) + m.exp2(x), (A,)),
    ("log family", lambda m, x: m.log(x) + m.log2(x) + m.log10(x) + m.log1p(x), (P,)),
    ("trigonometry", lambda m, x: m.sin(x) * m.cos(x) + m.tan(x) + m.atan(x), (A,)),
    ("inverse", lambda m, x: m.asin(x / 3) + m.acos(x / 3) + m.atan2(x, x * x + 1), (np.tanh(A),)),
    ("hyperbolic", lambda m, x: m.sinh(x) + m.cosh(x) + m.tanh(x) + m.asinh(x), (A,)),
    ("sigmoid family", lambda m, x: m.sigmoid(x) + m.relu(x) + m.nn.functional.softplus(x), (A,)),
    ("special", lambda m, x: m.erf(x) + m.erfc(x) + m.lgamma(x) + m.digamma(x), (P,)),
    ("binary", lambda m, x, y: m.maximum(x, y) + m.minimum(x, y) + m.hypot(x, y) + m.logaddexp(x, y), (A, B)),
    ("xlogy", lambda m, x, y: m.xlogy(x, y), (A, P)),
    ("lerp clamp", lambda m, x, y: m.lerp(x, y, 0.3) + m.clamp(x, -0.5, 0.5) + x.clamp(min=0.1), (A, B)),
    ("where", lambda m, x, y: m.where(x > 0, x * y, y), (A, B)),
    ("rounding", lambda m, x: m.floor(x) + m.ceil(x) + m.round(x) + m.trunc(x) + m.sign(x) * x, (A,)),
    ("sum mean", lambda m, x: x.sum(0) + x.mean(dim=0) + x.sum() + x.mean(1, keepdim=True).sum(), (A,)),
    ("var std", lambda m, x: x.var() + x.var(0).sum() + x.std(1).sum() + x.var(1, unbiased=False).sum(), (A,)),
    ("prod", lambda m, x: x.prod() + x.prod(1).sum(), (A,)),
    ("extrema", lambda m, x: x.max() + x.min() + x.amax(1).sum() + x.max(dim=1).values.sum() + x.min(0)[0].sum(), (A,)),
    ("softmax", lambda m, x: m.softmax(x, 1) * m.log_softmax(x, dim=0) + m.logsumexp(x, 1, keepdim=True), (A,)),
    ("norms", lambda m, x: m.norm(x) + x.norm(dim=1).sum() + x.norm(p=1) + x.norm(p=3) + m.linalg.vector_norm(x, float("inf")), (A,)),
    ("running", lambda m, x: m.cumsum(x, 1) + m.cumprod(x, 0), (A,)),
    ("reshapes", lambda m, x: x.reshape(4, 3).view(2, 6).flatten().unflatten(0, (3, 4)) * x, (A,)),
    ("permutes", lambda m, x: x.permute(2, 0, 1).transpose(0, 1).movedim(0, 2).swapaxes(0, 1) ** 2, (T3,)),
    ("squeezes", lambda m, x: x.unsqueeze(1).expand(3, 5, 4).sum(1) + x.unsqueeze(-1).squeeze(-1), (A,)),
    ("joins", lambda m, x, y: m.cat([x, y], 1).sum(1) + m.stack([x, y], 0).sum(0).sum(1), (A, B)),
    ("splits", lambda m, x: x.split(2, 1)[1] * x.chunk(2, dim=1)[0] + m.unbind(x, 1)[3].unsqueeze(1), (A,)),
    ("moves", lambda m, x: m.flip(x, (0, 1)) + m.roll(x, 1, 0) + m.roll(x, (1, -2), (0, 1)) + x.roll(5), (A,)),
    ("repeats", lambda m, x: m.tile(x, (2, 1)).sum(0) + x.repeat(2, 3, 1).sum((0, 1)) + x.repeat_interleave(2, 0).sum(0), (A,)),
    ("pads", lambda m, x: m.nn.functional.pad(x, (1, 2, 0, 1), value=3.0) ** 2, (A,)),
    ("reflect pad", lambda m, x: m.nn.functional.pad(x, (2, 1), mode="reflect") ** 2, (A,)),
    ("triangles", lambda m, x: m.tril(x) + m.triu(x, 1) * 2 + m.diagonal(x).sum() + m.diag(x.diagonal(1)).sum(), (S,)),
    ("basic index", lambda m, x: x[1] + x[0, ::2].sum() + x[..., -1].sum() + x[:, None, 1:3].sum(), (A,)),
    ("advanced index", lambda m, x: x[[0, 2, 2]] * x[:, [1, 1, 0, 3]] + x[m.tensor([0, 1, 2]), m.tensor([3, 2, 1])].unsqueeze(1), (A,)),
    ("mask index", lambda m, x: x[x > 0] ** 2, (A,)),
    ("gather", lambda m, x: m.gather(x, 0, m.tensor(I)) * x + m.take_along_dim(x, m.tensor(I % 3), 1), (A,)),
    ("scatter", lambda m, x, y: x.scatter_add(0, m.tensor(I), y) + x.scatter(0, m.tensor(I * 0 + [[0], [1], [2]]), y), (A, B)),
    ("index add", lambda m, x, y: x.index_add(0, m.tensor([0, 0, 2]), y) + x.index_select(0, m.tensor([2, 1, 1])), (A, B)),
    ("masked", lambda m, x: x.masked_fill(x > 0.5, 7.0) + m.masked_select(x, x < 0).sum(), (A,)),
    ("sort", lambda m, x: m.sort(x, dim=1).values * m.sort(x, 0, descending=True)[0] + m.topk(x, 2, 1).values.sum(), (A,)),
    ("matmul", lambda m, x, y: x @ y.T + m.mm(x, y.t()), (A, B)),
    ("vectors", lambda m, x, v: (x @ v).sum() + m.dot(v, v) + m.outer(v, v).sum() + (v @ x.T).sum(), (A, V)),
    ("batched", lambda m, x, y: m.matmul(x, y.T) + m.bmm(x, x.transpose(1, 2)), (T3, A)),
    ("einsum", lambda m, x, y: m.einsum("bij,kj->bik", x, y) + m.einsum("bij,bkj->bik", x, x).sum() + m.einsum("bij->i", x).sum(), (T3, A)),
    ("einsum diagonal", lambda m, x: m.einsum("ii->i", x) + m.einsum("ij,jk,kl->il", x, x, x).sum(), (S,)),
    ("einsum ellipsis", lambda m, x: m.einsum("...ij,...kj->...ik", x, x), (T3,)),
    ("tensordot", lambda m, x, y: m.tensordot(x, y, dims=([2], [1])) + m.tensordot(x, y.T, 1).sum(), (T3, A)),
    ("linalg", lambda m, x: m.linalg.inv(x) + m.linalg.det(x) + m.linalg.slogdet(x)[1] + m.trace(x), (SPD,)),
    ("solve", lambda m, x, v: m.linalg.solve(x, v) + m.linalg.solve(x, x[:, :2]).sum(), (SPD, V)),
    ("cholesky", lambda m, x: m.linalg.cholesky(x @ x.T + m.eye(4, dtype=x.dtype)), (S,)),
    ("qr", lambda m, x: abs(m.linalg.qr(x)[1]), (S,)),
    ("eigh", lambda m, x: m.linalg.eigh(x + x.T).eigenvalues + (m.linalg.eigh(x + x.T)[1] ** 2)[0], (S,)),
    ("svd", lambda m, x: m.linalg.svd(x, full_matrices=False)[1] + m.linalg.svdvals(x) + (m.linalg.svd(x, full_matrices=False)[0] ** 2)[0], (S,)),
    ("matrix norms", lambda m, x: m.linalg.matrix_norm(x) + m.linalg.matrix_norm(x, "nuc") + m.linalg.matrix_norm(x, 2) + m.linalg.matrix_norm(x, 1), (S,)),
    ("pseudo-inverse", lambda m, x: m.linalg.pinv(x) + m.linalg.matrix_power(x, 3).sum() + m.linalg.matrix_power(x, -2).sum(), (S + 3 * np.eye(4),)),
    ("logdet", lambda m, x: m.logdet(x) * x, (SPD,)),
    ("index fill", lambda m, x: x.index_fill(0, m.tensor([0, 2]), 7.0) * x, (A,)),
    ("meshgrid", lambda m, x: sum(g * (i + 1) for i, g in enumerate(m.meshgrid(x, x[:2], indexing="xy"))), (V,)),
    ("with means", lambda m, x: m.var_mean(x, 0)[0] + m.var_mean(x, 0)[1] * m.std_mean(x, 0)[0] + m.std_mean(x, 0)[1], (A,)),
    ("cdist", lambda m, x, y: m.cdist(x, y) + m.cdist(x, y, p=1.0), (A, B)),
    ("conv2d", lambda m, x, w: m.nn.functional.conv2d(x, w, stride=2, padding=1), (IMG, KER)),
    ("conv2d dilated", lambda m, x, w: m.nn.functional.conv2d(x, w, dilation=2, padding=(2, 1)), (IMG, KER)),
    ("grouped conv2d", lambda m, x, w: m.nn.functional.conv2d(x, w, groups=3), (IMG, KER[:3, :1])),
    ("conv1d", lambda m, x, w: m.nn.functional.conv1d(x, w, padding="same"), (IMG[:, :, 0], KER[:, :, :, 0])),
    ("pools", lambda m, x: m.nn.functional.max_pool2d(x, 2) + m.nn.functional.avg_pool2d(x, 2), (IMG,)),
    ("padded pools", lambda m, x: m.nn.functional.max_pool2d(x, 3, 2, 1) + m.nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (IMG,)),
    ("adaptive pool", lambda m, x: m.nn.functional.adaptive_avg_pool2d(x, (4, 2)), (IMG,)),
]  # fmt: skip


def run(module: Any, function: Any, arrays: Any) -> tuple[Any, list[Any]]:
    tensors = [module.tensor(a, requires_grad=True) for a in arrays]
    out = function(module, *tensors)
    weights = np.random.default_rng(11).standard_normal(tuple(out.shape))
    (out * module.tensor(weights)).sum().backward()
    return out.detach().numpy(), [t.grad.numpy() for t in tensors]


@pytest.mark.parametrize(
    ("name", "function", "arrays"), EXPRESSIONS, ids=[e[0] for e in EXPRESSIONS]
)
def test_values_and_gradients(name: str, function: Any, arrays: Any) -> None:
    ours, our_grads = run(sw, function, arrays)
    theirs, their_grads = run(torch, function, arrays)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)
    for a, b in zip(our_grads, their_grads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)


DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]


def make(module: Any, name: str, shape: tuple[int, ...]) -> Any:
    return module.ones(shape, dtype=getattr(module, name))


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("second", DTYPES)
def test_promotion(first: str, second: str) -> None:
    for a_shape, b_shape in (((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())):
        for name in ("mul", "true_divide", "eq", "maximum"):
            ours = getattr(sw, name)(make(sw, first, a_shape), make(sw, second, b_shape))
            theirs = getattr(torch, name)(make(torch, first, a_shape), make(torch, second, b_shape))
            assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch."), (
                name,
                a_shape,
                b_shape,
            )


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("number", [True, 2, 2.5])
def test_promotion_with_numbers(first: str, number: Any) -> None:
    for shape in ((2,), ()):
        ours, theirs = make(sw, first, shape) * number, make(torch, first, shape) * number
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")


@pytest.mark.parametrize(
    "data",
    [
        1.0, 0.1, [1.0, 2.0], [0.1, 100.0, 1e-3], [1e-8, 1.0], [1e9, 1.0], [True, False], [1, -200],
        [[1.5, 2.0], [3.0, 4.0]], [], [float("nan"), 1.0], [float("inf"), -1.5], list(range(30)),
        [[[1.0, 2.0]], [[3.0, 4.0]]], [123456.0, 0.5], [1e10], [0.0], [1234567.0, 1.0],
    ],
)  # fmt: skip
def test_text(data: Any) -> None:
    assert repr(sw.tensor(data)) == repr(torch.tensor(data))


def test_text_of_large_tensors() -> None:
    for shape in ((2000,), (50, 50), (20, 3, 40)):
        assert repr(sw.ones(shape)) == repr(torch.ones(shape))
    x = np.linspace(-3, 3, 24).reshape(4, 6)
    assert repr(sw.tensor(x.astype(np.float32))) == repr(torch.tensor(x.astype(np.float32)))
    assert repr(sw.tensor(2.0, requires_grad=True)) == repr(torch.tensor(2.0, requires_grad=True))


def test_dlpack_both_ways() -> None:
    t = torch.arange(3.0)
    x = sw.from_dlpack(t)
    t[0] = 5
    assert x.tolist() == [5, 1, 2]
    back = torch.from_dlpack(sw.tensor([1.0, 2.0]))
    assert back.tolist() == [1, 2]
