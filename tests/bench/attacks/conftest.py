from __future__ import annotations

import importlib.util

import pytest

# Without torch there is nothing here to test, and no test file could be imported.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]

CLASSES = 5


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums in a fixed order, so that equal attacks give equal bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def gated():
    """Three gates in double precision: a bypass that is the identity, and two projections."""
    from export.networks.resnet import GatedResNet

    return _drawn(lambda: GatedResNet((4, 6, 8), (1, 1, 1), CLASSES), seed=1)


@pytest.fixture(scope="session")
def with_exits():
    """Three gates, and an exit behind each of the first two blocks."""
    from export.networks.early_exit import EarlyExitNetwork
    from export.networks.resnet import GatedResNet

    return _drawn(lambda: EarlyExitNetwork(GatedResNet((4, 6, 8), (1, 1, 1), CLASSES), (0, 1)), seed=2)


@pytest.fixture(scope="session")
def policy():
    from export.networks.policy import DecisionNetwork

    return _drawn(lambda: DecisionNetwork(3, initial_keep=0.6), seed=3)


@pytest.fixture(scope="session")
def images():
    """(4, 3, 16, 16) in [0, 1], on the grid of 8-bit frames."""
    import torch

    levels = torch.randint(256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(4))
    return levels.double() / 255


@pytest.fixture(scope="session")
def labels():
    import torch

    return torch.tensor([0, 1, 2, 3])


def _drawn(build, seed):
    """What `build` makes, in eval mode and double precision, with no weight at zero."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build().double().eval()
        with torch.no_grad():
            for parameter in module.parameters():
                if not parameter.any():
                    parameter.normal_(0.0, 0.5)
    return module.requires_grad_(False)
