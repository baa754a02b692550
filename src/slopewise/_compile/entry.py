"""Entries: compiled functions as functions that Python calls without any Python in between.

Invariant: an entry runs its program only for the arguments, switches and captured objects that it
was made for, and passes every other call on unchanged; where the layout of CPython or NumPy is not
the expected one, there are no entries. An entry's memory lives in the object that its function
holds. It is separate from `program`, which any backend of the same shape could replace.
"""

# pyright: reportUnknownMemberType=false
from __future__ import annotations

import ctypes
import struct
import sys
import sysconfig
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from slopewise._compile.entry_code import (
    API,
    ENTER,
    MOST,
    SET_UP,
    SPARE,
    Argument,
    Output,
    Watch,
    Word,
    write_entry,
)
from slopewise._compile.jit import Code, vector_bytes
from slopewise._core.state import changes, state

_FLAGS = 0x2 | 0x80  # METH_KEYWORDS, METH_FASTCALL
_ABI = (0x02000000, 0x01000009)  # NumPy's, in which the fields and functions used here are the same
_EMPTY = 184  # the place of PyArray_Empty in NumPy's table
_OUT = sys.intern("out")
_ROOM = 1 << 24  # bytes of scratch memory


class _Method(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Thread(ctypes.Structure):
    """The thread that came through Python last, and where its switches are."""

    _fields_ = (("number", ctypes.c_uint64), ("switches", ctypes.c_void_p))


Array = np.ndarray[Any, Any]
Row = tuple[str, Any, Any, Any]


class _Block(bytearray):
    """The words of an entry, and in `kept` what they point to."""

    kept: list[Any]  # first what it is armed for, then the next block of the chain


@dataclass(frozen=True)
class Native:
    """What an entry needs of a program.

    Attributes
    ----------
    address : int
        Of a function of slots, arena, status, a way back that it does not use, and routines.
    routines : int
        The address of their table, with the board of the threads.
    code : str
        The function as IR.
    constants : list of ndarray
        For the slots after those of inputs and outputs.
    arena_bytes : int
    kept_from : list of set of int
        For each output the inputs in whose memory it must not be written.
    long : bool
        Whether other threads should run meanwhile.
    refuse : callable
        Raises the error for a status.
    owner : object
        Keeps all of this alive.
    """

    address: int
    routines: int
    code: str
    constants: list[Array]
    arena_bytes: int
    kept_from: list[set[int]]
    long: bool
    refuse: Callable[[int], None]
    owner: Any


@dataclass(frozen=True)
class Signature:
    """What a compiled function takes and returns.

    Attributes
    ----------
    arguments : list
        For each argument ("float",), ("array", shape, dtype) or ("fixed", object).
    inputs : list
        For each input of the program the argument that it is, or a constant array.
    outputs : list
        For each output of the program: its place among the results, whether it is shown as a
        float, shape and dtype.
    nest : list of int
        How the results are put together: a place pushes a result, -1 - n makes a tuple of n.
    """

    arguments: list[tuple[Any, ...]]
    inputs: list[Any]
    outputs: list[tuple[int, bool, tuple[int, ...], np.dtype[Any]]]
    nest: list[int]


@dataclass
class _System:
    """What all entries share; each holds it, as they may outlive this module."""

    code: Code
    method: _Method
    make: Callable[..., Any]  # a function of a method and the object that it holds
    count_thread: Callable[[], int]  # the number of this thread, which no other one ever has
    latest: _Thread
    shared: Any = None  # what `latest` and the blocks point to


@cache
def _find_system() -> _System | None:
    """Return what entries need, or None where there are none."""
    try:
        return _set_up() if _is_known() else None
    except (AttributeError, ImportError, OSError, RuntimeError, ValueError):
        return None


def _is_known() -> bool:
    """Return whether objects lie in memory as the code assumes."""
    if sys.implementation.name != "cpython" or struct.calcsize("P") != 8:
        return False
    if sysconfig.get_config_var("Py_GIL_DISABLED") or object.__basicsize__ != 16:
        return False

    def read(kind: Any, thing: Any, offset: int) -> Any:
        return kind.from_address(id(thing) + offset).value

    word, number = ctypes.c_void_p, 2.5
    pair = (number, None, read)
    cell: Any = (lambda: number).__closure__
    array = np.ones((3, 5), np.float32)
    if type(array).__basicsize__ < 68:
        return False
    shape = (ctypes.c_ssize_t * 2).from_address(read(word, array, 32))
    flags = read(ctypes.c_int, array, 64)
    array.flags.writeable = False
    return (
        read(word, number, 8) == id(float)
        and read(ctypes.c_double, number, 16) == number
        and read(ctypes.c_ssize_t, pair, 16) == 3
        and read(word, pair, 40) == id(read)
        and read(word, cell[0], 16) == id(number)
        and read(word, array, 16) == array.ctypes.data
        and read(ctypes.c_int, array, 24) == 2
        and tuple(shape) == (3, 5)
        and read(word, array, 56) == id(array.dtype)
        and flags & 0x501 == 0x501
        and read(ctypes.c_int, array, 64) == flags & ~0x400
    )


def _set_up() -> _System | None:
    from numpy._core import _multiarray_umath as umath  # pyright: ignore

    python = ctypes.pythonapi
    read = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", python)
    )
    capsule: Any = umath._ARRAY_API  # pyright: ignore
    table = ctypes.cast(read(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    version = ctypes.PYFUNCTYPE(ctypes.c_uint)(table[0] or 0)()
    if version not in _ABI:
        return None
    latest = _Thread()
    special = {
        "PyArray_Empty": table[_EMPTY],
        "float": id(float),
        "tuple": id(tuple),
        "ndarray": id(np.ndarray),
        "thread": ctypes.addressof(latest),
    }
    listed = [
        special[n] if n in special else ctypes.cast(getattr(python, n), ctypes.c_void_p).value
        for n in API
    ]
    code = Code(write_entry(vector_bytes()))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address(SET_UP))(
        (ctypes.c_void_p * len(listed))(*listed)
    )
    method = _Method(b"compiled", code.address(ENTER), _FLAGS, None)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object)(
        ("PyCFunction_NewEx", python)
    )
    current = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThreadState_Get", python))
    number = ctypes.PYFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(("PyThreadState_GetID", python))
    return _System(code, method, make, lambda: number(current()), latest)


class Entry:
    """One compiled function, for one kind of arguments, as a function that Python calls.

    Attributes
    ----------
    function : builtin function
        Takes what the compiled function takes.
    """

    def __init__(
        self, native: Native, signature: Signature, fallback: Callable[..., Any],
        clock: ctypes.c_int64,
    ) -> None:  # fmt: skip
        found = _find_system()
        assert found is not None
        self._system = found
        self._native, self._signature = native, signature
        self._valid = ctypes.c_int64(0)
        self._armed: Any = None
        self._block = _lay_out(native, signature, fallback, self._valid)
        self._block.kept += [found, clock]
        _write(self._block, Word.CLOCK, ctypes.addressof(clock))
        self.function = found.make(ctypes.addressof(found.method), self._block, None)

    @property
    def stamp(self) -> int:
        """What the clock was at the latest call."""
        return struct.unpack_from("=q", self._block, 8 * Word.STAMP)[0]

    def pass_to(self, other: Entry | None) -> None:
        """Let another entry try the calls that this one does not take; no chain may be a ring."""
        _write(self._block, Word.NEXT, 0)
        # The block is held here; code that looks at it meanwhile holds it, too.
        self._block.kept[1] = None if other is None else other._block
        if other is not None:
            _write(self._block, Word.NEXT, id(other._block))

    def arm(self, watches: Sequence[Row], epoch: int | None, modes: bool) -> None:
        """Take what is there now as what the program was made for; one thread at a time.

        Parameters
        ----------
        watches : list of (where, owner, key, object)
            What the function captured; `where` is the name of a Watch, in small letters.
        epoch : int or None
            The count of changes; None where no module or optimiser is read.
        modes : bool
            Whether the gradient mode matters.
        """
        self._note_thread()
        rows = [_row_of(*watch) for watch in watches]
        mask = ~0 if modes else ~int.from_bytes(b"\xff" + bytes(7), sys.byteorder)
        switches = int.from_bytes(bytes(state.switches), sys.byteorder) & mask
        armed = (rows, epoch, switches, mask)
        if armed == self._armed and self._valid.value:
            return
        valid = self._valid
        valid.value = 0  # no other thread passes the checks until all is written

        def forget(_: Any) -> None:
            valid.value = 0

        table = _words([n for row in rows for n in row])
        held = [_hold(thing, forget) for *_, thing in watches]
        _write(self._block, Word.WATCHES, len(rows))
        _write(self._block, Word.WATCH_ROWS, ctypes.addressof(table))
        _write(self._block, Word.EPOCH, epoch or 0)
        _write(self._block, Word.EPOCH_MASK, 0 if epoch is None else ~0)
        _write(self._block, Word.SWITCHES, switches)
        _write(self._block, Word.SWITCHES_MASK, mask)
        self._block.kept[0] = (table, held, [key for _, _, key, _ in watches])
        self._armed = armed
        valid.value = 1

    def arm_again(self, epoch: int | None) -> bool:
        """Arm with the same objects as before; return False if they must be looked for again."""
        if not self._valid.value or self._armed is None or self._armed[1] != epoch:
            return False
        self._note_thread()
        return True

    def _note_thread(self) -> None:
        """Let the code know where the switches of this thread are."""
        latest = self._system.latest
        latest.number = 0  # while the next line runs, no thread is known
        latest.switches = ctypes.addressof(state.switches)
        latest.number = self._system.count_thread()
        self._system.shared = (state.switches, changes)

    def runs_as(self, other: Entry) -> bool:
        """Return whether both do the same with the same arguments."""
        mine, its = self._signature, other._signature
        if (mine.outputs, mine.nest) != (its.outputs, its.nest):
            return False
        if len(mine.inputs) != len(its.inputs) or not all(
            p == q if isinstance(p, int) or isinstance(q, int) else _same_array(p, q)
            for p, q in zip(mine.inputs, its.inputs, strict=True)
        ):
            return False
        if self._native.code != other._native.code:
            return False
        mine, its = self._native.constants, other._native.constants
        return len(mine) == len(its) and all(map(_same_array, mine, its))


def _same_array(x: Any, y: Any) -> bool:
    """Return whether two arrays are alike, bit by bit."""
    return (x.shape, x.dtype, x.tobytes()) == (y.shape, y.dtype, y.tobytes())


def make_entry(
    native: Native, signature: Signature, fallback: Callable[..., Any], clock: ctypes.c_int64
) -> Entry | None:
    """Return an entry, or None where the platform or the signature has none.

    Parameters
    ----------
    native : Native
        The program.
    signature : Signature
    fallback : callable
        Takes every call that a check refuses.
    clock : c_int64
        Counts the calls of all entries of one function.
    """
    slots = len(signature.inputs) + len(signature.outputs) + len(native.constants)
    counts = (len(signature.arguments), len(signature.outputs))
    if slots > SPARE or max(counts) > MOST or len(signature.nest) > 2 * MOST:
        return None
    if native.arena_bytes > _ROOM:  # a second arena would cost more than calls do
        return None
    if _find_system() is None:
        return None
    return Entry(native, signature, fallback, clock)


def _lay_out(
    native: Native, signature: Signature, fallback: Callable[..., Any], valid: ctypes.c_int64
) -> _Block:
    """Return the block of an entry."""
    inputs, outputs = signature.inputs, signature.outputs
    kept: list[Any] = [None, None, fallback, valid, native, signature]
    block = _Block(8 * len(Word))
    block.kept = kept

    def table(rows: Sequence[Sequence[int]]) -> int:
        made = _words([n for row in rows for n in row])
        kept.append(made)
        return ctypes.addressof(made)

    def array_of(shape: Sequence[int], dtype: np.dtype[Any]) -> tuple[int, int, int, int]:
        kept.append(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return id(dtype), len(shape), table([shape]), size

    slot_of = {x: j for j, x in enumerate(inputs) if isinstance(x, int)}
    arguments: list[tuple[int, ...]] = []
    for i, (kind, *rest) in enumerate(signature.arguments):
        slot = slot_of.get(i, SPARE)
        if kind == "float":
            arguments.append((Argument.FLOAT, slot, 0, 0, 0, 0))
        elif kind == "array":
            arguments.append((Argument.ARRAY, slot, *array_of(*rest)))
        else:
            arguments.append((Argument.FIXED, slot, id(rest[0]), 0, 0, 0))
    results: list[tuple[int, ...]] = []
    for k, (place, as_float, shape, dtype) in enumerate(outputs):
        free = sum(
            1 << i for i in range(len(arguments)) if slot_of.get(i) not in native.kept_from[k]
        )
        kind = Output.ARRAY
        if as_float:
            kind = Output.DOUBLE if dtype.itemsize == 8 else Output.SINGLE
        results.append((kind, place, *array_of(shape, dtype), free))
    fixed: list[tuple[int, int]] = []
    for j, x in enumerate(inputs):
        if not isinstance(x, int):
            constant = np.ascontiguousarray(x)
            kept.append(constant)
            fixed.append((j, constant.ctypes.data))
    fixed += [
        (len(inputs) + len(outputs) + m, a.ctypes.data) for m, a in enumerate(native.constants)
    ]
    arena = np.empty(native.arena_bytes + 64, np.uint8)
    kept.append(arena)
    taken = [place for place in signature.nest if place >= 0] == [*range(len(outputs))]
    values = {
        Word.FALLBACK: id(fallback),
        Word.VALID: ctypes.addressof(valid),
        Word.CHANGES: ctypes.addressof(changes),
        Word.ARGUMENTS: len(arguments),
        Word.ARGUMENT_ROWS: table(arguments),
        Word.OUTPUTS: len(results),
        Word.OUTPUT_ROWS: table(results),
        Word.OUT: taken,
        Word.OUT_NAME: id(_OUT),
        Word.FIXED: len(fixed),
        Word.FIXED_ROWS: table(fixed),
        Word.PROGRAM: native.address,
        Word.ARENA: arena.ctypes.data + -arena.ctypes.data % 64,
        Word.RELEASE: native.long,
        Word.NEST: len(signature.nest),
        Word.NEST_ROWS: table([signature.nest]),
        Word.REFUSE: id(native.refuse),
        Word.INPUTS: len(inputs),
        Word.ROUTINES: native.routines,
    }
    for word, value in values.items():
        _write(block, word, value)
    return block


def _row_of(where: str, owner: Any, key: Any, thing: Any) -> tuple[int, int, int, int]:
    kind = Watch[where.upper()]
    place = id(key) if isinstance(key, str) else key
    return kind, id(owner), place, thing if kind is Watch.LENGTH else id(thing)


def _hold(thing: Any, forget: Callable[[Any], None]) -> Any:
    """Return what tells when a thing is gone; the thing itself if nothing can tell."""
    try:
        return weakref.ref(thing, forget)
    except TypeError:
        return thing


def _words(numbers: Sequence[int]) -> Any:
    return (ctypes.c_int64 * max(1, len(numbers)))(*numbers)


def _write(block: _Block, word: Word, value: int) -> None:
    struct.pack_into("=q", block, 8 * word, value)
