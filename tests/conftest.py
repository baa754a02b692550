"""What every test run shares: hypothesis profiles, a headless matplotlib, one BLAS thread.

No object code is read or kept.

The `ci` profile is fixed: the same examples on every machine and every run.
"""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["SLOPEWISE_CACHE"] = "off"  # what is tested is compiled, and nothing is left behind

from hypothesis import settings

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("dev", deadline=None, max_examples=50)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
