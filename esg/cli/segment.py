"""`esg segment`: turns photos, folders of photos and clips into label maps, COCO files and overlays."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from . import clips
from .arguments import (
    DASHES,
    Views,
    add_machine,
    add_max_pixels,
    add_out,
    add_photos,
    add_views,
    file_or_folder,
    fraction,
    machine_of,
    not_empty,
    views_of,
    whole,
)
from .console import Console, counted
from .entity_files import ENDINGS, KINDS, DataSet, check_size, save
from .job import Job
from .photos import Batch
from .results import check_folder, replaced

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..entities.scored_masks import ScoredMask
    from ..segmenter import EntitySegmenter

_LESS_MEMORY = "--views-at-once 1, a smaller --size, or --crops 0"


class _Predicting(Views):
    """The options of the network, as `EntitySegmenter.predict` takes them."""

    views_at_once: int | None
    max_pixels: int


class _Tidying(TypedDict):
    """The options of `_add_tidying`, as a call of `EntitySegmenter` takes them."""

    min_score: float | None
    min_area: int
    fill_holes: int
    remove_islands: int
    specks: int | None


class Segmented(NamedTuple):
    """The results for one photo that the options ask for.

    Attributes:
        entities: without overlap; None if no file needs them.
        masks: masks that may overlap; None if no file needs them.
    """

    entities: EntityMap | None
    masks: list[ScoredMask] | None


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "segment",
        help="segment photos into their entities",
        description="Segments photos into their entities, and writes NAME.overlay.jpg, NAME.labels.png and "
        "NAME.entities.json for each NAME.jpg. Photos from a folder keep their subfolder. Videos and animated GIFs are "
        "segmented frame by frame, and an entity that is followed keeps its number.",
        epilog="Photos that cannot be used, photos whose files cannot be written, and folders without pictures are "
        f"reported and skipped; the exit status is then 2. {DASHES}",
    )
    parser.set_defaults(run=run)
    add_photos(parser)
    add_out(parser)
    parser.add_argument(
        "--save",
        type=_kinds,
        default="overlay,labels,coco",
        metavar="KINDS",
        help=", ".join(f"{kind} ({what})" for kind, what in KINDS.items()) + " [overlay,labels,coco]",
    )
    parser.add_argument(
        "--dataset",
        type=file_or_folder,
        metavar="FILE",
        help="also write one COCO file for all photos (not clips), in which every entity has a unique id",
    )
    parser.add_argument(
        "--polygons",
        action="store_true",
        help="write the masks of --dataset as polygons, for tools that do not read RLE [RLE]",
    )
    add_max_pixels(parser)
    _add_model(parser)
    _add_tidying(parser)
    clips.add_options(parser)
    machine = add_machine(parser)
    machine.add_argument(
        "--views-at-once",
        type=whole(1),
        metavar="N",
        help="number of views to compute together; fewer use less memory and give the same result [as memory allows]",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        type=not_empty,
        default="cropformer-nano",
        metavar="NAME|FILE",
        help="a name from `esg weights list`, or a weight file [cropformer-nano, which comes with ESG]",
    )
    add_views(model)
    model.add_argument(
        "--categories",
        type=file_or_folder,
        metavar="FILE",
        help="for models that know classes: COCO JSON that lists the categories of the model's training data; it gives "
        "entities their names and says which are stuff [class 0, class 1, ..., all of them things]",
    )


def _add_tidying(parser: argparse.ArgumentParser) -> None:
    entities = parser.add_argument_group("entities")
    entities.add_argument(
        "--min-score", type=fraction, metavar="S", help="drop entities below this score, 0 to 1 [the model's default]"
    )
    entities.add_argument(
        "--min-area", type=whole(0), default=0, metavar="PIXELS", help="drop entities with fewer pixels [0]"
    )
    entities.add_argument(
        "--fill-holes", type=whole(0), default=0, metavar="PIXELS", help="fill holes in an entity up to this area [0]"
    )
    entities.add_argument(
        "--remove-islands",
        type=whole(0),
        default=0,
        metavar="PIXELS",
        help="drop detached parts of an entity below this area, but never its largest part [0]",
    )
    entities.add_argument(
        "--specks",
        type=whole(0),
        metavar="PIXELS",
        help="merge specks up to this area into the neighbour with the longest border; a speck is background, or a "
        "piece of an entity that is mostly elsewhere [0; 0.1%% of the picture for cropformer-nano]",
    )


def _tidying_of(args: argparse.Namespace) -> _Tidying:
    """The options of `_add_tidying`."""
    return {
        "min_score": args.min_score,
        "min_area": args.min_area,
        "fill_holes": args.fill_holes,
        "remove_islands": args.remove_islands,
        "specks": args.specks,
    }


def run(args: argparse.Namespace, console: Console) -> int:
    """Segments every photo; returns 2 if a photo could not be used or written, or a folder contains none."""
    from ..pictures.clips import is_clip

    batch = Batch(args.photos, args.max_pixels, console, is_clip=partial(is_clip, folders=args.clip))
    check_folder(args.out)
    dataset = None if args.dataset is None else DataSet(args.dataset, polygons=args.polygons)
    if dataset is not None:
        dataset.check()
    endings = [ending for kind in args.save for ending in ENDINGS[kind]]
    batch.look(
        out=args.out,
        endings=endings,
        overwrite=args.overwrite,
        look_at_clip=lambda clip: clips.look(clip.path, args.save, args.stride, args.max_pixels),
    )
    if not batch.waiting:
        return batch.close(done="segmented")
    console.progress(f"Loading {args.model} ...")
    from ..segmenter import EntitySegmenter

    segmenter = EntitySegmenter.from_pretrained(args.model, **machine_of(args), categories=args.categories)
    predicting: _Predicting = {
        **views_of(args),
        "views_at_once": args.views_at_once,
        "max_pixels": args.max_pixels,
    }
    tidying, following = _tidying_of(args), clips.following_of(args)
    without_overlap = dataset is not None or {*args.save} != {"overlapping"}
    segment = _segmenting(
        segmenter, predicting, tidying, without_overlap=without_overlap, overlapping="overlapping" in args.save
    )
    track = partial(segmenter.track, **predicting, **tidying)

    def work(job: Job) -> str:
        if job.photo.clip:
            with job.enough_memory(_LESS_MEMORY):
                return clips.segment(job, track, following, args.save, args.out)
        begin = time.monotonic()
        with job.enough_memory(_LESS_MEMORY):
            source = job.read()
            check_size(source.pixels, job.photo.path, args.save)
            entities, masks = segment(source.pixels, job)
            job.now("writing")
            earlier = save(entities, source, job.photo, args.out, args.save, masks or [])
            if dataset is not None and entities is not None:
                dataset.add(entities, job.photo)
        counts = [] if entities is None else [counted(len(entities), "entity", "entities")]
        counts += [] if masks is None else [counted(len(masks), "overlapping mask")]
        said = f"{' and '.join(counts)} in {time.monotonic() - begin:.1f} s"
        if entities or {*args.save} != {"masks"}:
            said += f" -> {args.out / job.photo.name}.*{replaced(earlier)}"
        return said if entities is None or len(entities) else said + _hint(args.min_score, args.min_area)

    try:
        return batch.work(work, done="segmented", out=args.out)
    finally:  # keep the results so far even if something stops the run
        if dataset is not None and len(dataset):
            dataset.write()
            console.line(f"{counted(len(dataset), 'photo')} -> {dataset.path}")


def _segmenting(
    segmenter: EntitySegmenter, predicting: _Predicting, tidying: _Tidying, *, without_overlap: bool, overlapping: bool
) -> Callable[[np.ndarray, Job], Segmented]:
    """The function that segments a photo into entities without overlap, masks that may overlap, or both."""

    def segment(pixels: np.ndarray, job: Job) -> Segmented:
        if not overlapping:
            return Segmented(segmenter(pixels, **predicting, **tidying, progress=job.progress), None)
        predicted = segmenter.predict(pixels, **predicting, progress=job.progress)
        return Segmented(
            segmenter(predicted, **tidying, progress=job.progress) if without_overlap else None,
            segmenter.overlapping(predicted, min_score=tidying["min_score"] or 0, progress=job.progress),
        )

    return segment


def _hint(min_score: float | None, min_area: int) -> str:
    """Names the options that may have removed all entities."""
    limits = {"--min-score": min_score, "--min-area": min_area}  # --min-score None: the model's default
    lower = " or ".join(name for name, limit in limits.items() if limit != 0)
    return f"; try a lower {lower}" if lower else ""


def _kinds(text: str) -> list[str]:
    kinds = [kind.strip() for kind in text.split(",") if kind.strip()]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(KINDS)}")
    return kinds
