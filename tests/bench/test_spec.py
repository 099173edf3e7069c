"""One grammar for everything that is written on a command line, and errors that say what to write instead."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.spec import Spec, SpecError, build, format_spec, parse_spec

Mode = Literal["fused", "staged"]


@dataclass
class Everything:
    text: str = "one"
    whole: int = field(default=1, metadata={"help": "how many, 0 or more", "example": 3})
    number: float = 0.5
    yes: bool = False
    maybe: int | None = 7
    mode: Mode = "fused"

    def __post_init__(self) -> None:
        if self.whole < 0:
            raise ValueError(f"whole is 0 or more, not {self.whole}")


@dataclass
class Depth:
    keep: float = field(metadata={"help": "keep-probability, 0 to 1", "example": "random:0.6"})


@dataclass
class Place:
    location: str = field(metadata={"help": "where it is", "example": "somewhere"})
    loop: bool = False
    folder: str | None = None


@dataclass
class Unreadable:
    odd: tuple[int, ...] = ()


class Bare:
    """A plugin without options need not be a dataclass."""


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("gusodrop", Spec("gusodrop", None, ())),
        ("gusodrop:", Spec("gusodrop", None, ())),
        ("fixed:11010111", Spec("fixed", "11010111", ())),
        ("a:1,b=2", Spec("a", "1", (("b", "2"),))),
        ("a:b=2,c=3", Spec("a", None, (("b", "2"), ("c", "3")))),
        ("a:b=x=y,lone", Spec("a", None, (("b", "x=y"), ("lone", None)))),
        ("a:b=http://host", Spec("a", None, (("b", "http://host"),))),
        ("a:b=1%2C2%252C", Spec("a", None, (("b", "1,2%2C"),))),
        ("camera://0", Spec("camera", "0", ())),
        ("dir:///data/a,b=c%2C", Spec("dir", "/data/a,b=c%2C", ())),
        ("rtsp://host:554/a?b?seed=3,loop", Spec("rtsp", "host:554/a?b", (("seed", "3"), ("loop", None)))),
    ],
)
def test_a_spec_is_taken_apart(text: str, spec: Spec) -> None:
    assert parse_spec(text) == spec


texts = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)
@given(
    text=texts,
    whole=st.integers(0),
    number=st.floats(allow_nan=False, allow_infinity=False),
    yes=st.booleans(),
    maybe=st.none() | st.integers(),
    mode=st.sampled_from(["fused", "staged"]),
)
def test_what_is_formatted_parses_back(
    text: str, whole: int, number: float, yes: bool, maybe: int | None, mode: Mode
) -> None:
    plugin = Everything(text, whole, number, yes, maybe, mode)

    spec = parse_spec(format_spec("name", plugin))

    assert spec.name == "name"
    assert build(spec, Everything) == plugin


@settings(deadline=None)
@given(location=texts, loop=st.booleans(), folder=st.none() | texts.filter(lambda text: text.lower() != "none"))
def test_a_formatted_source_parses_back(location: str, loop: bool, folder: str | None) -> None:
    plugin = Place(location, loop, folder)

    assert build(parse_spec(format_spec("dir", plugin)), Place) == plugin


@pytest.mark.parametrize("plugin", [Everything, Depth, Place, Bare])
@settings(deadline=None)
@given(text=texts)
def test_any_text_is_a_plugin_or_one_sentence(plugin: type, text: str) -> None:
    with contextlib.suppress(SpecError):
        assert isinstance(build(parse_spec(text), plugin), plugin)


@pytest.mark.parametrize(
    ("plugin", "text"),
    [
        (Everything(), "name"),
        (Everything("two"), "name:two"),
        (Everything("a=b", yes=True), "name:text=a=b,yes=true"),
        (Everything("//x"), "name:text=//x"),
        (Everything(maybe=None), "name:maybe=none"),
        (Depth(0.6), "name:0.6"),
        (Place("x"), "name://x"),
        (Place("x?y"), "name://x?y?"),
        (Place("x", loop=True), "name://x?loop=true"),
        (Place("x,y%", folder="a?b,c%"), "name://x,y%?folder=a%3Fb%2Cc%25"),
        (Bare(), "name"),
    ],
)
def test_the_shortest_spec_is_written(plugin: object, text: str) -> None:
    assert format_spec("name", plugin) == text


def test_a_bool_may_stand_alone() -> None:
    assert build(parse_spec("file://clip.mp4?loop"), Place) == Place("clip.mp4", loop=True)


@pytest.mark.parametrize(
    ("text", "plugin", "sentence"),
    [
        ("", Bare, "spec '' has no name: write name:key=value,key=value or scheme://location?key=value"),
        (":3", Bare, "spec ':3' has no name: write name:key=value,key=value or scheme://location?key=value"),
        ("a:b=1,=2", Bare, "spec 'a:b=1,=2' has an option without a name: write key=value, separated by commas"),
        ("gusodrop:3", Bare, "gusodrop takes no options: write only 'gusodrop'"),
        ("gusodrop:a=3", Bare, "gusodrop has no option 'a': it takes none"),
        ("random:depth=3", Depth, "random has no option 'depth': its options are keep"),
        ("random", Depth, "random needs keep (number: keep-probability, 0 to 1), for example random:0.6"),
        (
            "random:half",
            Depth,
            "random cannot use keep=half: it takes keep (number: keep-probability, 0 to 1), for example random:0.6",
        ),
        (
            "random:nan",
            Depth,
            "random cannot use keep=nan: it takes keep (number: keep-probability, 0 to 1), for example random:0.6",
        ),
        ("random:0.6,keep=0.7", Depth, "random was given 'keep' twice: give it once"),
        ("x:folders=1", Place, "x has no option 'folders': its options are location, loop, folder"),
        ("dir", Place, "dir needs location (text: where it is), for example dir://somewhere"),
        ("dir://x?folder", Place, "dir was given 'folder' without a value: it takes folder (text or none)"),
        ("dir://x?loop=maybe", Place, "dir cannot use loop=maybe: it takes loop (true or false)"),
        (
            "x:whole=1.5",
            Everything,
            "x cannot use whole=1.5: it takes whole (whole number: how many, 0 or more), for example whole=3",
        ),
        ("x:whole=-1", Everything, "whole is 0 or more, not -1"),
        (
            "x:mode=loose",
            Everything,
            "x cannot use mode=loose: it takes mode (fused or staged), for example mode=fused",
        ),
        ("x:maybe=so", Everything, "x cannot use maybe=so: it takes maybe (whole number or none)"),
        ("x:odd=1", Unreadable, "x cannot use odd=1: it takes odd (something no spec can give)"),
    ],
)
def test_an_error_names_the_option_its_range_and_an_example(text: str, plugin: type, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(parse_spec(text), plugin)

    assert str(caught.value) == sentence
