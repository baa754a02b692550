"""The error for using the numbers of a traced value, which has none.

Invariant: every way to a number (a branch, float(), .item(), .numpy()) ends here. It is separate
because both the operand checks and the Tensor class need it.
"""

from __future__ import annotations

from typing import Any, NoReturn

from slopewise._core.source import explain
from slopewise.errors import TraceError


def refuse_abstract(value: Any, what: str) -> NoReturn:
    """Raise the error that names the line and the primitive to use instead."""
    raise TraceError(
        explain(
            f"{what} is not possible while the function is traced: the tensor stands for many"
            " values at once (vmap) or for values not known yet (or it was left behind by a trace"
            " that has ended: return it from the function). Use sw.where(condition, a, b) or"
            " sw.cond(...) for a branch, sw.while_loop(...) or sw.fori_loop(...) for a loop.",
            (value,),
        )
    )
