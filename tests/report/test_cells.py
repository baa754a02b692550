"""Text from tables: seen, cut and escaped."""

from __future__ import annotations

import html
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slopewise.report.cells import LIMIT, clean_text, mark_text, mark_value, shorten_text

ANYTHING = st.text(st.characters(exclude_categories=[]), max_size=200)


@given(ANYTHING)
def test_marked_text_is_one_escaped_element(text: str) -> None:
    marked = str(mark_text(text))
    match = re.fullmatch(r'<bdi class="cell"( title="([^"]*)")?>([^<]*)</bdi>', marked, re.S)
    assert match is not None
    shown = html.unescape(match.group(3))
    assert len(shown) <= LIMIT
    assert marked.encode()
    if match.group(1) is not None:
        assert html.unescape(match.group(2)) == clean_text(text)
        assert shown.endswith("…")
    else:
        assert shown == clean_text(text)


@given(ANYTHING)
def test_clean_text_hides_nothing(text: str) -> None:
    clean = clean_text(text)
    for character in clean:
        if character not in "\u200c\u200d":
            assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    assert not clean.startswith(" ") and not clean.endswith(" ")


def test_ordinary_text_is_left_alone() -> None:
    for text in ("plain", "한글 열", "naïve", "👩‍🔬", "a  b", "تجربة"):
        assert clean_text(text) == text


def test_names_of_what_cannot_be_seen() -> None:
    assert clean_text("a\tb\nc\x7f") == "a⇥b↵c⟨U+007F⟩"
    assert clean_text("\ufeffid") == "⟨U+FEFF⟩id"
    assert clean_text("a\u2028b\ufffe") == "a⟨U+2028⟩b⟨U+FFFE⟩"
    assert clean_text("   ") == "␣␣␣"


def test_long_text_keeps_its_whole_in_the_title() -> None:
    marked = str(mark_text("y" * 5000))
    assert f'title="{"y" * 5000}"' in marked
    assert marked.endswith("…</bdi>")
    huge = str(mark_text("z" * 10**7))
    assert len(huge) < 10_200 and "(10,000,000)" in huge
    assert shorten_text("abc", 3) == "abc"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2015, "2015"), (-3, "−3"), (np.int64(7), "7"), (np.float32(0.1), "0.1"), (True, "true"),
        (0.1 + 0.2, "0.3"), (123456.0, "123456"), (10**40, "1\xa0×\xa010⁴⁰"), (float("nan"), "NaN"),
        ("None", "None"), (1e-17, "1\xa0×\xa010⁻¹⁷"),
    ],
)  # fmt: skip
def test_values(value: object, shown: str) -> None:
    assert str(mark_value(value, "en")) == f'<bdi class="cell">{shown}</bdi>'


def test_missing_is_not_the_text_none() -> None:
    assert str(mark_value(None, "en")) == '<span class="none">(missing)</span>'
    assert str(mark_value("", "ko")) == '<span class="none">(빈 글자)</span>'
