"""Whole reports: every kind of run, both languages, hostile tables, one file that needs nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import slopewise as sw
from slopewise.errors import DataError, UsageError
from slopewise.report import render_report, write_report
from slopewise.report.messages import LANGUAGES
from slopewise.train.result import Result

VOID = {"meta", "br", "use", "path"}
EVIL = "<script>alert('x')</script>\"&"


class Outline(HTMLParser):
    """What a browser would see: elements in order, attributes, text outside style sheets."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.pieces: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        """The text, runs of blanks as one."""
        return " ".join("".join(self.pieces).split())

    def get(self, name: str) -> list[str]:
        """All values of an attribute."""
        return [value for _, found, value in self.attributes if found == name]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_kind_is_one_sound_file(any_result: Result, lang: str) -> None:
    page = render_report(any_result, lang)
    outline = Outline(page)
    assert not outline.open
    assert page.startswith(f'<!DOCTYPE html>\n<html lang="{lang}">')
    # Nothing runs and nothing is fetched.
    forbidden = {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "img",
        "base",
        "form",
        "foreignobject",
    }
    assert not forbidden & set(outline.elements)
    assert not any(name.startswith("on") for _, name, _ in outline.attributes)
    assert all(link.startswith("#") for link in outline.get("href") + outline.get("src"))
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", page)
    assert "@import" not in page and "//" not in re.sub(r"<title>.*?</title>", "", page)
    # Ids are unique, and every reference inside the page has its end.
    ids = outline.get("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in outline.get("href")} <= set(ids)
    # Numbers are for people.
    assert not re.search(r"\b(nan|inf|None)\b|\de-\d|-0\.0\b", outline.text)
    assert "{" not in outline.text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_hostile_text_stays_text(kinds: dict[str, Callable[[], Result]], lang: str) -> None:
    page = render_report(kinds["hostile"](), lang)
    outline = Outline(page)
    assert EVIL in outline.text
    assert "<script" not in page
    assert any(EVIL in title and "gpj.exe" in title for title in outline.get("title"))
    for character in "\x00\u202e\ud800":
        assert character not in page
        assert f"⟨U+{ord(character):04X}⟩" in outline.text
    # A cell of 50,000 letters is cut twice, and its true length is told.
    titles = outline.get("title")
    assert any(t.startswith("x" * 10_000) and t.endswith("… (50,000)") for t in titles)
    assert max(len(piece) for piece in outline.pieces) < 500
    assert "␣spaced␣" in outline.text
    assert all(value.startswith("--share:") for value in outline.get("style") if "share" in value)


def test_many_columns_are_cut_with_a_sentence(kinds: dict[str, Callable[[], Result]]) -> None:
    page = render_report(kinds["wide"](), "en")
    text = Outline(page).text
    assert "8 of 10,000 columns are shown here." in text
    assert "Further columns are not shown here: 9,892." in text
    assert "The first 100 of 10,000 columns are listed." in text
    assert "Columns left out for the same reason: 492 more." in text
    assert len(page) < 400_000


def test_summary_says_what_was_trained_on_what(build: Callable[..., Result]) -> None:
    result = build(("a", "b"), folds=5, path=True, candidates=2)
    text = Outline(render_report(result)).text
    for piece in (
        "animals.csv", "species", "classification, 2 classes", "203, of which 200 used",
        "4 used, which became 8 inputs", "hidden layers of width 32-16", "a linear path",
        "5 networks", f"{len(result.split.test)} test", "Networks compared: 2", "12 s",
    ):  # fmt: skip
        assert piece in text
    assert result.metrics["test"]["accuracy"] == 1.0
    assert "100 %accuracy, test" in text
    assert "Leave it out with --drop" not in text


def test_notices_are_said_in_korean(kinds: dict[str, Callable[[], Result]]) -> None:
    text = Outline(render_report(kinds["binary"](), "ko")).text
    assert "row_id 열은 식별 번호로 보입니다(행을 차례로 센 값)" in text
    assert "행의 100.0%에서 맞음" in text


def test_five_steps_hold_the_runs_own_numbers(build: Callable[..., Result]) -> None:
    text = Outline(render_report(build(hidden=(), optimizer="sgd"))).text
    # 0.3 - 0.003 * (-0.28261250257) = 0.30084783751
    assert "wnew = wold − η · dL/dw = 0.3 − 0.003 × (−0.2826) = 0.300848" in text
    assert "That is what this run did: the weight became 0.300848." in text
    assert "output.weight[0, 0]" in text and "comes from the input length" in text
    assert "The slope is negative, downhill" in text
    assert "Steps made: 160, in 40 epochs" in text
    assert "had not fallen for 20 epochs" in text


def test_adam_is_not_passed_off_as_plain_descent(build: Callable[..., Result]) -> None:
    text = Outline(render_report(build(("a", "b")))).text
    assert "This run used Adam" in text and "from 0.3 to 0.303" in text
    assert "That is what this run did" not in text


@pytest.mark.parametrize(
    ("lang", "sentences"),
    [
        ("en", ["no epoch was finished", "Training was stopped by the user", "no curve to draw",
                "no norms to draw", "slopewise train --resume RUN"]),
        ("ko", ["끝난 에포크 없음", "사용자가 학습을 중간에 멈추었습니다", "그릴 곡선이 없습니다",
                "그릴 값이 없습니다", "slopewise train --resume RUN"]),
    ],
)  # fmt: skip
def test_interrupted_run_says_what_is_missing(
    kinds: dict[str, Callable[[], Result]], lang: str, sentences: list[str]
) -> None:
    for kind in ("interrupted", "unstarted"):
        text = Outline(render_report(kinds[kind](), lang)).text
        for sentence in sentences:
            assert sentence in text
    assert ("before its first step" if lang == "en" else "첫 갱신 전에 중단되어") in text


def test_run_without_test_rows_says_so(kinds: dict[str, Callable[[], Result]]) -> None:
    text = Outline(render_report(kinds["untested"]())).text
    assert "There are no test rows, so nothing here tells what to expect of new rows." in text
    assert "what follows is of the validation rows" in text
    assert "accuracy, validation" in text


def test_confusion_matrix_has_counts_and_per_cent(build: Callable[..., Result]) -> None:
    result = build(("Adelie", "Chinstrap", "Gentoo"), rows=400)
    outline = Outline(render_report(result, "ko"))
    confusion = result.confusion
    assert confusion is not None
    for row in confusion:
        for count in row[row > 0]:
            assert f"{count}{100 * count / row.sum():.1f}%".replace("100.0", "100") in outline.text
    assert outline.get("class").count("hit") + outline.get("class").count("hit zero") == 3


def test_many_classes_become_pairs(kinds: dict[str, Callable[[], Result]]) -> None:
    result = kinds["many"]()
    outline = Outline(render_report(result))
    assert "25 classes are too many for a matrix that can be read" in outline.text
    assert "recognised least often" in outline.text
    assert "matrix" not in " ".join(outline.get("class"))
    assert "matrix" in " ".join(Outline(render_report(kinds["twenty"]())).get("class"))


def test_dense_rows_are_drawn_as_fields(kinds: dict[str, Callable[[], Result]]) -> None:
    page = render_report(kinds["dense"]())
    assert "So many rows are drawn as fields" in page
    assert len(page) < 600_000


def test_numbers_that_cannot_be_drawn_are_told(build: Callable[..., Result]) -> None:
    result = build(stopped="diverged")
    result.history["loss"][-2:] = [np.inf, np.nan]
    result.history["val_loss"][-1] = np.nan
    result.history["grad.hidden1"][-1] = np.inf
    result.history["grad.output"][3] = 0.0
    result.test.prediction[:3] = [np.nan, np.inf, 1e300]
    text = Outline(render_report(result)).text
    assert "epochs concerned: 2" in text
    assert "In epoch 40 a norm became infinite or NaN" in text
    assert "A norm of exactly 0 cannot be drawn on this axis. Layers concerned: output." in text
    assert "too large to draw: 3." in text
    assert "the loss became infinite or NaN" in text


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e-12, 1e12, 1e90, 1e200, 1e306])
def test_any_scale_is_drawn_without_a_warning(build: Callable[..., Result], scale: float) -> None:
    result = build(scale=scale)
    for name in ("loss", "val_loss", "grad.hidden1", "grad.output"):
        result.history[name] *= scale
    result.worst[0].values["length"] = scale
    for lang in LANGUAGES:
        assert render_report(result, lang).endswith("</html>")


def test_same_result_gives_same_bytes(kinds: dict[str, Callable[[], Result]]) -> None:
    for kind in ("three", "regression"):
        assert render_report(kinds[kind](), "ko") == render_report(kinds[kind](), "ko")


def test_file_is_replaced_whole_or_not_at_all(
    build: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    write_report(build(), path)
    first = path.read_text(encoding="utf-8")
    assert first == render_report(build())
    write_report(build(), str(path), lang="ko")
    second = path.read_text(encoding="utf-8")
    assert '<html lang="ko">' in second

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(DataError, match=r"cannot write .*No space left"):
        write_report(build(), path)
    monkeypatch.undo()
    assert path.read_text(encoding="utf-8") == second
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_wrong_language_is_refused(build: Callable[..., Result], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lang must be one of en, ko, and is 'fr'"):
        write_report(build(), tmp_path / "report.html", lang="fr")
    assert not list(tmp_path.iterdir())


def test_templates_hold_no_words() -> None:
    folder = resources.files("slopewise.report") / "templates"
    pages = [folder / "report.html", *(folder / "sections").iterdir()]
    assert len(pages) == 11
    for page in pages:
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"<pre>.*?</pre>|\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.S)
        text = html.unescape(re.sub(r"<[^>]*>", "", text))
        # Letters of formulas are the same in every language.
        assert set(re.findall(r"[^\W\d_]+", text)) <= {"w", "η", "dL", "dw", "d", "L"}, page.name


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_report_of_a_real_run(tmp_path: Path, lang: str, task: str) -> None:
    generator = np.random.default_rng(3)
    x, z = generator.normal(size=(2, 150))
    y = np.where(x + z > 0, "up", "down") if task == "classification" else 3 * x - z
    table = {"x": x, "z": z, "y": y}
    result = sw.train.fit(table, target="y", hidden=(8,), epochs=3, seed=1)
    result.save(tmp_path)
    write_report(result, tmp_path / "report.html", lang)
    outline = Outline((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert outline.elements.count("svg") == (2 if task == "classification" else 4)
    assert result.five_steps.parameter in outline.text
    # The lines that it gives for using the model again do work.
    model = sw.train.load(tmp_path)
    found = model.predict(table)
    assert len(found.values) == 150
    if task == "classification":
        assert found.probabilities is not None
        assert found.probabilities.shape == (150, len(found.classes))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_watched_run_shows_the_flow_of_its_gradient(lang: str) -> None:
    x = np.random.default_rng(0).normal(size=120)
    result = sw.train.fit(
        {"x": x, "y": 2 * x}, target="y", hidden=(4, 4), epochs=4, folds=1, health=True
    )
    page = render_report(result, lang)
    section = page[page.index('<section id="health">') :]
    section = section[: section.index("</section>")]
    assert section.count("<svg") == 1
    assert "<image" not in section
    assert ("hidden 1" if lang == "en" else "은닉층 1") in section
    assert (LANGUAGES.index(lang) == 0) == ("Left:" in section)
    result.health = None
    assert 'id="health"' not in render_report(result, lang)
