"""Depth: what a chain of activations leaves of a gradient, by the product of their slopes.

Invariant: a product is the engine's derivative of the composed function, not a formula. It is
separate, as every explorer, because it is one picture with its words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import slopewise as sw
from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.explorers.sampling import read_numbers, sample
from slopewise.explain.requests import check_choice, check_lang, check_range
from slopewise.explain.sketch import Sketch

if TYPE_CHECKING:
    from slopewise.drawing import Picture

MOST_LAYERS = 200
CHAINED: Mapping[str, Callable[[Any], Any]] = {
    "sigmoid": sw.sigmoid,
    "tanh": sw.tanh,
    "relu": lambda x: sw.maximum(x, 0.0),
}
_SMALLEST = float(np.finfo(np.float32).tiny)
_WORDS: Words = {
    "title": (
        "The gradient that is left after k activations in a row, starting from x = {x}, with "
        "weights of 1.",
        "활성화 함수를 k번 지난 뒤 남는 기울기. 출발점: x = {x}, 가중치: 1.",
    ),
    "depth": ("k", "k"),
    "bound": ("at most for sigmoid, (1/4)^k", "시그모이드의 한계 (1/4)^k"),
    "chain": (
        "By the chain rule the slopes multiply. Each sigmoid multiplies by at most 1/4, so after "
        "{depth} of them at most {bound} is left, whatever the data; here it is {left}.",
        "합성함수의 미분법에 따라 기울기가 곱해집니다. 시그모이드를 지날 때마다 많아야 1/4배가 "
        "됩니다. {depth}번 지난 뒤의 한계: {bound}, 여기서 남은 값: {left}.",
    ),
    "lost": (
        "float32 cannot hold a product below {smallest} in full; by the bound that is so after "
        "{depth} sigmoids at the latest.",
        "float32 자료형이 온전히 나타낼 수 있는 가장 작은 값: {smallest}. 한계에 따르면 늦어도 "
        "시그모이드 {depth}번 뒤에는 기울기가 이보다 작아집니다.",
    ),
    "others": (
        "tanh has slope 1 at 0 and less elsewhere; relu has slope 1 for positive values, so it "
        "passes the gradient on whole, and slope 0 for negative ones, where it passes nothing.",
        "tanh 함수의 기울기는 0에서 1이고 다른 곳에서는 더 작습니다. relu 함수는 양수에서 "
        "기울기가 1이라 그대로 전하고, 음수에서는 기울기가 0이라 아무것도 전하지 않습니다.",
    ),
    "axis": ("number of activations", "활성화 함수의 수"),
    "gradient": ("gradient that is left", "남은 기울기"),
    "picture": ("The gradient that is left against the number of activations.",
                "활성화 함수의 수에 따라 남는 기울기."),
}  # fmt: skip


class Depth(Account):
    """The gradient that chains of activations leave.

    Attributes
    ----------
    start : float
    products : dict of str to list of float
        The derivative of the chain of 1, 2, … activations, by name.
    bound : list of float
        (1/4)^k.

    Examples
    --------
    >>> explore_depth(3).products["relu"]
    [1.0, 1.0, 1.0]
    """

    def __init__(self, depth: int, start: float, names: Sequence[str], lang: str) -> None:
        self.start = start
        self.lang = lang
        self.bound = [0.25**k for k in range(1, depth + 1)]
        self.products = {name: _measure(CHAINED[name], start, depth) for name in names}

    def tell(self, lang: str) -> list[str | Table]:
        """Return the products by depth, and the bound."""
        depth = len(self.bound)
        header = [say_in(_WORDS, "depth", lang), *self.products, say_in(_WORDS, "bound", lang)]
        rows = [
            [str(k + 1), *(spell(p[k]) for p in self.products.values()), spell(self.bound[k])]
            for k in range(depth)
        ]
        parts: list[str | Table] = [say_in(_WORDS, "title", lang, x=spell(self.start)),
                                    Table(header, rows)]  # fmt: skip
        if "sigmoid" in self.products:
            latest = math.ceil(math.log(_SMALLEST) / math.log(0.25))
            parts.append(say_in(_WORDS, "chain", lang, depth=depth, bound=spell(self.bound[-1], 3),
                                left=spell(self.products["sigmoid"][-1], 3)))  # fmt: skip
            parts.append(say_in(_WORDS, "lost", lang, smallest=spell(_SMALLEST, 3), depth=latest))
        return [*parts, say_in(_WORDS, "others", lang)]

    def sketch(self, width: int = 60, height: int = 14) -> str:
        """Return the powers of ten that are left."""
        logs = {name: [_log(p) for p in products] for name, products in self.products.items()}
        lowest = min((x for xs in logs.values() for x in xs if math.isfinite(x)), default=-1.0)
        drawing = Sketch(width, height, 1.0, float(max(2, len(self.bound))), min(-1.0, lowest), 0.5)
        for name, xs in logs.items():
            for k, x in enumerate(xs):
                drawing.mark(k + 1.0, x, name[0])
        return drawing.text()

    def picture(self, lang: str | None = None) -> Picture:
        """Return the products against the depth."""
        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import DASHES, MARKERS, PALETTE

        with open_sheet(6.4, 4.2, lang or self.lang) as sheet:
            axes: Any = sheet.figure.subplots()
            ks = list(range(1, len(self.bound) + 1))
            for i, (name, products) in enumerate(self.products.items()):
                shown = [p if p > 0 else math.nan for p in products]
                axes.plot(ks, shown, color=PALETTE[i], linestyle=DASHES[i], marker=MARKERS[i],
                          label=name)  # fmt: skip
            axes.plot(ks, self.bound, color="#555555", linestyle=":",
                      label=say_in(_WORDS, "bound", sheet.lang))  # fmt: skip
            axes.set_yscale("log")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set_xlabel(say_in(_WORDS, "axis", sheet.lang))
            axes.set_ylabel(say_in(_WORDS, "gradient", sheet.lang))
            axes.legend(fontsize=9)
            return sheet.finish(say_in(_WORDS, "picture", lang or self.lang))


def _log(product: float) -> float:
    return math.log10(product) if product > 0 else -math.inf


def _measure(function: Callable[[Any], Any], start: float, depth: int) -> list[float]:
    """Return the engine's derivative of 1, 2, … calls one after another."""

    def chain(count: int, x: Any) -> Any:
        for _ in range(count):
            x = function(x)
        return x

    return [float(sample(lambda x, k=k: chain(k, x), [start])[1][0]) for k in range(1, depth + 1)]


def explore_depth(
    depth: int = 10,
    start: float = 0.5,
    names: Sequence[str] = ("sigmoid", "tanh", "relu"),
    *,
    lang: str = "en",
) -> Depth:
    """Return what chains of activations leave of a gradient, by depth.

    Parameters
    ----------
    depth : int
        The longest chain, up to 200.
    start : float
        What the first activation is given.
    names : sequence of str
        Of "sigmoid", "tanh" and "relu".
    lang : str
        "en" or "ko".

    Returns
    -------
    Depth

    Raises
    ------
    SpokenError
        If the depth, the start, a name or the language is not one there is.

    Examples
    --------
    >>> found = explore_depth(10)
    >>> found.products["sigmoid"][-1] <= 0.25**10
    True
    """
    check_lang("explore_depth", lang)
    check_range("explore_depth", "depth", depth, 1, MOST_LAYERS)
    (start,) = read_numbers("explore_depth", "start", [start])
    for name in names:
        check_choice("explore_depth", "names", name, CHAINED)
    return Depth(depth, start, names, lang)
