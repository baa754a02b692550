"""What labels are written with: a language, a font that has its letters, names of layers.

Invariant: a label is never drawn with a font that lacks one of its letters; where no Korean font is
found, labels are English and the page can say so. It is separate because all pictures share it.
"""

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties

from slopewise.drawing.fonts import find_korean_font
from slopewise.report.messages import MESSAGES, say


class Pen:
    """Writes labels in a language, or in English where no font has its letters.

    Parameters
    ----------
    lang : {'en', 'ko'}
        Which language is wanted.
    """

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.font: FontProperties | None = None
        if lang == "ko":
            ids = [id for id in MESSAGES if id.startswith(("axis.", "line.", "layer."))]
            letters = "".join(MESSAGES[id][1] for id in ids) + "0123456789.,"
            plain = letters.replace("{number}", "").replace("{epoch}", "")
            self.font = find_korean_font(plain.replace(" ", ""))
        self.missing = lang == "ko" and self.font is None
        self.written = "en" if self.missing else lang

    def write(self, id: str, **values: Any) -> str:
        """A label's text."""
        return str(say(id, self.written, **values))

    def scale(self, size: float) -> FontProperties:
        """The font in a size."""
        font = self.font.copy() if self.font is not None else FontProperties()
        font.set_size(size)
        return font

    def label(self, axes: Axes, x: str, y: str) -> None:
        """Write the labels of the axes."""
        axes.set_xlabel(self.write(x), fontproperties=self.scale(11))
        axes.set_ylabel(self.write(y), fontproperties=self.scale(11))


def name_layer(layer: str, norm: str, write: Callable[..., Any]) -> str:
    """A layer's name for people.

    Parameters
    ----------
    layer : str
        `hidden1`, `norm1`, `output` or `linear_path`.
    norm : str
        Which normalisation the network has.
    write : callable
        Gives a text for a message id and its values.

    Returns
    -------
    str
        The name itself where it is not known.

    Examples
    --------
    >>> name_layer("norm2", "batch", lambda id, **v: say(id, "en", **v))
    'batch norm 2'
    """
    for word in ("hidden", "norm"):
        number = layer.removeprefix(word)
        if number != layer and number.isdigit():
            kind = f".{norm}" if word == "norm" and norm in ("batch", "layer") else ""
            return str(write(f"layer.{word}{kind}", number=number))
    known = {"output": "layer.output", "linear_path": "layer.path"}
    return str(write(known[layer])) if layer in known else layer
