"""`esg caption`: describes photos in a sentence or more each."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .arguments import DASHES, add_entities, add_grounder, add_machine, add_max_pixels, add_photos, add_writing
from .console import Console
from .finding import check_masks, find_entities, load_segmenter
from .photos import Batch, UnusablePhoto, about, enough_memory

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..grounder import Grounder
    from ..pictures.listing import Listed

ADVICE = "--precision bf16, a smaller --model, or --device cpu"  # when memory runs out


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "caption",
        help="describe photos in words",
        description="Describes photos in words, one line each; with several photos, each line begins with the file "
        "name. A small model writes several captions and keeps the one whose nouns are grounded best in the photo's "
        "entities.",
        epilog="Photos that cannot be used and folders without pictures are reported and skipped; the exit status is "
        f"then 2. {DASHES}",
    )
    parser.set_defaults(run=run)
    add_photos(parser)
    add_max_pixels(parser)
    add_entities(add_grounder(parser))
    add_writing(parser)
    add_machine(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Describes every photo; returns 2 if a photo could not be used, or a folder contains none."""
    from ..pictures.reading import read_image

    batch = Batch(args.photos, console)
    check_masks(args.masks, batch.photos)
    batch.look(args.max_pixels)
    if not batch.waiting:
        return batch.close(done="described")
    grounder = load(args, console)
    alone = drafts(grounder, args) == 1
    segmenter = None if alone or args.masks else load_segmenter(args, console)
    several = batch.several

    def work(photo: Listed, place: str) -> None:

        with enough_memory(photo, ADVICE):
            console.progress(f"{place}{photo.path.name} ...")
            pixels = read_image(photo.path, max_pixels=args.max_pixels)
            entities = None if alone else find_entities(segmenter, pixels, photo, args, console, place, several=several)
            with about(photo):
                text = caption(grounder, entities, pixels, photo, args, console, place)
        console.answer(f"{photo.path}: {text}" if several else text)

    return batch.work(work, done="described")


def load(args: argparse.Namespace, console: Console) -> Grounder:
    """Loads the model named by --model."""
    console.progress(f"Loading {args.model} ...")
    from ..grounder import Grounder
    from ..weights.catalogue import checkpoint_named

    grounder = Grounder.from_pretrained(args.model, device=args.device, precision=args.precision)
    if args.model == "gella-nano":
        console.line(checkpoint_named(args.model).knows)
    return grounder


def drafts(grounder: Grounder, args: argparse.Namespace) -> int:
    """The number of captions to write for a photo; the best one is kept."""
    return grounder.model.drafts if args.drafts is None else int(args.drafts)


def caption(
    grounder: Grounder,
    entities: EntityMap | None,
    pixels: np.ndarray,
    photo: Listed,
    args: argparse.Namespace,
    console: Console,
    place: str,
) -> str:
    """A caption in one line; UnusablePhoto if the model writes nothing.

    With entities to judge by, it is the best of several drafts. A single draft is shown while it is being written.
    """
    writing = {"most": args.length, "temperature": args.temperature, "seed": args.seed, "max_pixels": args.max_pixels}
    number = drafts(grounder, args)
    if number > 1 and entities is not None:
        text = grounder.best_caption(
            pixels,
            entities,
            drafts=number,
            progress=lambda done, total, what: console.progress(f"{place}{photo.path.name}: {what} {done}/{total}"),
            **writing,
        )
        return " ".join(text.split())
    text = ""
    for piece in grounder.caption(pixels, **writing):
        text += piece
        console.writing(f"{place}{photo.path.name}: ", text)
    text = " ".join(text.split())
    if not text:
        raise UnusablePhoto(f"{photo.path}: the model wrote an empty caption for this picture.")
    return text
