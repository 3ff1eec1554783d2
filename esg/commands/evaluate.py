"""`esg eval`: figures of a grounder, measured on pictures whose truth is known."""

from __future__ import annotations

import argparse
import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..files import check_place, write_atomically
from .arguments import add_grounder, add_machine, file_or_folder, fraction, not_empty, whole
from .console import Console

if TYPE_CHECKING:
    from ..evaluation.narratives import Segment

_FIGURES = {
    "noun_recall": "nouns found in the caption",
    "AR": "average recall, all nouns",
    "AR_things": "things",
    "AR_stuff": "stuff",
    "AR_singular": "singulars",
    "AR_plural": "plurals",
    "acc50": "nouns with an IoU of 0.5 or more",
    "cIoU": "referring expressions, cIoU",
    "gIoU": "referring expressions, gIoU",
}


def add(commands: Any) -> None:
    """Adds the command and its own commands to the parser."""
    parser = commands.add_parser(
        "eval", help="measure how well words are grounded", description="Measures how well a model grounds words."
    )
    own = parser.add_subparsers(metavar="TASK", title="tasks", required=True)

    command = own.add_parser(
        "narratives",
        help="captions of scenes that no training has seen",
        description="Grounds captions of held-out synthetic scenes and referring expressions about them. Prints "
        "percents; files hold fractions.",
    )
    command.set_defaults(run=run, measure=narratives)
    _add_shared(command)
    command.add_argument("--count", type=whole(1), default=500, metavar="N", help="number of scenes [500]")
    command.add_argument(
        "--threshold", type=fraction, default=0.5, metavar="T", help="least score of what a plural means [0.5]"
    )

    command = own.add_parser(
        "reconstruction",
        help="how many masks come out of GELLA as they went in",
        description="The share of entities in held-out synthetic scenes that GELLA's mask decoder gives back, by size.",
    )
    command.set_defaults(run=run, measure=reconstruction)
    _add_shared(command)
    command.add_argument("--count", type=whole(1), default=500, metavar="N", help="number of scenes [500]")

    command = own.add_parser(
        "claims",
        help="whether captions of photos are true",
        description="Lets the model describe photos that people have segmented, and measures whether its words of "
        "colour, size and position are true of the entities that they are grounded in.",
    )
    command.set_defaults(run=run, measure=claims)
    command.add_argument(
        "photos", type=file_or_folder, metavar="DIR", help="photos ID.jpg with segmentations ID_0.png ..."
    )
    _add_shared(command)
    command.add_argument("--count", type=whole(1), metavar="N", help="of the first photos [all]")


def _add_shared(command: argparse.ArgumentParser) -> None:
    group = add_grounder(command)
    group.add_argument(
        "--segmenter",
        type=not_empty,
        metavar="NAME|FILE",
        help="makes the entities, e.g. cropformer-nano [none: the true ones are given]",
    )
    command.add_argument("--out", type=file_or_folder, metavar="FILE.json", help="write the figures there, too")
    add_machine(command)


def run(args: argparse.Namespace, console: Console) -> int:
    """Measures and prints; 0."""
    if args.out is not None:
        check_place(args.out)
    from ..gella.inference import quietly

    with quietly():
        figures = args.measure(args, console)
    if args.out is not None:
        known = {name: None if math.isnan(value) else value for name, value in figures.items()}
        with write_atomically(args.out) as path:
            path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    return 0


def narratives(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Measures, prints, and gives back what a file shall hold."""
    from ..evaluation.narratives import evaluate_narratives

    found = evaluate_narratives(
        _grounder(args, console),
        args.count,
        segment=_segment(args),
        threshold=args.threshold,
        progress=partial(_progress, console, "scene"),
    )
    console.answer(f"{args.count} held-out scenes, {found['nouns']:.0f} nouns, {found['expressions']:.0f} expressions")
    for name, what in _FIGURES.items():
        console.answer(f"  {name:12} {_percent(found[name])}  {what}")
    return found


def reconstruction(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Measures, prints, and gives back what a file shall hold."""
    from ..evaluation.narratives import evaluate_reconstruction
    from ..gella.inference import GellaInference

    model = _grounder(args, console).model
    if not isinstance(model, GellaInference):
        raise InputError(f"{args.model} reconstructs no masks; give a GELLA, such as gella-nano.")
    progress = partial(_progress, console, "scene")
    found = evaluate_reconstruction(model, args.count, segment=_segment(args), progress=progress)
    console.answer(f"Entities of {args.count} held-out scenes with a query of their own")
    for name, share in found.items():
        console.answer(f"  {name:12} {_percent(share)}")
    return found


def claims(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Measures, prints, and gives back what a file shall hold."""
    from ..data.bsds import BsdsPhotos
    from ..evaluation.narratives import evaluate_claims

    photos = BsdsPhotos(args.photos)
    found = evaluate_claims(
        _grounder(args, console),
        photos,
        args.count,
        segment=_segment(args),
        progress=partial(_progress, console, "photo"),
    )
    console.answer(
        f"{_percent(found.share).strip()} % of {found.true + found.false} phrases about colour, size or position are "
        f"true, {_percent(found.clear_share).strip()} % without any doubt; {found.silent} others claim nothing of it"
    )
    for photo, phrase in found.examples:
        console.answer(f"  not true: {photo}: {phrase}")
    shares = {"share": found.share, "clear_share": found.clear_share}
    return {"true": found.true, "clear": found.clear, "false": found.false, "silent": found.silent, **shares}


def _grounder(args: argparse.Namespace, console: Console) -> Any:
    from ..grounder import Grounder

    console.progress(f"Loading {args.model} ...")
    return Grounder.from_pretrained(args.model, device=args.device, precision=args.precision)


def _progress(console: Console, what: str, done: int, total: int) -> None:
    console.progress(f"{what} {done}/{total}")


def _segment(args: argparse.Namespace) -> Segment | None:
    if args.segmenter is None:
        return None
    from ..segmenter import EntitySegmenter

    return EntitySegmenter.from_pretrained(args.segmenter, device=args.device, precision=args.precision)


def _percent(fraction: float) -> str:
    return "    -" if math.isnan(fraction) else f"{100 * fraction:5.1f}"
