"""`esg ground`: photos and folders of photos in, captions with the entities that their nouns mean out."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from .arguments import (
    add_entities,
    add_grounder,
    add_machine,
    add_max_pixels,
    add_out,
    add_photos,
    add_writing,
    fraction,
    names,
    words,
)
from .caption import ADVICE, caption, load
from .console import Console
from .finding import check_masks, find_entities, load_segmenter
from .grounding_files import save
from .photos import about, enough_memory, entity_count, work_through
from .results import check_folder

if TYPE_CHECKING:
    import numpy as np

    from ..entities import EntityMap
    from ..grounder import Grounder
    from ..grounding import Grounding, Phrase
    from ..naming import Listed


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "ground",
        help="say which entities of photos words mean",
        description="Writes a caption of each photo, or takes yours, and says which of the photo's entities each noun "
        "in it means. Prints the caption and its phrases, each with the ids and scores of its entities, and writes for "
        "each NAME.jpg its NAME.grounding.json (caption, phrases, ids and scores), NAME.labels.png (16 bit, pixel = "
        "entity id) and NAME.grounding.jpg (a picture of it all). What comes from a folder keeps its subfolder.",
        epilog="A photo that cannot be used, or whose files cannot be written, is named and left out, as is a folder "
        "without pictures; the exit status is then 2.",
    )
    parser.set_defaults(run=run)
    add_photos(parser)
    add_out(parser)
    parser.add_argument(
        "--html", action="store_true", help="also write NAME.grounding.html, a page where phrases light up their masks"
    )
    add_max_pixels(parser)

    given = parser.add_argument_group("words", "one of these; without any, the model writes a caption")
    one = given.add_mutually_exclusive_group()
    one.add_argument("--caption", type=words, metavar="TEXT", help="ground the nouns of this sentence")
    one.add_argument("--phrases", type=names, metavar='"A, B"', help="look for these, such as: red ball, two dogs")
    one.add_argument(
        "--categories",
        type=names,
        metavar='"A, B"',
        help="name every entity by the one of these that fits it best, or not at all: panoptic segmentation",
    )
    one.add_argument(
        "--refer",
        type=words,
        metavar="TEXT",
        help="find the entity that this expression means, or that answers this question",
    )
    given.add_argument(
        "--threshold",
        type=fraction,
        metavar="S",
        help="entities below this score, 0 to 1, are not meant [0.5; with --refer the best entity alone]",
    )

    add_entities(add_grounder(parser))
    add_writing(parser)
    add_machine(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Grounds in every photo; 2 if some of them could not be used or written, or a folder holds none."""
    from ..naming import list_images

    photos, empty = list_images(args.photos)
    check_masks(args.masks, photos)
    check_folder(args.out)
    grounder = load(args, console)
    segmenter = None if args.masks else load_segmenter(args, console)
    several = len(photos) > 1

    def work(photo: Listed, place: str) -> str:
        from ..images import read_image

        begin = time.monotonic()
        console.progress(f"{place}{photo.path.name} ...")
        with enough_memory(photo, ADVICE):
            pixels = read_image(photo.path, max_pixels=args.max_pixels)
            entities = find_entities(segmenter, pixels, photo, args, console, place, several=several)
            grounding = _ground(grounder, entities, pixels, photo, args, console, place)
            console.progress(f"{place}{photo.path.name}: writing")
            save(grounding, entities, pixels, photo, args.out, page=args.html)
        before = f"{photo.path}: " if several else ""
        console.answer("\n".join([before + _in_one_line(grounding.caption), *map(_line, grounding.phrases)]))
        phrases = "1 phrase" if len(grounding.phrases) == 1 else f"{len(grounding.phrases)} phrases"
        hint = "" if len(entities) else "; there is nothing that they could mean"
        seconds = time.monotonic() - begin
        return f"{phrases}, {entity_count(len(entities))} in {seconds:.1f} s -> {args.out / photo.name}.*{hint}"

    return work_through(photos, empty, work, console, done="grounded", out=args.out)


def _ground(
    grounder: Grounder,
    entities: EntityMap,
    pixels: np.ndarray,
    photo: Listed,
    args: argparse.Namespace,
    console: Console,
    place: str,
) -> Grounding:
    from ..grounder import THRESHOLD
    from ..grounding import Grounding

    if args.refer is not None:
        console.progress(f"{place}{photo.path.name}: grounding")
        phrase = grounder.refer(pixels, entities, args.refer, threshold=args.threshold, max_pixels=args.max_pixels)
        return Grounding(phrase.text, (phrase,))
    given = {"caption": args.caption, "phrases": args.phrases, "categories": args.categories}
    options = {"threshold": THRESHOLD if args.threshold is None else args.threshold, "max_pixels": args.max_pixels}
    if any(value is not None for value in given.values()):
        console.progress(f"{place}{photo.path.name}: grounding")
        return grounder(pixels, entities, **given, **options)
    with about(photo):  # what is wrong with a caption of its own may be right with that of the next photo
        return grounder(pixels, entities, caption(grounder, entities, pixels, photo, args, console, place), **options)


def _line(phrase: Phrase) -> str:
    means = ", ".join(f"{number} ({score:.2f})" for number, score in zip(phrase.entity_ids, phrase.scores))
    return f"  {_in_one_line(phrase.text)}: {means or 'no entity'}"


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
