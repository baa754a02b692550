"""Backpropagation told: numbers against PyTorch, names, nothing changed, large graphs, refusals."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import GradientError, SlopewiseError, SpokenError
from slopewise.explain.backpropagation import READABLE, backprop, find_paths
from slopewise.explain.folds import fold, measure


def test_the_lectures_chain() -> None:
    x = sw.tensor(0.0, requires_grad=True)
    a = sw.sigmoid(x)
    found = backprop(a)
    assert float(found.gradients["x"]) == 0.25
    L = x
    for _ in range(5):
        L = sw.sigmoid(L - L.detach())  # each one at 0, where the slope is a quarter
    found = backprop(L)
    assert float(found.gradients["x"]) == 0.25**5
    assert "0.25 × 1 × 0.25" in found.text()


def test_numbers_of_a_small_graph() -> None:
    p = sw.tensor(2.0, dtype=sw.float64, requires_grad=True)
    q = sw.tensor(3.0, dtype=sw.float64, requires_grad=True)
    product = p * q
    z = product + sw.sin(p) * p
    found = backprop(z)
    by_name = {part.name: part for part in found.tape.parts}
    assert {"p", "q", "product", "z"} <= set(by_name)
    assert float(by_name["product"].value) == 6.0
    assert by_name["z"].formula == "product + v2"
    assert [float(link.local) for link in by_name["product"].links] == [3.0, 2.0]
    assert float(by_name["p"].gradient) == pytest.approx(3 + math.sin(2) + 2 * math.cos(2))
    (leaf,) = [i for i, part in enumerate(found.tape.parts) if part.name == "p"]
    paths = find_paths(found.tape, leaf, 4)
    total = sum(math.prod(float(link.local) for link in path) for path in paths)
    assert len(paths) == 3 and total == pytest.approx(float(by_name["p"].gradient))


def test_sums_of_what_is_passed_are_what_arrives() -> None:
    sw.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 3))
    x, y = sw.randn(6, 4), sw.randint(0, 3, (6,))
    loss = nn.functional.cross_entropy(model(x), y)
    tape = backprop(loss).tape
    arrived: dict[int, Any] = {}
    for part in tape.parts:
        for link in part.links:
            if link.passed is not None:
                arrived[link.target] = arrived.get(link.target, 0) + link.passed
    loss.backward()
    for number, part in enumerate(tape.parts[:-1]):
        assert part.gradient is not None
        np.testing.assert_allclose(arrived[number], part.gradient, rtol=1e-4, atol=1e-6)
    for name, parameter in model.named_parameters():
        mine = next(part for part in tape.parts if part.name == f"model.{name}")
        np.testing.assert_array_equal(mine.gradient, np.asarray(parameter.grad))
        np.testing.assert_array_equal(mine.value, np.asarray(parameter.detach()))


def test_gradients_of_every_result_against_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    w, b, x = (rng.normal(size=s) for s in ((3, 2), (2,), (5, 3)))
    tw, tb = (torch.tensor(a, requires_grad=True) for a in (w, b))
    ta = torch.tensor(x) @ tw
    th = torch.tanh(ta + tb)
    tl = (th * th).mean()
    for t in (ta, th):
        t.retain_grad()
    tl.backward()
    w, b, x = (sw.tensor(a, requires_grad=i < 2) for i, a in enumerate((w, b, x)))
    a = x @ w
    h = sw.tanh(a + b)
    loss = (h * h).mean()
    found = backprop(loss)
    for name, other in (("a", ta), ("h", th), ("w", tw), ("b", tb)):
        np.testing.assert_allclose(found.gradients[name], other.grad.numpy(), rtol=1e-12)
    values = {part.name: part.value for part in found.tape.parts}
    np.testing.assert_allclose(values["h"], th.detach().numpy(), rtol=1e-12)


def test_nothing_is_changed() -> None:
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    called: list[Any] = []
    w.register_hook(called.append)
    a = w * w
    a.retain_grad()
    loss = a.sum()
    found = backprop(loss)
    assert w.grad is None and a.grad is None and not called
    assert "1 hooks on these tensors were not called" in found.text()
    loss.backward()
    assert len(called) == 1 and a.grad is not None
    np.testing.assert_array_equal(np.asarray(w.grad), [2.0, 4.0])
    # Telling, after the graph is gone, needs nothing of it.
    assert found.text("ko") and found.picture().png()


def test_branches_not_taken_and_several_outputs() -> None:
    x = sw.tensor([0.0, 4.0], requires_grad=True)
    safe = sw.where(x > 0, sw.sqrt(x), 0.0 * x)
    loss = safe.sum()
    found = backprop(loss)
    assert np.isfinite(found.gradients["x"]).all()
    b = sw.tensor([[2.0, 1.0], [1.0, 3.0]], requires_grad=True)
    values, vectors = sw.linalg.eigh(b)
    loss = values.sum() + vectors.sum() ** 2
    text = backprop(loss).text()
    loss.backward()
    assert "eigh" in text


def test_names_from_lists_and_parameters() -> None:
    ws = [sw.tensor(float(i + 1), requires_grad=True) for i in range(3)]
    layers = {"first": sw.tensor(2.0, requires_grad=True)}
    loss = ws[0] * ws[1] * ws[2] * layers["first"]
    assert {"ws[0]", "ws[1]", "ws[2]", "layers['first']", "loss"} <= set(backprop(loss).gradients)
    assert float(backprop(ws[0] * 2).gradients["L"]) == 1.0


def test_large_graphs_are_folded_by_module() -> None:
    deep = nn.Sequential(*[m for _ in range(60) for m in (nn.Linear(4, 4), nn.Sigmoid())])
    loss = deep(sw.randn(7, 4)).sum()
    found = backprop(loss)
    assert len(found.tape.parts) > READABLE
    text = found.text()
    assert "told as 60 groups" in text and "deep.118" in text and "deep.0" in text
    loss.backward()
    last = deep[118].weight.grad
    leaf = next(p for p in found.tape.parts if p.name == "deep.118.weight")
    np.testing.assert_array_equal(leaf.gradient, np.asarray(last))
    assert found.picture().svg()
    w = sw.tensor(0.5, requires_grad=True)
    for _ in range(2000):
        w = w * 0.999 + 0.001
    groups, arrows = fold(backprop(w).tape, READABLE)
    assert len(groups) <= READABLE and all(start > stop for start, stop in arrows)


def test_words_and_pictures() -> None:
    w = sw.tensor(4.0, requires_grad=True)
    L = (w - 3) ** 2
    found = backprop(L, lang="ko")
    for form in ("text", "html", "markdown", "latex"):
        assert re.search("[가-힣]", getattr(found, form)())
        assert not re.search("[가-힣]", getattr(found, form)("en"))
    words = set(re.findall(r"[A-Za-z]{3,}", found.text()))
    assert words <= {"square"}
    assert found.picture().png().startswith(b"\x89PNG")
    assert "∂L/∂w = 2 × 1 = 2" in found.text("en")


def test_refusals() -> None:
    with pytest.raises(SpokenError, match="needs a Tensor"):
        backprop(3.0)
    with pytest.raises(GradientError, match="does not require grad"):
        backprop(sw.tensor(1.0))
    w = sw.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match="only for scalar outputs"):
        backprop(w * 2)
    loss = (w * w).sum()
    loss.backward()
    with pytest.raises(GradientError, match="a second time"):
        backprop(loss)
    y = w * w
    loss = (y * y).sum()
    y += 1
    with pytest.raises(GradientError, match="inplace operation"):
        backprop(loss)
    with pytest.raises(SpokenError, match="no language"):
        backprop((w * w).sum(), lang="fr")
    assert issubclass(GradientError, SlopewiseError)


def test_measure() -> None:
    assert measure(np.array([3.0, 4.0])) == pytest.approx(math.sqrt(12.5))
    assert measure(np.full(3, 1e-200)) == pytest.approx(1e-200)
    assert math.isnan(measure(None)) and measure(np.array([np.inf, 1.0])) == math.inf
