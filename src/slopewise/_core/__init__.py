"""What a computation is made of: avals, values, nodes, primitive records and traces.

Invariant: nothing here knows a single operation, and nothing here imports a higher layer.
"""
