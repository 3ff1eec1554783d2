"""`esg ground`: captions photos and links the nouns to the entities they refer to."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..support.errors import InputError
from . import panoptic
from .arguments import (
    DASHES,
    add_grounder,
    add_machine,
    add_max_pixels,
    add_out,
    add_photos,
    add_writing,
    fraction,
    machine_of,
    names,
    words,
    writing_of,
)
from .caption import ADVICE, Captioner, load
from .console import Console, counted
from .finding import add_entities, check_masks, entities_of
from .grounding_files import ENDINGS, PAGE, save
from .job import Job
from .photos import Batch
from .results import check_folder, replaced

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..entities.grounding import Grounding, Phrase
    from ..grounder import Grounder

Ground = Callable[["np.ndarray", "EntityMap", Job], "Grounding"]  # of a photo, (H, W, 3) uint8, and its entities

NAMELESS = "no name"


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "ground",
        help="find the entities that words refer to",
        description="Writes a caption for each photo, or takes yours, and finds the entities that each of its nouns "
        "refers to. Prints the caption and its phrases, each with the ids and scores of its entities, and writes for "
        "each NAME.jpg: NAME.grounding.json (caption, phrases, ids and scores), NAME.labels.png (16 bit; pixel values "
        "are entity ids) and NAME.grounding.jpg (a picture of the result). Photos from a folder keep their subfolder.",
        epilog="Photos that cannot be used, photos whose files cannot be written, and folders without pictures are "
        f"reported and skipped; the exit status is then 2. {DASHES}",
    )
    parser.set_defaults(run=run)
    add_photos(parser)
    add_out(parser)
    parser.add_argument(
        "--html",
        action="store_true",
        help="also write NAME.grounding.html, a page whose phrases highlight their masks",
    )
    add_max_pixels(parser)
    _add_words(parser)
    add_entities(add_grounder(parser))
    add_writing(parser)


def _add_words(parser: argparse.ArgumentParser) -> None:
    given = parser.add_argument_group("words", "give at most one of these; by default, the model writes a caption")
    one = given.add_mutually_exclusive_group()
    one.add_argument("--caption", type=words, metavar="TEXT", help="ground the nouns of this sentence")
    one.add_argument(
        "--phrases",
        type=names,
        metavar='"A, B"',
        help="look for these, such as: red ball, two dogs; also: red ball . two dogs .",
    )
    one.add_argument(
        "--categories",
        type=names,
        metavar='"A, B"',
        help="panoptic segmentation: give every entity the best-fitting of these names, or no name",
    )
    one.add_argument(
        "--refer",
        type=words,
        metavar="TEXT",
        help="find the entity that this expression refers to, or that answers this question",
    )
    given.add_argument(
        "--by-nouns",
        action="store_true",
        help="with --refer, as in the paper: the model finds the nouns of the expression, and the result is every "
        "entity that any of them refers to, not just one for the whole expression",
    )
    one.add_argument(
        "--names",
        action="store_true",
        help="give entities names from the model's own list (gella-nano: 133 names), and say which entities fit none",
    )
    panoptic.add(one)
    given.add_argument(
        "--threshold",
        type=fraction,
        metavar="S",
        help="minimum score of an entity, 0 to 1 [0.5; with --refer, only the best entity, if it scores at least 0.5; "
        "with --names, 0.8; with --panoptic, 0.1]",
    )
    add_machine(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Grounds text in every photo; returns 2 if a photo could not be used or written, or a folder contains none."""
    if args.by_nouns and args.refer is None:
        raise InputError("--by-nouns is for expressions; give one with --refer.")
    batch = Batch(args.photos, args.max_pixels, console)
    check_masks(args.masks, batch.photos)
    check_folder(args.out)
    endings = [*ENDINGS, *(panoptic.ENDINGS if args.panoptic else ()), *([PAGE] if args.html else ())]
    batch.look(out=args.out, endings=endings, overwrite=args.overwrite)
    if not batch.waiting:
        return batch.close(done="grounded")
    machine = machine_of(args)
    grounder = load(args.model, machine, console)
    name = panoptic.naming(grounder, args.panoptic, args.threshold) if args.panoptic else None
    if args.refer is not None:
        ground = _referring(grounder, args.refer, args.threshold, nouns=args.by_nouns)
    elif args.names:
        ground = _naming(grounder, args.threshold)
    elif args.caption is None and args.phrases is None and args.categories is None:
        captioner = Captioner(grounder, args.drafts or grounder.model.drafts, writing_of(args))
        ground = _describing(grounder, captioner, args.threshold)
    else:
        ground = _looking_for(grounder, args.caption, args.phrases, args.categories, args.threshold)
    find = entities_of(args).load(machine, console)

    def work(job: Job) -> str:
        begin = time.monotonic()
        with job.enough_memory(ADVICE):
            source = job.read()
            entities = find(source.pixels, job)
            found = None if name is None else name(source.pixels, entities, job)
            if found is None:
                grounding = ground(source.pixels, entities, job)
            else:
                grounding, entities = found.grounding(), found.entities
            job.now("writing")
            earlier = save(grounding, entities, source, job.photo, args.out, page=args.html, found=found)
        lines = [_in_one_line(grounding.caption), *map(_line, grounding.phrases)]
        if args.names:
            lines += _nameless(grounding, entities)
        job.answer("\n".join(lines))
        phrases = counted(len(grounding.phrases), "phrase")
        hint = "" if len(entities) else "; the photo has no entities that they could refer to"
        seconds = time.monotonic() - begin
        place = f"{args.out / job.photo.name}.*{replaced(earlier)}"
        return f"{phrases}, {counted(len(entities), 'entity', 'entities')} in {seconds:.1f} s -> {place}{hint}"

    return batch.work(work, done="grounded", out=args.out)


def _describing(grounder: Grounder, captioner: Captioner, threshold: float | None) -> Ground:
    """Grounds the nouns of a caption that the model writes."""
    from ..grounder import THRESHOLD

    least = THRESHOLD if threshold is None else threshold

    def describe(pixels: np.ndarray, entities: EntityMap, job: Job) -> Grounding:
        with job.about():  # the model's caption may be unusable for this photo and fine for the next
            text = captioner(pixels, entities, job)
            return grounder(pixels, entities, text, threshold=least, max_pixels=job.max_pixels)

    return describe


def _looking_for(
    grounder: Grounder,
    caption: str | None,
    phrases: list[str] | None,
    categories: list[str] | None,
    threshold: float | None,
) -> Ground:
    """Grounds what the user gave; InputError if the model does not know a single word of it."""
    from ..grounder import THRESHOLD

    grounder.check_words([caption] if caption is not None else phrases or categories or [])
    least = THRESHOLD if threshold is None else threshold

    def look_for(pixels: np.ndarray, entities: EntityMap, job: Job) -> Grounding:
        job.now("grounding")
        return grounder(
            pixels,
            entities,
            caption,
            phrases=phrases,
            categories=categories,
            threshold=least,
            max_pixels=job.max_pixels,
        )

    return look_for


def _referring(grounder: Grounder, expression: str, threshold: float | None, *, nouns: bool) -> Ground:
    """Finds what an expression refers to; InputError if the model does not know a single word of it."""
    from ..entities.grounding import Grounding

    grounder.check_words([expression])

    def refer(pixels: np.ndarray, entities: EntityMap, job: Job) -> Grounding:
        job.now("grounding")
        options: dict[str, Any] = {"threshold": threshold, "nouns": nouns, "max_pixels": job.max_pixels}
        phrase = grounder.refer(pixels, entities, expression, **options)
        return Grounding(phrase.text, (phrase,))

    return refer


def _naming(grounder: Grounder, threshold: float | None) -> Ground:
    """Names entities from the model's own list; InputError if it cannot do that."""
    from ..models.gella.inference import RECOGNISED

    grounder.check_names()
    least = RECOGNISED if threshold is None else threshold

    def name(pixels: np.ndarray, entities: EntityMap, job: Job) -> Grounding:
        job.now("naming")
        return _listed(grounder.names(pixels, entities, threshold=least, max_pixels=job.max_pixels))

    return name


def _listed(names: Mapping[int, tuple[str, float]]) -> Grounding:
    """The names of entities, each once, as a caption whose phrases they are."""
    from ..entities.grounding import Grounding, Phrase

    found: dict[str, list[tuple[float, int]]] = {}
    for number, (name, score) in names.items():
        found.setdefault(name, []).append((score, number))
    phrases, start = [], 0
    for name, meant in found.items():
        meant.sort(key=lambda one: (-one[0], one[1]))
        scores, ids = zip(*meant)
        phrases.append(Phrase(name, (start, start + len(name)), ids, scores))
        start += len(name) + len(", ")
    return Grounding(", ".join(found) or NAMELESS, tuple(phrases))


def _nameless(grounding: Grounding, entities: EntityMap) -> list[str]:
    """A line with the ids of the entities that no phrase refers to, if there are any."""
    named = {number for phrase in grounding.phrases for number in phrase.entity_ids}
    ids = [str(number) for number in range(1, len(entities) + 1) if number not in named]
    return [f"  {NAMELESS}: {', '.join(ids)}"] if ids else []


def _line(phrase: Phrase) -> str:
    means = ", ".join(f"{number} ({score:.2f})" for number, score in zip(phrase.entity_ids, phrase.scores))
    if phrase.guess is not None:
        number, score = phrase.guess
        means = f"no sure match; the best guess is {number} ({score:.2f})"
    return f"  {_in_one_line(phrase.text)}: {means or 'no entity'}"


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
