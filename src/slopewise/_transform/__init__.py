"""Readers of the recorded graph: reverse mode, forward mode, batching, recognition, checks.

Invariant: no reader knows an operation by name; all of them interpret the kinds of `_core.rules`.
"""
