"""The commands on formulas: what they print, write and refuse, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slopewise.cli import run
from slopewise.explain.quiz import make_exercises


def test_derive(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["derive", "(w-3)^2", "--at", "w=4", "--expand", "--lang", "en"]) == 0
    said = capsys.readouterr().out
    assert "f'(w) = 2w - 6\nf'(4) = 2\n" in said


def test_several_variables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["derive", "w x + b", "--at", "w=1,x=2", "--at", "b=3"]) == 0
    assert "∇f = (x, w, 1)" in capsys.readouterr().out
    assert run(["derive", "w^2 x", "--order", "2"]) == 0
    assert "H = [ 2x  2w ]" in capsys.readouterr().out
    assert run(["derive", "w^2 x", "--wrt", "w", "--order", "2"]) == 0
    assert "∂^2f/∂w∂w = 2x" in capsys.readouterr().out
    assert run(["derive", "w x y", "--wrt", "y, w", "--at", "w=1,x=2,y=3"]) == 0
    said = capsys.readouterr().out
    assert "∇f = (w·x, x·y)" in said and "∇f = (2, 6)" in said
    assert run(["derive", "w^2 x y", "--wrt", "w,x", "--order", "2"]) == 0
    assert "H = [ 2x·y  2w·y ]" in capsys.readouterr().out
    assert run(["derive", "w x", "--wrt", "w,w"]) == 2
    assert run(["derive", "w x", "--wrt", "w,z"]) == 2


def test_matrices(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["derive", "mean((σ(X@w + b) - y)^2)", "--wrt", "w,b"]) == 0
    assert "shapes: X: n×d, w: d, b: number, y: n" in capsys.readouterr().out
    words = ["derive", "sum((A x)^2)", "--wrt", "x", "--shape", "A=m,n", "--shape", "x=n"]
    assert run(words) == 0
    assert "A: m×n, x: n" in capsys.readouterr().out
    assert run(["derive", "sum(x^2)", "--at", "x=1"]) == 2
    assert run(["derive", "sum(x^2)", "--shape", "n"]) == 2


@pytest.mark.parametrize("form", ["text", "latex", "html", "md"])
def test_files(tmp_path: Path, form: str) -> None:
    out = tmp_path / "derivation"
    words = ["derive", "sin(x)^2", "--format", form, "--out", str(out), "--lang", "ko"]
    assert run(words) == 0
    text = out.read_text(encoding="utf-8")
    assert "합성함수의 미분법" in text
    assert text.startswith("<!doctype html>") == (form == "html")
    assert [path.name for path in tmp_path.iterdir()] == ["derivation"]


def test_a_formula_may_begin_with_minus(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["derive", "-x^2 + 1", "--at", "x=3"]) == 0
    assert "f'(3) = -6" in capsys.readouterr().out
    assert run(["limit", "-x", "--at", "x=-1"]) == 0
    assert run(["descend", "-exp(-w^2)", "--from", "w=1", "--steps", "3"]) == 0
    capsys.readouterr()
    for lang in ("en", "ko"):
        assert run(["derive", "x", "--ordr", "2", "--lang", lang]) == 2
        assert "--order" in capsys.readouterr().err


def test_hints_and_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["derive", "x sin(x)", "--hints"]) == 0
    hints = capsys.readouterr().out
    assert hints.startswith("1. product rule. ") and "cos" not in hints
    assert run(["derive", "x sin(x)", "--step", "1"]) == 0
    assert "d/dx[x]·sin(x) + x·d/dx[sin(x)]" in capsys.readouterr().out
    assert run(["derive", "x sin(x)", "--step", "9"]) == 2


def test_quiz(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["derive", "--quiz", "product,chain", "--count", "3", "--seed", "5"]) == 0
    said = capsys.readouterr().out
    for exercise in make_exercises(["product", "chain"], 3, 5):
        assert exercise.formula in said
        assert exercise.answer.result not in said.splitlines()
    assert run(["derive", "--quiz", "all", "--count", "1", "--answers", "--lang", "ko"]) == 0
    assert "f'(x)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "english", "korean"),
    [
        (["derive", "sin(x"], "sin(x\n", "괄호"),
        (["derive", "x y", "--wrt", "z"], "no variable `z`", "변수: x, y"),
        (["derive", "x", "--at", "x=a"], "name=number", "이름=수"),
        (["derive", "x", "--at", "x=1,x=2"], "twice", "두 번"),
        (["derive", "x", "--at", "y=1"], "the variables are x", "변수: x"),
        (["derive", "x", "--order", "0"], "1 to 8", "1 이상 8 이하"),
        (["derive", "x y", "--order", "3"], "pass --wrt", "--wrt"),
        (["derive"], "give a formula", "식을 쓰십시오"),
        (["derive", "--quiz", "nothing"], "there is constant", "쓸 수 있는 값"),
        (["derive", "x", "--out", "/nowhere/at/all"], "cannot write", "저장할 수 없습니다"),
    ],
)
def test_refusals(
    words: list[str], english: str, korean: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--lang", "en"]) == 2
    assert english in capsys.readouterr().err
    assert run([*words, "--lang", "ko"]) == 2
    said = capsys.readouterr().err
    assert korean in said or "오류" in said
    plain = re.sub(r"--\w+|`\w+`|[wxyz]=\w+|\b(sin|name|all|slopewise|derive)\b|/\S+", " ", said)
    assert "error" not in plain and re.search("[가-힣]", plain)


def test_limit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "limit.svg"
    assert run(["limit", "(w-3)^2", "--at", "w=4", "--step", "1,0.5", "--plot", str(picture)]) == 0
    said = capsys.readouterr()
    assert "2.5" in said.out and "0.1" not in said.out
    assert "picture:" in said.err and "<svg" in picture.read_text(encoding="utf-8")
    assert run(["limit", "x y", "--at", "x=1,y=2", "--wrt", "y", "--lang", "ko"]) == 0
    assert "평균변화율" in capsys.readouterr().out


def test_descend(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture, out = tmp_path / "path.png", tmp_path / "path.md"
    words = ["descend", "(w-3)^2", "--from", "w=4", "--lr", "1", "--steps", "40"]
    assert run([*words, "--plot", str(picture), "--out", str(out), "--format", "md"]) == 0
    assert capsys.readouterr().out == ""
    text = out.read_text(encoding="utf-8")
    assert "oscillates" in text and "| … |" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run([*words, "--full"]) == 0
    assert "…" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["derive", "sum(x^2)", "--plot", "a.png"],
        ["derive", "x y", "--plot", "a.png"],
        ["derive", "3", "--plot", "a.png"],
        ["derive", "x", "--plot", "a.pdf"],
        ["limit", "x"],
        ["limit", "x", "--at", "x=0", "--step", "1,a"],
        ["limit", "x", "--at", "x=0", "--step", "0"],
        ["descend", "x", "--from", "x=0", "--lr", "-1"],
        ["descend", "x", "--from", "x=0", "--optimizer", "adm"],
        ["descend", "x", "--from", "y=0"],
        ["descend", "x", "--from", "x=0", "--steps", "0"],
        ["descend", "x @ y", "--from", "x=0,y=1"],
    ],
)
def test_refusals_of_pictures_limits_and_descents(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for lang in ("en", "ko"):
        assert run([*words, "--lang", lang]) == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said and bool(re.search("[가-힣]", said)) == (lang == "ko")
    assert not list(tmp_path.iterdir())
