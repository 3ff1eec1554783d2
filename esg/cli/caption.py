"""`esg caption`: describes photos in a sentence or more each."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .arguments import (
    DASHES,
    add_entities,
    add_grounder,
    add_machine,
    add_max_pixels,
    add_photos,
    add_writing,
    machine_of,
)
from .console import Console
from .finding import check_masks, finder
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
    grounder = load(args, console)
    captioner = Captioner.of(grounder, args)
    find = finder(args, console) if captioner.drafts > 1 else None

    def work(job: Job) -> None:
        with job.enough_memory(ADVICE):
            pixels = job.read().pixels
            entities = None if find is None else find(pixels, job)
            with job.about():
                text = captioner(pixels, entities, job)
        job.answer(text)

    return batch.work(work, done="described")


def load(args: argparse.Namespace, console: Console) -> Grounder:
    """Loads the model named by --model."""
    console.progress(f"Loading {args.model} ...")
    from ..grounder import Grounder
    from ..weights.catalogue import checkpoint_named

    grounder = Grounder.from_pretrained(args.model, **machine_of(args))
    if args.model == "gella-nano":
        console.line(checkpoint_named(args.model).knows)
    return grounder


@dataclass(frozen=True)
class Captioner:
    """Writes captions.

    Attributes:
        grounder: the model.
        drafts: number of captions to write for a photo; the best one is kept.
        writing: further options of `Grounder.caption`.
    """

    grounder: Grounder
    drafts: int
    writing: dict[str, Any]

    @classmethod
    def of(cls, grounder: Grounder, args: argparse.Namespace) -> Captioner:
        """With the options of `arguments.add_writing`."""
        drafts = grounder.model.drafts if args.drafts is None else args.drafts
        return cls(
            grounder, drafts, {"max_tokens": args.max_tokens, "temperature": args.temperature, "seed": args.seed}
        )

    def __call__(self, pixels: np.ndarray, entities: EntityMap | None, job: Job) -> str:
        """A caption in one line; UnusablePhoto if the model writes nothing.

        With entities to judge by, it is the best of several drafts. A single draft is shown while it is being written.
        """
        writing = {**self.writing, "max_pixels": job.max_pixels}
        if self.drafts > 1 and entities is not None:
            options = {"drafts": self.drafts, "progress": job.progress, **writing}
            return " ".join(self.grounder.best_caption(pixels, entities, **options).split())
        text = ""
        for piece in self.grounder.caption(pixels, **writing):
            text += piece
            job.writing(text)
        text = " ".join(text.split())
        if not text:
            raise UnusablePhoto(f"{job.photo.path}: the model wrote an empty caption for this picture.")
        return text
