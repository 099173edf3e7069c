"""`edgebench models`: the networks at hand."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from bench.cli.errors import Status
from bench.report.document import render_json
from bench.report.lines import Line, print_lines
from edge.bundle import Bundle, open_bundle
from edge.models import model_folder, shipped

EPILOG = """\
examples:
  edgebench models
  edgebench models gusodrop ./my-bundle --json
"""

_COLUMNS = ("name", "data set", "accuracy", "95% interval", "MACs", "parameters", "gates", "exits", "size", "digest")
_LEFT_ALIGNED = ("name", "data set", "95% interval", "digest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "models", nargs="*", metavar="NAME_OR_FOLDER", help="only these; folders of your own too (default: all shipped)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    bundles = [open_bundle(model_folder(model)) for model in arguments.models or shipped()]
    if arguments.json:
        print(render_json({"schema": 1, "models": [_document(bundle) for bundle in bundles]}))
    elif bundles:
        print_lines(_table([_row(bundle) for bundle in bundles]), sys.stdout)
    else:
        print("no model is shipped with this version; give the folder of one: edgebench models FOLDER", file=sys.stderr)
    return Status.DONE


def _document(bundle: Bundle) -> dict[str, Any]:
    network, measured = bundle.network, bundle.manifest.measured
    accuracy = None
    if measured is not None:
        estimate = measured.accuracy
        accuracy = {
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "n": measured.n,
            "draws": measured.draws,
            "data": measured.data,
        }
    return {
        "name": bundle.name,
        "folder": str(bundle.folder),
        "digest": bundle.digest,
        "size_bytes": bundle.size_bytes,
        "dataset": bundle.manifest.task.dataset,
        "classes": len(bundle.manifest.task.classes),
        "accuracy": accuracy,
        "macs": network.macs(network.full_route),
        "policy_macs": _policy_macs(bundle),
        "parameters": _parameters(bundle),
        "gates": len(network.gates),
        "exits": len(network.exits),
        "controller": bundle.manifest.controllers.default,
    }


def _parameters(bundle: Bundle) -> int:
    # A bypass shares its weights with the block that it stands in for.
    return sum(stage.parameters for stage in bundle.network.stages.values() if stage.kind != "bypass")


def _policy_macs(bundle: Bundle) -> int | None:
    network = bundle.network
    return None if network.policy is None else network.stages[network.policy].macs


def _macs(bundle: Bundle) -> str:
    """`555 M + 1.30 M`: the network with all its blocks, and its policy."""
    of_policy = _policy_macs(bundle)
    of_network = _counted(bundle.network.macs(bundle.network.full_route))
    return of_network if of_policy is None else f"{of_network} + {_counted(of_policy)}"


def _row(bundle: Bundle) -> tuple[str, ...]:
    network, measured = bundle.network, bundle.manifest.measured
    value, interval = "-", "not measured"
    if measured is not None:
        accuracy = measured.accuracy
        value, interval = f"{accuracy.value:.1%}", f"{100 * accuracy.low:.1f} to {accuracy.high:.1%}"
    return (
        bundle.name,
        bundle.manifest.task.dataset,
        value,
        interval,
        _macs(bundle),
        _counted(_parameters(bundle)),
        str(len(network.gates)),
        str(len(network.exits)),
        f"{bundle.size_bytes / 1e6:.1f} MB",
        bundle.digest[:8],
    )


def _counted(number: int) -> str:
    """`555 M`, `11.2 M`, `940 k`: three digits that count."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            value = number / size
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
    return str(number)


def _table(rows: list[tuple[str, ...]]) -> list[Line]:
    widths = [max(len(row[column]) for row in (_COLUMNS, *rows)) for column in range(len(_COLUMNS))]
    lines: list[Line] = []
    for row in (_COLUMNS, *rows):
        cells = [
            text.ljust(width) if column in _LEFT_ALIGNED else text.rjust(width)
            for text, width, column in zip(row, widths, _COLUMNS, strict=True)
        ]
        lines.append((("  ".join(cells).rstrip(), "title" if row is _COLUMNS else ""),))
    return lines
