"""`esg eval narratives|reconstruction|claims`: grounding of synthetic scenes, and of photos without categories."""

from __future__ import annotations

import argparse
from typing import Any

from ...support.errors import InputError
from ..arguments import file_or_folder, fraction, whole
from ..console import Console
from .shared import UNITS, add_grounding, counting, grounder, percent, segmenter

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


def add(own: Any) -> None:
    """Adds the tasks to the parser."""
    command = own.add_parser(
        "narratives",
        help="how well captions of held-out synthetic scenes are grounded",
        description=f"Grounds captions of held-out synthetic scenes and referring expressions about them. {UNITS}",
    )
    command.set_defaults(measure=narratives)
    add_grounding(command)
    command.add_argument("--count", type=whole(1), default=500, metavar="N", help="number of scenes [500]")
    command.add_argument(
        "--threshold",
        type=fraction,
        default=0.5,
        metavar="T",
        help="minimum score of an entity that a plural refers to [0.5]",
    )

    command = own.add_parser(
        "reconstruction",
        help="how many masks GELLA reconstructs",
        description="Measures the share of entities in held-out synthetic scenes that GELLA's mask decoder "
        "reconstructs, by size.",
    )
    command.set_defaults(measure=reconstruction)
    add_grounding(command)
    command.add_argument("--count", type=whole(1), default=500, metavar="N", help="number of scenes [500]")

    command = own.add_parser(
        "claims",
        help="whether captions of photos are true",
        description="Has the model describe photos that people have segmented, and measures whether its words about "
        "colour, size and position are true of the entities they are grounded in.",
    )
    command.set_defaults(measure=claims)
    command.add_argument(
        "photos", type=file_or_folder, metavar="DIR", help="photos ID.jpg with segmentations ID_0.png ..."
    )
    add_grounding(command)
    command.add_argument("--count", type=whole(1), metavar="N", help="use only the first N photos [all]")


def narratives(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...evaluation.narratives import evaluate_narratives

    found = evaluate_narratives(
        grounder(args, console),
        args.count,
        segment=segmenter(args),
        threshold=args.threshold,
        progress=counting(console, "scene"),
    )
    console.answer(f"{args.count} held-out scenes, {found['nouns']:.0f} nouns, {found['expressions']:.0f} expressions")
    for name, what in _FIGURES.items():
        console.answer(f"  {name:12} {percent(found[name])}  {what}")
    return found


def reconstruction(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...evaluation.narratives import evaluate_reconstruction
    from ...models.gella.inference import GellaInference

    model = grounder(args, console).model
    if not isinstance(model, GellaInference):
        raise InputError(f"{args.model} does not reconstruct masks; give a GELLA, such as gella-nano.")
    progress = counting(console, "scene")
    found = evaluate_reconstruction(model, args.count, segment=segmenter(args), progress=progress)
    console.answer(f"Entities of {args.count} held-out scenes that a query reconstructs")
    for name, share in found.items():
        console.answer(f"  {name:12} {percent(share)}")
    return found


def claims(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...data.labelled import LabelledPhotos
    from ...data.opening import open_photos
    from ...evaluation.narratives import evaluate_claims

    photos = LabelledPhotos(open_photos(args.photos))
    found = evaluate_claims(
        grounder(args, console),
        photos,
        args.count,
        segment=segmenter(args),
        progress=counting(console, "photo"),
    )
    console.answer(
        f"{percent(found.share).strip()} % of {found.true + found.false} phrases about colour, size or position are "
        f"true, {percent(found.clear_share).strip()} % clearly so; {found.silent} others make no such claim"
    )
    for photo, phrase in found.examples:
        console.answer(f"  not true: {photo}: {phrase}")
    shares = {"share": found.share, "clear_share": found.clear_share}
    return {"true": found.true, "clear": found.clear, "false": found.false, "silent": found.silent, **shares}
