"""A start from the cache gives the scores of a start without, whatever happened to the cache in between."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import toys

from edge.backends.onnxruntime import cache as caching
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.cache import KEPT, Cache, Remembered, cache_of, key, processor_of
from edge.backends.onnxruntime.fused import optimised_pieces
from edge.backends.onnxruntime.memory import ALIGNMENT_BYTES
from edge.backends.onnxruntime.pieces import INPUT, Pieces, join
from edge.backends.onnxruntime.process import Process, this_process
from edge.backends.onnxruntime.spans import Link
from edge.backends.onnxruntime.verify import TOLERANCE, relative_error
from edge.bundle import Bundle, open_bundle
from edge.network import Network

ROOT = Path(__file__).parents[2]
IMAGE = toys.image(1, size=16)


@pytest.fixture(scope="module")
def process() -> Process:
    process = this_process()
    process.use(1)
    return process


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    # 12 channels: not a multiple of the 8 or 16 that the blocked layout keeps together.
    return open_bundle(toys.both_bundle(tmp_path_factory.mktemp("cached") / "both", channels=12, size=16))


@pytest.fixture(scope="module")
def pieces(bundle: Bundle, process: Process) -> Pieces:
    stages = {stage: bundle.stage_model(stage) for stage in bundle.network.stages}
    return optimised_pieces(process, bundle.network, stages)


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the folder comes with the first entry."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgebench" / "onnxruntime"


def scores(bundle: Bundle, expected_cache: str) -> list[np.ndarray]:
    """Of four routes to the first and to the last exit, after an opening that says this of the cache."""
    network, backend = bundle.network, OnnxRuntime().open(bundle, threads=1)
    assert backend.describe()["plan"] == "fused", backend.describe()
    assert backend.describe()["cache"] == expected_cache
    routes = ["".join(bits) for bits in itertools.product("01", repeat=len(network.gates))][::5]
    exits = {0, len(network.exits) - 1}
    segments = [network.segment(route, 0, exit_index) for route in routes for exit_index in exits]
    return [backend.compile(segment).run(IMAGE)[1] for segment in segments]


def entry(caches: Path) -> Path:
    (folder,) = caches.iterdir()
    return folder


def test_the_second_start_is_from_the_cache_and_the_same(bundle: Bundle, caches: Path) -> None:
    built = scores(bundle, "built")
    np.testing.assert_array_equal(scores(bundle, "loaded"), built)
    assert sorted(file.name for file in entry(caches).iterdir()) == ["SHA256SUMS", "pieces.json", "weights"]


@dataclass(frozen=True)
class WithoutModels:
    network: Network
    digest: str

    def stage_model(self, stage_id: str) -> onnx.ModelProto:
        raise AssertionError("a start from the cache reads no stage")


def test_a_start_from_the_cache_reads_no_stage(bundle: Bundle, caches: Path) -> None:
    OnnxRuntime().open(bundle, threads=1)
    backend = OnnxRuntime().open(WithoutModels(bundle.network, bundle.digest), threads=1)
    assert backend.describe()["cache"] == "loaded"


STARTS = """
import sys
from pathlib import Path
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import open_bundle
bundle = open_bundle(Path(sys.argv[1]))
backend = OnnxRuntime().open(bundle, threads=1)
backend.compile(bundle.network.segment(bundle.network.full_route, 0, 0))
print(backend.describe()["plan"], backend.describe()["cache"], "onnx" in sys.modules)
"""


def start(bundle: Bundle) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", STARTS, bundle.folder], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_processes_that_write_at_once(bundle: Bundle, caches: Path) -> None:
    started = [start(bundle) for _ in range(3)]
    said = [process.communicate(timeout=120)[0].split() for process in started]
    assert all(plan == "fused" and cache in ("built", "loaded") for plan, cache, _ in said)
    # Nothing half written is left, and the next start needs neither the stages nor onnx.
    assert not entry(caches).name.startswith(".")
    assert start(bundle).communicate(timeout=120)[0].split() == ["fused", "loaded", "False"]


def test_another_process_was_faster(
    pieces: Pieces, process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, remembered = Cache(tmp_path / "caches" / "entry"), Remembered(pieces, [])
    rename, faster = Path.rename, []

    def rename_too_late(path: Path, target: Path) -> Path:
        if path.name == "new" and not faster:
            faster.append("another process")
            cache.store(remembered)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_too_late)
    cache.store(remembered)
    assert faster
    assert cache.load(process.ort)
    assert list((tmp_path / "caches").iterdir()) == [cache.folder]


def change_byte(file: Path, place: float) -> None:
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1
    file.write_bytes(data)


def truncate(file: Path, left: float) -> None:
    os.truncate(file, int(left * file.stat().st_size))


def rewrite(folder: Path, change: Callable[[dict], object]) -> None:
    """Change the document and the digest with it, as a fault of ours would."""
    document = json.loads((folder / "pieces.json").read_text())
    change(document)
    (folder / "pieces.json").write_text(json.dumps(document))
    state_digests(folder)


def state_digests(folder: Path) -> None:
    document = json.loads((folder / "pieces.json").read_text())
    document["weights_crc32"] = [zlib.crc32((folder / "weights").read_bytes())]
    data = json.dumps(document).encode()
    (folder / "pieces.json").write_bytes(data)
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(data).hexdigest()}  pieces.json\n")


def replace_by_file(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("")


def swap_graphs(document: dict) -> None:
    stages = document["stages"]
    stages["block0"], stages["block1"] = stages["block1"], stages["block0"]


def forget_a_stage(document: dict) -> None:
    del document["stages"]["block0"]


def place_weights_outside(document: dict) -> None:
    next(iter(document["weights"].values()))[1] = document["weights_bytes"]


def say_less_of_the_weights(document: dict) -> None:
    document["weights_bytes"] -= 64


def alter_a_score(document: dict) -> None:
    document["scores"][-1][0] += 0.01


def forget_a_score(document: dict) -> None:
    del document["scores"][-1]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated weights": lambda folder: truncate(folder / "weights", 0.9),
    "no weights": lambda folder: truncate(folder / "weights", 0),
    "longer weights": lambda folder: (folder / "weights").write_bytes((folder / "weights").read_bytes() + b"\0"),
    "altered weight": lambda folder: change_byte(folder / "weights", 0.5),
    "altered graph": lambda folder: change_byte(folder / "pieces.json", 0.1),
    "truncated graphs": lambda folder: truncate(folder / "pieces.json", 0.5),
    "altered digest": lambda folder: change_byte(folder / "SHA256SUMS", 0),
    "empty digests": lambda folder: truncate(folder / "SHA256SUMS", 0),
    "missing weights": lambda folder: (folder / "weights").unlink(),
    "missing digests": lambda folder: (folder / "SHA256SUMS").unlink(),
    "a file in its place": replace_by_file,
    "others may write": lambda folder: folder.chmod(0o777),
    "swapped graphs": lambda folder: rewrite(folder, swap_graphs),
    "forgotten stage": lambda folder: rewrite(folder, forget_a_stage),
    "weights outside": lambda folder: rewrite(folder, place_weights_outside),
    "weights too long": lambda folder: rewrite(folder, say_less_of_the_weights),
    "other scores": lambda folder: rewrite(folder, alter_a_score),
    "forgotten score": lambda folder: rewrite(folder, forget_a_score),
}


@pytest.fixture(scope="module")
def stored(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray]]:
    """A good entry, to be copied and damaged, and the scores of the start that stored it."""
    home = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home))
        found = scores(bundle, "built")
    return entry(home / "edgebench" / "onnxruntime"), found


@pytest.fixture
def copied(stored: tuple[Path, list[np.ndarray]], caches: Path) -> Path:
    return Path(shutil.copytree(stored[0], caches / stored[0].name))


def test_a_copy_is_loaded(bundle: Bundle, stored: tuple[Path, list[np.ndarray]], copied: Path) -> None:
    """What the damage below is compared with."""
    np.testing.assert_array_equal(scores(bundle, "loaded"), stored[1])


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_built_again(
    damage: Callable[[Path], object], bundle: Bundle, stored: tuple[Path, list[np.ndarray]], copied: Path
) -> None:
    damage(copied)
    np.testing.assert_array_equal(scores(bundle, "built"), stored[1])
    assert list(copied.parent.iterdir()) == [copied]
    np.testing.assert_array_equal(scores(bundle, "loaded"), stored[1])


STAGES = ["stem", "block0", "block1", "block2", "block3", "bypass2", "head0", "head1", "head2", "policy"]


@pytest.mark.parametrize("altered", STAGES)
def test_scores_that_differ_are_noticed_in_every_stage(altered: str, bundle: Bundle, copied: Path) -> None:
    """Digests agree here: a stage's own largest weight is in another order, as another processor would want it."""
    assert set(STAGES) == set(bundle.network.stages)
    document = json.loads((copied / "pieces.json").read_text())
    places = [document["weights"][name] for name in document["stages"][altered]["weights"]]
    _, offset_bytes, *shape = max(places, key=lambda place: np.prod(place[2:]))
    weights = np.fromfile(copied / "weights", np.float32)
    values = weights[offset_bytes // 4 :][: int(np.prod(shape))]
    values[:] = values[::-1].copy()
    weights.tofile(copied / "weights")
    state_digests(copied)
    assert OnnxRuntime().open(bundle, threads=1).describe()["cache"] == "built"


def test_an_entry_of_somebody_else_is_not_used(copied: Path, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Cache(copied).load(process.ort)
    monkeypatch.setattr(os, "geteuid", lambda: copied.stat().st_uid + 1)
    assert Cache(copied).load(process.ort) is None


def test_networks_of_one_name(tmp_path: Path, caches: Path) -> None:
    """Exported twice with other weights: the digests differ and nothing else."""
    bundles = [open_bundle(toys.gated_bundle(tmp_path / str(seed) / "toy", size=16, seed=seed)) for seed in (0, 1)]
    assert bundles[0].name == bundles[1].name
    built = [scores(bundle, "built") for bundle in bundles]
    assert relative_error(built[0][0], built[1][0]) > 100 * TOLERANCE
    for bundle, expected in zip(bundles, built, strict=True):
        np.testing.assert_array_equal(scores(bundle, "loaded"), expected)


X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 207
model name\t: INTEL(R) XEON(R) PLATINUM 8581C CPU @ 2.10GHz
stepping\t: 2
microcode\t: 0xffffffff
cpu MHz\t\t: 2100.000
core id\t\t: 0
flags\t\t: fpu sse sse2 avx avx2 avx512f
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 62.50
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd42
CPU revision\t: 1
"""


@pytest.mark.parametrize(
    ("cpuinfo", "others", "same"),
    [
        (
            X86,
            [("avx512f", "avx512f avx512_vnni"), ("207", "143"), ("GenuineIntel", "AuthenticAMD"), ("8581C", "8480")],
            [("2100.000", "3400.123"), ("core id\t\t: 0", "core id\t\t: 1"), ("0xffffffff", "0x1")],
        ),
        (
            ARM,
            [("asimddp", "asimddp sve"), ("0xd42", "0xd08"), ("0x41", "0x4e"), ("variant\t: 0x0", "variant\t: 0x1")],
            [("processor\t: 0", "processor\t: 3"), ("62.50", "38.40")],
        ),
    ],
)
def test_the_kind_of_processor(cpuinfo: str, others: list[tuple[str, str]], same: list[tuple[str, str]]) -> None:
    for old, new in others:
        assert processor_of(cpuinfo.replace(old, new)) != processor_of(cpuinfo)
        # A core of another kind beside the first, as on a phone's chip.
        assert processor_of(cpuinfo + "\n" + cpuinfo.replace(old, new)) != processor_of(cpuinfo)
    for old, new in same:
        assert processor_of(cpuinfo.replace(old, new)) == processor_of(cpuinfo)
    assert processor_of(cpuinfo + "\n" + cpuinfo) == processor_of(cpuinfo)


def test_everything_a_graph_depends_on_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        key("digest", "processor", {"onnxruntime": "1.32.0"}),
        key("other", "processor", {"onnxruntime": "1.32.0"}),
        key("digest", "other", {"onnxruntime": "1.32.0"}),
        key("digest", "processor", {"onnxruntime": "1.23.2"}),
        key("digest", "processor", {"onnxruntime": "1.32.0", "build": "own"}),
    ]
    monkeypatch.setattr(caching, "SCHEMA", caching.SCHEMA + 1)
    keys.append(key("digest", "processor", {"onnxruntime": "1.32.0"}))
    assert len(set(keys)) == len(keys)


def test_the_version_is_in_what_describes_the_builder(process: Process) -> None:
    assert process.version in process.builder.values()


def test_another_processor_builds_its_own(
    bundle: Bundle, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(ARM)
    monkeypatch.setattr(caching, "_CPUINFO", cpuinfo)
    scores(bundle, "built")
    scores(bundle, "loaded")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(copied.parents[2]))
    assert len(list(copied.parent.iterdir())) == 2
    scores(bundle, "loaded")


def test_a_cache_that_cannot_be_written(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    scores(bundle, "not written: Not a directory")


def test_a_full_disk_leaves_nothing_behind(bundle: Bundle, caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(folder: Path, remembered: Remembered) -> None:
        (folder / "weights").write_bytes(bytes(100))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(caching, "_write", write_half)
    scores(bundle, "not written: No space left on device")
    assert not list(caches.iterdir())


@pytest.mark.parametrize("options", [{"cache": False}, {"plan": "staged"}])
def test_no_cache_where_none_is_wanted(options: dict, bundle: Bundle, caches: Path) -> None:
    backend = OnnxRuntime(**options).open(bundle, threads=1)
    assert backend.describe()["cache"] == "not used"
    assert not caches.exists()


def test_a_relative_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    found = cache_of("digest", {})
    assert found is not None
    assert found.folder.parent == tmp_path / ".cache" / "edgebench" / "onnxruntime"


def test_a_user_without_a_home(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(Path, "home", home)
    scores(bundle, "not used")


def test_the_entry_used_longest_ago_goes_first(pieces: Pieces, process: Process, tmp_path: Path) -> None:
    entries = [Cache(tmp_path / str(number)) for number in range(KEPT + 2)]
    half_written = tmp_path / ".killed"
    half_written.mkdir()
    os.utime(half_written, (0, 0))
    for number, cache in enumerate(entries[:KEPT]):
        cache.store(Remembered(pieces, []))
        os.utime(cache.folder, (number + 1, number + 1))
    assert not half_written.exists()
    assert entries[0].load(process.ort)
    for cache in entries[KEPT:]:
        cache.store(Remembered(pieces, []))
    assert {Path(name).name for name in os.listdir(tmp_path)} == {cache.folder.name for cache in entries} - {"1", "2"}


def test_pieces_come_back_as_they_were(pieces: Pieces, process: Process, tmp_path: Path) -> None:
    expected = [np.array([0.1, -1e-30, 3e38], np.float32), np.array([np.nan, np.inf], np.float32)]
    cache = Cache(tmp_path / "entry")
    assert cache.load(process.ort) is None
    cache.store(Remembered(pieces, expected))
    found = cache.load(process.ort)
    assert found is not None
    assert found.reading.sound()
    remembered, loaded = found.remembered, found.remembered.pieces
    assert (loaded.header, loaded.by_stage) == (pieces.header, pieces.by_stage)
    for scores, wanted in zip(remembered.scores, expected, strict=True):
        np.testing.assert_array_equal(scores, wanted)
    for name, weight in pieces.weights.items():
        np.testing.assert_array_equal(loaded.weights[name].array, weight.array)
        assert loaded.weights[name].array.ctypes.data % ALIGNMENT_BYTES == 0
        assert loaded.weights[name].value.data_ptr() == loaded.weights[name].array.ctypes.data
    # Weights that were one in memory are one again.
    distinct = [len({id(weight) for weight in each.weights.values()}) for each in (loaded, pieces)]
    assert distinct[0] == distinct[1]


def test_models_in_a_row_are_one_model(bundle: Bundle, pieces: Pieces) -> None:
    """Parsed, the bytes are one graph whose nodes read what was given before them."""
    network = bundle.network
    for route in ("1111", "0000", "1001"):
        for exit_index in range(len(network.exits)):
            segment = network.segment(route, 0, exit_index)
            data, weights = join(pieces, Link(segment.stages, segment.head, segment.continues))
            graph = onnx.load_model_from_string(data).graph
            assert [value.name for value in graph.input] == [INPUT]
            known = {INPUT, "", *(tensor.name for tensor in graph.initializer)}
            for node in graph.node:
                assert set(node.input) <= known
                assert not set(node.output) & known - {""}
                known |= set(node.output)
            external = {t.name for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
            assert set(weights) == external
            chain = [pieces.by_stage[stage] for stage in (*segment.stages, segment.head)]
            counts = [len(onnx.load_model_from_string(piece.operators).graph.node) for piece in chain]
            assert len(graph.node) == sum(counts)
            outputs = [chain[-1].output, chain[-2].output] if segment.continues else [chain[-1].output]
            assert [value.name for value in graph.output] == outputs
