"""How elementwise records are made: `unary`, `binary` and their kin.

Invariant: operands of an elementwise primitive share a shape (broadcasting is its own primitive;
Python numbers may stand for constants). It is separate because every elementwise family uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slopewise._core.aval import BOOL, Aval
from slopewise._core.graph import Primitive, engine
from slopewise._core.rules import (
    REAL,
    Derivative,
    Domain,
    Partials,
    Pointwise,
    Rule,
    Sample,
    Text,
)


def same_aval(*avals: Any, **_params: Any) -> Aval:
    """Return the common shape and the dtype of the array operands."""
    return next(a for a in avals if isinstance(a, Aval))


def bool_aval(*avals: Any, **_params: Any) -> Aval:
    """Return the common shape, dtype bool."""
    return Aval(same_aval(*avals).shape, BOOL)


def batch_pointwise(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    """Return the batching rule of an elementwise primitive: align the axes, apply it once."""

    def batch(operands: Sequence[Any], batched: Sequence[bool], size: int, **params: Any) -> Any:
        shape = next(x.shape for x, b in zip(operands, batched, strict=True) if b)
        aligned = [
            x if b or not hasattr(x, "shape") else engine.broadcast(x, shape=shape)
            for x, b in zip(operands, batched, strict=True)
        ]
        return primitive()(*aligned, **params)

    return batch


def pointwise(
    name: str,
    *,
    value: Callable[..., Any],
    derivative: Derivative,
    body: Rule,
    domains: Sequence[Domain],
    text: Text,
    abstract: Callable[..., Aval] = same_aval,
    params: Sequence[dict[str, Any]] = ({},),
    smooth: bool = True,
    integers: bool = False,
) -> Primitive:
    """Return the record of an elementwise operation of any number of operands."""

    def samples(rng: np.random.Generator) -> list[Sample]:
        shapes: list[tuple[int, ...]] = [(3, 4), (), (0, 2)]
        made = [
            Sample(tuple(_draw(d, rng, shape, integers) for d in domains), dict(p), smooth)
            for shape in shapes
            for p in params
        ]
        return made

    record: Primitive = Primitive(
        name,
        value=value,
        derivative=derivative,
        lowering=Pointwise(body),
        abstract=abstract,
        batch=batch_pointwise(lambda: record),
        samples=samples,
        text=text,
    )
    return record


def _draw(
    domain: Domain, rng: np.random.Generator, shape: tuple[int, ...], integers: bool
) -> np.ndarray[Any, Any]:
    if domain is TRUTH:
        return rng.random(shape) < 0.5
    x = domain.sample(rng, shape)
    return np.asarray(np.round(x).astype(np.int64) if integers else x)


TRUTH = Domain(0.0, 1.0, (0.5,))


def unary(
    name: str,
    *,
    value: Callable[..., Any],
    partial: Rule,
    body: Rule,
    text: Text,
    domain: Domain = REAL,
    singular: bool = False,
) -> Primitive:
    """Return the record of a differentiable elementwise function of one operand."""
    return pointwise(
        name,
        value=value,
        derivative=Partials((partial,), singular),
        body=body,
        domains=(domain,),
        text=text,
    )


def binary(
    name: str,
    *,
    value: Callable[..., Any],
    partials: tuple[Rule | None, Rule | None],
    body: Rule,
    text: Text,
    domains: tuple[Domain, Domain] = (REAL, REAL),
    singular: bool = False,
    smooth: bool = True,
) -> Primitive:
    """Return the record of a differentiable elementwise function of two operands."""
    return pointwise(
        name,
        value=value,
        derivative=Partials(partials, singular),
        body=body,
        domains=domains,
        text=text,
        smooth=smooth,
    )
