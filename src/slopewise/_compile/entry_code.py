"""The code by which Python enters compiled functions: one function for all of them, as LLVM IR.

Invariant: it runs a program only if every check of its block holds, tries the blocks of a chain one
after the other, and hands any other call, unchanged, to the way through Python; it takes all that
differs between compiled functions from a block of words, which it holds while it looks at it, and
all addresses from a table that is filled at the start, so that its object code can be kept. Between
the first check of a block and the end of its program no Python code runs. It is separate from
`entry`, which lays out the blocks.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum

from slopewise._compile.builder import Builder, Module

ENTER = "slopewise_enter"
SET_UP = "slopewise_set_up"
_ATTEMPT = "attempt"
_PASSED = "@api"  # what an attempt returns whose checks failed: an address that no object has
SLOTS = 64  # pointers that a program may take
SPARE = SLOTS - 1  # the slot of an argument that the program does not read
MOST = 16  # arguments, results, and levels of nests of results
C_ORDER, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400  # NumPy's flags of an array

API = (
    "PyByteArray_AsString", "PyThreadState_Get", "PyThreadState_GetID", "PyObject_Vectorcall",
    "PyDict_GetItemWithError", "PyFunction_GetDefaults", "PyFunction_GetKwDefaults",
    "PyObject_GenericGetDict", "PyErr_Clear", "PyList_Size", "PyList_GetItem",
    "PyFloat_FromDouble", "PyLong_FromLongLong", "PyTuple_New", "PyTuple_SetItem", "Py_IncRef",
    "Py_DecRef", "PyEval_SaveThread", "PyEval_RestoreThread", "PyArray_Empty",
    "float", "tuple", "ndarray", "thread",
)  # fmt: skip


class Word(IntEnum):
    """The words of a block."""

    FALLBACK = 0  # what is called where a check fails
    VALID = 1  # address of a word that is 0 once something that was captured is gone
    CHANGES = 2  # address of the count of changes of modules
    EPOCH = 3  # what it must be, in the bits of the next word
    EPOCH_MASK = 4
    SWITCHES = 5  # the switches of the thread, in the bits of the next word
    SWITCHES_MASK = 6
    WATCHES = 7  # how many places outside the arguments are compared
    WATCH_ROWS = 8
    ARGUMENTS = 9
    ARGUMENT_ROWS = 10
    OUTPUTS = 11
    OUTPUT_ROWS = 12
    OUT = 13  # whether `out` is taken here
    OUT_NAME = 14
    FIXED = 15  # slots that are the same in each call
    FIXED_ROWS = 16
    PROGRAM = 17
    ARENA = 18
    RELEASE = 19  # whether other threads may run meanwhile
    BUSY = 20  # whether one of them uses the arena
    NEST = 21  # how many operations put the results together
    NEST_ROWS = 22
    REFUSE = 23  # what is called with a status that is not 0
    INPUTS = 24  # how many slots come before those of the outputs
    ROUTINES = 25  # what the program may call: no threads, but what looks for interrupts
    NEXT = 26  # the object with the block that is tried next; 0 for none
    CLOCK = 27  # address of a count of calls
    STAMP = 28  # what it was at the latest call of this program


class Watch(IntEnum):
    """Where a watched object is found; a row holds this, an owner, a key and the object."""

    CELL = 0
    DICT = 1
    DEFAULTS = 2
    KEYWORD = 3
    VARIABLE = 4
    LENGTH = 5
    ITEM = 6


class Argument(IntEnum):
    """Kinds of arguments; a row holds this, a slot, a dtype (or object), ndim, shape and bytes."""

    FLOAT = 0
    ARRAY = 1
    FIXED = 2


class Output(IntEnum):
    """Kinds of outputs; a row holds this, its place among the results, a dtype, ndim, shape,
    bytes, and the arguments (as bits) whose memory may be written directly."""

    DOUBLE = 0  # shown as a Python float
    SINGLE = 1
    ARRAY = 2


WATCH_WORDS, ARGUMENT_WORDS, OUTPUT_WORDS, FIXED_WORDS = 4, 6, 7, 2


class _Writer(Builder):
    """Writes on addresses, objects and words, by name."""

    def word(self, base: str, index: int | str, kind: str = "i64") -> str:
        """Return a word of a table."""
        return self.pointer(f"load {kind}, ptr {self.at(base, index)}")

    def at(self, base: str, index: int | str) -> str:
        return self.pointer(f"getelementptr i64, ptr {base}, i64 {index}")

    def field(self, thing: str, offset: int, kind: str = "ptr") -> str:
        """Return a field of an object, by its offset in bytes."""
        place = self.pointer(f"getelementptr i8, ptr {thing}, i64 {offset}")
        return self.pointer(f"load {kind}, ptr {place}")

    def ask(self, name: str, given: str = "", result: str = "ptr") -> str:
        """Call a function of Python or NumPy."""
        function = self.word("@api", API.index(name), "ptr")
        return self.pointer(f"call {result} {function}({given})")

    def tell(self, name: str, given: str) -> None:
        function = self.word("@api", API.index(name), "ptr")
        self.write(f"call void {function}({given})")

    def test(self, relation: str, x: str, y: str | int, kind: str = "i64") -> str:
        return self.pointer(f"icmp {relation} {kind} {x}, {y}")

    def require(self, condition: str, otherwise: str = "slow") -> None:
        """Leave unless a condition holds."""
        on = self.label("on")
        self.write(f"br i1 {condition}, label %{on}, label %{otherwise}")
        self.open_block(on)

    def equal(self, x: str, y: str | int, kind: str = "i64") -> None:
        self.require(self.test("eq", x, y, kind))

    @contextmanager
    def case(self, condition: str, end: str) -> Generator[None]:
        """Write what is done where a condition holds, after which `end` follows."""
        taken, other = self.label("case"), self.label("other")
        self.write(f"br i1 {condition}, label %{taken}, label %{other}")
        self.open_block(taken)
        yield
        self.jump(end)
        self.open_block(other)

    def kind_of(self, thing: str) -> str:
        return self.field(thing, 8)

    def type_named(self, name: str) -> str:
        return self.word("@api", API.index(name), "ptr")

    def row(self, rows: str, index: str, words: int) -> str:
        return self.at(rows, self.pointer(f"mul i64 {index}, {words}"))

    def array(self, thing: str, row: str, first: int, flags: int) -> str:
        """Require an array of the dtype, ndim and shape in a row; return the address of its data.

        The fields are those of NumPy's PyArrayObject, which are part of its stable ABI.
        """
        self.equal(self.kind_of(thing), self.type_named("ndarray"), "ptr")
        self.equal(self.field(thing, 56), self.word(row, first, "ptr"), "ptr")
        ndim = self.pointer(f"zext i32 {self.field(thing, 24, 'i32')} to i64")
        self.equal(ndim, self.word(row, first + 1))
        marked = self.pointer(f"and i32 {self.field(thing, 64, 'i32')}, {flags}")
        self.equal(marked, flags, "i32")
        sizes, wanted = self.field(thing, 32), self.word(row, first + 2, "ptr")
        with self.loop(0, ndim) as axis:
            self.equal(self.word(sizes, axis), self.word(wanted, axis))
        return self.field(thing, 16)


class _Frame:
    """The memory on the stack that one call uses, so that calls never meet."""

    def __init__(self, b: _Writer) -> None:
        self.slots = b.reserve(SLOTS, "ptr")
        self.floats = b.reserve(MOST, "double")  # arguments
        self.scalars = b.reserve(MOST, "double")  # results
        self.low, self.high = b.reserve(MOST, "i64"), b.reserve(MOST, "i64")  # of the arguments
        self.begin, self.end = b.reserve(MOST, "i64"), b.reserve(MOST, "i64")  # of the outputs
        self.objects = b.reserve(MOST, "ptr")
        self.stack = b.reserve(MOST * 2, "ptr")
        self.depth = b.reserve(1, "i64")
        self.status = b.reserve(1, "i64")
        self.one = b.reserve(1, "ptr")


def write_entry(vector_bytes: int) -> str:
    """Return the module."""
    module = Module(vector_bytes)
    module.globals.append(f"@api = internal global [{len(API)} x ptr] zeroinitializer")
    b = _Writer(module, SET_UP, [("ptr", "given")])
    with b.loop(0, len(API)) as i:
        b.write(f"store ptr {b.word('%given', i, 'ptr')}, ptr {b.at('@api', i)}")
    b.finish("ret void")
    _write_attempt(module)
    _write_chain(module)
    return module.text()


_GIVEN = [("ptr", "args"), ("i64", "given"), ("ptr", "names")]


def _write_chain(module: Module) -> None:
    """Write what Python calls: one block after the other is tried, then the way through Python."""
    b = _Writer(module, ENTER, [("ptr", "self"), *_GIVEN], "ptr", attributes="nounwind")
    b.tell("Py_IncRef", "ptr %self")
    b.jump("start")
    b.open_block("start")
    b.jump("try")
    b.open_block("try")
    holder = b.pointer("phi ptr [%self, %start], [%following, %next]")
    block = b.ask("PyByteArray_AsString", f"ptr {holder}")
    given = "ptr %args, i64 %given, ptr %names"
    b.write(f"%answer = call ptr @{_ATTEMPT}(ptr {block}, {given})")
    b.require(b.test("eq", "%answer", _PASSED, "ptr"), "done")
    b.write(f"%following = load ptr, ptr {b.at(block, Word.NEXT)}")
    b.require(b.test("ne", "%following", "null", "ptr"), "slow")
    b.jump("next")
    b.open_block("next")
    b.tell("Py_IncRef", "ptr %following")
    b.tell("Py_DecRef", f"ptr {holder}")
    b.jump("try")
    b.open_block("slow")
    slow = b.word(block, Word.FALLBACK, "ptr")
    b.write(f"%made = call ptr {b.word('@api', API.index('PyObject_Vectorcall'), 'ptr')}"
            f"(ptr {slow}, {given})")  # fmt: skip
    b.jump("done")
    b.open_block("done")
    result = b.pointer("phi ptr [%answer, %try], [%made, %slow]")
    b.tell("Py_DecRef", f"ptr {holder}")
    b.finish(f"ret ptr {result}")


def _write_attempt(module: Module) -> None:
    """Write what a block does with a call: it checks and runs it, or lets it pass."""
    b = _Writer(
        module, _ATTEMPT, [("ptr", "block"), *_GIVEN], "ptr", "internal", "noinline nounwind"
    )
    block = "%block"
    frame = _Frame(b)
    _check_thread(b, block)
    _check_watches(b, block)
    b.equal("%given", b.word(block, Word.ARGUMENTS))
    _take_arguments(b, block, frame)
    named, unnamed, run = b.label("named"), b.label("unnamed"), b.label("run")
    has_names = b.test("ne", "%names", "null", "ptr")
    b.write(f"br i1 {has_names}, label %{named}, label %{unnamed}")
    b.open_block(named)
    _take_out(b, block, frame)
    b.jump(run)
    b.open_block(unnamed)
    _make_outputs(b, block, frame)
    b.jump(run)
    b.open_block(run)
    _run(b, block, frame)
    with b.case(has_names, "given_out"):
        pass
    _show(b, block, frame)
    b.open_block("given_out")
    out = b.word("%args", "%given", "ptr")
    b.tell("Py_IncRef", f"ptr {out}")
    b.write(f"ret ptr {out}")
    b.open_block("slow")
    b.write(f"ret ptr {_PASSED}")
    _give_up(b, block, frame)
    b.finish()


def _check_thread(b: _Writer, block: str) -> None:
    """Check what holds for the whole thread: switches, changes of modules, the arena."""
    b.require(b.test("ne", b.field(b.word(block, Word.VALID, "ptr"), 0, "i64"), 0))
    b.equal(b.word(block, Word.BUSY), 0)
    thread = b.ask("PyThreadState_GetID", f"ptr {b.ask('PyThreadState_Get')}", "i64")
    known = b.type_named("thread")
    b.equal(thread, b.word(known, 0))
    switches = b.field(b.word(known, 1, "ptr"), 0, "i64")
    now = b.pointer(f"and i64 {switches}, {b.word(block, Word.SWITCHES_MASK)}")
    b.equal(now, b.word(block, Word.SWITCHES))
    count = b.field(b.word(block, Word.CHANGES, "ptr"), 0, "i64")
    now = b.pointer(f"and i64 {count}, {b.word(block, Word.EPOCH_MASK)}")
    b.equal(now, b.word(block, Word.EPOCH))


def _check_watches(b: _Writer, block: str) -> None:
    """Check that each watched place holds the object that it held."""
    rows = b.word(block, Word.WATCH_ROWS, "ptr")
    with b.loop(0, b.word(block, Word.WATCHES)) as i:
        row = b.row(rows, i, WATCH_WORDS)
        kind, owner, key = b.word(row, 0), b.word(row, 1, "ptr"), b.word(row, 2, "ptr")
        end = b.label("watched")
        found = b.reserve(1, "ptr", 8)

        def keep(value: str) -> None:
            b.write(f"store ptr {value}, ptr {found}")

        with b.case(b.test("eq", kind, Watch.CELL), end):
            keep(b.field(owner, 16))
        with b.case(b.test("eq", kind, Watch.DICT), end):
            keep(b.ask("PyDict_GetItemWithError", f"ptr {owner}, ptr {key}"))
        with b.case(b.test("eq", kind, Watch.DEFAULTS), end):
            keep(b.ask("PyFunction_GetDefaults", f"ptr {owner}"))
        with b.case(b.test("eq", kind, Watch.KEYWORD), end):
            table = b.ask("PyFunction_GetKwDefaults", f"ptr {owner}")
            b.require(b.test("ne", table, "null", "ptr"))
            keep(b.ask("PyDict_GetItemWithError", f"ptr {table}, ptr {key}"))
        with b.case(b.test("eq", kind, Watch.VARIABLE), end):
            table = b.ask("PyObject_GenericGetDict", f"ptr {owner}, ptr null")
            b.require(b.test("ne", table, "null", "ptr"), "strange")
            keep(b.ask("PyDict_GetItemWithError", f"ptr {table}, ptr {key}"))
            b.tell("Py_DecRef", f"ptr {table}")  # its object holds it
        with b.case(b.test("eq", kind, Watch.LENGTH), end):
            size = b.ask("PyList_Size", f"ptr {owner}", "i64")
            keep(b.pointer(f"inttoptr i64 {size} to ptr"))
        place = b.pointer(f"ptrtoint ptr {key} to i64")
        keep(b.ask("PyList_GetItem", f"ptr {owner}, i64 {place}"))
        b.jump(end)
        b.open_block(end)
        now = b.pointer(f"load ptr, ptr {found}")
        b.equal(now, b.word(row, 3, "ptr"), "ptr")


def _take_arguments(b: _Writer, block: str, frame: _Frame) -> None:
    """Check the arguments, and note where their numbers are."""
    rows = b.word(block, Word.ARGUMENT_ROWS, "ptr")
    with b.loop(0, "%given") as i:
        thing = b.word("%args", i, "ptr")
        row = b.row(rows, i, ARGUMENT_WORDS)
        kind, slot = b.word(row, 0), b.at(frame.slots, b.word(row, 1))
        end = b.label("taken")
        b.write(f"store i64 0, ptr {b.at(frame.low, i)}")
        b.write(f"store i64 0, ptr {b.at(frame.high, i)}")
        with b.case(b.test("eq", kind, Argument.FLOAT), end):
            b.equal(b.kind_of(thing), b.type_named("float"), "ptr")
            copied = b.at(frame.floats, i)
            b.write(f"store double {b.field(thing, 16, 'double')}, ptr {copied}")
            b.write(f"store ptr {copied}, ptr {slot}")
        with b.case(b.test("eq", kind, Argument.ARRAY), end):
            data = b.array(thing, row, 2, C_ORDER | ALIGNED)
            b.write(f"store ptr {data}, ptr {slot}")
            low = b.pointer(f"ptrtoint ptr {data} to i64")
            b.write(f"store i64 {low}, ptr {b.at(frame.low, i)}")
            high = b.pointer(f"add i64 {low}, {b.word(row, 5)}")
            b.write(f"store i64 {high}, ptr {b.at(frame.high, i)}")
        b.equal(thing, b.word(row, 2, "ptr"), "ptr")
        b.jump(end)
        b.open_block(end)


def _overlap(b: _Writer, low: str, high: str, other_low: str, other_high: str) -> str:
    first = b.test("ult", low, other_high)
    second = b.test("ult", other_low, high)
    return b.pointer(f"and i1 {first}, {second}")


def _take_out(b: _Writer, block: str, frame: _Frame) -> None:
    """Check the arrays given as `out`, and that writing to them changes no input too early."""
    b.equal(b.field("%names", 16, "i64"), 1)
    b.equal(b.field("%names", 24), b.word(block, Word.OUT_NAME, "ptr"), "ptr")
    out = b.word("%args", "%given", "ptr")
    b.require(b.test("eq", b.word(block, Word.OUT), 1))
    outputs = b.word(block, Word.OUTPUTS)
    items = _take_apart(b, block, frame, out)
    first = b.at(frame.slots, b.word(block, Word.INPUTS))
    rows = b.word(block, Word.OUTPUT_ROWS, "ptr")
    with b.loop(0, outputs) as k:
        row = b.row(rows, k, OUTPUT_WORDS)
        thing = b.word(items, b.word(row, 1), "ptr")
        data = b.array(thing, row, 2, C_ORDER | ALIGNED | WRITEABLE)
        b.write(f"store ptr {data}, ptr {b.at(first, k)}")
        low = b.pointer(f"ptrtoint ptr {data} to i64")
        high = b.pointer(f"add i64 {low}, {b.word(row, 5)}")
        b.write(f"store i64 {low}, ptr {b.at(frame.begin, k)}")
        b.write(f"store i64 {high}, ptr {b.at(frame.end, k)}")
        allowed = b.word(row, 6)
        with b.loop(0, "%given") as i:
            bit = b.pointer(f"and i64 1, {b.pointer(f'lshr i64 {allowed}, {i}')}")
            same = b.test("eq", thing, b.word("%args", i, "ptr"), "ptr")
            may = b.pointer(f"and i1 {same}, {b.test('ne', bit, 0)}")
            places = b.word(frame.low, i), b.word(frame.high, i)
            apart = b.pointer(f"xor i1 {_overlap(b, low, high, *places)}, true")
            b.require(b.pointer(f"or i1 {may}, {apart}"))
        with b.loop(0, k) as j:
            places = b.word(frame.begin, j), b.word(frame.end, j)
            b.require(b.pointer(f"xor i1 {_overlap(b, low, high, *places)}, true"))
        b.write(f"store ptr null, ptr {b.at(frame.objects, k)}")


def _take_apart(b: _Writer, block: str, frame: _Frame, out: str) -> str:
    """Return a list of the arrays in a nest of tuples that has the form of the results.

    The operations that put results together are undone, the last one first.
    """
    items = b.reserve(MOST, "ptr", 8)
    rows, count = b.word(block, Word.NEST_ROWS, "ptr"), b.word(block, Word.NEST)
    b.write(f"store ptr {out}, ptr {frame.stack}")
    b.write(f"store i64 1, ptr {frame.depth}")
    with b.loop(0, count) as k:
        operation = b.word(rows, b.pointer(f"sub i64 {b.pointer(f'sub i64 {count}, 1')}, {k}"))
        depth = b.pointer(f"sub i64 {b.pointer(f'load i64, ptr {frame.depth}')}, 1")
        thing, end = b.word(frame.stack, depth, "ptr"), b.label("taken")
        b.write(f"store i64 {depth}, ptr {frame.depth}")
        with b.case(b.test("sge", operation, 0), end):
            b.write(f"store ptr {thing}, ptr {b.at(items, operation)}")
        size = b.pointer(f"sub i64 -1, {operation}")
        b.equal(b.kind_of(thing), b.type_named("tuple"), "ptr")
        b.equal(b.field(thing, 16, "i64"), size)
        first = b.pointer(f"getelementptr i8, ptr {thing}, i64 24")
        with b.loop(0, size) as j:
            place = b.at(frame.stack, b.pointer(f"add i64 {depth}, {j}"))
            b.write(f"store ptr {b.word(first, j, 'ptr')}, ptr {place}")
        b.write(f"store i64 {b.pointer(f'add i64 {depth}, {size}')}, ptr {frame.depth}")
        b.jump(end)
        b.open_block(end)
    return items


def _make_outputs(b: _Writer, block: str, frame: _Frame) -> None:
    """Make the arrays of the results, and room for those that become floats."""
    outputs = b.word(block, Word.OUTPUTS)
    with b.loop(0, outputs) as k:
        b.write(f"store ptr null, ptr {b.at(frame.objects, k)}")
    first = b.at(frame.slots, b.word(block, Word.INPUTS))
    rows = b.word(block, Word.OUTPUT_ROWS, "ptr")
    with b.loop(0, outputs) as k:
        row = b.row(rows, k, OUTPUT_WORDS)
        end = b.label("made")
        with b.case(b.test("ne", b.word(row, 0), Output.ARRAY), end):
            b.write(f"store ptr {b.at(frame.scalars, k)}, ptr {b.at(first, k)}")
        dtype = b.word(row, 2, "ptr")
        b.tell("Py_IncRef", f"ptr {dtype}")  # the next call takes one
        ndim = b.pointer(f"trunc i64 {b.word(row, 3)} to i32")
        made = b.ask(
            "PyArray_Empty", f"i32 {ndim}, ptr {b.word(row, 4, 'ptr')}, ptr {dtype}, i32 0"
        )
        b.require(b.test("ne", made, "null", "ptr"), "failed")
        b.write(f"store ptr {made}, ptr {b.at(frame.objects, b.word(row, 1))}")
        b.write(f"store ptr {b.field(made, 16)}, ptr {b.at(first, k)}")
        b.jump(end)
        b.open_block(end)


def _run(b: _Writer, block: str, frame: _Frame) -> None:
    """Run the program, and let other threads run meanwhile if it is long."""
    clock = b.word(block, Word.CLOCK, "ptr")
    now = b.pointer(f"add i64 {b.word(clock, 0)}, 1")
    b.write(f"store i64 {now}, ptr {clock}")
    b.write(f"store i64 {now}, ptr {b.at(block, Word.STAMP)}")
    rows = b.word(block, Word.FIXED_ROWS, "ptr")
    with b.loop(0, b.word(block, Word.FIXED)) as j:
        row = b.row(rows, j, FIXED_WORDS)
        b.write(f"store ptr {b.word(row, 1, 'ptr')}, ptr {b.at(frame.slots, b.word(row, 0))}")
    b.write(f"store i64 0, ptr {frame.status}")
    program, arena = b.word(block, Word.PROGRAM, "ptr"), b.word(block, Word.ARENA, "ptr")
    routines = b.word(block, Word.ROUTINES, "ptr")
    given = f"ptr {frame.slots}, ptr {arena}, ptr {frame.status}, ptr null, ptr {routines}"
    done = b.label("done")
    with b.case(b.test("ne", b.word(block, Word.RELEASE), 0), done):
        busy = b.at(block, Word.BUSY)
        b.write(f"store i64 1, ptr {busy}")
        thread = b.ask("PyEval_SaveThread")
        b.write(f"call void {program}({given})")
        b.tell("PyEval_RestoreThread", f"ptr {thread}")
        b.write(f"store i64 0, ptr {busy}")
    b.write(f"call void {program}({given})")
    b.jump(done)
    b.open_block(done)
    b.require(b.test("eq", b.pointer(f"load i64, ptr {frame.status}"), 0), "refused")


def _show(b: _Writer, block: str, frame: _Frame) -> None:
    """Make floats of the results that are shown so, put all together and return it."""
    rows = b.word(block, Word.OUTPUT_ROWS, "ptr")
    with b.loop(0, b.word(block, Word.OUTPUTS)) as k:
        row = b.row(rows, k, OUTPUT_WORDS)
        kind, place = b.word(row, 0), b.at(frame.objects, b.word(row, 1))
        scalar = b.at(frame.scalars, k)
        end, box = b.label("shown"), b.label("box")
        number = b.reserve(1, "double", 8)
        with b.case(b.test("eq", kind, Output.ARRAY), end):
            pass
        with b.case(b.test("eq", kind, Output.DOUBLE), box):
            b.write(f"store double {b.pointer(f'load double, ptr {scalar}')}, ptr {number}")
        single = b.pointer(f"load float, ptr {scalar}")
        b.write(f"store double {b.pointer(f'fpext float {single} to double')}, ptr {number}")
        b.jump(box)
        b.open_block(box)
        value = b.pointer(f"load double, ptr {number}")
        made = b.ask("PyFloat_FromDouble", f"double {value}")
        b.require(b.test("ne", made, "null", "ptr"), "failed")
        b.write(f"store ptr {made}, ptr {place}")
        b.jump(end)
        b.open_block(end)
    b.write(f"store i64 0, ptr {frame.depth}")
    rows = b.word(block, Word.NEST_ROWS, "ptr")
    with b.loop(0, b.word(block, Word.NEST)) as k:
        operation = b.word(rows, k)
        depth = b.pointer(f"load i64, ptr {frame.depth}")
        end = b.label("put")
        with b.case(b.test("sge", operation, 0), end):
            place = b.at(frame.objects, operation)
            thing = b.pointer(f"load ptr, ptr {place}")
            b.write(f"store ptr {thing}, ptr {b.at(frame.stack, depth)}")
            b.write(f"store ptr null, ptr {place}")
            b.write(f"store i64 {b.pointer(f'add i64 {depth}, 1')}, ptr {frame.depth}")
        size = b.pointer(f"sub i64 -1, {operation}")
        start = b.pointer(f"sub i64 {depth}, {size}")
        made = b.ask("PyTuple_New", f"i64 {size}")
        b.require(b.test("ne", made, "null", "ptr"), "no_memory")
        with b.loop(0, size) as j:
            thing = b.word(frame.stack, b.pointer(f"add i64 {start}, {j}"), "ptr")
            b.ask("PyTuple_SetItem", f"ptr {made}, i64 {j}, ptr {thing}", "i32")
        b.write(f"store ptr {made}, ptr {b.at(frame.stack, start)}")
        b.write(f"store i64 {b.pointer(f'add i64 {start}, 1')}, ptr {frame.depth}")
        b.jump(end)
        b.open_block(end)
    b.write(f"ret ptr {b.word(frame.stack, 0, 'ptr')}")


def _give_up(b: _Writer, block: str, frame: _Frame) -> None:
    """Write the ways out with an error."""
    b.open_block("strange")  # an object whose attributes are elsewhere
    b.tell("PyErr_Clear", "")
    b.jump("slow")
    b.open_block("refused")
    _drop(b, block, frame)
    status = b.ask("PyLong_FromLongLong", f"i64 {b.pointer(f'load i64, ptr {frame.status}')}")
    b.require(b.test("ne", status, "null", "ptr"), "nothing")
    b.write(f"store ptr {status}, ptr {frame.one}")
    refuse = b.word(block, Word.REFUSE, "ptr")
    raised = b.ask("PyObject_Vectorcall", f"ptr {refuse}, ptr {frame.one}, i64 1, ptr null")
    b.tell("Py_DecRef", f"ptr {status}")
    b.tell("Py_DecRef", f"ptr {raised}")  # there is none: it raises
    b.jump("nothing")
    b.open_block("no_memory")
    with b.loop(0, b.pointer(f"load i64, ptr {frame.depth}")) as k:
        b.tell("Py_DecRef", f"ptr {b.word(frame.stack, k, 'ptr')}")
    b.jump("failed")
    b.open_block("failed")
    _drop(b, block, frame)
    b.jump("nothing")
    b.open_block("nothing")
    b.write("ret ptr null")


def _drop(b: _Writer, block: str, frame: _Frame) -> None:
    """Give up the results that were made."""
    with b.loop(0, b.word(block, Word.OUTPUTS)) as k:
        b.tell("Py_DecRef", f"ptr {b.word(frame.objects, k, 'ptr')}")
