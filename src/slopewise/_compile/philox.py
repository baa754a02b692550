"""The random generator in machine code: raw words for a counter.

Invariant: the words are those of NumPy's Philox for the same key and counter. It is separate from
assembly, which only calls it, and from the draws, which make numbers of the words.
"""

from __future__ import annotations

from slopewise._compile.builder import Builder, Module

_PHILOX = ("0xD2E7470EE14C6C93", "0xCA5A826395121157")  # multipliers
_WEYL = ("0x9E3779B97F4A7C15", "0xBB67AE8584CAA73B")  # increments of the key


def write_philox(module: Module) -> None:
    """Write the generator once.

    Source: Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers, section 3.3; the
    counter (block + 1, draw, 0, 0) and the key (seed, 0) are NumPy's.
    """
    if "philox" in module.functions:
        return
    b = Builder(
        module, "philox", [("ptr", "out"), ("i64", "count"), ("ptr", "counter")],
        linkage="internal",
    )  # fmt: skip
    seed = b.pointer("load i64, ptr %counter, align 8")
    second = b.pointer("getelementptr i64, ptr %counter, i64 1")
    draw = b.pointer(f"load i64, ptr {second}, align 8")
    block = b.reserve(4, "i64")
    with b.loop(0, "%count", 4) as start:
        quarter = b.pointer(f"lshr i64 {start}, 2")
        words = [b.pointer(f"add i64 {quarter}, 1"), draw, "0", "0"]
        keys = [seed, "0"]
        for turn in range(10):
            if turn:
                keys = [
                    b.pointer(f"add i64 {k}, {_signed(w)}")
                    for k, w in zip(keys, _WEYL, strict=True)
                ]
            high0, low0 = _wide_product(b, words[0], _PHILOX[0])
            high1, low1 = _wide_product(b, words[2], _PHILOX[1])
            words = [
                b.pointer(f"xor i64 {b.pointer(f'xor i64 {high1}, {words[1]}')}, {keys[0]}"),
                low1,
                b.pointer(f"xor i64 {b.pointer(f'xor i64 {high0}, {words[3]}')}, {keys[1]}"),
                low0,
            ]
        for i, word in enumerate(words):
            at = b.pointer(f"getelementptr i64, ptr {block}, i64 {i}")
            b.write(f"store i64 {word}, ptr {at}")
        left = b.pointer(f"sub i64 %count, {start}")
        few = b.pointer(f"icmp slt i64 {left}, 4")
        taken = b.pointer(f"select i1 {few}, i64 {left}, i64 4")
        with b.loop(0, taken) as i:
            source = b.pointer(f"getelementptr i64, ptr {block}, i64 {i}")
            value = b.pointer(f"load i64, ptr {source}")
            at = b.pointer(f"add i64 {start}, {i}")
            target = b.pointer(f"getelementptr i64, ptr %out, i64 {at}")
            b.write(f"store i64 {value}, ptr {target}")
    b.finish("ret void")


def _signed(text: str) -> int:
    value = int(text, 16)
    return value - (1 << 64) if value >> 63 else value


def _wide_product(b: Builder, x: str, factor: str) -> tuple[str, str]:
    """Return the high and the low half of a 64-bit product."""
    wide = b.pointer(f"zext i64 {x} to i128")
    product = b.pointer(f"mul i128 {wide}, {int(factor, 16)}")
    low = b.pointer(f"trunc i128 {product} to i64")
    shifted = b.pointer(f"lshr i128 {product}, 64")
    return b.pointer(f"trunc i128 {shifted} to i64"), low
