"""`esg eval narratives|reconstruction|claims`: captions of synthetic scenes and of photos."""

from __future__ import annotations

import argparse
from typing import Any

from ...support.errors import InputError
from ..arguments import file_or_folder, fraction, whole
from ..console import Console, counted
from .shared import (
    UNITS,
    Models,
    add_grounding,
    add_resume,
    counting,
    models_of,
    percent,
    refuse_without_path,
    show,
    show_problems,
)

_NOUNS = {
    "AR": "average recall, all nouns",
    "AR_things": "things",
    "AR_stuff": "stuff",
    "AR_singular": "singulars",
    "AR_plural": "plurals",
    "acc50": "nouns with an IoU of 0.5 or more",
}
_SCENES = {
    "noun_recall": "nouns found in the caption",
    **_NOUNS,
    "cIoU": "referring expressions, cIoU",
    "gIoU": "referring expressions, gIoU",
    "P50": "referring expressions with an IoU of 0.5 or more",
}
_PNG = {**_NOUNS, "AR_text": "nouns that the model finds in the caption"}


def add(own: Any) -> None:
    """Adds the tasks to the parser."""
    _add_narratives(own)
    _add_reconstruction(own)
    _add_claims(own)


def _add_narratives(own: Any) -> None:
    command = own.add_parser(
        "narratives",
        help="how well the nouns of captions are grounded",
        description="Grounds the captions of Panoptic Narrative Grounding (PNG). Without PATH, grounds captions of "
        f"held-out synthetic scenes and expressions that refer to things in them. {UNITS}",
    )
    command.set_defaults(measure=narratives)
    command.add_argument(
        "path",
        nargs="?",
        type=file_or_folder,
        metavar="PATH",
        help="png_coco_val2017.json, or the folder that holds it; COCO's panoptic_val2017.json and photos near it are "
        "found [synthetic scenes]",
    )
    add_grounding(command)
    add_resume(command)
    command.add_argument(
        "--panoptic", type=file_or_folder, metavar="FILE.json", help="COCO's panoptic JSON, if it is elsewhere"
    )
    command.add_argument("--images", type=file_or_folder, metavar="DIR", help="COCO's photos, if they are elsewhere")
    command.add_argument(
        "--nouns",
        choices=("found", "given"),
        default="found",
        help="found: the model finds the nouns of PNG's captions, and a noun that it misses counts as wrong; given: "
        "the nouns come with the caption [found]",
    )
    command.add_argument(
        "--mask-size",
        type=whole(1),
        metavar="N",
        help="compare the masks of PNG at NxN pixels; its first baseline used 256 [their full size]",
    )
    command.add_argument(
        "--count",
        type=whole(1),
        metavar="N",
        help="number of scenes [500]; with PATH, use only the first N photos [all]",
    )
    command.add_argument(
        "--threshold",
        type=fraction,
        default=0.5,
        metavar="T",
        help="minimum score of an entity that a plural refers to; PNG's first baseline used 0.1 [0.5]",
    )


def _add_reconstruction(own: Any) -> None:
    command = own.add_parser(
        "reconstruction",
        help="how many masks GELLA reconstructs",
        description="Measures how well GELLA's mask decoder reconstructs the masks of its colormap: AP of its masks "
        "(paper Table XVI), and the share of entities that it reconstructs, by size.",
    )
    command.set_defaults(measure=reconstruction)
    command.add_argument(
        "path",
        nargs="?",
        type=file_or_folder,
        metavar="PATH",
        help="photos with masks, in any form that docs/data.md lists [held-out synthetic scenes]",
    )
    add_grounding(command)
    command.add_argument(
        "--count",
        type=whole(1),
        metavar="N",
        help="number of scenes [500]; with PATH, use only the first N photos [all]",
    )


def _add_claims(own: Any) -> None:
    command = own.add_parser(
        "claims",
        help="whether captions of photos are true",
        description="Lets the model describe photos that people have segmented, and measures whether its words about "
        "colour, size and position are true of the entities they refer to.",
    )
    command.set_defaults(measure=claims)
    command.add_argument(
        "photos", type=file_or_folder, metavar="DIR", help="photos ID.jpg with segmentations ID_0.png ..."
    )
    add_grounding(command)
    command.add_argument("--count", type=whole(1), metavar="N", help="use only the first N photos [all]")


def narratives(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    models = models_of(args)
    if args.path is None:
        only_png = {"--panoptic": args.panoptic, "--images": args.images, "--mask-size": args.mask_size}
        refuse_without_path("Panoptic Narrative Grounding", {**only_png, "--resume": args.resume})
        return _scenes(models, args.count or 500, args.threshold, console)
    from ...data.panoptic_narratives import PanopticNarratives
    from ...evaluation.panoptic_narratives import evaluate_panoptic_narratives
    from ...evaluation.paper_texts import NARRATIVES

    data = PanopticNarratives(args.path, args.panoptic, args.images)
    source = models.entities()
    options = {"threshold": args.threshold, "nouns": args.nouns, "mask_size": args.mask_size}
    journal = models.open_journal(args.resume, data.name, **options)
    measured = evaluate_panoptic_narratives(
        models.grounder(console),
        data,
        args.count,
        segment=source,
        threshold=args.threshold,
        given_nouns=args.nouns == "given",
        side=args.mask_size,
        journal=journal,
        progress=counting(console, "photo"),
    )
    found = measured.figures
    console.answer(
        f"{found['narratives']:.0f} of {found['narratives_given']:.0f} narratives were used: "
        f"{counted(found['photos'], 'photo')}, {counted(found['nouns'], 'noun')}"
    )
    show(console, _PNG, found, NARRATIVES)
    show_problems(console, measured.problems)
    return found


def _scenes(models: Models, count: int, threshold: float, console: Console) -> dict[str, float]:
    """Captions of synthetic scenes."""
    from ...evaluation.narratives import evaluate_narratives

    found = evaluate_narratives(
        models.grounder(console),
        count,
        segment=models.scene_entities(),
        threshold=threshold,
        progress=counting(console, "scene"),
    )
    console.answer(f"{count} held-out scenes, {found['nouns']:.0f} nouns, {found['expressions']:.0f} expressions")
    show(console, _SCENES, found, {})
    return found


def reconstruction(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...evaluation.narratives import evaluate_reconstruction
    from ...models.gella.inference import GellaInference

    models = models_of(args)
    model = models.grounder(console).model
    if not isinstance(model, GellaInference):
        raise InputError(f"{args.model} does not reconstruct masks; give a GELLA, such as gella-nano.")
    if args.path is None:
        measured = evaluate_reconstruction(
            model, args.count or 500, segment=models.scene_entities(), progress=counting(console, "scene")
        )
        pictures = "held-out scenes"
    else:
        from ...data.opening import open_photos

        photos = open_photos(args.path)
        measured = evaluate_reconstruction(
            model, args.count, photos=photos, segment=models.entities(), progress=counting(console, "photo")
        )
        pictures = "photos"
    found = measured.figures
    console.answer(f"Masks of {found['pictures']:.0f} {pictures}, reconstructed by the mask decoder")
    for name, share in found.items():
        if name != "pictures":
            console.answer(f"  {name:12} {percent(share)}")
    show_problems(console, measured.problems)
    return found


def claims(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...data.labelled import LabelledPhotos
    from ...data.opening import open_photos
    from ...evaluation.narratives import evaluate_claims

    models = models_of(args)
    photos = LabelledPhotos(open_photos(args.photos))
    found = evaluate_claims(
        models.grounder(console),
        photos,
        args.count,
        segment=models.entities(),
        progress=counting(console, "photo"),
    )
    console.answer(
        f"{percent(found.share).strip()} % of {found.true + found.false} phrases about colour, size or position are "
        f"true, {percent(found.clear_share).strip()} % clearly so; {found.silent} others make no such claim"
    )
    for photo, phrase in found.examples:
        console.answer(f"  not true: {photo}: {phrase}")
    show_problems(console, found.problems)
    shares = {"share": found.share, "clear_share": found.clear_share}
    return {"true": found.true, "clear": found.clear, "false": found.false, "silent": found.silent, **shares}
