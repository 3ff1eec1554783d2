"""`esg caption`: describes photos in a sentence or more each."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .arguments import (
    DASHES,
    Machine,
    Writing,
    add_grounder,
    add_machine,
    add_max_pixels,
    add_photos,
    add_writing,
    machine_of,
    words,
    writing_of,
)
from .console import Console
from .finding import add_entities, check_masks, entities_of
from .job import Job, UnusablePhoto
from .photos import Batch

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..grounder import Grounder

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
    parser.add_argument(
        "--ask",
        type=words,
        metavar="QUESTION",
        help="answer this question about each photo instead; for models with a large language model, such as "
        "zero-shot, not for gella-nano",
    )
    add_entities(add_grounder(parser))
    add_writing(parser)
    add_machine(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Describes every photo; returns 2 if a photo could not be used, or a folder contains none."""
    batch = Batch(args.photos, args.max_pixels, console)
    check_masks(args.masks, batch.photos)
    batch.look()
    if not batch.waiting:
        return batch.close(done="described")
    machine = machine_of(args)
    grounder = load(args.model, machine, console)
    drafts = args.drafts or grounder.model.drafts
    if args.ask is not None:
        grounder.check_answers()
        drafts = 1
    captioner = Captioner(grounder, drafts, writing_of(args), args.ask)
    find = entities_of(args).load(machine, console) if drafts > 1 else None

    def work(job: Job) -> None:
        with job.enough_memory(ADVICE):
            pixels = job.read().pixels
            entities = None if find is None else find(pixels, job)
            with job.about():
                text = captioner(pixels, entities, job)
        job.answer(text)

    return batch.work(work, done="described")


def load(model: str, machine: Machine, console: Console) -> Grounder:
    """Loads a grounder by name or from a file."""
    console.progress(f"Loading {model} ...")
    from ..grounder import Grounder
    from ..weights.catalogue import checkpoint_named

    grounder = Grounder.from_pretrained(model, **machine)
    if model == "gella-nano":
        console.line(checkpoint_named(model).knows)
    return grounder


@dataclass(frozen=True)
class Captioner:
    """Writes captions.

    Attributes:
        grounder: the model.
        drafts: number of captions to write for a photo; the best one is kept.
        writing: how the model writes them.
        question: a question to answer instead.
    """

    grounder: Grounder
    drafts: int
    writing: Writing
    question: str | None = None

    def __call__(self, pixels: np.ndarray, entities: EntityMap | None, job: Job) -> str:
        """A caption in one line; UnusablePhoto if the model writes nothing.

        With entities to judge by, it is the best of several drafts. A single draft is shown while it is being written.
        """
        asked, grounder = self.question, self.grounder
        writing: dict[str, Any] = {**self.writing, "max_pixels": job.max_pixels}
        if self.drafts > 1 and entities is not None:
            best = grounder.best_caption(pixels, entities, drafts=self.drafts, progress=job.progress, **writing)
            return " ".join(best.split())
        text = ""
        pieces = grounder.caption(pixels, **writing) if asked is None else grounder.ask(pixels, asked, **writing)
        for piece in pieces:
            text += piece
            job.writing(text)
        text = " ".join(text.split())
        if not text:
            kind = "caption" if asked is None else "answer"
            raise UnusablePhoto(f"{job.photo.path}: the model wrote an empty {kind} for this picture.")
        return text
