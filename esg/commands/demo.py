"""`esg demo`: the page on which photos can be tried."""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points
from typing import Any

from ..errors import InputError
from ..limits import MAX_PIXELS
from .arguments import not_empty, whole
from .console import Console


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="open a local page to try photos on",
        description="Opens a local page on which photos come back split into their entities. Ctrl-C ends it.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--host",
        type=not_empty,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on [127.0.0.1: this machine alone; 0.0.0.0: everyone who can reach it]",
    )
    parser.add_argument("--port", type=whole(1, 65535), default=7860, metavar="N", help="port to listen on [7860]")
    parser.add_argument(
        "--model",
        type=not_empty,
        default="cropformer-nano",
        metavar="NAME|FILE",
        help="the model chosen at first [cropformer-nano]",
    )
    parser.add_argument(
        "--grounder",
        type=not_empty,
        default="gella-nano",
        metavar="NAME|FILE",
        help="what grounds words at first: gella-nano, zero-shot ... [gella-nano]",
    )
    parser.add_argument(
        "--inpainter",
        type=not_empty,
        metavar="ID|FOLDER",
        help="the diffusion model that is offered first; where others can see the page, the only new one",
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:1, mps ... [auto: the fastest there is]",
    )
    parser.add_argument(
        "--max-pixels",
        type=whole(1),
        default=MAX_PIXELS,
        metavar="N",
        help=f"larger photos are refused [{MAX_PIXELS}]",
    )
    parser.add_argument(
        "--max-size-mb", type=whole(1), metavar="N", help="larger files are refused, in megabytes [512]"
    )
    parser.add_argument(
        "--max-visitor-mb",
        type=whole(1),
        metavar="N",
        help="all files that one visitor may bring within an hour, in megabytes [2048]",
    )
    parser.add_argument(
        "--allowed-host",
        type=not_empty,
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which the page may be asked for, such as that of a proxy before it, or * for every name; may "
        "be given several times [on 127.0.0.1 none but that and localhost, so that no web site can use the page; "
        "elsewhere every name]",
    )
    parser.add_argument(
        "--root-path",
        type=not_empty,
        metavar="PATH",
        help="the path under which a proxy serves the page, such as /esg, or the whole address there [none, or "
        "GRADIO_ROOT_PATH of the environment]",
    )
    parser.add_argument(
        "--auth", type=_auth, metavar="USER:PASSWORD", help="what visitors have to give before they see the page"
    )
    parser.add_argument(
        "--share",
        action="store_true",
        help="also make a public address through Gradio's servers: everyone who has it can see the page",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not show the page in a browser of this machine")


def run(args: argparse.Namespace, console: Console) -> int:
    """Serves the page until it is interrupted."""
    # The core does not know its faces: the package that brings a page says so in its metadata.
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
        device=args.device,
        max_pixels=args.max_pixels,
        allowed_hosts=args.allowed_host,
        root_path=args.root_path or "",
        auth=args.auth,
        share=args.share,
        open_browser=not args.no_browser,
        say=console.line,
        **{name: limit for name, limit in limits.items() if limit is not None},  # else the page has one of its own
    )
    return 0


def _auth(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("it is to be USER:PASSWORD")
    return user, password
