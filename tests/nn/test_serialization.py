"""Saving and loading: round trips, whole files or none, and refusal of pickles and archives."""

from __future__ import annotations

import gzip
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slopewise as sw
from slopewise import nn
from slopewise.errors import DataError
from slopewise.nn.serialization import load, save


def test_a_model_goes_round(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2).double())
    path = tmp_path / "model.safetensors"
    save(model.state_dict(), path, {"made": "today"})
    state = load(str(path))
    assert sorted(state) == sorted(model.state_dict())
    twin = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2).double())
    twin.load_state_dict(state)
    for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        assert a.dtype == b.dtype and (a == b).all()
    assert state["1.num_batches_tracked"].shape == ()


def test_views_numbers_and_nests(tmp_path: Path) -> None:
    x = sw.arange(6.0).reshape(2, 3)
    save({"t": x.T, "step": 3, "deep": {"rate": 0.5}}, tmp_path / "f")
    state = load(tmp_path / "f")
    assert state["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert state["step"].item() == 3 and state["deep.rate"].item() == 0.5
    with sw.no_grad():
        state["t"] += 1  # what is loaded can be changed


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    save({"a": sw.ones(2)}, path)
    with pytest.raises(DataError, match="`b` is a str"):
        save({"a": sw.zeros(2), "b": "text"}, path)
    assert load(path)["a"].tolist() == [1.0, 1.0]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    with pytest.raises(DataError, match=r"pass model\.state_dict\(\)"):
        save(nn.Linear(1, 1), path)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match="cannot write"):
        save({"a": sw.ones(2)}, tmp_path / "missing" / "f")


class Bomb:
    """Runs something where it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_and_not_run(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Bomb(), protocol))
    with pytest.raises(DataError, match=r"model\.pt is a Python pickle.*save_file"):
        load(path)
    assert not (tmp_path / "exploded").exists()


def test_other_files_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("data.pkl", b"")
    np.save(tmp_path / "b.npy", np.zeros(2))
    (tmp_path / "c").write_bytes(gzip.compress(b"x"))
    (tmp_path / "d").write_bytes(b"weights, honestly")
    (tmp_path / "e").write_bytes(b"")
    (tmp_path / "f").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "g").write_bytes(pickle.dumps([1], 0))
    kinds = {
        "a": "zip archive", "b.npy": "NumPy", "c": "gzip", "d": "no safetensors file",
        "e": "no safetensors file", "f": "HDF5", "g": "no safetensors file",
    }  # fmt: skip
    for name, kind in kinds.items():
        with pytest.raises(DataError, match=kind):
            load(tmp_path / name)
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path / "nowhere")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    save({"a": sw.ones(100)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged"):
        load(path)


def test_a_header_length_that_starts_like_a_pickle_is_read(tmp_path: Path) -> None:
    # 0x80 as the first byte of the little-endian header length, 0x02 as the second: 640 bytes.
    path = tmp_path / "f"
    for filler in range(640):
        save({"a": sw.ones(2)}, path, {"filler": "x" * filler})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert load(path)["a"].tolist() == [1.0, 1.0]
