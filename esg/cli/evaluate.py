"""`esg eval`: measures segmenters and grounders on pictures with ground truth."""

from __future__ import annotations

import argparse
import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from ..support.errors import InputError
from ..support.files import write_atomically
from .arguments import add_grounder, add_machine, add_no_overwrite, file_or_folder, fraction, not_empty, whole
from .console import Console
from .results import check_result

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

_UNITS = "Printed figures are percentages, those in the file are fractions."

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
_NAMED = {
    "category": "true segments given the name of their category, out of 133",
    "category_things": "things",
    "category_stuff": "stuff",
    "AR": "average recall of the names present in the photo",
    "AR_things": "things",
    "AR_stuff": "stuff",
    "AR_singular": "names with one segment",
    "AR_plural": "names with several",
    "acc50": "names with an IoU of 0.5 or more",
}


def add(commands: Any) -> None:
    """Adds the command and its own commands to the parser."""
    parser = commands.add_parser(
        "eval",
        help="measure a model on labelled photos",
        description="Measures how well a model finds and names entities.",
    )
    own = parser.add_subparsers(metavar="TASK", title="tasks", required=True)

    command = own.add_parser(
        "entities",
        help="how well the entities of labelled photos are found",
        description="Segments photos that have panoptic ground truth, or reads the masks that any program found "
        "(--truth, --predictions). Prints AP^e and average recall as the official evaluator computes them; for "
        "segmented photos also how well segments are covered, and the share of people, animals and vehicles found as "
        "one entity. All figures are percentages.",
    )
    command.set_defaults(run=run, measure=entities)
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

    command = own.add_parser(
        "narratives",
        help="how well captions of held-out synthetic scenes are grounded",
        description=f"Grounds captions of held-out synthetic scenes and referring expressions about them. {_UNITS}",
    )
    command.set_defaults(run=run, measure=narratives)
    _add_shared(command)
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
    command.set_defaults(run=run, measure=reconstruction)
    _add_shared(command)
    command.add_argument("--count", type=whole(1), default=500, metavar="N", help="number of scenes [500]")

    command = own.add_parser(
        "claims",
        help="whether captions of photos are true",
        description="Has the model describe photos that people have segmented, and measures whether its words about "
        "colour, size and position are true of the entities they are grounded in.",
    )
    command.set_defaults(run=run, measure=claims)
    command.add_argument(
        "photos", type=file_or_folder, metavar="DIR", help="photos ID.jpg with segmentations ID_0.png ..."
    )
    _add_shared(command)
    command.add_argument("--count", type=whole(1), metavar="N", help="use only the first N photos [all]")

    for name, measure, text, described, truth in (
        (
            "names",
            names,
            "whether entities get the right names",
            "Looks for the names of all 133 COCO categories in every photo and counts the segments that get the right "
            "one; then grounds the names of the categories that are present.",
            "COCO panoptic photos: a folder with panoptic.json, panoptic/ and images/",
        ),
        (
            "captions",
            captions,
            "whether captions name what is there",
            "Has the model describe photos, and counts how many of the things it names are there, and how many of the "
            "large things it names.",
            "COCO photos: a folder with panoptic.json or instances.json, and images/",
        ),
        (
            "written",
            written,
            "whether the nouns of human-written captions are grounded",
            "Grounds captions that people wrote, and counts the nouns that are grounded in the thing they name.",
            "COCO photos: a folder with instances.json, captions.json and images/",
        ),
        (
            "words",
            words,
            "whether common words find the same entities as their category",
            "Looks for 100 common words in photos, and counts those that find the same entities as their category.",
            "COCO panoptic photos: a folder with panoptic.json, panoptic/ and images/",
        ),
    ):
        command = own.add_parser(name, help=text, description=f"{described} {_UNITS}")
        command.set_defaults(run=run, measure=measure)
        command.add_argument("photos", type=file_or_folder, metavar="DIR", help=truth)
        _add_shared(command)


def _add_shared(command: argparse.ArgumentParser) -> None:
    group = add_grounder(command)
    group.add_argument(
        "--segmenter",
        type=not_empty,
        metavar="NAME|FILE",
        help="the model that finds the entities, such as cropformer-nano [none: the true entities are used]",
    )
    command.add_argument("--out", type=file_or_folder, metavar="FILE.json", help="also write the figures to this file")
    add_no_overwrite(command, "stop if the file already exists [replace it, and say so]")
    add_machine(command)


def run(args: argparse.Namespace, console: Console) -> int:
    """Measures and prints the figures; returns 0."""
    earlier = 0 if args.out is None else check_result(args.out, overwrite=args.overwrite)
    from ..models.gella.inference import quietly

    with quietly():
        figures = args.measure(args, console)
    if args.out is not None:
        known = {name: None if math.isnan(value) else value for name, value in figures.items()}
        with write_atomically(args.out) as path:
            path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    if earlier:
        console.line(f"{args.out} already existed and was replaced.")
    return 0


def entities(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    if (args.photos is None) == (args.truth is None) or (args.truth is None) != (args.predictions is None):
        raise InputError("Give a folder of photos to segment, or both --truth and --predictions.")
    if args.truth is not None:
        from ..evaluation.prediction_files import evaluate_files

        console.progress(f"Comparing {args.predictions} with {args.truth} ...")
        return _show_found(evaluate_files(args.truth, args.predictions), console)
    from ..data.coco import CocoPanoptic
    from ..evaluation.photos import evaluate_entities
    from ..segmenter import EntitySegmenter

    photos = CocoPanoptic(args.photos)
    console.progress(f"Loading {args.model} ...")
    segmenter = EntitySegmenter.from_pretrained(args.model, device=args.device, precision=args.precision)
    found = evaluate_entities(
        partial(segmenter, crops=args.crops, min_score=0.0), photos, progress=partial(_progress, console, "photo")
    )
    console.answer(f"{len(photos)} photos, {found['whole_count']:.0f} large people, animals and vehicles")
    return _show_found(found, console)


def _show_found(found: dict[str, float], console: Console) -> dict[str, float]:
    """Prints figures in percent, and returns them so; -1, COCO's sign that nothing of the size is annotated, is nan."""
    renamed = {name.replace("AR1", "AR@1"): value for name, value in found.items()}
    percent = {name: math.nan if renamed[name] < 0 else 100 * renamed[name] for name in _FOUND if name in renamed}
    for name, value in percent.items():
        console.answer(f"  {name:16} {_percent(value / 100)}  {_FOUND[name]}")
    return percent


def narratives(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
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
    """Prints the figures and returns them for the file."""
    from ..evaluation.narratives import evaluate_reconstruction
    from ..models.gella.inference import GellaInference

    model = _grounder(args, console).model
    if not isinstance(model, GellaInference):
        raise InputError(f"{args.model} does not reconstruct masks; give a GELLA, such as gella-nano.")
    progress = partial(_progress, console, "scene")
    found = evaluate_reconstruction(model, args.count, segment=_segment(args), progress=progress)
    console.answer(f"Entities of {args.count} held-out scenes that a query reconstructs")
    for name, share in found.items():
        console.answer(f"  {name:12} {_percent(share)}")
    return found


def claims(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
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
        f"true, {_percent(found.clear_share).strip()} % clearly so; {found.silent} others make no such claim"
    )
    for photo, phrase in found.examples:
        console.answer(f"  not true: {photo}: {phrase}")
    shares = {"share": found.share, "clear_share": found.clear_share}
    return {"true": found.true, "clear": found.clear, "false": found.false, "silent": found.silent, **shares}


def names(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ..data.coco import CocoPanoptic
    from ..evaluation.naming import evaluate_names

    photos = CocoPanoptic(args.photos)
    progress = partial(_progress, console, "photo")
    found = evaluate_names(_grounder(args, console), photos, segment=_segment(args), progress=progress)
    console.answer(f"{len(photos)} photos")
    for name, what in _NAMED.items():
        if name in found:
            console.answer(f"  {name:15} {_percent(found[name])}  {what}")
    return found


def captions(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ..data.bsds import BsdsPhotos
    from ..data.photos import open_photos
    from ..evaluation.naming import evaluate_captions
    from ..segmenter import EntitySegmenter

    photos = open_photos(args.photos)
    if isinstance(photos, BsdsPhotos):
        raise InputError(f"The photos in {args.photos} do not have categories; give a folder of COCO photos.")
    segment = _segment(args) or EntitySegmenter.from_pretrained("cropformer-nano", device=args.device)
    progress = partial(_progress, console, "photo")
    found = evaluate_captions(_grounder(args, console), photos, segment=segment, progress=progress)
    for photo, caption in found.captions:
        console.answer(f"  {photo}: {caption}")
    shares = {"true": _share(found.true, found.false), "named": _share(found.named, found.large - found.named)}
    console.answer(
        f"{_percent(shares['true']).strip()} % of {found.true + found.false} names are true; of {found.large} "
        f"categories of more than 2 % of the picture {_percent(shares['named']).strip()} % are named"
    )
    return shares


def written(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ..data.coco import CocoInstances
    from ..evaluation.naming import evaluate_written

    photos = CocoInstances(args.photos)
    progress = partial(_progress, console, "photo")
    found = evaluate_written(_grounder(args, console), photos, segment=_segment(args), progress=progress)
    console.answer(
        f"{_percent(found['acc50']).strip()} % of {found['nouns']:.0f} nouns are grounded in the thing they name"
    )
    return found


def words(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ..data.coco import CocoPanoptic
    from ..evaluation.naming import COMMON_WORDS, evaluate_words

    progress = partial(_progress, console, "word")
    found = evaluate_words(_grounder(args, console), CocoPanoptic(args.photos), COMMON_WORDS, progress=progress)
    right = sum(found.values())
    console.answer(
        f"{_percent(right / len(found)).strip()} % of {len(found)} words find the same entities as their category"
    )
    if right < len(found):
        console.answer(f"  the others: {', '.join(word for word, same in found.items() if not same)}")
    return {"words": right / len(found)}


def _share(true: int, false: int) -> float:
    return true / (true + false) if true + false else float("nan")


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
