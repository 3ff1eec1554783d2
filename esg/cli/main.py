"""The command `esg`."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from ..support.errors import EsgError
from ..support.process import keep_memory, share_cores
from ..version import __version__
from . import batch, caption, data, demo, doctor, evaluate, ground, inpaint, segment, train, weights
from .arguments import Parser
from .console import Console

FAILED = 2  # argparse's status for wrong arguments
INTERRUPTED = 130  # the convention of shells: 128 + SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status.

    0: success. 2: wrong arguments (as `SystemExit`), or a problem that the user can fix, reported in one line on
    stderr. 130: stopped by Ctrl-C. Any other exception is a bug and keeps its stack trace.
    """
    quieten_libraries()
    share_cores()
    keep_memory()
    with Console() as console, warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")  # library warnings are meant for programmers
        try:
            parser = _parser()
            args = parser.parse_args(argv)
            if "run" not in args:
                parser.print_help(sys.stderr)
                return FAILED
            return args.run(args, console)
        except EsgError as error:
            console.complain(error)
            return FAILED
        except KeyboardInterrupt:
            console.complain("Stopped.")
            return INTERRUPTED


def quieten_libraries() -> None:
    """Hides library messages meant for programmers, unless the environment asks for them."""
    for library in ("TRANSFORMERS", "DIFFUSERS", "HF_HUB"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")


def _parser() -> Parser:
    parser = Parser(
        prog="esg",
        description="Segments photos into entities, finds the entities that a phrase refers to, and removes or "
        "repaints them.",
        epilog="Run `esg COMMAND --help` for the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"esg {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for command in (segment, batch, caption, ground, inpaint, weights, data, train, evaluate, demo, doctor):
        command.add(commands)
    return parser
