#!/usr/bin/env python3
"""Set up, run and test Slopewise from a clean checkout; needs only Python 3.11 or newer and pip.

    python3 dev.py demo                     set up .venv and run the main job, `slopewise demo`
    python3 dev.py run ARGS...              the same for `slopewise ARGS...`
    python3 dev.py test [--peers] [ARGS]    lint, types, import contracts, then `pytest ARGS`
    python3 dev.py setup [--peers]          only set up .venv with the development tools
    python3 dev.py python ARGS...           run .venv's Python, with the development tools

--peers also installs PyTorch and JAX, which the tests marked `oracle` and the benchmarks compare
with. Nothing outside .venv is changed. A stamp in .venv tells whether an install is up to date.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys

# This file keeps to syntax that Python 3.6 can parse, so that an old one gets this far.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        f"Slopewise needs Python 3.11 or newer, and this is Python {sys.version_info[0]}."
        f"{sys.version_info[1]} ({sys.executable}). Try a newer one, such as: python3.12 dev.py"
    )

WINDOWS = os.name == "nt"
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
SCRIPTS = os.path.join(VENV, "Scripts" if WINDOWS else "bin")
PYTHON = os.path.join(SCRIPTS, "python.exe" if WINDOWS else "python")
STAMP = os.path.join(VENV, "slopewise-stamp.json")


def main(arguments: list[str]) -> int:
    """Do what the command line asks, and return the exit status."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    groups = ["dev"]
    if command in ("setup", "test") and "--peers" in rest:
        rest = [word for word in rest if word != "--peers"]
        groups.append("peers")

    if command == "demo":
        set_up([])
        return hand_over([script("slopewise"), "demo", *rest])
    if command == "run":
        set_up([])
        return hand_over([script("slopewise"), *rest])
    if command == "test":
        set_up(groups)
        return run_tests(rest)
    if command == "python":
        set_up(["dev"])
        return hand_over([PYTHON, *rest])
    if command == "setup" and not rest:
        set_up(groups)
        say(f"Ready: {PYTHON}")
        return 0
    print(str(__doc__).strip())
    if command in ("help", "-h", "--help"):
        return 0
    print("\ndev.py: cannot do: " + " ".join(arguments), file=sys.stderr)
    return 2


def run_tests(pytest_arguments: list[str]) -> int:
    """Lint, types and contracts first, so that pytest's own summary closes the output."""
    concise = ["--output-format", "concise"]
    checks = [
        ("lint", [PYTHON, "-m", "ruff", "check", *concise, "."]),
        ("format", [PYTHON, "-m", "ruff", "format", "--check", *concise, "."]),
        ("types", [PYTHON, "-m", "pyright", "--pythonpath", PYTHON]),
        ("contracts", [script("lint-imports")]),
    ]
    os.chdir(ROOT)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two workers, each with threads of its own
    os.environ.setdefault("SLOPEWISE_FUZZ_SECONDS", "60")
    failed: list[str] = []
    for name, command in checks:
        say(f"== {name}")
        if wait_for(command) != 0:
            failed.append(name)
    say("== failed: " + ", ".join(failed) if failed else "== all of these pass")

    say("== tests")
    workers = ["-n", "2"] if (os.cpu_count() or 1) > 1 else []
    status = wait_for([PYTHON, "-m", "pytest", *workers, *pytest_arguments])
    return status or (1 if failed else 0)


# ------------------------------------------------------------------ the environment


def set_up(groups: list[str]) -> None:
    """Bring .venv up to date with pyproject.toml and the dependency groups named."""
    os.environ.update(PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0")  # else pip may refuse .venv
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        pyproject = file.read()
    content = hashlib.sha256(pyproject).hexdigest()
    home = f"{ROOT} {sys.version_info[0]}.{sys.version_info[1]}"
    stamp = read_stamp()

    # A moved checkout or another Python needs a new one; a .venv made by hand is kept and used.
    if stamp.get("home", home) != home or not runs([PYTHON, "-c", "pass"]):
        make_venv()
        stamp = {}
    installed = stamp.get("groups", [])
    if stamp.get("content") == content and set(groups) <= set(installed):
        return

    groups = sorted({*groups, *installed})
    say("Installing Slopewise into .venv (the first time takes a few minutes) ...")
    wanted = [name for group in groups for name in requirements(pyproject.decode(), group)]
    options = ["-qq", "--disable-pip-version-check", "--editable", ROOT]
    if wait_for([*pip(), "install", *options, *wanted]) != 0:
        stop("pip could not install the dependencies; its own words are above.")
    with open(STAMP + ".new", "w", encoding="utf-8") as file:
        json.dump({"home": home, "content": content, "groups": groups}, file)
    os.replace(STAMP + ".new", STAMP)


def make_venv() -> None:
    """Make .venv anew: with its own pip, or without one where Python lacks `ensurepip`."""
    shutil.rmtree(VENV, ignore_errors=True)
    if runs([sys.executable, "-m", "venv", VENV]):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if not runs([sys.executable, "-m", "venv", "--without-pip", VENV]):
        stop("Python's venv module does not work. On Debian or Ubuntu: apt install python3-venv")


def pip() -> list[str]:
    """The command that installs into .venv: its own pip, or else the system's pointed at it."""
    if runs([PYTHON, "-m", "pip", "--version"]):
        return [PYTHON, "-m", "pip"]
    outer = [sys.executable, "-m", "pip", "--python", PYTHON]
    if not runs([*outer, "--version"]):
        stop(
            "No pip can reach .venv: this Python has neither ensurepip nor pip 22.3 or newer. "
            "On Debian or Ubuntu: apt install python3-venv, then delete .venv and try again."
        )
    return outer


def requirements(pyproject: str, group: str) -> list[str]:
    """The requirements of one dependency group (PEP 735), which older pips cannot read."""
    import tomllib

    names: list[str] = []
    for entry in tomllib.loads(pyproject)["dependency-groups"][group]:
        if isinstance(entry, str):
            names.append(entry)
        else:
            names.extend(requirements(pyproject, entry["include-group"]))
    return names


def read_stamp() -> dict:
    """What the last finished install wrote, or nothing."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


# ------------------------------------------------------------------ processes


def script(name: str) -> str:
    """The path of a console script in .venv."""
    return os.path.join(SCRIPTS, name + (".exe" if WINDOWS else ""))


def runs(command: list[str]) -> bool:
    """Whether a command can be started and succeeds; its output is not shown."""
    quiet = subprocess.DEVNULL
    try:
        return subprocess.call(command, stdout=quiet, stderr=quiet) == 0
    except OSError:
        return False


def wait_for(command: list[str]) -> int:
    """Run a command and return its exit status; Ctrl-C is the child's to answer."""
    child = subprocess.Popen(command)
    interrupted = False
    while True:
        try:
            status = child.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted and status != 0:
        sys.exit(130)
    return status if status >= 0 else 128 - status


def hand_over(command: list[str]) -> int:
    """Become the command where the system can, so that signals reach it; else wait for it."""
    if WINDOWS:
        return wait_for(command)
    sys.stdout.flush()
    os.execv(command[0], command)


def say(line: str) -> None:
    """Print at once, so that our lines and the children's stay in order."""
    print(line, flush=True)


def stop(reason: str) -> None:
    """End with one clear line."""
    sys.exit("dev.py: " + reason)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
