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
    chain of heads does not keep itself alive. `square` marks squares, which only a sum carries on
    (sqrt(x*x + y*y)), and sums of them, so that a mean of squares remembers nothing.
    """

    __slots__ = ("depth", "operands", "params", "primitive", "square", "versions")

    def __init__(self, primitive: Any, operands: tuple[Any, ...], params: dict[str, Any]) -> None:
        depth, square = 0, primitive.is_square
        kept: list[Any] = []
        versions: list[int] = []
        for x in operands:
            version = 0
            if isinstance(x, Value):
                version = x._storage.version
                if x._origin is not None:
                    origin = x._origin[0]
                    if origin.depth < _DEPTH:
                        depth = max(depth, origin.depth)
                        square = square or (primitive.is_sum and origin.square)
                    else:
                        x = _strip(x)
            kept.append(x)
            versions.append(version)
        self.primitive = primitive
        self.operands = tuple(kept)
        self.depth = depth + 1
        self.square = square
        self.params = params
        self.versions = versions

    def valid(self) -> bool:
        return all(
            not isinstance(x, Value) or (x._storage.version == v and not x._storage.exported)
            for x, v in zip(self.operands, self.versions, strict=True)
        )


_DEPTH = 4


def _strip(x: Value) -> Value:
    """Return a copy of `x` without its origin, which is deeper than a recogniser looks."""
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
