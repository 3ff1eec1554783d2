"""What the tasks of `esg eval` share: options, loading of models, progress, and how figures are printed."""

from __future__ import annotations

import argparse
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from ..arguments import add_grounder, add_machine, add_no_overwrite, file_or_folder, not_empty
from ..console import Console

if TYPE_CHECKING:
    from ...evaluation.narratives import Segment
    from ...evaluation.streaming import Progress

UNITS = "Printed figures are percentages, those in the file are fractions."


def add_grounding(command: argparse.ArgumentParser) -> None:
    """Adds the options of tasks that measure a grounder."""
    group = add_grounder(command)
    group.add_argument(
        "--segmenter",
        type=not_empty,
        metavar="NAME|FILE",
        help="the model that finds the entities, such as cropformer-nano [none: the true entities are used]",
    )
    add_output(command)
    add_machine(command)


def add_output(command: argparse.ArgumentParser) -> None:
    """Adds the options for the file of figures."""
    command.add_argument("--out", type=file_or_folder, metavar="FILE.json", help="also write the figures to this file")
    add_no_overwrite(command, "stop if the file already exists [replace it, and say so]")


def grounder(args: argparse.Namespace, console: Console) -> Any:
    """The grounder of --model."""
    from ...grounder import Grounder

    console.progress(f"Loading {args.model} ...")
    return Grounder.from_pretrained(args.model, device=args.device, precision=args.precision)


def counting(console: Console, what: str) -> Progress:
    """Reports progress as "photo 3/50"."""
    return partial(_report, console, what)


def _report(console: Console, what: str, done: int, total: int) -> None:
    console.progress(f"{what} {done}/{total}")


def segmenter(args: argparse.Namespace) -> Segment | None:
    """The model of --segmenter; None for the true entities."""
    if args.segmenter is None:
        return None
    from ...segmenter import EntitySegmenter

    return EntitySegmenter.from_pretrained(args.segmenter, device=args.device, precision=args.precision)


def percent(fraction: float) -> str:
    """A fraction in percent, five characters wide; "-" if there is none."""
    return "    -" if math.isnan(fraction) else f"{100 * fraction:5.1f}"
