"""The vocabulary of a primitive's record: kinds of derivative and lowering, domains, wording.

Invariant: a record states one derivative, in one of these kinds, and both modes follow from it.
Rules take `(out, *operands)` and are written in primitives and operators, so they run on plain
arrays (first order) and on Values (higher order, tracing) alike. Kinds are data: the readers in
`_transform` interpret them, so that no rule needs a reader of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rule = Callable[..., Any]


def _reads(rule: Rule | None, position: int) -> bool:
    """Tell whether a rule reads its parameter; a leading underscore says that it does not."""
    if rule is None:
        return False
    code = rule.__code__
    names = code.co_varnames[: code.co_argcount]
    return position < len(names) and not names[position].startswith("_")


class Derivative:
    """Base of the derivative kinds; `keep_out` says whether the rule reads the output."""

    keep_out: bool = False


@dataclass(frozen=True)
class Partials(Derivative):
    """Elementwise: one factor `(out, *operands) -> d out / d operand` for each operand.

    `None` stands for an operand without derivative. `singular` says that a factor can be infinite
    or NaN where the value is finite; products with it are then guarded: a cotangent of exactly 0
    gives 0. A parameter named with a leading underscore is not read, and so not kept.
    """

    partials: tuple[Rule | None, ...]
    singular: bool = False
    keep_out: bool = field(init=False, default=False)
    keep: tuple[bool, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep_out", any(_reads(p, 0) for p in self.partials))
        keep = tuple(
            any(_reads(p, i + 1) for p in self.partials) for i in range(len(self.partials))
        )
        object.__setattr__(self, "keep", keep)


@dataclass(frozen=True)
class Linear(Derivative):
    """Jointly linear in the operands `wrt` (None: in all of them).

    `transpose(out_bar, *operands, **params)` returns one cotangent per operand (or the single one).
    Linear operands are handed over as Avals, since a transpose cannot depend on their values.
    """

    transpose: Rule
    wrt: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Multilinear(Derivative):
    """Linear in each operand by itself: one transpose `(out_bar, *operands)` for each operand.

    The operand that a transpose is for is handed over as an Aval.
    """

    transposes: tuple[Rule, ...]


@dataclass(frozen=True)
class Jvp(Derivative):
    """The tangent of the output, `rule(tangents, out, *operands, **params)`, linear in `tangents`.

    `tangents` has one entry for each operand in `wrt` (the others have none). Reverse mode is the
    transpose of the traced rule.
    """

    rule: Rule
    wrt: tuple[int, ...] = (0,)
    keep_out: bool = field(init=False, default=True)


@dataclass(frozen=True)
class Zero(Derivative):
    """Piecewise constant, or not a function of real numbers: no gradient flows."""


@dataclass(frozen=True)
class Higher(Derivative):
    """For primitives that hold functions or subgraphs: the rules receive the node itself.

    `pull(node, out_bar)` returns one cotangent per operand; `push(node, tangents)` the tangent.
    With `masking` the pull also takes whether a cotangent may be 0 because `where` selected the
    other branch.
    """

    pull: Rule
    push: Rule
    keep_out: bool = True
    masking: bool = False


class Lowering:
    """Base of the lowering kinds: what a compiler has to emit, as data."""

    __slots__ = ()


@dataclass(frozen=True)
class Pointwise(Lowering):
    """One scalar expression an element; `body(b, *scalars, **params)` uses a ScalarBuilder."""

    body: Rule


@dataclass(frozen=True)
class Reduce(Lowering):
    """A fold along axes with the named associative operation, or a running fold (a scan)."""

    operation: str
    running: bool = False


@dataclass(frozen=True)
class View(Lowering):
    """Only an index map: every output element is one input element (or a constant)."""

    index_map: str


@dataclass(frozen=True)
class Contract(Lowering):
    """Sums of products over named axes."""


@dataclass(frozen=True)
class Index(Lowering):
    """Reads or writes at computed positions: gather or scatter."""

    mode: str


@dataclass(frozen=True)
class Control(Lowering):
    """A branch or a loop over subgraphs."""


@dataclass(frozen=True)
class Library(Lowering):
    """A call of a library routine, by its LAPACK-like name.

    `failure(**params)` makes the error that tells of operands for which there is no result.
    """

    routine: str
    failure: Callable[..., Exception] | None = None


@dataclass(frozen=True)
class Generate(Lowering):
    """Numbers made from params or counters alone: random bits, ranges, constants."""

    source: str


@dataclass(frozen=True)
class Domain:
    """Where an operand may lie: an interval, and points to keep away from when sampling.

    Examples
    --------
    >>> Domain(0.0, np.inf).contains(2.0)
    True
    """

    low: float = -np.inf
    high: float = np.inf
    away: tuple[float, ...] = ()

    def contains(self, x: float) -> bool:
        return self.low <= x <= self.high

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw points inside, at most 3 from 0 where unbounded, a tenth away from bad points."""
        low = max(self.low, -3.0) + (0.05 if np.isfinite(self.low) else 0.0)
        high = min(self.high, low + 6.0) - (0.05 if np.isfinite(self.high) else 0.0)
        x = rng.uniform(low, high, shape)
        for point in self.away:
            x = np.where(np.abs(x - point) < 0.1, point + 0.1 + np.abs(x - point), x)
        return np.clip(x, low, high)


REAL = Domain()
POSITIVE = Domain(0.0)


@dataclass(frozen=True)
class Text:
    """How the derivative rule is called, in English and Korean, and its formula in LaTeX."""

    en: str
    ko: str
    latex: str


@dataclass(frozen=True)
class Sample:
    """Operands and params for which the registry test runs a primitive."""

    operands: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    smooth: bool = True


Samples = Callable[[np.random.Generator], Sequence[Sample]]
