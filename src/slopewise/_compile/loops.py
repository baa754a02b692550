"""The loop program: index expressions over axes, and terms over indices.

Invariant: an Index is a constant plus axes times integers (plus computed integers, for gathers),
and a Term is the value of one element, unique in its Pool. Broadcast, transpose, reshape and slice
exist only as indices here. It is separate from the steps that compute terms, and from scheduling,
which decides what is a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from slopewise._compile.builder import INT64

Shape = tuple[int, ...]


class Axis:
    """A loop from 0 to `size` - 1."""

    __slots__ = ("name", "number", "size")

    def __init__(self, name: str, size: int, number: int) -> None:
        self.name = name
        self.size = size
        self.number = number

    def __repr__(self) -> str:
        return f"{self.name}<{self.size}"


class Index:
    """constant + sum of axis * factor + sum of computed integer * factor."""

    __slots__ = ("computed", "constant", "key", "terms")

    def __init__(
        self,
        constant: int,
        terms: tuple[tuple[Axis, int], ...] = (),
        computed: tuple[tuple[Term, int], ...] = (),
    ) -> None:
        self.constant = constant
        self.terms = terms
        self.computed = computed
        self.key = (
            constant,
            tuple((a.number, k) for a, k in terms),
            tuple((t.number, k) for t, k in computed),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        parts = [a.name if k == 1 else f"{k}*{a.name}" for a, k in self.terms]
        parts += [f"[{t.number}]" if k == 1 else f"{k}*[{t.number}]" for t, k in self.computed]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return "+".join(parts)

    def scale(self, factor: int) -> Index:
        if factor == 1:
            return self
        if factor == 0:
            return ZERO
        return Index(
            self.constant * factor,
            tuple((a, k * factor) for a, k in self.terms),
            tuple((t, k * factor) for t, k in self.computed),
        )

    def plus(self, other: Index) -> Index:
        if other is ZERO:
            return self
        if self is ZERO:
            return other
        terms = self.terms
        if other.terms:
            merged: dict[int, tuple[Axis, int]] = {a.number: (a, k) for a, k in terms}
            for a, k in other.terms:
                old = merged.get(a.number)
                merged[a.number] = (a, k if old is None else old[1] + k)
            terms = tuple(merged[n] for n in sorted(merged) if merged[n][1])
        computed = self.computed
        if other.computed:
            parts: dict[int, tuple[Term, int]] = {t.number: (t, k) for t, k in computed}
            for t, k in other.computed:
                old_part = parts.get(t.number)
                parts[t.number] = (t, k if old_part is None else old_part[1] + k)
            computed = tuple(parts[n] for n in sorted(parts) if parts[n][1])
        return Index(self.constant + other.constant, terms, computed)

    def shift(self, offset: int) -> Index:
        return Index(self.constant + offset, self.terms, self.computed) if offset else self

    @property
    def fixed(self) -> bool:
        """Whether this is a plain number."""
        return not self.terms and not self.computed

    def bounds(self) -> tuple[int, int] | None:
        """Return the least and the greatest value, or None where computed numbers take part."""
        if self.computed:
            return None
        low = high = self.constant
        for axis, k in self.terms:
            reach = k * (axis.size - 1)
            low += min(0, reach)
            high += max(0, reach)
        return low, high

    def axes(self) -> Iterable[Axis]:
        for axis, _ in self.terms:
            yield axis
        for term, _ in self.computed:
            yield from term.axes


ZERO = Index(0)


class Split(Exception):
    """Tells that an axis has to become two, `outer` * `inner` + rest, to express an index."""

    def __init__(self, axis: Axis, inner: int) -> None:
        super().__init__(f"{axis} by {inner}")
        self.axis = axis
        self.inner = inner


def linearise(indices: Sequence[Index], shape: Shape) -> Index:
    """Return the position in row-major order."""
    total = ZERO
    stride = 1
    for index, size in zip(reversed(indices), reversed(shape), strict=True):
        if size != 1:
            total = total.plus(index.scale(stride))
        stride *= size
    return total


def delinearise(position: Index, shape: Shape) -> list[Index] | None:
    """Return indices of a shape for a position in row-major order; None if it takes division.

    Raises
    ------
    Split
        If splitting an axis in two would give indices without division.
    """
    indices: list[Index] = []
    strides: list[int] = []
    stride = 1
    for size in reversed(shape):
        strides.append(stride)
        stride *= size
    rest = position
    for size, stride in zip(shape, reversed(strides), strict=True):
        if size == 1:
            indices.append(ZERO)
            continue
        if stride == 1:
            indices.append(rest)
            break
        whole: list[tuple[Axis, int]] = []
        part: list[tuple[Axis, int]] = []
        for axis, k in rest.terms:
            if k % stride == 0:
                whole.append((axis, k // stride))
            else:
                part.append((axis, k))
        if any(k % stride for _, k in rest.computed):
            return None
        remainder = Index(rest.constant % stride, tuple(part))
        bounds = remainder.bounds()
        assert bounds is not None
        if bounds[0] < 0 or bounds[1] >= stride:
            for axis, k in part:
                # An axis that runs over several strides is split where it crosses one.
                if k > 0 and stride % k == 0 and axis.size % (stride // k) == 0:
                    inner = stride // k
                    if 1 < inner < axis.size:
                        raise Split(axis, inner)
            return None
        indices.append(
            Index(
                rest.constant // stride,
                tuple(whole),
                tuple((t, k // stride) for t, k in rest.computed),
            )
        )
        rest = remainder
    while len(indices) < len(shape):
        indices.append(ZERO)
    return indices


class Buffer:
    """A row-major array in memory; `kind` is input, output, constant or scratch."""

    __slots__ = ("alias", "array", "dtype", "kind", "name", "number", "offset", "position",
                 "shape")  # fmt: skip

    def __init__(
        self, number: int, shape: Shape, dtype: np.dtype[Any], kind: str, position: int = -1
    ) -> None:
        self.number = number
        self.shape = shape
        self.dtype = dtype
        self.kind = kind
        self.position = position
        self.name = f"{kind[0]}{number}"
        self.alias: Buffer | None = None  # the buffer in whose memory this one lies
        self.array: Any = None  # the numbers of a constant
        self.offset = -1  # where it lies in the arena, in bytes

    @property
    def home(self) -> Buffer:
        """The buffer whose memory this is."""
        at = self
        while at.alias is not None:
            at = at.alias
        return at

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"{self.name}:{self.dtype}{list(self.shape)}"


class Term:
    """The value of one element.

    `kind` is "number" (data: the number), "load" (data: buffer, indices), "index" (data: Index),
    "op" (data: body, params, name), "inside" (data: ((Index, low, high), ...); operands: the value
    inside and the value elsewhere).
    """

    __slots__ = ("axes", "cost", "data", "dtype", "kind", "number", "operands")

    def __init__(
        self,
        kind: str,
        operands: tuple[Term, ...],
        data: Any,
        dtype: np.dtype[Any],
        axes: frozenset[Axis],
        number: int,
        cost: float,
    ) -> None:
        self.kind = kind
        self.operands = operands
        self.data = data
        self.dtype = dtype
        self.axes = axes
        self.number = number
        self.cost = cost

    def __repr__(self) -> str:
        return f"<{self.number}: {self.kind}>"


# What an operation costs, in additions.
COSTS = {
    "div": 4.0, "reciprocal": 4.0, "sqrt": 6.0, "rsqrt": 8.0, "exp": 12.0, "log": 16.0,
    "sigmoid": 16.0, "tanh": 18.0, "softplus": 24.0, "sin": 20.0, "cos": 20.0, "pow": 60.0,
    "convert": 1.0, "where": 1.0,
}  # fmt: skip
CHEAP = frozenset(
    "add sub neg mul guarded_mul square abs where maximum minimum convert alias copy relu clamp"
    " stop_gradient sign less less_equal greater greater_equal equal not_equal logical_and"
    " logical_or logical_xor logical_not isnan isinf isfinite floor ceil trunc bitwise_and"
    " bitwise_or bitwise_xor".split()
)


def cost_of(name: str) -> float:
    """Return the cost of a pointwise primitive, in additions."""
    known = COSTS.get(name)
    if known is not None:
        return known
    return 1.0 if name in CHEAP else 25.0


class Pool:
    """Makes terms, axes and buffers; equal terms are one object."""

    def __init__(self) -> None:
        self.terms: dict[Any, Term] = {}
        self.buffers: list[Buffer] = []
        self.axes: dict[tuple[Shape, int], Axis] = {}
        self.count = 0
        self.axis_count = 0

    def domain(self, shape: Shape) -> tuple[Axis, ...]:
        """Return the axes of a shape: the same objects each time it is asked for."""
        found: list[Axis] = []
        for i, size in enumerate(shape):
            axis = self.axes.get((shape, i))
            if axis is None:
                axis = Axis(f"{'ijklmnpqrstuv'[i % 13]}{self.axis_count}", size, self.axis_count)
                self.axis_count += 1
                self.axes[shape, i] = axis
            found.append(axis)
        return tuple(found)

    def buffer(self, shape: Shape, dtype: np.dtype[Any], kind: str, position: int = -1) -> Buffer:
        made = Buffer(len(self.buffers), shape, dtype, kind, position)
        self.buffers.append(made)
        return made

    def _make(
        self,
        key: Any,
        kind: str,
        operands: tuple[Term, ...],
        data: Any,
        dtype: np.dtype[Any],
        axes: frozenset[Axis],
        cost: float,
    ) -> Term:
        found = self.terms.get(key)
        if found is None:
            found = Term(kind, operands, data, dtype, axes, self.count, cost)
            self.count += 1
            self.terms[key] = found
        return found

    def number(self, value: Any, dtype: np.dtype[Any]) -> Term:
        plain = np.asarray(value, dtype)
        return self._make(
            ("number", plain.tobytes(), dtype), "number", (), plain.item(), dtype, frozenset(), 0.0
        )

    def load(self, buffer: Buffer, indices: tuple[Index, ...]) -> Term:
        """Return an element; one index alone may stand for the position in row-major order."""
        if len(indices) == len(buffer.shape):
            indices = tuple(
                ZERO if size == 1 else i for i, size in zip(indices, buffer.shape, strict=True)
            )
        axes = frozenset(a for i in indices for a in i.axes())
        operands = tuple(t for i in indices for t, _ in i.computed)
        key = ("load", buffer.number, tuple(i.key for i in indices))
        return self._make(key, "load", operands, (buffer, indices), buffer.dtype, axes, 1.0)

    def index(self, index: Index) -> Term:
        """Return an index as a number (int64)."""
        if index.fixed:
            return self.number(index.constant, INT64)
        operands = tuple(t for t, _ in index.computed)
        key = ("index", index.key)
        return self._make(key, "index", operands, index, INT64, frozenset(index.axes()), 1.0)

    def op(
        self, name: str, body: Any, operands: tuple[Term, ...], params: Any, dtype: np.dtype[Any],
        cost: float,
    ) -> Term:  # fmt: skip
        axes: frozenset[Axis] = frozenset()
        for o in operands:
            if o.axes:
                axes = axes | o.axes
        key = ("op", id(body), tuple(o.number for o in operands), str(params), dtype)
        return self._make(key, "op", operands, (body, params, name), dtype, axes, cost)

    def inside(
        self, conditions: tuple[tuple[Index, int, int], ...], inner: Term, outer: Term
    ) -> Term:
        """Return `inner` where every index lies in [low, high), else `outer`."""
        needed: list[tuple[Index, int, int]] = []
        for index, low, high in conditions:
            bounds = index.bounds()
            if bounds is not None:
                if bounds[0] >= low and bounds[1] < high:
                    continue
                if bounds[1] < low or bounds[0] >= high:
                    return outer
            needed.append((index, low, high))
        if not needed:
            return inner
        axes = inner.axes | outer.axes | frozenset(a for i, _, _ in needed for a in i.axes())
        key = (
            "inside", tuple((i.key, a, b) for i, a, b in needed), inner.number, outer.number,
        )  # fmt: skip
        return self._make(key, "inside", (inner, outer), tuple(needed), inner.dtype, axes, 2.0)


def walk(roots: Iterable[Term]) -> list[Term]:
    """Return all terms under the roots, operands first."""
    seen: dict[int, Term] = {}
    pending = list(roots)
    while pending:
        term = pending.pop()
        if term.number not in seen:
            seen[term.number] = term
            pending.extend(term.operands)
            if term.kind == "inside":
                for index, _, _ in term.data:
                    pending.extend(t for t, _ in index.computed)
    return [seen[k] for k in sorted(seen)]
