"""`slopewise check`: verdicts as exit codes, of runs and of files that build models."""

import json
import sys

import numpy as np
import pytest
from tests.cli.conftest import QUICK, write_csv

OWN = """
from slopewise import nn, optim

def faulty():
    layers, width = [], 3
    for _ in range(9):
        layer = nn.Linear(width, 5)
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        layers += [layer, nn.Sigmoid()]
        width = 5
    return nn.Sequential(*layers, nn.Linear(5, 3))

def sound():
    model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 3))
    return model, nn.functional.cross_entropy, optim.Adam(model.parameters(), lr=0.01)

def number():
    return 3

def fails():
    raise ValueError("out of luck\\nand more")

def leaves():
    raise SystemExit(0)

def pair():
    return sound()[0], "mse"
"""
TORCH = """
import torch

def sound():
    model = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    return model

def faulty():
    layers, width = [], 3
    for _ in range(9):
        layers += [torch.nn.Linear(width, 5), torch.nn.Sigmoid()]
        width = 5
    return torch.nn.Sequential(*layers, torch.nn.Linear(5, 3))
"""


@pytest.fixture
def models(place):
    random = np.random.default_rng(0)
    k = np.arange(240) % 3
    x = (random.normal(size=(240, 3)) + k[:, None] * [2, 0, -1]).round(3)
    write_csv(place / "k.csv", {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2],
                                "k": np.array(["p", "q", "r"])[k]})  # fmt: skip
    (place / "own.py").write_text(OWN)
    (place / "theirs.py").write_text(TORCH)
    return place


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_run_is_checked_on_its_own_table(call, place, lang):
    assert call("train", "t.csv", "--target", "c", "--out", "run", *QUICK)[0] == 0
    code, out, err = call("check", "run", "--lang", lang)
    assert (code, err) == (0, "")
    assert ("Verdict:" if lang == "en" else "판정:") in out
    assert ("output" if lang == "en" else "출력층") in out
    assert sorted(p.name for p in (place / "run").iterdir()) == sorted(
        ["checkpoint.safetensors", "history.csv", "metrics.json", "model.json",
         "model.safetensors", "report.html"])  # fmt: skip


def test_a_run_of_a_deep_sigmoid_network_is_faulty(call, place):
    call("train", "t.csv", "--target", "y", "--out", "run", "--hidden", ",".join(["6"] * 10),
         "--activation", "sigmoid", "--init", "he", "--epochs", "3")  # fmt: skip
    code, out, _ = call("check", "run", "--data", "t.csv", "--format", "json")
    found = json.loads(out)
    assert code == 1
    assert (found["verdict"], found["subject"]) == ("vanishing", "run")
    assert found["findings"][0]["cause"] == "activation"


@pytest.mark.parametrize(("name", "expected"), [("faulty", 1), ("sound", 0)])
def test_a_function_is_run_after_a_warning(call, models, name, expected):
    code, out, err = call("check", f"own.py:{name}", "--data", "k.csv")
    assert code == expected
    assert err == "warning: this runs the file own.py; check only files that you trust\n"
    assert out.startswith("Verdict: vanishing gradient." if expected else "Verdict: healthy.")
    assert "slopewise_check_own" in sys.modules


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "expected"), [("faulty", 1), ("sound", 0)])
def test_a_model_of_pytorch(call, models, name, expected):
    pytest.importorskip("torch").manual_seed(0)
    code, out, _ = call("check", f"theirs.py:{name}", "--data", "k.csv", "--format", "json")
    assert code == expected
    assert json.loads(out)["healthy"] is (expected == 0)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_page(call, models, lang):
    code, out, err = call("check", "own.py:faulty", "--data", "k.csv", "--format", "html", "--out",
                          "page.html", "--lang", lang)  # fmt: skip
    page = (models / "page.html").read_text()
    assert (code, out) == (1, "")
    assert "page.html" in err
    assert page.startswith(f'<!doctype html>\n<html lang="{lang}">')
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "")


WRONG = {
    "no folder": (["nowhere"], "neither a folder"),
    "no run": (["."], "not the folder of a training run"),
    "no data": (["own.py:sound"], "--data"),
    "no file": (["gone.py:sound", "--data", "k.csv"], "no file gone.py"),
    "no table": (["own.py:sound", "--data", "gone.csv"], "gone.csv"),
    "no column": (["own.py:sound", "--data", "k.csv", "--target", "z"], "no column `z`"),
    "text": (["own.py:sound", "--data", "t.csv", "--target", "y"], "`w` holds text"),
    "no function": (["own.py:gone", "--data", "k.csv"], "no function gone"),
    "no model": (["own.py:number", "--data", "k.csv"], "not int"),
    "fails": (["own.py:fails", "--data", "k.csv"], "ValueError: out of luck (line 21)"),
    "leaves": (["own.py:leaves", "--data", "k.csv"], "SystemExit: 0 (line 24)"),
    "pair": (["own.py:pair", "--data", "k.csv"], "not (Sequential, str)"),
    "shapes": (["own.py:sound", "--data", "k.csv", "--sql", "select a, k from data"], "own.py"),
}


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_line_and_exit_code_2(call, models, name, lang):
    words, said = WRONG[name]
    code, out, err = call("check", *words, "--lang", lang)
    lines = [line for line in err.splitlines() if not line.startswith(("warning", "주의"))]
    assert (code, out, len(lines)) == (2, "", 1)
    assert lang == "ko" or said in lines[0] or name == "shapes"
    assert lang == "en" or not lines[0].isascii()
