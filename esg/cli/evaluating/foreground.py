"""`esg eval foreground`: the measures of DIS5K."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from ..arguments import add_machine, file_or_folder
from ..console import Console, counted
from .measuring import (
    MODEL,
    add_images,
    add_measuring,
    add_segmenter,
    known_data_set,
    load_segmenter,
    model_file,
    open_journal,
    say_problems,
    say_resumed,
    show,
    title,
)
from .shared import counting

if TYPE_CHECKING:
    from ...evaluation.predictions import Predictions

_FIGURES = {
    "Fmax": "largest F-measure of all thresholds",
    "Fw": "weighted F-measure",
    "MAE": "mean absolute error; lower is better",
    "S": "structure measure",
    "E": "mean enhanced-alignment measure",
    "HCE": "corrections that a person would make per photo, a number; lower is better",
}


def add(own: Any) -> None:
    """Adds the task to the parser."""
    command = own.add_parser(
        "foreground",
        help="how well the foreground is cut out",
        description="Compares grey pictures of the foreground with the truth, and prints the measures of DIS5K. "
        "Without --predictions, a segmenter chooses the foreground: the entity that is largest near the middle of the "
        "photo. All figures but HCE are percentages.",
    )
    command.set_defaults(measure=foreground)
    command.add_argument(
        "photos",
        type=file_or_folder,
        metavar="PATH",
        help="photos with a mask each: a folder with im/ and gt/ (DIS5K), or other labelled photos, whose entities "
        "together are the foreground",
    )
    add_images(command)
    command.add_argument(
        "--predictions",
        type=file_or_folder,
        metavar="DIR",
        help="grey pictures, named after the photos [a segmenter's entity]",
    )
    add_segmenter(command)
    command.add_argument("--crops", type=int, choices=(0, 4, 8), help="crops of every photo [the model's default]")
    add_measuring(command)
    add_machine(command)


def foreground(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prints the figures and returns them for the file."""
    from ...data.opening import open_photos
    from ...evaluation.foreground import evaluate_foreground
    from ...evaluation.paper import paper_row

    data_set = known_data_set(args, args.photos)
    photos = open_photos(args.photos, args.images)
    predictions = _predictions(args, console)
    source = args.predictions or [model_file(args.model or MODEL), args.crops, args.precision]
    journal = open_journal(args, "foreground", data=args.photos, photos=len(photos), predictions=source)
    say_resumed(journal, console)
    measured = evaluate_foreground(
        photos, predictions, workers=args.workers, journal=journal, progress=counting(console, "photo")
    )
    paper = paper_row("foreground", data_set, args.model)
    console.answer(title(counted(measured.figures["photos"], "photo"), paper))
    shown = show(measured.figures, _FIGURES, paper, console)
    say_problems(measured.problems, console)
    return shown | {"photos": measured.figures["photos"]}


def _predictions(args: argparse.Namespace, console: Console) -> Predictions:
    from ...evaluation.foreground import CentralEntity, GreyMaps

    if args.predictions is not None:
        return GreyMaps(args.predictions)
    name, segmenter = args.model or MODEL, load_segmenter(args, console)
    return CentralEntity(partial(segmenter, crops=args.crops), name)
