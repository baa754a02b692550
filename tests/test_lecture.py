"""The lecture's cells run as they stand in `examples/lecture_cells.py` and print its numbers.

The printed text is PyTorch's, in float32, taken from the lecture. The same file runs on PyTorch
itself with its import lines changed back, which shows that nothing else in it was changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / "examples" / "lecture_cells.py"
NO_GRAD = "element 0 of tensors does not require grad and does not have a grad_fn"

PRINTED = {
    1: "L(w)=w2-w1: 1.000000\n업데이트전 w값: 4.0\n도함수적용(미분): 2.0\n",
    2: "역전파된 w값: 2.0\n",
    4: (
        "L(w)=w2-w1: 54.598148\n업데이트 전 w값: 4.0\n"
        "도함수 적용(미분): 54.598148345947266\n업데이트 후 w값: -50.598148\n"
    ),
    5: (
        "L(w)=w2-w1: 4.000000\n업데이트 전 w값: 4.0\n"
        "도함수 적용(미분): 1.0\n업데이트 후 w값: 3.000000\n"
    ),
    6: (
        "x = -6, exp(x) = 0.0024787521766663585\n"
        "x = -3, exp(x) = 0.049787068367863944\n"
        "x = -1, exp(x) = 0.36787944117144233\n"
        "x = 0, exp(x) = 1.0\n"
        "x = 1, exp(x) = 2.718281828459045\n"
        "x = 3, exp(x) = 20.085536923187668\n"
        "x = 6, exp(x) = 403.4287934927351\n"
    ),
    7: "0.0066928509242848554 ~ 0.9996646498695336\n",
}

# y * (1 - y) may differ by what the last float32 digit of y does to it: PyTorch's own sigmoid(2) is
# 0.8 units off the true value, and one that is correctly rounded prints 0.10499357 there.
LAST_DIGIT = {-4.0: 2.0**-29, -2.0: 2.0**-27, 2.0: 2.0**-24, 4.0: 2.0**-24}
PRINTED_DIGIT = 1e-8
SIGMOID_ROWS = [
    ("-20.0", "0.000000", 0.00000000),
    (" -4.0", "0.017986", 0.01766271),
    (" -2.0", "0.119203", 0.10499358),
    ("  0.0", "0.500000", 0.25000000),
    ("  2.0", "0.880797", 0.10499363),
    ("  4.0", "0.982014", 0.01766273),
    (" 20.0", "1.000000", 0.00000000),
]


def cells(source: str) -> dict[int, str]:
    """Split at the `# %% Cell N` lines; each cell keeps its line numbers in the file."""
    starts = [(int(m[1]), m.start()) for m in re.finditer(r"^# %% Cell (\d+)", source, re.M)]
    ends = [start for _, start in starts[1:]] + [len(source)]
    return {
        number: "\n" * source.count("\n", 0, start) + source[start:end]
        for (number, start), end in zip(starts, ends, strict=True)
    }


def run_cells(source: str) -> tuple[dict[int, str], dict[str, Any]]:
    """Run every cell in one namespace; return what each printed, and the namespace."""
    plt = pytest.importorskip("matplotlib.pyplot")
    printed: dict[int, str] = {}
    names: dict[str, Any] = {"__name__": "lecture"}
    for number, cell in cells(source).items():
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(cell, str(FILE), "exec"), names)
        printed[number] = output.getvalue()
    plt.close("all")
    return printed, names


@pytest.fixture(scope="module")
def run() -> tuple[dict[int, str], dict[str, Any]]:
    return run_cells(FILE.read_text(encoding="utf-8"))


def check_sigmoid_rows(printed: str) -> None:
    lines = printed.splitlines()
    assert len(lines) == len(SIGMOID_ROWS)
    for line, (x, sigmoid, gradient) in zip(lines, SIGMOID_ROWS, strict=True):
        head, _, tail = line.rpartition("gradient=")
        assert head == f"x={x} → sigmoid={sigmoid}, "
        assert re.fullmatch(r"\d\.\d{8}", tail)
        digit = LAST_DIGIT.get(float(x))
        allowed = 0.0 if digit is None else digit + PRINTED_DIGIT
        assert float(tail) == pytest.approx(gradient, rel=0, abs=allowed)


def test_every_cell_is_there(run):
    assert sorted(run[0]) == list(range(1, 10))


@pytest.mark.parametrize("number", sorted(PRINTED))
def test_cell_prints_the_lectures_text(run, number):
    assert run[0][number] == PRINTED[number]


def test_cell_3_says_what_pytorch_says_and_then_what_to_do(run):
    message = run[0][3]
    assert message.startswith(f"RuntimeError: {NO_GRAD}")
    lines = FILE.read_text(encoding="utf-8").splitlines()
    line = 1 + next(i for i, text in enumerate(lines) if "requires_grad=False)" in text)
    assert "`w`" in message
    assert re.search(rf"\bline {line}\b", message)
    assert "requires_grad=True" in message


def test_cell_8_prints_the_sigmoid_and_its_slope(run):
    check_sigmoid_rows(run[0][8])


def test_cell_9_slopes_are_symmetric_and_never_above_a_quarter(run):
    slopes = run[1]["slopes"]
    assert len(slopes) == 100
    assert slopes == pytest.approx(slopes[::-1], rel=1e-15)
    assert max(slopes) == pytest.approx(0.24936339, abs=1e-8)
    assert min(slopes) == pytest.approx(4.5395807e-05, abs=1e-12)


def test_the_file_runs_as_a_program(run, tmp_path):
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, str(FILE)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(run[0][number] for number in sorted(run[0]))


@pytest.mark.oracle
def test_the_same_file_runs_on_pytorch_with_its_imports_changed_back():
    pytest.importorskip("torch")
    source = FILE.read_text(encoding="utf-8")
    changed = re.sub(r"^import slopewise as torch$", "import torch", source, flags=re.M)
    changed = re.sub(r"^import slopewise\.", "import torch.", changed, flags=re.M)
    different = [
        line
        for line, other in zip(source.splitlines(), changed.splitlines(), strict=True)
        if line != other
    ]
    assert different
    assert all(line.startswith("import ") for line in different)
    printed, names = run_cells(changed)
    for number, text in PRINTED.items():
        assert printed[number] == text
    assert printed[3].startswith(f"RuntimeError: {NO_GRAD}")
    check_sigmoid_rows(printed[8])
    assert max(names["slopes"]) == pytest.approx(0.24936339, abs=1e-8)
    assert min(names["slopes"]) == pytest.approx(4.5395807e-05, abs=1e-12)
