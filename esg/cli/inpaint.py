"""`esg inpaint`: writes copies of photos with chosen entities removed or repainted."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import (
    DASHES,
    add_entities,
    add_grounder,
    add_machine,
    add_max_pixels,
    add_out,
    add_photos,
    fraction,
    words,
)
from .caption import load
from .console import Console
from .filling import add_filling, advice, load_filling
from .finding import check_masks, find_entities, load_segmenter
from .photos import Batch, UnusablePhoto, about, enough_memory, entity_count
from .results import check_folder, replaced, save_together

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..grounder import Grounder
    from ..pictures.listing import Listed
    from ..pictures.reading import Photo

ENDING = ".inpainted.png"


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "inpaint",
        help="remove entities from photos, or repaint them",
        description="Removes entities from photos: OpenCV fills the gap from its surroundings, which suits small "
        "things on a plain background and needs no diffusion model. With --prompt and --inpainter, a diffusion model "
        "paints something else there. Prints the ids of these entities, with --text also their scores, and writes "
        "NAME.inpainted.png for each NAME.jpg. The PNG has the same pixel values everywhere else, and keeps the "
        "photo's transparency, colour profile, EXIF data, resolution and text. If something cannot be kept (16 bit, "
        "CMYK), a message says so. Photos from a folder keep their subfolder.",
        epilog="Photos that cannot be used or have no such entity, photos whose file cannot be written, and folders "
        f"without pictures are reported and skipped; the exit status is then 2. {DASHES}",
    )
    parser.set_defaults(run=run)
    add_photos(parser)
    add_out(parser)
    add_max_pixels(parser)

    chosen = parser.add_argument_group("what to remove or repaint", "give one of these")
    one = chosen.add_mutually_exclusive_group(required=True)
    one.add_argument(
        "--entity",
        metavar="IDS",
        help="entities by number, such as 3,5-7, as shown in the overlay of `esg segment` (pass its label map to "
        "--masks), or in words: largest, smallest 3, not 2, area<5%%",
    )
    one.add_argument(
        "--point",
        type=_point,
        action="append",
        metavar="X,Y",
        help="the entity at this point, in pixels from the top left corner; can be given several times",
    )
    one.add_argument(
        "--text", type=words, metavar="TEXT", help="the entity that this describes, such as: the dog left of the door"
    )
    chosen.add_argument(
        "--threshold",
        type=fraction,
        metavar="S",
        help="with --text, every entity that scores at least this, 0 to 1 [the best entity alone, if it scores 0.5]",
    )

    add_filling(parser)
    add_entities(add_grounder(parser))
    add_machine(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Changes every photo; returns 2 if a photo could not be used or written, or a folder contains none."""
    batch = Batch(args.photos, console)
    check_masks(args.masks, batch.photos)
    check_folder(args.out)
    batch.look(args.max_pixels, out=args.out, endings=[ENDING], overwrite=args.overwrite)
    done = "removed" if args.prompt is None else "repainted"
    if not batch.waiting:
        return batch.close(done="inpainted")
    fill = load_filling(args, console)
    grounder = None if args.text is None else load(args, console)
    if grounder is not None:
        grounder.check_words([args.text])
    segmenter = None if args.masks else load_segmenter(args, console)
    several = batch.several

    def work(photo: Listed, place: str) -> str:
        from ..pictures.reading import read_photo

        begin = time.monotonic()
        console.progress(f"{place}{photo.path.name} ...")
        with enough_memory(photo, advice(args)):
            source = read_photo(photo.path, max_pixels=args.max_pixels)
            pixels = source.pixels
            entities = find_entities(segmenter, pixels, photo, args, console, place, several=several)
            console.progress(f"{place}{photo.path.name}: choosing")
            scores = {} if grounder is None else _meant(grounder, entities, pixels, photo, args)
            ids = sorted(scores) or _chosen(entities, photo, args)
            console.progress(f"{place}{photo.path.name}: filling")
            with about(photo):
                filled = fill(
                    pixels,
                    entities.mask(ids),
                    lambda done, total, what: console.progress(f"{place}{photo.path.name}: {what} {done}/{total}"),
                )
            earlier = _save(source, filled, photo, args.out)
        before = f"{photo.path}: " if several else ""
        console.answer(before + ", ".join(f"{one} ({scores[one]:.2f})" if scores else str(one) for one in ids))
        seconds = time.monotonic() - begin
        hint = "".join(f"; {change}" for change in source.changes)
        written = f"{args.out / photo.name}{ENDING}{replaced(earlier)}"
        return f"{entity_count(len(ids))} {done} in {seconds:.1f} s -> {written}{hint}"

    return batch.work(work, done="inpainted", out=args.out)


def _chosen(entities: EntityMap, photo: Listed, args: argparse.Namespace) -> list[int]:
    """The ids that --point or --entity selects; UnusablePhoto if they select nothing."""
    if args.point:
        found = {place: entities.at(*place) for place in args.point}
        missed = [f"{x},{y}" for (x, y), number in found.items() if not number]
        if missed:
            raise UnusablePhoto(f"{photo.path}: there is no entity at {' and '.join(missed)}; choose another point.")
        return sorted(set(found.values()))
    from ..entities.choosing import choose

    with about(photo):
        ids = choose(entities, args.entity)
    if not ids:
        raise UnusablePhoto(_none_of(entities, photo, args.entity))
    return ids


def _meant(
    grounder: Grounder, entities: EntityMap, pixels: np.ndarray, photo: Listed, args: argparse.Namespace
) -> dict[int, float]:
    """The ids and scores of the entities that --text refers to; UnusablePhoto if there are none, or only a guess."""
    from ..grounder import THRESHOLD

    found = grounder.refer(pixels, entities, args.text, threshold=0, max_pixels=args.max_pixels)
    if not found.entity_ids:
        raise UnusablePhoto(_none_of(entities, photo, args.text))
    best, score = found.entity_ids[0], found.scores[0]
    least = THRESHOLD if args.threshold is None else args.threshold
    if score < least:
        raise UnusablePhoto(
            f"{photo.path}: no entity matches {args.text!r} well enough: the best guess is entity {best}, whose score "
            f"of {score:.3f} is below {least:g}; to use it anyway, give --entity {best} instead."
        )
    if args.threshold is None:
        return {best: score}
    return {number: score for number, score in zip(found.entity_ids, found.scores) if score >= least}


def _none_of(entities: EntityMap, photo: Listed, what: str) -> str:
    return f"{photo.path}: no entity matches {what!r}; the photo has {entity_count(len(entities))}."


def _save(source: Photo, pixels: np.ndarray, photo: Listed, folder: Path) -> int:
    from ..pictures.reading import write_image

    def write(stem: Path) -> None:
        write_image(f"{stem}{ENDING}", source.edited(pixels), metadata=source.metadata)

    return save_together(folder, photo.name, write)


def _point(text: str) -> tuple[int, int]:
    try:
        x, y = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a point such as 320,200") from None
    return x, y
