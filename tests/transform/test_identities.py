"""Every named rewrite: it is used where it should be, and changes nothing at special values.

Invariant: the reference is the eager result, bit for bit (also the sign of zero) where the rewrite
says "always" or is exact, to one rounding where it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._compile.program import Executable
from slopewise._core.aval import Aval
from slopewise._core.trace import trace
from slopewise._ops import arithmetic, comparison, contraction, powers, reduction, shape
from slopewise._transform.identities import IDENTITIES

POINTS = np.array(
    [0.0, -0.0, 1.0, -3.5, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1.7e308, -1.7e308, 1e-160]
)
ROW = POINTS.reshape(1, -1)
SQUARE = np.arange(12.0).reshape(3, 4)


def _whole(x: Any) -> Any:
    return shape.slice(x, starts=(0,), stops=x.shape, steps=(1,))


def _negated(x: Any) -> Any:
    return arithmetic.neg(comparison.maximum(x, 0.5))


def _product(x: Any) -> Any:
    axes = {"x_axes": (1,), "y_axes": (1,), "x_batch": (), "y_batch": ()}
    return shape.transpose(contraction.contract(x, x * 2, **axes), axes=(1, 0))


CASES: dict[tuple[str, str], tuple[Callable[[Any], Any], np.ndarray[Any, Any]]] = {
    ("x^n as products", "pow"): (
        lambda x: shape.cat(*(powers.pow(x, n) for n in (1.0, 2.0, 3.0, 4.0)), axis=0),
        POINTS,
    ),
    ("n x^(n-1) as products", "pow_base_slope"): (
        lambda x: shape.cat(*(powers.pow_base_slope(x, n) for n in (2.0, 3.0, 4.0, 5.0)), axis=0),
        POINTS,
    ),
    ("x * 1 = x", "mul"): (lambda x: arithmetic.mul(x, 1.0), POINTS),
    ("x / 1 = x", "div"): (lambda x: arithmetic.div(x, 1.0), POINTS),
    ("x / 2^k = x * 2^-k", "div"): (lambda x: arithmetic.div(x, 8.0), POINTS),
    ("x - 0 = x", "sub"): (lambda x: arithmetic.sub(x, 0.0), POINTS),
    ("x + (-0.0) = x", "add"): (lambda x: arithmetic.add(x, -0.0), POINTS),
    ("-(-x) = x", "neg"): (lambda x: arithmetic.neg(arithmetic.neg(x)), POINTS),
    ("x + (-y) = x - y", "add"): (
        lambda x: arithmetic.add(x, arithmetic.neg(comparison.maximum(x, 0.5))),
        POINTS,
    ),
    ("x - (-y) = x + y", "sub"): (
        lambda x: arithmetic.sub(x, arithmetic.neg(comparison.maximum(x, 0.5))),
        POINTS,
    ),
    ("x + x = 2 x", "add"): (lambda x: arithmetic.add(x, x), POINTS),
    ("c (d x) = (c d) x", "mul"): (
        lambda x: arithmetic.mul(arithmetic.mul(0.3, x), 5.0),
        np.array([0.0, -0.0, 1.0, -3.5, np.inf, -np.inf, np.nan, -1e-300, 1e307, 7e-160]),
    ),
    ("sum of c x = c sum of x", "sum"): (
        lambda x: shape.sum(arithmetic.mul(x, 3.0), axes=(0,), keepdims=False),
        np.stack([POINTS, POINTS[::-1], np.full(12, -0.0)]) * 1e-3,
    ),
    ("guarded c p = c p", "guarded_mul"): (lambda x: arithmetic.guarded_mul(2.0, x), POINTS),
    ("same dtype", "convert"): (lambda x: comparison.convert(x, dtype=x.dtype), POINTS),
    ("same shape", "reshape"): (lambda x: shape.reshape(x, shape=x.shape), POINTS),
    ("reshape of reshape", "reshape"): (
        lambda x: shape.reshape(shape.reshape(x, shape=(3, 4)), shape=(2, 6)),
        POINTS,
    ),
    ("same shape, broadcast", "broadcast_to"): (
        lambda x: shape.broadcast_to(x, shape=x.shape),
        POINTS,
    ),
    ("broadcast of broadcast", "broadcast_to"): (
        lambda x: shape.broadcast_to(shape.broadcast_to(x, shape=(2, 12)), shape=(3, 2, 12)),
        POINTS,
    ),
    ("transpose of transpose", "transpose"): (
        lambda x: shape.transpose(shape.transpose(x, axes=(1, 0)), axes=(1, 0)),
        ROW,
    ),
    ("(x y)^T = y^T x^T", "transpose"): (_product, SQUARE),
    ("slice of everything", "slice"): (_whole, POINTS),
    ("cat of one", "cat"): (lambda x: shape.cat(x, axis=0), POINTS),
    ("reduction of one", "sum"): (lambda x: shape.sum(x, axes=(0,), keepdims=False), ROW),
    ("reduction of one", "max"): (lambda x: reduction.max(x, axes=(0,), keepdims=True), ROW),
    ("reduction of one", "min"): (lambda x: reduction.min(x, axes=(0,), keepdims=False), ROW),
    ("reduction of one", "prod"): (lambda x: reduction.prod(x, axes=(0,), keepdims=False), ROW),
    ("sum of n equal terms = n x", "sum"): (
        lambda x: shape.sum(
            shape.broadcast_to(shape.sum(x, axes=(0,), keepdims=False), shape=(7,)),
            axes=(0,),
            keepdims=False,
        ),
        np.array([0.1, 0.2]),
    ),
    ("known condition", "where"): (lambda x: comparison.where(np.array(True), x, 2.0), POINTS),
    ("alias", "alias"): (comparison.alias, POINTS),
    ("copy", "copy"): (comparison.copy, POINTS),
    ("stop_gradient", "stop_gradient"): (comparison.stop_gradient, POINTS),
}


def test_every_identity_has_a_case() -> None:
    assert {(i.name, i.primitive) for i in IDENTITIES} == set(CASES)
    assert all(i.holds for i in IDENTITIES)


@pytest.mark.parametrize("name", CASES, ids=[f"{n} ({p})" for n, p in CASES])
def test_a_rewrite_changes_nothing(name: tuple[str, str]) -> None:
    function, x = CASES[name]
    graph, _ = trace(function, [Aval(x.shape, x.dtype)])
    executable = Executable(graph, "f")
    assert name[0] in executable.program.table.used
    with np.errstate(all="ignore"):
        expected = np.asarray(function(x))
    (found,) = executable.run([x], [None])
    assert found.shape == expected.shape
    holds = next(i.holds for i in IDENTITIES if (i.name, i.primitive) == name)
    if "rounded" in holds:
        np.testing.assert_allclose(found, expected, rtol=1e-15)
        return
    np.testing.assert_array_equal(found, expected)
    numbers = ~np.isnan(expected) & ((expected != 0) | ("sign" not in holds))
    np.testing.assert_array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: x + 0.0, "-0.0 + 0.0 is 0.0"),
        (lambda x: x * 0.0, "inf * 0.0 is no number, and -1 * 0.0 is -0.0"),
        (lambda x: x - x, "inf - inf is no number"),
        (lambda x: x / x, "0 / 0 is no number"),
        (lambda x: (x * 1e200) / 1e200, "the product overflows"),
        (lambda x: (x + 1e300) - 1e300, "the sum rounds"),
        (lambda x: x / 3.0, "1 / 3 is rounded"),
        (lambda x: (x * 1e-10).sum(), "the sum of x may overflow where this one does not"),
        (lambda x: (-x[:2]).sum(), "-(0.0) is not the sum 0.0"),
    ],
)
def test_what_is_not_the_same_is_kept(function: Callable[[Any], Any], why: str) -> None:
    with np.errstate(all="ignore"):
        expected = function(POINTS)
    found = sw.compile(function)(POINTS)
    np.testing.assert_array_equal(found, expected, err_msg=why)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])
