"""The row of `compiled` that is a program: the training of `slopewise demo`, end to end.

Invariant: the table is read, split and encoded before the clock starts, for both; all that follows
is timed: four committees of five networks from first weights to their best epochs, with the orders
of rows, the validation after each epoch and, for ours, tracing and taking the machine code from the
cache on the disk. PyTorch trains the same stacked networks eagerly, with the same first weights,
batches, learning rates and numbers of epochs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from contest import Contest, Peers

from slopewise.examples import find_example
from slopewise.train.dataset import DataOptions, prepare_dataset
from slopewise.train.frames import open_table
from slopewise.train.loop import Trial, order_rows
from slopewise.train.networks import draw_weights
from slopewise.train.recipe import Recipe, Rows
from slopewise.train.search import NetworkOptions, list_recipes
from slopewise.train.threads import limit_threads


def prepare_demo() -> tuple[list[Recipe], Rows]:
    """Read, split and encode the demo's table as `slopewise.train.fit` does."""
    example = find_example("digits")
    table, target = open_table(str(example.path), example.target, None)
    data = prepare_dataset(table, target, DataOptions())
    rows = Rows(data.matrix, data.learn_target(), data.split.members())
    recipes = list_recipes(
        NetworkOptions(), data.matrix.shape[1], data.target.outputs, data.split.folds,
        rows.train_rows, 0,
    )  # fmt: skip
    return recipes, rows


def train_candidates(recipes: list[Recipe], rows: Rows) -> list[Trial]:
    """Train every candidate as the demo does."""
    trials = [Trial(recipe, rows) for recipe in recipes]
    with limit_threads(max(recipe.architecture.largest for recipe in recipes)):
        for trial in trials:
            trial.run(lambda: False, lambda _: None, lambda: None, float("inf"))
    return trials


class TorchCommittee:
    """All members of a candidate in stacked parameters, trained eagerly in PyTorch."""

    def __init__(self, torch: Any, recipe: Recipe, rows: Rows, rates: list[float]) -> None:
        self.torch, self.recipe, self.rows, self.rates = torch, recipe, rows, rates
        self.start = draw_weights(recipe.architecture, recipe.seed)
        self.matrix, self.wanted = torch.tensor(rows.matrix), torch.tensor(rows.wanted)
        held = [positions for _, positions in rows.members]
        longest = max(len(positions) for positions in held)
        self.held = torch.tensor(np.stack([np.resize(p, longest) for p in held]))
        self.real = torch.tensor(np.stack([np.arange(longest) < len(p) for p in held]))

    def train(self) -> float:
        """Train anew for as many epochs as there are rates; return the best validation loss."""
        torch, recipe = self.torch, self.recipe
        self.arrays = {name: torch.tensor(v).requires_grad_() for name, v in self.start.items()}
        weights = [p for name, p in self.arrays.items() if name.endswith("weight")]
        others = [p for name, p in self.arrays.items() if not name.endswith("weight")]
        count = self.rows.train_rows
        groups = [{"params": weights, "weight_decay": recipe.l2 / count}, {"params": others}]
        optimizer = torch.optim.Adam(groups, lr=recipe.lr)
        steps, members = max(1, count // recipe.batch), recipe.architecture.members
        best, best_arrays = float("inf"), {}
        for epoch, rate in enumerate(self.rates):
            for group in optimizer.param_groups:
                group["lr"] = rate
            order = torch.tensor(np.stack([
                fit[order_rows(recipe.seed, epoch, member, len(fit))[:count]]
                for member, (fit, _) in enumerate(self.rows.members)
            ]))  # fmt: skip
            total = torch.zeros(())
            for step in range(steps):
                batch = order[:, step * count // steps : (step + 1) * count // steps]
                optimizer.zero_grad()
                loss = self.measure(batch).mean()
                (loss * float(members)).backward()
                optimizer.step()
                total += loss.detach()
            with torch.no_grad():
                val_loss = self.measure(self.held)[self.real].mean().item()
            if val_loss < best:
                best = val_loss
                best_arrays = {name: p.detach().clone() for name, p in self.arrays.items()}
        return best if best_arrays else float("nan")

    def measure(self, batch: Any) -> Any:
        """Return the cross-entropy of every row, of shape (members, rows)."""
        x = value = self.matrix[batch]
        for index in range(1, len(self.recipe.architecture.hidden) + 1):
            value = self.torch.relu(self.apply_layer(f"hidden{index}", value))
        result = self.apply_layer("output", value)
        if self.recipe.architecture.has_path:
            result = result + x @ self.arrays["linear_path.weight"]
        losses = self.torch.nn.functional.cross_entropy(
            result.flatten(0, 1), self.wanted[batch].flatten(), reduction="none"
        )
        return losses.reshape(batch.shape)

    def apply_layer(self, name: str, value: Any) -> Any:
        """Return a linear layer of every member."""
        weight, bias = self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]
        return self.torch.baddbmm(bias.unsqueeze(1), value, weight)


def demo_training(peers: Peers) -> Contest:
    """Return the row of the demo's training."""
    recipes, rows = prepare_demo()
    first = train_candidates(recipes, rows)
    flops = 0.0
    for trial in first:
        sizes = [p[0].size for n, p in trial.best.items() if n.endswith("weight")]
        seen = trial.state.epoch * trial.rows.train_rows * trial.recipe.architecture.members
        flops += 6.0 * sum(sizes) * seen
    # The best validation losses: thousands of steps carry rounding on to about a hundredth.
    contest = Contest("demo end to end", 5e-2, 1, "float32", flops=flops)
    contest.add(
        "Slopewise",
        lambda: np.array([trial.state.best_loss for trial in train_candidates(recipes, rows)]),
    )
    if (torch := peers.torch) is not None:
        committees = [
            TorchCommittee(torch, trial.recipe, rows, trial.state.history["lr"]) for trial in first
        ]
        contest.add("PyTorch", lambda: np.array([c.train() for c in committees]), 0.2)
    return contest
