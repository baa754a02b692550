"""Both READMEs keep their word: their Python runs in order and prints what they say it prints.

A Python block's output is the first `code` span in the prose after it.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
READMES = ["README.md", "README.ko.md"]


def blocks(name: str, language: str) -> list[tuple[str, str]]:
    """Return (code, the prose after it) for every fenced block of a language."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```\n(.*?)(?=^```|^#|\Z)", text, re.M | re.S)


@pytest.mark.parametrize("name", READMES)
def test_python_blocks_print_what_is_said(name):
    names: dict[str, Any] = {"__name__": "readme"}
    for code, prose in blocks(name, "python"):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, name, "exec"), names)
        said = re.search(r"`([^`]+)`", prose)
        shown = [text for text, _ in blocks(name, "text")]  # longer output has a block of its own
        assert said is not None or shown
        assert output.getvalue().strip() in [said[1] if said else "", *(s.strip() for s in shown)]


def test_both_languages_show_the_same_code():
    english, korean = ([code for code, _ in blocks(name, "python")] for name in READMES)
    assert english == [code.replace(', lang="ko"', "") for code in korean]
    assert len(english) >= 2


@pytest.mark.parametrize("name", READMES)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
