"""Devices, as PyTorch's code names them: there is only the CPU.

Invariant: every name of another device is refused with one message, wherever it is given.
"""

from __future__ import annotations

from typing import Any

from slopewise._core.source import explain
from slopewise.errors import UsageError


class device(str):
    """The name of a device; only "cpu" can be used.

    Parameters
    ----------
    type : str
        "cpu", also with an index ("cpu:0").
    index : int, optional
        Which one; written behind the name.

    Raises
    ------
    UsageError
        If it is another device.

    Examples
    --------
    >>> import slopewise as sw
    >>> sw.tensor([1.0, 2.0]).to(sw.device("cpu"))
    tensor([1., 2.])
    """

    def __new__(cls, type: str = "cpu", index: int | None = None) -> device:
        name = type if index is None else f"{type}:{index}"
        refuse_device(name)
        return super().__new__(cls, name)

    @property
    def type(self) -> str:
        """The kind of device."""
        return self.split(":")[0]

    def __repr__(self) -> str:
        return f"device(type='{self.type}')"


def refuse_device(name: Any) -> None:
    """Accept the CPU, by any of its names, and refuse other devices."""
    if name is not None and str(name).split(":")[0] != "cpu":
        raise UsageError(
            explain(
                f"device {str(name)!r}: there is only the CPU here; write 'cpu', or leave it out."
            )
        )
