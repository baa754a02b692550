"""PyTorch's modules: the same factors and verdicts as our own, and nothing changed by looking."""

import copy
from itertools import pairwise

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import UsageError
from slopewise.health import Watcher, examine

torch = pytest.importorskip("torch")
from torch.utils import checkpoint as ckpt  # noqa: E402

from slopewise.health.torch_probe import record_torch_batch  # noqa: E402

pytestmark = pytest.mark.oracle
tnn = torch.nn


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads of small networks only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class OwnExp(nn.Module):
    def forward(self, x):
        return sw.exp(x)


class TheirExp(tnn.Module):
    def forward(self, x):
        return torch.exp(x)


def translate(model):
    """The same network in PyTorch."""
    layers = []
    for module in model.children():
        name = type(module).__name__
        if name == "OwnExp":
            layer = TheirExp()
        elif name == "Softmax":
            layer = tnn.Softmax(1)
        elif name == "Linear":
            layer = tnn.Linear(module.in_features, module.out_features)
        elif name in ("LayerNorm", "BatchNorm1d"):
            layer = getattr(tnn, name)(module.weight.shape[0])
        else:
            layer = getattr(tnn, name)()
        with torch.no_grad():
            for key, p in layer.named_parameters():
                p.copy_(torch.as_tensor(dict(module.named_parameters())[key].detach().numpy()))
        layers.append(layer)
    return tnn.Sequential(*layers)


def chain(sizes, activation, init=None, last=None):
    layers = []
    for i, (rows, columns) in enumerate(pairwise(sizes)):
        layer = nn.Linear(rows, columns)
        with sw.no_grad():
            if init is not None:
                init(layer.weight)
                layer.bias.zero_()
        layers.append(layer)
        if i < len(sizes) - 2:
            layers.append(activation())
    return nn.Sequential(*layers, *([last()] if last else []))


def he(weight):
    return nn.init.kaiming_uniform_(weight, nonlinearity="relu")


def make_circle():
    random = np.random.default_rng(0)
    y = np.arange(700) % 2
    angle = random.uniform(0, 2 * np.pi, 700)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.where(y, 0.4, 1.0)[:, None]
    return (x + random.normal(scale=0.1, size=x.shape)).astype(np.float32), y.astype(np.int64)


def make_parabola():
    random = np.random.default_rng(0)
    x = random.uniform(0, 5, (700, 1))
    return x.astype(np.float32), (5 * x**2 + random.normal(size=x.shape) ** 3).astype(np.float32)


def make_xor():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return x, np.array([[0], [1], [1], [0]], np.float32)


def make_offset():
    x, y = make_circle()
    return x * np.array([1000.0, 1.0], np.float32) + 500, y


CASES = {
    "1 sigmoid": (make_circle, lambda: chain([2, *[5] * 8, 2], nn.Sigmoid, he), "Adam", 1e-3, 128),
    "8 exp": (make_circle, lambda: chain([2, *[5] * 9, 2], OwnExp, he), "Adam", 1e-3, 128),
    "10 tiny": (make_circle,
                lambda: chain([2, *[5] * 9, 2], nn.ReLU,
                              lambda w: nn.init.uniform_(w, -0.05, 0.05)), "Adam", 1e-3, 128),
    "12 dying": (make_circle, lambda: chain([2, *[5] * 16, 2], nn.ReLU, he), "Adam", 1e-3, 128),
    "2 batch of 1": (make_circle, lambda: chain([2, 50, 2], nn.ReLU, he), "SGD", 0.1, 1),
    "3 output": (make_circle, lambda: chain([2, 50, 50, 2], nn.ReLU, he, nn.ReLU), "Adam", 1e-4,
                 256),
    "18 one unit": (make_xor, lambda: chain([2, 3, 1], nn.Sigmoid, None, lambda: nn.Softmax(1)),
                    "SGD", 1e-3, 4),
    "20 rate": (make_parabola, lambda: chain([1, 50, 30, 1], nn.ReLU, he), "SGD", 0.1, 32),
    "22 scale": (make_offset, lambda: chain([2, 21, 2], nn.ReLU, he), "Adam", 1e-3, 100),
    "H1 tanh": (make_circle, lambda: chain([2, *[5] * 9, 2], nn.Tanh, he), "Adam", 1e-3, 128),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_same_network_has_the_same_factors_and_verdict(name):
    data, build, rule, lr, batch = CASES[name]
    sw.manual_seed(0)
    x, y = data()
    own = build()
    theirs = translate(own)
    key = "cross_entropy" if y.dtype.kind == "i" else "mse_loss"
    found = []
    for model, space, optim in ((own, nn.functional, sw.optim),
                                (theirs, tnn.functional, torch.optim)):  # fmt: skip
        optimizer = getattr(optim, rule)(model.parameters(), lr=lr)
        found.append(examine(model, getattr(space, key), (x, y), optimizer=optimizer,
                             batch_size=batch, steps=12))  # fmt: skip
    a, b = found
    assert [f.id for f in a.findings] == [f.id for f in b.findings]
    assert [(f.cause, f.layer, f.remedies) for f in a.findings] == [
        (f.cause, f.layer, f.remedies) for f in b.findings
    ]
    assert [(f.name, f.kind, f.letter) for f in a.factors] == [
        (f.name, f.kind, f.letter) for f in b.factors
    ]
    for f, g in zip(a.factors, b.factors, strict=True):
        if name == "8 exp":
            continue  # exp of exp of exp makes any rounding large
        np.testing.assert_allclose(f.ratio, g.ratio, rtol=1e-4)
        for part, value in f.parts.items():
            np.testing.assert_allclose(value, g.parts[part], rtol=2e-3, atol=1e-6)


def loss_of_squares(output, target):
    return tnn.functional.mse_loss(output, target)


def make_batch(rows=16, columns=4, outputs=2):
    torch.manual_seed(1)
    return torch.randn(rows, columns), torch.randn(rows, outputs)


def make_stack():
    torch.manual_seed(0)
    layers = [tnn.Linear(4, 6), tnn.BatchNorm1d(6), tnn.ReLU(), tnn.Dropout(0.5), tnn.Linear(6, 2)]
    return tnn.Sequential(*layers)


def snapshot(model):
    return {
        "state": {k: v.clone() for k, v in model.state_dict().items()},
        "grads": [(id(p.grad), None if p.grad is None else p.grad.clone())
                  for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        "random": (torch.get_rng_state(), np.random.get_state()[1].copy()),
    }  # fmt: skip


def assert_same(before, after):
    assert before["modes"] == after["modes"]
    assert before["hooks"] == after["hooks"]
    assert all(torch.equal(v, after["state"][k]) for k, v in before["state"].items())
    for (i, a), (j, b) in zip(before["grads"], after["grads"], strict=True):
        assert i == j
        assert (a is None and b is None) or torch.equal(a, b)
    assert torch.equal(before["random"][0], after["random"][0])
    assert np.array_equal(before["random"][1], after["random"][1])


@pytest.mark.parametrize("train", [True, False])
def test_nothing_is_changed(train):
    model = make_stack().train(train)
    x, y = make_batch()
    loss_of_squares(model(x), y).backward()
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    before = snapshot(model)
    kept = x.clone()
    found = examine(model, loss_of_squares, (x, y), optimizer=optimizer, steps=4)
    assert_same(before, snapshot(model))
    assert torch.equal(x, kept)
    after = optimizer.state_dict()
    assert str(state) == str(after)
    assert found.factors[1].letter == "N"


def test_optimisers_in_the_backward_pass_do_not_step():
    model = make_stack()
    for p in model.parameters():
        p.register_post_accumulate_grad_hook(lambda p: setattr(p, "data", p.data + 1.0))
    batch = make_batch()
    before = snapshot(model)
    examine(model, loss_of_squares, batch)
    assert_same(before, snapshot(model))
    assert all(p._post_accumulate_grad_hooks for p in model.parameters())


def assert_exact(found, expected):
    """Every formula agrees with what was measured."""
    formulas = [f for f in found.factors if f.formula is not None]
    assert [f.letter for f in formulas] == list(expected)
    for f in formulas:
        assert f.measured == pytest.approx(f.formula, rel=1e-4), f.name
        if f.letter == "M":
            assert f.parts["scale"] * f.parts["alignment"] == pytest.approx(f.formula)


def test_changes_in_place_are_seen_as_they_happen():
    model = tnn.Sequential(tnn.Linear(4, 6), tnn.ReLU(inplace=True), tnn.Linear(6, 6),
                           tnn.SiLU(inplace=True), tnn.Linear(6, 2))  # fmt: skip
    assert_exact(examine(model, loss_of_squares, make_batch()), "MAMAM")


class Functional(tnn.Module):
    """Activations as functions, one of them in place."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = tnn.Linear(4, 6), tnn.Linear(6, 6), tnn.Linear(6, 2)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        h = self.b(h)
        torch.relu_(h)
        return self.c(h)


def test_functions_between_layers_are_activations():
    found = examine(Functional(), loss_of_squares, make_batch())
    assert [f.type for f in found.factors] == ["Linear", "tanh", "Linear", "relu", "Linear"]
    assert_exact(found, "MAMAM")


class Residual(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = tnn.Linear(4, 4), tnn.Linear(4, 4), tnn.Linear(4, 2)

    def forward(self, x):
        h = self.a(x)
        return self.c(h + self.b(torch.relu(h)))


def test_residual_sums_are_told():
    record = record_torch_batch(Residual(), loss_of_squares, *make_batch())
    add = next(call for call in record.calls if call.kind == "add")
    assert {record.calls[i].name for i in add.sources} == {"a", "b"}


def test_a_shared_module_has_a_call_each_time():
    shared = tnn.Linear(4, 4)
    model = tnn.Sequential(shared, tnn.Tanh(), shared, tnn.Tanh(), shared, tnn.Linear(4, 2))
    found = examine(model, loss_of_squares, make_batch())
    assert [f.name for f in found.factors] == ["0", "1", "0#2", "3", "0#3", "5"]
    assert_exact(found, "MAMAMM")


class Checkpointed(tnn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.first, self.last = tnn.Linear(4, 6), tnn.Linear(6, 2)
        self.body = tnn.Sequential(tnn.Tanh(), tnn.Linear(6, 6), tnn.Dropout(0.5), tnn.Sigmoid())
        self.reentrant = reentrant

    def forward(self, x):
        h = self.first(x)
        for _ in range(2 if self.reentrant is not None else 0):
            h = ckpt.checkpoint(self.body, h, use_reentrant=self.reentrant)
        if self.reentrant is None:
            h = self.body(self.body(h))
        return self.last(h)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_are_looked_into(reentrant):
    torch.manual_seed(0)
    model = Checkpointed(reentrant)
    plain = Checkpointed(None)
    plain.load_state_dict(model.state_dict())
    batch = make_batch()
    torch.manual_seed(3)
    found = examine(model, loss_of_squares, batch)
    torch.manual_seed(3)
    expected = examine(plain, loss_of_squares, batch)
    inner = [f for f in found.factors if not f.name.startswith("before") and f.name != "output"]
    assert [f.name for f in inner] == [f.name for f in expected.factors]
    for f, g in zip(inner, expected.factors, strict=True):
        np.testing.assert_allclose(f.ratio, g.ratio, rtol=1e-5)
        np.testing.assert_allclose(f.grad_out, g.grad_out, rtol=1e-5)


@pytest.mark.skipif(not hasattr(torch.compiler, "set_stance"), reason="PyTorch before 2.6")
@pytest.mark.filterwarnings("ignore")
def test_compiled_modules_are_looked_into():
    plain = tnn.Sequential(tnn.Linear(4, 6), tnn.Tanh(), tnn.Linear(6, 2))
    batch = make_batch()
    expected = examine(plain, loss_of_squares, batch)
    whole = torch.compile(plain, backend="eager")
    part = tnn.Sequential(torch.compile(plain[0], backend="eager"), plain[1], plain[2])
    part(batch[0])  # compiled already
    for model in (whole, part):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        found = examine(model, loss_of_squares, batch, optimizer=optimizer, steps=3)
        assert [f.name for f in found.factors] == ["0", "1", "2"]
        assert [f.ratio for f in found.factors] == [f.ratio for f in expected.factors]


def test_what_cannot_be_split_is_one_block():
    scripted = pytest.importorskip("torch.jit")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inner = scripted.trace(tnn.Sequential(tnn.Linear(4, 4), tnn.Tanh()), torch.ones(2, 4))
    model = tnn.Sequential(inner, tnn.Linear(4, 2))
    found = examine(model, loss_of_squares, make_batch())
    assert [(f.name, f.kind) for f in found.factors] == [("0", "block"), ("1", "weights")]
    assert found.factors[0].measured is not None


class Attention(tnn.Module):
    def __init__(self):
        super().__init__()
        self.embed = tnn.Embedding(11, 8)
        self.attend = tnn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.out = tnn.LayerNorm(8), tnn.Linear(8, 3)

    def forward(self, x):
        h = self.embed(x)
        return self.out(self.norm(h + self.attend(h, h, h)[0]).mean(dim=1))


def test_attention_and_embeddings():
    torch.manual_seed(0)
    x, y = torch.randint(0, 11, (8, 5)), torch.randint(0, 3, (8,))
    model = Attention()
    optimizer = torch.optim.AdamW(model.parameters())
    found = examine(model, tnn.functional.cross_entropy, (x, y), optimizer=optimizer, steps=3)
    kinds = {f.name: f.kind for f in found.factors}
    assert kinds["attend"] == "block"
    assert kinds["norm"] == "norm"
    norm = next(f for f in found.factors if f.name == "norm")
    assert norm.measured == pytest.approx(norm.formula, rel=1e-4)


def test_convolutions_weight_norm_and_own_activations():
    class Swish(tnn.Module):
        def forward(self, x):
            return torch.exp(-x.abs())

    model = tnn.Sequential(
        tnn.Conv2d(1, 3, 3), tnn.BatchNorm2d(3), Swish(), tnn.MaxPool2d(2), tnn.Flatten(),
        tnn.utils.parametrizations.weight_norm(tnn.Linear(12, 4)), tnn.ReLU(), tnn.Linear(4, 2),
    )  # fmt: skip
    x, y = torch.randn(6, 1, 6, 6), torch.randn(6, 2)
    before = snapshot(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found = examine(model, loss_of_squares, (x, y), optimizer=optimizer, steps=3)
    assert_same(before, snapshot(model))
    assert_exact(found, "MNAMAM")


def test_loaders_keep_their_generators():
    x, y = make_batch(40)
    generator = torch.Generator().manual_seed(5)
    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True, generator=generator)
    before = generator.get_state()
    model = make_stack()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    examine(model, loss_of_squares, loader, optimizer=optimizer, steps=7)
    assert torch.equal(before, generator.get_state())


def test_half_precision_and_frozen_layers():
    model = tnn.Sequential(tnn.Linear(4, 6), tnn.Tanh(), tnn.Linear(6, 2)).to(torch.bfloat16)
    model[0].requires_grad_(False)
    found = examine(model, lambda o, t: tnn.functional.mse_loss(o.float(), t.float()), make_batch())
    assert [f.letter for f in found.factors] == ["M", "A", "M"]
    assert "grad" not in found.factors[0].weights
    assert model[0].weight.requires_grad is False


@pytest.mark.parametrize("broken", [
    (lambda: tnn.LazyLinear(2), loss_of_squares, "no shape yet"),
    (lambda: tnn.Linear(4, 2), lambda o, t: o, "one number"),
    (lambda: tnn.Linear(4, 2), lambda o, t: (o.detach() - t).sum(), "no parameter"),
], ids=["lazy", "loss of many", "detached"])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_what_cannot_be_examined_is_refused(broken):
    build, loss, words = broken
    with pytest.raises(UsageError, match=words):
        examine(build(), loss, make_batch())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_look_reads_what_a_full_record_has(dtype):
    from slopewise.health.readings import read

    torch.manual_seed(0)
    layers = [tnn.Linear(5, 8), tnn.BatchNorm1d(8), tnn.ReLU(inplace=True), tnn.Linear(8, 8),
              tnn.Tanh(), tnn.Linear(8, 8), tnn.GELU(), tnn.Linear(8, 3)]  # fmt: skip
    model = tnn.Sequential(*layers).to(dtype)
    x, y = torch.randn(32, 5, dtype=dtype), torch.randint(0, 3, (32,))
    seen = [
        read(record_torch_batch(model, tnn.functional.cross_entropy, x, y, full=full), full=False)
        for full in (True, False)
    ]
    assert all(p.grad is None for p in model.parameters())
    for a, b in zip(seen[0].factors, seen[1].factors, strict=True):
        assert (a.name, a.kind, a.type) == (b.name, b.kind, b.type)
        assert a.ratio == pytest.approx(b.ratio, rel=1e-2 if dtype == torch.bfloat16 else 1e-4)
        for group in ("parts", "forward", "weights"):
            for key, value in getattr(a, group).items():
                near = pytest.approx(value, rel=0.02, abs=1e-3, nan_ok=True)
                assert getattr(b, group)[key] == near, key


class InPlace(tnn.Module):
    """A function changes a layer's output in place, and a layer its input."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.out = tnn.Linear(4, 6), tnn.Linear(6, 6), tnn.Linear(6, 2)
        self.act = tnn.ReLU(inplace=True)

    def forward(self, x):
        h = self.one(x)
        h.tanh_()
        return self.out(self.act(self.two(h)) + 1)


@pytest.mark.parametrize("full", [True, False])
def test_gradients_are_those_of_values_before_they_change_in_place(full):
    torch.manual_seed(0)
    model, (x, y) = InPlace(), make_batch()
    record = record_torch_batch(model, loss_of_squares, x, y, full=full)
    calls = {call.name: call for call in record.calls}
    # The same without anything in place, where every value keeps its own gradient.
    a = model.one(x)
    h = torch.tanh(a)
    b = model.two(h)
    c = torch.relu(b)
    d = c + 1
    values = [a, h, b, c, d]
    grads = torch.autograd.grad(loss_of_squares(model.out(d), y), values)
    for name, i, o in (("two", 1, 2), ("act", 2, 3)):
        np.testing.assert_allclose(calls[name].grad_x, grads[i].numpy(), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(calls[name].grad_y, grads[o].numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(calls["one"].grad_y, grads[0].numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(calls["out"].grad_x, grads[4].numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_a_watcher_sees_the_layers_of_what_is_compiled_meanwhile(compiled):
    if compiled and not hasattr(torch.compiler, "set_stance"):
        pytest.skip("PyTorch before 2.6")
    torch.manual_seed(0)
    model = tnn.Sequential(tnn.Linear(4, 6), tnn.Tanh(), tnn.Linear(6, 2))
    x, y = make_batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    watcher = Watcher(model, loss_of_squares, (x, y), every=1, notify=None)
    run = torch.compile(model, backend="eager") if compiled else model
    if compiled:
        watcher.model[0] = torch.compile(model[0], backend="eager")
    for _ in range(3):
        optimizer.zero_grad()
        loss_of_squares(run(x), y).backward()
        optimizer.step()
        watcher.step()
    assert len(watcher.watch.looks) == 3 and watcher.watch.names == ["0", "1", "2"]


class Reversed(torch.autograd.Function):
    """Runs its module again in backward, and goes back through it there."""

    @staticmethod
    def forward(ctx, x, module):
        ctx.module = module
        ctx.save_for_backward(x)
        with torch.no_grad():
            return module(x)

    @staticmethod
    def backward(ctx, gradient):
        with torch.enable_grad():
            x = ctx.saved_tensors[0].detach().requires_grad_()
            y = ctx.module(x)
        torch.autograd.backward(y, gradient)
        return x.grad, None


class Reversible(tnn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.body, self.out = tnn.Linear(4, 5), tnn.Linear(5, 5), tnn.Linear(5, 2)

    def forward(self, x):
        return self.out(Reversed.apply(self.one(x), self.body))


@pytest.mark.parametrize("full", [True, False])
def test_functions_that_go_back_within_leave_gradients_alone(full):
    torch.manual_seed(0)
    model, (x, y) = Reversible(), make_batch()
    model.body.weight.grad = torch.ones(5, 5)
    before = snapshot(model)
    record = record_torch_batch(model, loss_of_squares, x, y, full=full)
    assert_same(before, snapshot(model))
    model.zero_grad()
    loss_of_squares(model(x), y).backward()
    for call in record.calls:
        for name, gradient in call.grads.items():
            own = getattr(getattr(model, call.name), name).grad
            np.testing.assert_allclose(gradient, own.numpy(), rtol=1e-5, atol=1e-7)
    assert {c.name for c in record.calls if c.grads} >= {"one", "body", "out"}


@pytest.mark.parametrize("train", [True, False])
def test_a_look_between_forward_and_backward(train):
    torch.manual_seed(0)
    model = tnn.Sequential(tnn.Linear(4, 5), tnn.BatchNorm1d(5), tnn.Linear(5, 2)).train(train)
    x, y = make_batch()
    watcher = Watcher(model, loss_of_squares, (x, y), every=1, notify=None)
    loss = loss_of_squares(model(x), y)
    mean = model[1].running_mean
    kept = mean.clone()
    watcher.step()
    assert model[1].running_mean is mean and torch.equal(mean, kept)
    loss.backward()  # what it saved counts as unchanged


@pytest.mark.filterwarnings("ignore")
def test_scripted_modules_are_one_block_and_no_hook_stays():
    model = tnn.Sequential(tnn.Linear(4, 4), torch.jit.script(tnn.Linear(4, 4)), tnn.Linear(4, 2))
    batch, before = make_batch(), snapshot(model)
    found = examine(model, loss_of_squares, batch)
    assert_same(before, snapshot(model))
    assert [f.letter for f in found.factors] == ["M", "R", "M"]


def test_root_mean_square_norms_have_a_formula():
    torch.manual_seed(0)
    norms = tnn.RMSNorm(8), tnn.RMSNorm(8, eps=0.1, elementwise_affine=False)
    layers = [part for norm in norms for part in (tnn.Linear(8, 8), norm, tnn.Tanh())]
    model = tnn.Sequential(*layers, tnn.Linear(8, 2))
    assert_exact(examine(model, loss_of_squares, make_batch(columns=8)), "MNAMNAM")


def test_lbfgs_takes_probing_steps():
    model, batch = make_stack(), make_batch()
    found = examine(model, loss_of_squares, batch, optimizer=torch.optim.LBFGS(model.parameters()),
                    steps=3)  # fmt: skip
    assert len(found.readings.trajectory.ratios) == 3


def test_hooks_of_ones_own_fire_once_a_pass():
    torch.manual_seed(0)
    model, seen = Checkpointed(True), []
    next(model.parameters()).register_hook(lambda g: seen.append(1))
    x, y = torch.randn(16, 4), torch.randn(16, 2)
    model(x).sum().backward()
    once = len(seen)
    record_torch_batch(model, loss_of_squares, x, y)
    assert len(seen) == 2 * once
