"""Says anything in one language: messages, cells, figures of merit, notices.

Invariant: what it returns is escaped markup or plain text that autoescape will treat; templates get
their words from here only. It is separate because templates and code must word things alike.
"""

from typing import Any

from markupsafe import Markup

from slopewise.health.telling import speak_notice
from slopewise.report.cells import clean_text, mark_text, mark_value
from slopewise.report.digits import format_count, format_number, format_percent
from slopewise.report.messages import MESSAGES, say
from slopewise.report.readings import NOISE, format_loss
from slopewise.report.wording.notices import REASONS


class Speaker:
    """Says everything in one language.

    Parameters
    ----------
    lang : {'en', 'ko'}
        Which language.
    """

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def words(self) -> dict[str, Any]:
        """What templates may call."""
        return {
            "say": self.say,
            "text": mark_text,
            "value": self.value,
            "number": format_number,
            "loss": format_loss,
            "count": format_count,
            "percent": self.percent,
            "code": lambda text: Markup("<code>{}</code>").format(clean_text(str(text))),
            "label": self.label,
        }

    def say(self, id: str, **values: Any) -> Markup:
        """A message."""
        return say(id, self.lang, **values)

    def value(self, value: Any, limit: int = 40) -> Markup:
        """A cell's value."""
        return mark_value(value, self.lang, limit)

    def percent(self, share: Any) -> str:
        """A share."""
        return format_percent(share, self.lang)

    def label(self, label: str) -> str:
        """A candidate's label."""
        text = clean_text(str(label)).replace("linear path", str(self.say("label.path")))
        return text.replace("linear", str(self.say("label.linear")))

    def name_source(self, source: str) -> Markup:
        """What the table is called."""
        return self.say("source.array") if source == "the table" else mark_text(source, 80)

    def figure(self, name: str, value: Any) -> str:
        """A figure of merit."""
        if name == "accuracy":
            return self.percent(value)
        if name == "rows":
            return format_count(value)
        return format_number(value, 4, NOISE)

    def notice(self, id: str, values: dict[str, Any], english: str) -> Markup:
        """A notice of training; one that has no wording here is said in English."""
        if id == "gradient_health":
            values = speak_notice(values, self.lang)
        message = f"notice.{id}"
        shown = {name: self._notice_value(name, value) for name, value in values.items()}
        if message in MESSAGES:
            try:
                return self.say(message, **shown)
            except KeyError:
                pass
        return mark_text(english, 400)

    def _notice_value(self, name: str, value: Any) -> Any:
        """A value that a notice names."""
        if name == "reason":
            for pattern, id in REASONS:
                found = pattern.fullmatch(str(value))
                if found:
                    return self.say(id, **found.groupdict())
        if isinstance(value, int) and not isinstance(value, bool) and name != "label":
            return format_count(value)
        return self.value(value)
