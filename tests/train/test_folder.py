"""A run's folder gets all its files or none, and nothing of anybody else's is touched."""

from __future__ import annotations

import os

import pytest

from slopewise.errors import DataError
from slopewise.train.folder import CHECKPOINT, fill_folder, is_run, prepare_folder


def test_new_empty_and_earlier_folders(tmp_path):
    assert prepare_folder(tmp_path / "a" / "b")
    assert not prepare_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / CHECKPOINT).write_bytes(b"")
    assert is_run(tmp_path / "a" / "b")
    assert not prepare_folder(tmp_path / "a" / "b")


def test_what_a_kill_has_left_is_taken_away(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"")
    (tmp_path / f".{CHECKPOINT}.x.part").write_bytes(b"")
    (tmp_path / ".partial-x").mkdir()
    prepare_folder(tmp_path)
    assert os.listdir(tmp_path) == [CHECKPOINT]


@pytest.mark.parametrize("name", ["model.json", "mine.txt"])
def test_folders_of_others_are_refused(tmp_path, name):
    (tmp_path / name).write_text('{"name": "a model of something else"}')
    with pytest.raises(DataError, match="choose another --out"):
        prepare_folder(tmp_path)
    assert os.listdir(tmp_path) == [name]


def test_all_files_or_none(tmp_path):
    def write(folder):
        (folder / "model.json").write_text("new")
        (folder / "history.csv").write_text("new")

    def fail(folder):
        write(folder)
        raise OSError(28, "No space left on device")

    (tmp_path / "history.csv").write_text("old")
    with pytest.raises(DataError, match="No space left"):
        fill_folder(tmp_path, fail)
    assert os.listdir(tmp_path) == ["history.csv"]
    assert (tmp_path / "history.csv").read_text() == "old"
    fill_folder(tmp_path, write)
    assert sorted(os.listdir(tmp_path)) == ["history.csv", "model.json"]
    assert (tmp_path / "history.csv").read_text() == "new"
