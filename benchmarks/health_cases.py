"""The faulty models that are known from publications, and healthy ones, as data.

Specifications of AutoTrainer (ICSE 2021), DeepDiagnosis (ICSE 2022) and of questions asked in
public, restated; the digits (8 by 8) stand in for MNIST. Every case has what a right verdict is,
and no name of it is ever shown to the tool.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn
from slopewise.nn import functional as F

Data = tuple[Any, Any, Any, Any]
"""Training input and target, and held-out ones."""


@dataclass(frozen=True)
class Case:
    """A model with its data and training.

    Parameters
    ----------
    name : str
    data : callable
        Gives training and held-out rows.
    model : callable
        From nothing to a Module; the seed is set before.
    loss : callable
    optimizer : callable
        From parameters to an optimiser.
    batch, epochs : int
    verdicts : tuple of str
        Any of which is right; empty for healthy models.
    causes : tuple of str
        Any of which is right.
    """

    name: str
    data: Callable[[], Data]
    model: Callable[[], Any]
    loss: Callable[[Any, Any], Any]
    optimizer: Callable[[Any], Any]
    batch: int = 128
    epochs: int = 300
    verdicts: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()


# ------------------------------------------------------------------ data


def _halve(x: Any, y: Any, seed: int = 0) -> Data:
    order = np.random.default_rng(seed).permutation(len(x))
    cut = int(0.7 * len(x))
    a, b = order[:cut], order[cut:]
    return x[a], y[a], x[b], y[b]


@cache
def circle() -> Data:
    from sklearn.datasets import make_circles

    x, y = make_circles(1000, noise=0.1, factor=0.4, random_state=0)
    return _halve(x.astype(np.float32), y.astype(np.int64))


@cache
def moons() -> Data:
    from sklearn.datasets import make_moons

    x, y = make_moons(1000, noise=0.15, random_state=0)
    return _halve(x.astype(np.float32), y.astype(np.int64))


@cache
def blobs() -> Data:
    from sklearn.datasets import make_blobs

    x, y = make_blobs(1000, centers=3, cluster_std=2.0, random_state=2)[:2]
    return _halve(x.astype(np.float32), np.asarray(y, np.int64))


@cache
def digits() -> Data:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _halve((x / 16).astype(np.float32), y.astype(np.int64))


@cache
def wine(scaled: bool = True) -> Data:
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0) if scaled else x
    return _halve(x.astype(np.float32), y.astype(np.int64))


@cache
def cancer() -> Data:
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return _halve(x.astype(np.float32), y.astype(np.int64))


@cache
def exclusive_or() -> Data:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.array([[0], [1], [1], [0]], np.float32)
    return x, y, x, y


@cache
def parabola() -> Data:
    random = np.random.default_rng(0)
    x = random.uniform(0, 5, (1000, 1))
    y = 5 * x**2 + random.normal(size=x.shape) ** 3
    return _halve(x.astype(np.float32), y.astype(np.float32))


@cache
def codes() -> Data:
    x = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(np.float32)
    return x, x, x, x


@cache
def one_hot_digits() -> Data:
    x, y, held_x, held_y = digits()
    eye = np.eye(10, dtype=np.float32)
    return x, eye[y], held_x, eye[held_y]


# ------------------------------------------------------------------ models


def chain(
    sizes: list[int], activation: Callable[[], Any], init: Callable[[Any], Any] | None = None,
    last: Callable[[], Any] | None = None, norm: Callable[[int], Any] | None = None,
) -> nn.Sequential:  # fmt: skip
    """Linear layers with an activation between them."""
    layers: list[Any] = []
    for i, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        layer = nn.Linear(rows, columns)
        if init is not None:
            with sw.no_grad():
                init(layer.weight)
                if layer.bias is not None and init is not tiny:
                    layer.bias.zero_()
                elif layer.bias is not None:
                    tiny(layer.bias)
        layers.append(layer)
        if i < len(sizes) - 2:
            layers += [] if norm is None else [norm(columns)]
            layers.append(activation())
    return nn.Sequential(*layers, *([] if last is None else [last()]))


def he(weight: Any) -> Any:
    return nn.init.kaiming_uniform_(weight, nonlinearity="relu")


def glorot(weight: Any) -> Any:
    return nn.init.xavier_uniform_(weight)


def tiny(weight: Any) -> Any:
    return nn.init.uniform_(weight, -0.05, 0.05)


def normal(weight: Any) -> Any:
    return nn.init.normal_(weight)


class Exp(nn.Module):
    """The exponential function as an activation."""

    def forward(self, x: Any) -> Any:
        return sw.exp(x)


def adam(lr: float = 1e-3) -> Callable[[Any], Any]:
    return lambda parameters: sw.optim.Adam(parameters, lr=lr)


def sgd(lr: float, momentum: float = 0.0) -> Callable[[Any], Any]:
    return lambda parameters: sw.optim.SGD(parameters, lr=lr, momentum=momentum)


def softmax_mse(output: Any, target: Any) -> Any:
    return F.mse_loss(output, target)


FAULTY = [
    Case("1 circle, 8x5 sigmoid", circle, lambda: chain([2, *[5] * 8, 2], nn.Sigmoid, he),
         F.cross_entropy, adam(), verdicts=("vanishing",), causes=("activation",)),
    Case("2 blobs, batch of 1", blobs, lambda: chain([2, 50, 3], nn.ReLU, he),
         F.cross_entropy, sgd(0.01, 0.9), 1, 20, ("oscillation",), ("batch", "learning_rate")),
    Case("3 blobs, ReLU at the output", blobs,
         lambda: chain([2, *[50] * 4, 3], nn.ReLU, he, nn.ReLU),
         F.cross_entropy, adam(1e-4), 256, 100, ("wrong_head",), ("output",)),
    Case("4 digits, 34x128 ReLU, Glorot", digits,
         lambda: chain([64, *[128] * 34, 10], nn.ReLU, glorot),
         F.cross_entropy, adam(), 32, 5, ("forward_collapse",), ("initialisation",)),
    Case("6 circle, 12x5 sigmoid", circle, lambda: chain([2, *[5] * 12, 2], nn.Sigmoid, he),
         F.cross_entropy, adam(), verdicts=("vanishing",), causes=("activation",)),
    Case("8 circle, 9x5 exp", circle, lambda: chain([2, *[5] * 9, 2], Exp, he),
         F.cross_entropy, adam(), verdicts=("exploding",), causes=("activation",)),
    Case("10 circle, 9x5 ReLU, U(-0.05, 0.05)", circle,
         lambda: chain([2, *[5] * 9, 2], nn.ReLU, tiny), F.cross_entropy, adam(),
         verdicts=("vanishing", "forward_collapse"), causes=("initialisation",)),
    Case("12 circle, 16x5 ReLU", circle, lambda: chain([2, *[5] * 16, 2], nn.ReLU, he),
         F.cross_entropy, adam(), verdicts=("dying_relu",), causes=("width",)),
    Case("17 digits, linear, N(0, 1), SGD 3.0", one_hot_digits,
         lambda: chain([64, 30, 10], nn.Identity, normal), F.mse_loss, sgd(3.0), 10, 10,
         ("exploding",), ("learning_rate", "initialisation")),
    Case("18 XOR, one softmax unit", exclusive_or,
         lambda: chain([2, 3, 1], nn.Sigmoid, None, lambda: nn.Softmax(1)),
         F.mse_loss, sgd(1e-3), 4, 500, ("no_head_gradient",), ("one_unit",)),
    Case("20 parabola, SGD 0.1", parabola, lambda: chain([1, 50, 30, 1], nn.ReLU, he),
         F.mse_loss, sgd(0.1), 32, 20, ("learning_rate_high",), ("learning_rate",)),
    Case("21 codes, 3x8 sigmoid, N(0, 1)", codes,
         lambda: chain([8, 8, 8, 8], nn.Sigmoid, normal, nn.Sigmoid), F.mse_loss, sgd(0.01),
         50, 200, ("vanishing", "saturated"), ("saturation", "initialisation")),
    Case("22 wine, unscaled", lambda: wine(False), lambda: chain([13, 21, 3], nn.ReLU, he),
         F.cross_entropy, adam(), 100, 100, ("input_scale",), ("input",)),
]  # fmt: skip

HEALTHY = [
    Case("H1 circle, 17x5 tanh", circle, lambda: chain([2, *[5] * 17, 2], nn.Tanh, he),
         F.cross_entropy, adam()),
    Case("H2 digits, 64-64-10 ReLU", digits, lambda: chain([64, 64, 10], nn.ReLU, he),
         F.cross_entropy, adam()),
    Case("H3 breast cancer, logistic regression", cancer, lambda: nn.Sequential(nn.Linear(30, 2)),
         F.cross_entropy, adam()),
]  # fmt: skip
