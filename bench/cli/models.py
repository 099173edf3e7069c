"""`edgebench models`: the networks at hand, and those that can be made."""

from __future__ import annotations

import argparse
import sys
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from bench import registry
from bench.cli.errors import Status
from bench.report.document import render_json
from bench.report.lines import Line, print_lines
from edge.bundle import Manifest, manifest_digest, open_bundle
from edge.models import elsewhere, model_folder, shipped

EPILOG = """\
examples:
  edgebench models
  edgebench models gusodrop ./my-bundle --json
"""

_COLUMNS = ("name", "data set", "accuracy", "95% interval", "MACs", "parameters", "gates", "exits", "size", "digest")
_LEFT_ALIGNED = ("name", "data set", "95% interval", "digest")
_EXITS_A_LINE = 9
_TRAIN = "edgebench train "


@dataclass(frozen=True, slots=True)
class _Listed:
    """A network of the list; `folder` and `size_bytes` are None where only its manifest is here."""

    manifest: Manifest
    digest: str
    folder: str | None = None
    size_bytes: int | None = None

    @property
    def recipe(self) -> str | None:
        """What it was trained with, where that is one of ours."""
        command = self.manifest.provenance.command
        return command.removeprefix(_TRAIN).partition(" ")[0] if command.startswith(_TRAIN) else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "models", nargs="*", metavar="NAME_OR_FOLDER", help="only these; folders of your own too (default: all shipped)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    bundles = [open_bundle(model_folder(model)) for model in arguments.models or shipped()]
    listed = [_Listed(each.manifest, each.digest, str(each.folder), each.size_bytes) for each in bundles]
    others = [] if arguments.models else [_Listed(each, manifest_digest(each)) for each in elsewhere()]
    made = {each.recipe for each in (*listed, *others)}
    recipes = [] if arguments.models else [name for name in registry.names("recipes") if name not in made]
    if arguments.json:
        more = {} if arguments.models else {"elsewhere": [_document(each) for each in others], "recipes": recipes}
        print(render_json({"schema": 1, "models": [_document(each) for each in listed], **more}))
        return Status.DONE
    if not listed:
        print("no model is shipped with this version; give the folder of one: edgebench models FOLDER", file=sys.stderr)
    print_lines([*_table(listed), *_not_here(others, recipes)], sys.stdout)
    return Status.DONE


def _document(listed: _Listed) -> dict[str, Any]:
    manifest = listed.manifest
    network, measured = manifest.network, manifest.measured
    accuracy = int8 = None
    if measured is not None:
        accuracy = {**asdict(measured.accuracy), "n": measured.n, "draws": measured.draws, "data": measured.data}
        int8 = None if measured.int8 is None else asdict(measured.int8)
    return {
        "name": manifest.name,
        "folder": listed.folder,
        "digest": listed.digest,
        "size_bytes": listed.size_bytes,
        "dataset": manifest.task.dataset,
        "classes": len(manifest.task.classes),
        "accuracy": accuracy,
        "int8": int8,
        "macs": network.macs(network.full_route),
        "policy_macs": _deciding_macs(manifest),
        "parameters": _parameters(manifest),
        "gates": len(network.gates),
        "exits": len(network.exits),
        "by_exit": [
            {"macs": macs, "accuracy": asdict(measured.exits[index]) if measured and measured.exits else None}
            for index, macs in enumerate(_macs_by_exit(manifest))
        ],
        "controller": manifest.controllers.default,
        "command": manifest.provenance.command,
    }


def _parameters(manifest: Manifest) -> int:
    # A bypass shares its weights with the block that it stands in for.
    return sum(stage.parameters for stage in manifest.network.stages.values() if stage.kind != "bypass")


def _macs_by_exit(manifest: Manifest) -> list[int]:
    """Of a frame that leaves there: trunk, all blocks kept, and the heads asked on the way."""
    network = manifest.network
    heads = [network.stages[exit_.head].macs for exit_ in network.exits]
    return [network.macs(network.full_route, index) + sum(heads[:index]) for index in range(len(heads))]


def _deciding_macs(manifest: Manifest) -> int | None:
    """Of the networks that decide on gates, all of them."""
    deciding = [stage.macs for stage in manifest.network.stages.values() if stage.kind in ("policy", "gate")]
    return sum(deciding) if deciding else None


def _macs(manifest: Manifest) -> str:
    """`555 M + 1.30 M`: the network with all its blocks, and what decides on them."""
    network, deciding = manifest.network, _deciding_macs(manifest)
    of_network = _counted(network.macs(network.full_route))
    return of_network if deciding is None else f"{of_network} + {_counted(deciding)}"


def _row(listed: _Listed) -> tuple[str, ...]:
    manifest = listed.manifest
    value, interval = "-", "not measured"
    if manifest.measured is not None:
        accuracy = manifest.measured.accuracy
        value, interval = f"{accuracy.value:.1%}", f"{100 * accuracy.low:.1f} to {accuracy.high:.1%}"
    return (
        manifest.name,
        manifest.task.dataset,
        value,
        interval,
        _macs(manifest),
        _counted(_parameters(manifest)),
        str(len(manifest.network.gates)),
        str(len(manifest.network.exits)),
        "-" if listed.size_bytes is None else f"{listed.size_bytes / 1e6:.1f} MB",
        listed.digest[:8],
    )


def _counted(number: int) -> str:
    """`555 M`, `11.2 M`, `940 k`: three digits that count."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            value = number / size
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
    return str(number)


def _table(listed: list[_Listed]) -> list[Line]:
    """A row a network; under it what each of several exits costs and how right it is, and what makes one not here."""
    rows = [_row(each) for each in listed]
    widths = [max(len(row[column]) for row in (_COLUMNS, *rows)) for column in range(len(_COLUMNS))]

    def line(row: tuple[str, ...], style: str = "") -> Line:
        cells = [
            text.ljust(width) if column in _LEFT_ALIGNED else text.rjust(width)
            for text, width, column in zip(row, widths, _COLUMNS, strict=True)
        ]
        return (("  ".join(cells).rstrip(), style),)

    lines = [line(_COLUMNS, "title")] if listed else []
    for each, row in zip(listed, rows, strict=True):
        lines += [line(row), *_exits(each.manifest)]
        if each.folder is None:
            # The name of a recipe is not always that of the network.
            lines.append(((f"    {'made by':<12} {each.manifest.provenance.command}", "dim"),))
    return lines


def _exits(manifest: Manifest) -> list[Line]:
    macs = _macs_by_exit(manifest)
    if len(macs) < 2:
        return []
    right = [] if manifest.measured is None else [each.value for each in manifest.measured.exits]
    lines: list[Line] = []
    for start in range(0, len(macs), _EXITS_A_LINE):
        part = slice(start, start + _EXITS_A_LINE)
        rows = [("leaving at", [f"exit {index}" for index in range(len(macs))[part]])]
        rows.append(("of the MACs", [f"{each / macs[-1]:.1%}" for each in macs[part]]))
        if right:
            rows.append(("right", [f"{each:.1%}" for each in right[part]]))
        lines += [((f"    {name:<12}" + "".join(f"{cell:>9}" for cell in cells), "dim"),) for name, cells in rows]
    return lines


def _not_here(others: list[_Listed], recipes: list[str]) -> list[Line]:
    """What can be had by training it: what is known of it, or its name alone."""
    if not (others or recipes):
        return []
    how = "not part of this installation: edgebench train NAME --data DATA --work WORK --out FOLDER"
    names = textwrap.wrap(", ".join(recipes), 76, break_on_hyphens=False)
    return [(), ((how, "title"),), *_table(others), *[((f"  {line}", ""),) for line in names]]
