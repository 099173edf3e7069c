"""The entry point: finds the verb, runs it, and turns whatever goes wrong into one sentence and an exit status.

A verb is a module of this package with `add_arguments(parser)` and `run(arguments) -> int`.  It is imported when it is
named, so that `--help` imports neither numpy nor onnx, torch or rich.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from bench.cli.errors import RequestError, Status, explain
from bench.cli.interruption import interruptible
from bench.cli.streams import discard_stdout, note, prepare_streams, reader_may_leave

VERBS = {
    "latency": "run frames through a network: how fast, which routes, is it right",
    "record": "keep the frames of a source, to replay them",
    "attack": "craft adversarial frames beside the clean ones (needs torch)",
    "report": "show a run again from its records, finished or not",
    "models": "list the networks at hand",
    "devices": "show the board: what it is, and what its sensors say",
    "selftest": "check a backend on this machine, route by route",
    "policy": "show what a network's decision network does",
    "robustness": "show how accurate networks stay under attack (needs torch)",
    "reproduce": "the tables of a paper on dynamic networks again (needs torch)",
    "sweep": "show what every threshold of early exits leads to",
    "calibrate": "find thresholds of early exits for a target",
    "export": "write a trained network as a bundle (needs torch)",
    "train": "train a network by a recipe (needs torch)",
}

EPILOG = """\
examples:
  edgebench latency --model gusodrop
  edgebench latency --model gusodrop --baseline resnet18 --source dir://frames
  edgebench models

exit status: 0 done; 1 done, but --strict or a stated limit failed; 2 the request
cannot be served; 4 the device or the source was lost, records kept; 130
interrupted, records kept
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of the process) and give its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    prepare_streams()
    status = Status.DONE
    try:
        with interruptible():
            status = _served(words)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    except OSError as error:
        return _unwritten(error, status)
    return status


def _served(words: list[str]) -> Status:
    try:
        arguments = _parser().parse_args([word for word in words if word != "--debug"])
        return Status(importlib.import_module(f"bench.cli.{arguments.verb}").run(arguments))
    except SystemExit:  # argparse, after --help and --version
        return Status.DONE
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in words:
            traceback.print_exc()
        return _tell(explain(error), as_json="--json" in words)


def _tell(error: RequestError, *, as_json: bool) -> Status:
    if as_json:
        with reader_may_leave():
            print(json.dumps({"error": error.to_json()}, indent=2))
    else:
        note(f"edgebench: {error}")
    return error.status


def _unwritten(error: OSError, status: Status) -> Status:
    """The output cannot be written.

    A reader that left early (`edgebench ... | head`) or a terminal that is gone is no reason to complain.
    """
    discard_stdout()
    if isinstance(error, BrokenPipeError):
        return status
    _tell(explain(error), as_json=False)
    return status or Status.REFUSED


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of exiting, and learns a verb's options when the verb is called."""

    def __init__(self, *, verb: str | None = None, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)
        self._verb_to_learn = verb

    def parse_known_args(self, *arguments: Any, **settings: Any) -> Any:
        if self._verb_to_learn is not None:
            importlib.import_module(f"bench.cli.{self._verb_to_learn}").add_arguments(self)
            self.add_argument("--debug", action="store_true", help="show where an error comes from")
            self._verb_to_learn = None
        return super().parse_known_args(*arguments, **settings)

    def print_help(self, file: Any = None) -> None:
        # argparse's own swallows the error of an output that cannot be written.
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        raise RequestError("usage", message, f"See {self.prog} --help.")


def _parser() -> _Parser:
    parser = _Parser(
        prog="edgebench",
        description="Says what networks that decide per frame how much of themselves to run do on this machine.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    for verb, what in VERBS.items():
        verbs.add_parser(verb, verb=verb, help=what, description=what[0].upper() + what[1:] + ".")
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: importlib.metadata takes a third of what `--help` does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"edgebench {version('edgebench')}")
        parser.exit()
