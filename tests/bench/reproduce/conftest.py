from __future__ import annotations

import importlib.util

# Without torch there is nothing here to test, and no test file could be imported.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]
