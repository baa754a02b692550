"""Settings: the numbers of the compiler that decide what code it writes.

Invariant: programs kept on disk are keyed by the settings that were changed since the passes were
loaded; those that were not are as in the source. It is separate from the passes, which need not be
loaded to run what is on disk.
"""

from __future__ import annotations

import sys

_PASSES = (
    *(
        f"slopewise._compile.{name}"
        for name in ("access", "assembly", "cutting", "draws", "emit", "endings", "entry",
                     "factoring", "folds", "jit", "loops", "lowering", "maps", "memory", "nest",
                     "pieces", "products", "reading", "regions", "schedule", "sums", "threads")
    ),
    "slopewise._transform.identities",
    "slopewise._transform.simplify",
)  # fmt: skip
_first: dict[str, dict[str, object]] = {}


def _read(name: str) -> dict[str, object]:
    return {
        key: value
        for key, value in vars(sys.modules[name]).items()
        if key.isupper() and isinstance(value, (int, float, str, tuple))
    }


def note_settings() -> None:
    """Remember the settings of the passes that are loaded by now."""
    for name in _PASSES:
        if name in sys.modules and name not in _first:
            _first[name] = _read(name)


def changed_settings() -> str:
    """Return the settings that differ from the source, as text."""
    changed = [
        (name, key, value)
        for name, first in _first.items()
        for key, value in _read(name).items()
        if value != first.get(key)
    ]
    return repr(changed) if changed else ""
