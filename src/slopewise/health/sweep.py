"""Depth sweeps: what is left of the gradient k layers back, beside the bound 0.25^k of a sigmoid.

Invariant: every number is measured in one network with seeded weights, by the same factors as in an
examination; random generators are left as they were. It is separate because it demonstrates what
the rest of the package finds in networks of others.

Source: Glorot & Bengio (2010); He et al. (2015); He et al. (2016), residual networks; Saxe et al.
(2013), orthogonal weights; Ioffe & Szegedy (2015); Ba et al. (2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import slopewise as sw
from slopewise import nn
from slopewise.explain.accounts import Account, Table, Words, say_in, spell
from slopewise.explain.requests import check_choice, check_lang, check_range
from slopewise.health.framework import Own
from slopewise.health.measure import measure

if TYPE_CHECKING:
    from slopewise.drawing import Picture

BOUND = 0.25
"""The steepest slope of a sigmoid."""
ROWS = 128
_MAKE: dict[str, tuple[str, str, str, str]] = {
    "sigmoid": ("Sigmoid", "", "", ""),
    "tanh": ("Tanh", "", "", ""),
    "relu": ("ReLU", "", "", ""),
    "batch_norm": ("Sigmoid", "BatchNorm1d", "", ""),
    "layer_norm": ("Sigmoid", "LayerNorm", "", ""),
    "xavier": ("Tanh", "", "xavier", ""),
    "he": ("ReLU", "", "he", ""),
    "orthogonal": ("Tanh", "", "orthogonal", ""),
    "residual": ("Sigmoid", "", "", "residual"),
}
"""Activation, normalisation, initialisation and connection of each demonstration."""
NAMES = tuple(_MAKE)
_INITS: dict[str, Callable[[Any], Any]] = {
    "xavier": nn.init.xavier_normal_,
    "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}
WORDS: Words = {
    "built": ("A network of {depth} layers of {width} units: {what}.",
              "유닛이 {width}개씩인 층 {depth}개의 신경망: {what}."),
    "left": ("{depth} layers back, {ratio} of the gradient is left. The bound 0.25^k is {bound}.",
             "층 {depth}개를 거슬러 올라간 뒤 남은 기울기: {ratio}. 한계 0.25^k 값: {bound}."),
    "sigmoid": ("sigmoid, the usual initial weights", "시그모이드, 흔히 쓰는 초기화"),
    "tanh": ("tanh, the usual initial weights", "tanh, 흔히 쓰는 초기화"),
    "relu": ("ReLU, the usual initial weights", "ReLU, 흔히 쓰는 초기화"),
    "batch_norm": ("sigmoid with batch normalisation", "시그모이드와 배치 정규화"),
    "layer_norm": ("sigmoid with layer normalisation", "시그모이드와 층 정규화"),
    "xavier": ("tanh with Xavier initialisation", "tanh 함수와 Xavier 초기화"),
    "he": ("ReLU with He initialisation", "ReLU 함수와 He 초기화"),
    "orthogonal": ("tanh with orthogonal initialisation", "tanh 함수와 직교 초기화"),
    "residual": ("sigmoid with residual connections", "시그모이드와 잔차 연결"),
    "why_sigmoid": (
        "Every activation factor A is at most a quarter, and the weights make good none of it.",
        "활성화 인자 A 값은 언제나 4분의 1 이하이고, 가중치가 이를 메우지 못합니다."),
    "why_tanh": (
        "The slope of tanh reaches 1, so A stays close to 1; what shrinks is the factor M of "
        "weights that are too small.",
        "tanh 함수의 기울기는 최댓값이 1이어서 A 값은 거의 줄지 않습니다. 기울기를 줄이는 것은 "
        "너무 작은 가중치의 인자, 곧 M 값입니다."),
    "why_relu": (
        "About half of the units are on, so A is about 0.71; the weights are too small to make it "
        "good.",
        "유닛의 절반쯤만 켜지므로 A 값은 0.71 정도입니다. 가중치가 너무 작아 이를 메우지 "
        "못합니다."),
    "why_batch_norm": (
        "A is still at most a quarter. Batch normalisation divides by the small spread of each "
        "unit, and so its factor N makes good what A and M take.",
        "A 값은 여전히 4분의 1 이하입니다. 배치 정규화는 유닛마다 작은 표준편차로 나누므로, 그 "
        "인자(N)가 활성화 함수와 가중치가 줄인 만큼을 메웁니다."),
    "why_layer_norm": (
        "A is still at most a quarter. Layer normalisation divides by the spread over the units, "
        "and its factor N makes good a part.",
        "A 값은 여전히 4분의 1 이하입니다. 층 정규화는 유닛들의 표준편차로 나누고, 그 인자(N)가 "
        "일부를 메웁니다."),
    "why_xavier": (
        "Weights of variance 2 / (n + m) keep M close to 1; only A takes a little in each layer.",
        "가중치의 분산이 2 / (n + m) 값이면 가중치는 기울기의 크기를 거의 바꾸지 않고, 활성화 "
        "함수만 층마다 조금씩 줄입니다."),
    "why_he": (
        "Weights of variance 2 / n give back the half that ReLU takes: A times M is about 1.",
        "가중치의 분산이 2 / n 값이면 ReLU 함수가 없앤 절반을 되돌려, 두 인자의 곱이 거의 "
        "1입니다."),
    "why_orthogonal": (
        "Orthogonal weights keep every length: M is exactly 1, and only A takes a little.",
        "직교 가중치는 길이를 바꾸지 않으므로 줄이지도 늘리지도 않고, 활성화 함수만 조금씩 "
        "줄입니다."),
    "why_residual": (
        "The way past each layer hands the gradient on as it is, so it does not vanish, whatever "
        "the sigmoid does.",
        "층을 건너뛰는 길이 기울기를 그대로 전하므로, 시그모이드가 무엇을 하든 소실되지 않습니다."),
    "k": ("k", "k"),
    "bound": ("0.25^k", "0.25^k"),
    "A": ("A alone", "활성화 A"),
    "N": ("N alone", "정규화 N"),
    "M": ("M alone", "가중치 M"),
    "all": ("gradient left", "남은 기울기"),
    "axis": ("layers back (k)", "거슬러 올라간 층의 수 (k)"),
    "axis_left": ("share of the gradient", "기울기의 비율"),
    "picture": ("What is left of the gradient k layers back, in a network with {what}, beside the "
                "bound 0.25^k.",
                "{what} 신경망에서 층 k개를 거슬러 올라간 뒤 남은 기울기와 한계 0.25^k."),
}  # fmt: skip


@dataclass(frozen=True)
class Back:
    """What is left k layers back.

    Attributes
    ----------
    k : int
    left : float
        The gradient's norm over that at the output.
    products : dict of str to float
        Of the factors of each letter alone; empty where ways part.
    """

    k: int
    left: float
    products: dict[str, float]

    @property
    def bound(self) -> float:
        """The most that k sigmoids pass."""
        return BOUND**self.k


class Sweep(Account):
    """A depth sweep.

    Attributes
    ----------
    name : str
        One of `NAMES`.
    width : int
    backs : list of Back
        For k = 0 up to the depth.
    """

    def __init__(self, name: str, width: int, backs: list[Back], lang: str = "en") -> None:
        self.name = name
        self.width = width
        self.backs = backs
        self.lang = lang

    def tell(self, lang: str) -> list[str | Table]:
        """Return how the network is built, what is left, why, and a row for each k."""
        last = self.backs[-1]
        letters = list(last.products)
        header = [say_in(WORDS, key, lang) for key in ("k", "bound", *letters, "all")]
        rows = [
            [str(b.k), spell(b.bound, 3), *(spell(b.products.get(x, 1.0), 3) for x in letters),
             spell(b.left, 3)]
            for b in self.backs
        ]  # fmt: skip
        what = say_in(WORDS, self.name, lang)
        built = say_in(WORDS, "built", lang, depth=last.k, width=self.width, what=what)
        left = say_in(WORDS, "left", lang, depth=last.k, ratio=spell(last.left, 3),
                      bound=spell(last.bound, 3))  # fmt: skip
        return [f"{built} {left}", say_in(WORDS, f"why_{self.name}", lang), Table(header, rows)]

    def picture(self, lang: str | None = None) -> Picture:
        """Return what is left over k, beside the bound and the product of each factor."""
        from matplotlib.ticker import MaxNLocator

        from slopewise.drawing import open_sheet
        from slopewise.drawing.settings import DASHES, MARKERS, PALETTE

        with open_sheet(6.4, 3.8, lang or self.lang) as sheet:
            axes = sheet.figure.add_subplot()
            steps = [b.k for b in self.backs]
            lines = {"all": [b.left for b in self.backs], "bound": [b.bound for b in self.backs]}
            for letter in self.backs[-1].products:
                lines[letter] = [b.products.get(letter, 1.0) for b in self.backs]
            every = max(1, len(steps) // 12)
            for number, (key, values) in enumerate(lines.items()):
                axes.plot(steps, [v if v > 0 else math.nan for v in values],
                          label=say_in(WORDS, key, sheet.lang).replace("0.25^k", "$0.25^k$"),
                          color=PALETTE[number], linestyle=DASHES[number], marker=MARKERS[number],
                          markevery=every, linewidth=2.2 if key == "all" else 1.4)  # fmt: skip
            axes.set_yscale("log")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlabel(say_in(WORDS, "axis", sheet.lang))
            axes.set_ylabel(say_in(WORDS, "axis_left", sheet.lang))
            sheet.figure.legend(loc="outside right center")
            asked = lang or self.lang
            what = say_in(WORDS, self.name, asked)
            return sheet.finish(say_in(WORDS, "picture", asked, what=what))


class _Block(nn.Module):
    """One layer of a network that is swept."""

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        activation, norm, init, way = _MAKE[name]
        self.linear = nn.Linear(width, width)
        if init:
            with sw.no_grad():
                _INITS[init](self.linear.weight)
                self.linear.bias.zero_()
        self.norm = getattr(nn, norm)(width) if norm else None
        self.activation = getattr(nn, activation)()
        self.past = way == "residual"

    def forward(self, x: Any) -> Any:
        u = self.linear(x)
        y = self.activation(u if self.norm is None else self.norm(u))
        return x + y if self.past else y


def sweep_depth(
    name: str = "sigmoid", depth: int = 20, width: int = 64, seed: int = 0, lang: str = "en"
) -> Sweep:
    """Return what is left of the gradient k layers back, for every k up to a depth.

    Parameters
    ----------
    name : str
        'sigmoid', 'tanh' or 'relu' with the usual initial weights; 'batch_norm', 'layer_norm' or
        'residual', each with sigmoids; 'xavier' or 'orthogonal' with tanh, 'he' with ReLU.
    depth, width : int
        Layers, and units in each.
    seed : int
        Of weights and data.
    lang : {'en', 'ko'}

    Returns
    -------
    Sweep

    Raises
    ------
    SpokenError
        If the name is unknown, or a size out of range.

    Examples
    --------
    >>> found = sweep_depth("sigmoid", depth=4)
    >>> all(back.products["A"] <= 0.25**back.k for back in found.backs[1:])
    True
    """
    check_lang("sweep_depth", lang)
    check_choice("sweep_depth", "name", name, NAMES)
    check_range("sweep_depth", "depth", depth, 1, 200)
    check_range("sweep_depth", "width", width, 1, 2048)
    with Own().keep(None, None):
        sw.manual_seed(seed)
        blocks = [_Block(name, width) for _ in range(depth)]
        x, target = sw.randn(ROWS, width), sw.randn(ROWS, width)
        model = nn.Sequential(*blocks)
        record = Own().record(model, _pull, x, target, trials=False)
        values = [x.requires_grad_()]
        for block in blocks:
            values.append(block(values[-1]))
        grads = sw.autograd.grad(_pull(values[-1], target), values)
    sizes = [float(g.double().norm()) for g in grads]
    logs: dict[int, dict[str, float]] = {i: {} for i in range(depth)}
    for f in measure(record):
        if f.letter in "ANM":
            place = int(f.name.partition(".")[0])
            logs[place][f.letter] = math.log(f.ratio) if f.ratio > 0 else -math.inf
    letters = [] if _MAKE[name][3] else [x for x in "ANM" if x in logs[0]]
    backs = [Back(0, 1.0, dict.fromkeys(letters, 1.0))]
    totals = dict.fromkeys(letters, 0.0)
    for k in range(1, depth + 1):
        for letter in letters:
            totals[letter] += logs[depth - k][letter]
        products = {letter: math.exp(total) for letter, total in totals.items()}
        backs.append(Back(k, sizes[depth - k] / sizes[-1], products))
    return Sweep(name, width, backs, lang)


def _pull(output: Any, target: Any) -> Any:
    """A loss whose gradient in the outputs is the target itself."""
    return (output * target).sum()
