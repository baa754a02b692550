"""Text from tables, made safe to read: nothing invisible, nothing endless, nothing that is markup.

Invariant: whatever a column name, a class or a cell holds, what comes out is one escaped,
direction-isolated element; characters that would hide or reorder text are shown by their name. It
is separate because every text from a table, and no other, goes through it.
"""

import unicodedata
from typing import Any

from markupsafe import Markup

from slopewise.report.digits import format_number
from slopewise.report.messages import say

LIMIT = 40
"""Characters of a text that are shown."""
TITLE_LIMIT = 10_000
"""Characters that are kept in the `title` of a shortened text."""
_HIDDEN = {0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x180E, 0x3164, 0xFFA0}
"""Invisible characters outside Unicode's class Cf, or in it and not covered below."""
_DRAWN = {"\n": "↵", "\t": "⇥"}
_JOINERS = {0x200C, 0x200D}
"""Invisible, but Persian, Hindi and emoji are written with them."""


def clean_text(text: str) -> str:
    """Text in which control, direction and other invisible characters can be seen.

    Parameters
    ----------
    text : str
        Anything.

    Returns
    -------
    str
        Without control characters, direction marks and lone surrogates; spaces at its ends are
        shown as `␣`.

    Examples
    --------
    >>> clean_text("a\\x00b\\u202ec "), clean_text("plain text")
    ('a⟨U+0000⟩b⟨U+202E⟩c␣', 'plain text')
    """
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    inner = "".join(map(_show_character, text))
    left = len(inner) - len(inner.lstrip(" "))
    right = len(inner) - len(inner.rstrip(" "))
    if left == len(inner):
        return "␣" * left
    return "␣" * left + inner[left : len(inner) - right] + "␣" * right


def _show_character(character: str) -> str:
    """The character, or a name for it if it cannot be seen."""
    if character in _DRAWN:
        return _DRAWN[character]
    code = ord(character)
    category = unicodedata.category(character)
    hidden = category in ("Cc", "Cf", "Cs", "Zl", "Zp") or code in _HIDDEN
    if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        hidden = True  # not characters at all, and not allowed in HTML
    if hidden and code not in _JOINERS:
        return f"⟨U+{code:04X}⟩"
    return character


def shorten_text(text: str, limit: int = LIMIT) -> str:
    """The beginning of a text, with an ellipsis if something is left out.

    Parameters
    ----------
    text : str
        Anything.
    limit : int
        Characters to show, the ellipsis included.

    Returns
    -------
    str

    Examples
    --------
    >>> shorten_text("a very long name", 8)
    'a very …'
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def mark_text(text: Any, limit: int = LIMIT) -> Markup:
    """Text from a table as an element: escaped, isolated, shortened with the rest in its title.

    Parameters
    ----------
    text : object
        A name, a label or a cell's text.
    limit : int
        Characters to show.

    Returns
    -------
    Markup

    Examples
    --------
    >>> str(mark_text("<b>"))
    '<bdi class="cell">&lt;b&gt;</bdi>'
    >>> str(mark_text("abcdef", 4))
    '<bdi class="cell" title="abcdef">abc…</bdi>'
    """
    whole = str(text)
    # Cleaning lengthens text: cut before, so that a huge cell costs nothing.
    shown = clean_text(whole[: TITLE_LIMIT + 1])
    if len(shown) <= limit:
        return Markup('<bdi class="cell">{}</bdi>').format(shown)
    title = shown
    if len(whole) > TITLE_LIMIT:
        title = f"{shown[:TITLE_LIMIT]}… ({len(whole):,})"
    return Markup('<bdi class="cell" title="{}">{}</bdi>').format(title, shorten_text(shown, limit))


def mark_value(value: Any, lang: str, limit: int = LIMIT) -> Markup:
    """A cell's value as an element: text, number, truth value, or the word for missing.

    Parameters
    ----------
    value : object
        What the table holds there; None for missing.
    lang : {'en', 'ko'}
        Which language.
    limit : int
        Characters to show.

    Returns
    -------
    Markup

    Examples
    --------
    >>> str(mark_value(0.30000000000000004, "en")), str(mark_value(2015, "en"))
    ('<bdi class="cell">0.3</bdi>', '<bdi class="cell">2015</bdi>')
    """
    if value is None:
        return Markup('<span class="none">{}</span>').format(say("cell.missing", lang))
    if isinstance(value, str):
        if not value:
            return Markup('<span class="none">{}</span>').format(say("cell.empty", lang))
        return mark_text(value, limit)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return mark_text(str(value).lower(), limit)
    if isinstance(value, int) and abs(value) < 10**15:
        # A year or a number of a customer: no commas, and every digit.
        return mark_text(str(value).replace("-", "−"), limit)
    if isinstance(value, (int, float)):
        return mark_text(format_number(value, 6, grouped=False), limit)
    return mark_text(value, limit)
