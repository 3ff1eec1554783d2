"""Where the entities of a photo come from: a segmenter, or the user's own masks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..support.errors import InputError
from .arguments import machine_of
from .console import Console
from .job import Job

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..pictures.listing import InputPhoto

Find = Callable[["np.ndarray", Job], "EntityMap"]  # the entities of a photo, (H, W, 3) uint8


def check_masks(masks: Path | None, photos: Sequence[InputPhoto]) -> None:
    """Raises InputError if --masks is missing, is not a mask file, or covers one photo while several were given."""
    if masks is None:
        return
    from ..entities.importing import kind_of, tells_photos_apart

    kind_of(masks)
    if len(photos) > 1 and not tells_photos_apart(masks, [photo.path for photo in photos]):
        raise InputError(
            f"{masks} holds the masks of one photo, but there are {len(photos)} photos; "
            "process them one by one, or give a COCO file that describes them all, or a folder with a file for each."
        )


def finder(args: argparse.Namespace, console: Console) -> Find:
    """The function that finds the entities: reads them from --masks, or segments with --segmenter, loaded here."""
    return _from_masks(args) if args.masks else _from_segmenter(args, console)


def _from_segmenter(args: argparse.Namespace, console: Console) -> Find:
    console.progress(f"Loading {args.segmenter} ...")
    from ..segmenter import EntitySegmenter

    segmenter = EntitySegmenter.from_pretrained(args.segmenter, **machine_of(args))
    return lambda pixels, job: segmenter(pixels, max_pixels=job.max_pixels, progress=job.progress)


def _from_masks(args: argparse.Namespace) -> Find:
    from ..entities.importing import read_masks

    masks = args.masks
    options = {
        "order": args.mask_order,
        "threshold": args.mask_threshold,
        "void": args.void,
        "pixels": args.mask_pixels,
        "may_be_empty": True,
    }

    def read(pixels: np.ndarray, job: Job) -> EntityMap:
        size, photo = (pixels.shape[0], pixels.shape[1]), job.photo.path
        with job.about():  # of several photos, each one's masks are found by its name
            return read_masks(masks, size, photo=photo, by_name=job.several, max_pixels=job.max_pixels, **options)

    return read
