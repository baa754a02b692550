"""Contents: what has to be known of a program to run its machine code.

Invariant: it holds numbers, names and arrays only, so that it can be kept on disk beside the code;
how the program was made is not part of it. It is separate from the program, so that what runs code
need not import what writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from slopewise._core.source import locate

Array = np.ndarray[Any, Any]


class Space(NamedTuple):
    """The shape and dtype of a row-major array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """How many elements it has."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes it takes."""
        return self.size * self.dtype.itemsize


class Routine(NamedTuple):
    """A primitive whose own kernel is called, with the arrays that it reads and writes."""

    primitive: Any
    params: dict[str, Any]
    operands: list[Space]
    outs: list[Space]
    place: Any


class Origin(NamedTuple):
    """What a step computes, where the user wrote it, and the error of a routine that fails."""

    names: list[str]
    place: Any
    error: str = ""
    told: str = ""


@dataclass
class Contents:
    """What an `Executable` knows of its code.

    Attributes
    ----------
    identity : str
        Equal for equal code.
    outputs : list of Space
    overwritten : list of set of int
        For each output the inputs in whose memory it must not be written directly.
    constants : list of ndarray
        Contiguous; their slots follow those of inputs and outputs.
    arena_bytes : int
    routines : list of Routine
    statuses : dict
        The origin of each kernel by the status that it reports.
    products, parts, long : bool
        Whether BLAS or LAPACK are called, threads may share a step, and it runs long.
    """

    identity: str
    outputs: list[Space]
    overwritten: list[set[int]]
    constants: list[Array]
    arena_bytes: int
    products: bool
    parts: bool
    long: bool
    routines: list[Routine] = field(default_factory=list[Routine])
    statuses: dict[int, Origin] = field(default_factory=dict[int, Origin])


def line_of(places: Sequence[Any]) -> str:
    """Return the user's line for the first place that is known."""
    for place in places:
        if place is not None:
            return f"\n  at {locate(place)}"
    return ""
