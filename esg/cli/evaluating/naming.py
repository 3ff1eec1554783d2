"""`esg eval names|captions|written|words`: whether a grounder knows what things are called."""

from __future__ import annotations

import argparse
from typing import Any

from ...support.errors import InputError
from ..arguments import file_or_folder
from ..console import Console, counted
from .shared import UNITS, add_grounding, counting, models_of, percent, show_problems

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


def add(own: Any) -> None:
    """Adds the tasks to the parser."""
    for name, measure, text, described, truth in (
        (
            "names",
            names,
            "whether entities get the right names",
            "Looks for the names of all 133 COCO categories in every photo and counts the segments that get the right "
            "name; then grounds the names of the categories that are present.",
            "COCO panoptic photos: a folder with panoptic.json, panoptic/ and images/",
        ),
        (
            "captions",
            captions,
            "whether captions name what is there",
            "Lets the model describe photos, and counts how many of the things it names are in the photo, and how many "
            "of the photo's large things it names.",
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
            "whether common words find the same entities as the name of their category",
            "Looks for 100 common words in photos, and counts those that find the same entities as the name of their "
            "category.",
            "COCO panoptic photos: a folder with panoptic.json, panoptic/ and images/",
        ),
    ):
        command = own.add_parser(name, help=text, description=f"{described} {UNITS}")
        command.set_defaults(measure=measure)
        command.add_argument("photos", type=file_or_folder, metavar="DIR", help=truth)
        add_grounding(command)
        if name == "written":
            command.add_argument(
                "--captions",
                type=file_or_folder,
                metavar="FILE.json",
                help="captions by photo: COCO's, LLaVA's conversations, or lists by file name [those of the photos]",
            )


def names(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...data.labelled import LabelledPhotos
    from ...data.opening import open_photos
    from ...evaluation.naming import evaluate_names

    models = models_of(args)
    photos = LabelledPhotos(open_photos(args.photos))
    progress = counting(console, "photo")
    measured = evaluate_names(models.grounder(console), photos, segment=models.entities(), progress=progress)
    found = measured.figures
    console.answer(counted(found["photos"], "photo"))
    for name, what in _NAMED.items():
        if name in found:
            console.answer(f"  {name:15} {percent(found[name])}  {what}")
    show_problems(console, measured.problems)
    return found


def captions(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...data.labelled import LabelledPhotos
    from ...data.opening import open_photos
    from ...evaluation.entity_sources import segmented_by
    from ...evaluation.naming import evaluate_captions
    from ...segmenter import EntitySegmenter

    photos = LabelledPhotos(open_photos(args.photos))
    if not photos.categories:
        raise InputError(f"The photos in {args.photos} do not have categories; give a folder of COCO photos.")
    models = models_of(args)
    segment = models.entities()
    if segment is None:
        segment = segmented_by(EntitySegmenter.from_pretrained("cropformer-nano", device=args.device))
    progress = counting(console, "photo")
    found = evaluate_captions(models.grounder(console), photos, segment=segment, progress=progress)
    for photo, caption in found.captions:
        console.answer(f"  {photo}: {caption}")
    shares = {"true": _share(found.true, found.false), "named": _share(found.named, found.large - found.named)}
    console.answer(
        f"{percent(shares['true']).strip()} % of {found.true + found.false} names are true; of {found.large} "
        f"categories of more than 2 % of the picture {percent(shares['named']).strip()} % are named"
    )
    show_problems(console, found.problems)
    return shares


def written(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...data.labelled import LabelledPhotos
    from ...data.opening import open_photos
    from ...evaluation.naming import evaluate_written

    opened = open_photos(args.photos)
    if args.captions is not None:
        from ...data.captions import Captions, WithCaptions

        opened = WithCaptions(opened, Captions(args.captions))
    photos = LabelledPhotos(opened)
    models = models_of(args)
    progress = counting(console, "photo")
    measured = evaluate_written(models.grounder(console), photos, segment=models.entities(), progress=progress)
    found = measured.figures
    if not found["nouns"]:
        source = args.photos if args.captions is None else args.captions
        raise InputError(
            f"No caption in {source} names a category that is in its photo, so there is nothing to measure."
        )
    console.answer(
        f"{percent(found['acc50']).strip()} % of {found['nouns']:.0f} nouns are grounded in the thing they name"
    )
    show_problems(console, measured.problems)
    return found


def words(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...data.labelled import LabelledPhotos
    from ...data.opening import open_photos
    from ...evaluation.naming import COMMON_WORDS, evaluate_words

    progress = counting(console, "word")
    photos = LabelledPhotos(open_photos(args.photos))
    measured = evaluate_words(models_of(args).grounder(console), photos, COMMON_WORDS, progress=progress)
    found = measured.same
    right = sum(found.values())
    console.answer(
        f"{percent(right / len(found)).strip()} % of {len(found)} words find the same entities as the name of their "
        "category"
    )
    if right < len(found):
        console.answer(f"  the others: {', '.join(word for word, same in found.items() if not same)}")
    show_problems(console, measured.problems)
    return {"words": right / len(found)}


def _share(true: int, false: int) -> float:
    return true / (true + false) if true + false else float("nan")
