"""Nested tuples, lists and dicts of values: taken apart into leaves and put together again.

Invariant: `unflatten(structure, leaves)` returns what `flatten` was given; None is a node without
leaves. It is separate because every transform takes and returns such nests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from slopewise._core.value import is_sequence

Structure = Any
_LEAF = object()


def _is_dict(x: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(x, dict)


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Return the leaves of a nest, left to right, and its structure.

    Examples
    --------
    >>> leaves, structure = flatten({"a": 1, "b": (2, 3)})
    >>> leaves
    [1, 2, 3]
    >>> unflatten(structure, [4, 5, 6])
    {'a': 4, 'b': (5, 6)}
    """
    keys: list[Any] | None = None
    if _is_dict(tree):
        keys = list(tree)
        parts = [flatten(tree[k]) for k in keys]
    elif is_sequence(tree):
        parts = [flatten(child) for child in tree]
    elif tree is None:
        return [], None
    else:
        return [tree], _LEAF
    leaves = [leaf for part, _ in parts for leaf in part]
    return leaves, (type(tree), keys, tuple(structure for _, structure in parts))


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """Return the nest of the given structure with these leaves."""
    return _build(structure, iter(leaves))


def _build(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure is _LEAF:
        return next(leaves)
    if structure is None:
        return None
    kind, keys, children = structure
    parts = [_build(child, leaves) for child in children]
    if keys is not None:
        return kind(zip(keys, parts, strict=True))
    if hasattr(kind, "_fields"):
        return kind(*parts)
    return kind(parts)
