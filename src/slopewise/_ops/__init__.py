"""The table of primitives: one typed record per operation, one file per family.

Invariant: a record is the only place where an operation's value, derivative, lowering and wording
are stated. Rules are written in primitives and operators, so that derivatives of derivatives work.
"""
