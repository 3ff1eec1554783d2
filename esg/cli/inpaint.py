"""`esg inpaint`: writes copies of photos with chosen entities removed or repainted."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import (
    DASHES,
    add_grounder,
    add_machine,
    add_max_pixels,
    add_out,
    add_photos,
    fraction,
    machine_of,
    words,
)
from .caption import load
from .console import Console, counted
from .filling import add_filling, filling_of
from .finding import add_entities, check_masks, entities_of
from .job import Job, UnusablePhoto
from .photos import Batch
from .results import check_folder, replaced, save_together

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..grounder import Grounder
    from ..pictures.listing import InputPhoto
    from ..pictures.reading import Photo

# ids of the selected entities in rising order, with their scores if a text was grounded
Select = Callable[["np.ndarray", "EntityMap", Job], Mapping[int, "float | None"]]

ENDING = ".inpainted.png"


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "inpaint",
        help="remove entities from photos, or repaint them",
        description="Removes entities from photos: OpenCV fills the gap from its surroundings, which suits small "
        "things on a plain background and needs no diffusion model. With --prompt and --inpainter, a diffusion model "
        "paints something else there. Prints the ids of the removed or repainted entities and, with --text, their "
        "scores, and writes NAME.inpainted.png for each NAME.jpg. Outside the filled area, the PNG has the photo's "
        "pixel values; it keeps the photo's transparency, colour profile, EXIF data, resolution and text. If something "
        "cannot be kept (16 bit, CMYK), a message says so. Photos from a folder keep their subfolder.",
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
        help="with --text, every entity that scores at least this, 0 to 1 [only the best entity, if it scores at least "
        "0.5]",
    )

    add_filling(parser)
    add_entities(add_grounder(parser))
    add_machine(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Changes every photo; returns 2 if a photo could not be used or written, or a folder contains none."""
    batch = Batch(args.photos, args.max_pixels, console)
    check_masks(args.masks, batch.photos)
    check_folder(args.out)
    batch.look(out=args.out, endings=[ENDING], overwrite=args.overwrite)
    if not batch.waiting:
        return batch.close(done="inpainted")
    filling, machine = filling_of(args), machine_of(args)
    fill = filling.load(machine, console)
    if args.text is not None:
        select = _described(load(args.model, machine, console), args.text, args.threshold)
    else:
        select = _at(args.point) if args.point else _chosen(args.entity)
    find = entities_of(args).load(machine, console)

    def work(job: Job) -> str:
        begin = time.monotonic()
        with job.enough_memory(filling.advice):
            source = job.read()
            entities = find(source.pixels, job)
            job.now("choosing")
            scores = select(source.pixels, entities, job)
            job.now("filling")
            with job.about():
                filled = fill(source.pixels, entities.mask(sorted(scores)), job)
            earlier = _save(source, filled, job.photo, args.out)
        job.answer(", ".join(f"{one}" if score is None else f"{one} ({score:.2f})" for one, score in scores.items()))
        seconds = time.monotonic() - begin
        hint = "".join(f"; {change}" for change in source.changes)
        written = f"{args.out / job.photo.name}{ENDING}{replaced(earlier)}"
        return f"{counted(len(scores), 'entity', 'entities')} {filling.done} in {seconds:.1f} s -> {written}{hint}"

    return batch.work(work, done="inpainted", out=args.out)


def _at(points: Sequence[tuple[int, int]]) -> Select:
    """Selects the entities at some points."""

    def select(pixels: np.ndarray, entities: EntityMap, job: Job) -> dict[int, None]:
        found = {place: entities.at(*place) for place in points}
        missed = [f"{x},{y}" for (x, y), number in found.items() if not number]
        if missed:
            raise UnusablePhoto(
                f"{job.photo.path}: there is no entity at {' and '.join(missed)}; choose another point."
            )
        return dict.fromkeys(sorted(set(found.values())))

    return select


def _chosen(text: str) -> Select:
    """Selects entities by number, or in words such as "largest"."""
    from ..entities.choosing import choose

    def select(pixels: np.ndarray, entities: EntityMap, job: Job) -> dict[int, None]:
        with job.about():
            ids = choose(entities, text)
        if not ids:
            raise UnusablePhoto(_none_of(entities, job, text))
        return dict.fromkeys(ids)

    return select


def _described(grounder: Grounder, text: str, threshold: float | None) -> Select:
    """Selects the best entity alone, or with a threshold all that reach it; a guess is not good enough."""
    from ..grounder import THRESHOLD

    grounder.check_words([text])
    least = THRESHOLD if threshold is None else threshold

    def select(pixels: np.ndarray, entities: EntityMap, job: Job) -> dict[int, float]:
        found = grounder.refer(pixels, entities, text, threshold=0, max_pixels=job.max_pixels)
        if not found.entity_ids:
            raise UnusablePhoto(_none_of(entities, job, text))
        best, score = found.entity_ids[0], found.scores[0]
        if score < least:
            raise UnusablePhoto(
                f"{job.photo.path}: no entity matches {text!r} well enough: the best guess is entity {best}, whose "
                f"score of {score:.3f} is below {least:g}; to use it anyway, give --entity {best} instead."
            )
        if threshold is None:
            return {best: score}
        return {number: score for number, score in sorted(zip(found.entity_ids, found.scores)) if score >= least}

    return select


def _none_of(entities: EntityMap, job: Job, what: str) -> str:
    return (
        f"{job.photo.path}: no entity matches {what!r}; the photo has {counted(len(entities), 'entity', 'entities')}."
    )


def _save(source: Photo, pixels: np.ndarray, photo: InputPhoto, folder: Path) -> int:
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
