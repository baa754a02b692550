"""A writer: a builder that knows the mathematical functions, too.

Invariant: it adds nothing but their names. It is separate because the functions are written with
the builder, which cannot know them.
"""

from __future__ import annotations

from slopewise._compile.builder import Builder, Operand, Register
from slopewise._compile.math import apply


class Writer(Builder):
    """Writes one function, of which terms of the array graph are a part."""

    def call(self, name: str, *operands: Operand) -> Register:
        """Apply a mathematical function by its name."""
        return apply(self, name, operands)
