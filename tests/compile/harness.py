"""A tiny harness: one function of the code writer, compiled and called on arrays.

Invariant: what runs is `void f(ptr, ..., ptr out, i64 n)`, a loop over vectors of a chosen number
of lanes with a tail of single elements, so that both forms of a function are seen.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from slopewise._compile.builder import Module, type_of
from slopewise._compile.writer import Writer

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


@lru_cache(maxsize=1)
def machine() -> Any:
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )


def write(name: str, dtype: Any, lanes: int, numbers: tuple[float, ...], count: int) -> str:
    """Return the module's text."""
    dtype = np.dtype(dtype)
    module = Module(64)
    labels = [f"x{i}" for i in range(count)]
    parameters = [("ptr", label) for label in (*labels, "out")] + [("i64", "n"), ("i64", "whole")]
    b = Writer(module, "f", parameters)
    for start, stop, width in ((0, "%whole", lanes), ("%whole", "%n", 1)):
        with b.loop(start, stop, width) as index:
            loaded = [
                b.load(type_of(dtype, width), b.address(f"%{label}", index, dtype))
                for label in labels
            ]
            result = b.call(name, *loaded, *numbers)
            b.store(result, b.address("%out", index, result.type.dtype))
    b.finish("ret void")
    return module.text()


@cache  # an engine owns the machine, and must outlive it
def compiled(
    name: str, dtype: Any, lanes: int, numbers: tuple[float, ...], count: int
) -> tuple[Callable[..., None], Any]:
    module = llvm.parse_assembly(write(name, dtype, lanes, numbers, count))
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    passes = llvm.create_pass_builder(machine(), options)
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine())
    engine.finalize_object()
    kinds = [ctypes.c_void_p] * (count + 1) + [ctypes.c_int64] * 2
    return ctypes.CFUNCTYPE(None, *kinds)(engine.get_function_address("f")), engine


def run(name: str, *operands: Any, lanes: int, numbers: tuple[float, ...] = ()) -> Any:
    """Return a function of arrays of one dtype and length, `lanes` elements at a time."""
    arrays = [np.ascontiguousarray(x) for x in operands]
    size, dtype = arrays[0].size, arrays[0].dtype
    kind = np.bool_ if name.startswith("is") else dtype
    out = np.empty(size, kind)
    call, _ = compiled(name, dtype, lanes, numbers, len(arrays))
    whole = size - size % lanes
    call(*(x.ctypes.data for x in arrays), out.ctypes.data, size, whole)
    return out
