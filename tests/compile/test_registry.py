"""Every primitive of the table, compiled, against its NumPy value.

Invariant: the reference is the record's value alone. Both dtypes, special values for elementwise
primitives, and once more with every load and store checked against its buffer.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from slopewise._compile import reading
from slopewise._compile.program import Executable
from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive
from slopewise._core.rules import Higher, Pointwise, Sample
from slopewise._core.trace import trace
from slopewise._ops import shape
from slopewise._ops.registry import collect
from slopewise._transform import simplify
from slopewise.errors import IndexRangeError

TABLE = {n: p for n, p in collect().items() if not isinstance(p.derivative, Higher)}
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1e308, -3.7, 0.3, 1e-40]


def rng_for(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


CASES = [
    pytest.param(primitive, sample, id=f"{name}-{k}")
    for name, primitive in TABLE.items()
    for k, sample in enumerate(primitive.samples(rng_for(name)))
]
ELEMENTWISE = [
    pytest.param(p, next(iter(p.samples(rng_for(n)))), id=n)
    for n, p in TABLE.items()
    if isinstance(p.lowering, Pointwise)
]


def run_compiled(
    primitive: Primitive, operands: list[Any], params: dict[str, Any], checked: bool = False
) -> list[Any]:
    """Return the outputs of a primitive as compiled code."""
    avals = [Aval(x.shape, x.dtype) for x in operands]
    graph, _ = trace(lambda *xs: primitive(*xs, **params), avals)
    executable = Executable(graph, primitive.name, checked=checked)
    return executable.run(operands, [None] * len(executable.outputs))


def settle(sample: Sample, dtype: Any) -> list[Any]:
    return [
        np.asarray(x, dtype) if np.asarray(x).dtype.kind == "f" else np.asarray(x)
        for x in sample.operands
    ]


def values(primitive: Primitive, operands: list[Any], params: dict[str, Any]) -> list[Any]:
    with np.errstate(all="ignore"):
        out = primitive.value(*operands, **params)
    return [np.asarray(o) for o in (out if isinstance(out, tuple) else (out,))]


def compare(primitive: Primitive, sample: Sample, dtype: Any, checked: bool) -> None:
    operands = settle(sample, dtype)
    expected = values(primitive, operands, sample.params)
    found = run_compiled(primitive, operands, sample.params, checked)
    tolerance = 1e-12 if dtype == np.float64 else 4e-6
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("primitive", "sample"), CASES)
def test_compiled_is_the_value(primitive: Primitive, sample: Sample, dtype: Any) -> None:
    compare(primitive, sample, dtype, checked=False)


@pytest.mark.parametrize(("primitive", "sample"), CASES)
def test_no_access_leaves_its_buffer(primitive: Primitive, sample: Sample) -> None:
    compare(primitive, sample, np.float64, checked=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("primitive", "sample"), ELEMENTWISE)
def test_special_values(primitive: Primitive, sample: Sample, dtype: Any) -> None:
    floats = [i for i, x in enumerate(sample.operands) if np.asarray(x).dtype.kind == "f"]
    if not floats or primitive.name == "convert":
        return
    with np.errstate(over="ignore"):
        points = np.asarray(SPECIAL).astype(dtype)
    grids = np.meshgrid(*[points] * len(floats), indexing="ij")
    size = grids[0].size
    columns = iter(np.ascontiguousarray(g.reshape(-1)) for g in grids)
    operands = [
        next(columns) if i in floats else np.resize(np.asarray(x), size)
        for i, x in enumerate(sample.operands)
    ]
    expected = values(primitive, operands, sample.params)[0]
    found = run_compiled(primitive, operands, sample.params)[0]
    tolerance = 4e-15 if dtype == np.float64 else 2e-6
    tiny = 1e-322 if dtype == np.float64 else 5e-45
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tiny)


@pytest.mark.parametrize("masked", [False, True])
def test_the_debug_mode_sees_an_access_that_leaves(
    masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_too_far(reader: Any, expression: Any, indices: Any) -> Any:
        return reader.read(expression.operands[0], tuple(i.shift(3) for i in indices))

    monkeypatch.setitem(reading.VIEWS, "slice", read_too_far)
    x = np.arange(8.0)

    def function(v: Any) -> Any:
        part = (
            shape.slice(v, starts=(0,), stops=(8,), steps=(1,))
            if not masked
            else shape.slice(v, starts=(0,), stops=(7,), steps=(1,))
        )
        return shape.embed(part, shape=(12,), starts=(2,), steps=(1,)) if masked else part

    monkeypatch.setattr(simplify, "_BY_PRIMITIVE", {})
    graph, _ = trace(function, [Aval(x.shape, x.dtype)])
    executable = Executable(graph, "f", checked=True)
    with pytest.raises(IndexRangeError):
        executable.run([x], [None])
