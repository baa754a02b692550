"""What is told of an examination, and that examining and curing leave everything as it was."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import UsageError
from slopewise.health import Examination, Finding, cure, examine
from slopewise.health import wording as words
from slopewise.health.finding import CAUSES, PROBLEMS, REMEDIES
from slopewise.nn import functional as F
from slopewise.utils.data import DataLoader, TensorDataset

RNG = np.random.default_rng(6)
X = RNG.normal(size=(96, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def make(depth: int = 8) -> nn.Sequential:
    layers: list[Any] = []
    for i in range(depth):
        layers += [nn.Linear(4 if i == 0 else 6, 6), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.BatchNorm1d(6), nn.Dropout(0.2), nn.Linear(6, 2))


def test_every_id_has_words_in_both_languages() -> None:
    for ids, table in ((PROBLEMS, words.VERDICTS), (PROBLEMS, words.EXPLAINED),
                       (CAUSES, words.CAUSES), (REMEDIES, words.REMEDIES)):  # fmt: skip
        assert set(ids) <= set(table)
    for table in (words.VERDICTS, words.EXPLAINED, words.CAUSES, words.REMEDIES, words.EVIDENCE,
                  words.WORDS, words.CURE):  # fmt: skip
        for english, korean in table.values():
            fields = [set(re.findall(r"\{\w+\}", text)) for text in (english, korean)]
            assert fields[0] == fields[1], english
            assert not re.search(r"\}(을|를|이|가|은|는|와|과|로|으로|의)(\s|$)", korean)
            assert re.search("[가-힣ρ]", korean)


def test_telling() -> None:
    sw.manual_seed(0)
    model = make()
    model = nn.Sequential(*list(model)[:-3], nn.Linear(6, 2))
    found = examine(model, F.cross_entropy, (X, Y))
    assert found.verdict == "vanishing" and not found.healthy
    text = found.text()
    assert "vanishing gradient" in text and "% of the blame" in text and "Sigmoid" in text
    korean = found.text("ko")
    assert "기울기 소실" in korean
    plain = re.sub(r"Linear|Sigmoid|BatchNorm1d|Dropout|ReLU|Adam|LSUV|He|Glorot|[ANMR]\b", "",
                   korean)  # fmt: skip
    assert not re.search(r"[A-Za-z]{2,}", re.sub(r"\de-\d+", "", plain)), plain
    for form in (found.html, found.markdown, found.latex):
        assert form("ko")
    read = json.loads(found.json())
    assert read["verdict"] == "vanishing" and len(read["layers"]) == len(found.factors)
    assert read["findings"][0]["remedies"]
    assert found.picture().svg() and found.picture("ko").description
    with pytest.raises(UsageError, match="no language"):
        examine(make(), F.cross_entropy, (X, Y), lang="fr")


def test_findings_of_someone_else_are_told() -> None:
    readings = examine(make(1), F.cross_entropy, (X, Y)).readings
    told = Examination(readings, [Finding("oscillation", "batch", remedies=("larger_batch",))])
    assert told.verdict == "oscillation" and "larger batches" in told.text()


def snapshot(model: Any, optimizer: Any) -> list[Any]:
    kept = [np.array(v) for v in model.state_dict().values()]
    kept += [np.array(p.grad) if p.grad is not None else None for p in model.parameters()]
    kept += [m.training for m in model.modules()]
    kept += [np.array(v) for s in optimizer.state.values() for v in s.values()]
    return [*kept, str(sw.get_rng_state()), str(optimizer.param_groups[0].settings())]


def same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y
        for x, y in zip(a, b, strict=True)
    )


def test_nothing_is_changed() -> None:
    sw.manual_seed(1)
    model = make(3)
    optimizer = sw.optim.Adam(model.parameters(), lr=1e-2)
    F.cross_entropy(model(sw.tensor(X)), sw.tensor(Y)).backward()
    optimizer.step()
    loader = DataLoader(TensorDataset(sw.tensor(X), sw.tensor(Y)), batch_size=32, shuffle=True,
                        seed=3)  # fmt: skip
    orders = [next(iter(DataLoader(loader.dataset, 32, True, seed=3)))[1].tolist()]
    before = snapshot(model, optimizer)
    found = examine(model, F.cross_entropy, loader, optimizer=optimizer, batches=2, steps=6)
    assert same(before, snapshot(model, optimizer))
    assert next(iter(loader))[1].tolist() == orders[0]
    healed = cure(model, F.cross_entropy, (X, Y), optimizer=optimizer, steps=20, seeds=2,
                  examination=found, remedies=["batch_norm", "width", "clipping"])  # fmt: skip
    assert same(before, snapshot(model, optimizer))
    assert not any(p is q for p in model.parameters() for q in healed.model.parameters())
    assert not any(vars(m).get("_hooks") and m._hooks.before for m in model.modules())


def test_data_in_every_form_give_the_same_factors() -> None:
    sw.manual_seed(2)
    model = make(2).eval()
    pair = examine(model, F.cross_entropy, (X, Y))
    listed = examine(model, F.cross_entropy, [(sw.tensor(X), sw.tensor(Y))])
    loader = DataLoader(TensorDataset(sw.tensor(X), sw.tensor(Y)), batch_size=96)
    for other in (listed, examine(model, F.cross_entropy, loader)):
        assert [f.ratio for f in other.factors] == [f.ratio for f in pair.factors]
    for wrong in (3, [], [(X,)]):
        with pytest.raises(UsageError, match="examine: data"):
            examine(model, F.cross_entropy, wrong)


def test_curvature_against_a_hessian() -> None:
    from slopewise.health.trajectory import measure_sharpness

    sw.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    x, y = sw.tensor(X[:20].astype(float)), sw.tensor(RNG.normal(size=(20, 1)))

    def loss(w: Any) -> Any:
        h = sw.tanh(x @ w[:12].reshape(3, 4).T + w[12:15])
        return F.mse_loss(h @ w[15:18].reshape(1, 3).T + w[18:19], y)

    point = sw.cat([p.detach().reshape(-1) for p in model.parameters()])
    values = np.linalg.eigvalsh(np.asarray(sw.hessian(loss)(point)))
    found = measure_sharpness(model, F.mse_loss, (x, y))
    assert found == pytest.approx(max(values, key=abs), rel=0.05)
