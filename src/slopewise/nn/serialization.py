"""Saving and loading states as safetensors files: names and numbers, never code.

Invariant: a file is written whole or not at all, and reading one runs nothing: a pickle is refused,
with what it is and what to do. It is separate because it alone knows a file format.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from slopewise._core.files import write_file
from slopewise._core.value import Value, new_value
from slopewise.errors import DataError

_REMEDY = (
    " Save the state instead, where the file was made: sw.save(model.state_dict(), path), or in"
    " PyTorch safetensors.torch.save_file(model.state_dict(), path)."
)


def save(
    state_dict: Mapping[str, Any], path: Any, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors by name to a safetensors file, atomically.

    Parameters
    ----------
    state_dict : mapping of str to Tensor
        For example `model.state_dict()`. Nested mappings become dotted names.
    path : path-like
    metadata : mapping of str to str, optional
        Text kept in the file's head.

    Raises
    ------
    DataError
        If something is no tensor, or the file cannot be written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import slopewise as sw
    >>> from slopewise.nn.serialization import load, save
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "model.safetensors"
    >>> save({"w": sw.tensor([1.0, 2.0])}, path)
    >>> load(path)["w"]
    tensor([1., 2.])
    >>> folder.cleanup()
    """
    from safetensors.numpy import save as encode

    if not isinstance(state_dict, Mapping):
        raise DataError(
            "save: only a dict from names to tensors can be saved, not"
            f" {type(state_dict).__name__}; pass model.state_dict()."
        )
    arrays = _flatten(state_dict, "")
    content = encode(arrays, dict(metadata) if metadata else None)
    target = Path(os.fspath(path))
    try:
        write_file(target, content)
    except OSError as error:
        raise DataError(f"save: cannot write {target}: {error.strerror or error}.") from error


def _flatten(state: Mapping[str, Any], prefix: str) -> dict[str, np.ndarray[Any, Any]]:
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            arrays |= _flatten(value, f"{prefix}{name}.")
            continue
        if isinstance(value, Value) and value._value is not None:
            array = value._value
        elif isinstance(value, (np.ndarray, int, float)):
            array = np.asarray(value)
        else:
            raise DataError(
                f"save: `{prefix}{name}` is a {type(value).__name__}; only tensors and numbers can"
                " be saved."
            )
        arrays[f"{prefix}{name}"] = np.ascontiguousarray(array).reshape(array.shape)
    return arrays


def load(path: Any) -> dict[str, Any]:
    """Read the tensors of a safetensors file, by name.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict of str to Tensor
        For `model.load_state_dict`.

    Raises
    ------
    DataError
        If the file is missing, is a pickle or an archive, or is damaged. Nothing in it is run.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    source = Path(os.fspath(path))
    try:
        content = source.read_bytes()
    except OSError as error:
        raise DataError(f"load: cannot read {source}: {error.strerror or error}.") from error
    kind = _name_kind(content)
    if kind is not None:
        raise DataError(f"load: {source.name} is {kind}, not a safetensors file.{_REMEDY}")
    try:
        arrays = decode(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"load: {source.name} is no safetensors file, or is damaged ({error}).{_REMEDY}"
        ) from None
    return {name: new_value(np.array(array), None, False) for name, array in arrays.items()}


def _name_kind(content: bytes) -> str | None:
    """Return what a file is, where it starts like something known that is not safetensors."""
    if content[:2] == b"PK":
        return (
            "a zip archive, as torch.save and Keras write; what a PyTorch one holds is a pickle,"
            " which can run any code when it is opened"
        )
    if content[:1] == b"\x80" and content[1:2] <= b"\x05" and not _fits_header(content):
        return "a Python pickle, which can run any code when it is opened"
    if content[:8] == b"\x89HDF\r\n\x1a\n":
        return "an HDF5 file"
    if content[:6] == b"\x93NUMPY":
        return "a NumPy .npy file (read it with numpy.load and sw.from_numpy)"
    if content[:2] == b"\x1f\x8b":
        return "a gzip archive"
    return None


def _fits_header(content: bytes) -> bool:
    """Return whether the first 8 bytes can be a safetensors header length, followed by JSON."""
    length = int.from_bytes(content[:8], "little")
    return 8 + length <= len(content) and content[8:9] == b"{"
