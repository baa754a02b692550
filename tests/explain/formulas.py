"""Random formulas: trees over the rules of derivation, as functions for the engine and for mpmath.

Invariant: the oracle's function is built from the tree by mpmath alone and shares nothing with the
engine. Depths are drawn from 1 to 5 with weights 1, 2, 3, 2, 1; a leaf is a variable three
times out of five. `draw` is the published generator of the tests.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import mpmath as mp

import slopewise as sw

DEPTHS = (1, 2, 2, 3, 3, 3, 4, 4, 5)
UNARY = (
    "neg", "exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh", "sigmoid", "softplus", "relu", "abs",
)  # fmt: skip
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "power", "add", "sub", "mul", "mul")
NUMBERS = (1.0, 2.0, 3.0, 0.5, -1.0, 0.1, 7.0, -2.5)
EXPONENTS = (2.0, 3.0, -1.0, -2.0, 0.5, 1.5, -0.5)


@dataclass(frozen=True)
class Tree:
    """An operation on trees, a variable ("x", place) or a number."""

    name: str
    operands: tuple[Any, ...] = ()


def draw(rng: random.Random, variables: int = 2) -> Tree:
    """Return a random formula."""
    return _draw(rng, rng.choice(DEPTHS), variables)


def _draw(rng: random.Random, depth: int, variables: int) -> Tree:
    if depth == 0 or rng.random() < 0.1:
        if rng.random() < 0.6:
            return Tree("x", (rng.randrange(variables),))
        return Tree("number", (rng.choice(NUMBERS),))
    kind = rng.random()
    if kind < 0.4:
        return Tree(rng.choice(UNARY), (_draw(rng, depth - 1, variables),))
    if kind < 0.52:
        return Tree("pow", (_draw(rng, depth - 1, variables), rng.choice(EXPONENTS)))
    if kind < 0.57:
        return Tree("base", (rng.choice((2.0, 0.5, 10.0)), _draw(rng, depth - 1, variables)))
    if kind < 0.62:
        parts = tuple(_draw(rng, depth - 1, variables) for _ in range(4))
        return Tree("where", parts)
    x, y = (_draw(rng, depth - 1, variables) for _ in range(2))
    return Tree(rng.choice(BINARY), (x, y))


def draw_polynomial(rng: random.Random) -> tuple[str, list[str]]:
    """Return a random polynomial in one to four variables as text, and what to derive it in.

    Up to five terms with coefficients from -9 to 9 and powers to 4, now and then a product or a
    power of sums; one to three derivatives. This is the published set of polynomial exercises.
    """
    names = "xyzw"[: rng.randint(1, 4)]

    def term() -> str:
        size = rng.choice([c for c in range(-9, 10) if c])
        powers = [f"{name}^{rng.randint(1, 4)}" for name in names if rng.random() < 0.6]
        return "*".join([f"({size})", *powers])

    def total(count: int) -> str:
        return " + ".join(term() for _ in range(count))

    kind = rng.random()
    if kind < 0.2:
        text = f"({total(2)})*({total(2)})"
    elif kind < 0.4:
        text = f"({total(2)})^{rng.randint(2, 3)}"
    else:
        text = total(rng.randint(1, 5))
    used = [name for name in names if name in text] or [names[0]]
    return text, [rng.choice(used) for _ in range(rng.randint(1, 3))]


def engine(tree: Tree, xs: tuple[Any, ...]) -> Any:
    """Return the value by Slopewise."""
    if tree.name == "x":
        return xs[tree.operands[0]]
    if tree.name == "number":
        return sw.tensor(tree.operands[0], dtype=sw.float64)
    if tree.name == "pow":
        return engine(tree.operands[0], xs) ** tree.operands[1]
    if tree.name == "base":
        return tree.operands[0] ** engine(tree.operands[1], xs)
    parts = [engine(o, xs) for o in tree.operands]
    if tree.name == "where":
        return sw.where(parts[0] > parts[1], parts[2], parts[3])
    if tree.name == "neg":
        return -parts[0]
    if tree.name == "power":
        return parts[0] ** parts[1]
    if tree.name in ("sigmoid", "softplus", "relu"):
        return getattr(sw.nn.functional, tree.name)(parts[0])
    return getattr(sw, {"add": "add"}.get(tree.name, tree.name))(*parts)


def _real(x: Any) -> Any:
    """Refuse what is not a real number: outside of the domain there is no value."""
    if not isinstance(x, mp.mpf) or not mp.isfinite(x):
        raise ValueError("outside of the domain")
    return x


def _bounded(x: Any) -> Any:
    """Refuse exponents whose powers no float64 holds, before mpmath works them out."""
    if abs(x) > 1e4:
        raise ValueError("beyond float64")
    return x


_MP: dict[str, Any] = {
    "neg": lambda x: -x,
    "exp": lambda x: mp.exp(_bounded(x)),
    "log": mp.log,
    "sqrt": mp.sqrt,
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "sinh": lambda x: mp.sinh(_bounded(x)),
    "cosh": lambda x: mp.cosh(_bounded(x)),
    "tanh": mp.tanh,
    "asinh": mp.asinh,
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-_bounded(x))),
    "softplus": lambda x: mp.log(1 + mp.exp(_bounded(x))),
    "relu": lambda x: max(x, mp.mpf(0)),
    "abs": abs,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "maximum": max,
    "minimum": min,
    "power": lambda x, y: x ** _bounded(y),
}


def oracle(tree: Tree, xs: tuple[Any, ...]) -> Any:
    """Return the value by mpmath; ValueError outside of the domain."""
    if tree.name == "x":
        return xs[tree.operands[0]]
    if tree.name == "number":
        return mp.mpf(tree.operands[0])
    if tree.name == "pow":
        return _real(oracle(tree.operands[0], xs) ** mp.mpf(tree.operands[1]))
    if tree.name == "base":
        return _real(mp.mpf(tree.operands[0]) ** _bounded(oracle(tree.operands[1], xs)))
    if tree.name == "where":
        left, right = (oracle(o, xs) for o in tree.operands[:2])
        return oracle(tree.operands[2 if left > right else 3], xs)
    parts = [oracle(o, xs) for o in tree.operands]
    return _real(_MP[tree.name](*parts))
