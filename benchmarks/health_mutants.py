"""Mutants: healthy trainings, each with one thing changed, as data.

A recipe is a small record; building it gives model, loss, optimiser and data. A mutation changes
one field of a healthy recipe, and knows which causes are right answers. Whether it did any harm is
measured, not supposed: a mutant is faulty where its median accuracy over seeds falls far enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import health_cases as cases
import numpy as np

import slopewise as sw
from slopewise import nn
from slopewise.nn import functional as F


@dataclass(frozen=True)
class Recipe:
    """A training.

    Parameters
    ----------
    data : str
    depth, width : int
        Of the hidden layers.
    activation : str
    init : str
        "he", "glorot", "default", "constant", "zero", or a factor of He's or Glorot's as text.
    norm : str
        "", "batch", "layer".
    optimizer : str
    rate : float
    batch, epochs : int
    scale : str
        "", or what is done to the input.
    head : str
        "", or an activation before the loss.
    kind : str
        "chain", "residual" or "conv".
    """

    data: str
    depth: int = 2
    width: int = 32
    activation: str = "ReLU"
    init: str = "right"
    norm: str = ""
    optimizer: str = "adam"
    rate: float = 5e-3
    batch: int = 32
    epochs: int = 10
    scale: str = ""
    head: str = ""
    kind: str = "chain"

    @property
    def name(self) -> str:
        parts = [self.data, f"{self.depth}x{self.width}", self.activation, self.init, self.norm,
                 f"{self.optimizer} {self.rate:g}", f"batch {self.batch}", self.scale, self.head,
                 "" if self.kind == "chain" else self.kind]  # fmt: skip
        return " ".join(p for p in parts if p)


DATA: dict[str, Callable[[], cases.Data]] = {
    "circle": cases.circle, "moons": cases.moons, "blobs": cases.blobs, "digits": cases.digits,
    "wine": cases.wine, "cancer": cases.cancer,
}  # fmt: skip

HEALTHY = [
    Recipe("digits", 2, 64),
    Recipe("digits", 3, 48, "Tanh", rate=2e-3),
    Recipe("digits", 2, 64, "GELU", optimizer="sgd", rate=0.1, epochs=15),
    Recipe("digits", 10, 32, norm="batch"),
    Recipe("digits", 6, 32, norm="layer", rate=2e-3),
    Recipe("digits", 2, 8, kind="conv", epochs=8),
    Recipe("digits", 8, 32, kind="residual", rate=2e-3),
    Recipe("circle", 2, 24, epochs=25, rate=1e-2),
    Recipe("circle", 3, 16, "Tanh", epochs=25, rate=1e-2),
    Recipe("moons", 2, 24, epochs=25, rate=1e-2),
    Recipe("moons", 3, 24, "ELU", epochs=25, rate=1e-2),
    Recipe("wine", 2, 24, batch=16, epochs=30),
    Recipe("wine", 1, 32, "Tanh", optimizer="sgd", rate=0.05, batch=16, epochs=30),
    Recipe("cancer", 2, 24, epochs=15),
    Recipe("cancer", 3, 16, "SiLU", epochs=15),
]  # fmt: skip

_CHAIN = ("vanishing", "exploding", "forward_collapse", "dying_relu", "saturated")
RIGHT: dict[str, set[tuple[str, str]]] = {
    "depth": {(v, c) for v in (*_CHAIN, "too_narrow") for c in (
        "activation", "initialisation", "saturation", "width", "depth", "normalisation")},
    "activation": {(v, c) for v in _CHAIN for c in ("activation", "saturation")},
    "init_small": {(v, "initialisation") for v in ("vanishing", "forward_collapse", "dying_relu")},
    "init_large": {(v, c) for v in ("exploding", "saturated", "vanishing", "dying_relu")
                   for c in ("initialisation", "saturation")},
    "init_same": {("symmetry", "constant")},
    "rate_high": {(v, c) for v in ("learning_rate_high", "oscillation")
                  for c in ("learning_rate", "batch")},
    "rate_low": {("learning_rate_low", "learning_rate")},
    "norm": {(v, c) for v in (*_CHAIN, "normalisation") for c in (
        "activation", "initialisation", "saturation", "normalisation", "width", "batch")},
    "input": {("input_scale", "input")},
    "head": {(v, c) for v in ("wrong_head", "no_head_gradient")
             for c in ("output", "twice", "range", "loss", "one_unit", "saturation")},
    "layer": {(v, c) for v in _CHAIN for c in ("initialisation", "saturation", "width")},
    "width": {(v, "width") for v in ("too_narrow", "dying_relu")},
}  # fmt: skip
"""Right answers, by what was changed."""


def mutate(recipe: Recipe, random: np.random.Generator) -> tuple[str, Recipe]:
    """Change one thing at random, and return what and the mutant."""
    kind = str(random.choice(sorted(RIGHT)))
    pick = random.choice
    if kind == "depth":
        return kind, replace(recipe, depth=int(pick([12, 16, 20, 30])), kind="chain", norm="",
                             init=str(pick(["right", "default"])))  # fmt: skip
    if kind == "activation":
        steep = bool(pick([False, False, True]))
        name = "Exp" if steep else "Sigmoid"
        deep = max(recipe.depth, int(pick([4, 6, 8])))
        return kind, replace(recipe, activation=name, norm="", kind="chain", depth=deep)
    if kind == "init_small":
        return kind, replace(recipe, init=f"{pick([0.001, 0.01, 0.05, 0.1, 0.3]):g}", norm="",
                             depth=max(recipe.depth, 3))  # fmt: skip
    if kind == "init_large":
        return kind, replace(recipe, init=f"{pick([5, 10, 30, 100]):g}", norm="")
    if kind == "init_same":
        return kind, replace(recipe, init=str(pick(["constant", "zero"])), kind="chain", norm="")
    if kind == "rate_high":
        return kind, replace(recipe, rate=recipe.rate * float(pick([10, 30, 100, 1000])))
    if kind == "rate_low":
        return kind, replace(recipe, rate=recipe.rate / float(pick([30, 100, 300, 1000])))
    if kind == "norm":
        deep = replace(recipe, depth=max(recipe.depth, int(pick([10, 14, 20]))), kind="chain",
                       norm="", init="default")  # fmt: skip
        return kind, deep if pick([True, False]) else replace(
            recipe, norm=str(pick(["tiny", "late"])), depth=max(recipe.depth, 4), kind="chain"
        )
    if kind == "input":
        return kind, replace(recipe, norm="", scale=str(pick(["x100", "x1000", "/1000", "column",
                             "offset"])))  # fmt: skip
    if kind == "layer":
        depth = max(recipe.depth, 3)
        what = str(pick(["dead", "1e-4", "300"]))
        return kind, replace(recipe, depth=depth, norm="", kind="chain",
                             init=f"layer{1 + int(random.integers(depth - 1))}:{what}")  # fmt: skip
    if kind == "head":
        return kind, replace(recipe, head=str(pick(["ReLU", "Sigmoid", "Softmax", "Tanh"])))
    return kind, replace(recipe, width=int(pick([1, 2])), kind="chain", norm="")


def load(recipe: Recipe) -> cases.Data:
    """Return the data, with what the recipe does to the input."""
    x, y, held_x, held_y = DATA[recipe.data]()
    random = np.random.default_rng(1)
    factors = np.ones(x.shape[1], np.float32)
    offset = np.float32(0)
    if recipe.scale.startswith("x"):
        factors *= float(recipe.scale[1:])
    elif recipe.scale.startswith("/"):
        factors /= float(recipe.scale[1:])
    elif recipe.scale == "column":
        factors[random.integers(len(factors))] = 1000
    elif recipe.scale == "offset":
        offset = np.float32(50)
    return x * factors + offset, y, held_x * factors + offset, held_y


class Block(nn.Module):
    """A block with a connection past it."""

    def __init__(self, width: int, activation: Callable[[], Any], norm: list[Any]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width, width), *norm, activation())

    def forward(self, x: Any) -> Any:
        return x + 0.5 * self.body(x)


def build(recipe: Recipe) -> Any:
    """Return the model; the seed is set by whoever calls."""
    x, y, _, _ = DATA[recipe.data]()
    inputs, classes = x.shape[1], int(y.max()) + 1
    activation = cases.Exp if recipe.activation == "Exp" else getattr(nn, recipe.activation)
    layers: list[Any] = []
    size = inputs
    if recipe.kind == "conv":
        layers.append(nn.Unflatten(1, (1, 8, 8)))
        channels = 1
        for _ in range(recipe.depth):
            layers += [nn.Conv2d(channels, recipe.width, 3, padding=1), activation()]
            channels = recipe.width
        layers += [nn.MaxPool2d(2), nn.Flatten()]
        size = recipe.width * 16
    for i in range(recipe.depth if recipe.kind != "conv" else 0):
        if recipe.kind == "residual" and i:
            layers.append(Block(recipe.width, activation, _norms(recipe, i)))
        else:
            layers += [nn.Linear(size, recipe.width), *_norms(recipe, i), activation()]
        size = recipe.width
    layers.append(nn.Linear(size, classes))
    if recipe.head:
        layers.append(nn.Softmax(1) if recipe.head == "Softmax" else getattr(nn, recipe.head)())
    model = nn.Sequential(*layers)
    _initialise(model, recipe)
    return model


def _norms(recipe: Recipe, place: int) -> list[Any]:
    if recipe.norm == "batch":
        return [nn.BatchNorm1d(recipe.width)]
    if recipe.norm == "layer":
        return [nn.LayerNorm(recipe.width)]
    if recipe.norm in ("tiny", "late"):
        norm = nn.BatchNorm1d(recipe.width)
        with sw.no_grad():
            if recipe.norm == "tiny":
                norm.weight.fill_(0.02)
            elif place % 2:
                norm.weight.fill_(20.0)
        return [norm]
    return []


def _initialise(model: Any, recipe: Recipe) -> None:
    if recipe.init == "default":
        return
    known = recipe.activation in ("ReLU", "GELU", "SiLU", "ELU", "LeakyReLU")
    right = nn.init.kaiming_normal_ if known else nn.init.xavier_normal_
    with sw.no_grad():
        for module in model.modules():
            if not isinstance(module, (nn.Linear, nn.Conv2d)):
                continue
            if recipe.init.startswith("layer"):
                right(module.weight)
            elif recipe.init in ("constant", "zero"):
                module.weight.fill_(0.1 if recipe.init == "constant" else 0.0)
            elif recipe.kind == "residual" and recipe.init == "right":
                nn.init.xavier_normal_(module.weight)
            else:
                right(module.weight)
                if recipe.init not in ("right",):
                    module.weight.mul_(float(recipe.init))
            if module.bias is not None:
                module.bias.zero_()
        if recipe.init.startswith("layer"):
            _spoil(model, recipe)


def _spoil(model: Any, recipe: Recipe) -> None:
    """Spoil one layer, whose place is known then."""
    layer = model[find_spoilt(recipe)]
    what = recipe.init.partition(":")[2]
    if what == "dead":
        layer.bias.fill_(-50.0)
    else:
        layer.weight.mul_(float(what))


def find_spoilt(recipe: Recipe) -> int:
    """Return the place of the layer that was spoilt, -1 for none."""
    if not recipe.init.startswith("layer"):
        return -1
    return 2 * int(recipe.init[5 : recipe.init.index(":")])


def make_optimizer(recipe: Recipe, parameters: Any) -> Any:
    """Return the recipe's optimiser."""
    if recipe.optimizer == "adam":
        return sw.optim.Adam(parameters, lr=recipe.rate)
    return sw.optim.SGD(parameters, lr=recipe.rate, momentum=0.9)


loss = F.cross_entropy


def count_steps(recipe: Recipe) -> int:
    """Return how many steps the training takes."""
    return recipe.epochs * -(-len(DATA[recipe.data]()[0]) // recipe.batch)


def train(
    model: Any, optimizer: Any, data: cases.Data, batch: int, epochs: int, seed: int,
    loss_fn: Callable[[Any, Any], Any] = F.cross_entropy,
) -> float:  # fmt: skip
    """Train a model in place, and return its accuracy on held-out rows in per cent."""
    x, y, held_x, held_y = data
    x, y = sw.tensor(x), sw.tensor(y)
    random = np.random.default_rng(seed)
    model.train()
    for _ in range(epochs):
        order = random.permutation(len(x))
        for i in range(0, len(x), batch):
            rows = order[i : i + batch]
            if len(rows) < 2:
                continue
            optimizer.zero_grad()
            loss_fn(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return score(model, (held_x, held_y))


def score(model: Any, held: tuple[Any, Any]) -> float:
    """Return the accuracy in per cent."""
    model.eval()
    with sw.no_grad():
        output = np.asarray(model(sw.tensor(held[0])), float)
    return 100 * float(np.mean(np.nan_to_num(output).argmax(axis=1) == held[1]))


def run(recipe: Recipe, seed: int) -> float:
    """Build, train and score a recipe."""
    sw.manual_seed(seed)
    model = build(recipe)
    optimizer = make_optimizer(recipe, model.parameters())
    return train(model, optimizer, load(recipe), recipe.batch, recipe.epochs, seed)


def draw_healthy(random: np.random.Generator) -> Recipe:
    """Draw a recipe of usual choices; whether it is healthy is measured."""
    base = HEALTHY[int(random.integers(len(HEALTHY)))]
    pick = random.choice
    changes: dict[str, Any] = {
        "activation": str(pick(["ReLU", "Tanh", "GELU", "ELU", "SiLU", "LeakyReLU"])),
        "batch": int(pick([16, 32, 64])),
        "rate": base.rate * float(pick([0.5, 1.0, 2.0])),
        "init": str(pick(["right", "right", "default"])),
    }
    if base.kind == "chain":
        changes["depth"] = int(pick([1, 2, 3, 4])) if not base.norm else base.depth
        changes["width"] = int(pick([16, 24, 32, 64]))
        if not base.norm:
            changes["norm"] = str(pick(["", "", "batch", "layer"]))
    return replace(base, **changes)
