"""Compiled steps: they do what the steps one by one do, and end bit for bit alike when resumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise.cli.messages import say_notice
from slopewise.errors import DataError, TraceError
from slopewise.train import compiled, fit
from slopewise.train.architecture import Architecture
from slopewise.train.compiled import NEVER, WORTH, CompiledSteps, choose_first
from slopewise.train.loop import Trial
from slopewise.train.recipe import Recipe, Rows
from slopewise.train.threads import LARGE

NETWORKS: dict[str, dict[str, Any]] = {
    "linear": {},
    "linear sgd": {"optimizer": "sgd", "lr": 0.05},
    "no prior": {"hidden": (5,), "l2": 0.0},
    "two layers and a path": {"hidden": (6, 5), "skip": True},
    "batch norm": {"hidden": (6,), "norm": "batch", "activation": "tanh"},
    "batch norm sgd": {"hidden": (6, 4), "norm": "batch", "optimizer": "sgd"},
    "layer norm": {"hidden": (6,), "norm": "layer", "activation": "gelu"},
    "one member": {"hidden": (6,), "members": 1, "activation": "silu"},
}


@pytest.fixture(autouse=True, scope="module")
def _keep_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile equal programs once: many tests train the same network again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLOPEWISE_CACHE", str(tmp_path_factory.mktemp("code")))
        yield


def make_recipe(**changes: Any) -> Recipe:
    """A short run; what is no setting of the architecture is one of the recipe."""
    own: dict[str, Any] = {
        "lr": 0.01,
        "l2": 1.0,
        "batch": 16,
        "epochs": 9,
        "patience": 6,
        "seed": 3,
    }
    own |= {k: v for k, v in changes.items() if k in Recipe.__dataclass_fields__}
    shape: dict[str, Any] = {"inputs": 4, "outputs": 1, "members": 3}
    shape |= {k: v for k, v in changes.items() if k in Architecture.__dataclass_fields__}
    return Recipe(Architecture(**shape), **own)


def make_rows(members: int, count: int, classes: bool) -> Rows:
    """Random rows; members hold other rows back, one of them one row less than the others."""
    generator = np.random.default_rng(7)
    matrix = generator.normal(size=(count, 4)).astype(np.float32)
    wanted: Any = matrix[:, 0] * matrix[:, 1] + 0.3 * generator.normal(size=count)
    wanted = (wanted > 0).astype(np.int64) + (wanted > 1) if classes else wanted.astype(np.float32)
    held = [np.arange(m * 10, m * 10 + 10 - (m == 1)) for m in range(members)]
    return Rows(matrix, wanted, [(np.setdiff1d(np.arange(count), h), h) for h in held])


def train(recipe: Recipe, rows: Rows) -> Trial:
    trial = Trial(recipe, rows)
    assert trial.run(lambda: False, lambda _: None, lambda: None, 1e9)
    assert trial.state.not_compiled == ""
    return trial


def assert_close(one: Trial, other: Trial) -> None:
    """The same history, weights and running statistics, to rounding.

    A bias before batch normalisation has the gradient 0, of which rounding leaves some 1e-9, and
    Adam makes full steps of that: it, and the statistics that follow it, are not compared.
    """
    recipe = one.recipe
    noisy = recipe.architecture.norm == "batch" and recipe.optimizer == "adam"
    assert one.state.stopped == other.state.stopped
    for name, values in one.state.history.items():
        if noisy and name == "val_loss":
            continue
        np.testing.assert_allclose(other.state.history[name], values, rtol=2e-3, err_msg=name)
    last = other.network.read_arrays()
    for name, values in one.network.read_arrays().items():
        if noisy and ("running" in name or (name.startswith("hidden") and name.endswith("bias"))):
            continue
        np.testing.assert_allclose(last[name], values, rtol=2e-3, atol=2e-4, err_msg=name)


def assert_same(one: Trial, other: Trial) -> None:
    assert vars(one.state) == vars(other.state)
    for name, values in one.pack()[0].items():
        np.testing.assert_array_equal(other.pack()[0][name], values)


@pytest.mark.parametrize("classes", [False, True], ids=["numbers", "classes"])
@pytest.mark.parametrize("changes", NETWORKS.values(), ids=NETWORKS.keys())
def test_compiled_steps_do_what_single_steps_do(changes, classes):
    settings = {"outputs": 3 if classes else 1, **changes}
    compare(settings, make_rows(settings.get("members", 3), 97, classes))


@pytest.mark.parametrize("name", ["linear", "batch norm sgd"])
def test_batches_of_one_size_need_no_filling(name):
    rows = make_rows(3, 90, False)
    assert rows.train_rows % 16 == 0
    compare(NETWORKS[name], rows)


def compare(settings: dict[str, Any], rows: Rows) -> None:
    eager = train(make_recipe(**settings, compile=False), rows)
    compiled = train(make_recipe(**settings, compile=True), rows)
    assert_close(eager, compiled)
    assert (eager.recipe.architecture.norm == "batch") or (
        eager.state.best_epoch == compiled.state.best_epoch
    )
    assert eager._compiled is None
    assert compiled._compiled is not None
    assert eager.state.first_step == compiled.state.first_step


def test_a_halved_learning_rate_and_patience_are_heard():
    """Noise that cannot be learnt: the rate is halved and training ends by patience."""
    rows = make_rows(3, 60, False)
    rows.wanted[:] = np.random.default_rng(0).normal(size=60)
    settings: dict[str, Any] = {"hidden": (8,), "patience": 6, "epochs": 100, "lr": 0.02}
    eager = train(make_recipe(**settings, compile=False), rows)
    compiled = train(make_recipe(**settings, compile=True), rows)
    assert_close(eager, compiled)
    assert compiled.state.stopped == "patience"
    assert compiled.state.history["lr"][-1] < 0.02


def test_calls_of_any_length_end_bit_for_bit_alike(monkeypatch):
    rows = make_rows(3, 97, True)
    recipe = make_recipe(hidden=(6,), norm="batch", outputs=3, compile=True)
    whole = train(recipe, rows)
    for length in (1, 2, 3):
        monkeypatch.setattr(CompiledSteps, "choose_count", lambda self, n=length: n)
        assert_same(whole, train(recipe, rows))


def test_validation_in_chunks_is_the_same(monkeypatch):
    rows = make_rows(3, 97, True)
    recipe = make_recipe(hidden=(6,), outputs=3, compile=True)
    whole = train(recipe, rows)
    monkeypatch.setattr(compiled, "CHUNK", 4)
    chunked = train(recipe, rows)
    assert chunked._compiled is not None
    assert len(chunked._compiled._held) == 3
    assert_close(whole, chunked)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("calls", [1, 2, 4, 9, 10])
def test_stopped_and_unpacked_it_ends_bit_for_bit_alike(calls, optimizer, monkeypatch):
    monkeypatch.setattr(CompiledSteps, "choose_count", lambda self: 2)
    rows = make_rows(3, 97, True)
    recipe = make_recipe(hidden=(6,), norm="batch", outputs=3, optimizer=optimizer, compile=True)
    count = iter(range(calls))
    part = Trial(recipe, rows)
    part.run(lambda: next(count, None) is None, lambda _: None, lambda: None, 1e9)
    assert not part.state.stopped
    rest = Trial(recipe, rows)
    rest.unpack(*part.pack())
    rest.run(lambda: False, lambda _: None, lambda: None, 1e9)
    assert_same(train(recipe, rows), rest)


@pytest.mark.parametrize("calls", [3, 20])
def test_a_fit_stopped_among_compiled_steps_resumes(tmp_path, mixed, calls):
    def save(result: Any, name: str) -> dict[str, bytes]:
        result.save(tmp_path / name)
        return {p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())}

    options: dict[str, Any] = {"hidden": (6,), "epochs": 30, "batch": 16, "compile": True}
    count = iter(range(calls))
    path = tmp_path / "checkpoint"
    whole = fit(mixed, "label", **options)
    part = fit(mixed, "label", checkpoint=path, stop=lambda: next(count, None) is None, **options)
    assert part.stopped == "interrupted"
    assert save(fit(mixed, resume=path, epochs=30), "rest") == save(whole, "whole")


def test_progress_is_told_after_each_call(numbers):
    seen: list[tuple[int, int]] = []
    result = fit(
        numbers, "y", hidden="none", epochs=4, batch=8, compile=True,
        progress=lambda p: seen.append((p.epoch, p.step)),
    )  # fmt: skip
    steps = result.five_steps.steps // 4
    assert [seen.count((epoch, steps)) > 0 for epoch in (1, 2, 3, 4)] == [True] * 4
    assert len(seen) < 4 * steps
    assert seen == sorted(seen)


def test_a_long_epoch_surfaces_about_ten_times_a_second(monkeypatch):
    rows = make_rows(1, 97, False)
    steps = CompiledSteps(make_recipe(members=1, compile=True), rows, *_network_of(rows), steps=5)
    assert steps.choose_count() == 1
    steps._pace = 0.001
    assert steps.choose_count() == 100
    steps._pace = 3.0
    assert steps.choose_count() == 1


def _network_of(rows: Rows) -> tuple[Any, Any]:
    trial = Trial(make_recipe(members=1), rows)
    return trial.network, trial.optimizer


def test_rows_in_a_file_are_read_there(mixed, numbers):
    plain = fit(numbers, "y", hidden=(4,), epochs=3, compile=True)
    filed = fit(numbers, "y", hidden=(4,), epochs=3, compile=True, memory=1)
    assert plain.metrics == filed.metrics


def test_what_cannot_be_compiled_runs_step_by_step_and_says_why(mixed, monkeypatch):
    def refuse(self: Any) -> None:
        raise TraceError("a branch on a traced value\nin line 3")

    options: dict[str, Any] = {"hidden": (6,), "epochs": 3, "batch": 16}
    eager = fit(mixed, "label", **options, compile=False)
    monkeypatch.setattr(CompiledSteps, "prepare", refuse)
    result = fit(mixed, "label", **options, compile=True)
    assert result.metrics == eager.metrics
    (notice,) = [n for n in result.notices if n.id == "not_compiled"]
    assert notice.values == {"reason": "a branch on a traced value"}
    assert notice.text.endswith("could not be compiled: a branch on a traced value")
    assert say_notice(notice.id, "ko", notice.values).startswith("컴파일할 수 없어서")


def test_a_network_that_python_steers_is_not_compiled(monkeypatch):
    from slopewise.train.networks import StackedNetwork

    honest = StackedNetwork.compute

    def steered(self: Any, x: Any, training: bool, shares: Any = None) -> Any:
        output = honest(self, x, training, shares)
        return output * 1.0 if float(output.detach().sum()) > 0 else output

    monkeypatch.setattr(StackedNetwork, "compute", steered)
    rows = make_rows(3, 97, False)
    trial = Trial(make_recipe(compile=True), rows)
    assert trial.run(lambda: False, lambda _: None, lambda: None, 1e9)
    assert trial.state.not_compiled
    assert trial.state.compiled_from == NEVER
    eager = train(make_recipe(compile=False), rows)
    assert trial.state.history == eager.state.history


def test_where_compiling_starts_depends_on_the_work_alone():
    assert choose_first(make_recipe(compile=False), 10**6) == NEVER
    assert choose_first(make_recipe(compile=True), 1) == 1
    assert choose_first(make_recipe(epochs=2), WORTH // 2) == 1
    assert choose_first(make_recipe(epochs=2), WORTH // 2 - 1) == WORTH
    assert choose_first(make_recipe(epochs=1000, patience=4), WORTH // 5) == 1
    wide = make_recipe(hidden=(LARGE,))
    assert choose_first(wide, 10**6) == NEVER


def test_an_old_checkpoint_goes_on_step_by_step():
    rows = make_rows(3, 97, False)
    trial = Trial(make_recipe(), rows)
    arrays, facts = trial.pack()
    state = {k: v for k, v in facts["state"].items() if k not in ("compiled_from", "not_compiled")}
    trial.unpack(arrays, {**facts, "state": state})
    assert trial.state.compiled_from == NEVER


def test_the_option_is_checked(numbers):
    with pytest.raises(DataError, match="compile must be 'auto', True or False"):
        fit(numbers, "y", compile="fast")


def test_the_command_line_passes_the_option_on(tmp_path: Path, numbers, csv_of, monkeypatch):
    from slopewise.cli import main

    table = csv_of(tmp_path / "t.csv", numbers)
    seen: list[bool] = []
    monkeypatch.setattr(compiled.CompiledSteps, "prepare", lambda self: seen.append(True) or 1 / 0)
    words = ["train", str(table), "--target", "y", "--hidden", "none", "--epochs", "2"]
    assert main([*words, "--out", str(tmp_path / "a"), "--compile", "no"]) == 0
    assert seen == []
    assert main([*words, "--out", str(tmp_path / "b"), "--compile", "yes"]) == 0
    assert seen == [True]


def test_float64_as_default_changes_nothing(numbers):
    options: dict[str, Any] = {"hidden": (4,), "epochs": 3, "compile": True}
    plain = fit(numbers, "y", **options)
    sw.set_default_dtype(sw.float64)
    try:
        wide = fit(numbers, "y", **options)
    finally:
        sw.set_default_dtype(sw.float32)
    assert not [n for n in wide.notices if n.id == "not_compiled"]
    np.testing.assert_allclose(wide.history["val_loss"], plain.history["val_loss"], rtol=1e-4)
