"""program: a graph lowered to an executable, and the executable.

Invariant: `run` reads its inputs, writes its outputs and changes nothing else; an output buffer may
be an input's, and is then written as if at the end. It is separate from the passes it strings
together.
"""

from __future__ import annotations

import bisect
import ctypes
import itertools
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from slopewise import errors
from slopewise._compile.blas import BOARD, CLOCKS, SPREAD, make_table
from slopewise._compile.contents import Origin, Space, line_of
from slopewise._compile.interrupts import raise_found
from slopewise._compile.jit import ENTRY, Code, assemble, optimise
from slopewise._compile.settings import changed_settings
from slopewise._compile.stored import list_graph, load, store
from slopewise._compile.threads import find_spreader, keep, take_kept
from slopewise._core.quiet import hush, restore
from slopewise._core.trace import Graph
from slopewise._core.value import is_tuple
from slopewise.errors import IndexRangeError, ShapeError, SlopewiseError

if TYPE_CHECKING:
    from slopewise._compile.entry import Native
    from slopewise._compile.lowering import Program

Array = np.ndarray[Any, Any]
_OUTSIDE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)
_RUN = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, _OUTSIDE, ctypes.c_void_p
)


class Executable:
    """Machine code for one graph.

    Parameters
    ----------
    graph : Graph
    name : str
    checked : bool
        Whether every access is checked against its buffer.
    timed : bool
        Whether the time of each step is measured (see `explain`).
    """

    def __init__(
        self, graph: Graph, name: str, *, checked: bool = False, timed: bool = False
    ) -> None:
        self.name = name
        self.graph = graph
        self._checked = checked
        self._timed = timed
        self._program: Program | None = None
        # What is checked or timed is for people who look at a program, and is written each time.
        listing = None if checked or timed else list_graph(graph, changed_settings())
        found = None if listing is None else load(listing)
        if found is None:
            program = self.program
            self.contents = program.contents
            self.code = Code(program.ir, keep=listing is None)
            if listing is not None:
                store(listing, self.contents, self.code.object)
        else:
            self.contents, code = found
            self.code = Code(None, code)
        self._run = _RUN(self.code.address(ENTRY))
        self._arenas: list[tuple[Array, int]] = []
        self._outside = _OUTSIDE(self._call)
        self._routines = make_table(self.contents.products)
        clocks = len(self.program.clocks) if timed else 0
        self._clocks = np.zeros(clocks + 1, np.int64)
        self._routines[CLOCKS] = self._clocks.ctypes.data
        self.runs = 0
        self.seconds = 0.0  # of all runs that were timed

    @property
    def program(self) -> Program:
        """How the code is made; written again where the code came from the cache."""
        if self._program is None:
            # The passes are not needed, and not imported, to run what is in the cache.
            from slopewise._compile.lowering import write_program

            self._program = write_program(
                self.graph, self.name, checked=self._checked, timed=self._timed
            )
        return self._program

    @property
    def steps(self) -> list[Any]:
        return self.program.steps

    @property
    def outputs(self) -> list[Space]:
        return self.contents.outputs

    @property
    def arena_bytes(self) -> int:
        return self.contents.arena_bytes

    def _make_arena(self) -> Array:
        try:
            return np.empty(self.arena_bytes + 64, np.uint8)
        except MemoryError:
            raise MemoryError(
                f"{self.name}: its intermediate results take {self.arena_bytes:.1e} bytes, which"
                " this machine does not have; use smaller batches, or scan over parts."
            ) from None

    def run(self, arrays: Sequence[Array], out: Sequence[Array | None]) -> list[Array]:
        """Return the outputs for the inputs; output i goes to `out[i]` unless that is None.

        Raises
        ------
        IndexRangeError
            If an index lies outside of its axis.
        """
        results: list[Array] = []
        late: list[tuple[Array, Array]] = []
        places = [a.ctypes.data for a in arrays]
        at = dict(zip(map(id, arrays), places, strict=True))
        written: list[int] = []
        for buffer, target, place in zip(
            self.contents.outputs, out, self._find_apart(arrays, places, at, out), strict=True
        ):
            if place is not None and target is not None:
                results.append(target)
                written.append(place)
                continue
            fresh = np.empty(buffer.shape, buffer.dtype)
            results.append(fresh)
            written.append(fresh.ctypes.data)
            if target is not None:
                late.append((target, fresh))
        pointers = [*places, *written, *(a.ctypes.data for a in self.contents.constants)]
        table = (ctypes.c_void_p * max(1, len(pointers)))(*pointers)
        # A call takes an arena of its own, so that threads may call the same code.
        try:
            arena, start = self._arenas.pop()
        except IndexError:
            arena = self._make_arena()
            start = -arena.ctypes.data % 64 + arena.ctypes.data
        status = ctypes.c_int64(0)
        if self.contents.parts:
            self._routines[SPREAD], self._routines[BOARD] = find_spreader()
        begin = time.perf_counter()
        self._run(table, start, ctypes.addressof(status), self._outside, self._routines)
        self.runs += 1
        self.seconds += time.perf_counter() - begin
        self._arenas.append((arena, start))
        raise_found()
        error = take_kept()
        if error is not None:
            raise error
        if status.value:
            self._refuse(status.value)
        for given, fresh in late:
            given[...] = fresh
            results[next(i for i, r in enumerate(results) if r is fresh)] = given
        return results

    def _find_apart(
        self, arrays: Sequence[Array], places: Sequence[int], at: dict[int, int],
        out: Sequence[Array | None],
    ) -> list[int | None]:  # fmt: skip
        """Return where outputs may be written that no other array overlaps; None for others.

        A training step has hundreds of arrays on both sides, so they are kept in order of place.
        """
        spans = sorted(
            (low, low + a.nbytes, i)
            for i, (low, a) in enumerate(zip(places, arrays, strict=True)) if a.nbytes
        )  # fmt: skip
        begins = [span[0] for span in spans]
        # How far the spans so far reach: inputs may overlap each other.
        reach = list(itertools.accumulate((span[1] for span in spans), max))
        written: list[tuple[int, int]] = []  # in order, and apart from each other
        found: list[int | None] = []
        for target, needed in zip(out, self.contents.overwritten, strict=True):
            if target is None:
                found.append(None)
                continue
            known = at.get(id(target))
            low = target.ctypes.data if known is None else known
            high = low + target.nbytes
            alone = True
            place = bisect.bisect_left(begins, high) - 1
            while alone and place >= 0 and reach[place] > low:
                _, end, i = spans[place]
                alone = end <= low or (target is arrays[i] and i not in needed)
                place -= 1
            after = bisect.bisect_left(written, (high, 0))
            alone = alone and not (after and low < high and written[after - 1][1] > low)
            found.append(low if alone else None)
            if alone and low < high:
                written.insert(after, (low, high))
        return found

    def native(self) -> Native | None:
        """Return what an entry needs to run this without Python, or None if that cannot be.

        The code of an entry offers no way back. Threads help it as they helped the last run.
        """
        known = self.contents
        if known.routines:
            return None
        from slopewise._compile.entry import Native  # only a second call needs one

        return Native(
            self.code.address(ENTRY), ctypes.addressof(self._routines), known.identity,
            known.constants, known.arena_bytes, known.overwritten, known.long, self._refuse, self,
        )  # fmt: skip

    def _refuse(self, status: int) -> None:
        raise_found()
        names, place, error, told = self.contents.statuses.get(status, Origin([], None))
        if told:
            raise getattr(errors, error)(told + line_of([place]))
        raise IndexRangeError(
            f"{self.name}: an index lies outside of its axis (in {', '.join(names)}); an axis of"
            f" size n has the indices -n to n - 1.{line_of([place])}"
        )

    def _call(self, number: int, listed: int) -> None:
        """Run a primitive's own kernel on buffers of the compiled code."""
        step = self.contents.routines[number]
        buffers = [*step.operands, *step.outs]
        pointers = (ctypes.c_void_p * len(buffers)).from_address(listed)
        arrays = [_view(p, b) for p, b in zip(pointers, buffers, strict=True)]
        given = [a.copy() for a in arrays[: len(step.operands)]]
        token = hush()
        try:
            out = step.primitive.kernel(*given, **step.params)
        except (SlopewiseError, ValueError, np.linalg.LinAlgError, IndexError) as error:
            kind = type(error) if isinstance(error, SlopewiseError) else ShapeError
            told = str(error) if isinstance(error, SlopewiseError) else f"{step.primitive}: {error}"
            keep(kind(told + line_of([step.place])))
            return
        except BaseException as error:  # raised through compiled code it would be lost
            keep(error)
            return
        finally:
            restore(token)
        made = out if is_tuple(out) else (out,)
        for target, value in zip(arrays[len(step.operands) :], made, strict=True):
            target[...] = value

    def timed(self) -> Executable:
        """Return the same program with a clock around each step."""
        return Executable(self.graph, self.name, timed=True)

    def time_of(self, step: Any) -> float | None:
        """Return the seconds that a step takes in one run; None where they are not measured."""
        if not self._timed or not self.runs or not self._clocks[0]:
            return None
        place = self.program.clocks.get(id(step))
        if place is None:
            return None
        per_cycle = self.seconds / float(self._clocks[0])
        return float(self._clocks[place]) * per_cycle / self.runs

    # --- telling what it is --------------------------------------------------------------------

    def explain(self) -> str:
        """Return the steps as readable pseudo-code, with the memory they move."""
        from slopewise._compile.listing import describe

        return describe(self)

    def llvm(self) -> str:
        """Return the optimised LLVM IR."""
        return optimise(self.program.ir)

    def asm(self) -> str:
        """Return the machine code as assembly text."""
        return assemble(self.program.ir)


def _view(pointer: int | None, buffer: Space) -> Array:
    """Return memory of the compiled code as an array."""
    if not buffer.size or pointer is None:
        return np.empty(buffer.shape, buffer.dtype)
    raw = (ctypes.c_uint8 * buffer.bytes).from_address(pointer)
    array: Array = np.ndarray(buffer.shape, buffer.dtype, raw)  # pyright: ignore
    return array


def lower(graph: Graph, *, name: str, checked: bool = False) -> Executable:
    """Return machine code for a graph."""
    return Executable(graph, name, checked=checked)
