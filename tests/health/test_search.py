"""The order of a search for a cure, by plans whose scores are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import ShapeError
from slopewise.health import cure
from slopewise.health import search as module
from slopewise.health.finding import Finding
from slopewise.health.remedies import Plan
from slopewise.health.search import Data, Search, compare
from slopewise.nn import functional as F

RNG = np.random.default_rng(7)
X = RNG.normal(size=(240, 2)).astype(np.float32)
Y = (np.hypot(*X.T) > 1.1).astype(np.int64)


def test_the_interval_is_students() -> None:
    stats = pytest.importorskip("scipy.stats")
    before, after = [0.5, 0.55, 0.6, 0.52], [0.8, 0.7, 0.9, 0.77]
    gain, bound = compare(before, after, 0.9)
    gaps = np.subtract(after, before)
    low = stats.t.interval(0.8, 3, gaps.mean(), stats.sem(gaps))[0]  # two-sided 80: one-sided 90
    assert gain == pytest.approx(gaps.mean()) and bound == pytest.approx(low)


def test_every_seed_holds_out_another_quarter() -> None:
    x, y = sw.tensor(np.arange(40.0)), sw.tensor(np.arange(40))
    data = Data(x, y, None)
    seen: list[set[int]] = []
    for seed in range(4):
        rows = data.split(seed)
        held, train = (set(np.asarray(v).tolist()) for v in (rows.held_y, rows.y))
        assert len(held) == 10 and not held & train and len(held | train) == 40
        assert np.array_equal(np.asarray(rows.held_x), np.asarray(rows.held_y))
        seen.append(held)
    assert len(set.union(*seen)) == 40
    assert set(np.asarray(data.split(4).held_y).tolist()) not in seen
    given = Data(x, y, (x[:3], y[:3]))
    assert all(len(given.split(seed).x) == 40 and len(given.split(seed).held_x) == 3
               for seed in range(5))  # fmt: skip


FINE, FIRST = [0.99] * 9, [0.95, 0.8, 0.85, 0.85, 0.9, 0.85, 0.8, 0.85, 0.9]


def search(
    monkeypatch: pytest.MonkeyPatch, scores: dict[str, list[float]], rows: int = 1200,
    findings: Sequence[Finding] = (),
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Search among plans whose scores are known; "plain" is the plain network.

    A variant of a remedy has an apostrophe after its name.
    """
    trained: list[tuple[str, int]] = []

    def train(plan: Any, rows: Any, steps: int, seed: int) -> tuple[float, Any]:
        name = " ".join(plan.changes) if plan.draw is None else "plain"
        trained.append((name, seed))
        return scores[name][seed], None

    def list_variants(remedy: str, plan: Any, rows: Any, finding: Any = None) -> list[Any]:
        ways = [(*plan.changes, f"{remedy}{mark}") for mark in ("", "'")]
        return [
            Plan(plan.model, plan.loss_fn, plan.make_optimizer, 8, None, None, way,
                 (*plan.remedies, remedy))
            for way in ways if " ".join(way) in scores
        ]  # fmt: skip

    monkeypatch.setattr(module, "train_plan", train)
    monkeypatch.setattr(module, "list_variants", list_variants)
    x, y = np.zeros((rows, 2), np.float32), np.arange(rows) % 2
    data = Data(sw.tensor(x), sw.tensor(y), None)
    found = Search(data, 10, 3, 0.02, 0.95)
    plan = Plan(nn.Linear(2, 2), F.cross_entropy, sw.optim.Adam, 8)
    examination: Any = type("Told", (), {"findings": findings})
    best = found.run(plan, examination, None)
    assert len(trained) == len(set(trained))  # nothing is trained twice
    return best.remedies, found, trained


def test_the_best_of_all_is_put_on_top_of_what_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {
        "": [0.5] * 9, "plain": FINE, "initialisation": FIRST,
        # The first of them would be good enough, and the best has no lucky first seed.
        "initialisation activation": [0.95, 0.88, 0.91] * 3,
        "initialisation clipping": [0.94, 0.97, 0.97] * 3,
        "initialisation residual": [0.2] * 9,
        "initialisation clipping activation": [0.98, 0.99, 0.98] * 3,
    }  # fmt: skip
    remedies, found, trained = search(monkeypatch, scores)
    assert remedies == ("initialisation", "clipping", "activation")
    before, after = found.tell_scores()
    assert len(before) == len(after) and min(after) > 0.9
    assert {t.remedy for t in found.trials} == {"initialisation", "activation", "clipping",
                                                "residual"}  # fmt: skip
    assert [name for name, _ in trained].count("initialisation residual") == 1


def test_a_plan_that_comes_as_far_as_the_plain_network_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = {"": [0.5] * 9, "plain": [0.895] * 9, "initialisation": [0.9] * 9,
              "initialisation clipping": FINE}  # fmt: skip
    remedies, found, _ = search(monkeypatch, scores)
    assert remedies == ("initialisation",) and len(found.trials) == 1


def test_what_is_not_surely_better_is_not_put_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    unsure = [1.0, 0.7, 1.0, 0.8, 1.0, 0.7, 1.0, 0.8, 1.0]
    broken = [0.97, -np.inf, 0.97] * 3
    scores = {"": [0.5] * 9, "plain": FINE, "initialisation": FIRST,
              "initialisation clipping": unsure, "initialisation width": broken}  # fmt: skip
    remedies, found, _ = search(monkeypatch, scores)
    assert remedies == ("initialisation",)
    last = {t.remedy: t for t in found.trials}
    assert len(last["clipping"].after) == 9 and not last["clipping"].better
    assert not last["width"].better


def test_what_is_better_than_what_is_proved_is_proved_by_as_many_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Three seeds are not enough for either, since the untouched model varies.
    scores = {
        "": [0.869, 0.914, 0.933, 0.898, 0.895, 0.901, 0.92, 0.936, 0.847], "plain": FINE,
        "initialisation": [0.927, 0.93, 0.946, 0.946, 0.924, 0.93, 0.965, 0.95, 0.95],
        "initialisation clipping": [0.962, 0.955, 0.968] * 3,
    }  # fmt: skip
    assert compare(scores[""][:3], scores["initialisation clipping"][:3], 0.95)[1] < 0.02
    remedies, found, _ = search(monkeypatch, scores, findings=[name("initialisation")])
    assert remedies == ("initialisation", "clipping")
    assert len(found.tell_scores()[1]) > 3


def name(remedy: str, strength: float = 1.0) -> Finding:
    """A finding that names a remedy."""
    return Finding("saturated", "input", "0", "A", 100.0, {}, (remedy,), {}, strength)


def test_what_findings_name_races_alone_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # What came first stands in the way of all that could be put on top of it.
    scores = {"": [0.5] * 9, "plain": FINE, "standardise": [0.85] * 9, "standardise'": [0.6] * 9,
              "standardise batch_norm": [0.8] * 9, "batch_norm": [0.95] * 9,
              "batch_norm standardise'": [0.98] * 9, "width": FINE}  # fmt: skip
    named = [name("standardise"), name("batch_norm")]
    remedies, found, _ = search(monkeypatch, scores, findings=named)
    assert remedies == ("batch_norm", "standardise")
    assert found.proved.plan.changes == ("batch_norm", "standardise'")


def test_close_variants_are_told_apart_by_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {"": [0.5] * 9, "plain": [0.8] * 9, "standardise": [0.9, 0.8, 0.8] * 3,
              "standardise'": [0.89] * 9}  # fmt: skip
    remedies, found, _ = search(monkeypatch, scores)
    assert remedies == ("standardise",) and found.proved.plan.changes == ("standardise'",)


def test_few_rows_are_all_held_out_by_some_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    # A quarter of 120 rows is 30, so that four seeds see all of them.
    scores = {"": [0.5] * 30, "plain": [0.8] * 30, "initialisation": [0.9] * 30,
              "clipping": [0.5] * 30}  # fmt: skip
    _, found, trained = search(monkeypatch, scores, rows=120, findings=[name("clipping")])
    assert (found.seeds, found.first) == (4, 4)
    assert [t.remedy for t in found.trials] == ["clipping", "initialisation"]
    assert [n for n, _ in trained].count("clipping") == 4
    given = Data(sw.tensor(X), sw.tensor(Y), (sw.tensor(X[:9]), sw.tensor(Y[:9])))
    assert Search(given, 10, 3, 0.02, 0.95).seeds == 3


def test_a_certain_remedy_gets_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {"": [0.5] * 9, "plain": [0.5] * 9, "initialisation": [0.5, 0.6, 0.6] * 3}
    assert search(monkeypatch, scores)[0] == ()
    found = search(monkeypatch, scores, findings=[name("initialisation", 10.0)])
    assert found[0] == ("initialisation",)


def test_the_interval_over_rows_is_students() -> None:
    stats = pytest.importorskip("scipy.stats")
    gaps = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    error = float(gaps.std(ddof=1) / np.sqrt(8))
    # Trainings that all end the same: rows alone are left.
    gain, bound = compare([0.2] * 3, [0.825] * 3, 0.95, (error, 8))
    low = stats.t.interval(0.9, 7, 0.625, error)[0]
    assert gain == pytest.approx(0.625) and bound == pytest.approx(low)
    # Both together are wider than either, and no wider than both in a row.
    both = compare([0.2, 0.3, 0.1], [0.825] * 3, 0.95, (error, 8))[1]
    seeds = compare([0.2, 0.3, 0.1], [0.825] * 3, 0.95)[1]
    assert seeds + low - 0.625 < both < min(seeds, bound)
    assert compare([0.2] * 3, [0.9] * 3, 0.95, (float("inf"), 1))[1] == -np.inf


def test_rows_are_averaged_over_the_seeds_that_held_them_out() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    plan = Plan(model, F.cross_entropy, lambda p: sw.optim.SGD(p, lr=0.1), 16)
    scored = module.Scored(plan, Data(sw.tensor(X), sw.tensor(Y), None), 10)
    for count in (4, 8):
        rows = scored.tell_rows(count) if scored.get(count) else {}
        assert sorted(rows) == list(range(240))  # four quarters are all rows, eight are all twice
        assert np.mean(list(rows.values())) == pytest.approx(np.mean(scored.get(count)))


@pytest.mark.parametrize("held", [False, True])
def test_noise_is_not_cured(held: bool) -> None:
    remedies = ["initialisation", "activation", "batch_norm", "raise_rate", "optimiser", "width"]
    for seed in range(6):
        random = np.random.default_rng(seed)
        sw.manual_seed(seed)
        x, y = random.normal(size=(60, 4)).astype(np.float32), random.integers(0, 2, 60)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        given = (x[:20], y[:20]) if held else None
        rows = (x[20:], y[20:]) if held else (x, y)
        assert not cure(model, F.cross_entropy, rows, held=given, steps=20, remedies=remedies).cured


def test_a_training_that_fails_is_one_that_broke_down() -> None:
    # The plain network has no sigmoid, so that the loss refuses its outputs.
    sw.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())
    y = Y[:, None].astype(np.float32)
    found = cure(model, F.binary_cross_entropy, (X, y), steps=20, remedies=["raise_rate"])
    assert [t.remedy for t in found.trials] == ["raise_rate"]
    one = cure(model, F.binary_cross_entropy, (X[:1], y[:1]), held=(X[1:], y[1:]), steps=5,
               remedies=["clipping"])  # fmt: skip
    assert not one.cured


def test_a_mistake_of_the_users_own_is_told() -> None:
    with pytest.raises(ShapeError):
        cure(nn.Linear(3, 2), F.cross_entropy, (X, Y), steps=5)


def test_two_remedies_that_need_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {"": [0.5] * 9, "plain": FINE, "standardise": [0.5] * 9, "raise_rate": [0.5] * 9,
              "standardise raise_rate": FINE}  # fmt: skip
    named = [name("standardise")]
    remedies, found, _ = search(monkeypatch, scores, findings=named)
    assert remedies == ("standardise", "raise_rate")
    assert found.trials[-1].against == () and found.trials[-1].changes == remedies
    assert search(monkeypatch, scores)[0] == ()  # nothing speaks for either


def test_what_raced_races_again_also_where_rows_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    # With 120 rows the first seeds are all seeds.
    scores = {"": [0.5] * 12, "plain": [0.99] * 12, "initialisation": [0.8] * 12,
              "initialisation clipping": [0.9] * 12, "initialisation width": [0.88] * 12,
              "initialisation clipping width": [0.98] * 12}  # fmt: skip
    named = [name("initialisation")]
    remedies, found, _ = search(monkeypatch, scores, rows=120, findings=named)
    assert found.first == found.seeds
    assert remedies == ("initialisation", "clipping", "width")
