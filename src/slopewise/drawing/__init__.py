"""Drawing: what all pictures share, below reports and explanations.

Invariant: pyplot is never imported, the user's matplotlib settings are neither read nor changed for
good, and nothing here knows what is drawn. It is separate because the report, the explanations and
the diagnosis all draw, and none of them may know the others.
"""

from slopewise.drawing.diagrams import Arrow as Arrow
from slopewise.drawing.diagrams import Box as Box
from slopewise.drawing.diagrams import draw_diagram as draw_diagram
from slopewise.drawing.picture import Picture as Picture
from slopewise.drawing.picture import Sheet as Sheet
from slopewise.drawing.picture import choose_language as choose_language
from slopewise.drawing.picture import open_sheet as open_sheet
