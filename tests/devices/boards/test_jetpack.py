"""Releases of Jetson Linux and the JetPack that they belong to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.boards.jetpack import jetpack_of


@pytest.mark.parametrize(
    ("release", "jetpack"),
    [
        ("32.7.1", "4.6.1"),
        ("32.6.1", "4.6"),
        ("35.2.1", "5.1"),
        ("35.3.1", "5.1.1"),
        ("35.4.1", "5.1.2"),
        ("35.5.0", "5.1.3"),
        ("35.6.1", "5.1.5"),
        ("36.3.0", "6.0"),
        ("36.4.0", "6.1"),
        ("36.4.3", "6.2"),
        ("36.4.4", "6.2.1"),
        ("36.5.0", "6.2.2"),
        ("36.5.2", "6.2.3"),
        ("38.2.0", "7.0"),
        ("38.4.0", "7.1"),
        ("39.2.0", "7.2"),
        ("39.2.2", "7.2.2"),
    ],
)
def test_known_releases(release: str, jetpack: str) -> None:
    assert jetpack_of(release) == jetpack


@pytest.mark.parametrize(
    ("release", "jetpack"),
    [
        ("35.6.9", "5.1.x"),
        ("36.4.7", "6.2.x"),
        ("36.9", "6.x"),
        ("39.2.9", "7.2.x"),
        ("39.9.0", "7.x"),
        ("36.40.1", "6.x"),
        ("31.1", None),
        ("40.0.0", None),
    ],
)
def test_a_release_that_is_not_known_has_the_line_it_lies_in(release: str, jetpack: str | None) -> None:
    assert jetpack_of(release) == jetpack


@given(st.text())
def test_any_text_is_taken(release: str) -> None:
    jetpack_of(release)
