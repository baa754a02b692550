"""Random programs: compiled, and cut small in every way, they give what eager code gives.

Invariant: a program is text, written from a seed while it runs eagerly, so that a failure can be
read, and cut down by hand. What such programs found is kept below, one test for each cause.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._compile import cutting, endings, products, regions, sums
from slopewise._core.tree import flatten
from slopewise.errors import TraceError, UsageError

SIZES = (1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 31, 33, 40, 65)
UNARY = ("sin", "tanh", "exp", "abs", "neg", "sigmoid", "relu", "square", "erf", "silu", "softplus")
BINARY = ("add", "sub", "mul", "maximum", "minimum", "atan2", "hypot", "logaddexp")
CUTS = ("as it is", "parts and the BLAS", "parts and own kernels")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile everything anew, and put the threads back."""
    monkeypatch.setenv("SLOPEWISE_CACHE", "off")
    before = sw.get_num_threads()
    yield
    sw.set_num_threads(before)


def cut_small(monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    """Cut everything that has two rows; give all products to the BLAS, or none."""
    if cut == CUTS[0]:
        return
    for name, value in (("WORTH", 1), ("HEAVY", 1e-9), ("SHARE", 1e-10), ("PARTS", 3),
                        ("_FEWEST", 2), ("CHUNK", 64), ("ABREAST", 2), ("COLUMNS", 1)):  # fmt: skip
        for module in (regions, cutting):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    for name in ("FEWEST", "SHARE"):
        monkeypatch.setattr(endings, name, 0)
    monkeypatch.setattr(regions, "_pays", lambda *_: True)
    monkeypatch.setattr(sums, "ABREAST", 2)
    for module in (sums, products):
        monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(sums, "suits_blas", lambda *_: cut == CUTS[1])
    sw.set_num_threads(3 if cut == CUTS[1] else 1)


class Writer:
    """Writes a program line by line, running each line with the values that it would have."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.values: dict[str, Any] = {"sw": sw}
        self.known: list[str] = []
        self.lines: list[str] = []
        self.count = 0
        data = np.random.default_rng(seed)
        sizes = [self.random.choice(SIZES) for _ in range(3)]
        dtype = self.random.choice((np.float64, np.float64, np.float32))
        self.arrays: list[Any] = []
        for k in range(self.random.randint(1, 3)):
            shape = [self.random.choice(sizes) for _ in range(self.random.choice((1, 2, 2, 3)))]
            while np.prod(shape) > 4000:
                shape[int(np.argmax(shape))] = self.random.choice(SIZES[:6])
            self.arrays.append(data.standard_normal(shape).astype(dtype))
            self.values[f"a{k}"] = sw.tensor(self.arrays[k])
            self.known.append(f"a{k}")
        for _ in range(self.random.randint(3, 10)):
            self.write_step(0)
        last = self.known[-1]
        self.outputs = [last, *(self.random.choice(self.known) for _ in range(2))]

    def text(self) -> str:
        names = ", ".join(f"a{k}" for k in range(len(self.arrays)))
        body = [f"    {part}" for line in self.lines for part in line.split("\n")]
        return "\n".join([f"def f({names}):", *body, f"    return {', '.join(self.outputs)}"])

    def name(self, letter: str = "v") -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def emit(self, formula: str) -> None:
        """Write a line, unless its value would be empty, too large or not finite."""
        try:
            value = eval(formula, self.values)
        except (ValueError, IndexError, TypeError, RuntimeError):
            return
        numbers = value.detach().numpy()
        if not 0 < numbers.size <= 10_000 or not np.isfinite(numbers).all():
            return
        if np.abs(numbers).max() > 50:
            formula = f"sw.tanh({formula})"
        name = self.name()
        self.values[name] = eval(formula, self.values)
        self.lines.append(f"{name} = {formula}")
        self.known.append(name)

    def pick(self) -> tuple[str, Any]:
        known = self.known[-5:] if self.random.random() < 0.6 else self.known
        name = self.random.choice(known)
        return name, self.values[name]

    def like(self, shape: Any) -> str:
        """Return a value that broadcasts with a shape."""
        fitting: list[str] = []
        for name in self.known:
            try:
                np.broadcast_shapes(self.values[name].shape, shape)
            except ValueError:
                continue
            fitting.append(name)
        return self.random.choice(fitting)

    def part(self, size: int) -> str:
        start = self.random.randrange(size)
        stop = self.random.randint(start + 1, size)
        if self.random.random() < 0.3:
            return ":"
        return f"{start}:{stop}:{self.random.choice((1, 1, 2, 3))}"

    def write_step(self, depth: int) -> None:
        name, value = self.pick()
        if depth < 2 and self.random.random() < 0.2 / (1 + depth):
            self.write_loop(depth)
        elif not value.ndim:
            self.emit(f"{name}.reshape(1)")
        else:
            ways = (self.elementwise, self.move, self.reduce, self.join, self.index, self.multiply)
            self.random.choice(ways)(name, value, self.random.randrange(value.ndim))

    def elementwise(self, x: str, value: Any, axis: int) -> None:
        y, z = self.like(value.shape), self.like(value.shape)
        self.emit(self.random.choice((
            f"sw.{self.random.choice(UNARY)}({x})", f"sw.{self.random.choice(BINARY)}({x}, {y})",
            f"{x} / (sw.abs({y}) + 0.5)", f"sw.where({x} > {y}, {x}, {z})",
            f"sw.clamp({x}, -0.5, 0.7) * 1.5", f"(sw.abs({x}) + 0.5) ** sw.tanh({y})",
        )))  # fmt: skip

    def move(self, x: str, value: Any, axis: int) -> None:
        order = list(range(value.ndim))
        self.random.shuffle(order)
        half = self.random.choice([n for n in range(1, value.numel() + 1) if not value.numel() % n])
        self.emit(self.random.choice((
            f"{x}[{', '.join(self.part(n) for n in value.shape)}]", f"sw.flip({x}, {axis})",
            f"sw.permute({x}, {tuple(order)})", f"{x}.reshape({half}, -1)",
            f"sw.unsqueeze({x}, {axis})", f"sw.roll({x}, 1, {axis})",
            f"sw.broadcast_to({x}, (2, *{tuple(value.shape)}))",
        )))  # fmt: skip

    def reduce(self, x: str, value: Any, axis: int) -> None:
        kind = self.random.choice(("sum", "mean", "amax", "amin", "var", "logsumexp"))
        self.emit(self.random.choice((
            f"sw.{kind}({x}, {axis}, keepdim={self.random.random() < 0.5})", f"{x}.mean()",
            f"sw.softmax({x}, {axis})", f"sw.log_softmax({x}, {axis})", f"sw.cumsum({x}, {axis})",
            f"{x} - {x}.mean({axis}, keepdim=True)", f"sw.cumprod({x} * 0.5 + 0.7, {axis})",
        )))  # fmt: skip

    def join(self, x: str, value: Any, axis: int) -> None:
        lead = ":, " * axis
        widths = tuple(self.random.randrange(3) for _ in range(2 * value.ndim))
        self.emit(self.random.choice((
            f"sw.cat([{x}, sw.sin({x})], {axis})", f"sw.stack([{x}, sw.neg({x}), {x}], {axis})",
            f"sw.nn.functional.pad({x}, {widths})",
            f"{x}[{lead}2:] - 2 * {x}[{lead}1:-1] + {x}[{lead}:-2]",
        )))  # fmt: skip

    def index(self, x: str, value: Any, axis: int) -> None:
        places = [self.random.randrange(value.shape[axis]) for _ in range(4)]
        box = ", ".join(self.part(n) for n in value.shape)
        if self.random.random() < 0.4:
            name = self.name()
            line = f"{name} = {x}.clone(); {name}[{box}] *= sw.sin({x}[{box}])"
            exec(line, self.values)
            self.lines.append(line)
            self.known.append(name)
            return
        self.emit(self.random.choice((
            f"sw.index_select({x}, {axis}, sw.tensor({places}))", f"sw.sort({x}, {axis})[0]",
            f"sw.gather({x}, {axis}, sw.argsort({x}, {axis}))",
            f"sw.index_add({x}, {axis}, sw.tensor({places}),"
            f" sw.sin(sw.index_select({x}, {axis}, sw.tensor({places[::-1]}))))",
            f"sw.scatter_add(sw.zeros_like({x}), {axis}, sw.argsort({x}, {axis}) // 2, {x})",
        )))  # fmt: skip

    def multiply(self, x: str, value: Any, axis: int) -> None:
        if value.ndim == 2:
            y = self.random.choice([n for n in self.known if self.values[n].ndim == 2])
            form = self.random.choice(("ij,jk->ik", "ij,kj->ik", "ji,jk->ik", "ij,ij->i"))
            self.emit(f"sw.einsum('{form}', {x}, {y}) * 0.3")
        self.emit(f"({x} @ {self.pick()[0]}) * 0.3")

    def write_loop(self, depth: int) -> None:
        """Write a loop or a branch over carries, which may be exchanged, kept or set anew."""
        random = self.random
        starts = [self.pick()[0] for _ in range(random.randint(1, 2))]
        starts.append(starts[0])
        names = [self.name("c") for _ in starts]
        kept = dict(self.values), list(self.known), self.lines
        self.values.update({n: self.values[s] for n, s in zip(names, starts, strict=True)})
        self.known, self.lines = [*names, random.choice(self.known)], []
        for _ in range(random.randint(1, 4)):
            self.write_step(depth + 1)
        results: list[str] = []
        for carry in names:
            value = self.values[carry]
            same = [n for n in self.known if self.values[n].shape == value.shape]
            chosen = random.choice([*same, f"{carry} * 0.5 + {self.pick()[0]}.mean()"])
            results.append(random.choice((chosen, f"sw.tanh({chosen})")))
        body = [f"    {part}" for line in self.lines for part in line.split("\n")]
        self.values, self.known, self.lines = kept
        listed, given, returned = (", ".join(x) for x in (names, starts, results))
        step, out = self.name("step"), self.name("t")
        count = random.choice((1, 2, 3, 5))
        kind = random.choice(("fori_loop", "scan", "while_loop", "cond"))
        inner = "inner" if kind != "while_loop" else "tuple(inner[1:])"
        result = f"({returned},)"
        head, call = {
            "fori_loop": ("_, inner", f"fori_loop(0, {count}, {step}, ({given},))"),
            "scan": ("inner, _", f"scan({step}, ({given},), None, length={count})[0]"),
            "while_loop": (
                "inner",
                f"while_loop(lambda c: c[0] < {count}, {step}, (sw.tensor(0), {given}),"
                " max_steps=6)[1:]",
            ),
            "cond": (
                "*inner",
                f"cond({starts[0]}.sum() > {random.choice((-0.3, 9e9))}, {step},"
                f" lambda *c: tuple(x * 0.5 for x in c), {given})",
            ),
        }[kind]
        if kind == "scan":
            result += ", None"
        if kind == "while_loop":
            result = f"(inner[0] + 1, {returned})"
        text = "\n".join([
            f"def {step}({head}):", f"    {listed}, = {inner}", *body, f"    return {result}",
            f"{out} = sw.{call}",
        ])  # fmt: skip
        exec(text, self.values)
        self.lines.append(text)
        for k in range(len(names)):
            self.emit(f"{out}[{k}]")


def make_loss(function: Callable[..., Any]) -> Callable[..., Any]:
    def loss(*args: Any) -> Any:
        return sum((x * 0.5).sum() + sw.sin(x).mean() for x in function(*args))

    return loss


def leaves(nest: Any) -> list[Any]:
    return [np.asarray(x.detach() if isinstance(x, sw.Tensor) else x) for x in flatten(nest)[0]]


def assert_alike(found: Any, expected: Any, wide: bool) -> None:
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        scale = max(1.0, float(np.abs(b).max(initial=0.0)))
        near = 1e-9 if wide else 2e-3
        np.testing.assert_allclose(a, b, rtol=near, atol=near * scale)


@pytest.mark.parametrize("seed", range(100))
def test_random_programs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(seed)
    values: dict[str, Any] = {"sw": sw}
    exec(writer.text(), values)
    function = values["f"]
    places = tuple(range(len(writer.arrays)))
    slope = sw.grad(make_loss(function), argnums=places)
    ways = (
        function,
        slope,
        sw.vmap(function),
        sw.vmap(slope),
        sw.value_and_grad(make_loss(function)),
    )
    way = ways[seed % 5]
    arrays = writer.arrays
    if 2 <= seed % 5 < 4:
        arrays = [np.stack([x, x * -0.5, x * 0.25]) for x in arrays]
    try:
        expected = way(*map(sw.tensor, arrays))
    except TraceError:
        pytest.fail(writer.text())
    cut_small(monkeypatch, CUTS[seed // 5 % 3])
    compiled = sw.compile(way)
    wide = arrays[0].dtype == np.float64
    for _ in range(2):
        found = compiled(*arrays)
        assert_alike(found, expected, wide)


# --- what was found ------------------------------------------------------------------------------


def compare(function: Callable[..., Any], *arrays: Any, near: float = 1e-12) -> None:
    expected = leaves(function(*(sw.tensor(np.array(x)) for x in arrays)))
    found = leaves(sw.compile(function)(*(np.array(x) for x in arrays)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=near, atol=near)


X, Y = np.array([1.0, 2.0, -3.0, 0.5]), np.array([0.5, -1.0, 2.0, 4.0])


def test_a_carry_that_is_overwritten_with_an_invariant_keeps_its_first_value_for_a_round() -> None:
    def overwrite(a: Any) -> Any:
        b = a * 2
        return sw.fori_loop(0, 3, lambda i, c: b, a).sum()

    def beside(a: Any) -> Any:
        return sw.fori_loop(0, 5, lambda i, c: (a, sw.tanh(c[1])), (a, a))[0].sum()

    def reads(a: Any, b: Any) -> Any:
        return sw.fori_loop(0, 3, lambda i, c: (c[0] + c[1] * c[1].sum(), b), (a, a))

    def never(a: Any, b: Any) -> Any:
        return sw.while_loop(lambda c: c[0].sum() > 1e9, lambda c: (b, c[1] + c[0].sum()), (a, b))

    compare(sw.grad(overwrite), X)
    compare(sw.grad(beside), X)
    compare(reads, X, Y)
    compare(never, X, Y)


@pytest.mark.parametrize("rows", [2, 4, 33])
@pytest.mark.parametrize(("columns", "width"), [(4, 2), (6, 3), (32, 8), (40, 20)])
def test_a_turned_matrix_with_rows_cut(rows: int, columns: int, width: int) -> None:
    x = np.random.default_rng(0).standard_normal((rows, columns))
    compare(lambda a: sw.flip(a, 1).reshape(-1, width), x)
    compare(lambda a: sw.flip(sw.flip(a, 0), 1).reshape(-1, width) * 2, x)


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 5, 17, 5), (9, 4, 3), (2, 12, 2)])
def test_assigning_to_slices_of_many_examples(shape: tuple[int, ...]) -> None:
    def assign(a: Any) -> Any:
        b = a.clone()
        b[1:] *= 0.9
        return b

    compare(sw.vmap(assign), np.random.default_rng(0).standard_normal(shape))


def follow(function: Callable[..., Any], *arrays: Any) -> None:
    """Compare, or be refused: both are right where memory is shared."""
    try:
        compare(function, *arrays)
    except TraceError:
        return


def test_a_view_shows_what_its_base_became() -> None:
    def one(a: Any) -> Any:
        base = a.clone()
        view = base[1:]
        base[1] = 50.0
        return view * 1

    def all_of_it(a: Any) -> Any:
        base = a.clone()
        view, turned = base[::2], base.reshape(2, 2).t()
        base *= 2
        return view + 1, turned + 1

    def siblings(a: Any) -> Any:
        base = a.clone()
        first, second = base[1:], base[2:]
        first *= 2
        return second * 1

    for function in (one, all_of_it, siblings):
        follow(function, X)
    batch = np.stack([X, Y])
    try:
        found = sw.vmap(one)(sw.tensor(batch))
    except TraceError:
        return
    np.testing.assert_array_equal(found, [one(sw.tensor(x)).numpy() for x in batch])


def test_a_carry_that_is_changed_in_place_and_known_by_another_name() -> None:
    def change(i: Any, carry: Any) -> Any:
        a, b = carry
        a[i] = b[i] * 2 + a[0]
        return a, b

    def twice(a: Any) -> Any:
        both = a.clone()
        return sw.fori_loop(0, 4, change, (both, both))

    def captured(a: Any, b: Any) -> Any:
        kept = a.clone()

        def step(i: Any, carry: Any) -> Any:
            carry[i] = kept.sum() + b[i]
            return carry

        return sw.fori_loop(0, 4, step, kept), kept

    follow(twice, X)
    follow(captured, X, Y)


def test_a_branch_and_a_body_give_out_a_constant() -> None:
    def branch(a: Any) -> Any:
        c = sw.tensor([1.0, 2.0], dtype=sw.float64)
        return sw.cond(a.sum() > 0, lambda p, q: (p * q.sum(), q), lambda p, q: (p, q), a, c)

    def body(a: Any) -> Any:
        c = sw.tensor([1.0, 2.0, 3.0, 4.0], dtype=sw.float64)
        return sw.fori_loop(0, 2, lambda i, v: (c, v[0] + v[1]), (a, a))

    compare(branch, X)
    compare(body, X)


def test_a_place_looked_up_where_a_condition_holds() -> None:
    places = np.random.default_rng(0).integers(0, 4, (4, 8))

    def loss(a: Any, i: Any) -> Any:
        made = sw.scatter_add(sw.zeros_like(a), 1, i, sw.cos(a)).clone()
        made[:, 4:7] += 1.5
        return (made * made).sum()

    compare(sw.grad(loss), np.random.default_rng(1).standard_normal((4, 8)), places)


@pytest.mark.parametrize("cut", CUTS)
def test_the_extremum_is_found_again_however_it_is_rounded(
    cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(a: Any) -> Any:
        pairs = sw.einsum("ji,jk->ik", a, sw.cumsum(a, 1)) * 0.3
        return sw.amin(pairs - 2, 1).sum()

    slope = sw.grad(loss)
    x = np.random.default_rng(0).standard_normal((40, 33)).astype(np.float32)
    expected = slope(sw.tensor(x))
    cut_small(monkeypatch, cut)
    np.testing.assert_allclose(sw.compile(slope)(x), expected, rtol=1e-3, atol=1e-2)


def test_a_loop_of_no_rounds_has_the_derivative_of_nothing_done() -> None:
    def idle(a: Any) -> Any:
        return sw.fori_loop(0, 0, lambda i, c: sw.zeros_like(c), a * a).sum()

    def pair(a: Any) -> Any:
        first = sw.fori_loop(0, 0, lambda i, c: (sw.tanh(c[1]), c[1]), (a, a))[0]
        return (sw.sin(first) * first).sum()

    compare(sw.grad(idle), X)
    compare(lambda a: sw.jvp(idle, (a,), (a,)), X)
    compare(sw.grad(lambda a: sw.sin(sw.grad(pair)(a)).sum()), X)


def test_numbers_in_loops_and_powers_are_as_exact_as_in_eager_code() -> None:
    compare(lambda a: sw.fori_loop(0, 3, lambda i, c: c * (1 + i * 0.1), a), X)
    compare(lambda a: sw.fori_loop(1, 4, lambda i, c: c * (1 / i), a), X)
    compare(lambda a: sw.fori_loop(0, 3, lambda i, c: c * 0.9**i, a), X)
    count = sw.tensor(3.0, dtype=sw.float64)
    assert (0.999**count).item() == pytest.approx(0.999**3, rel=1e-15)


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_adam_on_wide_parameters_with_the_narrow_default(kind: str) -> None:
    found: list[Any] = []
    for wrap in (lambda f: f, sw.compile):
        w = sw.tensor(X, requires_grad=True)
        optimizer = getattr(sw.optim, kind)([w], lr=0.01)

        @wrap
        def step(w: Any = w, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (w**4).sum()
            loss.backward()
            optimizer.step()
            return loss

        for _ in range(4):
            step()
        found.append(w.detach().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-13)


def test_out_is_written_or_refused_where_a_result_is_an_argument() -> None:
    a, b = X.copy(), Y.copy()
    for function in (lambda a, b: (b, a), lambda a, b: (a + b, a)):
        compiled = sw.compile(function)
        for _ in range(3):
            out = np.full(4, np.nan), np.full(4, np.nan)
            try:
                compiled(a, b, out=out)
            except UsageError:
                continue
            for x, y in zip(out, function(a, b), strict=True):
                np.testing.assert_array_equal(x, y)


class Slotted:
    """Keeps its number in a slot."""

    __slots__ = ("k",)

    def __init__(self) -> None:
        self.k = 2.0


class Stated:
    """Finds its number in its class, or in the class below that."""

    k = 2.0


class Below(Stated):
    """Says nothing of its own."""


@pytest.mark.parametrize("kind", [Slotted, Stated, Below, "SimpleNamespace", "Namespace"])
def test_a_changed_number_is_seen_wherever_it_is_kept(kind: Any) -> None:
    makers = {"SimpleNamespace": SimpleNamespace, "Namespace": Namespace}
    held = kind() if isinstance(kind, type) else makers[kind](k=2.0)
    compiled = sw.compile(lambda x: x * held.k)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(X), X * 2)
    held.k = 5.0
    for _ in range(3):
        np.testing.assert_array_equal(compiled(X), X * 5)


def test_a_number_that_a_class_below_states_later_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Below()
    compiled = sw.compile(lambda x: x * held.k)
    np.testing.assert_array_equal(compiled(X), X * 2)
    monkeypatch.setattr(Below, "k", 3.0, raising=False)
    np.testing.assert_array_equal(compiled(X), X * 3)


def test_numbers_in_the_byte_order_of_another_machine() -> None:
    turned = X.astype(X.dtype.newbyteorder())
    np.testing.assert_array_equal(sw.compile(lambda x: x * 2 + 1)(turned), X * 2 + 1)


# --- views and names of the same memory in a trace -----------------------------------------------


def change_narrow(a: Any) -> Any:
    b = a * 1
    part = b.narrow(0, 1, 2)
    part *= 3
    return b


def change_chunks(a: Any) -> Any:
    b = a * 1
    first, last = b.chunk(2)
    last *= 3
    first.zero_()
    return b


def change_columns(a: Any) -> Any:
    b = (a * 1).reshape(2, 2)
    _, last = b.unbind(1)
    last *= 3
    return b


def change_turned(a: Any) -> Any:
    b = (a * 1).reshape(2, 2)
    b.t()[0] = 7.0
    copied = b.t().reshape(-1)  # this is no view: it cannot be laid out in order
    copied += 100
    return b, copied


def change_flipped(a: Any) -> Any:
    b = a * 1
    b.flip(0)[1:] *= 5.0
    b.unsqueeze(0).unsqueeze(2)[0, 1, 0] = 9.0
    kept = b.detach()
    b *= 2
    return b + kept


def change_joined(a: Any) -> Any:
    b = sw.cat([a, a])
    b[0] = 3.0
    return b, a


def exchange(a: Any) -> Any:
    b = a * 1
    first, last = b[:2], b[2:]
    before = first.clone()
    first[...] = last
    last[...] = before
    return b


CHANGES = (
    change_narrow,
    change_chunks,
    change_columns,
    change_turned,
    change_flipped,
    change_joined,
    exchange,
)


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_views_reach_all_that_looks_at_the_memory(change: Any) -> None:
    compare(change, X)
    batch = sw.tensor(np.stack([X, Y]))
    rows = [leaves(change(sw.tensor(x.copy()))) for x in (X, Y)]
    for found, expected in zip(
        leaves(sw.vmap(change)(batch)), zip(*rows, strict=True), strict=True
    ):
        np.testing.assert_array_equal(found, np.stack(expected))


def test_a_body_that_changes_what_was_computed_outside_is_refused() -> None:
    def add_up(a: Any) -> Any:
        total = a * 1
        sw.fori_loop(0, 3, lambda i, c: (total.add_(1), c + total)[1], a)
        return total

    with pytest.raises(TraceError, match="outside of it"):
        sw.compile(add_up)(X)
    with pytest.raises(TraceError, match="outside of it"):
        sw.vmap(add_up)(sw.tensor(np.stack([X, Y])))


@pytest.mark.parametrize("size", [4, 16])
def test_a_loop_inside_a_body_does_not_write_into_a_carry_that_is_read_later(size: int) -> None:
    def inside(carry: Any) -> Any:
        i, a, b, c = carry
        made = (c @ b) * 0.3
        return i + 1, made, made, a

    def f(a: Any) -> Any:
        def step(_: Any, carry: Any) -> Any:
            x, y = carry
            start = (sw.tensor(0), x, y, x)
            return sw.while_loop(lambda c: c[0] < 1, inside, start, max_steps=6)[2], a

        return sw.fori_loop(0, 2, step, (a, a))[0]

    compare(f, np.random.default_rng(0).standard_normal((size, size)))
    stack = sw.tensor(np.random.default_rng(0).standard_normal((3, size, size)))
    np.testing.assert_allclose(sw.compile(sw.vmap(f))(stack), sw.vmap(f)(stack), rtol=1e-12)
