"""The parts that the lecture is built from: formulas, cells, sections."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

import slopewise.drawing.picture

FOLDER = Path(__file__).parents[2] / "docs" / "lecture"
MODULES = ["formulas", "cells", "document", "build"]


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield {name: importlib.import_module(name) for name in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(parts, name):
    assert doctest.testmod(parts[name]).failed == 0


# --- formulas ---


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("L(4) = 1", "L(4)=1"),
        ("w^{-2}", "w−2"),
        (r"\frac{d L}{d w} < 0", "dLdw<0"),
        (r"\lim_{h \to 0} f'(x)", "limh→0f′(x)"),
        (r"\left|w\right|", None),
        (r"\sum_{j=1}^n e^{x_j}", "∑j=1nexj"),
        (r"|x| \le \sqrt{\sigma^2}", "|x|≤σ2"),
        (r"\text{이전} \times 10^{-22}", "이전×10−22"),
    ],
)
def test_formulas(parts, text, inside):
    write = parts["formulas"].write_formula
    if inside is None:
        with pytest.raises(ValueError, match="left"):
            write(text)
        return
    assert "".join(ElementTree.fromstring(write(text)).itertext()) == inside


def test_scripts_have_their_places(parts):
    write = parts["formulas"].write_formula
    assert write("w_1^2").startswith("<math><msubsup>")
    assert "<munder><mi>lim</mi>" in write(r"\lim_{h \to 0} h")
    assert "<munderover><mo>∑</mo>" in write(r"\sum_{j=1}^n j")
    assert write("(w - 3)^2").startswith("<math><msup><mrow><mo>(</mo>")
    assert write("x", display=True) == '<math display="block"><mi>x</mi></math>'


@pytest.mark.parametrize("text", ["(w", "w)", r"\frac{1}", r"\unknown", "w^", "{w", "a & b"])
def test_what_is_no_formula_is_an_error(parts, text):
    with pytest.raises(ValueError, match="formula"):
        parts["formulas"].write_formula(text)


# --- cells ---


def test_cells_share_names_and_show_their_last_value(parts):
    notebook = parts["cells"].Notebook()
    first = notebook.run("x = 2\nprint(x)\n")
    second = notebook.run("x + 1")
    assert (first.printed, first.shown) == ("2\n", [])
    assert (second.number, second.printed, second.shown) == (2, "", [3])


def test_a_cell_that_fails_stops_the_build_unless_it_should(parts):
    notebook = parts["cells"].Notebook()
    with pytest.raises(parts["cells"].CellError, match="cell 1 fails: ZeroDivisionError"):
        notebook.run("1 / 0")
    assert notebook.run("1 / 0", fails=True).error.startswith("ZeroDivisionError: ")
    with pytest.raises(parts["cells"].CellError, match="should fail and does not"):
        notebook.run("1 / 1", fails=True)


def test_a_plot_needs_words(parts):
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"
    notebook = parts["cells"].Notebook()
    with pytest.raises(parts["cells"].CellError, match="say what is to be seen"):
        notebook.run(code)
    (picture,) = notebook.run(code, plot="a line that rises").shown
    assert picture.description == "a line that rises"
    assert notebook.run("3;\nNone").shown == []  # the plot is closed


# --- sections ---


def write_section(folder: Path, text: str) -> Path:
    (folder / "01_only_one.md").write_text(text, encoding="utf-8")
    return folder


def test_prose_takes_what_the_cells_above_made(parts, tmp_path):
    folder = write_section(
        tmp_path,
        '# {{ t("One", "하나") }}\n\n```python\nw = 0.1 + 0.2\n```\n\n'
        "It is {{ w|num(3) }}: $w^2$.\n",
    )
    for lang, title in (("en", "One"), ("ko", "하나")):
        (section,) = parts["document"].Document(lang, folder).compute()
        assert (section.id, section.title) == ("only-one", title)
        cell, prose = section.parts
        assert cell.code == "w = 0.1 + 0.2\n"
        assert "It is <math><mn>0.3</mn></math>: <math><msup>" in prose


def test_prose_that_names_nothing_is_an_error(parts, tmp_path):
    folder = write_section(tmp_path, "# One\n\nIt is {{ missing }}.\n")
    with pytest.raises(parts["document"].CellError, match="missing"):
        parts["document"].Document("en", folder).compute()


def test_without_a_korean_font_labels_are_english_and_it_is_said(
    parts, tmp_path, monkeypatch, capsys
):
    build = parts["build"]
    folder = write_section(
        tmp_path,
        "# One\n\n```python\nimport slopewise as sw\n"
        'sw.explain.explore_depth(2, lang="ko").picture()\n```\n',
    )
    monkeypatch.setattr(slopewise.drawing.picture, "find_korean_font", lambda letters: None)
    monkeypatch.setattr(build, "Builder", lambda lang, make=build.Builder: make(lang, folder))
    assert build.main([str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count(build.MISSING_FONT) == 2
    page = (tmp_path / "out" / "lecture.ko.html").read_text(encoding="utf-8")
    assert 'alt="활성화 함수의 수에 따라 남는 기울기."' in page


def test_a_wrong_call_is_told_how_to_call(parts, capsys):
    assert parts["build"].main([]) == 2
    assert "docs/lecture/build.py FOLDER" in capsys.readouterr().err


def test_a_section_that_fails_writes_no_page(parts, tmp_path, monkeypatch, capsys):
    build = parts["build"]
    folder = write_section(tmp_path, "# One\n\n```python\n1 / 0\n```\n")
    monkeypatch.setattr(build, "Builder", lambda lang, make=build.Builder: make(lang, folder))
    assert build.main([str(tmp_path / "out")]) == 1
    assert "cell 1 fails" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
