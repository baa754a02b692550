"""compile: a Python function, traced once for each kind of arguments, run as one pure graph.

Invariant: a compiled call does what the eager call does, to rounding: the same results, and the
same changes of parameters, buffers, gradients, optimiser state and random generators. What a trace
assumed is checked at each call. It is separate from `plan`, which holds one trace.
"""

from __future__ import annotations

import ctypes
import inspect
import weakref
from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from importlib import import_module
from threading import RLock
from typing import Any, Protocol

import numpy as np

from slopewise._core.source import explain
from slopewise._core.state import changes, state
from slopewise._core.trace import Graph
from slopewise._core.tree import flatten, unflatten
from slopewise._core.value import Value, new_value
from slopewise._front.entering import enter, link
from slopewise._front.history import record_history
from slopewise._front.operands import read_native
from slopewise._front.plan import Plan
from slopewise._front.reach import Reach
from slopewise._front.tracing import trace_plan
from slopewise.errors import ShapeError, UsageError

_tracing = RLock()  # a trace makes tensors abstract, so that no other call may read them
_TRIED = 8  # entries, each of which costs some ten nanoseconds where it does not fit
_FIXED = (int, bool, str, bytes, type(None), type(Ellipsis), slice, np.dtype)


class Executable(Protocol):
    """What a backend makes of a graph."""

    def run(self, arrays: Sequence[Any], out: Sequence[Any]) -> list[Any]:
        """Return the outputs for the inputs; output i is written to `out[i]` unless it is None."""
        ...


class ReferenceExecutable:
    """Runs a graph with NumPy, one operation after the other."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, arrays: Sequence[Any], out: Sequence[Any]) -> list[Any]:
        """Return the outputs, each in its own memory or in the buffer given for it."""
        made = [np.array(x) for x in self.graph(*arrays)]
        for i, buffer in enumerate(out):
            if buffer is not None:
                np.copyto(buffer, made[i])
                made[i] = buffer
        return made

    def explain(self) -> str:
        """Return the operations in order."""
        return "\n".join(str(node) for node in self.graph.nodes)


Backend = Callable[[Graph, str], Executable]


def lower_graph(graph: Graph, name: str) -> Executable:
    """Return machine code for a graph."""
    try:
        program: Any = import_module("slopewise._compile.program")
    except ModuleNotFoundError as error:
        if error.name not in ("slopewise._compile.program", "llvmlite"):
            raise
        return ReferenceExecutable(graph)
    return program.lower(graph, name=name)


class Compiled:
    """A function that is traced once for each kind of arguments and then run as machine code.

    Made by `compile`. Calling it does what calling the function does.

    Parameters
    ----------
    function : callable
    cache : int
        How many specialisations are kept; the one used longest ago is dropped first.
    """

    # Each instance has a `__call__` of its own: the way through Python, or a builtin function that
    # makes the same calls as the last one without it.
    __slots__ = ("__call__", "__dict__", "__weakref__")
    __call__: Callable[..., Any]
    _slow: Callable[..., Any]
    _reach = ("function",)

    def __init__(
        self, function: Callable[..., Any], cache: int = 8, backend: Backend = lower_graph
    ) -> None:
        if not callable(function):
            raise UsageError(explain(f"compile: needs a function, not {function!r}."))
        if cache < 1:
            raise UsageError(explain(f"compile: cache must be at least 1, not {cache}."))
        self.function = function
        self._cache = cache
        self._backend = backend
        self._plans: list[Plan] = []
        self._reasons: list[str] = []
        self._last: Plan | None = None
        self._clock = ctypes.c_int64(0)  # counts calls, those of entries too
        self._chain: list[Any] = []
        self._names, self._takes_out = _parameters(function)
        self._call_slowly()
        wrapped: Any = function if hasattr(function, "__name__") else type(function).__call__
        update_wrapper(self, wrapped, updated=())
        self.__wrapped__ = function

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else partial(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {getattr(self, '__name__', 'function')}>"

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name == "function" and "_plans" in vars(self):
            for plan in self._plans:
                plan.entry = None
            self._call_slowly()

    def __getattr__(self, name: str) -> Any:
        # Parameters, modes and states of a compiled module are those of the module.
        function = vars(self).get("function")
        if name.startswith("__") or not hasattr(type(function), "named_parameters"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(function, name)

    def __getstate__(self) -> dict[str, Any]:
        # What was traced stays here.
        fresh = {
            "_plans": [], "_reasons": [], "_last": None, "_clock": ctypes.c_int64(0), "_chain": [],
        }  # fmt: skip
        return {k: v for k, v in {**vars(self), **fresh}.items() if k != "_slow"}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        vars(self).update(kept)
        self._call_slowly()

    def _call_slowly(self) -> None:
        """Let calls come through Python."""
        self.__call__ = self._slow = _call_weakly(self)
        self._chain = []

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what a call does, through Python."""
        out = None if self._takes_out else kwargs.pop("out", None)
        leaves, structure = flatten((args, kwargs))
        if any(isinstance(x, np.ndarray) and not x.dtype.isnative for x in leaves):
            leaves = [read_native(x) if isinstance(x, np.ndarray) else x for x in leaves]
            args, kwargs = unflatten(structure, leaves)
        if state.recorder is not None or self._must_run_eagerly(leaves):
            return _give_out(self.function(*args, **kwargs), out)
        key = (_key_of(leaves), structure, state.grad_enabled, state.default_dtype)
        roots = [self.function]
        roots += [x for x in leaves if isinstance(x, Value) or not _is_plain(x)]
        with _tracing:
            if len(self._plans) > 1:
                self._plans.sort(key=lambda plan: plan.stamp, reverse=True)
            plan, reason = self._find(key, roots)
            if plan is None:
                reach, fresh = self._reach_from(roots, leaves)
                if fresh:
                    plan, reason = self._find(key, roots)
                if plan is None:
                    self._reasons += [reason] if reason else []
                    plan = self._trace(key, roots, leaves, structure, reach)
            self._last = plan
            self._clock.value += 1
            plan.used = self._clock.value
            eager = plan.differentiable and (plan.history is None or out is not None)
            if plan.pure and not plan.differentiable:
                enter(plan, roots, self._slow, self._plans, self._clock)
            self._link()
            results: list[Any] = []
            targets: Any = None
            gathered: Any = None
            if not eager:
                targets = None if out is None else self._targets(plan, out)
                gathered = plan.gather(leaves, roots)
                if not plan.pure:
                    results = plan.run(leaves, roots, targets, gathered)
        if eager:
            return _give_out(self.function(*args, **kwargs), out)
        if plan.pure:  # other threads need not wait
            results = plan.run(leaves, roots, targets, gathered)
        if plan.history is not None:
            with _tracing:  # which makes tensors abstract, also in another thread
                plan.history.attach(plan, *gathered, results)
        if out is not None:
            return out
        return unflatten(plan.structure, _present(plan, results, leaves))

    def _link(self) -> None:
        """Let entries try the next call, those of the latest calls first, before Python does."""
        chain = [plan.entry for plan in self._plans if plan.entry][:_TRIED]
        if [id(entry) for entry in chain] != [id(entry) for entry in self._chain]:
            link(chain, self._chain)
            self._chain = chain
            self.__call__ = chain[0].function if chain else self._slow

    @staticmethod
    def _must_run_eagerly(leaves: Sequence[Any]) -> bool:
        for x in leaves:
            if not isinstance(x, Value):
                continue
            # Inside another transform the function is inlined; what was computed outside keeps its
            # history.
            if x._value is None or (
                x._requires_grad and x._edge is not None and state.grad_enabled
            ):
                return True
        return False

    def _find(self, key: Any, roots: Sequence[Any]) -> tuple[Plan | None, str]:
        """Return the plan that may be used again, which becomes the first; or why none may."""
        epoch = changes.count
        for i, plan in enumerate(self._plans):
            if plan.key == key and plan.fits(roots, epoch):
                return self._move_up(i), ""
        reason = ""
        for i, plan in enumerate(self._plans):
            found = _compare(plan.key, key, self._names)
            if found is None:
                found = plan.rebind(roots, epoch)
                if found is None:
                    return self._move_up(i), ""
            reason = reason or found
        return None, reason

    def _move_up(self, i: int) -> Plan:
        plan = self._plans[i]
        if i:
            self._plans.insert(0, self._plans.pop(i))
        return plan

    def _reach_from(self, roots: Sequence[Any], leaves: Sequence[Any]) -> tuple[Reach, bool]:
        """Return what can be reached, and whether optimisers had to make their state first."""
        labels: list[tuple[str, Any]] = [("", self.function)]
        for i, x in enumerate(leaves):
            if isinstance(x, Value) or not _is_plain(x):
                labels.append((f"argument {_label(self._names, i)}", x))
        reach = Reach(labels)
        before = changes.count
        for thing in reach.found:
            if hasattr(type(thing), "init_state"):
                thing.init_state()
        if changes.count == before:
            return reach, False
        return Reach(labels), True

    def _trace(
        self, key: Any, roots: Sequence[Any], leaves: Sequence[Any], structure: Any, reach: Reach
    ) -> Plan:
        """Trace the function and have the graph compiled."""
        plan = trace_plan(self.function, key, reach, leaves, structure, roots)
        plan.epoch = changes.count
        name = getattr(self, "__name__", "function")
        if plan.differentiable:
            plan.history = record_history(plan, self._backend, name)
        if plan.history is not None or not plan.differentiable:
            plan.executable = self._backend(plan.graph, name)
        self._plans.insert(0, plan)
        del self._plans[self._cache :]
        return plan

    def _targets(self, plan: Plan, out: Any) -> list[Any]:
        """Return the arrays that the results are written to."""
        given, structure = flatten(out)
        kinds = [kind for kind, _ in plan.results]
        if structure != plan.structure:
            raise UsageError(
                explain(f"out: needs {len(kinds)} arrays in the structure of the result.")
            )
        if any(kind != "result" for kind in kinds):
            raise UsageError(
                explain(
                    "out: a result is an argument, a captured tensor or a constant, which is not"
                    " written anywhere; return a computed value."
                )
            )
        avals = {w: o for (k, w), o in zip(plan.sinks, plan.graph.outputs, strict=True)
                 if k == "result"}  # fmt: skip
        avals |= {w: plan.graph.inputs[x] if isinstance(x, int) else x
                  for k, w, x in plan.passed if k == "result"}  # fmt: skip
        targets: list[Any] = []
        for i, x in enumerate(given):
            array = x._value if isinstance(x, Value) else x
            node = avals.get(i)
            if not isinstance(array, np.ndarray):
                raise UsageError(explain("out: needs arrays or tensors."))
            if node is not None and (array.shape != node.shape or array.dtype != node.dtype):
                raise ShapeError(
                    explain(
                        f"out: result {i} has shape {node.shape} and dtype {node.dtype}, the array"
                        f" given for it {array.shape} and {array.dtype}."
                    )
                )
            targets.append(array)
        return targets

    # --- what was done ---

    def why(self) -> list[str]:
        """Return the reason for each time the function was compiled again.

        Returns
        -------
        list of str

        Examples
        --------
        >>> import numpy as np
        >>> import slopewise as sw
        >>> double = sw.compile(lambda x: x * 2)
        >>> _ = double(np.zeros(3)), double(np.zeros(4))
        >>> double.why()
        ['argument x: shape (3,) became (4,)']
        """
        return list(self._reasons)

    def explain(self) -> str:
        """Return what the last call ran, in readable form.

        Returns
        -------
        str
        """
        return self._ask("explain")

    def profile(self, *args: Any, repeat: int = 10, **kwargs: Any) -> str:
        """Call the function and return what it ran, with the time of each kernel.

        The calls are real: a training step trains.

        Parameters
        ----------
        *args, **kwargs
            What the function is called with.
        repeat : int
            How many calls are timed; one more comes before them.

        Returns
        -------
        str
            What `explain` returns, with microseconds for each step and their share of a call. The
            clocks take some nanoseconds each; in threads, the times of all of them are added.

        Raises
        ------
        UsageError
            If the call is one that runs eagerly, or `repeat` is not at least 1.

        Examples
        --------
        >>> import numpy as np
        >>> import slopewise as sw
        >>> norm = sw.compile(lambda x: (x * x).sum())
        >>> "us" in norm.profile(np.ones(1000))
        True
        """
        if repeat < 1:
            raise UsageError(explain(f"profile: repeat must be at least 1, not {repeat}."))
        self._last = None
        self._call(args, kwargs)
        plan: Any = self._last
        if plan is None or not hasattr(plan.executable, "timed"):
            raise UsageError(explain("profile: this call runs eagerly, so it has no kernels."))
        with _tracing:
            kept, plan.executable = plan.executable, plan.executable.timed()
            try:
                for _ in range(repeat):
                    self._call(args, kwargs)
                return plan.executable.explain()
            finally:
                plan.executable = kept

    def llvm(self) -> str:
        """Return the LLVM code of the last call.

        Returns
        -------
        str
        """
        return self._ask("llvm")

    def asm(self) -> str:
        """Return the assembly code of the last call.

        Returns
        -------
        str
        """
        return self._ask("asm")

    def _ask(self, what: str) -> str:
        now = self._clock.value
        # A call that came through an entry left its mark there.
        last = next((p for p in self._plans if p.entry and p.entry.stamp == now), self._last)
        if last is None or last.executable is None:
            raise UsageError(explain(f"{what}: nothing was compiled yet; call the function first."))
        found = getattr(last.executable, what, None)
        if found is None:
            raise UsageError(explain(f"{what}: this backend does not say."))
        return found()


def _call_weakly(compiled: Compiled) -> Callable[..., Any]:
    """Return what calls a compiled function and does not keep it alive."""
    ref = weakref.ref(compiled)
    function, cache, backend = compiled.function, compiled._cache, compiled._backend

    def call(*args: Any, **kwargs: Any) -> Any:
        known = ref()
        if known is None or known.function is not function:
            known = Compiled(function, cache, backend)
        return known._call(args, kwargs)

    return call


def _is_plain(x: Any) -> bool:
    return isinstance(x, (float, *_FIXED, np.ndarray, np.generic))


def _key_of(leaves: Sequence[Any]) -> tuple[Any, ...]:
    """Return what the cache compares of the arguments; tensors are compared at their places."""
    parts: list[Any] = []
    for x in leaves:
        if isinstance(x, Value):
            parts.append(Value)
        elif type(x) is float:
            parts.append(float)
        elif isinstance(x, (np.ndarray, np.generic)):
            parts.append((np.ndarray, x.shape, x.dtype))
        elif isinstance(x, _FIXED):
            parts.append((type(x), x))
        else:
            parts.append(type(x))
    return tuple(parts)


def _compare(old: tuple[Any, ...], new: tuple[Any, ...], names: Sequence[str]) -> str | None:
    """Return, in words, how two keys differ."""
    if old == new:
        return None
    if old[2] != new[2]:
        return f"gradient mode: {old[2]} became {new[2]}"
    if old[3] != new[3]:
        return f"default dtype: {old[3]} became {new[3]}"
    for i, (a, b) in enumerate(zip(old[0], new[0], strict=False)):
        if a == b:
            continue
        label = f"argument {_label(names, i)}"
        if isinstance(a, tuple) and isinstance(b, tuple) and a[0] is b[0]:
            if a[0] is not np.ndarray:
                return f"{label}: {a[1]!r} became {b[1]!r}"
            for what, p, q in zip(("shape", "dtype"), a[1:], b[1:], strict=True):
                if p != q:
                    return f"{label}: {what} {p} became {q}"
        return f"{label}: another kind"
    return "the arguments have another structure"


def _label(names: Sequence[str], i: int) -> str:
    return names[i] if i < len(names) else str(i)


def _parameters(function: Any) -> tuple[list[str], bool]:
    """Return the names of the parameters, and whether one is `out`."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return [], False
    return names, "out" in names


def _give_out(answer: Any, out: Any) -> Any:
    """Write eager results to `out`, if it is given."""
    if out is None:
        return answer
    for target, value in zip(flatten(out)[0], flatten(answer)[0], strict=True):
        array: Any = target._value if isinstance(target, Value) else target
        array[...] = value._value if isinstance(value, Value) else value
    return out


def _present(plan: Plan, results: list[Any], leaves: Sequence[Any]) -> list[Any]:
    """Return results in the kind of the arguments: tensors, arrays or Python floats."""
    given = [
        x for x in leaves if type(x) is float or isinstance(x, (Value, np.ndarray, np.generic))
    ]
    arrays = bool(given) and not plan.tensors and not any(isinstance(x, Value) for x in given)
    floats = arrays and all(type(x) is float for x in given)
    shown: list[Any] = []
    for (kind, _), value in zip(plan.results, results, strict=True):
        if kind not in ("result", "constant"):
            shown.append(value)
        elif not arrays:
            known = isinstance(value, Value)
            shown.append(value if known else new_value(value, None, False))
        elif floats and value.ndim == 0 and value.dtype.kind == "f":
            shown.append(value.item())
        else:
            shown.append(value)
    return shown


def compile(function: Any = None, *, cache: int = 8) -> Any:
    """Compile a function: trace it once for each kind of arguments, and run machine code.

    The function may be an ordinary training step: tensors that it reads become inputs, and
    parameters, buffers, gradients, optimiser state and random generators that it changes are
    changed by each call. Numbers, flags and texts that it reads from modules, optimisers, closures
    and globals are part of what is checked; when one changes, the function is compiled again
    (`why()` says so). Python floats among the arguments are inputs; ints, bools and texts are
    fixed. A branch on a traced value is an error that names the line.

    From the second call on, a function of Python floats and arrays that captures no tensor and
    draws no random numbers is entered without any Python, in a tenth of a microsecond, if the
    arguments are given by position and are floats or contiguous arrays of the same shapes and
    dtypes as before (up to eight kinds of arguments may alternate); `out=` is an array, or a tuple
    of arrays, that shares no memory with another argument. All other calls do the same in some
    twenty microseconds.

    A result that the caller may differentiate (a forward pass alone, with gradients recorded) has
    the whole call as its history: `backward()` runs it back as machine code, too, and computes the
    forward pass again. One step that does all is faster: put `backward()` inside, where that is
    possible. Where a call cannot be one operation (tensors that it reads share memory, or have a
    history or hooks; a result looks at another one's memory; it changes what the way back needs),
    it runs eagerly. What is computed outside meets plain numbers: the logarithm of a compiled
    softmax is not recognised as one formula.

    Parameters
    ----------
    function : callable, optional
        A function, a method, a Module (whose parameters, modes and states are then those of the
        result), or what a transform returned; left out, a decorator is returned.
    cache : int
        How many specialisations are kept.

    Returns
    -------
    callable
        Takes the function's arguments, and `out=`: a nest of arrays for the results. If all
        arguments are NumPy arrays (or floats) and no tensor is captured, results are arrays (or
        floats).

    Raises
    ------
    TraceError
        In a call, if the function needs a value that is not known while it is traced.
    UsageError
        If it is no function.

    Examples
    --------
    >>> import slopewise as sw
    >>> slope = sw.compile(sw.grad(lambda w: (w - 3) ** 2))
    >>> slope(4.0)
    2.0
    >>> w = sw.tensor(4.0, requires_grad=True)
    >>> optimizer = sw.optim.SGD([w], lr=0.25)
    >>> @sw.compile
    ... def step():
    ...     optimizer.zero_grad()
    ...     loss = (w - 3) ** 2
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> [step().item() for _ in range(3)]
    [1.0, 0.25, 0.0625]
    """
    if function is None:
        return partial(compile, cache=cache)
    return Compiled(function, cache)
