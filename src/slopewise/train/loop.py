"""The loop itself: batches in, loss, gradient, step, again; until the validation loss stays.

Invariant: what a run does is a function of its data, settings and seed: each epoch's order of rows
comes from a counter-based generator keyed by seed and epoch, and `Trial` holds all that the next
step depends on, so a trial packed after any step and unpacked again ends bit for bit alike. It is
separate because everything else only prepares it or reads its result.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import slopewise as sw
from slopewise import nn, optim
from slopewise.train.checkpoint import pack_optimizer, unpack_optimizer
from slopewise.train.compiled import CHUNK, NEVER, CompiledSteps, choose_first
from slopewise.train.faults import first_line
from slopewise.train.networks import StackedNetwork, draw_weights
from slopewise.train.recipe import Recipe, Rows, State

LEAST_GAIN = 1e-5
"""A validation loss counts as lower when it is lower by this share."""


def order_rows(seed: int, epoch: int, member: int, rows: int) -> np.ndarray:
    """The order of one member's rows in one epoch, the same whenever it is asked for.

    Parameters
    ----------
    seed, epoch, member : int
        The generator's key.
    rows : int
        How many.

    Returns
    -------
    ndarray of shape (rows,), int64

    Source
    ------
    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", Philox.

    Examples
    --------
    >>> order_rows(0, 3, 0, 5).tolist() == order_rows(0, 3, 0, 5).tolist()
    True
    """
    key = [seed & (2**64 - 1), (epoch << 16) + member]
    return np.random.Generator(np.random.Philox(key=key)).permutation(rows)


class Trial:
    """One network being trained, with all that its next step depends on.

    Parameters
    ----------
    recipe : Recipe
        How.
    rows : Rows
        On what.
    """

    def __init__(self, recipe: Recipe, rows: Rows) -> None:
        self.recipe = recipe
        self.rows = rows
        self.network = StackedNetwork(
            recipe.architecture, draw_weights(recipe.architecture, recipe.seed)
        )
        self.optimizer = _make_optimizer(recipe, self.network, rows)
        layers = recipe.architecture.layers
        names = ["epoch", "loss", "val_loss", "lr", *(f"grad.{layer}" for layer in layers)]
        self.state = State(
            lr=recipe.lr,
            gradient_sums=[0.0] * len(layers),
            history={name: [] for name in names},
            compiled_from=choose_first(recipe, self.steps),
        )
        self.best = self.network.read_arrays()
        self._order: tuple[int, np.ndarray] | None = None
        self._compiled: CompiledSteps | None = None

    @property
    def steps(self) -> int:
        """Steps in an epoch: batches differ in size by at most one row."""
        return max(1, self.rows.train_rows // self.recipe.batch)

    @property
    def classes(self) -> bool:
        """Whether classes are learnt."""
        return self.rows.wanted.dtype.kind == "i"

    def run(
        self,
        stop: Callable[[], bool],
        notify: Callable[["Trial"], None],
        save: Callable[[], None],
        interval: float,
    ) -> bool:
        """Train until the validation loss stays, the epochs are over, or `stop` says so.

        Parameters
        ----------
        stop : callable
            Asked after every step; true ends training. Where steps are compiled, it is asked at the
            end of each epoch and some ten times a second.
        notify : callable
            Told as often.
        save : callable
            Called at the ends of epochs, when `interval` seconds have passed since the last time
            (within an epoch, when ten times that), and when stopped.
        interval : float
            Seconds.

        Returns
        -------
        bool
            Whether training ended by itself.
        """
        saved = time.monotonic()
        if self.state.stopped == "epochs" and self.state.epoch < self.recipe.epochs:
            self.state.stopped = ""
        while not self.state.stopped:
            while self.state.step < self.steps:
                self._advance()
                notify(self)
                if stop():
                    save()
                    return False
                if time.monotonic() - saved > 10 * interval:
                    save()
                    saved = time.monotonic()
            self._finish_epoch()
            notify(self)
            if time.monotonic() - saved > interval and not self.state.stopped:
                save()
                saved = time.monotonic()
        return True

    def _advance(self) -> None:
        """One step, or where they are compiled as many as take a moment."""
        state = self.state
        compiled = self._use_compiled() if state.first_step else None
        if compiled is None:
            self._step()
            return
        if compiled.epoch != state.epoch:
            compiled.read_order(state.epoch, self._read_order())
        last = min(self.steps, state.step + compiled.choose_count())
        sums = [state.loss_sum, *state.gradient_sums]
        state.loss_sum, *state.gradient_sums = compiled.run(state.step, last, sums)
        state.step = last

    def _use_compiled(self) -> CompiledSteps | None:
        """The compiled steps, if the next step (or the validation after the last) is compiled."""
        state = self.state
        number = state.epoch * self.steps + min(state.step, self.steps - 1)
        if state.compiled_from == NEVER or number < state.compiled_from:
            return None
        if self._compiled is None:
            compiled = CompiledSteps(
                self.recipe, self.rows, self.network, self.optimizer, self.steps
            )
            try:
                compiled.prepare()
            except Exception as error:  # uncompiled steps do the same, only more slowly
                state.compiled_from, state.not_compiled = NEVER, first_line(error)
                return None
            self._compiled = compiled
        return self._compiled

    def _choose_batch(self) -> np.ndarray:
        """Positions of the next step's rows, of shape (members, batch)."""
        state = self.state
        rows = self.rows.train_rows
        first = state.step * rows // self.steps
        last = (state.step + 1) * rows // self.steps
        return self._read_order()[:, first:last]

    def _read_order(self) -> np.ndarray:
        """The order of this epoch's rows, of shape (members, rows)."""
        state = self.state
        rows = self.rows.train_rows
        if self._order is None or self._order[0] != state.epoch:
            picked = [
                fit[order_rows(self.recipe.seed, state.epoch, member, len(fit))[:rows]]
                for member, (fit, _) in enumerate(self.rows.members)
            ]
            self._order = (state.epoch, np.stack(picked))
        return self._order[1]

    def _measure(self, output: Any, wanted: np.ndarray) -> Any:
        """The mean loss over all members' rows, as a tensor."""
        target = sw.tensor(np.ascontiguousarray(wanted.reshape(-1)))
        if self.classes:
            return nn.functional.cross_entropy(output.reshape(-1, output.shape[2]), target)
        return nn.functional.mse_loss(output.reshape(-1), target)

    def _step(self) -> None:
        """One step: predict, measure the loss, find the gradient, step against it."""
        state = self.state
        batch = self._choose_batch()
        self.network.train()
        self.optimizer.zero_grad()
        output = self.network(sw.tensor(self.rows.matrix[batch]))
        wanted = self.rows.wanted[batch]
        loss = self._measure(output, wanted)
        # Each member's own mean loss is to be stepped against, so their sum is the objective.
        (loss * float(self.recipe.architecture.members)).backward()
        number = float(loss.item())
        first = not state.first_step
        if first:
            state.first_step = self._describe_first(output, batch, number)
        squares = self.network.read_gradient_squares()
        self.optimizer.step()
        if first:
            self._complete_first()
        state.loss_sum += number
        state.gradient_sums = [
            a + float(b) for a, b in zip(state.gradient_sums, squares, strict=True)
        ]
        state.step += 1

    def _describe_first(self, output: Any, batch: np.ndarray, loss: float) -> dict[str, Any]:
        """The first step in numbers: a row's output, the loss, the largest gradient."""
        name, place, largest = "", (0,), -1.0
        for key, parameter in self.network.arrays.items():
            gradient = np.abs(parameter.grad.numpy()[0])
            if gradient.size and float(gradient.max()) > largest:
                place = tuple(int(i) for i in np.unravel_index(gradient.argmax(), gradient.shape))
                name, largest = key, float(gradient.max())
        parameter = self.network.arrays[name]
        return {
            "batch_rows": int(batch.shape[1]),
            "position": int(batch[0, 0]),
            "output": [float(v) for v in output.detach().numpy()[0, 0]],
            "wanted": float(self.rows.wanted[batch[0, 0]]),
            "loss": loss,
            "parameter": name,
            "place": list(place),
            "gradient": float(parameter.grad.numpy()[(0, *place)]),
            "before": float(parameter.detach().numpy()[(0, *place)]),
            "lr": self.state.lr,
        }

    def _complete_first(self) -> None:
        """Add to the first step's description where the parameter went."""
        first = self.state.first_step
        parameter = self.network.arrays[first["parameter"]]
        first["after"] = float(parameter.detach().numpy()[(0, *first["place"])])

    def _finish_epoch(self) -> None:
        """Validate, record, keep the best, adapt the learning rate, decide whether to go on."""
        state, recipe = self.state, self.recipe
        compiled = self._use_compiled()
        if compiled is not None:
            val_loss = compiled.measure_held()
        else:
            val_loss = float(np.mean(self.measure_rows()))
        loss = state.loss_sum / self.steps
        norms = np.sqrt(np.array(state.gradient_sums) / self.steps)
        state.epoch += 1
        for name, value in zip(
            state.history, [float(state.epoch), loss, val_loss, state.lr, *norms], strict=True
        ):
            state.history[name].append(float(value))
        state.step, state.loss_sum = 0, 0.0
        state.gradient_sums = [0.0] * len(state.gradient_sums)
        if not (math.isfinite(loss) and math.isfinite(val_loss)):
            state.stopped = "diverged"
            return
        if val_loss < state.best_loss * (1 - LEAST_GAIN):
            state.best_loss, state.best_epoch, state.stale = val_loss, state.epoch, 0
            self.best = self.network.read_arrays()
        else:
            state.stale += 1
            if state.stale % max(1, recipe.patience // 3) == 0:
                state.lr /= 2
                for group in self.optimizer.param_groups:
                    group["lr"] = state.lr
        if state.stale >= recipe.patience:
            state.stopped = "patience"
        elif state.epoch >= recipe.epochs:
            state.stopped = "epochs"

    def predict_members(self) -> list[np.ndarray]:
        """Each member's outputs on the rows that it validates on, with the weights as they are.

        Returns
        -------
        list of ndarray of shape (rows of that member, outputs), float32
        """
        held = [rows for _, rows in self.rows.members]
        longest = max(len(rows) for rows in held)
        padded = np.stack([np.resize(rows, longest) for rows in held])
        self.network.eval()
        pieces = []
        with sw.no_grad():
            for start in range(0, longest, CHUNK):
                x = sw.tensor(self.rows.matrix[padded[:, start : start + CHUNK]])
                pieces.append(np.array(self.network(x).detach().numpy()))
        outputs = np.concatenate(pieces, axis=1)
        return [outputs[member, : len(rows)] for member, rows in enumerate(held)]

    def measure_rows(self) -> np.ndarray:
        """The loss of every row that is validated, member after member.

        Returns
        -------
        ndarray of shape (validated rows,), float64
        """
        outputs = np.concatenate(self.predict_members())
        wanted = self.rows.wanted[np.concatenate([rows for _, rows in self.rows.members])]
        return measure_loss(outputs, wanted)

    def restore_best(self) -> None:
        """Put the best weights back into the network."""
        self.network.write_arrays(self.best)

    def pack(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """All that the trial depends on, as arrays and JSON."""
        moments, optimizer = pack_optimizer(self.optimizer.state_dict())
        arrays = {f"now/{name}": values for name, values in self.network.read_arrays().items()}
        arrays |= {f"best/{name}": values for name, values in self.best.items()}
        arrays |= {f"optimizer/{name}": values for name, values in moments.items()}
        return arrays, {"state": vars(self.state), "optimizer": optimizer}

    def unpack(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go back to what `pack` described."""
        parts: dict[str, dict[str, np.ndarray]] = {"now": {}, "best": {}, "optimizer": {}}
        for name, values in arrays.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = values
        self.network.write_arrays(parts["now"])
        self.best = parts["best"]
        state = unpack_optimizer(parts["optimizer"], facts["optimizer"], sw.tensor)
        self.optimizer.load_state_dict(state)
        self.state = State(**facts["state"])
        self._order = self._compiled = None


def measure_loss(outputs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Each row's loss: cross-entropy in nats, or the squared error of standardised values.

    Parameters
    ----------
    outputs : ndarray of shape (rows, outputs)
        Logits or standardised values.
    wanted : ndarray of shape (rows,)
        Class numbers (integers) or standardised values.

    Returns
    -------
    ndarray of shape (rows,), float64

    Examples
    --------
    >>> measure_loss(np.array([[0.0, 0.0]]), np.array([1])).round(4).tolist()
    [0.6931]
    """
    plain = outputs.astype(np.float64)
    if wanted.dtype.kind != "i":
        return (plain[:, 0] - wanted) ** 2
    top = plain.max(axis=1)
    spread = np.log(np.exp(plain - top[:, None]).sum(axis=1))
    return top + spread - plain[np.arange(len(plain)), wanted]


def _make_optimizer(recipe: Recipe, network: StackedNetwork, rows: Rows) -> Any:
    """The optimiser, with the prior on weights and none on biases and norms."""
    weights = [p for name, p in network.arrays.items() if _is_weight(name)]
    others = [p for name, p in network.arrays.items() if not _is_weight(name)]
    # Cross-entropy and half the squared error are both minus a log likelihood per row; the loss
    # here is the whole squared error, so its prior doubles as well.
    factor = 1.0 if rows.wanted.dtype.kind == "i" else 2.0
    decay = factor * recipe.l2 / rows.train_rows
    groups = [
        {"params": weights, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return optim.SGD(groups, lr=recipe.lr)
    return optim.Adam(groups, lr=recipe.lr)


def _is_weight(name: str) -> bool:
    """Whether an array is a layer's weight (neither a bias nor a norm's scale)."""
    return name.endswith(".weight") and not name.startswith("norm")
