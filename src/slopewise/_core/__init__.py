"""What a computation is made of: avals, values, nodes, primitive records and traces.

Invariant: nothing here knows a single operation, and nothing here imports a higher layer.
"""

from time import time_ns

LOADED = time_ns()
"""When this package began to load: a source that was changed since is not what runs."""
