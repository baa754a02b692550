"""Diagrams: boxes apart from each other, layers in the order of the arrows, the same every time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from slopewise.drawing import Arrow, Box, draw_diagram
from slopewise.drawing.diagrams import place_boxes


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[Arrow]]:
    count = draw(st.integers(1, 40))
    pairs = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))))
    return count, [Arrow(max(a, b), min(a, b)) for a, b in pairs if a != b]


@settings(deadline=None, max_examples=150)
@given(graphs())
def test_places(graph: tuple[int, list[Arrow]]) -> None:
    count, arrows = graph
    places, routes = place_boxes(count, arrows)
    assert len(places) == count
    for i, (x, y) in enumerate(places):
        for other in places[i + 1 :]:
            assert other[1] != y or abs(other[0] - x) >= 0.99
    for arrow in arrows:
        assert places[arrow.start][1] > places[arrow.stop][1]
        layers = [places[arrow.start][1], *(y for _, y in routes[arrow.start, arrow.stop]),
                  places[arrow.stop][1]]  # fmt: skip
        assert layers == list(range(layers[0], layers[-1] - 1, -1))
    assert place_boxes(count, arrows) == (places, routes)


def test_a_diagram() -> None:
    boxes = [Box(("a leaf",), "leaf"), Box(("b", "2"), "root"), Box(("<&>" * 30,))]
    arrows = [Arrow(1, 0, "×2"), Arrow(1, 2)]
    svg = draw_diagram(boxes, arrows, "en", lambda lang: f"boxes in {lang}").svg()
    assert 'aria-label="boxes in en"' in svg
    assert draw_diagram([Box(("alone",))], [], "ko", lambda lang: lang).png()


def test_two_hundred_boxes() -> None:
    arrows = [Arrow(i, i // 2) for i in range(1, 200)] + [Arrow(i, i - 1) for i in range(9, 200, 9)]
    assert len(draw_diagram([Box((str(i),)) for i in range(200)], arrows, "en", str).svg()) > 1000
