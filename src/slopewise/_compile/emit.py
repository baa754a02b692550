"""Emission: one kernel of the loop program as vector code.

Invariant: every point of a kernel is computed once; the vector axis, the tiles and the order of the
loops are chosen here and change no result but the rounding of folds. Terms are written at the
outermost loop that they depend on. It is separate from the steps around kernels (loops, calls),
which `assembly` writes.
"""

from __future__ import annotations

from math import prod

from slopewise._compile.folds import Folds
from slopewise._compile.maps import Maps


class KernelEmitter(Maps, Folds):
    """Writes one kernel: the vector axis, the tiles and the order of its loops."""

    def emit(self) -> None:
        """Write the kernel."""
        kernel = self.kernel
        for store in (*kernel.stores, *kernel.ends):
            if not store.add and kernel.running is None:
                key = (store.buffer.number, tuple(i.key for i in store.indices))
                self.forward[key] = store.term
        if prod(a.size for a in kernel.axes) == 0:
            self._emit_nothing()
            return
        self.merge_axes()
        self.choose_vector()
        self.b.crowded = self.is_crowded()
        if kernel.running is not None:
            self._emit_running()
        elif kernel.folds:
            self._emit_folds()
        else:
            self._emit_map()

    def _emit_nothing(self) -> None:
        """Write the identities of folds over no elements."""
        for fold in self.kernel.folds:
            if fold.buffer.size:
                start = self._start(fold)
                with self.b.loop(0, fold.buffer.size) as i:
                    self.b.store(
                        start, self.b.address(self.address(fold.buffer), i, fold.buffer.dtype)
                    )
