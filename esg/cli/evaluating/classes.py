"""`esg eval panoptic|semantic|instances`: masks with classes, from files or a model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...support.errors import InputError
from ..arguments import Machine, add_machine, file_or_folder, fraction, machine_of, not_empty
from ..console import Console, counted
from .measuring import (
    Measuring,
    add_images,
    add_measuring,
    measuring_of,
    model_file,
    say_problems,
    say_resumed,
    show,
    show_classes,
    title,
)
from .shared import add_entity_source, counting, segmenter

if TYPE_CHECKING:
    from ...data.annotated import AnnotatedPhotos
    from ...evaluation.journal import Journal
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


@dataclass(frozen=True)
class _Naming:
    """A grounder that names entities.

    Attributes:
        grounder: name or file of the model.
        segmenter, masks: the source of the entities, see `shared.segmenter`.
        threshold: minimum score of a name; None: the default.
    """

    grounder: str
    segmenter: str | None
    masks: Path | None
    threshold: float | None


@dataclass(frozen=True)
class _Source:
    """Where the results that are measured come from: files, or else entities with names, or else a segmenter.

    Attributes:
        files: files with the results.
        naming: a grounder that makes them.
        model: the segmenter that makes the results or, if there are files, made them.
        crops: its crops.
        machine: where the models run.
    """

    files: Path | None
    naming: _Naming | None
    model: str | None
    crops: int | None
    machine: Machine

    @property
    def made_by(self) -> str | None:
        """Name of the model, for the paper's figures."""
        return self.model or (self.naming.grounder if self.naming else None)

    def identity(self) -> Any:
        """Values that differ if a resumed run would not get the same results."""
        if self.files is not None:
            return self.files
        if self.naming is not None:
            one = self.naming
            return [model_file(one.grounder), one.segmenter, one.masks and str(one.masks), one.threshold]
        return [self.model and model_file(self.model), self.crops, self.machine["precision"]]

    def open(self, photos: AnnotatedPhotos, console: Console, *, overlapping: bool = False) -> Predictions:
        """The results; models are loaded here."""
        from ...evaluation.predictions import ModelPredictions, open_predictions
        from ...segmenter import EntitySegmenter

        if self.files is not None:
            return open_predictions(self.files, photos.categories)
        if self.naming is not None:
            return _named(self.naming, self.machine, photos, console)
        if self.model is None:
            raise InputError("Give --predictions, or a class-aware --model, such as mask2former-panoptic-swin-tiny.")
        console.progress(f"Loading {self.model} ...")
        listed = [{"id": one.id, "name": one.name, "isthing": int(one.thing is not False)} for one in photos.categories]
        network = EntitySegmenter.from_pretrained(self.model, **self.machine, categories=listed)
        model = partial(network.overlapping if overlapping else network, crops=self.crops)
        return ModelPredictions(model, photos.categories, self.model)


def add(own: Any) -> None:
    """Adds the tasks to the parser."""
    for name, measure, text, described, files in (
        (
            "panoptic",
            panoptic,
            "panoptic quality of segments with classes",
            "Compares classified segments with the truth, and prints panoptic quality (PQ, SQ, RQ) of all classes, of "
            "things, and of stuff, as panopticapi defines it.",
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
            "Compares classified masks with the truth, and prints COCO's average precision and recall, averaged over "
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
            "them, so that the paper's figures for it are printed",
        )
        command.add_argument("--crops", type=int, choices=(0, 4, 8), help="number of crops [the model's default]")
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


def _source_of(args: argparse.Namespace) -> _Source:
    """The options of `add` that say where the results come from."""
    naming = None
    if getattr(args, "grounder", None) is not None:  # only panoptic segmentation has it
        naming = _Naming(args.grounder, args.segmenter, args.masks, args.threshold)
    return _Source(args.predictions, naming, args.model, args.crops, machine_of(args))


def panoptic(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prints the figures and returns them for the file."""
    from ...data.opening import open_photos
    from ...evaluation.panoptic_quality import evaluate_panoptic

    source, measuring = _source_of(args), measuring_of(args)
    photos = open_photos(args.photos, args.images)
    predictions = source.open(photos, console)
    paper, journal = _begin("panoptic", args.photos, photos, source, measuring, console)
    progress = counting(console, "photo")
    measured = evaluate_panoptic(photos, predictions, workers=measuring.workers, journal=journal, progress=progress)
    by_category = {name: one.pq for name, one in measured.by_category.items()}
    shown = _answer(measured.figures, _PANOPTIC, by_category, paper, console)
    say_problems(measured.problems, console)
    return shown


def semantic(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prints the figures and returns them for the file."""
    from ...data.opening import open_photos
    from ...evaluation.class_maps import ClassMapPhotos, ClassMaps, read_categories
    from ...evaluation.semantic import evaluate_semantic

    source, measuring = _source_of(args), measuring_of(args)
    photos: AnnotatedPhotos
    if args.categories is None:
        photos = open_photos(args.photos, args.images)
    else:
        photos = ClassMapPhotos(args.photos, read_categories(args.categories))
    files = args.predictions
    maps = files is not None and files.is_dir() and not (files / "panoptic.json").is_file()
    predictions = ClassMaps(files, photos.categories) if maps else source.open(photos, console)
    paper, journal = _begin("semantic", args.photos, photos, source, measuring, console)
    progress = counting(console, "photo")
    measured = evaluate_semantic(photos, predictions, workers=measuring.workers, journal=journal, progress=progress)
    shown = _answer(measured.figures, _SEMANTIC, measured.by_category, paper, console)
    say_problems(measured.problems, console)
    return shown


def instances(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prints the figures and returns them for the file."""
    from ...data.opening import open_photos
    from ...evaluation.instances import evaluate_instances

    source, measuring = _source_of(args), measuring_of(args)
    measuring.check_plots()
    photos = open_photos(args.photos, args.images)
    predictions = source.open(photos, console, overlapping=True)
    paper, journal = _begin("instances", args.photos, photos, source, measuring, console)
    progress = counting(console, "photo")
    measured = evaluate_instances(photos, predictions, workers=measuring.workers, journal=journal, progress=progress)
    figures = {name.replace("AR1", "AR@1"): value for name, value in measured.figures.items()}
    shown = _answer(figures, _INSTANCES, measured.by_category, paper, console)
    say_problems(measured.problems, console)
    if args.plots is not None:
        from ...evaluation.plots import draw_curves

        draw_curves(measured.accumulated, args.plots)
        console.line(f"Plots: {args.plots}")
    return shown


def _named(naming: _Naming, machine: Machine, photos: AnnotatedPhotos, console: Console) -> Predictions:
    """Entities that a grounder names."""
    from ...evaluation.grounded_predictions import GroundedPredictions
    from ...grounder import NAMED, Grounder

    source = segmenter(naming.segmenter, naming.masks, machine)
    console.progress(f"Loading {naming.grounder} ...")
    model = Grounder.from_pretrained(naming.grounder, **machine)
    threshold = NAMED if naming.threshold is None else naming.threshold
    return GroundedPredictions(model, photos.categories, source, threshold)


def _begin(
    task: str, truth: Path, photos: AnnotatedPhotos, source: _Source, measuring: Measuring, console: Console
) -> tuple[Mapping[str, float], Journal]:
    """The paper's figures, and the journal; before the work, because either may be refused."""
    from ...evaluation.paper import paper_row

    paper = paper_row(task, measuring.known_data_set(truth), source.made_by)
    journal = measuring.open_journal(task, data=truth, photos=len(photos), predictions=source.identity())
    say_resumed(journal, console)
    return paper, journal


def _answer(
    figures: Mapping[str, float],
    meanings: Mapping[str, str],
    by_category: Mapping[str, float],
    paper: Mapping[str, float],
    console: Console,
) -> dict[str, Any]:
    """Prints the figures and returns them."""
    console.answer(title(counted(figures["photos"], "photo"), paper))
    shown = show(figures, meanings, paper, console)
    show_classes(by_category, "classes", console)
    classes = {name: 100 * value for name, value in by_category.items()}
    return shown | {"photos": figures["photos"], "classes": classes}
