"""Watching: what is said when, and that training goes on as if nobody looked."""

import math

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.health import Finding, Watch, Watcher
from slopewise.health.measure import Factor
from slopewise.health.readings import Head, Inputs, Readings
from slopewise.health.telling import say_finding, speak_notice, tell_layer
from slopewise.train import fit
from slopewise.train.faults import Notice


def make_table(rows=300):
    random = np.random.default_rng(0)
    x, z = random.normal(size=(2, rows))
    return {"x": x, "z": z, "y": np.where(x * z + 0.1 * random.normal(size=rows) > 0, "a", "b")}


def deep(activation, width=6, depth=10):
    layers = []
    for _ in range(depth):
        layer = nn.Linear(width, width)
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        layers += [layer, activation()]
    return nn.Sequential(*layers, nn.Linear(width, 2))


def loop(watched, said=None, activation=nn.Tanh):
    sw.manual_seed(0)
    model = nn.Sequential(deep(activation), nn.Dropout(0.1))
    x, y = sw.randn(64, 6), sw.randint(0, 2, (64,))
    optimizer = sw.optim.SGD(model.parameters(), lr=0.05)
    notify = said.append if said is not None else None
    loss_fn = nn.functional.cross_entropy
    watcher = Watcher(model, loss_fn, (x, y), every=2, notify=notify) if watched else None
    for _ in range(8):
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
        if watcher is not None:
            watcher.step()
    return model, watcher


def test_a_loop_ends_as_if_nobody_looked():
    plain, _ = loop(False)
    watched, watcher = loop(True)
    for a, b in zip(plain.parameters(), watched.parameters(), strict=True):
        assert a.tolist() == b.tolist()
    assert [look.step for look in watcher.watch.looks] == [2, 4, 6, 8]
    assert watcher.watch.findings == ()


def test_what_is_wrong_is_said_once_and_where():
    said = []
    _, watcher = loop(True, said, nn.Sigmoid)
    assert len(said) == 1
    assert said[0].startswith("step 4: vanishing gradient, ")
    assert said[0].endswith("cause: the activation function")
    assert [f.id for f in watcher.watch.findings] == ["vanishing"]


@pytest.mark.oracle
def test_a_loop_of_pytorch_ends_as_if_nobody_looked():
    torch = pytest.importorskip("torch")
    ends = []
    for watched in (False, True):
        torch.manual_seed(0)
        layers = [p for _ in range(10) for p in (torch.nn.Linear(6, 6), torch.nn.Sigmoid())]
        model = torch.nn.Sequential(*layers, torch.nn.Dropout(0.2), torch.nn.Linear(6, 2))
        x, y = torch.randn(64, 6), torch.randint(0, 2, (64,))
        optimizer = torch.optim.Adam(model.parameters())
        loss_fn = torch.nn.functional.cross_entropy
        watcher = Watcher(model, loss_fn, (x, y), every=1, notify=None)
        for _ in range(5):
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            if watched:
                watcher.step()
            optimizer.step()
        ends.append(torch.cat([p.detach().ravel() for p in model.parameters()]))
    assert torch.equal(*ends)
    assert [f.id for f in watcher.watch.findings] == ["vanishing"]


def readings(gradients, ratio=1.0, loss=0.5):
    factors = [Factor(str(i), "weights", "Linear", "M", ratio, grad_out=g)
               for i, g in enumerate(gradients)]  # fmt: skip
    return Readings(factors, Head(loss=loss, guess=0.7, best=0.0, grad=1.0), Inputs(rms=1.0))


def test_plain_signs_are_said_at_once_and_others_at_the_second_look():
    watch = Watch()
    assert [f.id for f in watch.add(0, readings([1.0], loss=math.nan))] == ["exploding"]
    assert watch.add(1, readings([1.0])) == []
    assert watch.findings == ()
    assert watch.episodes[0].last == 1


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_watch_is_told_drawn_and_written(lang):
    watch = Watch(lang)
    for step in range(300):
        watch.add(step, readings([0.0, 1e-9, math.inf, 1.0 + step]))
    text = watch.text()
    assert text.isascii() == (lang == "en")
    assert "300" in text
    assert watch.picture().png()[:4] == b"\x89PNG"
    found = watch.to_dict()
    assert len(found["looks"]) == 300
    assert found["looks"][0]["gradients"] == [0.0, 1e-9, None, 1.0]


def test_an_empty_watch_is_drawn():
    assert Watch().picture().png()[:4] == b"\x89PNG"
    assert "0" in Watch().text()


def test_layers_are_told_in_both_languages():
    assert [tell_layer(n, "ko") for n in ("norm3", "output", "linear_path", "body.0")] == [
        "정규화 3", "출력층", "선형 경로", "body.0"]  # fmt: skip
    found = Finding("symmetry", "constant")
    assert (
        say_finding(found, 7, "ko") == "7단계: 대칭, 원인: 한 층의 가중치가 모두 같은 값에서 시작함"
    )


def test_fit_is_watched_and_learns_the_same():
    table = make_table()
    told: list[Notice] = []
    options = {"target": "y", "hidden": (8, 8), "epochs": 12, "folds": 1}
    plain = fit(table, **options)
    watched = fit(table, **options, health=True, progress=lambda p: told.extend(p.notices))
    for name, values in plain.history.items():
        assert values.tolist() == watched.history[name].tolist(), name
    assert plain.health is None
    assert plain.notices == watched.notices
    assert watched.health.names == ["hidden1", "activation1", "hidden2", "activation2", "output"]
    assert told == []


def test_fit_says_what_is_wrong_while_it_trains():
    told: list[Notice] = []
    found = fit(make_table(), target="y", hidden=(6,) * 10, activation="sigmoid", init="he",
                epochs=30, folds=1, health=True,
                progress=lambda p: told.extend(p.notices))  # fmt: skip
    looks = found.health.looks
    assert len(looks) >= 2
    assert [n.id for n in told] == ["gradient_health"]
    assert told[0] in found.notices
    assert "vanishing gradient (activation " in told[0].text
    assert speak_notice(told[0].values, "ko")["found"] == "기울기 소실"


def test_fit_takes_a_watcher_of_ones_own():
    class Counter:
        def __init__(self):
            self.steps = []

        def look(self, trial, number):
            self.steps.append((number, trial.state.epoch))
            return ()

        def report(self, number):
            return f"seen {number}"

    counter = Counter()
    found = fit(make_table(60), target="y", hidden=(4,), epochs=2, folds=1, health=counter)
    assert found.health == "seen 0"
    assert counter.steps[-1] == (0, 2)


def test_steps_that_are_too_long_are_not_blamed_on_the_first_weights():
    result = fit(make_table(), target="y", lr=100.0, epochs=20, hidden=(16, 16), health=True)
    told = [(n.values["problem"], n.values["origin"]) for n in result.notices
            if n.id == "gradient_health"]  # fmt: skip
    assert told[0] == ("learning_rate_high", "learning_rate")
    assert ("exploding", "initialisation") not in told


def test_a_loss_that_breaks_down_after_the_first_look_is_the_steps_fault():
    layer = Factor("0", "weights", "Linear", "M", 1.0, grad_in=1.0, grad_out=1.0)
    layer.weights = {"norm": 1.0, "rows": 4.0, "scale": 0.5}
    watch = Watch()
    for step, loss in ((0, 0.7), (10, 40.0)):
        head = Head(loss=loss, guess=0.69, best=0.0, exact=0.3, sure=0.0, grad=1.0, passed=1.0)
        found = watch.add(step, Readings([layer], head, Inputs(rms=1.0)))
    assert [f.id for f in found] == ["learning_rate_high"]
