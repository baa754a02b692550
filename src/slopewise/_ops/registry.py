"""The whole table: every primitive by name, and the one call that connects it to the engine.

Invariant: families list their own primitives in PRIMITIVES; nothing registers by being imported.
"""

from __future__ import annotations

from slopewise._core.graph import Primitive, engine
from slopewise._ops import (
    arithmetic,
    comparison,
    contraction,
    control,
    exponential,
    indexing,
    likelihood,
    linalg,
    powers,
    random,
    reduction,
    shape,
    special,
    trigonometric,
    windows,
)  # fmt: skip

FAMILIES = (
    comparison, arithmetic, exponential, powers, trigonometric, special, shape, reduction,
    contraction, indexing, random, linalg, windows,
    likelihood, control,
)  # fmt: skip


def collect() -> dict[str, Primitive]:
    """Return the table of all primitives by name.

    Raises
    ------
    ValueError
        If two primitives share a name.
    """
    table: dict[str, Primitive] = {}
    for family in FAMILIES:
        for primitive in family.PRIMITIVES:
            if primitive.name in table:
                raise ValueError(f"two primitives are called {primitive.name!r}")
            table[primitive.name] = primitive
    return table


def install() -> None:
    """Give the engine the primitives that recording needs."""
    engine.broadcast = shape.broadcast_to
    engine.stop = comparison.stop_gradient
    engine.alias = comparison.alias
    engine.convert = comparison.convert
    engine.add = arithmetic.add
