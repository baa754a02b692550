"""A folder to work in, tables in it, and the command line called in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from slopewise.cli import run

QUICK = ["--hidden", "4", "--epochs", "2"]


def write_csv(path: Path, columns: dict) -> None:
    lines = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The current folder, with `t.csv`: columns x, w, y (a number) and c (two classes)."""
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    x = np.random.default_rng(0).normal(size=80).round(3)
    words = np.array(["a", "b", "<i>&"])[np.arange(80) % 3]
    labels = np.where(x > 0, "yes", "no")
    write_csv(tmp_path / "t.csv", {"x": x, "w": words, "y": (2 * x).round(3) + 1, "c": labels})
    return tmp_path


@pytest.fixture
def call(place, capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command line: exit code, standard output, standard error."""

    def function(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(word) for word in words])
        caught = capsys.readouterr()
        return code, caught.out, caught.err

    return function
