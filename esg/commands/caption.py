"""`esg caption`: photos and folders of photos in, a sentence or more about each out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .arguments import add_grounder, add_machine, add_max_pixels, add_photos, add_writing
from .console import Console
from .photos import UnusablePhoto, enough_memory, work_through

if TYPE_CHECKING:
    import numpy as np

    from ..grounder import Grounder
    from ..naming import Listed

ADVICE = "--precision bf16, a smaller --model, or --device cpu"  # where memory is short


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "caption",
        help="describe photos in words",
        description="Describes photos in words, a line for each; of several photos the line begins with the name.",
        epilog="A photo that cannot be used is named and left out, as is a folder without pictures; the exit status "
        "is then 2.",
    )
    parser.set_defaults(run=run)
    add_photos(parser)
    add_max_pixels(parser)
    add_grounder(parser)
    add_writing(parser)
    add_machine(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Describes every photo; 2 if some of them could not be used, or a folder holds none."""
    from ..images import read_image
    from ..naming import list_images

    photos, empty = list_images(args.photos)
    grounder = load(args, console)

    def work(photo: Listed, place: str) -> None:
        with enough_memory(photo, ADVICE):
            console.progress(f"{place}{photo.path.name} ...")
            pixels = read_image(photo.path, max_pixels=args.max_pixels)
            caption = write_caption(grounder, pixels, photo, args, console, place)
        console.answer(f"{photo.path}: {caption}" if len(photos) > 1 else caption)

    return work_through(photos, empty, work, console, done="described")


def load(args: argparse.Namespace, console: Console) -> Grounder:
    """The model of --model."""
    console.progress(f"Loading {args.model} ...")
    from ..grounder import Grounder

    grounder = Grounder.from_pretrained(args.model, device=args.device, precision=args.precision)
    if args.model == "gella-nano":
        console.line(
            "gella-nano is a small model: it knows colours, sizes, places and simple shapes, not what things are, and "
            "what it writes of a photo may be wrong."
        )
    return grounder


def write_caption(
    grounder: Grounder, pixels: np.ndarray, photo: Listed, args: argparse.Namespace, console: Console, place: str
) -> str:
    """A caption in one line, shown as it grows; UnusablePhoto if the model has nothing to say."""
    caption = ""
    for piece in grounder.caption(
        pixels, most=args.length, temperature=args.temperature, seed=args.seed, max_pixels=args.max_pixels
    ):
        caption += piece
        console.writing(f"{place}{photo.path.name}: ", caption)
    caption = " ".join(caption.split())
    if not caption:
        raise UnusablePhoto(f"{photo.path}: the model found no words for this picture.")
    return caption
