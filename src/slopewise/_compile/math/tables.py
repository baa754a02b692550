"""Tables of constants in the module, and their rows by lane.

Invariant: a table is stored once a module, row by row, so that the entries of one row share cache
lines; no address of Python's memory enters the code. It is separate because gathering is LLVM's.
"""

from __future__ import annotations

import struct
from typing import Any

from slopewise._compile.builder import FLOAT64, Builder, type_of
from slopewise._compile.math.lanes import Lanes


def store_floats(b: Builder, name: str, values: Any) -> str:
    """Put float64 constants in the module once; return the symbol."""
    numbers = [float(v) for v in values]
    bits = [f"double 0x{struct.unpack('<Q', struct.pack('<d', v))[0]:016X}" for v in numbers]
    return _store(b, name, f"[{len(numbers)} x double] [{', '.join(bits)}]")


def store_words(b: Builder, name: str, words: list[int]) -> str:
    """Put 64-bit words in the module once; return the symbol."""
    return _store(b, name, f"[{len(words)} x i64] [{', '.join(f'i64 {w}' for w in words)}]")


def _store(b: Builder, name: str, text: str) -> str:
    symbol = f"@slopewise.{name}"
    if not any(line.startswith(f"{symbol} ") for line in b.module.globals):
        b.module.globals.append(f"{symbol} = internal constant {text}, align 64")
    return symbol


class Rows:
    """The rows of a table that the lanes of an integer register choose."""

    def __init__(self, name: str, table: Any, row: Lanes) -> None:
        """`table` is (rows, columns); each row number must be within it."""
        self.b = row.b
        self.lanes = row.lanes
        rows, columns = table.shape
        symbol = store_floats(self.b, name, table.reshape(-1))
        last = row.number(rows - 1)
        # A NaN gives any row number; what is read is not used then.
        inside = Lanes(self.b, self.b.compare("<=", _unsigned(row).r, _unsigned(last).r))
        row = Lanes(self.b, self.b.select(inside.r, row.r, 0))
        start = row * columns
        kind = "ptr" if self.lanes == 1 else f"<{self.lanes} x ptr>"
        self.kind = kind
        self.start = self.b.pointer(
            f"getelementptr inbounds double, ptr {symbol}, {start.r.type} {start.r.text}"
        )

    def column(self, index: int) -> Lanes:
        """Return one column's entry in each lane's row."""
        b, lanes = self.b, self.lanes
        type = type_of(FLOAT64, lanes)
        place = b.pointer(f"getelementptr inbounds double, {self.kind} {self.start}, i64 {index}")
        if lanes == 1:
            return Lanes(b, b.load(type, place))
        full = f"llvm.masked.gather.v{lanes}f64.v{lanes}p0"
        mask = f"<{lanes} x i1>"
        b.module.declare(
            full, f"declare {type} @{full}(<{lanes} x ptr>, i32, {mask}, {type})"
        )  # fmt: skip
        return Lanes(
            b,
            b.name_value(
                f"call {type} @{full}({self.kind} {place}, i32 8, {mask} splat (i1 true),"
                f" {type} poison)",
                type,
            ),
        )


def _unsigned(x: Lanes) -> Lanes:
    return x.cast("uint64")
