"""Pictures are finished, saved and shown in one way."""

from pathlib import Path

import matplotlib
import pytest

from slopewise.drawing import Picture, open_sheet
from slopewise.drawing.settings import DASHES, MARKERS, PALETTE
from slopewise.errors import DataError


def draw(lang: str = "en") -> Picture:
    with open_sheet(3, 2, lang) as sheet:
        axes = sheet.figure.add_subplot()
        axes.plot([0, 1], [0, 1])
        axes.set_title({"en": "slope", "ko": "기울기"}[sheet.lang])
        return sheet.finish('a line "that" <rises>')


def test_formats(tmp_path: Path) -> None:
    picture = draw()
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.HTML", b"<!doctype html>")):
        picture.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.HTML", "a.png", "a.svg"]
    svg = picture.svg()
    assert 'aria-label="a line &quot;that&quot; &lt;rises&gt;"' in svg and "<text" not in svg
    assert svg == draw().svg()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"end its name in \.png"):
        draw().save(tmp_path / "a.gif")
    with pytest.raises(DataError, match="cannot write"):
        draw().save(tmp_path / "none" / "a.png")
    assert not list(tmp_path.iterdir())


def test_settings_come_back() -> None:
    before = dict(matplotlib.rcParams)
    draw("ko").png()
    assert dict(matplotlib.rcParams) == before


def test_without_a_korean_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slopewise.drawing.picture.find_korean_font", lambda letters: None)
    with open_sheet(3, 2, "ko") as sheet:
        assert sheet.lang == "en"
        assert sheet.finish("nothing").missing_font


def test_series_can_be_told() -> None:
    assert len(set(PALETTE)) == len(set(MARKERS)) == len(set(DASHES)) == 7
