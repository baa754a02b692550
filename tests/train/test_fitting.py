"""Runs as a whole: what they learn, and that they resume bit for bit."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise.errors import DataError
from slopewise.train import fit, load, predict
from slopewise.train.result import Result

QUICK: dict[str, Any] = {"hidden": (6,), "epochs": 6, "batch": 16}


class Kill(BaseException):
    """Stands for a death without a chance to save."""


def die_after(steps: int) -> Callable[[Any], None]:
    count = iter(range(steps))

    def progress(_: Any) -> None:
        if next(count, None) is None:
            raise Kill

    return progress


def stop_after(steps: int) -> Callable[[], bool]:
    count = iter(range(steps))
    return lambda: next(count, None) is None


def read_files(result: Result, folder: Path) -> dict[str, bytes]:
    result.save(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", ["arrays", "pandas", "polars", "pyarrow"])
def test_every_kind_of_table_gives_the_same(kind, mixed):
    table: Any = mixed
    if kind != "arrays":
        library = importlib.import_module(kind)
        table = library.table(mixed) if kind == "pyarrow" else library.DataFrame(mixed)
    result = fit(table, "label", **QUICK)
    plain = fit(mixed, "label", **QUICK)
    assert result.metrics == plain.metrics
    assert result.classes == ("no", "yes")


def test_order_of_rows_does_not_matter_to_the_split(numbers):
    order = np.random.default_rng(0).permutation(120)
    plain = fit(numbers, "y", **QUICK)
    moved = fit({name: values[order] for name, values in numbers.items()}, "y", **QUICK)
    assert set(order[moved.test.rows]) == set(plain.test.rows)


def test_a_line_is_learnt(numbers):
    result = fit(numbers, "y", hidden="none")
    assert result.metrics["test"]["r2"] > 0.99
    assert result.metrics["validation"]["r2"] > 0.99
    assert result.settings["members"] == 5
    assert len(result.worst) == 10
    losses = [row.loss for row in result.worst]
    assert losses == sorted(losses, reverse=True)
    first = result.worst[0]
    assert first.truth == numbers["y"][first.row - 1]
    assert first.values["x"] == pytest.approx(numbers["x"][first.row - 1])


def test_the_candidates_are_compared_and_a_curve_needs_hidden_layers():
    x = np.random.default_rng(0).uniform(-2, 2, size=(300, 2))
    label = np.where((x**2).sum(1) < 2, "in", "out")
    result = fit((x, label))
    assert result.chosen > 0
    assert result.metrics["test"]["accuracy"] > 0.9
    assert result.candidates[0]["label"].startswith("linear")
    assert result.candidates[result.chosen]["best_epoch"] == result.best_epoch
    assert result.confusion.sum() == len(result.test.rows)


def test_history_and_steps_are_whole(numbers):
    result = fit(numbers, "y", hidden=(6, 5), norm="batch", epochs=4)
    layers = ["hidden1", "norm1", "hidden2", "norm2", "output"]
    names = ["epoch", "loss", "val_loss", "lr", *(f"grad.{layer}" for layer in layers)]
    assert list(result.history) == names
    for values in result.history.values():
        assert len(values) == 4
        assert np.all(np.isfinite(values))
    steps = result.five_steps
    assert steps.steps == 4 * (81 // 16)
    assert steps.after != steps.before
    assert (steps.after < steps.before) == (steps.gradient > 0)
    assert steps.best_val_loss == min(result.history["val_loss"])


def test_recorded_gradient_norms_are_those_of_the_loss():
    """One full batch: the norm after the first epoch is that of the gradient at the start."""
    generator = np.random.default_rng(0)
    columns = {"x": generator.normal(size=40), "y": generator.normal(size=40)}
    result = fit(columns, "y", hidden="none", folds=1, batch=100, epochs=1)
    rows = result.split.train
    assert result.five_steps.batch_rows == len(rows)
    y = columns["y"][rows]
    x = columns["x"][rows]
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    gradient = np.hypot(-2 * np.mean(x * y), -2 * np.mean(y))
    assert result.history["grad.output"][0] == pytest.approx(gradient, rel=1e-5)


def test_the_best_weights_are_restored(numbers):
    """The saved model's validation loss is the least of the history, not the last."""
    numbers["y"] += 3 * np.random.default_rng(9).normal(size=120)
    result = fit(numbers, "y", hidden=(30,), lr=0.05, epochs=40, patience=40)
    assert result.best_epoch < 40
    truth = (result.validation.truth - result.predictor.mean) / result.predictor.scale
    found = (result.validation.prediction - result.predictor.mean) / result.predictor.scale
    loss = float(np.mean((found - truth) ** 2))
    assert loss == pytest.approx(min(result.history["val_loss"]), rel=1e-4)


def test_a_constant_guess_is_never_better_by_luck(numbers):
    """A target without any relation is not learnt: R squared is near or below 0."""
    noise = np.random.default_rng(5).normal(size=120)
    result = fit({**numbers, "y": noise}, "y", epochs=30)
    assert result.metrics["test"]["r2"] < 0.3


def test_save_load_predict(tmp_path, mixed, csv_of):
    result = fit(mixed, "label", **QUICK)
    result.save(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["task"] == "classification"
    for side in ("test", "validation"):
        assert {"accuracy", "log_loss", "roc_auc"} <= metrics[side].keys()
    loaded = load(tmp_path)
    assert loaded.facts["slopewise"] == sw.__version__
    first = result.predict(mixed)
    again = predict(tmp_path, csv_of(tmp_path / "t.csv", mixed))
    np.testing.assert_array_equal(again.values, first.values)
    np.testing.assert_array_equal(again.probabilities, first.probabilities)
    np.testing.assert_array_equal(first.probabilities[result.test.rows], result.test.probability)


@pytest.mark.parametrize("steps", [1, 7, 30, 60, 95])
@pytest.mark.parametrize("options", [QUICK, {"epochs": 3, "batch": 32}], ids=["one", "auto"])
def test_stopped_and_resumed_ends_where_the_undisturbed_does(tmp_path, mixed, steps, options):
    path = tmp_path / "c"
    whole = fit(mixed, "label", **options)
    part = fit(mixed, "label", checkpoint=path, stop=stop_after(steps), **options)
    rest = fit(mixed, resume=path, epochs=options["epochs"])
    assert read_files(rest, tmp_path / "r") == read_files(whole, tmp_path / "w")
    if part.stopped == "interrupted":
        assert any(notice.id == "interrupted" for notice in part.notices)


@pytest.mark.parametrize("steps", [1, 8, 21, 33])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_killed_and_resumed_ends_where_the_undisturbed_does(
    tmp_path, mixed, steps, optimizer, monkeypatch
):
    monkeypatch.setattr("slopewise.train.run.INTERVAL", 0.0)
    options = {**QUICK, "optimizer": optimizer, "norm": "batch"}
    path = tmp_path / "c"
    whole = fit(mixed, "label", **options)
    with pytest.raises(Kill):
        fit(mixed, "label", checkpoint=path, progress=die_after(steps), **options)
    rest = fit(mixed, resume=path, checkpoint=path, epochs=6)
    assert read_files(rest, tmp_path / "r") == read_files(whole, tmp_path / "w")


def test_more_epochs_go_on_where_fewer_ended(tmp_path, mixed):
    path = tmp_path / "c"
    fit(mixed, "label", checkpoint=path, **{**QUICK, "epochs": 2})
    longer = fit(mixed, resume=path, epochs=6)
    whole = fit(mixed, "label", **QUICK)
    assert longer.metrics == whole.metrics
    for name, values in whole.history.items():
        np.testing.assert_array_equal(longer.history[name], values)


def test_a_stop_in_the_first_step_gives_a_result(mixed):
    result = fit(mixed, "label", stop=lambda: True, **QUICK)
    assert result.stopped == "interrupted"
    assert result.best_epoch == 0
    assert 0 <= result.metrics["test"]["accuracy"] <= 1


def test_another_table_is_not_resumed(tmp_path, numbers):
    path = tmp_path / "c"
    fit(numbers, "y", checkpoint=path, **QUICK)
    numbers["x"][0] += 1
    with pytest.raises(DataError, match="not the one"):
        fit(numbers, resume=path)
    with pytest.raises(DataError, match="no checkpoint"):
        fit(numbers, resume=tmp_path / "none")


def test_divergence_is_named(numbers):
    with pytest.raises(DataError, match="lower the learning rate"):
        fit(numbers, "y", hidden=(6,), lr=1e30, optimizer="sgd")


def test_test_share_may_be_zero(numbers):
    result = fit(numbers, "y", test=0.0, **QUICK)
    assert len(result.test.rows) == 0
    assert result.metrics["test"]["r2"] is None
    assert len(result.worst) == 10


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu"])
def test_choices_of_the_network_learn(numbers, norm, activation):
    result = fit(
        numbers, "y", hidden=(16,), norm=norm, activation=activation, epochs=60, lr=0.01, folds=1
    )
    assert result.metrics["validation"]["r2"] > 0.9
    assert len(list(result.model.parameters())) == (4 if norm == "none" else 6)


def test_import_of_train_is_light():
    import subprocess
    import sys

    heavy = ["duckdb", "narwhals", "safetensors", "scipy", "click", "rich", "torch"]
    code = f"import sys, slopewise.train; print([m for m in {heavy!r} if m in sys.modules])"
    code = f"import sys; sys.path[:0] = {sys.path!r}; " + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
