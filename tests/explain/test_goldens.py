"""The worked examples read as they did, and their Korean has no English left."""

from __future__ import annotations

import re

import pytest
from tests.explain.goldens import ACCOUNTS, EXAMPLES, FOLDER, FORMATS, read_examples

MADE = read_examples()
SIGNS = (
    "sin|cos|tan|ln|log|exp|sqrt|abs|sigmoid|where|relu|max|min|floor|sign|tanh|atan|asin|softplus"
    "|mean|softmax|log_softmax|sum|sum_n|sum_k|logsumexp|diag"
)
NAMES = "float32|sgd|lr|Tanh|square|first|second|inf"
"""Names of code: dtypes, optimisers, modules, operations of the engine, the user's variables."""


@pytest.mark.parametrize("name", MADE)
def test_reads_as_before(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == MADE[name]


def test_no_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(MADE)
    assert len(MADE) == (len(EXAMPLES) + len(ACCOUNTS)) * len(FORMATS) * 2


@pytest.mark.parametrize("name", [name for name in MADE if ".ko." in name])
def test_korean_has_no_english(name: str) -> None:
    text = re.sub(r"<[^>]*>", " ", MADE[name]) if name.endswith("html") else MADE[name]
    text = text.replace(r"\_", "_")
    text = re.sub(r"\\begin\{tabular\}\{r+\}|\\end\{tabular\}", " ", text)
    text = re.sub(r"\\[a-zA-Z]+|\{aligned\}|\{cases\}|pmatrix|ReLU|&#?\w+;", " ", text)
    text = re.sub(rf"\b({SIGNS}|{NAMES})\b|\bd/d[a-z]\b", " ", text)
    assert not re.findall(r"[A-Za-z]{3,}", text)


@pytest.mark.parametrize("name", [name for name in MADE if ".ko." in name])
def test_particles_never_touch_a_formula(name: str) -> None:
    text = re.sub(r"<[^>]*>", "", MADE[name])
    assert not re.search(r"[0-9A-Za-z)\]}$](을|를|이|가|은|는|와|과|로|으로)\b", text)
