"""Text of LLVM IR, written instruction by instruction: modules, functions, vector registers.

Invariant: a register knows its dtype and number of lanes, operations check nothing and fold nothing
but constants, and no fast-math flag is set except `contract` (and `reassoc` on the sums that ask
for it). It is separate because the emitter, the mathematical functions and the entry points all
write code, and only this file knows LLVM's syntax.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

_ELEMENTS = {
    "float64": "double", "float32": "float", "int64": "i64", "int32": "i32", "int16": "i16",
    "int8": "i8", "uint8": "i8", "bool": "i1", "uint64": "i64", "uint32": "i32",
}  # fmt: skip
_PREFETCH = "llvm.prefetch.p0"
_SUFFIX = {"double": "f64", "float": "f32"}


class Type:
    """The type of a register: a NumPy dtype and a number of lanes (1: a scalar)."""

    __slots__ = ("bytes", "dtype", "element", "floating", "lanes", "suffix", "text")

    def __init__(self, dtype: np.dtype[Any], lanes: int) -> None:
        self.dtype = dtype
        self.lanes = lanes
        self.element = _ELEMENTS[dtype.name]
        self.text = self.element if lanes == 1 else f"<{lanes} x {self.element}>"
        self.floating = dtype.kind == "f"
        self.bytes = dtype.itemsize
        short = _SUFFIX.get(self.element, self.element)
        self.suffix = short if lanes == 1 else f"v{lanes}{short}"

    def __repr__(self) -> str:
        return self.text


@lru_cache(maxsize=512)
def type_of(dtype: np.dtype[Any], lanes: int = 1) -> Type:
    """Return the one Type of a dtype and a number of lanes."""
    return Type(dtype, lanes)


FLOAT64, FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)
INT64, INT32 = np.dtype(np.int64), np.dtype(np.int32)
UINT64 = np.dtype(np.uint64)
BOOL = np.dtype(np.bool_)
_BITS_OF = {FLOAT64: INT64, FLOAT32: INT32}
_FLOAT_OF = {8: FLOAT64, 4: FLOAT32}


class Register:
    """A value in the code: its text (a name or a literal) and its type."""

    __slots__ = ("text", "type")

    def __init__(self, text: str, type: Type) -> None:
        self.text = text
        self.type = type

    def __repr__(self) -> str:
        return f"{self.type.text} {self.text}"


Operand = Any  # Register | float | int | bool


def literal(number: float, type: Type) -> str:
    """Return a constant as LLVM writes it: floats by their bits, so that nothing is rounded."""
    if type.floating:
        if type.bytes == 4:
            with np.errstate(all="ignore"):
                number = float(np.float32(number))
        bits: int = struct.unpack("<Q", struct.pack("<d", number))[0]
        one = f"0x{bits:016X}"
    elif type.dtype.kind == "b":
        one = "true" if number else "false"
    else:
        one = str(int(number))
    return one if type.lanes == 1 else f"splat ({type.element} {one})"


def _first_lanes(count: int, lanes: int) -> Register:
    """Return a mask of the first lanes."""
    text = ", ".join(f"i1 {str(i < count).lower()}" for i in range(lanes))
    return Register(f"<{text}>", type_of(BOOL, lanes))


class Module:
    """One unit of code: declarations, global constants and functions, in order of first use."""

    def __init__(self, vector_bytes: int, *, checked: bool = False) -> None:
        self.vector_bytes = vector_bytes
        self.checked = checked
        self.declared: dict[str, str] = {}
        self.globals: list[str] = []
        self.functions: dict[str, list[str]] = {}
        self.attributes: list[str] = []

    def declare(self, name: str, text: str) -> None:
        """Note a declaration once."""
        self.declared.setdefault(name, text)

    def text(self) -> str:
        """Return the whole module as IR."""
        parts = [*self.globals, *self.declared.values()]
        for lines in self.functions.values():
            parts.append("\n".join(lines))
        return "\n".join([*parts, *self.attributes, ""])

    def lanes(self, dtype: np.dtype[Any]) -> int:
        """Return how many elements of a dtype fill a vector register."""
        return max(1, self.vector_bytes // dtype.itemsize)


_COMPARE_FLOAT = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge", "==": "oeq", "!=": "une"}
_COMPARE_INT = {"<": "slt", "<=": "sle", ">": "sgt", ">=": "sge", "==": "eq", "!=": "ne"}
_COMPARE_BOOL = {"<": "ult", "<=": "ule", ">": "ugt", ">=": "uge", "==": "eq", "!=": "ne"}


class Builder:
    """Writes one function. `contract` lets products and sums become fused multiply-adds."""

    def __init__(
        self,
        module: Module,
        name: str,
        parameters: Sequence[tuple[str, str]],
        result: str = "void",
        linkage: str = "",
        attributes: str = "",
    ) -> None:
        self.module = module
        self.name = name
        listed = ", ".join(f"{kind} %{label}" for kind, label in parameters)
        self.head = f"define {linkage} {result} @{name}({listed}) {attributes}"
        self.entry: list[str] = []
        self.lines: list[str] = []
        self.count = 0
        self.block = "entry"
        self.contract = " contract"
        self.crowded = False  # whether mathematical functions are called, not written out

    # --- the frame -----------------------------------------------------------------------------

    def finish(self, *closing: str) -> None:
        """Close the function and put it in its module."""
        self.lines.extend("  " + line for line in closing)
        self.module.functions[self.name] = [
            self.head + " {", "entry:", *self.entry, *self.lines, "}",
        ]  # fmt: skip

    def fresh(self) -> str:
        self.count += 1
        return f"%t{self.count}"

    def label(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def write(self, line: str) -> None:
        self.lines.append("  " + line)

    def name_value(self, text: str, type: Type) -> Register:
        """Write an instruction and return the register that holds its result."""
        self.count += 1
        name = f"%t{self.count}"
        self.lines.append(f"  {name} = {text}")
        return Register(name, type)

    def pointer(self, text: str) -> str:
        """Write an instruction that gives an address; return its name."""
        self.count += 1
        name = f"%t{self.count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def reserve(self, count: int, element: str, align: int = 64) -> str:
        """Reserve stack memory in the entry block; return its address."""
        name = self.fresh()
        self.entry.append(f"  {name} = alloca {element}, i64 {count}, align {align}")
        return name

    def open_block(self, label: str) -> None:
        """Start the block that is jumped to as `label`."""
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        self.write(f"br label %{label}")

    def branch(self, condition: Register, taken: str, other: str) -> None:
        self.write(f"br i1 {condition.text}, label %{taken}, label %{other}")

    @contextmanager
    def loop(self, start: Any, stop: Any, step: int = 1) -> Generator[str]:
        """Write a counted loop around what is written inside; yields the counter's name.

        `start` and `stop` are numbers or names of i64 values; the body runs while counter < stop.
        """
        head, body, latch, end = (self.label(s) for s in ("head", "body", "latch", "end"))
        before = self.label("before")
        self.jump(before)
        self.open_block(before)
        self.jump(head)
        self.open_block(head)
        counter = f"%i.{head}"
        following = f"%n.{head}"
        self.write(f"{counter} = phi i64 [{start}, %{before}], [{following}, %{latch}]")
        inside = self.fresh()
        self.write(f"{inside} = icmp slt i64 {counter}, {stop}")
        self.write(f"br i1 {inside}, label %{body}, label %{end}")
        self.open_block(body)
        yield counter
        self.jump(latch)
        self.open_block(latch)
        self.write(f"{following} = add nuw nsw i64 {counter}, {step}")
        self.jump(head)
        self.open_block(end)

    @contextmanager
    def when(self, condition: Register) -> Generator[None]:
        """Write a branch around what is written inside, taken where the condition holds."""
        taken, end = self.label("taken"), self.label("end")
        self.branch(condition, taken, end)
        self.open_block(taken)
        yield
        self.jump(end)
        self.open_block(end)

    # --- integers of addresses (i64, by name) --------------------------------------------------

    def index_add(self, x: Any, y: Any) -> Any:
        if isinstance(x, int) and isinstance(y, int):
            return x + y
        if x == 0:
            return y
        if y == 0:
            return x
        return self.pointer(f"add nsw i64 {x}, {y}")

    def index_mul(self, x: Any, y: Any) -> Any:
        if isinstance(x, int) and isinstance(y, int):
            return x * y
        if x == 1:
            return y
        if y == 1:
            return x
        if x == 0 or y == 0:
            return 0
        return self.pointer(f"mul nsw i64 {x}, {y}")

    # --- memory --------------------------------------------------------------------------------

    def address(self, base: str, index: Any, dtype: np.dtype[Any]) -> str:
        """Return the address of an element of an array."""
        if index == 0:
            return base
        element = "i8" if dtype == BOOL else type_of(dtype).element
        return self.pointer(f"getelementptr inbounds {element}, ptr {base}, i64 {index}")

    def load(self, type: Type, pointer: str, tag: str = "") -> Register:
        """Load consecutive elements; truth values are bytes in memory."""
        if type.dtype == BOOL:
            wide = "i8" if type.lanes == 1 else f"<{type.lanes} x i8>"
            raw = self.pointer(f"load {wide}, ptr {pointer}, align 1{tag}")
            zero = "0" if type.lanes == 1 else "zeroinitializer"
            return self.name_value(f"icmp ne {wide} {raw}, {zero}", type)
        whole = self._whole(type)
        if whole is not None:
            loaded = self.load_some(whole, pointer, _first_lanes(type.lanes, whole.lanes))
            return self.shuffle(loaded, loaded, range(type.lanes))
        return self.name_value(f"load {type.text}, ptr {pointer}, align {type.bytes}{tag}", type)

    def _whole(self, type: Type) -> Type | None:
        """Return the vector that a short one is a part of, where the processor has masks.

        A load of 14 lanes would be one of 8, one of 4 and one of 2.
        """
        lanes = 1 << (type.lanes - 1).bit_length()
        masks = self.module.vector_bytes == 64 and type.bytes in (4, 8)
        if not masks or lanes == type.lanes or type.lanes * type.bytes <= 16:
            return None
        return type_of(type.dtype, lanes)

    def widen(self, x: Register, lanes: int, value: float) -> Register:
        """Return a vector with more lanes, which hold a number."""
        own = x.type.lanes
        if own == 1:
            return self.insert(self.number(value, type_of(x.type.dtype, lanes)), x, 0)
        fill = self.number(value, x.type)
        return self.shuffle(x, fill, [*range(own), *[own] * (lanes - own)])

    def store(self, x: Register, pointer: str, tag: str = "") -> None:
        """Store consecutive elements."""
        type = x.type
        if type.dtype == BOOL:
            wide = "i8" if type.lanes == 1 else f"<{type.lanes} x i8>"
            raw = self.pointer(f"zext {type.text} {x.text} to {wide}")
            self.write(f"store {wide} {raw}, ptr {pointer}, align 1{tag}")
            return
        whole = self._whole(type)
        if whole is not None:
            whole_x = self.widen(x, whole.lanes, 0.0)
            self.store_some(whole_x, pointer, _first_lanes(type.lanes, whole.lanes))
            return
        self.write(f"store {type.text} {x.text}, ptr {pointer}, align {type.bytes}{tag}")

    def load_some(self, type: Type, pointer: str, mask: Register) -> Register:
        """Load those of consecutive elements whose lane is set; the others are 0."""
        if type.dtype == BOOL:
            raw = self.load_some(type_of(np.dtype(np.int8), type.lanes), pointer, mask)
            return self.truth(raw)
        full = f"llvm.masked.load.{type.suffix}.p0"
        self.module.declare(full, f"declare {type} @{full}(ptr, i32, {mask.type}, {type})")
        return self.name_value(
            f"call {type} @{full}(ptr {pointer}, i32 {type.bytes}, {mask.type} {mask.text},"
            f" {type} zeroinitializer)",
            type,
        )

    def store_some(self, x: Register, pointer: str, mask: Register) -> None:
        """Store those of consecutive elements whose lane is set."""
        if x.type.dtype == BOOL:
            x = self.cast(x, np.dtype(np.int8))
        type = x.type
        full = f"llvm.masked.store.{type.suffix}.p0"
        self.module.declare(full, f"declare void @{full}({type}, ptr, i32, {mask.type})")
        self.write(
            f"call void @{full}({type} {x.text}, ptr {pointer}, i32 {type.bytes},"
            f" {mask.type} {mask.text})"
        )

    # --- making values -------------------------------------------------------------------------

    def number(self, value: float, type: Type) -> Register:
        """Return a constant of a type."""
        return Register(literal(value, type), type)

    def constant(self, value: float) -> float:
        """Return a constant that takes the type of what it meets."""
        return value

    def splat(self, x: Register, lanes: int) -> Register:
        """Return a scalar in every lane."""
        if lanes == x.type.lanes:
            return x
        type = type_of(x.type.dtype, lanes)
        if not x.text.startswith("%"):
            return Register(f"splat ({x.type.element} {x.text})", type)
        one = self.pointer(f"insertelement {type.text} poison, {x.type.text} {x.text}, i64 0")
        return self.name_value(
            f"shufflevector {type.text} {one}, {type.text} poison, <{lanes} x i32> zeroinitializer",
            type,
        )

    def extract(self, x: Register, lane: int) -> Register:
        if x.type.lanes == 1:
            return x
        return self.name_value(
            f"extractelement {x.type.text} {x.text}, i64 {lane}", type_of(x.type.dtype)
        )

    def insert(self, x: Register, value: Register, lane: int) -> Register:
        return self.name_value(
            f"insertelement {x.type.text} {x.text}, {value.type.text} {value.text}, i64 {lane}",
            x.type,
        )

    def prefetch(self, pointer: str, size: int, written: bool) -> None:
        """Ask for memory that will be read later, by lines; beyond the end this does nothing."""
        self.module.declare(_PREFETCH, f"declare void @{_PREFETCH}(ptr, i32, i32, i32)")
        for at in range(0, size, 64):
            place = self.pointer(f"getelementptr i8, ptr {pointer}, i64 {at}") if at else pointer
            self.write(f"call void @{_PREFETCH}(ptr {place}, i32 {int(written)}, i32 2, i32 1)")

    def shuffle(self, x: Register, y: Register, lanes: Sequence[int]) -> Register:
        """Return chosen lanes of two vectors of one type, those of the second counted on."""
        mask = ", ".join(f"i32 {lane}" for lane in lanes)
        type = x.type.text
        return self.name_value(
            f"shufflevector {type} {x.text}, {type} {y.text}, <{len(lanes)} x i32> <{mask}>",
            type_of(x.type.dtype, len(lanes)),
        )

    def meet(self, *operands: Operand) -> list[Register]:
        """Return operands with the numbers made constants and scalars spread to the lanes."""
        type: Type | None = None
        for x in operands:
            if isinstance(x, Register) and (type is None or x.type.lanes > type.lanes):
                type = x.type
        assert type is not None, "an operation on numbers alone has no type"
        lanes = type.lanes
        return [
            (x if x.type.lanes == lanes else self.splat(x, lanes))
            if isinstance(x, Register)
            else Register(literal(x, type), type)
            for x in operands
        ]

    # --- arithmetic ----------------------------------------------------------------------------

    def _binary(self, floating: str, integer: str, x: Operand, y: Operand, flags: str) -> Register:
        x, y = self.meet(x, y)
        type = x.type
        word = f"{floating}{flags}" if type.floating else integer
        return self.name_value(f"{word} {type.text} {x.text}, {y.text}", type)

    def add(self, x: Operand, y: Operand) -> Register:
        return self._binary("fadd", "add", x, y, self.contract)

    def sub(self, x: Operand, y: Operand) -> Register:
        return self._binary("fsub", "sub", x, y, self.contract)

    def mul(self, x: Operand, y: Operand) -> Register:
        return self._binary("fmul", "mul", x, y, self.contract)

    def div(self, x: Operand, y: Operand) -> Register:
        """Divide; integers toward 0, and 0 where the divisor is 0 (which would trap)."""
        x, y = self.meet(x, y)
        if x.type.floating:
            return self._binary("fdiv", "sdiv", x, y, "")
        zero = self.compare("==", y, 0)
        return self.select(zero, 0, self._binary("", "sdiv", x, self.select(zero, 1, y), ""))

    def neg(self, x: Register) -> Register:
        if x.type.floating:
            return self.name_value(f"fneg {x.type.text} {x.text}", x.type)
        return self.sub(0, x)

    def fma(self, x: Operand, y: Operand, z: Operand) -> Register:
        """Return x * y + z, rounded once."""
        x, y, z = self.meet(x, y, z)
        return self.intrinsic("fma", x, y, z)

    def intrinsic(self, name: str, *operands: Register, extra: str = "") -> Register:
        """Call an LLVM intrinsic whose operands and result have one type."""
        type = operands[0].type
        full = f"llvm.{name}.{type.suffix}"
        listed = ", ".join([type.text] * len(operands)) + (", i1" if extra else "")
        self.module.declare(full, f"declare {type.text} @{full}({listed})")
        given = ", ".join(f"{type.text} {x.text}" for x in operands) + extra
        return self.name_value(f"call {type.text} @{full}({given})", type)

    def sqrt(self, x: Register) -> Register:
        return self.intrinsic("sqrt", x)

    def absolute(self, x: Register) -> Register:
        if x.type.floating:
            return self.intrinsic("fabs", x)
        return self.intrinsic("abs", x, extra=", i1 false")

    def floor(self, x: Register) -> Register:
        return self.intrinsic("floor", x)

    def ceil(self, x: Register) -> Register:
        return self.intrinsic("ceil", x)

    def trunc(self, x: Register) -> Register:
        return self.intrinsic("trunc", x)

    def round_even(self, x: Register) -> Register:
        return self.intrinsic("roundeven", x)

    def copysign(self, x: Operand, y: Register) -> Register:
        x, y = self.meet(x, y)
        return self.intrinsic("copysign", x, y)

    def maximum(self, x: Operand, y: Operand) -> Register:
        """Return the larger operand; NaN where one is NaN."""
        x, y = self.meet(x, y)
        if x.type.floating:
            larger = self.select(self.compare(">", x, y), x, y)
            return self.select(self.unordered(x, x), x, larger)
        if x.type.dtype == BOOL:
            return self.bit_or(x, y)
        return self.intrinsic("umax" if x.type.dtype.kind == "u" else "smax", x, y)

    def minimum(self, x: Operand, y: Operand) -> Register:
        """Return the smaller operand; NaN where one is NaN."""
        x, y = self.meet(x, y)
        if x.type.floating:
            smaller = self.select(self.compare("<", x, y), x, y)
            return self.select(self.unordered(x, x), x, smaller)
        if x.type.dtype == BOOL:
            return self.bit_and(x, y)
        return self.intrinsic("umin" if x.type.dtype.kind == "u" else "smin", x, y)

    # --- comparison and choice -----------------------------------------------------------------

    def compare(self, symbol: str, x: Operand, y: Operand) -> Register:
        x, y = self.meet(x, y)
        type = x.type
        if type.floating:
            word = f"fcmp {_COMPARE_FLOAT[symbol]}"
        elif type.dtype.kind in "bu":
            word = f"icmp {_COMPARE_BOOL[symbol]}"
        else:
            word = f"icmp {_COMPARE_INT[symbol]}"
        return self.name_value(f"{word} {type.text} {x.text}, {y.text}", type_of(BOOL, type.lanes))

    def eq(self, x: Operand, y: Operand) -> Register:
        return self.compare("==", x, y)

    def unordered(self, x: Register, y: Register) -> Register:
        """Return where one of two floats is NaN."""
        return self.name_value(
            f"fcmp uno {x.type.text} {x.text}, {y.text}", type_of(BOOL, x.type.lanes)
        )

    def isfinite(self, x: Operand) -> Register:
        if not isinstance(x, Register):
            return Register("true" if np.isfinite(x) else "false", type_of(BOOL))
        if not x.type.floating:
            return self.number(True, type_of(BOOL, x.type.lanes))
        return self.compare("<", self.absolute(x), np.inf)

    def select(self, condition: Operand, x: Operand, y: Operand) -> Register:
        """Return x where the condition holds, else y."""
        if not isinstance(condition, Register):
            condition = Register("true" if condition else "false", type_of(BOOL))
        lanes = condition.type.lanes
        for each in (x, y):
            if isinstance(each, Register):
                lanes = max(lanes, each.type.lanes)
        pair = self.meet(x, y)
        condition = self.splat(condition, lanes)
        x, y = (self.splat(each, lanes) for each in pair)
        return self.name_value(
            f"select {condition.type.text} {condition.text}, {x.type.text} {x.text},"
            f" {y.type.text} {y.text}",
            x.type,
        )

    def logical_and(self, x: Operand, y: Operand) -> Register:
        return self.bit_and(self.truth(x), self.truth(y))

    def logical_or(self, x: Operand, y: Operand) -> Register:
        return self.bit_or(self.truth(x), self.truth(y))

    def logical_xor(self, x: Operand, y: Operand) -> Register:
        return self.bit_xor(self.truth(x), self.truth(y))

    def logical_not(self, x: Operand) -> Register:
        return self.bit_xor(self.truth(x), True)

    def truth(self, x: Operand) -> Register:
        """Return x != 0."""
        if not isinstance(x, Register):
            return Register("true" if x else "false", type_of(BOOL))
        return x if x.type.dtype == BOOL else self.compare("!=", x, 0)

    # --- bits ----------------------------------------------------------------------------------

    def _bitwise(self, word: str, x: Operand, y: Operand) -> Register:
        x, y = self.meet(x, y)
        return self.name_value(f"{word} {x.type.text} {x.text}, {y.text}", x.type)

    def bit_and(self, x: Operand, y: Operand) -> Register:
        return self._bitwise("and", x, y)

    def bit_or(self, x: Operand, y: Operand) -> Register:
        return self._bitwise("or", x, y)

    def bit_xor(self, x: Operand, y: Operand) -> Register:
        return self._bitwise("xor", x, y)

    def shift_left(self, x: Register, places: Operand) -> Register:
        return self._bitwise("shl", x, places)

    def shift_right(self, x: Register, places: Operand) -> Register:
        """Shift right, filling with zeros."""
        return self._bitwise("lshr", x, places)

    def shift_right_signed(self, x: Register, places: Operand) -> Register:
        """Shift right, filling with the sign."""
        return self._bitwise("ashr", x, places)

    def bits(self, x: Register) -> Register:
        """Return the bits of floats as integers of the same width."""
        type = type_of(_BITS_OF[x.type.dtype], x.type.lanes)
        return self.name_value(f"bitcast {x.type.text} {x.text} to {type.text}", type)

    def from_bits(self, x: Register) -> Register:
        """Return integers as the floats that have these bits."""
        type = type_of(_FLOAT_OF[x.type.bytes], x.type.lanes)
        return self.name_value(f"bitcast {x.type.text} {x.text} to {type.text}", type)

    # --- conversion ----------------------------------------------------------------------------

    def cast(self, x: Operand, dtype: Any) -> Register:
        """Convert to a dtype, as C and NumPy do."""
        dtype = np.dtype(dtype)
        if not isinstance(x, Register):
            return self.number(x, type_of(dtype))
        old = x.type
        if old.dtype == dtype:
            return x
        new = type_of(dtype, old.lanes)
        if dtype == BOOL:
            return self.truth(x)
        if old.floating and new.floating:
            word = "fpext" if new.bytes > old.bytes else "fptrunc"
        elif old.floating:
            word = "fptosi" if dtype.kind == "i" else "fptoui"
        elif new.floating:
            word = "sitofp" if old.dtype.kind == "i" else "uitofp"
        elif old.dtype != BOOL and new.bytes == old.bytes:
            return Register(x.text, new)
        elif old.dtype != BOOL and new.bytes < old.bytes:
            word = "trunc"
        else:
            word = "sext" if old.dtype.kind == "i" else "zext"
        return self.name_value(f"{word} {old.text} {x.text} to {new.text}", new)

    # --- across lanes --------------------------------------------------------------------------

    def across(self, operation: str, x: Register) -> Register:
        """Fold the lanes of a vector: add, mul, minimum, maximum, and, or."""
        if x.type.lanes == 1:
            return x
        if operation in ("add", "mul") and x.type.floating:
            scalar = type_of(x.type.dtype)
            full = f"llvm.vector.reduce.f{operation}.{x.type.suffix}"
            self.module.declare(full, f"declare {scalar.text} @{full}({scalar.text}, {x.type})")
            start = literal(-0.0 if operation == "add" else 1.0, scalar)
            return self.name_value(
                f"call reassoc {scalar.text} @{full}({scalar.text} {start}, {x.type} {x.text})",
                scalar,
            )
        if operation in ("minimum", "maximum") and x.type.floating:
            return self._fold_lanes(operation, x)
        word = {"minimum": "smin", "maximum": "smax"}.get(operation, operation)
        full = f"llvm.vector.reduce.{word}.{x.type.suffix}"
        scalar = type_of(x.type.dtype)
        self.module.declare(full, f"declare {scalar.text} @{full}({x.type})")
        return self.name_value(f"call {scalar.text} @{full}({x.type} {x.text})", scalar)

    def across_many(self, fold: Callable[..., Register], rows: Sequence[Register]) -> Register:
        """Fold the lanes of several vectors at once: the result has a lane for each.

        There are as many as a power of 2, and no more than lanes. Each round folds halves of lanes
        and puts two vectors into one, so that no lane is idle.
        """
        current = list(rows)
        block = current[0].type.lanes  # lanes that belong to one row

        def halves(x: Register, y: Register, several: bool) -> Register:
            lanes = x.type.lanes
            starts = [k * lanes + b for k in range(1 + several) for b in range(0, lanes, block)]
            low = [s + i for s in starts for i in range(block // 2)]
            high = [lane + block // 2 for lane in low]
            return fold(self.shuffle(x, y, low), self.shuffle(x, y, high))

        while len(current) > 1:
            current = [halves(x, y, True) for x, y in zip(current[::2], current[1::2], strict=True)]
            block //= 2
        (found,) = current
        while block > 1:
            found = halves(found, found, False)
            block //= 2
        return found

    def _fold_lanes(self, operation: str, x: Register) -> Register:
        """Fold by halves, so that NaN is handled as `maximum` and `minimum` do."""
        combine = self.maximum if operation == "maximum" else self.minimum
        while x.type.lanes > 1:
            if x.type.lanes % 2:
                rest = self.extract(x, x.type.lanes - 1)
                x = self._fold_lanes(operation, self._part(x, 0, x.type.lanes - 1))
                return combine(x, rest)
            half = x.type.lanes // 2
            x = combine(self._part(x, 0, half), self._part(x, half, half))
        return x

    def _part(self, x: Register, start: int, lanes: int) -> Register:
        if lanes == 1:
            return self.extract(x, start)
        type = type_of(x.type.dtype, lanes)
        mask = ", ".join(f"i32 {start + i}" for i in range(lanes))
        return self.name_value(
            f"shufflevector {x.type} {x.text}, {x.type} poison, <{lanes} x i32> <{mask}>", type
        )

    # --- functions -----------------------------------------------------------------------------

    def clamp(self, x: Register, low: float | None, high: float | None) -> Register:
        """Return x kept between two numbers; NaN stays."""
        if low is not None:
            x = self.maximum(x, low)
        return x if high is None else self.minimum(x, high)
