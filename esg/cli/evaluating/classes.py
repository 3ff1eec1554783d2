"""`esg eval panoptic|semantic|instances`: masks with classes, from files or a model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ...support.errors import InputError
from ..arguments import add_machine, file_or_folder, fraction, machine_of, not_empty
from ..console import Console, counted
from .measuring import (
    add_images,
    add_measuring,
    check_plots,
    known_data_set,
    model_file,
    open_journal,
    say_problems,
    say_resumed,
    show,
    show_classes,
    title,
)
from .shared import add_entity_source, counting, segmenter

if TYPE_CHECKING:
    from ...data.annotated import AnnotatedPhotos
    from ...evaluation.predictions import Predictions

_PANOPTIC = {
    f"{name}{group}": f"{what}{of}"
    for group, of in (("", ""), ("_things", " of things"), ("_stuff", " of stuff"))
    for name, what in (("PQ", "panoptic quality"), ("SQ", "segmentation quality"), ("RQ", "recognition quality"))
}
_SEMANTIC = {
    "mIoU": "mean IoU of classes",
    "fwIoU": "weighted by the frequency of classes",
    "mACC": "mean accuracy of classes",
    "pACC": "share of right pixels",
}
_INSTANCES = {
    "AP": "mean AP of categories",
    "AP50": "at an IoU of 0.5",
    "AP75": "at an IoU of 0.75",
    "APs": "instances below 32 x 32 pixels",
    "APm": "up to 96 x 96 pixels",
    "APl": "larger",
    "AR@1": "average recall with 1 mask per photo and category",
    "AR@10": "with 10",
    "AR@100": "with 100",
    "AR50@100": "with 100, at an IoU of 0.5 only",
}


def add(own: Any) -> None:
    """Adds the tasks to the parser."""
    for name, measure, text, described, files in (
        (
            "panoptic",
            panoptic,
            "panoptic quality of segments with classes",
            "Compares segments with classes with the truth, and prints panoptic quality (PQ, SQ, RQ) of all classes, "
            "of things, and of stuff, as panopticapi defines it.",
            "COCO panoptic: the JSON, with its PNGs beside it, or the folder with panoptic.json; or COCO results",
        ),
        (
            "semantic",
            semantic,
            "mean IoU of classes",
            "Compares the class of every pixel with the truth, and prints the mean IoU; pixels that are not annotated "
            "do not count.",
            "a folder of label maps whose numbers are the classes, as in the truth; or COCO panoptic or results",
        ),
        (
            "instances",
            instances,
            "average precision of masks with classes",
            "Compares masks with classes with the truth, and prints COCO's average precision and recall as means over "
            "the categories.",
            "COCO results with category_id, or COCO JSON",
        ),
    ):
        command = own.add_parser(name, help=text, description=f"{described} All figures are percentages.")
        command.set_defaults(measure=measure)
        command.add_argument(
            "photos",
            type=file_or_folder,
            metavar="TRUTH",
            help="labelled photos with categories: a COCO JSON file, COCO panoptic, or a folder that holds them"
            + ("; or a folder of label maps (--categories)" if name == "semantic" else ""),
        )
        command.add_argument(
            "--predictions", type=file_or_folder, metavar="PRED", help=f"{files} [the model's results]"
        )
        add_images(command)
        if name == "semantic":
            command.add_argument(
                "--categories",
                type=file_or_folder,
                metavar="FILE.json",
                help='the classes of the label maps: objects with "id" and "name", COCO JSON with categories, or a '
                "list of names, which have the numbers 0, 1, 2 ... [those of the truth]",
            )
        command.add_argument(
            "--model",
            type=not_empty,
            metavar="NAME|FILE",
            help="a segmenter whose classes are the categories of the truth; with --predictions, the model that made "
            "them, for the paper's figures",
        )
        command.add_argument("--crops", type=int, choices=(0, 4, 8), help="crops of every photo [the model's default]")
        if name == "panoptic":
            _add_grounder(command)
        add_measuring(command, plots=name == "instances")
        add_machine(command)


def _add_grounder(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("naming entities with a grounder")
    group.add_argument(
        "--grounder",
        type=not_empty,
        metavar="NAME|FILE",
        help="give entities the names of the categories with this model, such as gella-nano (GELLA paper, Table XIII)",
    )
    add_entity_source(group)
    group.add_argument(
        "--threshold",
        type=fraction,
        metavar="T",
        help="minimum score of a name; entities without a name are left out [0.1]",
    )


def panoptic(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prints the figures and returns them for the file."""
    from ...data.opening import open_photos
    from ...evaluation.panoptic_quality import evaluate_panoptic

    photos = open_photos(args.photos, args.images)
    predictions = _predictions(args, photos, console)
    measured = evaluate_panoptic(photos, predictions, **_running(args, "panoptic", photos, console))
    by_category = {name: one.pq for name, one in measured.by_category.items()}
    shown = _answer(args, "panoptic", measured.figures, _PANOPTIC, by_category, console)
    say_problems(measured.problems, console)
    return shown


def semantic(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prints the figures and returns them for the file."""
    from ...evaluation.semantic import evaluate_semantic

    photos = _class_maps(args)
    predictions = _predictions(args, photos, console)
    measured = evaluate_semantic(photos, predictions, **_running(args, "semantic", photos, console))
    shown = _answer(args, "semantic", measured.figures, _SEMANTIC, measured.by_category, console)
    say_problems(measured.problems, console)
    return shown


def instances(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prints the figures and returns them for the file."""
    from ...data.opening import open_photos
    from ...evaluation.instances import evaluate_instances

    check_plots(args)
    photos = open_photos(args.photos, args.images)
    predictions = _predictions(args, photos, console, overlapping=True)
    measured = evaluate_instances(photos, predictions, **_running(args, "instances", photos, console))
    figures = {name.replace("AR1", "AR@1"): value for name, value in measured.figures.items()}
    shown = _answer(args, "instances", figures, _INSTANCES, measured.by_category, console)
    say_problems(measured.problems, console)
    if args.plots is not None:
        from ...evaluation.plots import draw_curves

        draw_curves(measured.accumulated, args.plots)
        console.line(f"Plots: {args.plots}")
    return shown


def _class_maps(args: argparse.Namespace) -> AnnotatedPhotos:
    """The truth of `semantic`."""
    from ...data.opening import open_photos
    from ...evaluation.class_maps import ClassMapPhotos, read_categories

    if args.categories is None:
        return open_photos(args.photos, args.images)
    return ClassMapPhotos(args.photos, read_categories(args.categories))


def _predictions(
    args: argparse.Namespace, photos: AnnotatedPhotos, console: Console, *, overlapping: bool = False
) -> Predictions:
    """The results of --predictions, which are label maps of classes for `semantic`; or those of --model."""
    from ...evaluation.class_maps import ClassMaps
    from ...evaluation.predictions import ModelPredictions, open_predictions
    from ...segmenter import EntitySegmenter

    path = args.predictions
    if path is not None:
        maps = "categories" in args and path.is_dir() and not (path / "panoptic.json").is_file()
        return ClassMaps(path, photos.categories) if maps else open_predictions(path, photos.categories)
    if getattr(args, "grounder", None) is not None:
        return _named(args, photos, console)
    if args.model is None:
        raise InputError("Give --predictions, or a class-aware --model, such as mask2former-panoptic-swin-tiny.")
    console.progress(f"Loading {args.model} ...")
    listed = [{"id": one.id, "name": one.name, "isthing": int(one.thing is not False)} for one in photos.categories]
    network = EntitySegmenter.from_pretrained(args.model, **machine_of(args), categories=listed)
    model = partial(network.overlapping if overlapping else network, crops=args.crops)
    return ModelPredictions(model, photos.categories, args.model)


def _named(args: argparse.Namespace, photos: AnnotatedPhotos, console: Console) -> Predictions:
    """Entities that --grounder names."""
    from ...evaluation.grounded_predictions import GroundedPredictions
    from ...grounder import NAMED, Grounder

    source = segmenter(args)
    console.progress(f"Loading {args.grounder} ...")
    model = Grounder.from_pretrained(args.grounder, **machine_of(args))
    threshold = NAMED if args.threshold is None else args.threshold
    return GroundedPredictions(model, photos.categories, source, threshold)


def _running(args: argparse.Namespace, task: str, photos: AnnotatedPhotos, console: Console) -> dict[str, Any]:
    """Workers, journal and progress."""
    known_data_set(args, args.photos)  # refused before the work
    source: Any = args.predictions or _models(args)
    journal = open_journal(args, task, data=args.photos, photos=len(photos), predictions=source)
    say_resumed(journal, console)
    return {"workers": args.workers, "journal": journal, "progress": counting(console, "photo")}


def _models(args: argparse.Namespace) -> list[Any]:
    """The models and options that a resumed run must have, too."""
    if getattr(args, "grounder", None) is not None:
        return [model_file(args.grounder), args.segmenter, args.masks and str(args.masks), args.threshold]
    return [args.model and model_file(args.model), args.crops, args.precision]


def _answer(
    args: argparse.Namespace,
    task: str,
    figures: Mapping[str, float],
    meanings: Mapping[str, str],
    by_category: Mapping[str, float],
    console: Console,
) -> dict[str, Any]:
    from ...evaluation.paper import paper_row

    made_by = args.model or getattr(args, "grounder", None)
    paper = paper_row(task, known_data_set(args, args.photos), made_by)
    console.answer(title(counted(figures["photos"], "photo"), paper))
    shown = show(figures, meanings, paper, console)
    show_classes(by_category, "classes", console)
    classes = {name: 100 * value for name, value in by_category.items()}
    return shown | {"photos": figures["photos"], "classes": classes}
