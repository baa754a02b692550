"""Programs kept on disk: found by an equal graph only, with equal bits, and never half a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise._compile import cache, regions, stored
from slopewise._compile.program import Executable
from slopewise._core.aval import Aval
from slopewise._core.trace import trace

FLOAT = np.dtype(np.float64)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLOPEWISE_CACHE", str(tmp_path / "objects"))
    monkeypatch.setattr(stored, "LOADED", 1 << 62)  # somebody may edit a source meanwhile
    return tmp_path / "objects"


def build(function: Callable[..., Any], *arrays: np.ndarray) -> Executable:
    graph, _ = trace(function, [Aval(a.shape, a.dtype) for a in arrays])
    return Executable(graph, "f")


def run(executable: Executable, *arrays: np.ndarray) -> list[np.ndarray]:
    return executable.run(arrays, [None] * len(executable.outputs))


def was_found(executable: Executable) -> bool:
    """Return whether no pass was run to make it."""
    return executable.code.cached and executable._program is None


def mixed(x: Any, y: Any) -> Any:
    kept = np.linspace(0.0, 1.0, 40)
    return sw.logsumexp(x @ y, 1), sw.tanh(x).sum() * 0.1, y[3] * kept[:4] + np.arange(4.0)


def looped(x: Any, y: Any) -> Any:
    return sw.fori_loop(0, 5, lambda i, c: c * 0.5 + sw.sin(x @ y) + i, (x @ y) * 0.0), x


def routine(x: Any, y: Any) -> Any:
    square = x @ y
    return sw.linalg.cholesky(square @ square.T + np.eye(4)), sw.sort(x, 1)[0]


def branched(x: Any, y: Any) -> Any:
    return sw.cond(x.sum() > 0, lambda a: a * 2.0, lambda a: a - 1.0, x @ y)


def operands() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.standard_normal((4, 40)), rng.standard_normal((40, 4))


@pytest.mark.parametrize("function", [mixed, looped, routine, branched])
def test_the_second_time_has_the_same_bits(folder: Path, function: Callable[..., Any]) -> None:
    arrays = operands()
    cold = build(function, *arrays)
    assert not was_found(cold)
    warm = build(function, *arrays)
    assert was_found(warm)
    for a, b in zip(run(cold, *arrays), run(warm, *arrays), strict=True):
        assert a.tobytes() == b.tobytes()
    assert len(list(folder.glob("*.o"))) == 1
    assert not list(folder.glob(".new-*"))


def test_it_still_says_what_it_does(folder: Path) -> None:
    arrays = operands()
    cold, warm = build(mixed, *arrays), build(mixed, *arrays)
    assert was_found(warm)
    assert warm.explain() == cold.explain()
    assert warm.llvm() == cold.llvm()
    assert warm.asm() == cold.asm()


def test_timing_and_checking_are_not_taken_from_it(folder: Path) -> None:
    arrays = operands()
    build(mixed, *arrays)
    warm = build(mixed, *arrays).timed()
    run(warm, *arrays)
    assert "us" in warm.explain()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda x: x * 2.0, lambda x: x * 3.0),
        (lambda x: x * 0.0, lambda x: x * -0.0),
        (lambda x: x.sum(0), lambda x: x.sum(1)),
        (lambda x: x + np.arange(3.0), lambda x: x + np.arange(3.0)[::-1]),
        (lambda x: (x, x + 1.0), lambda x: (x + 1.0, x)),
        (lambda x: sw.sin(x), lambda x: sw.cos(x)),
        (
            lambda x: sw.fori_loop(0, 3, lambda i, c: c * 0.5, x),
            lambda x: sw.fori_loop(0, 3, lambda i, c: c * 0.25, x),
        ),
    ],
)
def test_another_graph_is_another_program(
    folder: Path, first: Callable[..., Any], second: Callable[..., Any]
) -> None:
    x = np.arange(9.0).reshape(3, 3) + 1.0
    build(first, x)
    assert was_found(build(first, x))
    other = build(second, x)
    assert not was_found(other)
    graph, _ = trace(second, [Aval(x.shape, x.dtype)])
    for made, wanted in zip(run(other, x), graph(x), strict=True):
        np.testing.assert_allclose(made, np.asarray(wanted), rtol=1e-14)


@pytest.mark.parametrize("place", [0.0, 0.02, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_file_is_ignored(folder: Path, damage: str, place: float) -> None:
    arrays = operands()
    cold = build(mixed, *arrays)
    (path,) = folder.glob("*.o")
    raw = bytearray(path.read_bytes())
    at = int(place * (len(raw) - 1))
    if damage == "cut":
        path.write_bytes(raw[:at])
    else:
        raw[at] ^= 1
        path.write_bytes(raw)
    mended = build(mixed, *arrays)
    assert not was_found(mended)
    assert was_found(build(mixed, *arrays))
    assert run(mended, *arrays)[0].tobytes() == run(cold, *arrays)[0].tobytes()


def test_a_file_of_other_code_is_ignored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = operands()
    build(mixed, *arrays)
    monkeypatch.setattr(stored, "_stamp", lambda: "another version")
    assert not was_found(build(mixed, *arrays))


@pytest.mark.parametrize("head", [b"{", b"[]", b"{}", b'{"constants": [[[-1], "O"]]}'])
def test_a_whole_file_with_strange_contents_is_ignored(folder: Path, head: bytes) -> None:
    arrays = operands()
    graph, _ = trace(mixed, [Aval(a.shape, a.dtype) for a in arrays])
    listing = stored.list_graph(graph, "")
    assert listing is not None
    cache.store(listing.key, len(head).to_bytes(8, "little") + head + b"code")
    assert not was_found(build(mixed, *arrays))


def test_changed_settings_are_other_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = operands()
    build(mixed, *arrays)
    monkeypatch.setattr(regions, "WORTH", regions.WORTH + 1)
    assert not was_found(build(mixed, *arrays))
    monkeypatch.setattr(regions, "WORTH", regions.WORTH - 1)
    assert was_found(build(mixed, *arrays))


def test_sources_that_were_changed_since_do_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = operands()
    build(mixed, *arrays)
    monkeypatch.setattr(stored, "LOADED", 0)
    assert not was_found(build(mixed, *arrays))


def test_an_error_of_an_index_names_the_line_as_it_is_now(folder: Path, tmp_path: Path) -> None:
    program = """
import sys
import numpy as np
import slopewise as sw
{blank}
def look_up(table, places):
    scaled = table * 2.0
    return scaled[places]

compiled = sw.compile(look_up)
compiled(np.arange(5.0), np.array([0, 4]))
try:
    compiled(np.arange(5.0), np.array([0, 7]))
except sw.errors.IndexRangeError as error:
    print(compiled._last.executable._program is None)
    print(error)
"""
    said: list[list[str]] = []
    for blank in ("", "\n\n\n"):
        path = tmp_path / "script.py"
        path.write_text(program.format(blank=blank))
        out = subprocess.run(
            [sys.executable, str(path)], check=True, capture_output=True, text=True
        ).stdout
        said.append(out.splitlines())
    assert [lines[0] for lines in said] == ["False", "True"]
    for lines, number in zip(said, (8, 11), strict=True):
        assert "look_up: an index lies outside of its axis" in lines[1]
        assert f"line {number}" in lines[2]


WORK = """
import json, sys
import numpy as np
import slopewise as sw

def work(x):
    for k in range(20):
        x = sw.tanh(x * 1.1) + sw.exp(-x * x) / (k + 1.0)
    return x, (x * x).sum()

compiled = sw.compile(work)
made = compiled(np.linspace(-1, 1, 37))
print(json.dumps([np.asarray(made[0]).tobytes().hex(), float(made[1]).hex()]))
"""


def test_two_processes_at_once(folder: Path) -> None:
    first = [
        subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [json.loads(p.communicate()[0]) for p in first]
    assert all(p.returncode == 0 for p in first)
    after = subprocess.run([sys.executable, "-c", WORK], check=True, capture_output=True, text=True)
    said.append(json.loads(after.stdout))
    assert said == [said[0]] * 4
    assert not list(folder.glob(".new-*"))
    for path in folder.glob("*.o"):
        assert cache.load(path.stem) is not None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_killed_while_storing(folder: Path) -> None:
    dying = """
import os, signal
from slopewise._compile import cache

class Half:
    def __init__(self, handle):
        self.handle = handle
        self.parts = 0
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def write(self, data):
        os.write(self.handle, data[: len(data) // 2])
        self.parts += 1
        if self.parts == 2:
            os.kill(os.getpid(), signal.SIGKILL)

cache.os.fdopen = lambda handle, mode: Half(handle)
"""
    done = subprocess.run([sys.executable, "-c", dying + WORK], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    (left,) = folder.glob(".new-*")
    assert not list(folder.glob("*.o"))
    runs = [
        subprocess.run([sys.executable, "-c", WORK], check=True, capture_output=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert left.exists()  # somebody may still be writing it
    os.utime(left, (0, 0))
    cache.store(cache.make_key("another"), b"code")
    assert not left.exists()


def test_a_function_that_cannot_be_described_is_compiled(folder: Path) -> None:
    graph, _ = trace(lambda x: sw.tanh(x), [Aval((3,), FLOAT)])
    graph.nodes[-1].params = {"strange": object()}
    assert stored.list_graph(graph, "") is None


def test_large_constants_are_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_LARGEST", 100)
    x = np.ones(40)
    table = np.random.default_rng(0).random(40)
    build(lambda x: x * table, x)
    assert not was_found(build(lambda x: x * table, x))
