"""Linear algebra in compiled code: the numbers and the errors of eager code, without Python."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._compile import blas, lapack
from slopewise._compile.builder import FLOAT64
from slopewise._compile.contents import Space
from slopewise._compile.program import Executable
from slopewise._core.aval import Aval
from slopewise._core.trace import trace
from slopewise.errors import DomainError, GradientError

SQUARE: dict[str, Callable[[Any], Any]] = {
    "inv": sw.linalg.inv,
    "det": sw.linalg.det,
    "slogdet": sw.linalg.slogdet,
    "eigh": sw.linalg.eigh,
    "eigvalsh": sw.linalg.eigvalsh,
    "svd": sw.linalg.svd,
    "svdvals": sw.linalg.svdvals,
    "qr": sw.linalg.qr,
    "solve": lambda a: sw.linalg.solve(a, a[..., :2] * 2.0),
    "cholesky": lambda a: sw.linalg.cholesky(a @ a.transpose(-1, -2) + np.eye(a.shape[-1])),
}


def build(function: Callable[..., Any], *arrays: Any) -> Executable:
    graph, _ = trace(function, [Aval(a.shape, a.dtype) for a in arrays])
    return Executable(graph, "f")


def both(function: Callable[..., Any], *arrays: Any) -> list[tuple[Any, Any]]:
    """Return each result, eager and compiled."""
    eager = function(*(sw.tensor(a) for a in arrays))
    executable = build(function, *arrays)
    assert not executable.contents.routines, "Python is called back"
    made = executable.run(
        [np.ascontiguousarray(a) for a in arrays], [None] * len(executable.outputs)
    )
    listed = eager if isinstance(eager, tuple) else (eager,)
    return [(x.numpy(), y) for x, y in zip(listed, made, strict=True)]


def agree(function: Callable[..., Any], *arrays: Any) -> None:
    tight = 1e-13 if arrays[0].dtype == np.float64 else 1e-6
    for eager, made in both(function, *arrays):
        assert (eager.shape, eager.dtype) == (made.shape, made.dtype)
        scale = max(1.0, float(np.max(np.abs(eager), initial=0.0)))
        np.testing.assert_allclose(made, eager, rtol=tight, atol=tight * scale)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 2), (5, 5), (33, 33), (3, 4, 4), (2, 0, 3, 3), (2, 3, 6, 6)]
)
@pytest.mark.parametrize("name", SQUARE)
def test_batches_and_sizes(name: str, shape: tuple[int, ...], dtype: str) -> None:
    a = np.random.default_rng(shape[-1]).standard_normal(shape).astype(dtype)
    agree(SQUARE[name], a + 2 * np.eye(shape[-1], dtype=dtype))


@pytest.mark.parametrize("name", SQUARE)
def test_matrices_of_size_0(name: str) -> None:
    if name != "solve":
        agree(SQUARE[name], np.zeros((3, 0, 0)))


@pytest.mark.parametrize(
    "shape", [(7, 3), (3, 7), (40, 2), (2, 40), (2, 5, 3), (1, 4), (4, 1), (0, 3)]
)
@pytest.mark.parametrize("name", ["svd", "svdvals", "qr"])
def test_rectangles(name: str, shape: tuple[int, ...]) -> None:
    if name == "qr" and shape[-2] < shape[-1]:
        return
    agree(SQUARE[name], np.random.default_rng(1).standard_normal(shape))


def test_operands_that_lie_across() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((4, 3, 4)), rng.standard_normal((5, 4))

    def function(a: Any, b: Any) -> Any:
        turned = a.permute(1, 2, 0)
        right = b.T[None].expand(3, 4, 5)
        return sw.linalg.solve(turned, right), sw.linalg.svdvals(turned[:, ::2, 1:])

    agree(function, a, b)


def test_adjugates_and_the_gradient_of_a_singular_determinant() -> None:
    a = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    slope = sw.compile(sw.grad(lambda a: sw.linalg.det(a)))
    cofactors = np.array([[4.0, 4.0, -4.0], [-2.0, -2.0, 2.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(slope(a), cofactors, atol=1e-13)


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "eigh", "svd", "solve", "qr"])
def test_gradients(name: str) -> None:
    a = np.random.default_rng(5).standard_normal((2, 4, 4)) + np.diag([1.0, 2.5, 4.0, 6.0])

    def loss(a: Any) -> Any:
        out = SQUARE[name](a)
        parts = out if isinstance(out, tuple) else (out,)
        return sum(((p * p).cos() * 1.5).sum() for p in parts)

    slope = sw.grad(loss)
    np.testing.assert_allclose(sw.compile(slope)(a), np.asarray(slope(a)), rtol=1e-9, atol=1e-9)


def test_large_numbers_do_not_overflow_on_the_way() -> None:
    a = np.diag([1e200, 1e200, 1e-200, 1e-200])
    (eager, made), *_ = both(sw.linalg.det, a)
    assert eager == pytest.approx(1.0)
    assert made == pytest.approx(1.0)


# --- failures ----------------------------------------------------------------------------------

GOOD = np.eye(3)
NAN = np.full((3, 3), np.nan)
FAILING = {
    "inv": (sw.linalg.inv, np.zeros((3, 3)), "singular"),
    "inv in a stack": (sw.linalg.inv, np.stack([GOOD, np.ones((3, 3)), GOOD]), "singular"),
    "solve": (lambda a: sw.linalg.solve(a, a), np.ones((2, 2)), "singular"),
    "cholesky": (sw.linalg.cholesky, np.diag([1.0, -1.0]), "positive definite"),
    "cholesky in a stack": (sw.linalg.cholesky, np.stack([GOOD, -GOOD]), "positive definite"),
    "svd of nan": (sw.linalg.svd, NAN, "converge"),
    "svdvals of nan": (sw.linalg.svdvals, NAN, "converge"),
    "equal eigenvalues": (
        sw.grad(lambda a: (sw.linalg.eigh(a)[1] ** 3).sum()), GOOD, "eigenvectors does not exist"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILING)
def test_the_error_is_that_of_eager_code(case: str) -> None:
    function, a, told = FAILING[case]
    kind = GradientError if "exist" in told else DomainError
    with pytest.raises(kind, match=told) as eager:
        function(sw.tensor(a))
    compiled = sw.compile(function)
    for _ in range(3):  # through Python, and by the entry
        with pytest.raises(kind, match=told) as made:
            compiled(a)
        assert type(made.value) is type(eager.value)
        assert str(made.value).splitlines()[0] == str(eager.value).splitlines()[0]


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh", "qr"])
def test_what_eager_code_makes_of_nan(name: str) -> None:
    def run(call: Callable[[], Any]) -> Any:
        try:
            out = call()
        except DomainError as error:
            return type(error)
        return [np.asarray(p) for p in (out if isinstance(out, tuple) else (out,))]

    function = SQUARE[name]
    eager = run(lambda: function(sw.tensor(NAN)))
    made = run(lambda: sw.compile(function)(NAN))
    if isinstance(eager, type):
        assert made is eager
    else:
        for a, b in zip(eager, made, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_call_after_a_failure_is_as_if_there_was_none() -> None:
    compiled = sw.compile(sw.linalg.inv)
    a = np.array([[2.0, 0.0], [0.0, 4.0]])
    for _ in range(3):
        np.testing.assert_array_equal(compiled(a), [[0.5, 0.0], [0.0, 0.25]])
        with pytest.raises(DomainError):
            compiled(np.zeros((2, 2)))


def test_a_failure_inside_of_a_loop_and_of_a_branch() -> None:
    def loop(a: Any) -> Any:
        return sw.fori_loop(0, 3, lambda i, c: sw.linalg.inv(c) + 0.0 * i, a)

    with pytest.raises(DomainError, match="singular"):
        sw.compile(loop)(np.zeros((2, 2)))
    guarded = sw.compile(
        lambda a: sw.cond(a.sum() > 0, lambda x: sw.linalg.inv(x), lambda x: x * 2.0, a)
    )
    np.testing.assert_array_equal(guarded(np.zeros((2, 2))), np.zeros((2, 2)))
    with pytest.raises(DomainError, match="singular"):
        guarded(np.ones((2, 2)))


# --- memory, threads, code on disk -------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (9, 9), (70, 70), (90, 3), (3, 90), (40, 30)])
def test_the_memory_suffices_for_lapack(shape: tuple[int, int]) -> None:
    """What LAPACK asks for at least, when it is asked, is there."""
    m, n = shape
    from scipy.linalg import lapack as reference

    space = Space(shape, FLOAT64)
    for name, vectors in (("svd", 1), ("svdvals", 0)):
        scratch = lapack.list_scratch(name, [space])
        assert scratch is not None
        wanted, info = reference.dgesdd_lwork(m, n, compute_uv=vectors, full_matrices=0)
        assert info == 0
        # The best size may be larger where blocks are; the least one is documented.
        least = min(m, n)
        must = 4 * least**2 + 7 * least if vectors else 3 * least + max(m, n, 7 * least)
        assert scratch[2][1][0] >= max(must, min(int(wanted), scratch[2][1][0]))
    if m == n:
        for name, vectors in (("eigh", 1), ("eigvalsh", 0)):
            scratch = lapack.list_scratch(name, [space])
            assert scratch is not None
            best, counts, info = reference.dsyevd_lwork(n, compute_v=vectors)
            assert info == 0
            assert scratch[2][1][0] >= int(best)
            assert scratch[3][1][0] >= int(counts)


def test_other_threads_run_meanwhile() -> None:
    a = np.random.default_rng(0).standard_normal((300, 300))
    compiled = sw.compile(sw.linalg.svd)
    expected = [np.asarray(x) for x in compiled(a)]
    counted = [0]
    done = threading.Event()

    def count() -> None:
        while not done.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    found = compiled(a)
    during = counted[0] - before
    done.set()
    thread.join()
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)
    assert during > 1000


def test_several_threads_at_once() -> None:
    compiled = sw.compile(lambda a: sw.linalg.inv(a) @ sw.linalg.eigh(a).eigenvectors)
    inputs = [np.random.default_rng(i).standard_normal((6, 6)) for i in range(4)]
    expected = [compiled(a) for a in inputs]
    failures: list[int] = []

    def work(i: int) -> None:
        for _ in range(500):
            if not np.array_equal(compiled(inputs[i]), expected[i]):
                failures.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_blas_has_as_many_threads_as_before() -> None:
    controls = blas.find_controls(blas._find_scipy())
    if controls is None:
        pytest.skip("this BLAS has no such control")
    read, write = controls
    before = read()
    compiled = sw.compile(sw.linalg.inv)
    try:
        for count in (1, 2):
            write(count)
            for a in (np.eye(3), np.zeros((3, 3))):
                for _ in range(3):
                    with suppress(DomainError):
                        compiled(a)
                    assert read() == count
    finally:
        write(before)


def test_the_code_holds_no_address() -> None:
    executable = build(lambda a: sw.linalg.cholesky(a @ a.T), np.eye(4))
    table = blas.make_table(True)
    for address in table[: len(blas.ROUTINES)]:
        assert address.to_bytes(8, "little") not in executable.code.object
    assert not re.search(r"inttoptr", executable.program.ir)


def test_another_process_runs_it_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOPEWISE_CACHE", str(tmp_path))
    work = """
import numpy as np
import slopewise as sw

def f(a):
    u, s, v = sw.linalg.svd(a)
    return sw.linalg.cholesky(a @ a.T), s, sw.linalg.inv(a), sw.sort(a, 1)[0]

compiled = sw.compile(f)
out = compiled(np.array([[2.0, 1.0], [0.5, 3.0]]))
print([x.tobytes().hex() for x in out])
try:
    compiled(np.zeros((2, 2)))
except sw.errors.DomainError as error:
    print(error)
print(compiled._last.executable._program is None)
"""
    script = tmp_path / "script.py"
    script.write_text(work)
    said = [
        subprocess.run(
            [sys.executable, str(script)], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        for _ in range(2)
    ]
    assert said[0][:-1] == said[1][:-1]
    assert [lines[-1] for lines in said] == ["False", "True"]
    assert any("singular" in line or "definite" in line for line in said[1])


def test_calls_of_small_matrices_come_without_python() -> None:
    compiled = sw.compile(lambda a: sw.linalg.solve(a @ a.T + np.eye(3), a))
    a = np.random.default_rng(1).standard_normal((3, 3))
    expected = [np.asarray(compiled(a)) for _ in range(3)][-1]
    assert type(compiled.__call__) is type(len)
    np.testing.assert_array_equal(compiled(a), expected)
    np.testing.assert_allclose(expected, np.linalg.solve(a @ a.T + np.eye(3), a), rtol=1e-12)
