"""Everything that the report says, in English and Korean, by message id.

Invariant: each id has both texts with the same placeholders. Texts are markup of ours; values are
escaped when they are put in. In Korean no particle is attached to a placeholder or a formula: a
fixed noun stands between. It is separate because texts are data, and templates hold none.
"""

from typing import Any

from markupsafe import Markup

from slopewise.report.wording.curves import CURVES
from slopewise.report.wording.notices import NOTICES
from slopewise.report.wording.page import PAGE
from slopewise.report.wording.rows import ROWS
from slopewise.report.wording.steps import STEPS
from slopewise.report.wording.summary import SUMMARY
from slopewise.report.wording.use import USE

LANGUAGES = ("en", "ko")

MESSAGES: dict[str, tuple[str, str]] = {
    **PAGE, **SUMMARY, **NOTICES, **STEPS, **CURVES, **ROWS, **USE,
}  # fmt: skip
"""Message ids, each with its English and its Korean text."""


def say(id: str, lang: str, **values: Any) -> Markup:
    """A text in a language.

    Parameters
    ----------
    id : str
        A key of `MESSAGES`.
    lang : {'en', 'ko'}
        Which language.
    **values : object
        What the text names; escaped unless it is markup already.

    Returns
    -------
    Markup

    Raises
    ------
    KeyError
        If there is no such message, or a value that it names is not given.

    Examples
    --------
    >>> say("heading", "en", target="<b>")
    Markup('Learning &lt;b&gt;')
    """
    text = MESSAGES[id][LANGUAGES.index(lang)]
    return Markup(text).format(**values)
