"""Modules: registration, paths, modes, conversions, copies, and the errors of wrong assignments."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.nn.module import ModuleTypeError


class Block(nn.Module):
    """A module with everything that can be registered."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(sw.ones(3))
        self.inner = nn.Linear(3, 3)
        self.register_buffer("count", sw.tensor(0))
        self.register_buffer("cache", sw.zeros(2), persistent=False)
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.ReLU()])
        self.absent = None

    def forward(self, x: Any) -> Any:
        x = self.inner(x * self.scale)
        for layer in self.layers:
            x = layer(x)
        return x


def test_everything_assigned_is_found_by_path() -> None:
    block = Block()
    assert [name for name, _ in block.named_parameters()] == [
        "scale", "inner.weight", "inner.bias", "layers.0.weight", "layers.0.bias",
    ]  # fmt: skip
    assert [name for name, _ in block.named_buffers()] == ["count", "cache"]
    assert [name for name, _ in block.named_modules()] == [
        "", "inner", "layers", "layers.0", "layers.1",
    ]  # fmt: skip
    assert [name for name, _ in block.named_children()] == ["inner", "layers"]
    assert block.get_submodule("layers.0") is block.layers[0]
    assert block.get_parameter("inner.weight") is block.inner.weight
    assert block.get_buffer("count") is block.count
    assert list(block.state_dict()) == [
        "scale", "count", "inner.weight", "inner.bias", "layers.0.weight", "layers.0.bias",
    ]  # fmt: skip
    with pytest.raises(AttributeError, match="no submodule `nowhere`"):
        block.get_submodule("nowhere.at.all")


def test_a_registered_name_is_a_plain_attribute() -> None:
    block = Block()
    assert block.__dict__["scale"] is block._parameters["scale"]
    assert block.__dict__["inner"] is block._modules["inner"]
    replacement = nn.Parameter(sw.zeros(3))
    block.scale = replacement
    assert block._parameters["scale"] is replacement is block.scale
    del block.scale
    assert not hasattr(block, "scale") and "scale" not in block._parameters
    block.inner = nn.Parameter(sw.zeros(1))
    assert "inner" not in block._modules and "inner" in block._parameters


def test_shared_parameters_are_counted_once() -> None:
    first = nn.Linear(2, 2)
    model = nn.Sequential(first, nn.ReLU(), first)
    assert len(list(model.parameters())) == 2
    assert len(list(model.modules())) == 3
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_wrong_assignments_say_what_to_do() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(
        ModuleTypeError, match=r"cannot assign 'Tensor' as parameter 'weight'.*Wrap"
    ):
        layer.weight = sw.zeros(2, 2)
    with pytest.raises(TypeError, match="cannot assign 'int' as buffer 'running_mean'"):
        nn.BatchNorm1d(2).running_mean = 3
    with pytest.raises(TypeError, match="cannot assign 'int' as child module '0'"):
        nn.Sequential(nn.ReLU()).__setattr__("0", 3)
    with pytest.raises(TypeError, match="parentheses"):
        nn.Sequential(nn.Linear(2, 2), nn.ReLU)
    with pytest.raises(ValueError, match="non-empty string"):
        layer.register_parameter("a.b", None)
    with pytest.raises(ValueError, match="already exists"):
        layer.register_buffer("forward", sw.zeros(1))

    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(sw.zeros(1))

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call.*super\(\)"):
        Forgetful()
    with pytest.raises(ValueError, match='missing the required "forward"'):
        nn.Module()(1)


def test_modes_reach_all_below() -> None:
    block = Block()
    assert block.eval() is block
    assert not any(m.training for m in block.modules())
    block.train()
    assert all(m.training for m in block.modules())


def test_requires_grad_and_zero_grad() -> None:
    block = Block()
    block(sw.ones(2, 3)).sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    block.zero_grad(set_to_none=False)
    assert all(not p.grad.numpy().any() for p in block.parameters())
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())
    block.requires_grad_(False)
    assert not block(sw.ones(2, 3)).requires_grad


def test_conversion_keeps_the_parameters() -> None:
    sw.manual_seed(1)  # with some others all units may be off, and nothing moves
    block = Block()
    before = list(block.parameters())
    optimizer = sw.optim.SGD(block.parameters(), lr=0.1)
    assert block.double() is block
    assert all(a is b for a, b in zip(before, block.parameters(), strict=True))
    assert all(p.dtype == sw.float64 for p in block.parameters())
    assert block.count.dtype == sw.int64 and block.cache.dtype == sw.float64
    old = block.scale.detach().clone()
    block(sw.ones(2, 3, dtype=sw.float64)).sum().backward()
    optimizer.step()
    assert not sw.allclose(old, block.scale.detach())
    assert block.to("cpu").to(sw.float32).scale.dtype == sw.float32
    with pytest.raises(ValueError, match="floating point"):
        block.to(sw.int64)
    with pytest.raises(ValueError, match="only the CPU"):
        block.to("cuda")


def test_apply_visits_the_lowest_first() -> None:
    seen: list[str] = []
    Block().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Linear", "ReLU", "ModuleList", "Block"]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_apart(duplicate: Any) -> None:
    block = Block()
    twin = duplicate(block)
    assert twin.scale is twin._parameters["scale"] is not block.scale
    assert isinstance(twin.scale, nn.Parameter) and twin.scale.requires_grad
    x = sw.randn(4, 3)
    assert (twin(x) == block(x)).all()
    with sw.no_grad():
        twin.scale.zero_()
    assert block.scale.detach().numpy().all()


def test_parameters_share_memory_with_their_data() -> None:
    data = sw.zeros(2)
    parameter = nn.Parameter(data)
    with sw.no_grad():
        parameter += 1
    assert data.tolist() == [1.0, 1.0]
    assert parameter.is_leaf and parameter.requires_grad
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert type(parameter * 2) is sw.Tensor
    parameter.mark = "mine"
    with pytest.raises(TypeError, match="floating point"):
        nn.Parameter(sw.tensor([1, 2]))


def test_buffers_of_their_own_class() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.total = nn.Buffer(sw.zeros(1))
            self.scratch = nn.Buffer(sw.zeros(1), persistent=False)

    assert list(Counter().state_dict()) == ["total"]
    assert len(list(Counter().buffers())) == 2
    with pytest.raises(TypeError, match="Parameter"):
        nn.Buffer(sw.zeros(1, requires_grad=True))


def test_repr_is_pytorchs() -> None:
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Sequential(nn.ReLU(), nn.Dropout(0.1)))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=False)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Dropout(p=0.1, inplace=False)\n"
        "  )\n"
        ")"
    )


# --- containers ---------------------------------------------------------------------------------


def test_sequential_as_a_list() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    assert len(model) == 3 and isinstance(model[-1], nn.Linear)
    assert isinstance(model[:2], nn.Sequential) and len(model[:2]) == 2
    model[1] = nn.Tanh()
    assert isinstance(model[1], nn.Tanh)
    model.append(nn.Sigmoid()).insert(0, nn.Identity())
    assert [type(m).__name__ for m in model] == ["Identity", "Linear", "Tanh", "Linear", "Sigmoid"]
    assert isinstance(model.pop(), nn.Sigmoid)
    del model[0]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    named = nn.Sequential({"first": nn.Linear(2, 2), "second": nn.ReLU()})
    assert isinstance(named.first, nn.Linear) and "first.weight" in named.state_dict()
    with pytest.raises(IndexError, match="3 entries"):
        model[3]


def test_module_list_and_dict() -> None:
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
    layers += [nn.ReLU()]
    layers.extend([nn.Tanh()])
    assert len(layers) == 4 and len(layers[1:]) == 3
    heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    heads["b"] = nn.ReLU()
    heads.update([("c", nn.Tanh())])
    del heads["a"]
    assert list(heads) == list(heads.keys()) == ["b", "c"] and "a" not in heads
    assert len(heads) == 2 and [n for n, _ in heads.items()] == ["b", "c"]
    with pytest.raises(TypeError, match="not a Module"):
        heads["d"] = 3


def test_parameter_containers() -> None:
    values = nn.ParameterList([sw.zeros(2), nn.Parameter(sw.zeros(3))])
    values.append(sw.ones(1))
    assert [tuple(p.shape) for p in values] == [(2,), (3,), (1,)]
    assert values[-1].requires_grad and list(values.state_dict()) == ["0", "1", "2"]
    table = nn.ParameterDict({"w": sw.zeros(2)})
    table["b"] = sw.zeros(1)
    assert list(table) == ["w", "b"] and "w" in table and len(table) == 2
    assert table["w"] is table.w


# --- state --------------------------------------------------------------------------------------


def test_state_shares_memory_and_goes_round() -> None:
    block, other = Block(), Block()
    state = block.state_dict()
    assert not any(t.requires_grad for t in state.values())
    result = other.load_state_dict(state)
    assert result.missing_keys == [] and result.unexpected_keys == []
    x = sw.randn(4, 3)
    assert (block(x) == other(x)).all()
    with sw.no_grad():
        block.scale.fill_(7.0)
    assert state["scale"].tolist() == [7.0] * 3
    assert other.scale.tolist() == [1.0] * 3
    kept = block.state_dict(keep_vars=True, prefix="net.")
    assert kept["net.scale"] is block.scale


def test_a_wrong_state_is_refused_whole() -> None:
    block = Block()
    state = {k: v.clone() + 1 for k, v in block.state_dict().items()}
    state["scale"] = sw.zeros(4)
    del state["inner.bias"]
    state["extra"] = sw.zeros(1)
    before = block.inner.weight.detach().clone()
    with pytest.raises(RuntimeError) as caught:
        block.load_state_dict(state)
    message = str(caught.value)
    assert 'Missing key(s) in state_dict: "inner.bias"' in message
    assert 'Unexpected key(s) in state_dict: "extra"' in message
    assert "size mismatch for scale: copying a param with shape (4,)" in message
    assert "shape in current model is (3,)" in message
    assert (block.inner.weight.detach() == before).all()
    state["scale"] = sw.zeros(3)
    result = block.load_state_dict(state, strict=False)
    assert result == (["inner.bias"], ["extra"])
    assert block.scale.tolist() == [0.0] * 3
    with pytest.raises(RuntimeError, match="expected a dict"):
        block.load_state_dict([1])
    with pytest.raises(RuntimeError, match="scale is a str"):
        block.load_state_dict({"scale": "no"}, strict=False)


def test_loading_converts_and_accepts_arrays() -> None:
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3])})
    assert layer.weight.dtype == sw.float32
    assert layer(sw.tensor([1.0, 1.0])).item() == 6.0


# --- hooks --------------------------------------------------------------------------------------


def test_forward_hooks_see_and_replace() -> None:
    layer = nn.Linear(2, 2)
    seen: list[Any] = []
    before = layer.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    after = layer.register_forward_hook(lambda m, args, out: seen.append((args[0], out)))
    out = layer(sw.ones(3, 2))
    assert not seen[0][0].numpy().any() and seen[0][1] is out
    double = layer.register_forward_hook(lambda m, args, out: out * 2)
    assert sw.allclose(layer(sw.ones(3, 2)), out * 2)
    for handle in (before, after, double):
        handle.remove()
    layer(sw.ones(3, 2))
    assert len(seen) == 2


def test_forward_hooks_with_keywords_and_order() -> None:
    class Scale(nn.Module):
        def forward(self, x: Any, factor: float = 1.0) -> Any:
            return x * factor

    layer, order = Scale(), []
    layer.register_forward_hook(lambda m, a, o: order.append("second"))
    layer.register_forward_hook(lambda m, a, o: order.append("first"), prepend=True)
    layer.register_forward_pre_hook(
        lambda m, a, k: (a, {"factor": k["factor"] + 1}), with_kwargs=True
    )
    layer.register_forward_hook(lambda m, a, k, o: order.append(k["factor"]), with_kwargs=True)
    assert layer(sw.tensor(2.0), factor=2.0).item() == 6.0
    assert order == ["first", "second", 3.0]


def test_backward_hooks_see_whole_gradients() -> None:
    layer = nn.Linear(2, 3)
    seen: list[Any] = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((m, gi, go)))
    x = sw.randn(4, 2, requires_grad=True)
    out = layer(x)
    # The output is used twice; the hook is called once, with the sum.
    (out.sum() + (out * 2).sum()).backward()
    ((module, grad_input, grad_output),) = seen
    assert module is layer
    assert grad_output[0].tolist() == [[3.0] * 3] * 4
    assert sw.allclose(grad_input[0], x.grad)
    assert sw.allclose(x.grad, (sw.ones(4, 3) * 3) @ layer.weight.detach())


def test_backward_hooks_replace_the_inputs_gradient() -> None:
    layer = nn.Linear(2, 3)
    handle = layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 0,))
    x = sw.randn(4, 2, requires_grad=True)
    layer(x).sum().backward()
    assert not x.grad.numpy().any() and layer.weight.grad.numpy().any()
    handle.remove()
    x.grad = None
    layer(x).sum().backward()
    assert x.grad.numpy().any()


def test_backward_hooks_without_input_gradients_and_with_several_inputs() -> None:
    layer, seen = nn.Linear(2, 3), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    layer(sw.randn(4, 2)).sum().backward()
    assert seen[0][0] == (None,) and tuple(seen[0][1][0].shape) == (4, 3)

    bilinear, calls = nn.Bilinear(2, 3, 1), []
    bilinear.register_full_backward_hook(lambda m, gi, go: calls.append(gi))
    a, b = sw.randn(4, 2, requires_grad=True), sw.randn(4, 3)
    bilinear(a, b).sum().backward()
    assert sw.allclose(calls[0][0], a.grad) and calls[0][1] is None
    bilinear.register_full_backward_hook(lambda m, gi, go: (gi[0],))
    with pytest.raises(ValueError, match="1 gradients for 2 inputs"):
        bilinear(a, b).sum().backward()


def test_backward_hooks_leave_higher_derivatives() -> None:
    layer = nn.Linear(1, 1, bias=False).double()
    layer.register_full_backward_hook(lambda m, gi, go: None)
    x = sw.tensor([[2.0]], dtype=sw.float64, requires_grad=True)
    (slope,) = sw.autograd.grad((layer(x) ** 2).sum(), x, create_graph=True)
    slope.backward()
    w = layer.weight.item()
    assert x.grad.item() == pytest.approx(2 * w * w)


def test_parameter_hooks_run_in_backward() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.register_hook(lambda grad: grad * 0 + 5)
    layer(sw.ones(1, 2)).sum().backward()
    assert layer.weight.grad.tolist() == [[5.0, 5.0]]
