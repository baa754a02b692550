"""Routines whose code is part of a program: which primitives have one, and the name of each.

Invariant: equal steps share one function, and what is written holds no address. It is separate so
that the schedule and the assembly need not know what kinds of routines there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slopewise._compile import lapack, sorting
from slopewise._compile.builder import Module
from slopewise._compile.steps import Direct, Product

_SORT = "argsort"
_ALONE = (_SORT, "inverse_gaps")  # which call no library


def list_scratch(
    name: str, operands: Sequence[Any], params: dict[str, Any]
) -> Sequence[tuple[Any, tuple[int, ...]]] | None:
    """Return dtypes and shapes of the memory that a primitive's routine takes.

    Parameters
    ----------
    name : str
        Of the primitive.
    operands : sequence
        With `shape` and `dtype`.
    params : dict

    Returns
    -------
    sequence or None
        None if the primitive's own kernel has to be called.
    """
    if name == _SORT:
        return sorting.list_scratch(operands[0].shape[params["axis"]])
    return lapack.list_scratch(name, operands)


def write_routine(module: Module, step: Direct) -> str:
    """Write the function of a step, unless an equal one is there; return its name."""
    shapes = "_".join("x".join(map(str, (*o.shape, o.dtype.name))) for o in step.operands)
    params = "_".join(f"{k}_{v}" for k, v in sorted(step.params.items()) if isinstance(v, int))
    name = "_".join(filter(None, (step.primitive.name, shapes, params)))
    if name not in module.functions:
        write = sorting.write_routine if step.primitive.name == _SORT else lapack.write_routine
        write(module, step, name)
    return name


def calls_library(step: Any) -> bool:
    """Return whether a step calls BLAS or LAPACK."""
    if isinstance(step, Direct):
        return step.primitive.name not in _ALONE
    return isinstance(step, Product)
