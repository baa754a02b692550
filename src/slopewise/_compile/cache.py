"""Programs on disk: what was compiled once is loaded the next time.

Invariant: a file is used only if its checksum and its key are right, so a damaged, cut or foreign
one is ignored; files are written whole or not at all, so processes may share the folder. It is
separate because losing the cache changes nothing but time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

_MAGIC = b"slopewise object 2\n"
_ABANDONED = 3600.0  # seconds after which nobody writes a file any more
LIMIT = 256 * 2**20
"""Bytes that the folder may hold; the files used longest ago go first."""


def find_folder() -> Path | None:
    """Return the folder of the cache; None where it is switched off.

    The environment variable SLOPEWISE_CACHE names another folder, or is `off`.
    """
    chosen = os.environ.get("SLOPEWISE_CACHE")
    if chosen is not None:
        return None if chosen in ("", "off", "0") else Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "slopewise" if base else None


def make_key(*parts: str) -> str:
    """Return a name for what depends on all of the parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode())
        digest.update(part.encode())
    return digest.hexdigest()


def _trusted(folder: Path) -> bool:
    """Return whether nobody but the user may write to the folder."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


def load(key: str) -> bytes | None:
    """Return what is kept under a key, or None."""
    folder = find_folder()
    if folder is None:
        return None
    path = folder / f"{key}.o"
    try:
        if not _trusted(folder):
            return None
        raw = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + 64 + 64
    if len(raw) <= head or not raw.startswith(_MAGIC):
        return None
    stated, checksum = raw[len(_MAGIC) : len(_MAGIC) + 64], raw[len(_MAGIC) + 64 : head]
    code = raw[head:]
    if stated != key.encode() or hashlib.sha256(code).hexdigest().encode() != checksum:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # it was used now
    return code


def store(key: str, code: bytes) -> None:
    """Keep bytes under a key; where that is impossible, nothing happens."""
    folder = find_folder()
    if folder is None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _trusted(folder):
            return
        handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + key.encode())
                file.write(hashlib.sha256(code).hexdigest().encode() + code)
            Path(name).replace(folder / f"{key}.o")
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _bound(folder)
    except OSError:
        return


def _bound(folder: Path) -> None:
    """Delete the files used longest ago until the rest fits."""
    for path in folder.glob(".new-*"):  # of a process that was killed
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()
    files: list[tuple[float, int, Path]] = []
    for path in folder.glob("*.o"):
        with contextlib.suppress(OSError):
            found = path.stat()
            files.append((found.st_mtime, found.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= LIMIT:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size
