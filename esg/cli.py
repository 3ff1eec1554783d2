"""The command `esg`."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from . import __version__
from .commands import caption, demo, evaluate, ground, inpaint, segment, train, weights
from .commands.arguments import Parser
from .commands.console import Console
from .errors import EsgError

FAILED = 2  # as argparse does for wrong arguments
INTERRUPTED = 130  # as shells say it: 128 + SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status.

    0: all is done. 2: wrong arguments (as `SystemExit`), or something that the user can put right, said in one line on
    stderr. 130: stopped by Ctrl-C. Anything else that is raised is a bug and keeps its stack trace.
    """
    quieten_libraries()
    with Console() as console, warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")  # those of the libraries, which speak to programmers
        try:
            parser = _parser()
            args = parser.parse_args(argv)
            if "run" not in args:
                parser.print_help(sys.stderr)
                return FAILED
            return args.run(args, console)
        except EsgError as error:
            console.complain(str(error))
            return FAILED
        except KeyboardInterrupt:
            console.complain("Stopped.")
            return INTERRUPTED


def quieten_libraries() -> None:
    """Keeps what libraries say to programmers off the user's screen, unless the environment asks for it."""
    for library in ("TRANSFORMERS", "DIFFUSERS", "HF_HUB"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")


def _parser() -> Parser:
    parser = Parser(
        prog="esg",
        description="Takes photos apart into their entities, says which of them words mean, and removes them.",
        epilog="`esg COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"esg {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for command in (segment, caption, ground, inpaint, weights, train, evaluate, demo):
        command.add(commands)
    return parser
