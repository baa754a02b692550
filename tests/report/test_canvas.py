"""Pictures: their own settings, their own ids, fonts found or told missing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.font_manager import FontProperties

from slopewise.report import canvas, render_report
from slopewise.report.canvas import make_figure, own_settings, render_figure
from slopewise.report.content import Curves, read_content
from slopewise.report.lines import (
    draw_losses,
    draw_norms,
    select_drawable,
    spans_decades,
    thin_epochs,
)
from slopewise.report.pen import Pen
from slopewise.train.result import Result


def make_curves(epochs: int, layers: int) -> Curves:
    """Curves that fall."""
    time = np.arange(epochs, dtype=float)
    norms = {f"hidden{n + 1}": np.exp(-time / 9) * 3.0**-n for n in range(layers)}
    falling = np.exp(-time / 7) + 0.01
    return Curves(np.arange(1, epochs + 1), falling, 2 * falling, 0 * time + 0.1, norms, epochs)


def test_settings_of_the_user_are_neither_read_nor_changed(build: Callable[..., Result]) -> None:
    plain = render_report(build(), "en")
    odd = {"text.usetex": True, "axes.facecolor": "red", "font.size": 40.0, "svg.fonttype": "none"}
    with matplotlib.rc_context(odd):
        assert render_report(build(), "en") == plain
        for name, value in odd.items():
            assert matplotlib.rcParams[name] == value


def test_threads_do_not_mix(build: Callable[..., Result]) -> None:
    before = dict(matplotlib.rcParams)
    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: render_report(build(epochs=5)), range(4)))
    assert len(set(pages)) == 1
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_not_imported() -> None:
    code = "import slopewise.report, sys; assert 'matplotlib.pyplot' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_colours_come_from_the_page() -> None:
    drawn = str(draw_losses(make_curves(20, 1), Pen("en")))
    drawn += str(draw_norms(make_curves(20, 14), "none", Pen("en")))
    assert not re.search(r"#[0-9a-f]{6}\b(?!-)", drawn)
    assert "var(--ink)" in drawn and "var(--s0)" in drawn and "var(--r11)" in drawn
    style = Path(canvas.__file__).parent / "templates" / "style.css"
    known = set(re.findall(r"(--\w+):", style.read_text(encoding="utf-8")))
    assert set(re.findall(r"var\((--\w+)\)", drawn)) <= known


def test_picture_is_described_and_holds_no_text_elements() -> None:
    with own_settings():
        figure = make_figure(3, 2)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1])
        axes.set_xlabel("across")
        svg = str(render_figure(figure, "some", 'a "quoted" <line>'))
    assert 'aria-label="a &#34;quoted&#34; &lt;line&gt;"' in svg
    assert 'role="img"' in svg and "<text" not in svg and "<!--" not in svg
    ids = set(re.findall(r' id="([^"]+)"', svg))
    assert ids and all(id.startswith("some-") for id in ids)
    assert set(re.findall(r'href="#([^"]+)"', svg)) <= ids


def test_without_a_korean_font_labels_are_english_and_the_page_says_so(
    build: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slopewise.report.pen.find_korean_font", lambda characters: None)
    pen = Pen("ko")
    assert pen.missing and pen.write("axis.loss") == "loss"
    page = render_report(build(("a", "b")), "ko")
    assert "그림 안의 글자는 영어입니다" in page and "Noto Sans CJK KR" in page
    # A run without an epoch has no curves; its scatter has labels, its confusion matrix has none.
    assert page.count("그림 안의 글자는 영어입니다") == 1
    assert render_report(build(epochs=0), "ko").count("그림 안의 글자는 영어입니다") == 1
    assert "그림 안의 글자는 영어입니다" not in render_report(build(("a", "b"), epochs=0), "ko")
    assert "labels in the pictures are English" not in render_report(build(), "en")


def test_with_a_font_labels_are_korean(
    build: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Any font serves to see that it is used: this one comes with matplotlib.
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    font = FontProperties(fname=str(path))
    monkeypatch.setattr("slopewise.report.pen.find_korean_font", lambda characters: font)
    pen = Pen("ko")
    assert not pen.missing
    assert pen.write("layer.hidden", number=2) == "은닉층 2"
    assert pen.scale(9).get_file() == str(path)


def test_long_runs_keep_their_extremes() -> None:
    line = np.zeros(100_000)
    line[77_123], line[5] = 9.0, -4.0
    other = np.full(100_000, np.nan)
    places = thin_epochs(line, other)
    assert len(places) < 1700
    assert {0, 5, 77_123, 99_999} <= set(places.tolist())
    assert np.all(np.diff(places) > 0)


def test_logarithmic_axis_only_where_it_helps() -> None:
    assert spans_decades(np.array([1.0, 1e-3]), np.array([np.nan, np.inf]))
    assert not spans_decades(np.array([1.0, 0.5]))
    assert not spans_decades(np.array([1.0, 0.0]))
    assert not spans_decades(np.array([]))
    assert np.isnan(select_drawable(np.array([0.0, -1.0, np.inf, 1e200]), True)).all()
    assert select_drawable(np.array([0.0, -1.0]), False).tolist() == [0.0, -1.0]


@pytest.mark.parametrize("layers", [1, 2, 7, 8, 40])
@pytest.mark.parametrize("epochs", [1, 2, 500])
def test_any_number_of_layers_and_epochs(layers: int, epochs: int) -> None:
    svg = str(draw_norms(make_curves(epochs, layers), "batch", Pen("en")))
    assert svg.startswith("<svg ") and len(svg) < 700_000


def test_content_keeps_layers_in_order(build: Callable[..., Result]) -> None:
    content = read_content(build(("a", "b"), path=True))
    assert list(content.curves.norms) == ["hidden1", "hidden2", "output", "linear_path"]
    assert content.curves.chain == ["hidden1", "hidden2", "output"]
    squares = sum(values**2 for values in content.curves.norms.values())
    np.testing.assert_allclose(content.curves.total**2, squares)
