"""LLVM: from IR to machine code that can be called.

Invariant: engines are kept as long as their code may run, and one thread compiles at a time. It is
separate because nothing else touches llvmlite.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from llvmlite import binding

llvm: Any = binding

_lock = threading.RLock()


@lru_cache(maxsize=1)
def _start() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@lru_cache(maxsize=1)
def processor() -> tuple[str, str]:
    """Return the name of this processor and its features."""
    _start()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def vector_bytes() -> int:
    """Return how many bytes a vector register of this processor holds."""
    features = processor()[1].split(",")
    if "+avx512f" in features:
        return 64
    return 32 if "+avx2" in features else 16


def _machine() -> Any:
    name, features = processor()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=name, features=features, opt=2, reloc="pic", codemodel="jitdefault", jit=True
    )


class Code:
    """Machine code in memory."""

    def __init__(self, ir: str, *, speed: int = 2) -> None:
        with _lock:
            _start()
            machine = _machine()
            module = llvm.parse_assembly(ir)
            module.verify()
            options = llvm.create_pipeline_tuning_options(speed_level=speed)
            options.loop_vectorization = False
            options.slp_vectorization = False
            options.loop_unrolling = False
            builder = llvm.create_pass_builder(machine, options)
            builder.getModulePassManager().run(module, builder)
            self.module = module
            # The engine takes the machine over, so both are made anew for each code.
            self.engine = llvm.create_mcjit_compiler(module, machine)
            self.engine.finalize_object()

    def address(self, name: str) -> int:
        """Return where a function starts."""
        return int(self.engine.get_function_address(name))

    def llvm(self) -> str:
        """Return the optimised IR."""
        return str(self.module)

    def assembly(self) -> str:
        """Return the machine code as text."""
        with _lock:
            return str(_machine().emit_assembly(llvm.parse_assembly(str(self.module))))
