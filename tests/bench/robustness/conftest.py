from __future__ import annotations

import importlib.util

import pytest

# Without torch there is nothing here to test, and no test file could be imported.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums in a fixed order, so that equal attacks give equal bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
