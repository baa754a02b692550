"""Folds: a tape of many parts told as a few groups, by module or by line of the user's code.

Invariant: a group is a run of parts in order of creation, so that the groups have no cycle. It is
separate from the tape, which is read the same whatever its size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slopewise.explain.tapes import Part, Tape


@dataclass(frozen=True)
class Group:
    """A run of parts.

    Attributes
    ----------
    name : str
        The module whose parameters it uses, or the line of code.
    parts : tuple of int
        Numbers of its operations.
    operations : tuple of str
        Which there are, each once.
    gradient : float
        The root mean square of the gradient that arrives at its result; NaN where there is none.
    """

    name: str
    parts: tuple[int, ...]
    operations: tuple[str, ...]
    gradient: float


def fold(tape: Tape, most: int) -> tuple[list[Group], list[tuple[int, int]]]:
    """Return a tape's operations as groups, and the arrows between those.

    Parameters
    ----------
    tape : Tape
    most : int
        How many groups at most.

    Returns
    -------
    list of Group
    list of (int, int)
        From the group that uses a result to the one that made it.
    """
    labels = _label(tape)
    runs: list[tuple[str, list[int]]] = []
    for number, part in enumerate(tape.parts):
        if not part.operation:
            continue
        if not runs or runs[-1][0] != labels[number]:
            runs.append((labels[number], []))
        runs[-1][1].append(number)
    runs = _merge(runs, most)
    groups = [_make_group(name, numbers, tape) for name, numbers in runs]
    owner = {number: i for i, group in enumerate(groups) for number in group.parts}
    arrows = {
        (i, owner[link.target])
        for i, group in enumerate(groups)
        for number in group.parts
        for link in tape.parts[number].links
        if link.target in owner and owner[link.target] != i
    }
    return groups, sorted(arrows)


def _label(tape: Tape) -> list[str]:
    """Return for each part the module whose parameters it uses last, or its line of code."""
    homes: list[str] = []
    labels: list[str] = []
    current = ""
    for part in tape.parts:
        if not part.operation:
            path = part.name.rpartition(".")[0]
            homes.append(path)
            labels.append("")
            continue
        below = [homes[link.target] for link in part.links]
        used = [home for home in below if home]
        # A transposed weight belongs to its module; what is computed with it does so too, and no
        # further.
        only = len(below) == 1 and bool(used)
        homes.append(used[0] if only else "")
        if used:
            current = used[-1]
        labels.append(current or _name_line(part))
    return labels


def _name_line(part: Part) -> str:
    source = part.source.replace("\n", " ")
    return source or part.operation


def _merge(runs: Sequence[tuple[str, list[int]]], most: int) -> list[tuple[str, list[int]]]:
    """Return no more runs than asked for, neighbours put together."""
    if len(runs) <= most:
        return list(runs)
    size = math.ceil(len(runs) / most)
    merged: list[tuple[str, list[int]]] = []
    for start in range(0, len(runs), size):
        block = runs[start : start + size]
        names = list(dict.fromkeys(name for name, _ in block))
        name = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        merged.append((name, [number for _, numbers in block for number in numbers]))
    return merged


def _make_group(name: str, numbers: Sequence[int], tape: Tape) -> Group:
    operations = tuple(dict.fromkeys(tape.parts[number].operation for number in numbers))
    return Group(name, tuple(numbers), operations, measure(tape.parts[numbers[-1]].gradient))


def measure(array: Any) -> float:
    """Return the root mean square of an array; NaN for none.

    Examples
    --------
    >>> measure(np.array([1.0, 7.0]))
    5.0
    """
    if array is None or not array.size:
        return math.nan
    wide = np.asarray(array, np.float64)
    most = float(np.abs(wide).max())
    if most == 0 or not math.isfinite(most):
        return most
    return most * math.sqrt(float(np.mean((wide / most) ** 2)))
