"""What is asked wrongly is answered in the house's words, never with a bare NumPy or Python error.

Each row is a call that is wrong, the class of its error, and words that must occur in the message.
Where Tensors are involved, the message names the user's variable and line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise.errors import (
    DomainError,
    DTypeError,
    GradientError,
    IndexRangeError,
    ShapeError,
    SlopewiseError,
    UsageError,
)

HERE = "test_errors.py, line"

matrix = sw.ones(2, 3)
vector = sw.tensor([1.0, 2.0, 3.0])
number = sw.tensor(1.0)
whole = sw.tensor([3, 4])
small = sw.tensor([1, 2], dtype=sw.uint8)
image = sw.ones(1, 1, 4, 4)
kernel = sw.ones(2, 1, 2, 2)


def recorded() -> Any:
    return sw.tensor([1.0, 2.0], requires_grad=True)


def with_hook(answer: Any) -> None:
    x = recorded()
    x.register_hook(lambda _bar: answer)
    (x * x).sum().backward()


def differentiate(outputs: Any = None, inputs: Any = None, bars: Any = None) -> Any:
    x = recorded()
    y = x * x
    return sw.autograd.grad(
        y if outputs is None else outputs, x if inputs is None else inputs, bars
    )


def pull(bar: Any) -> Any:
    return sw.vjp(lambda x: x * x, vector)[1](bar)


def set_small() -> None:
    target = sw.zeros(2, 3)
    target[[0, 1], [0, 1, 2]] = 1.0


Row = tuple[Callable[[], Any], type[SlopewiseError], str]
ROWS: dict[str, Row] = {
    "a step of three": (
        lambda: sw.optim.SGD([sw.ones(1, requires_grad=True)]).step(3),
        UsageError,
        "step: one",
    ),
    "a running variance of another size": (
        lambda: sw.nn.functional.batch_norm(matrix, sw.zeros(3), sw.ones(2)),
        ShapeError,
        "batch_norm running_var `matrix`",
    ),
    # Joins, parts and axes.
    "cat of nothing": (lambda: sw.cat([]), UsageError, "cat: at least one"),
    "stack of nothing": (lambda: sw.stack([]), UsageError, "stack: at least one"),
    "cat of other sizes": (lambda: sw.cat([matrix, sw.ones(2, 2)]), ShapeError, "cat `matrix`"),
    "cat of numbers": (lambda: sw.cat([number, number]), ShapeError, "cat 0-d `number`"),
    "stack of other shapes": (
        lambda: sw.stack([matrix, vector]), ShapeError, "stack `matrix` `vector`"),
    "unbind of a number": (lambda: sw.unbind(number), ShapeError, "unbind 0-d `number`"),
    "split of a number": (lambda: sw.split(number, 1), ShapeError, "split 0-d"),
    "no chunks": (lambda: sw.chunk(matrix, 0), UsageError, "chunk `matrix`"),
    "parts of size 0": (lambda: sw.split(matrix, 0), UsageError, "split `matrix`"),
    "parts of size -1": (lambda: sw.split(matrix, -1), UsageError, "split `matrix`"),
    "axis as text": (lambda: matrix.mean("x"), DTypeError, "mean axis integer"),
    "sizes as text": (lambda: matrix.view("x"), DTypeError, "reshape integer"),
    "flatten backwards": (lambda: sw.flatten(matrix, 1, 0), UsageError, "flatten `matrix`"),
    "triangle of a vector": (lambda: sw.tril(vector), ShapeError, "tril `vector`"),
    "other triangle of a vector": (lambda: sw.triu(vector), ShapeError, "triu `vector`"),
    "counts of another length": (
        lambda: sw.repeat_interleave(vector, sw.tensor([1, 2])), ShapeError,
        "repeat_interleave `vector`"),
    "negative counts": (
        lambda: sw.repeat_interleave(vector, -1), DomainError, "repeat_interleave negative"),
    "shifts without axes": (
        lambda: sw.roll(matrix, (1, 2), (0,)), UsageError, "roll `matrix`"),
    "broadcast": (
        lambda: sw.broadcast_tensors(matrix, sw.ones(2)), ShapeError, "broadcast_tensors `matrix`"),
    # Creation and random numbers.
    "ragged table": (lambda: sw.tensor([1, [2, 3]]), ShapeError, "tensor lengths"),
    "negative size": (lambda: sw.zeros(-1), ShapeError, "zeros negative"),
    "text as size": (lambda: sw.zeros("x"), DTypeError, "zeros integer 'x'"),
    "float as size": (lambda: sw.zeros(2.5), DTypeError, "zeros integer 2.5"),
    "float as size of ones": (lambda: sw.ones(2, 2.5), DTypeError, "ones integer 2.5"),
    "negative full": (lambda: sw.full((-1,), 2.0), ShapeError, "full negative"),
    "negative identity": (lambda: sw.eye(-1), ShapeError, "eye negative"),
    "negative steps": (lambda: sw.linspace(0, 1, -1), ShapeError, "linspace negative"),
    "range of text": (lambda: sw.arange("x"), DTypeError, "numbers"),
    "range of nothing": (lambda: sw.arange(), UsageError, "arange stop"),
    "negative permutation": (lambda: sw.randperm(-1), ShapeError, "randperm negative"),
    "negative rand": (lambda: sw.rand(-1), ShapeError, "rand negative"),
    "seed as text": (lambda: sw.manual_seed("x"), DTypeError, "manual_seed 'x'"),
    "state as text": (lambda: sw.set_rng_state("x"), UsageError, "set_rng_state"),
    "array as list": (lambda: sw.from_numpy([1, 2]), DTypeError, "from_numpy list sw.tensor"),
    "dlpack of a number": (lambda: sw.from_dlpack(3), DTypeError, "from_dlpack int"),
    "default dtype": (lambda: sw.set_default_dtype("zz"), DTypeError, "zz float32"),
    "fill with text": (lambda: sw.zeros(2).fill_("x"), DTypeError, "numbers"),
    "negative layer": (lambda: sw.nn.Linear(-1, 3), ShapeError, "Linear negative"),
    "negative weights": (
        lambda: sw.multinomial(sw.tensor([1.0, -1.0]), 1), DomainError, "multinomial negative"),
    "too many draws": (
        lambda: sw.multinomial(sw.tensor([1.0, 0.0]), 2), DomainError, "replacement=True"),
    "no weights": (
        lambda: sw.multinomial(sw.zeros(2), 1, True), DomainError, "multinomial above 0"),
    # Arithmetic.
    "negative integer power": (lambda: whole**-1, DomainError, "pow use floats `whole`"),
    "negative integer powers": (lambda: 2 ** sw.tensor([-1]), DomainError, "pow use floats"),
    "integer by 0": (lambda: whole // 0, DomainError, "floor_divide `whole`"),
    "integer modulo 0": (lambda: whole % 0, DomainError, "remainder `whole`"),
    "complement of floats": (lambda: ~vector, DTypeError, "bitwise_not `vector`"),
    "300 in a byte": (lambda: small + 300, DTypeError, "add .to(sw.int64) `small`"),
    "1000 in a byte": (lambda: small * 1000, DTypeError, "mul .to(sw.int64) `small`"),
    "2**40 in 32 bits": (
        lambda: whole.to(sw.int32) + 2**40, DTypeError, "add .to(sw.int64)"),
    "norm of another name": (lambda: sw.norm(vector, "zz"), UsageError, "norm 'zz' `vector`"),
    # Products and windows.
    "product with a number": (lambda: sw.matmul(3, vector), ShapeError, "matmul `vector`"),
    "stride 0": (lambda: sw.conv2d(image, kernel, stride=0), UsageError, "conv2d stride"),
    "window 0": (lambda: sw.max_pool2d(image, 0), UsageError, "max_pool2d kernel_size"),
    "bias of another size": (
        lambda: sw.conv2d(image, kernel, vector), ShapeError, "conv2d bias `vector`"),
    "distances of other widths": (
        lambda: sw.cdist(matrix, sw.ones(2, 2)), ShapeError, "cdist `matrix`"),
    # Indexing.
    "index shapes": (
        lambda: matrix[[0, 1], [0, 1, 2]], ShapeError, "index (2,) (3,) `matrix`"),
    "index shapes in writing": (set_small, ShapeError, "index (2,) (3,) `target`"),
    "too many indices": (lambda: vector[0, 0], IndexRangeError, "index 1 `vector`"),
    "position out of range": (lambda: vector[[5]], IndexRangeError, "index 5 `vector`"),
    "entries of a number": (
        lambda: sw.index_select(number, 0, sw.tensor([0])), ShapeError,
        "index_select 0-d `number`"),
    "indices of another rank": (
        lambda: sw.take_along_dim(matrix, sw.tensor([0]), 1), ShapeError,
        "take_along_dim `matrix`"),
    "traced index behind": (
        lambda: sw.vmap(lambda i: sw.scatter_set(sw.zeros(2, 3), (slice(None), i), 1.0))(
            sw.tensor([0, 1])),
        UsageError, "leading axes"),
    # Derivatives and transforms.
    "output as number": (lambda: differentiate(outputs=3), UsageError, "autograd.grad outputs"),
    "input as number": (
        lambda: differentiate(inputs=[vector, 3]), UsageError, "autograd.grad inputs"),
    "two cotangents": (
        lambda: differentiate(bars=[vector, vector]), UsageError, "grad_outputs"),
    "cotangent of another shape": (
        lambda: differentiate(bars=vector), ShapeError, "grad_outputs `y`"),
    "pulled shape": (lambda: pull(sw.ones(2)), ShapeError, "vjp (3,) (2,)"),
    "hook of a number": (lambda: with_hook(3), GradientError, "hook int"),
    "hook of another shape": (lambda: with_hook(vector), GradientError, "hook (3,) (2,)"),
    "no arguments": (lambda: sw.grad(lambda x: x)(), UsageError, "grad argument"),
    "no such argument": (
        lambda: sw.grad(lambda x: x, argnums=2)(1.0), UsageError, "grad argument 2"),
    "jacobian of text": (lambda: sw.jacobian(lambda q: "x")(vector), GradientError, "jacobian str"),
    "jacobian mode": (lambda: sw.jacobian(lambda q: q, mode="zz"), UsageError, "jacobian 'zz'"),
    "jacobian argument": (
        lambda: sw.jacobian(lambda q: q, argnums=3)(vector), UsageError, "jacobian argument 3"),
    "no tangents": (lambda: sw.jvp(sw.sin, (vector,), ()), ShapeError, "jvp tangent"),
    "bare tangents": (lambda: sw.jvp(sw.sin, vector, vector), UsageError, "jvp (x,), (v,)"),
    "too many in_dims": (
        lambda: sw.vmap(sw.sin, in_dims=(0, 0))(vector), UsageError, "vmap in_dims"),
    "in_dims out of range": (
        lambda: sw.vmap(sw.sin, in_dims=3)(matrix), IndexRangeError, "vmap in_dims 3"),
    "out_dims out of range": (
        lambda: sw.vmap(sw.sin, out_dims=3)(matrix), IndexRangeError, "vmap out_dims 3"),
    "vmap of text": (lambda: sw.vmap(lambda x: "x")(vector), DTypeError, "vmap str"),
    "loop to text": (
        lambda: sw.fori_loop(0, "x", lambda i, c: c, number), DTypeError, "fori_loop 'x'"),
    "loop to a half": (
        lambda: sw.fori_loop(0, 2.5, lambda i, c: c, number), DTypeError, "fori_loop 2.5"),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_what_is_wrong_is_said_in_the_house_s_words(row: Row) -> None:
    call, error, words = row
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    message = str(caught.value)
    missing = [w for w in words.split() if w not in message]
    assert not missing, message
    if "`" in words:
        assert HERE in message


class TestWhatIsRightBesideIt:
    def test_integer_powers_stay_integers(self) -> None:
        assert (2 ** sw.tensor([3])).tolist() == [8]
        assert (2 ** sw.tensor([3])).dtype == sw.int64
        bases = np.arange(-3, 4)
        for power in (0, 1, 2, 3, 10):
            assert (sw.tensor(bases) ** power).tolist() == (bases**power).tolist()
        powers = np.array([0, 1, 2, 3, 4, 5, 62])
        assert (sw.tensor(bases) ** sw.tensor(powers)).tolist() == (bases**powers).tolist()
        assert sw.vmap(lambda x: x**3)(sw.tensor(bases)).tolist() == (bases**3).tolist()

    def test_floor_division_agrees_with_the_remainder(self) -> None:
        assert (sw.tensor(2.0) // 0.1).item() == 19.0
        x = np.array([7.0, -7.0, 2.0, 1.0, -1.0, 1.0, -1.0, 0.0])
        y = np.array([2.0, 2.0, 0.1, 0.0, 0.0, np.inf, np.inf, 3.0])
        with np.errstate(all="ignore"):
            expected = np.floor_divide(x, y)
        np.testing.assert_array_equal((sw.tensor(x) // sw.tensor(y)).numpy(), expected)
        large = 2**60 + 1
        assert (sw.tensor([large]) // 1).tolist() == [large]
        assert (sw.tensor([-7, 7]) // 2).tolist() == [-4, 3]

    def test_draws_without_replacement_leave_out_weight_zero(self) -> None:
        sw.manual_seed(0)
        for _ in range(50):
            drawn = sw.multinomial(sw.tensor([5e-324, 0.0, 5.0, 0.0], dtype=sw.float64), 2).tolist()
            assert sorted(drawn) == [0, 2]

    def test_zero_dimensional_masks_follow_numpy(self) -> None:
        t = sw.tensor(1.0)
        assert t[t > 0].tolist() == [1.0]
        assert t[t < 0].shape == (0,)
        t[t > 0] = 5
        assert t.item() == 5.0

    def test_contiguous_is_contiguous(self) -> None:
        turned = sw.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True).T.contiguous()
        assert turned.is_contiguous()
        assert turned.tolist() == [[1.0, 3.0], [2.0, 4.0]]
        turned.sum().backward()

    def test_integers_have_no_nan(self) -> None:
        assert sw.nan_to_num(whole).tolist() == [3, 4]

    def test_jacobian_of_a_constant_is_zero(self) -> None:
        assert sw.jacobian(lambda q: 3.0)(vector).tolist() == [0.0, 0.0, 0.0]

    def test_fill_takes_a_zero_dimensional_tensor(self) -> None:
        assert sw.zeros(2).fill_(sw.tensor(7.0)).tolist() == [7.0, 7.0]

    def test_methods_in_place_have_names(self) -> None:
        assert sw.Tensor.add_.__name__ == "add_"
        assert sw.Tensor.add_.__qualname__ == "Tensor.add_"
        assert "in place" in sw.Tensor.add_.__doc__
