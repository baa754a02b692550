"""Wrong input of each kind: one clear line, exit code 2, and nothing written."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

X = np.random.default_rng(0).normal(size=60).round(3)


def table(**columns) -> str:
    lines = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    return "\n".join(lines) + "\n"


BAD_TABLES = {
    "no such column": (table(x=X, z=X), "no column `y`"),
    "an empty table": ("x,y\n", "no rows"),
    "an empty file": ("", "no rows"),
    "one class only": (table(x=X, y=["a"] * 60), "only the value 'a'"),
    "all missing": (table(x=[""] * 60, y=X), "no usable column"),
    "target all missing": (table(x=X, y=["NA"] * 60), "missing in every row"),
    "target sometimes missing": (table(x=X, y=["", *X[1:]]), "--drop-missing-target"),
    "10,000 categories": (
        table(k=[f"k{i}" for i in range(10_000)], y=np.arange(10_000)),
        "10000 different values",
    ),
    "10,000 classes": (
        table(x=np.arange(10_000), y=[f"k{i}" for i in range(10_000)]),
        "10000 classes",
    ),
    "infinite": (table(x=["inf", *X[1:]], y=X), "`x` has 1 infinite"),
    "target infinite": (table(x=X, y=["-inf", *X[1:]]), "`y` has 1 infinite"),
    "one row": ("x,y\n1,2.5\n", "only the value 2.5"),
    "two rows": ("x,y\n1,2.5\n2,3\n", "too few"),
    "ragged": ("x,y\n" + "1,2\n" * 30 + "1,2,3\n", "line 32 has 3 fields"),
    "binary": ("\x00\x01\x02" * 500, "cannot read"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_bad_table(call, place, name, lang):
    content, said = BAD_TABLES[name]
    (place / "bad.csv").write_text(content, encoding="utf-8")
    code, out, err = call("train", "bad.csv", "--target", "y", "--lang", lang)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert lang == "ko" or said in err
    assert not err.isascii() or lang == "en"
    assert sorted(os.listdir(place)) == ["bad.csv", "t.csv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give a TABLE"),
        (["t.csv"], "--target"),
        (["t.csv", "--target", "X"], "nearest: `x`"),
        (["t.csv", "--target", "c", "--task", "regression"], "is text"),
        (["t.csv", "--target", "y", "--hidden", "6x"], "--hidden"),
        (["t.csv", "--target", "y", "--hidden", "-3"], "--hidden"),
        (["t.csv", "--target", "y", "--folds", "x"], "--folds"),
        (["t.csv", "--target", "y", "--lr", "-1"], "--lr"),
        (["t.csv", "--target", "y", "--lr", "x"], "--lr"),
        (["t.csv", "--target", "y", "--epochs", "0"], "--epochs"),
        (["t.csv", "--target", "y", "--activation", "cube"], "cube"),
        (["t.csv", "--target", "y", "--wrong"], "--wrong"),
        (["t.csv", "--target", "y", "--sql", "DROP TABLE data"], "SELECT"),
        (["t.csv", "--target", "y", "--sql", "SELECT q FROM data"], "--sql"),
        (["none.csv", "--target", "y"], "no file"),
        ([".", "--target", "y"], "no file"),
        (["t.csv", "--target", "y", "--hidden", "4", "--lr", "1e30", "--optimizer", "sgd"], "--lr"),
        (["t.csv", "--target", "y", "--out", "t.csv/run"], "cannot write"),
    ],
)
def test_a_bad_request(call, place, words, said):
    code, out, err = call("train", *words, *(["--quiet"] if words else []))
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert os.listdir(place) == ["t.csv"]


@pytest.mark.parametrize("when", ["checkpoint", "results"])
def test_a_full_disk(call, place, monkeypatch, when):
    """Without a checkpoint that holds work nothing stays; with one it stays and is named."""
    from slopewise.train import checkpoint

    real = os.replace

    def refuse(source, destination):
        name = str(destination)
        if name.endswith("checkpoint.safetensors") == (when == "checkpoint"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, destination)

    monkeypatch.setattr(checkpoint.os, "replace", refuse)
    code, _, err = call("train", "t.csv", "--target", "y", "--hidden", "4", "--epochs", "2")
    assert code == 2
    assert "No space left on device" in err.splitlines()[-1]
    if when == "checkpoint":
        assert os.listdir(place) == ["t.csv"]
    else:
        assert os.listdir(place / "t-run") == ["checkpoint.safetensors"]
        assert "--resume t-run" in err
        monkeypatch.undo()
        os.chdir(place)
        assert call("train", "--resume", "t-run", "--quiet")[0] == 0


def test_no_command_shows_the_help(call):
    code, out, err = call()
    assert code in (0, 2)
    assert "demo" in out + err
