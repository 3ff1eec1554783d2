"""`esg data`: checks labelled photos, and measures their annotations."""

from __future__ import annotations

import argparse
import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..support.errors import InputError
from ..support.files import write_atomically
from .arguments import add_no_overwrite, file_or_folder, not_empty, whole
from .console import Console, counted
from .results import check_result, replaced

if TYPE_CHECKING:
    from ..data.annotated import AnnotatedPhotos
    from ..data.expressions import Expressions
    from ..data.panoptic_narratives import PanopticNarratives

_FORMS = (
    "a COCO JSON file of instances or panoptic segments; a folder with panoptic.json or instances.json and images/; a "
    "folder of photos with a mask file each; BSDS500's or DIS5K's folder"
)
_TASKS = ("entities", "narratives", "referring", "wild", "captions")
_COLUMNS = {
    "image_resolution": ("resolution", ".1f", "mean of √(height · width), in pixels"),
    "entities_mean": ("entities, mean", ".1f", "per photo"),
    "entities_max": ("entities, max", ".0f", "in one photo"),
    "complexity": ("complexity", ".3f", "area of a segment / area of its convex hull; lower is more complex"),
    "simplicity": ("simplicity", ".3f", "√(4π · area) / perimeter; lower is more complex"),
    "valid_area": ("valid area", ".3f", "share of a photo that is annotated"),
}


def add(commands: Any) -> None:
    """Adds the command and its own commands to the parser."""
    parser = commands.add_parser(
        "data",
        help="check labelled photos, and measure their annotations",
        description="Checks labelled photos before training or evaluation, and measures their annotations.",
    )
    own = parser.add_subparsers(metavar="COMMAND", title="commands", required=True)

    command = own.add_parser(
        "check",
        help="say what a data set contains, and what is missing or broken",
        description="Reads every photo and its annotations, says how many can be used and what is missing or broken, "
        "and names the first few.",
    )
    command.set_defaults(run=check)
    command.add_argument(
        "task", choices=_TASKS, metavar="TASK", help=f"the task that the photos are for: {', '.join(_TASKS)}"
    )
    _add_photos(command)
    command.add_argument(
        "--split", type=not_empty, default="val", metavar="NAME", help="for referring: val, testA, testB, test [val]"
    )

    command = own.add_parser(
        "stats",
        help="statistics of the annotations, as in the papers' tables",
        description="Prints the statistics that the papers list for their data sets (CropFormer Table 2, GELLA Table "
        "I), beside those of COCO, ADE20K and EntitySeg.",
    )
    command.set_defaults(run=stats)
    _add_photos(command)
    command.add_argument(
        "--count", type=whole(1), metavar="N", help="measure only N photos, evenly spread over the data set [all]"
    )
    command.add_argument(
        "--with",
        dest="other",
        type=file_or_folder,
        metavar="PATH",
        help="another annotation of the same photos: prints how well the two agree, as in GELLA's Table II",
    )
    command.add_argument(
        "--plot", type=file_or_folder, metavar="FILE.png", help="draw the distributions, as in the papers' Fig. 3"
    )
    command.add_argument("--json", type=file_or_folder, metavar="FILE.json", help="also write the figures to this file")
    add_no_overwrite(command, "stop if a file already exists [replace it, and say so]")


def _add_photos(command: argparse.ArgumentParser) -> None:
    command.add_argument("photos", type=file_or_folder, metavar="PATH", help=_FORMS)
    command.add_argument(
        "--images", type=file_or_folder, metavar="DIR", help="folder of the photos [found near the annotations]"
    )


def check(args: argparse.Namespace, console: Console) -> int:
    """Prints what is there, and what is missing or broken; returns 1 if nothing can be used."""
    if args.task == "wild":
        return _check_wild(args.photos, console)
    if args.task == "captions":
        return _check_captions(args.photos, console)
    if args.task == "narratives":
        return _check_narratives(args.photos, args.images, console)
    if args.task == "referring":
        return _check_referring(args.photos, args.images, args.split, console)
    from ..data.opening import open_photos

    return _answer_photos(open_photos(args.photos, args.images), console)


def _check_wild(path: Path, console: Console) -> int:
    """Checks the data sets of SGinW."""
    from ..data.wild import WildSets

    sets = WildSets(path)
    failed = []
    for name in sets.names:
        try:
            usable = not _answer_photos(sets.open(name), console)
        except InputError as error:
            console.answer(str(error))
            usable = False
        if not usable:
            failed.append(name)
    for what, names in (("cannot be used", failed), ("are missing", sets.missing)):
        if names:
            more = ", ..." if len(names) > 3 else ""
            console.answer(f"sets that {what} ({len(names)}): {', '.join(names[:3])}{more}")
    return 1 if len(failed) == len(sets.names) else 0


def _check_narratives(path: Path, images: Path | None, console: Console) -> int:
    """Checks panoptic narratives."""
    from ..data.panoptic_narratives import PanopticNarratives

    photos = PanopticNarratives(path, images=images)
    return _answer_texts(photos, f"{photos.name}, {counted(photos.given, 'narrative')}", "narrative", console)


def _check_referring(path: Path, images: Path | None, split: str, console: Console) -> int:
    """Checks expressions or questions about photos."""
    from ..data.opening_expressions import open_expressions

    photos = open_expressions(path, split, images)
    return _answer_texts(photos, f"{photos.name}, {photos.kind} {photos.split}", "expression", console)


def _check_captions(path: Path, console: Console) -> int:
    """Checks captions in a JSON file."""
    from ..data.captions import Captions

    captions = Captions(path)
    written = [one for photo in captions.values() for one in photo]
    listed = sum(one.nouns is not None for one in written)
    console.answer(
        f"{captions.name}: {counted(len(written), 'caption')} of {counted(len(captions), 'photo')}, {listed} with a "
        "list of nouns"
    )
    for line in captions.problems:
        console.answer(f"  {line}")
    return 0


def _answer_photos(photos: AnnotatedPhotos, console: Console) -> int:
    """Prints what a data set contains; returns 1 if no photo can be used."""
    from ..data.checking import check_photos

    found = check_photos(photos, progress=partial(_progress, console))
    console.answer(f"{photos.name}: {found.photos} of {found.listed} photos can be used")
    counts = (found.segments, "segment"), (found.crowds, "crowd"), (found.captions, "caption")
    console.answer(f"  {', '.join(counted(number, what) for number, what in counts)}")
    if photos.categories:
        things = sum(one.thing is True for one in photos.categories)
        stuff = sum(one.thing is False for one in photos.categories)
        kinds = f" ({counted(things, 'thing')}, {stuff} stuff)" if things + stuff else ""
        often = ", ".join(f"{name} {number}" for name, number in list(found.categories.items())[:5])
        number = counted(len(photos.categories), "category", "categories")
        console.answer(f"  {number}{kinds}; most segments: {often or 'none'}")
    for line in found.problems:
        console.answer(f"  {line}")
    return 0 if found.photos else 1


def _answer_texts(photos: PanopticNarratives | Expressions, title: str, text: str, console: Console) -> int:
    """The same for texts about photos."""
    from ..data.checking import check_texts

    found = check_texts(photos, progress=partial(_progress, console))
    console.answer(f"{title}: {found.photos} of {found.listed} photos can be used")
    console.answer(f"  {counted(found.texts, text)}")
    for line in found.problems:
        console.answer(f"  {line}")
    return 0 if found.photos else 1


def stats(args: argparse.Namespace, console: Console) -> int:
    """Prints the statistics."""
    for path in filter(None, (args.json, args.plot)):
        check_result(path, overwrite=args.overwrite)
    from ..data.opening import open_photos
    from ..data.statistics import PAPER, dataset_statistics

    photos = open_photos(args.photos, args.images)
    found = dataset_statistics(photos, args.count, progress=partial(_progress, console))
    if not found.photos:
        raise InputError(f"{photos.name} does not have photos whose annotations can be read.")
    console.answer(f"{counted(len(found.photos), 'photo')} of {photos.name}")
    console.answer(f"  {'':16} {'here':>8}" + "".join(f"{name:>10}" for name in PAPER))
    for place, (name, value) in enumerate(found.row.items()):
        title, style, what = _COLUMNS[name]
        papers = "".join(f"{row[place]:>10{style}}" for row in PAPER.values())
        console.answer(f"  {title:16} {'-' if math.isnan(value) else format(value, style):>8}{papers}  {what}")
    for line in found.problems:
        console.answer(f"  {line}")
    row = dict(found.row)
    if args.other is not None:
        row |= _agreement(photos, open_photos(args.other, args.images), console)
    if args.json is not None:
        earlier = check_result(args.json, overwrite=args.overwrite)
        figures = {name: None if math.isnan(value) else value for name, value in row.items()}
        with write_atomically(args.json) as path:
            path.write_text(json.dumps({"photos": len(found.photos), **figures}, indent=2) + "\n", encoding="utf-8")
        console.line(f"Written: {args.json}{replaced(earlier)}")
    if args.plot is not None:
        from ..evaluation.dataset_plot import plot_statistics

        earlier = check_result(args.plot, overwrite=args.overwrite)
        console.line(f"Written: {plot_statistics(found, args.plot)}{replaced(earlier)}")
    return 0


def _agreement(photos: AnnotatedPhotos, other: AnnotatedPhotos, console: Console) -> dict[str, float]:
    """Prints how well two annotations of the same photos agree, and returns it."""
    from ..evaluation.consistency import consistency

    found = consistency(photos, other)
    classes = "-" if math.isnan(found.accuracy) else f"{100 * found.accuracy:.1f} % of {found.same}"
    console.answer(
        f"agreement with {other.name} on {counted(found.photos, 'photo')} (paper: 90.6 to 92.1, and 94.8 to 95.4 %)"
    )
    console.answer(f"  mask AP {100 * found.ap:.1f}; same class for {classes} masks that are the same")
    for line in found.problems:
        console.answer(f"  {line}")
    return {"agreement_ap": found.ap, "agreement_classes": found.accuracy}


def _progress(console: Console, done: int, total: int) -> None:
    console.progress(f"photo {done}/{total}")
