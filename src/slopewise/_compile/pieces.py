"""Pieces: arrays that are written element by element, piece by piece, or at computed places.

Invariant: every element of a buffer is written, by one statement or by several that lie apart. It
is separate from sums, whose elements have many terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from slopewise._compile.builder import UINT64
from slopewise._compile.joining import Joiner
from slopewise._compile.loops import Buffer, Index, Pool, Shape, Split
from slopewise._compile.reading import Materialise, Reader, number_of_words
from slopewise._compile.steps import Kernel, Store, Words
from slopewise._ops.arithmetic import add
from slopewise._transform.expression import Expression

MANY = 3  # embeddings that are written piece by piece, not read as a sum

Box = tuple[tuple[int, int, int], ...]  # start, step and count along each axis


class Pieces(Joiner):
    """Schedules buffers whose elements are read one by one."""

    def __init__(self, pool: Pool, table: Any, reader: Reader | None = None) -> None:
        super().__init__(pool, table, reader)
        self.parts: dict[int, dict[Box, list[Expression]] | None] = {}

    def _read(
        self, expression: Expression, dims: list[list[int]], build: Any, filling: bool = False
    ) -> Any:
        """Read terms over a domain, splitting its axes and placing operands as that demands."""
        while True:
            sizes = tuple(n for dim in dims for n in dim if n != 1)
            axes = self.pool.domain(sizes)
            indices: list[Index] = []
            position = 0
            for dim in dims:
                index = Index(0)
                for k, n in enumerate(dim):
                    stride = prod(dim[k + 1 :])
                    if n != 1:
                        index = index.plus(Index(0, ((axes[position], stride),)))
                        position += 1
                indices.append(index)
            try:
                return axes, indices, build(tuple(indices))
            except Split as split:
                place = axes.index(split.axis)
                count = -1
                for dim in dims:
                    for k, n in enumerate(dim):
                        count += n != 1
                        if n != 1 and count == place:
                            dim[k : k + 1] = [n // split.inner, split.inner]
                            break
                    else:
                        continue
                    break
            except Materialise as need:
                if need.expression is expression and filling:
                    raise
                self.place(need.expression)

    def _map(self, expression: Expression, buffer: Buffer) -> None:
        """Schedule a buffer whose elements are read one by one."""
        if self._is_put_together(expression):
            self._put_together(expression, buffer)
            return
        try:
            axes, indices, term = self._read(
                expression,
                [[n] for n in expression.shape],
                partial(self.reader.read, expression),
                filling=True,
            )
        except Materialise:
            self._fill_pieces(expression, buffer)
            return
        self.join(axes, Store(buffer, tuple(indices), term), expression)

    def _fill_pieces(self, expression: Expression, buffer: Buffer) -> None:
        """Schedule what is written piece by piece: joined parts, embeddings, folded windows."""
        if expression.name == "cat":
            axis: int = expression.params["axis"]
            start = 0
            for operand in expression.operands:
                self._write_piece(operand, buffer, {axis: start}, {})
                start += operand.shape[axis]
            return
        if expression.name == "scatter_add":
            self._scatter(expression, buffer)
            return
        self._zeros(buffer)
        if expression.name == "embed":
            starts: Shape = expression.params["starts"]
            steps: Shape = expression.params["steps"]
            self._write_piece(
                expression.operands[0], buffer, dict(enumerate(starts)), dict(enumerate(steps))
            )
            return
        assert expression.name == "fold", expression.name
        self._overlap(expression, buffer)

    def _parts(self, expression: Expression) -> dict[Box, list[Expression]] | None:
        """Return what a sum of embeddings writes to each place; None if it is no such sum."""
        if expression.number in self.parts:
            return self.parts[expression.number]
        found: dict[Box, list[Expression]] | None = None
        if expression.number in self.reader.placed:
            pass
        elif expression.name == "embed":
            operand, params = expression.operands[0], expression.params
            box = tuple(zip(params["starts"], params["steps"], operand.shape, strict=True))
            found = {box: [operand]}
        elif expression.name == "add" and expression.data is None:
            both = [self._parts(o) for o in expression.operands]
            if both[0] is not None and both[1] is not None:
                found = {box: list(listed) for box, listed in both[0].items()}
                for box, listed in both[1].items():
                    found.setdefault(box, []).extend(listed)
        self.parts[expression.number] = found
        return found

    def _is_put_together(self, expression: Expression) -> bool:
        parts = self._parts(expression)
        return parts is not None and len(parts) >= MANY and _lie_apart(list(parts))

    def _put_together(self, expression: Expression, buffer: Buffer) -> None:
        """Schedule the parts of a sum of embeddings, each written where it belongs."""
        parts = self._parts(expression)
        assert parts is not None
        if sum(prod(n for _, _, n in box) for box in parts) < buffer.size:
            self._zeros(buffer)
        for box, operands in parts.items():
            total = operands[0]
            for operand in operands[1:]:
                total = self.table.apply(add, (total, operand), {})
            starts = {k: start for k, (start, _, _) in enumerate(box)}
            steps = {k: step for k, (_, step, _) in enumerate(box)}
            self._write_piece(total, buffer, starts, steps)

    def _zeros(self, buffer: Buffer) -> None:
        axes = self.pool.domain(tuple(n for n in buffer.shape if n != 1))
        at = iter(axes)
        indices = tuple(Index(0) if n == 1 else Index(0, ((next(at), 1),)) for n in buffer.shape)
        self.add(Kernel(axes, stores=[Store(buffer, indices, self.pool.number(0, buffer.dtype))]))

    def _write_piece(
        self, operand: Expression, buffer: Buffer, starts: dict[int, int], steps: dict[int, int]
    ) -> None:
        if not prod(operand.shape):
            return
        axes, indices, term = self._read(
            operand, [[n] for n in operand.shape], partial(self.reader.read, operand)
        )
        moved = tuple(
            i.scale(steps.get(k, 1)).shift(starts.get(k, 0)) for k, i in enumerate(indices)
        )
        self.join(axes, Store(buffer, moved, term), operand)

    def _overlap(self, expression: Expression, buffer: Buffer) -> None:
        """Schedule the sum of overlapping windows: each adds itself where it came from."""
        operand = expression.operands[0]
        params = expression.params
        count = len(params["extents"])
        axes, indices, term = self._read(
            operand, [[n] for n in operand.shape], partial(self.reader.read, operand)
        )
        lead = len(operand.shape) - 2 * count
        moved = [
            p.scale(stride).plus(o.scale(dilation))
            for p, o, stride, dilation in zip(
                indices[lead : lead + count], indices[lead + count :], params["strides"],
                params["dilations"], strict=True,
            )
        ]  # fmt: skip
        store = Store(buffer, (*indices[:lead], *moved), term, add=True)
        self.add(Kernel(axes, stores=[store], ordered=True, names=["fold"]))

    def _running(self, expression: Expression, buffer: Buffer, operation: str) -> None:
        operand = expression.operands[0]
        axis = expression.params["axis"]
        if operand.shape[axis] == 1 or not prod(operand.shape):
            self._write_piece(operand, buffer, {}, {})
            return
        while True:
            axes, indices, term = self._read(
                operand, [[n] for n in operand.shape], partial(self.reader.read, operand)
            )
            along = list(indices[axis].axes())
            if len(along) == 1:
                break
            self.place(operand)  # its axis was split: read it from memory instead
        if expression.params["reverse"]:
            # Walked from the other end: both the reads and the writes are turned round.
            flipped = tuple(
                i.scale(-1).shift(operand.shape[axis] - 1) if k == axis else i
                for k, i in enumerate(indices)
            )
            term, indices = self.reader.read(operand, flipped), list(flipped)
        store = Store(buffer, tuple(indices), term)
        self.add(
            Kernel(
                axes,
                stores=[store],
                running=(along[0], operation),
                names=[expression.name],
                places=[expression.place],
            )
        )

    def _draw(self, expression: Expression, buffer: Buffer) -> None:
        words = self.pool.buffer((number_of_words(expression),), UINT64, "scratch")
        self.add(Words(words, self.place(expression.operands[0])))
        self.reader.words[expression.number] = words
        self._map(expression, buffer)

    def _scatter(self, expression: Expression, buffer: Buffer) -> None:
        if expression.name == "scatter_set":
            base, updates, *arrays = expression.operands
            self._write_piece(base, buffer, {}, {})
        else:
            updates, *arrays = expression.operands
            self._zeros(buffer)
        rank = len(updates.shape) - (len(expression.shape) - len(arrays))
        if expression.name == "scatter_set":
            shapes = [a.shape for a in arrays]
            front = np.broadcast_shapes(*shapes)
            full = (*front, *expression.shape[len(arrays) :])
            rank = len(front)
            if updates.shape != full:
                from slopewise._ops.shape import broadcast_to

                updates = self.table.apply(broadcast_to, (updates,), {"shape": full})
        if not prod(updates.shape):
            return

        def build(at: tuple[Index, ...]) -> Any:
            places: list[Index] = []
            for array in arrays:
                own = at[rank - len(array.shape) : rank]
                inner = tuple(
                    Index(0) if n == 1 else i for i, n in zip(own, array.shape, strict=True)
                )
                places.append(self.reader.index_of(array, inner))
            return places, self.reader.read(updates, at)

        axes, indices, (places, term) = self._read(expression, [[n] for n in updates.shape], build)
        store = Store(
            buffer, (*places, *indices[rank:]), term, add=expression.name == "scatter_add"
        )
        self.add(
            Kernel(
                axes,
                stores=[store],
                ordered=True,
                names=[expression.name],
                places=[expression.place],
            )
        )


def _lie_apart(boxes: Sequence[Box]) -> bool:
    """Return whether no two boxes share a place."""
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            if all(
                a[0] <= b[0] + b[1] * (b[2] - 1) and b[0] <= a[0] + a[1] * (a[2] - 1)
                for a, b in zip(one, other, strict=True)
            ):
                return False
    return True
