"""Fonts are only used where they have the letters."""

from pathlib import Path

import matplotlib
import pytest

from slopewise.drawing import fonts
from slopewise.drawing.fonts import find_korean_font


def test_font_without_the_letters_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [])
    monkeypatch.setattr("matplotlib.font_manager.fontManager.ttflist", [])
    monkeypatch.setattr(fonts, "KOREAN_FONTS", ("dejavusans",))
    fonts._find_font_file.cache_clear()
    assert find_korean_font("loss") is None
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [path, "/no/such.ttf"])
    fonts._find_font_file.cache_clear()
    assert find_korean_font("손실") is None
    found = find_korean_font("loss")
    assert found is not None and found.get_file() == path
    fonts._find_font_file.cache_clear()


def test_broken_font_file_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "NanumGothic.ttf"
    broken.write_bytes(b"not a font")
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(broken)])
    monkeypatch.setattr("matplotlib.font_manager.fontManager.ttflist", [])
    fonts._find_font_file.cache_clear()
    assert find_korean_font("손실") is None
    fonts._find_font_file.cache_clear()
