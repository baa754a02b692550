"""Origins: what a result of a closed list of operations remembers of how it was made.

Invariant: an origin is shallow and valid only while its operands are unchanged and not visible
outside. It is kept without gradient recording too, so that log(softmax(x)) is recognised there as
well. It is separate from the graph: an origin is no edge, and no gradient flows along it.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any

from slopewise._core.value import Value, new_value


class Origin:
    """How a remembered result was made; valid while its operands are unchanged.

    Operands are kept without origins of their own beyond what a recogniser looks at, so that a long
    chain of heads does not keep itself alive.
    """

    def __init__(self, primitive: Any, operands: tuple[Any, ...], params: dict[str, Any]) -> None:
        self.primitive = primitive
        self.operands = tuple(_shallow(x) if isinstance(x, Value) else x for x in operands)
        self.depth = 1 + max(
            (x._origin[0].depth for x in self.operands if isinstance(x, Value) and x._origin),
            default=0,
        )
        self.params = params
        self.versions = tuple(x._storage.version if isinstance(x, Value) else 0 for x in operands)

    def valid(self) -> bool:
        return all(
            not isinstance(x, Value) or (x._storage.version == v and not x._storage.exported)
            for x, v in zip(self.operands, self.versions, strict=True)
        )


_DEPTH = 4


def _shallow(x: Value) -> Value:
    """Return `x`, or a copy of it without its origin, if that is as deep as a recogniser looks."""
    if x._origin is None or x._origin[0].depth < _DEPTH:
        return x
    stripped = new_value(x._value, x._edge, x._requires_grad)
    stripped._storage = x._storage
    stripped._born = x._born
    return stripped


def origin_of(x: Any) -> Origin | None:
    """Return how `x` was made, if that is remembered and nothing was changed since."""
    if not isinstance(x, Value) or x._origin is None:
        return None
    origin, version = x._origin
    if x._storage.version != version or x._storage.exported or not origin.valid():
        return None
    return origin
