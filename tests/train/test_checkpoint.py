"""Files are whole or absent; arrays come back bit for bit; what cannot be read is named."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from slopewise.errors import DataError
from slopewise.train import checkpoint
from slopewise.train.checkpoint import read_arrays_file, write_arrays, write_bytes

ARRAYS = {
    "a": np.array([0.0, -0.0, np.nan, np.inf, 1e-45], dtype=np.float32),
    "b/c": np.arange(6, dtype=np.int64).reshape(2, 3),
    "scalar": np.array(3.5),
}


def test_round_trip_and_equal_files(tmp_path):
    facts = {"loss": float("inf"), "one third": 1 / 3, "word": "가\n", "list": [1, [2.5]]}
    for name in ("one", "two"):
        write_arrays(tmp_path / name, ARRAYS, facts)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    arrays, found = read_arrays_file(tmp_path / "one")
    assert found == facts
    assert arrays.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert arrays[name].tobytes() == values.tobytes()
        assert arrays[name].dtype == values.dtype
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", refuse)
    with pytest.raises(DataError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_an_interrupt_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("content", [b"", b"zz", b"\xff" * 100])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_arrays_file(path)


def test_a_later_version_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    write_arrays(tmp_path / "file", ARRAYS, {})
    monkeypatch.undo()
    with pytest.raises(DataError, match="version 99"):
        read_arrays_file(tmp_path / "file")


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(1)}, tmp_path / "file")
    with pytest.raises(DataError, match="cannot be read"):
        read_arrays_file(tmp_path / "file")
