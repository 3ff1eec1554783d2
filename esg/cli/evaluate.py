"""`esg eval`: measures segmenters and grounders on pictures with ground truth."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

from ..support.errors import OutOfMemory
from ..support.files import write_atomically
from .console import Console
from .evaluating import classes, entities, foreground, naming, scenes, texts
from .evaluating.measuring import measuring_of
from .results import check_result


def add(commands: Any) -> None:
    """Adds the command and its own commands to the parser."""
    parser = commands.add_parser(
        "eval",
        help="measure a model on labelled photos",
        description="Measures how well a model finds and names entities.",
    )
    own = parser.add_subparsers(metavar="TASK", title="tasks", required=True)
    for tasks in (entities, classes, foreground, scenes, texts, naming):
        tasks.add(own)
    for command in own.choices.values():
        command.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console) -> int:
    """Measures and prints the figures; returns 0."""
    earlier = 0 if args.out is None else check_result(args.out, overwrite=args.overwrite)
    from ..models.gella.inference import quietly

    resume = getattr(args, "resume", None)  # some tasks do not have it
    partial = measuring_of(args).partial if "workers" in args else None  # an unfinished run kept it beside the file
    try:
        with quietly():
            figures = args.measure(args, console)
    except (KeyboardInterrupt, OutOfMemory):
        kept = resume or (partial if partial is not None and partial.exists() else None)
        if kept is not None:
            console.line(f"The photos measured so far are kept in {kept}; the same command continues from there.")
        raise
    if args.out is not None:
        with write_atomically(args.out) as path:
            path.write_text(json.dumps(_without_nan(figures), indent=2) + "\n", encoding="utf-8")
        if partial is not None:
            partial.unlink(missing_ok=True)
    if earlier:
        console.line(f"{args.out} already existed and was replaced.")
    return 0


def _without_nan(value: Any) -> Any:
    """Figures in which null stands for those that cannot be measured, as JSON does not know NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
