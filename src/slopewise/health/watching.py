"""Watching a loop that someone wrote: a look at the network every so many steps.

Invariant: a look changes nothing of the model and draws from no generator, so training ends as it
would without. It is separate from the watch, which holds what was seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from slopewise._core.quiet import hush, restore
from slopewise.errors import UsageError
from slopewise.explain.requests import check_lang
from slopewise.health.arguments import check_count, check_loss
from slopewise.health.finding import Finding
from slopewise.health.framework import find_framework
from slopewise.health.readings import Inputs, read
from slopewise.health.telling import say_finding
from slopewise.health.watch import Watch

SHARE = 0.02
"""Of the time of training that looks may take where no number of steps is given."""
FREE = 3
"""Looks that are taken whatever they cost, so that a short run is judged, too."""
ROWS = 64
"""Rows that are looked at: enough for norms, and few enough to cost little."""


class Watcher:
    """Looks at a network while a loop trains it.

    Parameters
    ----------
    model : Module or torch.nn.Module
    loss_fn : callable
        From the model's output and the target to a Tensor of one number.
    batch : (Tensor, Tensor)
        Looked at each time; of many rows some that lie far apart.
    every : int, optional
        Steps between looks; without it as often as a fiftieth of the time allows.
    notify : callable, optional
        Told in one line what is wrong, once it is. `print` if not given; None for silence.
    lang : {'en', 'ko'}

    Attributes
    ----------
    watch : Watch
        What was seen.

    Raises
    ------
    UsageError
        If the language is unknown, `every` is below 1, the loss is no function, or the batch no
        pair.

    Examples
    --------
    >>> import slopewise as sw
    >>> from slopewise import nn
    >>> _ = sw.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    >>> x, y = sw.randn(32, 2), sw.randint(0, 2, (32,))
    >>> watcher = Watcher(model, nn.functional.cross_entropy, (x, y), every=2)
    >>> optimizer = sw.optim.SGD(model.parameters(), lr=0.1)
    >>> for _ in range(4):
    ...     optimizer.zero_grad()
    ...     nn.functional.cross_entropy(model(x), y).backward()
    ...     optimizer.step()
    ...     _ = watcher.step()
    >>> [look.step for look in watcher.watch.looks]
    [2, 4]
    """

    def __init__(
        self, model: Any, loss_fn: Callable[[Any, Any], Any], batch: tuple[Any, Any], *,
        every: int | None = None, notify: Callable[[str], None] | None = print, lang: str = "en",
    ) -> None:  # fmt: skip
        check_lang("watch", lang)
        check_count("watch", "every", every)
        check_loss("watch", loss_fn)
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise UsageError("watch: batch must be a pair of input and target.")
        self._frame = find_framework(model, "watch")
        self.model = self._frame.unwrap(model)
        self.loss_fn = loss_fn
        self.every = every
        self.notify = notify
        self.watch = Watch(lang)
        self.steps = 0
        rows = len(batch[0])
        places = np.linspace(0, rows - 1, min(ROWS, rows)).round().astype(int)
        self._batch = tuple(self._frame.take(part, self.model)[places] for part in batch)
        self._trials: dict[str, float] | None = None
        self._inputs: Inputs | None = None  # of the batch alone, too
        self._began = time.perf_counter()
        self._spent = 0.0

    def step(self) -> list[Finding]:
        """Count a step of training, and look where it is time to.

        Returns
        -------
        list of Finding
            What is wrong now and was not before.
        """
        self.steps += 1
        if self.every is not None:
            return self.look() if self.steps % self.every == 0 else []
        passed = time.perf_counter() - self._began
        allowed = self._spent <= SHARE * passed or len(self.watch.looks) < FREE
        return self.look() if allowed else []

    __call__ = step

    def look(self) -> list[Finding]:
        """Look at the network now.

        Returns
        -------
        list of Finding
            What is wrong now and was not before.
        """
        began = time.perf_counter()
        quiet = hush()
        try:
            with self._frame.keep(self.model, None):
                x, y = self._batch
                record = self._frame.record(
                    self.model, self.loss_fn, x, y, self._trials is None, full=False
                )
            if self._trials is None:
                self._trials = record.trials  # of targets alone, so the same at every look
            record.trials = self._trials
            readings = read(record, full=False, inputs=self._inputs)
            self._inputs = readings.inputs
            found = self.watch.add(self.steps, readings)
        finally:
            restore(quiet)
        if self.notify is not None:
            for finding in found:
                self.notify(say_finding(finding, self.steps, self.watch.lang))
        self._spent += time.perf_counter() - began
        return found
