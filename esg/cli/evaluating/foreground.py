"""`esg eval foreground`: the measures of DIS5K."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from ..arguments import add_machine, file_or_folder, machine_of
from ..console import Console, counted
from .measuring import (
    MODEL,
    add_images,
    add_measuring,
    add_segmenter,
    load_segmenter,
    measuring_of,
    model_file,
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
        "Without --predictions, the foreground is the segmenter's largest entity near the middle of the photo. All "
        "figures except HCE are percentages.",
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
    command.add_argument("--crops", type=int, choices=(0, 4, 8), help="number of crops [the model's default]")
    add_measuring(command)
    add_machine(command)


def foreground(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prints the figures and returns them for the file."""
    from ...data.opening import open_photos
    from ...evaluation.foreground import CentralEntity, GreyMaps, evaluate_foreground
    from ...evaluation.paper import paper_row

    measuring = measuring_of(args)
    data_set = measuring.known_data_set(args.photos)
    photos = open_photos(args.photos, args.images)
    model = args.model or MODEL
    predictions: Predictions
    if args.predictions is not None:
        predictions = GreyMaps(args.predictions)
    else:
        segmenter = load_segmenter(model, machine_of(args), console)
        predictions = CentralEntity(partial(segmenter, crops=args.crops), model)
    source = args.predictions or [model_file(model), args.crops, args.precision]
    journal = measuring.open_journal("foreground", data=args.photos, photos=len(photos), predictions=source)
    say_resumed(journal, console)
    measured = evaluate_foreground(
        photos, predictions, workers=measuring.workers, journal=journal, progress=counting(console, "photo")
    )
    paper = paper_row("foreground", data_set, args.model)
    console.answer(title(counted(measured.figures["photos"], "photo"), paper))
    shown = show(measured.figures, _FIGURES, paper, console)
    say_problems(measured.problems, console)
    return shown | {"photos": measured.figures["photos"]}
