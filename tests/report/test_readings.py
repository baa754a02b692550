"""What is said of the numbers: each judgement where it holds, and not where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from slopewise.report.content import Curves, Side, read_content
from slopewise.report.readings import (
    Pair,
    compare_layers,
    format_loss,
    list_pairs,
    list_weak,
    read_gradients,
    read_losses,
    read_residuals,
    read_step,
    read_stop,
)
from slopewise.train.result import Result


def make_curves(**changes: object) -> Curves:
    """Five epochs of a network with two layers."""
    usual = Curves(
        np.arange(1, 6),
        np.array([1.0, 0.8, 0.6, 0.5, 0.4]),
        np.array([1.0, 0.8, 0.7, 0.75, 0.9]),
        np.full(5, 0.01),
        {"hidden1": np.full(5, 0.5), "output": np.full(5, 1.0)},
        3,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def list_ids(readings: list) -> list[str]:
    """The message ids."""
    return [reading.id for reading in readings]


def test_overfitting_is_named_with_its_numbers() -> None:
    (reading,) = read_losses(make_curves())
    assert reading.id == "loss.overfit"
    assert reading.values == {
        "epoch": 3, "train": "0.6", "train_last": "0.4", "val": "0.7", "val_last": "0.9",
    }  # fmt: skip


def test_level_and_falling_losses() -> None:
    level = make_curves(val_loss=np.array([1.0, 0.8, 0.7, 0.7, 0.7]))
    assert list_ids(read_losses(level)) == ["loss.level"]
    falling = make_curves(val_loss=np.array([1.0, 0.8, 0.7, 0.6, 0.5]), best=5)
    assert list_ids(read_losses(falling)) == ["loss.falling"]
    halved = make_curves(lr=np.array([0.4, 0.4, 0.2, 0.2, 0.1]))
    assert read_losses(halved)[-1].values == {"first": "0.4", "last": "0.1"}
    assert read_losses(make_curves(epoch=np.zeros(0, int))) == []
    assert list_ids(read_losses(make_curves(best=0))) == []


@pytest.mark.parametrize(
    ("first", "id"),
    [(0.5, "steady"), (2e-3, "steady"), (5e-4, "vanishing"), (1e-30, "vanishing"),
     (500.0, "steady"), (2e3, "exploding")],
)  # fmt: skip
def test_first_layer_against_last(first: float, id: str) -> None:
    norms = {"hidden1": np.full(5, first), "hidden2": np.ones(5), "output": np.ones(5)}
    readings = read_gradients(make_curves(norms=norms))
    assert readings[0].id == f"gradients.{id}"
    assert readings[0].values["first"] == "hidden1" and readings[0].values["last"] == "output"


def test_linear_path_is_no_link_of_the_chain() -> None:
    norms = {"hidden1": np.ones(5), "output": np.ones(5), "linear_path": np.full(5, 1e6)}
    assert list_ids(read_gradients(make_curves(norms=norms))) == ["gradients.steady"]
    alone = {"output": np.linspace(3, 1, 5)}
    assert list_ids(read_gradients(make_curves(norms=alone))) == [
        "gradients.one",
        "gradients.total",
    ]
    alone = {"output": np.linspace(3, 2, 5)}
    assert list_ids(read_gradients(make_curves(norms=alone))) == ["gradients.one"]


def test_infinite_and_zero_norms() -> None:
    norms = {
        "hidden1": np.array([1.0, 0.0, 1.0, np.nan, 1.0]),
        "output": np.array([1.0, 1.0, 1.0, 1.0, np.inf]),
    }
    readings = read_gradients(make_curves(norms=norms))
    assert list_ids(readings) == ["gradients.infinite", "gradients.steady", "gradients.zero"]
    assert readings[0].values == {"epoch": 4}
    assert readings[2].values == {"layers": ["hidden1"]}
    dead = {"hidden1": np.zeros(5), "output": np.zeros(5)}
    assert list_ids(read_gradients(make_curves(norms=dead))) == ["gradients.zero"]


def test_layers_in_numbers() -> None:
    norms = {"hidden1": np.array([8.0, 4, 2, 1, 1]), "output": np.array([16.0, 16, 16, 16, 1])}
    first, last = compare_layers(make_curves(norms=norms))
    assert (first.first, first.best, first.last, first.ratio) == (8.0, 2.0, 1.0, 0.25)
    assert last.ratio == 1.0


def test_first_step_is_told_as_it_was(build: Callable[..., Result]) -> None:
    sgd = read_content(build(optimizer="sgd")).steps
    assert list_ids(read_step(sgd)) == ["step4.exact"]
    assert list_ids(read_step(replace(sgd, after=sgd.after - 0.0002))) == ["step4.decay"]
    assert list_ids(read_step(replace(sgd, after=float("nan")))) == ["step4.missing"]
    adam = read_content(build()).steps
    assert list_ids(read_step(adam)) == ["step4.adam"]
    turned = replace(adam, after=adam.before - 0.003)
    assert list_ids(read_step(turned)) == ["step4.adam.other"]
    flat = replace(adam, gradient=0.0, after=adam.before)
    assert list_ids(read_step(flat)) == ["step4.adam.other"]


@pytest.mark.parametrize("stopped", ["patience", "epochs", "diverged", "interrupted"])
def test_every_end_has_its_sentence(build: Callable[..., Result], stopped: str) -> None:
    reading = read_stop(read_content(build(stopped=stopped)))
    assert reading.id == f"stopped.{stopped}"


def test_pairs_and_weak_classes() -> None:
    confusion = np.array([[8, 2, 0], [5, 5, 0], [0, 0, 0]])
    assert list_pairs(confusion) == [Pair(1, 0, 5, 0.5), Pair(0, 1, 2, 0.2)]
    assert list_weak(confusion) == [(1, 5, 10, 0.5), (0, 8, 10, 0.8)]
    assert list_pairs(np.eye(3, dtype=int)) == []


def test_residuals_without_rounding_noise() -> None:
    truth = np.array([100.0, 200.0, 300.0])
    side = Side("test", truth, truth * (1 + 1e-16), None)
    assert read_residuals(side)[0].values == {"half": "0", "most": "0", "mean": "0"}
    side = Side("test", truth, truth - np.array([1.0, 2.0, 3.0]), None)
    assert read_residuals(side)[0].values == {"half": "2", "most": "2.8", "mean": "2"}
    assert read_residuals(Side("test", truth, truth * np.nan, None)) == []
    assert format_loss(None) == "–"


def test_ends_of_a_weight_are_named(build: Callable[..., Result]) -> None:
    result = build(("a", "b"), path=True)
    steps = read_content(result).steps
    assert (steps.input, steps.output) == ("length", None)

    def name(parameter: str) -> tuple[object, object]:
        told = replace(result.five_steps, parameter=parameter)
        steps = read_content(replace(result, five_steps=told)).steps
        return steps.input, steps.output

    assert name("linear_path.weight[3, 1]") == ("island=Dream", "b")
    assert name("output.weight[3, 0]") == (None, "a")
    assert name("output.bias[1]") == (None, "b")
    assert name("hidden2.weight[0, 0]") == (None, None)
    assert name("norm1.weight[0]") == (None, None)
    assert name("") == (None, None)
