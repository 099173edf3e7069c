from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import toys
from hypothesis import settings

from edge.bundle import state_measured
from export.quantize import quantize

# A busy machine is no fault of the code, and the same examples must be tried everywhere.
settings.register_profile("edgebench", deadline=None, derandomize=True)
settings.load_profile("edgebench")


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests cache, in this process or in those they start, is their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy bundle with four gates, a policy and one exit."""
    return toys.gated_bundle(tmp_path_factory.mktemp("toys") / "gated")


@pytest.fixture(scope="session")
def exits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy bundle with three exits and no gates."""
    return toys.exit_bundle(tmp_path_factory.mktemp("toys") / "exits")


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small toy bundle with gates, exits and a policy whose stages state the ranges of their activations."""
    folder = toys.both_bundle(tmp_path_factory.mktemp("toys") / "calibrated", classes=7, size=16)
    return quantize(folder, [toys.image(100 + seed, size=16) for seed in range(8)]).folder


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small toy bundle that has all a bundle can have: gates, bypass, policy, exits, narrow weights, measurements."""
    folder = toys.both_bundle(tmp_path_factory.mktemp("toys") / "everything", classes=5, size=8, narrowed=True)
    return state_measured(folder, toys.MEASURED).folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the packed data sets; tests that need it carry the marker `data`."""
    folder = os.environ.get("EDGEBENCH_DATA")
    if not folder:
        pytest.skip("set EDGEBENCH_DATA to the folder that holds the packed data sets, for example ~/edgebench-data")
    return Path(folder)
