"""Fonts of this computer that have the letters a label needs.

Invariant: a font is only given if it has every letter asked for, so that no label is drawn with
empty boxes. It is separate because reports and explanations draw with it.
"""

import os
import re
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

KOREAN_FONTS = (
    "notosanscjkkr", "notosanskr", "notosanscjk", "pretendard", "nanumgothic", "nanumbarungothic",
    "nanumsquare", "malgun", "applesdgothicneo", "applegothic", "sourcehansans", "undotum", "dotum",
    "gulim", "baekmuk", "batang", "nanummyeongjo", "notoserifcjk", "arialunicode",
)  # fmt: skip
"""Beginnings of font files' names, the best first, in small letters and digits only."""
_NOT_PLAIN = re.compile(r"bold|black|light|thin|medium|heavy|italic|mono|extra")


def find_korean_font(characters: str) -> FontProperties | None:
    """A font of this computer that has the given characters, or None.

    Parameters
    ----------
    characters : str
        All that the labels use.

    Returns
    -------
    FontProperties or None
    """
    path = _find_font_file("".join(sorted(set(characters))))
    return FontProperties(fname=path) if path is not None else None


@lru_cache(maxsize=8)
def _find_font_file(characters: str) -> str | None:
    """The file of the best font that has the characters."""
    # matplotlib's list may be older than the fonts, so the system's folders are read too.
    files = {entry.fname for entry in font_manager.fontManager.ttflist}
    files.update(font_manager.findSystemFonts())
    ranked = sorted((rank, path) for path in files if (rank := _rank_font(path)) is not None)
    for _, path in ranked:
        if os.path.isfile(path) and _has_characters(path, characters):
            return path
    return None


def _rank_font(path: str) -> tuple[int, bool] | None:
    """How well a font's file name suits, smaller being better; None for all other fonts."""
    name = re.sub(r"[^a-z0-9]", "", os.path.basename(path).lower())
    for place, beginning in enumerate(KOREAN_FONTS):
        if name.startswith(beginning):
            return place, bool(_NOT_PLAIN.search(name))
    return None


def _has_characters(path: str, characters: str) -> bool:
    """Whether a font file has a glyph for every character."""
    try:
        known = font_manager.get_font(path).get_charmap()
    except (OSError, RuntimeError, ValueError):
        return False
    return all(ord(character) in known for character in characters)
