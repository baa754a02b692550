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

from slopewise._compile import cache

llvm: Any = binding

_lock = threading.RLock()
ENTRY = "slopewise_run"
"""What is called of a program."""
_PASSES = ("sroa", "simplify_cfg", "new_gvn", "loop_rotate", "instruction_combine", "simplify_cfg")


def _options() -> Any:
    return llvm.create_pipeline_tuning_options(speed_level=2)


@lru_cache(maxsize=1)
def _start() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@lru_cache(maxsize=1)
def processor() -> tuple[str, str]:
    """Return the name of this processor and its features."""
    _start()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def llvm_version() -> str:
    """Return the version of LLVM."""
    return ".".join(str(part) for part in llvm.llvm_version_info)


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
    """Machine code in memory, from IR or from object code.

    Parameters
    ----------
    ir : str or None
        A module; looked up in the cache before it is compiled.
    code : bytes, optional
        Its object code, where that is known.
    keep : bool
        Whether the object code is looked for, and kept, under the IR.
    """

    def __init__(self, ir: str | None, code: bytes | None = None, *, keep: bool = True) -> None:
        with _lock:
            _start()
            # The engine takes its machine over, so both are made anew for each code.
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
            key = cache.make_key(ir, *processor(), llvm_version()) if keep and ir else None
            found = cache.load(key) if code is None and key is not None else code
            self.cached = found is not None
            if found is None:
                assert ir is not None
                found = bytes(_machine().emit_object(_optimised(ir)))
                if key is not None:
                    cache.store(key, found)
            self.object = found
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(found))
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return where a function starts."""
        return int(self._engine.get_function_address(name))


def optimise(ir: str) -> str:
    """Return a module after LLVM's passes."""
    with _lock:
        _start()
        return str(_optimised(ir))


def assemble(ir: str) -> str:
    """Return the machine code of a module as text."""
    with _lock:
        _start()
        return str(_machine().emit_assembly(_optimised(ir)))


def _optimised(ir: str) -> Any:
    """Return a module after a few of LLVM's passes.

    The emitter merges, hoists and vectorises by itself, so that what is left to do is to put
    variables into registers and to tidy up. LLVM's own list for its level 2 took five times as long
    and gave code of the same speed.
    """
    module = llvm.parse_assembly(ir)
    module.verify()
    passes = llvm.create_new_module_pass_manager()
    for name in _PASSES:
        getattr(passes, f"add_{name}_pass")()
    passes.run(module, llvm.create_pass_builder(_machine(), _options()))
    return module
