"""The cache of object code: used where it is whole, ignored where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import slopewise as sw
from slopewise._compile import cache
from slopewise._compile.jit import Code
from slopewise._compile.program import Executable
from slopewise._core.aval import Aval
from slopewise._core.trace import trace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLOPEWISE_CACHE", str(tmp_path / "objects"))
    return tmp_path / "objects"


def build() -> Executable:
    graph, _ = trace(lambda x: sw.tanh(x) + 1.5, [Aval((5,), np.dtype(np.float64))])
    return Executable(graph, "f")


def check(executable: Executable) -> Code:
    x = np.linspace(-1, 1, 5)
    np.testing.assert_allclose(executable.run([x], [None])[0], np.tanh(x) + 1.5, rtol=1e-14)
    return executable.code


def test_the_second_time_is_loaded(folder: Path) -> None:
    assert not check(build()).cached
    assert check(build()).cached
    assert len(list(folder.glob("*.o"))) == 1
    assert not list(folder.glob(".new-*"))


@pytest.mark.parametrize("damage", ["cut", "changed", "foreign", "empty"])
def test_a_bad_file_is_ignored(folder: Path, damage: str) -> None:
    check(build())
    (path,) = folder.glob("*.o")
    raw = path.read_bytes()
    bad = {
        "cut": raw[: len(raw) // 2],
        "changed": raw[:-40] + bytes(40),
        "foreign": raw.replace(path.stem.encode(), b"0" * 64),
        "empty": b"",
    }
    path.write_bytes(bad[damage])
    assert not check(build()).cached
    assert check(build()).cached


def test_a_folder_that_others_may_write_to_is_not_trusted(folder: Path) -> None:
    check(build())
    folder.chmod(0o777)
    assert not check(build()).cached


def test_it_can_be_switched_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOPEWISE_CACHE", "off")
    check(build())
    assert not check(build()).cached
    assert not folder.exists()


def test_it_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 300)
    for i in range(4):
        cache.store(cache.make_key(str(i)), bytes(100))
    assert len(list(folder.glob("*.o"))) == 1
    assert cache.load(cache.make_key("3")) == bytes(100)
