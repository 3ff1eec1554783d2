"""`esg eval entities`: how well the entities of labelled photos are found."""

from __future__ import annotations

import argparse
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from ...support.errors import InputError
from ...support.limits import MIN_SIDE
from ..arguments import Machine, Views, add_machine, add_views, file_or_folder, machine_of, views_of, whole
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
    "AR50@100": "with 100, at an IoU of 0.5 only",
    "APb": "AP^b, boundary AP",
    "APb50": "at an IoU of 0.5",
    "APb75": "at an IoU of 0.75",
    **{
        f"{name}_{group}": f"{name.replace('APb', 'AP^b')} of photos {size} 800 x 1333 pixels"
        for group, size in (("low", "up to"), ("high", "above"))
        for name in ("AP", "AP50", "AP75", "APb")
    },
    "covering": "mean best IoU of true segments",
    "covering_by_area": "weighted by their areas",
    "covering_people": "segmentation covering, mean over all annotators",
    "whole": "people, animals and vehicles above 2 % of the picture found as one entity (IoU 0.5)",
}


def add(own: Any) -> None:
    """Adds the task to the parser."""
    command = own.add_parser(
        "entities",
        help="how well the entities of labelled photos are found",
        description="Segments labelled photos, or reads the masks that any program found (--predictions), and compares "
        "them with the truth. Prints AP^e and average recall as the official evaluator computes them, boundary AP, how "
        "well segments are covered, and the share of people, animals and vehicles found as one entity. All figures are "
        "percentages.",
    )
    command.set_defaults(measure=entities)
    command.add_argument(
        "photos",
        nargs="?",
        type=file_or_folder,
        metavar="PATH",
        help="labelled photos: a COCO JSON file; a folder with panoptic.json or instances.json; photos with a mask "
        "file each; BSDS500; or im/ and gt/",
    )
    files = command.add_argument_group("files")
    add_images(command)
    files.add_argument(
        "--truth", type=file_or_folder, metavar="GT", help="the labels, in the same formats; the same as PATH"
    )
    files.add_argument(
        "--predictions",
        type=file_or_folder,
        metavar="PRED",
        help="COCO results, COCO JSON or COCO panoptic, or a folder with a file of masks for each photo, such as "
        "NAME.entities.json, NAME.labels.png, NAME.png, NAME.npy or SAM's NAME.json [photos are segmented]",
    )
    add_segmenter(command)
    add_views(command)
    command.add_argument(
        "--sizes",
        type=whole(MIN_SIDE),
        nargs="+",
        metavar="PIXELS",
        help="segment the full view at these short sides, such as 800 1040, and merge the results by Hungarian "
        "matching (paper Table 7) [--size alone]",
    )
    command.add_argument(
        "--overlapping",
        action="store_true",
        help="let the model's masks overlap, and measure AP instead of AP^e",
    )
    command.add_argument(
        "--no-boundaries",
        dest="boundaries",
        action="store_false",
        help="do not measure boundary AP; this halves the time of scoring",
    )
    add_measuring(command, plots=True)
    add_machine(command)


def entities(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prints the figures and returns them for the file."""
    given = args.photos or args.truth
    if (args.photos is None) == (args.truth is None) or (args.truth is not None and args.predictions is None):
        raise InputError("Give a folder of photos to segment, or both --truth and --predictions.")
    from ...data.opening import open_photos
    from ...evaluation.entities import evaluate_entities
    from ...evaluation.paper import paper_row
    from ...evaluation.predictions import open_predictions

    measuring = measuring_of(args)
    data_set = measuring.known_data_set(given)
    measuring.check_plots()
    console.progress(f"Opening {given} ...")
    photos = open_photos(given, args.images)
    model, views = args.model or MODEL, views_of(args)
    predictions: Predictions
    if args.predictions is not None:
        predictions = open_predictions(args.predictions)
    else:
        predictions = _segmented(model, machine_of(args), views, args.sizes, args.overlapping, console)
    made_by = args.predictions or [model_file(model), views, args.sizes, args.precision, args.overlapping]
    journal = measuring.open_journal(
        "entities", data=given, photos=len(photos), predictions=made_by, boundaries=args.boundaries
    )
    say_resumed(journal, console)
    measured = evaluate_entities(
        photos,
        predictions,
        boundaries=args.boundaries,
        workers=measuring.workers,
        journal=journal,
        progress=counting(console, "photo"),
    )
    figures = {name.replace("AR1", "AR@1"): value for name, value in measured.figures.items()}
    overlapping = figures["overlapping"]
    paper = paper_row("overlapping" if overlapping else "entities", data_set, model)
    large = figures["whole_count"]
    text = counted(figures["photos"], "photo") + (f", {large:.0f} large people, animals and vehicles" if large else "")
    console.answer(title(text, paper))
    shown = show(figures, {name: what for name, what in _FOUND.items() if large or name != "whole"}, paper, console)
    if overlapping:
        console.answer(
            f"  Masks overlap in {overlapping:.0f} of the photos, so AP is not AP^e, which does not allow it."
        )
    say_problems(measured.problems, console)
    if args.plots is not None:
        from ...evaluation.plots import draw_curves, draw_worst

        draw_curves(measured.accumulated, args.plots)
        draw_worst(photos, predictions, measured.worst, args.plots)
        console.line(f"Plots: {args.plots}")
    counts = {name: figures[name] for name in ("photos", "overlapping", "whole_count")}
    return {**shown, "whole": shown.get("whole", math.nan), **counts}


def _segmented(
    model: str, machine: Machine, views: Views, sizes: list[int] | None, overlapping: bool, console: Console
) -> Predictions:
    """The results of a segmenter."""
    from ...evaluation.predictions import ModelPredictions

    segmenter = load_segmenter(model, machine, console)
    result = segmenter.overlapping if overlapping else segmenter
    if sizes is None:
        return ModelPredictions(partial(result, min_score=0.0, **views), name=model)
    if any(value is not None for value in views.values()):
        raise InputError("--sizes cannot be combined with --crops, --crop-ratio, --fusion, --size or --max-size.")
    return ModelPredictions(lambda image: result(segmenter.predict_sizes(image, sizes), min_score=0.0), name=model)
