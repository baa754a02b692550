"""The one registry test: every primitive of the table through every reader.

Invariant: the references are values alone: finite differences, loops over examples, NumPy. No rule
is restated here, and a primitive without sample operands fails.
"""

from __future__ import annotations

import importlib.util
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._core.aval import Aval
from slopewise._core.graph import Primitive, bind
from slopewise._core.rules import Generate, Higher, Pointwise, Sample, Zero
from slopewise._core.value import Value, new_value
from slopewise._ops.registry import collect

TABLE = collect()
_spec = importlib.util.spec_from_file_location(
    "numpy_builder", Path(__file__).with_name("numpy_builder.py")
)
assert _spec is not None and _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
BUILDER = _module.NumpyBuilder()


def rng_for(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def cases() -> list[Any]:
    found = []
    for name, primitive in TABLE.items():
        for k, sample in enumerate(primitive.samples(rng_for(name))):
            found.append(pytest.param(primitive, sample, id=f"{name}-{k}"))
    return found


CASES = cases()
SMOOTH = [c for c in CASES if type(c.values[0].derivative) not in (Zero, Higher)]


def as_tuple(out: Any) -> tuple[Any, ...]:
    return out if isinstance(out, tuple) else (out,)


def value_of(primitive: Primitive, operands: Any, params: dict[str, Any]) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):
        return tuple(np.asarray(o) for o in as_tuple(primitive.value(*operands, **params)))


def float_places(sample: Sample) -> list[int]:
    return [i for i, x in enumerate(sample.operands) if np.asarray(x).dtype.kind == "f"]


def apply_to(primitive: Primitive, sample: Sample) -> Any:
    """Return the primitive as a function of its float operands."""
    places = float_places(sample)

    def function(*floats: Any) -> tuple[Any, ...]:
        full = list(sample.operands)
        for i, x in zip(places, floats, strict=True):
            full[i] = x
        return as_tuple(primitive(*full, **sample.params))

    return function


def directions(primitive: Primitive, sample: Sample, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(np.shape(sample.operands[i])) for i in float_places(sample)]


@pytest.mark.parametrize("primitive", [pytest.param(p, id=n) for n, p in TABLE.items()])
def test_record_is_complete(primitive: Primitive) -> None:
    text = primitive.text
    assert text.en and text.latex
    assert any("가" <= c <= "힣" for c in text.ko), "the rule has no Korean name"
    if not isinstance(primitive.derivative, Higher):
        assert list(primitive.samples(rng_for(primitive.name))), "no sample operands"


@pytest.mark.parametrize(("primitive", "sample"), CASES)
def test_abstract_is_the_shape_of_the_value(primitive: Primitive, sample: Sample) -> None:
    for dtype in (np.float64, np.float32):
        operands = [
            np.asarray(x, dtype) if np.asarray(x).dtype.kind == "f" else x for x in sample.operands
        ]
        outs = value_of(primitive, operands, sample.params)
        avals = [Aval(np.shape(x), np.asarray(x).dtype) for x in operands]
        stated = as_tuple(primitive.abstract(*avals, **sample.params))
        assert [(a.shape, a.dtype) for a in stated] == [(o.shape, o.dtype) for o in outs]


@pytest.mark.parametrize(("primitive", "sample"), CASES)
def test_float32_is_float64_rounded(primitive: Primitive, sample: Sample) -> None:
    if isinstance(primitive.lowering, Generate) or not float_places(sample):
        return
    operands = [
        np.asarray(x, np.float32) if np.asarray(x).dtype.kind == "f" else x for x in sample.operands
    ]
    wide = [x.astype(np.float64) if np.asarray(x).dtype.kind == "f" else x for x in operands]
    for low, high in zip(
        value_of(primitive, operands, sample.params),
        value_of(primitive, wide, sample.params),
        strict=True,
    ):
        np.testing.assert_allclose(low, high, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("primitive", "sample"), CASES)
def test_body_is_the_value(primitive: Primitive, sample: Sample) -> None:
    if not isinstance(primitive.lowering, Pointwise):
        return
    (expected,) = value_of(primitive, sample.operands, sample.params)
    with np.errstate(all="ignore"):
        found = primitive.lowering.body(BUILDER, *sample.operands, **sample.params)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("primitive", "sample"), SMOOTH)
def test_forward_mode_is_the_slope_of_the_value(primitive: Primitive, sample: Sample) -> None:
    function = apply_to(primitive, sample)
    floats = [np.asarray(sample.operands[i]) for i in float_places(sample)]
    dots = directions(primitive, sample, 1)
    step = 1e-6
    ahead = function(*(x + step * d for x, d in zip(floats, dots, strict=True)))
    behind = function(*(x - step * d for x, d in zip(floats, dots, strict=True)))
    _, tangents = sw.jvp(lambda *xs: function(*xs), floats, dots)
    for a, b, tangent in zip(ahead, behind, tangents, strict=True):
        if np.asarray(a).dtype.kind == "f":
            slope = (np.asarray(a) - np.asarray(b)) / (2 * step)
            np.testing.assert_allclose(tangent.detach().numpy(), slope, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("primitive", "sample"), SMOOTH)
def test_reverse_mode_is_the_transpose_of_forward_mode(
    primitive: Primitive, sample: Sample
) -> None:
    function = apply_to(primitive, sample)
    floats = [np.asarray(sample.operands[i]) for i in float_places(sample)]
    dots = directions(primitive, sample, 2)
    outs, tangents = sw.jvp(lambda *xs: function(*xs), floats, dots)
    rng = np.random.default_rng(3)
    kept = [i for i, o in enumerate(outs) if o.dtype.kind == "f"]
    bars = tuple(sw.tensor(rng.standard_normal(outs[i].shape)) for i in kept)
    _, pull = sw.vjp(lambda *xs: tuple(function(*xs)[i] for i in kept), *floats)
    pulled = pull(bars)
    forward = sum(float((b * tangents[i]).sum()) for b, i in zip(bars, kept, strict=True))
    backward = sum(float((p * d).sum()) for p, d in zip(pulled, dots, strict=True))
    assert forward == pytest.approx(backward, rel=1e-9, abs=1e-10)
    # The quick walk over plain arrays gives the same numbers as the recorded one.
    leaves = [new_value(x.copy(), None, True) for x in floats]
    results = [function(*leaves)[i] for i in kept]
    live = [(r, b) for r, b in zip(results, bars, strict=True) if r.requires_grad]
    if live:
        sw.autograd.backward([r for r, _ in live], [b for _, b in live], retain_graph=True)
        for leaf, p in zip(leaves, pulled, strict=True):
            if leaf.grad is not None:
                np.testing.assert_allclose(
                    leaf.grad.numpy(), p.detach().numpy(), rtol=1e-10, atol=1e-12
                )


@pytest.mark.parametrize(("primitive", "sample"), [c for c in SMOOTH if c.values[1].smooth])
def test_second_order_is_the_slope_of_the_gradient(primitive: Primitive, sample: Sample) -> None:
    function = apply_to(primitive, sample)
    floats = [np.asarray(sample.operands[i]) for i in float_places(sample)]
    dots = directions(primitive, sample, 4)
    rng = np.random.default_rng(5)
    weights = [
        rng.standard_normal(np.shape(o)) if np.asarray(o).dtype.kind == "f" else None
        for o in function(*floats)
    ]

    def total(*xs: Any) -> Any:
        parts = [
            (sw.square(o) * w).sum()
            for o, w in zip(function(*xs), weights, strict=True)
            if w is not None
        ]
        out = parts[0]
        for part in parts[1:]:
            out = out + part
        return out

    gradient = sw.grad(total, tuple(range(len(floats))))
    step = 1e-6
    ahead = gradient(*(x + step * d for x, d in zip(floats, dots, strict=True)))
    behind = gradient(*(x - step * d for x, d in zip(floats, dots, strict=True)))
    _, forward = sw.jvp(lambda *xs: gradient(*xs), floats, dots)
    reverse = sw.grad(
        lambda *xs: sum(
            ((g * sw.tensor(d)).sum() for g, d in zip(gradient(*xs), dots, strict=True)),
            sw.tensor(0.0, dtype=sw.float64),
        ),
        tuple(range(len(floats))),
    )(*floats)
    for a, b, f, r in zip(ahead, behind, forward, reverse, strict=True):
        slope = (a.detach().numpy() - b.detach().numpy()) / (2 * step)
        np.testing.assert_allclose(f.detach().numpy(), slope, rtol=5e-5, atol=5e-6)
        np.testing.assert_allclose(r.detach().numpy(), f.detach().numpy(), rtol=1e-8, atol=1e-9)


def pairs() -> list[Any]:
    return [
        c
        for c in SMOOTH
        if isinstance(c.values[0].lowering, Pointwise)
        and len(c.values[1].operands) == 2
        and np.shape(c.values[1].operands[0]) == (3, 4)
    ]


@pytest.mark.parametrize(("primitive", "sample"), pairs())
def test_broadcast_operands(primitive: Primitive, sample: Sample) -> None:
    """Operands that NumPy broadcasts get the gradients of operands broadcast by hand, summed."""
    x, y = (np.asarray(o) for o in sample.operands)
    for a, b in ((x[:, :1], y), (x, y[0]), (x[:1, :1], y), (x[:, :1], y[:1]), (x, y[0, 0])):
        leaves = [new_value(a.copy(), None, True), new_value(np.array(b), None, True)]
        bind(primitive, tuple(leaves), sample.params).sum().backward()
        full = [new_value(np.broadcast_to(v, x.shape).copy(), None, True) for v in (a, b)]
        bind(primitive, tuple(full), sample.params).sum().backward()
        for small, large in zip(leaves, full, strict=True):
            if large.grad is None:
                assert small.grad is None
                continue
            expected = large.grad.numpy()
            extra = expected.ndim - small.ndim
            axes = tuple(range(extra)) + tuple(
                i + extra for i, n in enumerate(small.shape) if n == 1
            )
            expected = expected.sum(axis=axes).reshape(small.shape)
            np.testing.assert_allclose(small.grad.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("primitive", "sample"), CASES)
def test_batching_is_a_loop(primitive: Primitive, sample: Sample) -> None:
    if isinstance(primitive.lowering, Generate):
        return
    n = len(sample.operands)
    rng = rng_for(primitive.name)
    patterns = {tuple(i == k for i in range(n)) for k in range(n)} | {(True,) * n}
    for pattern in sorted(patterns):
        rows: list[list[Any]] = [[], []]
        stacked: list[Any] = []
        for x, mapped in zip(sample.operands, pattern, strict=True):
            array = np.asarray(x)
            if not mapped:
                stacked.append(array)
                for row in rows:
                    row.append(array)
                continue
            second = array[::-1].copy() if array.dtype.kind != "f" and array.ndim else array.copy()
            if array.dtype.kind == "f":
                second = array * (1 + 0.05 * rng.random(array.shape))
            stacked.append(np.stack([array, second]))
            rows[0].append(array)
            rows[1].append(second)
        values = [new_value(x, None, False) for x in stacked]
        dims = tuple(0 if m else None for m in pattern)
        batched = sw.vmap(lambda *xs: bind(primitive, xs, sample.params), dims)(*values)
        looped = [value_of(primitive, row, sample.params) for row in rows]
        for k, out in enumerate(as_tuple(batched)):
            expected = np.stack([row[k] for row in looped])
            assert isinstance(out, Value)
            np.testing.assert_allclose(out.numpy(), expected, rtol=1e-10, atol=1e-12)
