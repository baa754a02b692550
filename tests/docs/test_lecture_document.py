"""The lecture's pages: built as a reader builds them, and held against the lecture's own figures.

The numbers here are the lecture's, from PyTorch in float32 or from a table; none is computed by
Slopewise.
"""

from __future__ import annotations

import ast
import base64
import html
import os
import re
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "docs" / "lecture" / "build.py"
LANGUAGES = ["en", "ko"]
SECTIONS = [
    "learning", "slope", "limit", "derivative-function", "automatic-differentiation",
    "requires-grad", "direction-and-size", "exponential", "own-derivative", "sigmoid",
    "vanishing-gradient", "remedies", "closing",
]  # fmt: skip
REMARKS = {
    "value": "learning", "square": "slope", "flat": "slope", "direction": "limit",
    "multiple": "derivative-function", "overshoot": "automatic-differentiation",
    "comment": "requires-grad", "necessary": "exponential", "minimum": "own-derivative",
    "swapped": "sigmoid", "zero": "vanishing-gradient", "weights": "vanishing-gradient",
    "steady": "remedies",
}  # fmt: skip
"""Each slip of the slides, and the section that puts it right."""
NO_GRAD = "element 0 of tensors does not require grad and does not have a grad_fn"
LATIN = (
    "Slopewise PyTorch NumPy requires_grad False float32 sgd lr ln sin cos exp sqrt tanh relu"
    " sigmoid softmax square ReLU Xavier He Glorot Bengio"
).split()
"""What a Korean reader finds in Latin letters outside of code: programs, functions, people."""
PARTICLES = (
    "을|를|이|가|은|는|과|와|로|으로|입니다|이다|이고|이며|이므로|이면|인|일|라는|이라는|보다"
)
WIDEST = 84


@dataclass
class Cell:
    """A cell as the page shows it."""

    code: str
    printed: str
    error: str


def clean(markup: str) -> str:
    """Return markup as text, formulas and all."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup)).replace("−", "-").strip()


class Page:
    """A page taken apart."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sections = dict(re.findall(r'<section id="([\w-]+)">(.*?)</section>', text, re.S))
        self.remarks = dict(
            re.findall(r'<aside class="remark" id="remark-(\w+)">(.*?)</aside>', text, re.S)
        )
        self.cells = [self._read_cell(part) for part in text.split('<div class="cell"')[1:]]

    @staticmethod
    def _read_cell(part: str) -> Cell:
        found = {
            kind: clean(body)
            for kind, body in re.findall(r'<pre class="(\w+)"[^>]*>(.*?)</pre>', part, re.S)
            if kind in ("code", "printed", "error")
        }
        return Cell(found["code"], found.get("printed", ""), found.get("error", ""))

    def find(self, *pieces: str) -> Cell:
        """Return the only cell whose code has all pieces."""
        (found,) = (c for c in self.cells if all(piece in c.code for piece in pieces))
        return found

    def prose(self) -> str:
        """Return what is read outside of code and formulas."""
        body = self.text[self.text.index("<body>") :]
        return re.sub(r"<(pre|code|math)\b.*?</\1>", " ", body, flags=re.S)


def numbers(text: str) -> list[str]:
    return re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("lecture") / "new"
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(BUILD), str(folder)],
        env=env, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def pages(built: tuple[Path, str]) -> dict[str, Page]:
    folder = built[0]
    return {
        lang: Page((folder / f"lecture.{lang}.html").read_text(encoding="utf-8"))
        for lang in LANGUAGES
    }


@pytest.fixture(params=LANGUAGES)
def page(request: pytest.FixtureRequest, pages: dict[str, Page]) -> Page:
    return pages[request.param]


# --- what is there ---


def test_the_build_writes_two_pages_and_says_so(built):
    folder, said = built
    assert sorted(path.name for path in folder.iterdir()) == ["lecture.en.html", "lecture.ko.html"]
    lines = said.splitlines()
    assert [Path(line).name for line in lines if line.endswith(".html")] == [
        "lecture.en.html", "lecture.ko.html",
    ]  # fmt: skip
    assert len(lines) <= 3  # one more where no font has Korean letters


def test_sections_follow_the_lecture(page):
    assert list(page.sections) == SECTIONS
    titles = re.findall(r"<h2>(.*?)</h2>", page.text)
    assert len(titles) == len(SECTIONS)
    listed = page.text[page.text.index("<nav") : page.text.index("</nav>")]
    assert re.findall(r'<a href="#([\w-]+)">(.*?)</a>', listed) == list(
        zip(SECTIONS, titles, strict=True)
    )


def test_links_lead_somewhere(page):
    ids = set(re.findall(r'id="([\w-]+)"', page.text))
    assert {link for link in re.findall(r'href="#([\w-]+)"', page.text) if link not in ids} == set()


def test_both_languages_run_the_same_cells(pages):
    class Mute(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            return ast.Constant("") if isinstance(node.value, str) else node

    english, korean = (
        [ast.dump(Mute().visit(ast.parse(cell.code))) for cell in pages[lang].cells]
        for lang in LANGUAGES
    )
    assert english == korean
    assert len(english) > 40


def test_both_languages_have_the_same_parts(pages):
    def outline(page: Page) -> list[str]:
        return re.findall(r"<(h2|h3|figure|aside|table|div class=\"\w+\")", page.text)

    assert outline(pages["en"]) == outline(pages["ko"])


def test_two_scores_of_softmax_are_a_sigmoid(page):
    assert page.find("dim=0)[0]").printed.splitlines() == ["0.880797"] * 2


def test_every_slip_is_put_right_where_it_belongs(page):
    assert set(page.remarks) == set(REMARKS)
    for remark, section in REMARKS.items():
        assert f'id="remark-{remark}"' in page.sections[section]


def test_pictures_are_there_and_say_what_they_show(pages):
    shown = {
        lang: re.findall(r'<img[^>]* src="([^"]*)"[^>]* alt="([^"]*)"', pages[lang].text)
        for lang in LANGUAGES
    }
    assert len(shown["en"]) == len(shown["ko"]) == pages["en"].text.count("<img") >= 15
    for lang, pictures in shown.items():
        for source, alt in pictures:
            head, _, content = source.partition(",")
            assert head == "data:image/svg+xml;base64"
            assert b"<svg" in base64.b64decode(content)
            assert len(alt) > 8
            assert bool(re.search(r"[가-힣]", alt)) == (lang == "ko")


def test_formulas_are_well_formed(page):
    formulas = re.findall(r"<math.*?</math>", page.text, re.S)
    assert len(formulas) > 150
    for formula in formulas:
        ElementTree.fromstring(formula)


def test_pages_need_nothing_from_elsewhere(page):
    assert "<script" not in page.text
    known = {"http://www.w3.org/1998/Math/MathML"}
    assert set(re.findall(r'https?://[^"\s<)]+', page.text)) <= known
    assert "{{" not in page.prose()
    assert "{%" not in page.prose()


def test_code_fits_the_page(page):
    for cell in page.cells:
        for line in cell.code.splitlines():
            columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
            assert columns <= WIDEST, line


# --- what it says ---


def test_first_cell_and_first_step(page):
    first = page.find("import slopewise as torch", "L = (w - 3) ** 2")
    assert numbers(first.printed) == ["1.000000", "4.0", "2.0"]
    step = page.find("import slopewise.optim as optim")
    assert numbers(step.printed) == ["2.0"]


def test_without_requires_grad_the_error_says_what_to_do(page):
    failed = page.find("requires_grad=False")
    kind, _, message = failed.error.partition(": ")
    assert kind == "GradientError"
    assert message.startswith(NO_GRAD)
    assert "`w` is a constant: line 1 says" in message
    assert "write `w = torch.tensor(4.0, requires_grad=True)`" in message
    assert [cell for cell in page.cells if cell.error] == [failed]


def test_exponential_and_linear_losses(page):
    exponential = page.find("L = torch.exp(w)")
    assert numbers(exponential.printed) == ["54.598148", "4.0", "54.598148345947266", "-50.598148"]
    linear = page.find("\nL = w\n")
    assert numbers(linear.printed) == ["4.000000", "4.0", "1.0", "3.000000"]


def test_values_of_exp(page):
    printed = page.find("math.exp").printed
    values = [line.partition("exp(x) = ")[2] for line in printed.splitlines()]
    assert values == [
        "0.0024787521766663585", "0.049787068367863944", "0.36787944117144233", "1.0",
        "2.718281828459045", "20.085536923187668", "403.4287934927351",
    ]  # fmt: skip


def test_sigmoid_of_numpy(page):
    assert page.find("y_linear").printed == "0.0066928509242848554 ~ 0.9996646498695336"


def test_sigmoid_and_its_slope_by_the_formula(page):
    rows = page.find("grad = y * (1 - y)").printed.splitlines()
    read = [re.fullmatch(r"x= *(\S+) → sigmoid=(\S+), gradient=(\S+)", row) for row in rows]
    assert [row and float(row[1]) for row in read] == [-20, -4, -2, 0, 2, 4, 20]
    assert [row and row[2] for row in read] == [
        "0.000000", "0.017986", "0.119203", "0.500000", "0.880797", "0.982014", "1.000000",
    ]  # fmt: skip
    slopes = [0, 0.01766271, 0.10499358, 0.25, 0.10499363, 0.01766273, 0]
    # The last digit of y in float32 moves the product by up to 2**-24.
    assert [float(row[3]) for row in read if row] == pytest.approx(slopes, rel=0, abs=7e-8)


def test_automatic_slope_is_right_on_both_far_sides(page):
    printed = page.find("far.grad").printed.split()
    assert [float(x) for x in printed] == pytest.approx([2.0611536e-09] * 2, rel=2e-7)


def test_slopes_of_the_sigmoid_over_the_range(page):
    most, least = map(float, page.find("def calculate_slope").printed.split())
    assert most == pytest.approx(0.24936339, abs=1e-8)
    assert least == pytest.approx(4.5395807e-05, abs=1e-12)


def test_average_rate_and_slopes(page):
    assert page.find("average =").printed == "(1 - 0) / (4 - 3) = 1.0"
    assert numbers(page.find("slope = sw.grad(L)").printed) == ["4.0", "1.0", "2.0", "3.0", "0.0",
                                                               "0.0"]  # fmt: skip
    assert page.find("by_terms.result").printed.splitlines() == [
        "L'(w) = 2w - 6", "L'(4.0) = 2", "L'(3.0) = 0",
    ]  # fmt: skip
    at_4, at_3 = re.findall(r"<table>(.*?)</table>", page.sections["limit"], re.S)
    steps = [1, 0.5, 0.1, 0.01, 0.001, 0.0001]
    for table, end in ((at_4, 2), (at_3, 0)):  # (f(a + h) - f(a))/h of a square is f'(a) + h
        rows = re.findall(r"<tr><td.*?</tr>", table)
        rates = [float(clean(re.findall(r"<td[^>]*>(.*?)</td>", row)[2])) for row in rows]
        assert rates == pytest.approx([end + h for h in steps], rel=1e-6)


def test_the_lectures_own_rate_oscillates_and_which_rates_converge(page):
    assert page.find("lr=1.0, steps=6").printed == "4.0 → 2.0 → 4.0 → 2.0 → 4.0 → 2.0 → 4.0"
    printed = page.find("for rate in").printed
    ends = dict(re.findall(r" (\d\.\d):  w = (\S+)", printed))
    # The distance to 3 after 20 steps is (1 - 2 lr)^20.
    assert {rate: float(end) for rate, end in ends.items()} == pytest.approx(
        {"0.1": 3.011529215, "0.3": 3.000000011, "0.5": 3.0, "0.7": 3.000000011,
         "0.9": 3.011529215, "1.0": 4.0, "1.1": 41.337599924},
        abs=1e-9,
    )  # fmt: skip
    said = clean(page.sections["direction-and-size"])
    assert "0<η<1" in said
    assert "η=0.5" in said


def test_sigmoid_table(page):
    said = page.sections["sigmoid"]
    rows = [clean(row) for row in re.findall(r"<tr>(.*?)</tr>", said, re.S)][1:4]
    assert [row.split("\n")[-1].strip() for row in rows] == ["0.119", "0.5", "0.881"]
    assert "7.389" in rows[0]
    assert "0.135" in rows[2]


@pytest.mark.parametrize(
    ("remark", "pieces"),
    [
        ("square", ["L(4)=(4-3)=1", "L(4)=(4-3)2=1", "L(5)=(5-3)2=4"]),
        ("overshoot", ["(2-3)2=1"]),
        ("necessary", ["(ax)′=axlna", "ln2≈0.693147", "ln10≈2.30259", "1"]),
        ("minimum", ["-50.5982", "1.06×10-22"]),
        ("swapped", ["e-(-2)=e2≈7.389", "≈0.119", "σ(2)", "≈0.881"]),
        ("steady", ["2n+m", "2n"]),
    ],
)
def test_remarks_give_the_right_numbers(page, remark, pieces):
    said = clean(page.remarks[remark])
    assert [piece for piece in pieces if piece not in said] == []


def test_two_losses_are_not_said_to_converge(pages):
    english, korean = (clean(pages[lang].sections["own-derivative"]) for lang in LANGUAGES)
    assert "unbounded below" in english
    assert "it creeps" in english
    assert "아래로 끝이 없음" in korean
    assert "수렴한 것이 아닙니다" in korean


def test_ten_sigmoids_leave_a_quarter_to_the_tenth_at_most(page):
    said = clean(page.sections["vanishing-gradient"])
    assert "9.53674e-07" in said  # 0.25 to the tenth
    assert "0.25×0.25×0.25×⋯" in said
    sizes = [float(x) for x in re.findall(r": (\S+e-\d+)", page.find("sizes =").printed)]
    assert len(sizes) == 10
    assert sizes == sorted(sizes)
    assert sizes[0] < 1e-6 * sizes[-1]


def test_normalisation_goes_over_the_axis_that_is_said(page):
    printed = page.find("BatchNorm1d(13, affine=False)").printed
    ranges = [
        (float(a), float(b)) for a, b in re.findall(r": (-?\d+\.\d+) ~ (-?\d+\.\d+)", printed)
    ]
    before, batch, layer, columns = (ranges[i : i + 2] for i in range(0, 8, 2))
    assert before[1][1] > 90_000
    assert batch[0] == (0.0, 0.0)
    assert batch[1] == pytest.approx((1, 1), abs=1e-3)
    assert layer[0] == (0.0, 0.0)
    assert layer[1] == pytest.approx((1, 1), abs=1e-3)
    assert columns[0][1] > 1
    assert columns[1][1] < 0.1


def test_initialisation_keeps_the_scale(page):
    rows = [
        [float(x) for x in line.split(":")[1].split()]
        for line in page.find("def follow").printed.splitlines()
    ]
    small, large, steady = zip(*rows, strict=True)
    assert small[-1] < 1e-9
    assert large[-1] > 0.9
    assert 0.1 < min(steady) < max(steady) < 1


def test_sweeps_stand_beside_the_bound_and_every_remedy_lifts_the_gradient(page):
    # 0.25 ** 20 is 9.09e-13; half a ReLU's energy passes, so twenty leave about 2 ** -10 by A.
    assert "9.1" in clean(page.sections["vanishing-gradient"])
    printed = page.find("sweep_depth(name").printed
    left = {row.split()[0]: float(row.split()[1]) for row in printed.splitlines()}
    assert list(left) == ["sigmoid", "tanh", "relu", "batch_norm", "layer_norm", "xavier", "he",
                          "orthogonal", "residual"]  # fmt: skip
    assert left["sigmoid"] < 0.25**20
    for name in ("batch_norm", "xavier", "he", "orthogonal", "residual"):
        assert left[name] > 0.05
    he = next(row for row in printed.splitlines() if row.startswith("he "))
    passed = float(re.search(r"A ([\d.e+-]+)", he)[1])
    assert 2**-12 < passed < 2**-8


def test_the_closing_model_learns(page):
    printed = page.find("F.cross_entropy").printed
    losses = [float(x) for x in re.findall(r"L = (\S+)", printed)]
    assert losses == sorted(losses, reverse=True)
    right, of = map(int, re.findall(r"\d+", printed.splitlines()[-1]))
    assert of == 178
    assert right > 170


# --- Korean ---


def test_korean_has_no_english(pages):
    page = pages["ko"]
    text = html.unescape(re.sub(r"<[^>]*>", " ", page.prose()))
    alts = " ".join(re.findall(r'alt="([^"]*)"', page.text))
    words = re.findall(r"[A-Za-z_]{2,}(?:32)?", f"{text} {alts}")
    assert {word for word in words if word not in LATIN} == set()


def test_korean_code_has_korean_words(pages):
    for english, korean in zip(pages["en"].cells, pages["ko"].cells, strict=True):
        comments = re.findall(r"# (.*)$", english.code, re.M)
        told = re.findall(r"# (.*)$", korean.code, re.M)
        for before, after in zip(comments, told, strict=True):
            assert re.search(r"[가-힣]", after) or before == after == "w ← w - lr * grad"


def test_no_particle_touches_a_formula(pages):
    found = re.findall(
        rf".{{0,30}}(?:</math>|</code>)\s?(?:{PARTICLES})(?![가-힣]).{{0,10}}", pages["ko"].text
    )
    assert found == []
