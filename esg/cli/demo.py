"""`esg demo`: the page for trying photos."""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points
from typing import Any

from ..support.errors import InputError
from ..support.limits import MAX_PIXELS
from .arguments import add_machine, machine_of, not_empty, whole
from .console import Console


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="open a local page to try ESG on your photos",
        description="Opens a local page that segments your photos into entities. Press Ctrl-C to stop it.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--host",
        type=not_empty,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on [127.0.0.1: this machine only; 0.0.0.0: everyone who can reach it]",
    )
    parser.add_argument("--port", type=whole(1, 65535), default=7860, metavar="N", help="port to listen on [7860]")
    parser.add_argument(
        "--model",
        type=not_empty,
        default="cropformer-nano",
        metavar="NAME|FILE",
        help="initially selected model [cropformer-nano]",
    )
    parser.add_argument(
        "--grounder",
        type=not_empty,
        default="gella-nano",
        metavar="NAME|FILE",
        help="initially selected grounder: gella-nano, zero-shot ... [gella-nano]",
    )
    parser.add_argument(
        "--inpainter",
        type=not_empty,
        metavar="ID|FOLDER",
        help="diffusion model that is selected at the start; if other machines can reach the page, visitors can only "
        "choose it or the others on the menu, and cannot download any",
    )
    add_machine(parser)
    _add_limits(parser)
    _add_access(parser)
    parser.add_argument("--no-browser", action="store_true", help="do not open the page in a browser on this machine")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-pixels",
        type=whole(1),
        default=MAX_PIXELS,
        metavar="N",
        help=f"refuse photos with more pixels [{MAX_PIXELS}]",
    )
    parser.add_argument(
        "--max-size-mb", type=whole(1), metavar="N", help="refuse files larger than this, in megabytes [512]"
    )
    parser.add_argument(
        "--max-visitor-mb",
        type=whole(1),
        metavar="N",
        help="total size of the files that one visitor can upload within an hour, in megabytes [2048]",
    )


def _add_access(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allowed-host",
        type=not_empty,
        action="append",
        default=[],
        metavar="NAME",
        help="host name under which the page can be reached, such as the name of a proxy in front of it, or * for any "
        "name; can be given several times [any name; on 127.0.0.1 only that address and localhost, so that other web "
        "sites cannot use the page]",
    )
    parser.add_argument(
        "--root-path",
        type=not_empty,
        metavar="PATH",
        help="path under which a proxy serves the page, such as /esg, or the full address there [the environment "
        "variable GRADIO_ROOT_PATH, or none]",
    )
    parser.add_argument("--auth", type=_auth, metavar="USER:PASSWORD", help="require visitors to log in with these")
    parser.add_argument(
        "--share",
        action="store_true",
        help="also create a public address through Gradio's servers; everyone who has it can see the page",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Serves the page until interrupted."""
    # The core does not know its user interfaces: the package that provides a page registers it in its metadata.
    pages = entry_points(group="esg.faces", name="page")
    if not pages:
        raise InputError('The page is not installed; install it with: pip install "esg[demo]"')
    launch = next(iter(pages)).load()
    limits = {"max_size_mb": args.max_size_mb, "max_visitor_mb": args.max_visitor_mb}
    launch(
        host=args.host,
        port=args.port,
        model=args.model,
        grounder=args.grounder,
        inpainter=args.inpainter or "",
        **machine_of(args),
        max_pixels=args.max_pixels,
        allowed_hosts=args.allowed_host,
        root_path=args.root_path or "",
        auth=args.auth,
        share=args.share,
        open_browser=not args.no_browser,
        say=console.line,
        **{name: limit for name, limit in limits.items() if limit is not None},  # the page has its own defaults
    )
    return 0


def _auth(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("write it as USER:PASSWORD")
    return user, password
