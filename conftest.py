"""What is collected: modules for PyTorch only where that is installed."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["src/slopewise/health/torch_*.py"]
