"""The gradient-flow picture of a run, in the page's colours and fonts.

Invariant: what is drawn is the watch's own picture; only colours, font and description are the
page's. It is separate because it is the one picture that gradient health draws.
"""

from markupsafe import Markup

from slopewise.health.flow import draw_flow
from slopewise.health.telling import WATCHED
from slopewise.health.watch import Watch
from slopewise.report.canvas import SERIES, make_figure, own_settings, render_figure
from slopewise.report.pen import Pen


def draw_watch(watch: Watch, pen: Pen) -> Markup | None:
    """The gradient over layers and time, and the factors at the last look.

    Parameters
    ----------
    watch : Watch
        What was seen.
    pen : Pen
        Writes the labels.

    Returns
    -------
    Markup or None
        An SVG element; None where there was no look.
    """
    if not watch.looks:
        return None
    with own_settings():
        figure = make_figure(7.2, 1.9 + 0.26 * max(5, len(watch.names)))
        draw_flow(figure, watch, pen.written, pen.scale(10), SERIES)
        told = WATCHED["picture"][1 if pen.lang == "ko" else 0]
        return render_figure(figure, "flow", told)
