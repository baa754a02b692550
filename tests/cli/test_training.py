"""`train` and `demo`: what they write, what they say, and that they stop and go on."""

from __future__ import annotations

import _thread
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from slopewise.cli.training import Interrupt

FILES = [
    "checkpoint.safetensors",
    "history.csv",
    "metrics.json",
    "model.json",
    "model.safetensors",
    "report.html",
]
QUICK = ["--hidden", "4", "--epochs", "2"]
RESULTS = ["history.csv", "metrics.json", "model.json", "model.safetensors"]


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


def start(*words: str) -> subprocess.Popen:
    """The command line in a process of its own."""
    code = f"import sys; sys.path[:0] = {sys.path!r}; from slopewise.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process) -> None:
    for _ in range(600):
        if condition() or process.poll() is not None:
            return
        time.sleep(0.05)


def press_ctrl_c(checkpoint) -> None:
    """Wait for training to have begun, and interrupt the main thread."""
    while not checkpoint.exists():
        time.sleep(0.01)
    time.sleep(0.2)
    _thread.interrupt_main()


def test_what_is_written_and_said(call, place):
    code, out, err = call("train", "t.csv", "--target", "c", "--out", "run", *QUICK)
    assert code == 0
    assert names("run") == FILES
    assert names(place) == ["run", "t.csv"]
    assert str(place / "run" / "report.html") in out
    assert "accuracy" in out
    assert "learning `c`: one of 2 classes" in err
    assert "\x1b" not in out + err
    metrics = json.loads((place / "run" / "metrics.json").read_text())
    assert metrics["task"] == "classification"
    assert set(metrics["test"]) == {"accuracy", "log_loss", "roc_auc", "rows"}
    page = (place / "run" / "report.html").read_text(encoding="utf-8")
    assert "<i>&" not in page


def test_regression_in_korean(call, place):
    code, out, err = call("train", "t.csv", "--target", "y", "--lang", "ko", *QUICK)
    assert code == 0
    assert names("t-run") == FILES
    assert "보고서" in out
    assert "학습할 열 `y`" in err
    assert 'lang="ko"' in (place / "t-run" / "report.html").read_text(encoding="utf-8")


def test_quiet_says_nothing(call):
    assert call("train", "t.csv", "--target", "y", "--quiet", *QUICK) == (0, "", "")


def test_an_earlier_run_is_replaced_and_the_same_again_is_the_same(call, place):
    call("train", "t.csv", "--target", "y", *QUICK)
    before = [(place / "t-run" / name).read_bytes() for name in RESULTS]
    (place / "t-run" / "mine.txt").write_text("keep")
    assert call("train", "t.csv", "--target", "y", *QUICK)[0] == 0
    assert [(place / "t-run" / name).read_bytes() for name in RESULTS] == before
    assert (place / "t-run" / "mine.txt").read_text() == "keep"


def test_a_folder_of_something_else_is_left_alone(call, place):
    (place / "d").mkdir()
    (place / "d" / "mine.txt").write_text("keep")
    code, _, err = call("train", "t.csv", "--target", "y", "--out", "d", *QUICK)
    assert code == 2
    assert "not the folder of an earlier run" in err
    assert names("d") == ["mine.txt"]
    assert call("train", "t.csv", "--target", "y", "--out", "t.csv", *QUICK)[0] == 2


def test_resume_goes_on_with_the_runs_own_options(call, place):
    options = ["--hidden", "5", "--seed", "4", "--drop", "c"]
    call("train", "t.csv", "--target", "y", "--out", "whole", "--epochs", "5", *options)
    call("train", "t.csv", "--target", "y", "--out", "part", "--epochs", "2", *options)
    assert call("train", "--resume", "part", "--epochs", "5")[0] == 0
    for name in RESULTS:
        assert (place / "part" / name).read_bytes() == (place / "whole" / name).read_bytes()
    again = ["t.csv", "--target", "y", *options, "--resume", "part", "--out", "other"]
    assert call("train", *again, "--epochs", "5")[0] == 0
    for name in RESULTS:
        assert (place / "other" / name).read_bytes() == (place / "whole" / name).read_bytes()
    code, _, err = call("train", "--resume", "part", "--seed", "5")
    assert (code, "--seed is 5" in err) == (2, True)


def test_resume_of_nothing(call):
    code, _, err = call("train", "--resume", "none")
    assert code == 2
    assert "no checkpoint" in err


def test_ctrl_c_keeps_the_best_and_resume_ends_alike(call, place):
    options = ["train", "t.csv", "--target", "c", "--hidden", "16", "--epochs", "60"]
    options += ["--patience", "500", "--batch", "2"]
    whole = [*options, "--out", "whole"]
    assert call(*whole)[0] == 0
    checkpoint = place / "part" / FILES[0]
    presser = threading.Thread(target=press_ctrl_c, args=(checkpoint,))
    presser.start()
    code, out, _ = call(*options, "--out", "part")
    presser.join()
    assert code == 130
    assert "the best so far is kept" in out
    assert names("part") == FILES
    assert json.loads((place / "part" / "metrics.json").read_text())["stopped"] == "interrupted"
    assert call("predict", "part", "t.csv")[0] == 0
    assert call("train", "--resume", "part")[0] == 0
    for name in RESULTS:
        assert (place / "part" / name).read_bytes() == (place / "whole" / name).read_bytes()


def test_a_kill_at_any_moment_leaves_a_usable_checkpoint(call, place):
    options = ["train", "t.csv", "--target", "c", "--hidden", "16", "--epochs", "60"]
    options += ["--patience", "500", "--batch", "2"]
    assert call(*options, "--out", "whole")[0] == 0
    for delay in (0.0, 0.7, 1.6):
        process = start(*options, "--out", f"part{delay}")
        folder = place / f"part{delay}"
        wait_for(lambda folder=folder: (folder / FILES[0]).exists(), process)
        time.sleep(delay)
        process.kill()
        process.communicate(timeout=60)
        assert call("train", "--resume", folder)[0] == 0
        assert names(folder) == FILES
        for name in RESULTS:
            assert (folder / name).read_bytes() == (place / "whole" / name).read_bytes()


def test_a_second_ctrl_c_does_not_wait():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.wanted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_before_training_writes_nothing(call, place, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("slopewise.cli.training.fit", interrupt)
    code, _, err = call("train", "t.csv", "--target", "y")
    assert (code, names(place)) == (130, ["t.csv"])
    assert "nothing was written" in err


def test_demo(call, place):
    code, out, _ = call("demo", "--example", "wine")
    assert code == 0
    assert names("slopewise-demo-wine") == FILES
    assert str(place / "slopewise-demo-wine" / "report.html") in out
    code, _, err = call("demo", "--example", "nothing")
    assert code == 2
    assert "there are: breast_cancer" in err


def test_a_run_of_the_module():
    code = f"import sys, runpy; sys.path[:0] = {sys.path!r}; sys.argv = ['slopewise', '--version'];"
    code += "runpy.run_module('slopewise', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("slopewise, version ")
