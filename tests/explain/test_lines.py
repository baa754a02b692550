"""The readings of a derivation: four formats, two languages."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

import slopewise as sw
from slopewise.explain.rules import RULES

FUNCTIONS = [
    lambda x: (x - 3) ** 2,
    lambda x: sw.sigmoid(2 * x + 1),
    lambda x: sw.sin(x) ** 2 / sw.log(x),
    lambda x: sw.where(x > 0, x**x, sw.abs(x)),
    lambda x: sw.relu(x) + 2**x + sw.floor(x) - sw.sqrt(x) + sw.maximum(x, 1.0) + 1 / x,
]
SIGNS = "sin|cos|ln|log|exp|sqrt|abs|sigmoid|where|relu|max|min|floor|sign|tanh"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_korean_has_no_english(function: object) -> None:
    found = sw.explain.derivation(function, lang="ko")
    for reading in (found.text(), found.markdown(), "\n".join(found.hints())):
        plain = re.sub(r"\\[a-zA-Z]+", " ", reading)
        plain = re.sub(rf"\b({SIGNS})\b|\bd/dx\b|cases|ReLU", " ", plain)
        assert not re.search(r"[A-Za-z]{3,}", plain), re.findall(r"[A-Za-z]{3,}", plain)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_html_is_well_formed(function: object, lang: str) -> None:
    found = sw.explain.derivation(function, lang=lang)
    root = ElementTree.fromstring(found._repr_html_().replace("&#8290;", "·"))
    # Lists hold items, and nested lists stand inside of them.
    assert {child.tag for parent in root.iter("ul") for child in parent} == {"li"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_latex_is_balanced(function: object) -> None:
    latex = sw.explain.derivation(function).latex()
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    assert latex.count(r"\begin") == latex.count(r"\end")


def test_every_rule_speaks_both_languages() -> None:
    for rule in RULES.values():
        assert rule.en and rule.ko and rule.does_en and rule.does_ko
        assert not re.search(r"[A-Za-z]{2,}", rule.ko + rule.does_ko)
        assert not re.search(r"[가-힣]", rule.en + rule.does_en)
