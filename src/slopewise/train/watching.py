"""What a run tells a watcher, and how it gets one.

Invariant: training knows no watcher but by this protocol, and runs the same with one or without.
Whoever stands above offers a maker, which is asked only where a run is to be watched. It is
separate because gradient health stands above training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from slopewise.errors import UsageError

if TYPE_CHECKING:
    from slopewise.train.faults import Notice
    from slopewise.train.loop import Trial


class Watcher(Protocol):
    """Looks at networks while they are trained."""

    def look(self, trial: Trial, number: int) -> Sequence[Notice]:
        """Look at a trial, if it is time to, and return what is wrong now and was not before.

        Parameters
        ----------
        trial : Trial
            As it is after a step, or after a call of compiled ones; nothing of it may be changed.
        number : int
            Which candidate, from 0.
        """
        ...

    def report(self, number: int) -> Any:
        """Return what was seen of a candidate, or None."""
        ...


_makers: list[Callable[[], Watcher]] = []


def offer_watcher(maker: Callable[[], Watcher]) -> None:
    """Offer what makes a watcher for a run; the last offer counts."""
    _makers[:] = [maker]


def choose_watcher(health: bool | Watcher) -> Watcher | None:
    """Return the watcher of a run.

    Parameters
    ----------
    health : bool or Watcher
        False for none, True for the one that is offered.

    Returns
    -------
    Watcher or None

    Raises
    ------
    UsageError
        If none is offered.
    """
    if not isinstance(health, bool):
        return health
    if not health:
        return None
    if not _makers:
        raise UsageError("fit: health=True needs slopewise.health; pass a watcher instead.")
    return _makers[0]()
