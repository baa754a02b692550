"""Both languages say everything, with the same placeholders; Korean has no particle on one."""

from __future__ import annotations

import re
import string

import pytest

from slopewise.cli import messages
from slopewise.train.faults import ENGLISH as FAULTS
from slopewise.train.faults import NOTICES

ALL = {**messages.ENGLISH, **FAULTS, **NOTICES}


def fields(template: str) -> set[str]:
    return {name.partition(".")[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def korean_id(id: str) -> str:
    return "notice_interrupted" if id == "interrupted" and id in NOTICES else id


def test_ids_are_used_once():
    shared = (set(messages.ENGLISH) & set(FAULTS)) | (set(FAULTS) & set(NOTICES))
    assert not shared
    assert set(messages.ENGLISH) & set(NOTICES) == {"interrupted"}


def test_both_languages_have_the_same_ids():
    english = set(messages.ENGLISH) | set(FAULTS) | (set(NOTICES) - {"interrupted"})
    assert set(messages.KOREAN) == english | {"notice_interrupted"}


@pytest.mark.parametrize("id", sorted(set(ALL) - {"interrupted"}))
def test_placeholders_agree(id):
    assert fields(messages.KOREAN[id]) == fields(ALL[id])


def test_placeholders_of_interrupted_agree():
    assert fields(messages.KOREAN["interrupted"]) == fields(messages.ENGLISH["interrupted"])
    assert fields(messages.KOREAN["notice_interrupted"]) == fields(NOTICES["interrupted"])


@pytest.mark.parametrize("id", sorted(messages.KOREAN))
def test_no_particle_on_a_placeholder(id):
    particle = r"\}[`'\"]?(을|를|이|가|은|는|와|과|로|으로|에|의|도)([\s,.]|$)"
    assert not re.search(particle, messages.KOREAN[id])


@pytest.mark.parametrize(
    ("arguments", "environment", "lang"),
    [
        ([], {}, "en"),
        ([], {"LANG": "ko_KR.UTF-8"}, "ko"),
        ([], {"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, "en"),
        (["--lang", "en"], {"LANG": "ko_KR.UTF-8"}, "en"),
        (["--lang=ko"], {}, "ko"),
        (["--lang"], {}, "en"),
    ],
)
def test_language(arguments, environment, lang, monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert messages.read_language(arguments) == lang


def test_braces_in_a_name_are_only_text():
    assert messages.say("warning", "en", text="a {b} c") == "warning: a {b} c"
