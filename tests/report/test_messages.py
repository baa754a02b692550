"""The texts: both languages complete, the same placeholders, Korean without hanging particles."""

from __future__ import annotations

import re
import string

import pytest
from markupsafe import Markup

from slopewise.report.messages import MESSAGES, say
from slopewise.report.speaker import Speaker
from slopewise.report.wording import curves, notices, page, rows, steps, summary, use
from slopewise.train.faults import NOTICES, Notice

TABLES = [
    curves.CURVES, notices.NOTICES, page.PAGE, rows.ROWS, steps.STEPS, summary.SUMMARY, use.USE,
]  # fmt: skip
PARTICLES = "을|를|이|가|은|는|와|과|으로|로|의|에|에서|에게|도|만|입니다|이다|이라|라"


def list_names(text: str) -> set[str]:
    """Placeholders of a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_no_id_is_given_twice() -> None:
    assert len(MESSAGES) == sum(map(len, TABLES))


@pytest.mark.parametrize("id", MESSAGES)
def test_both_texts_name_the_same_values(id: str) -> None:
    english, korean = MESSAGES[id]
    assert english and korean
    assert list_names(english) == list_names(korean)
    # Our texts have no markup, so that they serve in titles and labels as well.
    assert Markup(english).striptags() == " ".join(english.split())
    assert "<" not in english + korean and "&" not in english + korean


@pytest.mark.parametrize("id", MESSAGES)
def test_no_particle_hangs_on_a_placeholder(id: str) -> None:
    korean = MESSAGES[id][1]
    assert not re.search(rf"\}}({PARTICLES})", korean)


def test_every_notice_of_training_is_worded() -> None:
    assert {f"notice.{id}" for id in NOTICES} | {"notice.more"} == {
        id for id in MESSAGES if id.startswith("notice.")
    }
    for id, text in NOTICES.items():
        assert list_names(MESSAGES[f"notice.{id}"][0]) <= list_names(text)


def test_values_are_escaped() -> None:
    assert say("heading", "en", target="<b>&") == "Learning &lt;b&gt;&amp;"
    assert say("heading", "ko", target=Markup("<b>w</b>")) == "<b>w</b> 열의 학습"


def test_notice_without_wording_is_said_in_english() -> None:
    told = Speaker("ko").notice("new_kind", {"column": "<x>"}, "column `<x>` is odd")
    assert told == '<bdi class="cell">column `&lt;x&gt;` is odd</bdi>'
    notice = Notice("constant", {})
    assert "odd" in Speaker("en").notice(notice.id, notice.values, "odd")


def test_unknown_reason_stays_as_it_is() -> None:
    values = {"column": "id", "reason": "it smells"}
    assert "it smells" in Speaker("ko").notice("looks_like_id", values, "")
    values["reason"] = "their correlation is -0.9997"
    assert "상관계수 -0.9997" in Speaker("ko").notice("looks_like_leak", values, "")
