"""`esg eval referring|wild`: expressions, questions and names, and the areas of photos that they refer to."""

from __future__ import annotations

import argparse
from typing import Any

from ...support.errors import InputError
from ..arguments import file_or_folder, fraction, not_empty, whole
from ..console import Console, counted
from .shared import (
    UNITS,
    Models,
    add_grounding,
    add_resume,
    counting,
    models_of,
    refuse_without_path,
    show,
    show_problems,
)

_REFERRING = {
    "cIoU": "sum of all intersections divided by the sum of all unions",
    "gIoU": "mean IoU of the expressions",
    "P50": "expressions with an IoU of 0.5 or more",
}


def add(own: Any) -> None:
    """Adds the tasks to the parser."""
    _add_referring(own)
    _add_wild(own)


def _add_referring(own: Any) -> None:
    command = own.add_parser(
        "referring",
        help="how well expressions and questions are grounded",
        description="Finds the area that each expression of RefCOCO, RefCOCO+ or RefCOCOg, or each question of "
        "ReasonSeg refers to; without PATH, referring expressions about held-out synthetic scenes. ReasonSeg needs "
        f"--segmenter or --masks, because only the answers are outlined. {UNITS}",
    )
    command.set_defaults(measure=referring)
    command.add_argument(
        "path",
        nargs="?",
        type=file_or_folder,
        metavar="PATH",
        help="folder with refs(unc).p (or umd, google) and instances.json, or with the photos NAME.jpg and NAME.json "
        "of ReasonSeg [synthetic scenes]",
    )
    add_grounding(command)
    add_resume(command)
    command.add_argument(
        "--split", type=not_empty, default="val", metavar="NAME", help="val, testA, testB, test or train [val]"
    )
    command.add_argument("--images", type=file_or_folder, metavar="DIR", help="the photos, if they are elsewhere")
    command.add_argument(
        "--count",
        type=whole(1),
        metavar="N",
        help="number of scenes [500]; with PATH, use only the first N photos [all]",
    )
    command.add_argument(
        "--threshold",
        type=fraction,
        metavar="T",
        help="take all entities with at least this score [only the one with the highest score; 0.5 with --by-nouns]",
    )
    command.add_argument(
        "--by-nouns",
        action="store_true",
        help="refer as in the paper (Sec. 5.3.1): the model finds the nouns of the expression, and the answer is every "
        "entity that any of them refers to; needs PATH [the expression as a whole is grounded]",
    )


def _add_wild(own: Any) -> None:
    command = own.add_parser(
        "wild",
        help="how well names find objects in the 25 data sets of SGinW",
        description="Looks for the names of all categories in every photo of the data sets of Segmentation in the Wild "
        f"(SGinW), and prints the mask AP of every set and their mean. {UNITS}",
    )
    command.set_defaults(measure=wild)
    command.add_argument(
        "path",
        type=file_or_folder,
        metavar="PATH",
        help="folder with NAME/valid/_annotations_min1cat.coco.json and the photos beside it; or the folder of a "
        "single set",
    )
    add_grounding(command)
    add_resume(command, "set")
    command.add_argument("--split", type=not_empty, default="valid", metavar="NAME", help="folder of each set [valid]")


def referring(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    models = models_of(args)
    if args.path is None:
        by_nouns = args.by_nouns or None
        refuse_without_path("a data set", {"--images": args.images, "--resume": args.resume, "--by-nouns": by_nouns})
        return _scenes(models, args.count or 500, args.threshold, console)
    from ...data.opening_expressions import open_expressions
    from ...evaluation.paper_texts import referring_rows
    from ...evaluation.referring import evaluate_referring

    data = open_expressions(args.path, args.split, args.images)
    source = models.entities()
    if source is None and not data.chooses:
        raise InputError(f"In {data.name} only the answers are outlined; give --segmenter or --masks.")
    nouns = {"by_nouns": True} if args.by_nouns else {}
    journal = models.open_journal(args.resume, data.name, split=data.split, threshold=args.threshold, **nouns)
    measured = evaluate_referring(
        models.grounder(console),
        data,
        args.count,
        segment=source,
        threshold=args.threshold,
        nouns=args.by_nouns,
        journal=journal,
        progress=counting(console, "photo"),
    )
    found = measured.figures
    console.answer(
        f"{found['expressions']:.0f} of {found['expressions_given']:.0f} expressions of {data.kind} {data.split} were "
        f"used, in {counted(found['photos'], 'photo')}"
    )
    show(console, _REFERRING, found, referring_rows(data.kind, data.split))
    show_problems(console, measured.problems)
    return found


def _scenes(models: Models, count: int, threshold: float | None, console: Console) -> dict[str, float]:
    """Referring expressions about synthetic scenes."""
    from ...evaluation.narratives import evaluate_expressions

    found = evaluate_expressions(
        models.grounder(console),
        count,
        segment=models.scene_entities(),
        threshold=threshold,
        progress=counting(console, "scene"),
    )
    console.answer(f"{count} held-out scenes, {found['expressions']:.0f} expressions")
    show(console, _REFERRING, found, {})
    return found


def wild(args: argparse.Namespace, console: Console) -> dict[str, float]:
    """Prints the figures and returns them for the file."""
    from ...data.wild import WILD_SETS, WildSets
    from ...evaluation.matching import pycocotools
    from ...evaluation.paper_texts import WILD
    from ...evaluation.wild import evaluate_wild

    pycocotools()  # before the model is loaded
    models = models_of(args)
    data = WildSets(args.path, args.split)
    source = models.entities()
    journal = models.open_journal(args.resume, str(args.path), split=args.split)
    measured = evaluate_wild(
        models.grounder(console), data, segment=source, journal=journal, progress=counting(console, "set")
    )
    found = measured.figures
    console.answer(f"mask AP of {counted(found['sets'], 'set')}, {counted(found['photos'], 'photo')}")
    names = dict.fromkeys(data.names, "") | {"mean": f"mean of {counted(found['sets'], 'set')}"}
    show(console, names, found, WILD)
    show_problems(console, measured.problems)
    if data.missing:
        console.line(
            f"Note: the paper's mean is of {len(WILD_SETS)} sets; missing here ({len(data.missing)}): "
            f"{', '.join(data.missing[:3])}{', ...' if len(data.missing) > 3 else ''}"
        )
    return found
