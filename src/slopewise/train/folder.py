"""A run's folder: may it be written, and how its files get there whole.

Invariant: files are made in a hidden folder beside the run's and moved in when all are there, so a
failure leaves what was there before; a folder that holds something else is never touched. It is
separate because the report is written by a higher layer into the same folder.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from slopewise.train.checkpoint import sync_folder
from slopewise.train.faults import Fault, first_line

CHECKPOINT = "checkpoint.safetensors"


def prepare_folder(path: Path) -> bool:
    """Make the folder of a run, or check that an existing one may be used.

    Parameters
    ----------
    path : Path
        The folder. It may be new, empty, or that of an earlier run, whose files are then replaced.

    Returns
    -------
    bool
        Whether it was made now.

    Raises
    ------
    DataError
        If it holds something else, or cannot be made or written.
    """
    try:
        if path.exists():
            if not path.is_dir() or not (is_run(path) or not any(path.iterdir())):
                raise Fault("output_exists", path=path)
            if not os.access(path, os.W_OK):
                raise Fault("cannot_write", path=path, reason="permission denied")
            for left in (*path.glob(f".{CHECKPOINT}.*.part"), *path.glob(".partial-*")):
                # What a kill in the middle of writing has left behind.
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            return False
        path.mkdir(parents=True)
    except OSError as error:
        raise Fault("cannot_write", path=path, reason=error.strerror or first_line(error)) from None
    return True


def is_run(path: Path) -> bool:
    """Whether a folder is that of a training run, finished or not.

    Parameters
    ----------
    path : Path
        A folder.

    Returns
    -------
    bool
    """
    if (path / CHECKPOINT).is_file():
        return True
    try:
        data = json.loads((path / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and "architecture" in data and "encoding" in data


def fill_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make files in a hidden folder, then move them into the run's folder.

    Parameters
    ----------
    path : Path
        The run's folder, which exists.
    write : callable
        Gets the hidden folder and writes files into it.

    Raises
    ------
    DataError
        If something cannot be written; the run's folder is then as it was.
    """
    try:
        hidden = Path(tempfile.mkdtemp(dir=path, prefix=".partial-"))
    except OSError as error:
        raise Fault("cannot_write", path=path, reason=error.strerror or first_line(error)) from None
    try:
        write(hidden)
        # The model's description goes last: it names the weights that it belongs to.
        for made in sorted(hidden.iterdir(), key=lambda file: file.name == "model.json"):
            os.replace(made, path / made.name)
        sync_folder(path)
    except OSError as error:
        raise Fault("cannot_write", path=path, reason=error.strerror or first_line(error)) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
