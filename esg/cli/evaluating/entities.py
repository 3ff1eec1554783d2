"""`esg eval entities`: how well the entities of labelled photos are found."""

from __future__ import annotations

import argparse
import math
from functools import partial
from typing import Any

from ...support.errors import InputError
from ..arguments import add_machine, add_no_overwrite, file_or_folder, not_empty
from ..console import Console
from .shared import counting, percent

_FOUND = {
    "AP": "AP^e",
    "AP50": "at an IoU of 0.5",
    "AP75": "at an IoU of 0.75",
    "APs": "entities below 32 x 32 pixels",
    "APm": "up to 96 x 96 pixels",
    "APl": "larger",
    "AR@1": "average recall with 1 mask per photo",
    "AR@10": "with 10",
    "AR@100": "with 100",
    "covering": "mean best IoU of true segments",
    "covering_by_area": "weighted by their areas",
    "whole": "people, animals and vehicles above 2 % of the picture found as one entity (IoU 0.5)",
}


def add(own: Any) -> None:
    """Adds the task to the parser."""
    command = own.add_parser(
        "entities",
        help="how well the entities of labelled photos are found",
        description="Segments photos that have panoptic ground truth, or reads the masks that any program found "
        "(--truth, --predictions). Prints AP^e and average recall as the official evaluator computes them; for "
        "segmented photos also how well segments are covered, and the share of people, animals and vehicles found as "
        "one entity. All figures are percentages.",
    )
    command.set_defaults(measure=entities)
    command.add_argument(
        "photos",
        nargs="?",
        type=file_or_folder,
        metavar="DIR",
        help="COCO panoptic photos to segment: a folder with panoptic.json, panoptic/ and images/",
    )
    files = command.add_argument_group("files instead of photos")
    files.add_argument(
        "--truth",
        type=file_or_folder,
        metavar="GT.json",
        help="COCO JSON with annotations, or COCO panoptic: its JSON, or its folder",
    )
    files.add_argument(
        "--predictions",
        type=file_or_folder,
        metavar="PRED",
        help="COCO results or COCO JSON, or a folder with NAME.entities.json, NAME.labels.png, NAME.png or NAME.npy "
        "for each picture",
    )
    command.add_argument(
        "--model",
        type=not_empty,
        default="cropformer-nano",
        metavar="NAME|FILE",
        help="the segmenter [cropformer-nano]",
    )
    command.add_argument("--crops", type=int, choices=(0, 4, 8), help="crops of every photo [the model's default]")
    command.add_argument(
        "--json", dest="out", type=file_or_folder, metavar="FILE.json", help="also write the figures to this file"
    )
    add_no_overwrite(command, "stop if the file already exists [replace it, and say so]")
    add_machine(command)


def entities(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    if (args.photos is None) == (args.truth is None) or (args.truth is None) != (args.predictions is None):
        raise InputError("Give a folder of photos to segment, or both --truth and --predictions.")
    if args.truth is not None:
        from ...evaluation.prediction_files import evaluate_files

        console.progress(f"Comparing {args.predictions} with {args.truth} ...")
        return _show_found(evaluate_files(args.truth, args.predictions), console)
    from ...data.labelled import LabelledPhotos
    from ...data.opening import open_photos
    from ...evaluation.photos import evaluate_entities
    from ...segmenter import EntitySegmenter

    photos = LabelledPhotos(open_photos(args.photos))
    console.progress(f"Loading {args.model} ...")
    segmenter = EntitySegmenter.from_pretrained(args.model, device=args.device, precision=args.precision)
    found = evaluate_entities(
        partial(segmenter, crops=args.crops, min_score=0.0), photos, progress=counting(console, "photo")
    )
    console.answer(f"{len(photos)} photos, {found['whole_count']:.0f} large people, animals and vehicles")
    return _show_found(found, console)


def _show_found(found: dict[str, float], console: Console) -> dict[str, float]:
    """Prints figures in percent, and returns them so; -1, COCO's sign that nothing of the size is annotated, is nan."""
    renamed = {name.replace("AR1", "AR@1"): value for name, value in found.items()}
    percents = {name: math.nan if renamed[name] < 0 else 100 * renamed[name] for name in _FOUND if name in renamed}
    for name, value in percents.items():
        console.answer(f"  {name:16} {percent(value / 100)}  {_FOUND[name]}")
    return percents
