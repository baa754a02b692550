"""The loop's steps as machine code: many steps in one call, and the validation after them.

Invariant: a call does what the same steps do one by one, to rounding, and what a step computes does
not depend on how many run in its call: sums are carried in and out, so that a run that is stopped
and resumed ends bit for bit alike. It is separate from the loop, which decides what is compiled.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn
from slopewise.train.networks import StackedNetwork
from slopewise.train.recipe import Recipe, Rows
from slopewise.train.threads import LARGE

CHUNK = 4096
"""Rows predicted at a time."""
WORTH = 300
"""Steps after which compiling has paid: it takes about as long as they gain."""
CALL_SECONDS = 0.1
"""How long a call is to take, so that progress is seen and a wish to stop is heard."""
NEVER = -1
"""In place of a step's number: no step is compiled."""
Measure = Callable[[Any, Any], Any]
"""Gives the loss of every row of outputs: (outputs, wanted) to shape (members, rows)."""


def choose_first(recipe: Recipe, steps: int) -> int:
    """The step, counted from 0 over all epochs, from which on steps are compiled.

    With `compile='auto'` that is the second one (the first is described) where so many steps are
    sure to follow that compiling pays, and otherwise the one by which it would have paid. Networks
    with a layer that several BLAS threads share are not compiled. It never depends on a clock.

    Parameters
    ----------
    recipe : Recipe
        How the network is trained.
    steps : int
        In an epoch.

    Returns
    -------
    int
        `NEVER` for none.

    Examples
    --------
    >>> from slopewise.train.architecture import Architecture
    >>> recipe = Recipe(Architecture(4, 1), 0.1, 0.0, 16, epochs=200, patience=20, seed=0)
    >>> choose_first(recipe, steps=50), choose_first(recipe, steps=2)
    (1, 300)
    """
    if recipe.compile == "auto":
        if recipe.architecture.largest > LARGE:
            return NEVER
        sure = steps * min(recipe.epochs, recipe.patience + 1)
        return 1 if sure >= WORTH else WORTH
    return 1 if recipe.compile else NEVER


class CompiledSteps:
    """The steps of one network, compiled.

    Parameters
    ----------
    recipe : Recipe
        How it is trained.
    rows : Rows
        On what.
    network : StackedNetwork
        Its parameters and running statistics are updated in place.
    optimizer : Optimizer
        Its state too.
    steps : int
        In an epoch.
    """

    def __init__(
        self, recipe: Recipe, rows: Rows, network: StackedNetwork, optimizer: Any, steps: int
    ) -> None:
        self.rows = rows
        self.steps = steps
        self._layers = len(recipe.architecture.layers)
        self._members = recipe.architecture.members
        self._pace = 0.0
        self._places, self._shares = _lay_batches(rows.train_rows, steps)
        self._held, self._held_shares = _lay_held(rows)
        self._epoch, self._order = -1, np.zeros((steps, self._members, 1), np.int64)
        ragged = bool((self._shares == 0).any())
        self._train = sw.compile(_describe_steps(recipe, network, optimizer, ragged, self._measure))
        self._validate = sw.compile(_describe_validation(network, self._measure))

    @property
    def _measure(self) -> Measure:
        """What measures the loss of rows."""
        return _measure_classes if self.rows.wanted.dtype.kind == "i" else _measure_numbers

    def prepare(self) -> None:
        """Compile, or take the code from the cache on the disk; nothing else is changed.

        Raises
        ------
        Exception
            Whatever keeps the steps from being compiled.
        """
        self.read_order(-1, np.zeros((self._members, self.rows.train_rows), np.int64))
        self.run(0, 0, [0.0] * (1 + self._layers))
        self.measure_held()

    def read_order(self, epoch: int, picked: np.ndarray) -> None:
        """Take the order of an epoch's rows.

        Parameters
        ----------
        epoch : int
            Which.
        picked : ndarray of shape (members, rows), int64
            Positions.
        """
        self._epoch = epoch
        self._order = np.ascontiguousarray(picked[:, self._places].swapaxes(0, 1))

    @property
    def epoch(self) -> int:
        """The epoch whose order was taken."""
        return self._epoch

    def choose_count(self) -> int:
        """How many steps are to be run in the next call, as the last ones took."""
        return max(1, int(CALL_SECONDS / self._pace)) if self._pace else 1

    def run(self, first: int, last: int, sums: Sequence[float]) -> list[float]:
        """Run steps of the epoch.

        Parameters
        ----------
        first, last : int
            The first step, and the one after the last.
        sums : sequence of float
            Sums so far in this epoch: of the losses, and of each layer's squared gradient norm.

        Returns
        -------
        list of float
            The sums with those of these steps.
        """
        began = time.perf_counter()
        found = self._train(
            self.rows.matrix, self.rows.wanted, self._order, self._shares,
            np.array(first), np.array(last), tuple(np.array(s) for s in sums),
        )  # fmt: skip
        if last > first:
            self._pace = (time.perf_counter() - began) / (last - first)
        return [float(s.item()) for s in found]

    def measure_held(self) -> float:
        """The validation loss with the weights as they are.

        Returns
        -------
        float
        """
        return float(
            self._validate(self.rows.matrix, self.rows.wanted, self._held, self._held_shares).item()
        )


def _describe_steps(
    recipe: Recipe, network: StackedNetwork, optimizer: Any, ragged: bool, measure: Measure
) -> Callable[..., Any]:
    """The function that takes steps, to be compiled."""
    members = recipe.architecture.members
    layers = [
        [p for name, p in network.arrays.items() if name.partition(".")[0] == layer]
        for layer in recipe.architecture.layers
    ]

    def take_steps(
        matrix: Any, wanted: Any, order: Any, shares: Any, first: Any, last: Any, sums: Any
    ) -> Any:
        def step(i: Any, sums: Any) -> Any:
            batch, share = order[i], shares[i]
            optimizer.zero_grad()
            output = network.compute(matrix[batch], True, share if ragged else None)
            # Each member's own mean loss is stepped against, so their sum is the objective.
            loss = (measure(output, wanted[batch]) * share).sum()
            loss.backward()
            found = [loss.detach().double()]
            found += [sum((p.grad * p.grad).sum().double() for p in layer) for layer in layers]
            optimizer.step()
            return tuple(s + f / members for s, f in zip(sums, found, strict=True))

        optimizer.zero_grad()
        return sw.fori_loop(first, last, step, sums)

    return take_steps


def _describe_validation(network: StackedNetwork, measure: Measure) -> Callable[..., Any]:
    """The function that measures the validation loss, to be compiled."""

    def validate(matrix: Any, wanted: Any, held: Any, shares: Any) -> Any:
        def add(total: Any, chunk: Any) -> Any:
            rows, share = chunk
            output = network.compute(matrix[rows], False).double()
            return total + (measure(output, wanted[rows]) * share).sum(), None

        with sw.no_grad():
            return sw.scan(add, sw.zeros((), dtype=sw.float64), (held, shares))[0]

    return validate


def _measure_classes(output: Any, wanted: Any) -> Any:
    """The cross-entropy of every row, of shape (members, rows)."""
    members, rows, classes = output.shape
    losses = nn.functional.cross_entropy(
        output.reshape(-1, classes), wanted.reshape(-1), reduction="none"
    )
    return losses.reshape(members, rows)


def _measure_numbers(output: Any, wanted: Any) -> Any:
    """The squared error of every row, of shape (members, rows)."""
    error = output[:, :, 0] - wanted
    return error * error


def _lay_batches(rows: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of each step's rows in an epoch's order, and what each row counts in its batch.

    Batches differ in size by at most one row; shorter ones are filled up with their own first row,
    which counts 0.
    """
    bounds = np.arange(steps + 1) * rows // steps
    sizes = np.diff(bounds)[:, None]
    within = np.arange(sizes.max())[None, :]
    real = within < sizes
    places = bounds[:-1, None] + np.where(real, within, 0)
    return places, np.where(real, 1.0 / sizes, 0.0).astype(np.float32)


def _lay_held(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Validated rows of each member in chunks, and what each counts in the mean over all.

    Both have the shape (chunks, members, rows of a chunk); members with fewer rows than others are
    filled up with rows that count 0.
    """
    held = [positions for _, positions in rows.members]
    longest = max(len(positions) for positions in held)
    width = min(CHUNK, longest)
    full = -(-longest // width) * width
    total = sum(len(positions) for positions in held)
    padded = np.stack([np.resize(positions, full) for positions in held])
    shares = np.stack([np.arange(full) < len(positions) for positions in held]) / total
    split = (len(held), -1, width)
    padded, shares = (each.reshape(split).swapaxes(0, 1) for each in (padded, shares))
    return np.ascontiguousarray(padded), np.ascontiguousarray(shares)
