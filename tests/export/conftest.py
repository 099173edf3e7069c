from __future__ import annotations

import importlib.util
import io

import cifar_files
import numpy as np
import pytest
from PIL import Image

# Without torch there is nothing here to test, and no test file could be imported.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]

CLASSES = 43


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums in a fixed order, so that equal trainings give equal bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", name="lived_in")
def lived_in_fixture():
    return lived_in


@pytest.fixture(scope="session")
def network():
    """Two blocks: the bypass of the first is the identity, that of the second a projection."""
    import torch

    from export.networks.resnet import GatedResNet

    return lived_in(GatedResNet((8, 16), (1, 1), CLASSES), seed=1).to(memory_format=torch.channels_last)


@pytest.fixture(scope="session")
def policy():
    from export.networks.policy import DecisionNetwork

    return lived_in(DecisionNetwork(2), seed=2)


@pytest.fixture(scope="session")
def images():
    """(6, 3, 32, 32) in [0, 1]."""
    import torch

    return torch.rand((6, 3, 32, 32), generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="session")
def exported(network, policy):
    """Exported once: a stage takes the exporter a second."""
    from export.onnx.stages import export_stages

    return export_stages(network, policy)


@pytest.fixture(scope="session")
def models(exported):
    return exported.models


@pytest.fixture(scope="session")
def bundle(exported, tmp_path_factory):
    from edge.bundle import Provenance, Task
    from export.onnx.write import write_stages

    return write_stages(
        tmp_path_factory.mktemp("bundles") / "tiny",
        exported,
        name="tiny",
        task=Task("gtsrb", tuple(f"class {index}" for index in range(CLASSES))),
        controller="gusodrop",
        provenance=Provenance("edgebench train tiny", 0, {}, {}),
    )


@pytest.fixture(scope="session")
def signs_folder(tmp_path_factory):
    """Packed GTSRB files with noise for pictures: 40 to train with, 20 to test."""
    folder = tmp_path_factory.mktemp("signs")
    _write_signs(folder / "gtsrb-train.npz", 40)
    _write_signs(folder / "gtsrb-test-public.npz", 20)
    return folder


@pytest.fixture(scope="session")
def other_signs_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other-signs")
    _write_signs(folder / "gtsrb-train.npz", 41)
    return folder


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A packed CIFAR-10 of noise."""
    return cifar_files.write_noise(tmp_path_factory.mktemp("photographs"))


def lived_in(module, seed):
    """The module with weights and batch-norm statistics as after a training: none is 0 or 1."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif tensor.dtype == torch.float32 and tensor.ndim <= 1:
                tensor.uniform_(0.1, 1.0, generator=generator)
            elif tensor.dtype == torch.float32:
                tensor.normal_(0.0, (2.0 / tensor[0].numel()) ** 0.5, generator=generator)
    return module.eval()


def _write_signs(path, count):
    tiles = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    # One sheet of one column.
    Image.fromarray(tiles.reshape(count * 32, 32, 3)).save(encoded, "WEBP", lossless=True, exact=True)
    np.savez(
        path,
        img_bytes=np.frombuffer(encoded.getvalue(), np.uint8),
        img_offsets=np.array([0, len(encoded.getvalue())]),
        codec=np.array("webp"),
        cols=np.int32(1),
        n=np.int64(count),
        y=(np.arange(count) % CLASSES).astype(np.uint8),
        orig_wh=np.full((count, 2), 32, np.uint16),
        roi=np.tile(np.array([4, 4, 28, 28], np.uint16), (count, 1)),
        **dict.fromkeys(("track", "track_in_class", "frame", "test_index"), np.arange(count, dtype=np.int32)),
    )
