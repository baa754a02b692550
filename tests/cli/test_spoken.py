"""Korean help and errors have no English left but names of options and commands."""

from __future__ import annotations

import pytest

from slopewise.cli import run


@pytest.mark.parametrize("command", ["train", "predict", "demo", "derive", "limit", "descend"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help", "--lang", "ko"]) == 0
    said = capsys.readouterr().out
    assert "사용법: slopewise" in said and "옵션" in said
    assert "Usage" not in said and "Options" not in said and "[default" not in said


def test_help_of_all(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    assert "사용법: slopewise" in said and "명령:" in said
    assert "Commands" not in said and "Options" not in said


@pytest.mark.parametrize(
    ("words", "korean"),
    [
        (["derive", "x", "--ordr", "2"], "없는 옵션입니다: --ordr"),
        (["derive", "x", "--order", "two"], "--order 옵션의 값으로 쓸 수 없습니다: two (정수)"),
        (["derive", "x", "--format", "pdf"], "쓸 수 있는 값: text, latex, html, md"),
        (["predict"], "필요한 값이 없습니다"),
        (["derive", "x", "y"], "남는 인수가 있습니다: y"),
        (["derive", "x", "--wrt"], "--wrt 옵션에 값이 없습니다"),
        (["deriv", "x"], "없는 명령입니다: deriv"),
    ],
)
def test_errors(words: list[str], korean: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([words[0], "--lang", "ko", *words[1:]]) == 2
    assert korean in capsys.readouterr().err
