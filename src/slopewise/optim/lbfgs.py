"""L-BFGS: a quasi-Newton method over all parameters as one vector, with a line search.

Invariant: the closure is evaluated as often as PyTorch's would be; parameters move along one
direction at a time and are set from a saved copy, never by adding and taking away. What is kept
between steps is arrays of fixed shape, which `lbfgs_traced` reads too. It stands apart from the
other optimisers because it chooses its steps by values, not by one formula.

Source: Liu & Nocedal (1989), On the limited memory BFGS method for large scale optimization.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import changes, enable_grad
from slopewise._core.state import state as state_of_thread
from slopewise._core.value import new_value
from slopewise.errors import UsageError
from slopewise.optim.lbfgs_traced import KEPT, TracedStep, make_kept
from slopewise.optim.line_search import Point, search_strong_wolfe
from slopewise.optim.optimizer import Optimizer

_LEAST_CURVATURE = 1e-10


def inverse_hessian_product(
    vector: np.ndarray[Any, Any],
    changes: list[Any],
    steps: list[Any],
    inverses: list[float],
    scale: float,
) -> np.ndarray[Any, Any]:
    """Return the approximate inverse Hessian times a vector.

    Parameters
    ----------
    vector : ndarray, shape (n,)
    changes, steps : list of ndarray, shape (n,)
        Changes of the gradient y_i and of the parameters s_i, the oldest first.
    inverses : list of float
        1 / (y_i . s_i).
    scale : float
        The first approximation is this times the identity.

    Source: Nocedal & Wright (2006), Numerical optimization, algorithm 7.4 (two-loop recursion).
    """
    q = vector.copy()
    weights = [0.0] * len(changes)
    for i in reversed(range(len(changes))):
        weights[i] = float(steps[i] @ q) * inverses[i]
        q -= weights[i] * changes[i]
    q *= scale
    for i in range(len(changes)):
        q += (weights[i] - float(changes[i] @ q) * inverses[i]) * steps[i]
    return q


class LBFGS(Optimizer):
    """Limited-memory BFGS; `step(closure)` evaluates the loss several times.

    Parameters
    ----------
    params : iterable of Tensor
        One group.
    lr : float
        First step length tried (the step itself without a line search).
    max_iter : int
        Directions taken in one `step`.
    max_eval : int, optional
        Evaluations in one `step`; 5/4 of max_iter by default.
    tolerance_grad : float
        Stop where the largest element of the gradient is below.
    tolerance_change : float
        Stop where parameters or loss change less.
    history_size : int
        Pairs kept.
    line_search_fn : {None, "strong_wolfe"}

    Raises
    ------
    UsageError
        If there are several groups, or another line search is named.

    Source: Liu & Nocedal (1989), On the limited memory BFGS method, algorithm 2.1.

    Examples
    --------
    >>> import slopewise as sw
    >>> w = sw.tensor([4.0, -2.0], requires_grad=True)
    >>> optimizer = sw.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 3) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> first = optimizer.step(closure)
    >>> [round(x, 4) for x in w.tolist()]
    [3.0, 3.0]
    """

    _whole_state = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise UsageError(
                explain(f"LBFGS: only 'strong_wolfe' is supported, not {line_search_fn!r}.")
            )
        defaults = {
            "lr": lr, "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change,
            "history_size": history_size, "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise UsageError(
                explain("LBFGS doesn't support per-parameter options (parameter groups).")
            )

    # --- the parameters as one vector ---

    def _params(self) -> list[Any]:
        return self.param_groups[0]["params"]

    def _read_params(self) -> np.ndarray[Any, Any]:
        return np.concatenate([p._value.reshape(-1) for p in self._params()])

    def _read_grads(self) -> np.ndarray[Any, Any]:
        parts = [
            np.zeros(p._value.size, p.dtype) if p._grad is None else p._grad._value.reshape(-1)
            for p in self._params()
        ]
        return np.concatenate(parts)

    def _write_params(self, vector: np.ndarray[Any, Any]) -> None:
        start = 0
        for p in self._params():
            stop = start + p._value.size
            np.copyto(p._value, vector[start:stop].reshape(p._value.shape), casting="same_kind")
            p._storage.version += 1
            p._origin = None
            start = stop

    # --- stepping ---

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take up to max_iter directions; return the loss at the start.

        Raises
        ------
        UsageError
            If there is no closure.
        """
        if closure is None:
            raise UsageError(
                explain(
                    "LBFGS.step: needs a closure that clears the gradients, computes the loss,"
                    " calls backward and returns the loss: optimizer.step(closure)."
                )
            )
        self._steps += 1
        group = self.param_groups[0]
        self.init_state()
        state = self.state[self._params()[0]]
        if state_of_thread.recorder is not None:
            return TracedStep(self._params(), group, state, closure).run()
        kept = {name: tensor._value for name, tensor in state.items()}

        def measure() -> tuple[Any, float]:
            with enable_grad():
                loss = closure()
            kept["func_evals"] += 1
            return loss, float(loss)

        first_evals = int(kept["func_evals"])
        first_loss, loss = measure()
        grad = self._read_grads()
        for turn in range(1, group["max_iter"] + 1):
            if np.abs(grad).max(initial=0.0) <= group["tolerance_grad"]:
                break
            kept["n_iter"] += 1
            direction = _choose_direction(kept, grad)
            previous, kept["prev_loss"][...] = loss, loss
            kept["prev_flat_grad"][...] = grad
            kept["d"][...] = direction
            length = group["lr"]
            if kept["n_iter"] == 1:
                length *= min(1.0, 1.0 / float(np.abs(grad).sum()))
            slope = float(grad @ direction)
            kept["t"][...] = length
            if slope > -group["tolerance_change"]:
                break
            here = self._read_params()
            last = turn == group["max_iter"]
            if group["line_search_fn"] is None:
                self._write_params(here + length * direction)
                if not last:
                    _, loss = measure()
                    grad = self._read_grads()
            else:
                used = int(kept["func_evals"]) - first_evals
                point = self._search(
                    measure, here, direction, Point(0.0, loss, grad, slope), length,
                    group["max_eval"] - used,
                )  # fmt: skip
                loss, grad, length = point.value, point.grad, point.step
                self._write_params(here + length * direction)
            kept["t"][...] = length
            if (
                last
                or kept["func_evals"] - first_evals >= group["max_eval"]
                or np.abs(direction * length).max() <= group["tolerance_change"]
                or abs(loss - previous) < group["tolerance_change"]
            ):
                break
        for tensor in state.values():
            tensor._storage.version += 1
        return first_loss

    # --- what is kept ---

    def init_state(self) -> None:
        """Make what is kept between steps now, and not at the first step (for compiling)."""
        first = self._params()[0]
        if first not in self.state:
            size = sum(int(np.prod(p.shape, dtype=int)) for p in self._params())
            dtype = np.result_type(*(p.dtype for p in self._params()))
            made = make_kept(size, self.param_groups[0]["history_size"], dtype)
            changes.count += 1
            self.state[first] = {k: new_value(array, None, False) for k, array in made.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the settings; the history as lists, the oldest pair first."""
        found = super().state_dict()
        for entries in found["state"].values():
            kept = {name: tensor._value for name, tensor in entries.items()}
            rows = _list_rows(kept)
            for name in ("n_iter", "func_evals"):
                entries[name] = int(kept[name])
            for name in ("H_diag", "t", "prev_loss"):
                entries[name] = float(kept[name])
            for name in ("old_dirs", "old_stps"):
                entries[name] = [new_value(kept[name][row].copy(), None, False) for row in rows]
            entries["ro"] = [float(kept["ro"][row]) for row in rows]
            del entries["total"]
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, PyTorch's own too; see `Optimizer`."""
        super().load_state_dict({**state_dict, "state": {}})
        given = state_dict["state"].get(0)
        self.state = {}
        if not given:
            return
        self.init_state()
        kept = {name: t._value for name, t in self.state[self._params()[0]].items()}
        pairs = len(given.get("ro") or ())
        kept["total"][...] = pairs
        for name in KEPT:
            entry = given.get(name)
            if name in ("old_dirs", "old_stps", "ro"):
                for row, x in enumerate(entry or ()):
                    kept[name][row] = np.asarray(x)
            elif entry is not None and name != "total":
                kept[name][...] = np.asarray(entry)

    def _search(
        self,
        measure: Callable[[], tuple[Any, float]],
        here: np.ndarray[Any, Any],
        direction: np.ndarray[Any, Any],
        start: Point,
        length: float,
        max_evals: int,
    ) -> Point:
        def evaluate(step: float) -> Point:
            self._write_params(here + step * direction)
            _, value = measure()
            grad = self._read_grads()
            return Point(step, value, grad, float(grad @ direction))

        largest = float(np.abs(direction).max())
        return search_strong_wolfe(evaluate, start, length, largest, max_evals)[0]


def _choose_direction(kept: dict[str, Any], grad: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the next direction, after taking the last step into the history."""
    if kept["n_iter"] == 1:
        kept["total"][...] = 0
        kept["H_diag"][...] = 1.0
        return -grad
    change = grad - kept["prev_flat_grad"]
    step = kept["d"] * float(kept["t"])
    curvature = float(change @ step)
    if curvature > _LEAST_CURVATURE:
        row = int(kept["total"]) % len(kept["ro"])
        kept["old_dirs"][row], kept["old_stps"][row] = change, step
        kept["ro"][row] = 1.0 / curvature
        kept["total"] += 1
        kept["H_diag"][...] = curvature / float(change @ change)
    rows = _list_rows(kept)
    return inverse_hessian_product(
        -grad,
        [kept["old_dirs"][row] for row in rows],
        [kept["old_stps"][row] for row in rows],
        [float(kept["ro"][row]) for row in rows],
        float(kept["H_diag"]),
    )


def _list_rows(kept: Mapping[str, Any]) -> list[int]:
    """Return the rows of the history that are in use, the oldest first: they go round."""
    total, rows = int(kept["total"]), len(kept["ro"])
    return [number % rows for number in range(max(0, total - rows), total)]
