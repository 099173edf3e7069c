"""The controller that CONTRIBUTING shows is one file that works."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from edge.backends.null import Null
from edge.bundle import open_bundle
from edge.runtime import Runtime

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()


def test_the_controller_of_contributing_stops_when_exits_agree(exits: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {"__name__": "contributing"}
    exec(compile(block, "CONTRIBUTING.md", "exec", dont_inherit=True), names)
    agreement = names["Agreement"]
    assert callable(agreement)
    bundle = open_bundle(exits)
    taken = []
    for agreeing in (1, 2, 3, 4):
        # The null backend gives the same scores at every exit, so that all of them agree.
        runtime = Runtime(bundle.network, Null().open(bundle, 1), agreement(agreeing))
        taken.append(runtime.infer(np.zeros(bundle.manifest.input_shape, np.float32)).exit)
    assert taken == [0, 1, 2, 2]
