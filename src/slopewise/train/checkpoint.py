"""Checkpoints: all that a run needs to go on, in one file that is replaced in one step.

Invariant: at any moment the file is a whole checkpoint or is not there: it is written beside its
place, forced to the disk, and moved in. Arrays come back bit for bit; the rest is JSON in the
file's metadata; nothing is unpickled. It is separate because models are written the same way.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from slopewise._core.files import write_file
from slopewise.train.faults import Fault, first_line

FORMAT = 1
"""Version of the files; a reader refuses later ones."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step: it is the old one or the new one, never a part.

    Parameters
    ----------
    path : Path
        Where.
    data : bytes
        What.

    Raises
    ------
    DataError
        If the folder cannot be written or the disk is full; nothing is left behind then.
    """
    try:
        write_file(path, data)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise Fault("cannot_write", path=path, reason=reason) from None
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, where the system can do that.

    Parameters
    ----------
    folder : Path
        An existing folder.
    """
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write arrays and facts into one safetensors file, in one step.

    Parameters
    ----------
    path : Path
        Where.
    arrays : mapping of str to ndarray
        Any shapes and numeric dtypes.
    facts : mapping
        Anything that JSON can hold.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    from safetensors.numpy import save

    plain = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    # One key only: the library writes several in no fixed order, and equal runs give equal files.
    metadata = {"slopewise": json.dumps({"format": FORMAT, "facts": facts}, ensure_ascii=False)}
    write_bytes(path, save(plain, metadata=metadata))


def read_arrays_file(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    arrays : dict of str to ndarray
    facts : dict

    Raises
    ------
    DataError
        If the file is broken, or was written by a later format version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as handle:
            data = json.loads((handle.metadata() or {})["slopewise"])
            version = int(data["format"])
            if version > FORMAT:
                raise Fault("wrong_version", path=path, found=version, known=FORMAT)
            arrays = {name: np.array(handle.get_tensor(name)) for name in handle.keys()}  # noqa: SIM118 - it is no dict
            facts = data["facts"]
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        if isinstance(error, Fault):
            raise
        raise Fault("broken_checkpoint", path=path, reason=first_line(error)) from None
    return arrays, facts


def pack_optimizer(state: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """An optimiser's state as arrays and JSON.

    Parameters
    ----------
    state : mapping
        `optimizer.state_dict()`, with `state` and `param_groups`.

    Returns
    -------
    arrays : dict of str to ndarray
        Keyed `number/name`.
    facts : dict
        The numbers of the state and the groups' settings.
    """
    arrays: dict[str, np.ndarray] = {}
    plain: dict[str, dict[str, Any]] = {}
    for number, entries in state["state"].items():
        for name, value in entries.items():
            if hasattr(value, "detach"):
                arrays[f"{number}/{name}"] = np.array(value.detach().numpy())
            elif isinstance(value, np.ndarray):
                arrays[f"{number}/{name}"] = value.copy()
            else:
                plain.setdefault(str(number), {})[name] = value
    return arrays, {"state": plain, "param_groups": state["param_groups"]}


def unpack_optimizer(
    arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], to_tensor: Any
) -> dict[str, Any]:
    """The state that `pack_optimizer` took apart.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Keyed `number/name`.
    facts : mapping
        The rest.
    to_tensor : callable
        Makes a tensor of an array.

    Returns
    -------
    dict
        For `optimizer.load_state_dict`.
    """
    state: dict[int, dict[str, Any]] = {}
    for key, values in arrays.items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = to_tensor(values)
    for number, entries in facts["state"].items():
        state.setdefault(int(number), {}).update(entries)
    groups = [
        {key: tuple(v) if key == "betas" else v for key, v in group.items()}
        for group in facts["param_groups"]
    ]
    return {"state": state, "param_groups": groups}
