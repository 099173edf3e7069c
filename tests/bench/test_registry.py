"""Plugins come through entry points, ours and other people's, and only what is asked for is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from distributions import distribution

from bench.registry import PluginError, find, make, names
from bench.spec import parse_spec, split_composed


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that Python looks for packages in."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_built_in_parts_are_on_offer() -> None:
    assert {"gusodrop", "all", "none", "fixed", "random"} <= set(names("controllers"))
    assert {"onnxruntime", "null"} <= set(names("backends"))
    assert {"synthetic", "dataset", "dir", "file", "recorded"} <= set(names("sources"))
    assert {"resnet18-gtsrb", "gusodrop-gtsrb"} <= set(names("recipes"))


@pytest.mark.parametrize("kind", ["controllers", "sources"])
def test_every_built_in_part_is_there(kind: str) -> None:
    for name in names(kind):
        assert callable(find(kind, name))


def test_another_package_adds_a_controller(site: Path) -> None:
    distribution(
        site,
        "dozer",
        "[edgebench.controllers]\nsleepy = edgebench_dozer:Sleepy\n",
        edgebench_dozer="class Sleepy: pass",
    )

    assert "sleepy" in names("controllers")
    assert find("controllers", "sleepy").__name__ == "Sleepy"


def test_only_what_is_asked_for_is_imported(site: Path) -> None:
    distribution(site, "dozer", "[edgebench.controllers]\nloud = edgebench_loud:X\n", edgebench_loud="raise SystemExit")
    program = (
        "import sys; from bench.registry import find, names; names('controllers'); find('controllers', 'all');"
        "assert not {'onnxruntime', 'torch', 'PIL', 'edgebench_loud'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_near_miss_is_told_what_was_meant() -> None:
    with pytest.raises(
        PluginError, match=r"^there is no controller 'gusodrob': did you mean 'gusodrop'\? known are all"
    ):
        find("controllers", "gusodrob")


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(PluginError, match=r"^there is no backend 'abacus': known are .*null.*onnxruntime"):
        find("backends", "abacus")


def test_a_name_offered_twice_names_both_owners(site: Path) -> None:
    for owner in ("dozer", "napper"):
        distribution(
            site,
            owner,
            f"[edgebench.controllers]\nsleepy = edgebench_{owner}:Sleepy\n",
            **{f"edgebench_{owner}": "class Sleepy: pass"},
        )

    with pytest.raises(PluginError) as caught:
        find("controllers", "sleepy")

    assert str(caught.value) == "controller 'sleepy' is offered by both dozer and napper: uninstall one of them"


@pytest.mark.parametrize(
    ("requires", "source", "sentence"),
    [
        (
            (),
            "import edgebench_pillow",
            "needs the package 'edgebench_pillow', which is missing: install edgebench_pillow",
        ),
        (
            ("numpy", 'edgebench_pillow>=2; extra == "bed"'),
            "import edgebench_pillow.feather",
            "needs the package 'edgebench_pillow', which is missing: pip install \"dozer[bed]\"",
        ),
        ((), "1 / 0", "cannot be loaded (ZeroDivisionError: division by zero): update or uninstall dozer"),
        (
            (),
            "",
            "cannot be loaded (AttributeError: module 'edgebench_broken' has no attribute 'X'): "
            "update or uninstall dozer",
        ),
        (
            (),
            None,
            "cannot be loaded (ModuleNotFoundError: No module named 'edgebench_broken'): update or uninstall dozer",
        ),
    ],
)
def test_a_plugin_that_cannot_be_imported_names_its_owner(
    site: Path, requires: tuple[str, ...], source: str | None, sentence: str
) -> None:
    modules = {} if source is None else {"edgebench_broken": source}
    distribution(site, "dozer", "[edgebench.controllers]\nsleepy = edgebench_broken:X\n", *requires, **modules)
    sys.modules.pop("edgebench_broken", None)

    with pytest.raises(PluginError) as caught:
        find("controllers", "sleepy")

    assert str(caught.value) == f"controller 'sleepy' of dozer {sentence}"
    sys.modules.pop("edgebench_broken", None)


def test_without_an_installation_the_sentence_says_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.registry.entry_points", lambda group: [])

    with pytest.raises(PluginError, match="no controller is registered: install edgebench with pip"):
        find("controllers", "gusodrop")


def test_controllers_are_composed_and_sources_are_not() -> None:
    controller, spec = make("controllers", "deadline:budget=5ms+confidence:threshold=0.9")
    assert spec == "deadline:5ms+confidence:0.9"
    assert [type(part).__name__ for part in controller.parts] == ["Deadline", "Confidence"]
    controller, spec = make("controllers", "confidence:thresholds=0.9;-;0.8,fallback=most-confident")
    assert spec == "confidence:thresholds=0.9;-;0.8,fallback=most-confident"
    assert make("controllers", "fixed:exit=2")[1] == "fixed:exit=2"
    assert split_composed("gusodrop") == ["gusodrop"]
    assert parse_spec("file://a+b.mp4").first == "a+b.mp4"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("deadline:5ms+", "has a plus sign with nothing to compose beside it"),
        ("+all", "has a plus sign with nothing to compose beside it"),
        ("gusodrop+random:0.5", "GuSoDrop and RandomDepth both decide gates"),
        ("deadline:5ms+confidenc:0.9", "did you mean 'confidence'"),
        ("confidence:fallback=best", "fallback=best: it takes fallback \\(last or most-confident"),
        ("confidence:0.9,calibrated=x", "one of these only, for example confidence:0.9"),
    ],
)
def test_controllers_that_do_not_go_together_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make("controllers", text)
