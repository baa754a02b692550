"""Telling: what a watch says, in words of two languages: findings, notices and layers.

Invariant: it knows names and findings, no looks. It is separate because reports, the command line
and the picture say the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slopewise.explain.accounts import Words, say_in
from slopewise.health.finding import Finding
from slopewise.health.wording import CAUSES, VERDICTS

WATCHED: Words = {
    "none": ("Looks at the gradient: {looks}. Nothing was found to be wrong.",
             "기울기를 살펴본 횟수: {looks}번. 잘못된 점을 찾지 못했습니다."),
    "some": ("Looks at the gradient: {looks}.", "기울기를 살펴본 횟수: {looks}번."),
    "found": ("From step {step} on: {found}.", "{step}단계부터: {found}."),
    "ended": ("From step {step} to step {last}: {found}.",
              "{step}단계부터 {last}단계까지: {found}."),
    "said": ("step {step}: {found}, {layer}, cause: {cause}",
             "{step}단계: {found}, 위치: {layer}, 원인: {cause}"),
    "said_all": ("step {step}: {found}, cause: {cause}", "{step}단계: {found}, 원인: {cause}"),
    "layer": ("layer", "층"),
    "type": ("type", "종류"),
    "first": ("gradient at first", "처음 기울기"),
    "last": ("gradient at last", "마지막 기울기"),
    "factor": ("factor at last", "마지막 인자"),
    "picture": ("The gradient's size at each layer over time, and the factors at the last look.",
                "시간에 따른 층별 기울기의 크기와 마지막으로 잰 인자."),
    "hidden": ("hidden {number}", "은닉층 {number}"),
    "norm": ("norm {number}", "정규화 {number}"),
    "activation": ("activation {number}", "활성화 {number}"),
    "output": ("output", "출력층"),
    "linear_path": ("linear path", "선형 경로"),
    "output_sum": ("sum", "합"),
    "whole": ("whole network", "신경망 전체"),
}  # fmt: skip


def say_finding(finding: Finding, step: int, lang: str) -> str:
    """Return a finding in one line: when, what, where, and why.

    Examples
    --------
    >>> say_finding(Finding("vanishing", "activation", "hidden2", "A"), 40, "en")
    'step 40: vanishing gradient, hidden 2 (A), cause: the activation function'
    """
    found, cause = say_in(VERDICTS, finding.id, lang), say_in(CAUSES, finding.cause, lang)
    factor = f" ({finding.factor})" if finding.factor else ""
    layer = tell_layer(finding.layer, lang) + factor
    key = "said" if finding.layer else "said_all"
    return say_in(WATCHED, key, lang, step=step, found=found, layer=layer, cause=cause)


def speak_notice(values: Mapping[str, Any], lang: str) -> dict[str, Any]:
    """Return what a notice of training names, in a language.

    Examples
    --------
    >>> given = {"epoch": 1, "problem": "vanishing", "origin": "activation", "layer": ""}
    >>> speak_notice(given, "ko")["place"]
    '신경망 전체'
    """
    layer = str(values["layer"])
    return {
        **values,
        "found": say_in(VERDICTS, values["problem"], lang),
        "place": tell_layer(layer, lang) if layer else say_in(WATCHED, "whole", lang),
        "cause": say_in(CAUSES, values["origin"], lang),
    }


def tell_layer(name: str, lang: str) -> str:
    """Return a layer's name; those of networks on tables in a language.

    Examples
    --------
    >>> tell_layer("hidden2", "ko"), tell_layer("encoder.0", "ko")
    ('은닉층 2', 'encoder.0')
    """
    found = re.fullmatch(r"(hidden|norm|activation)(\d+)|(output|linear_path|output_sum)", name)
    if found is None:
        return name
    return say_in(WATCHED, found[1] or found[3], lang, number=found[2])
