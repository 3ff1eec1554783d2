"""Where the entities of a photo come from: a segmenter, or the user's own masks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..support.errors import InputError
from .console import Console
from .photos import about

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..pictures.listing import Listed
    from ..segmenter import EntitySegmenter


def check_masks(masks: Path | None, photos: Sequence[Listed]) -> None:
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


def load_segmenter(args: argparse.Namespace, console: Console) -> EntitySegmenter:
    """Loads the model named by --segmenter."""
    console.progress(f"Loading {args.segmenter} ...")
    from ..segmenter import EntitySegmenter

    return EntitySegmenter.from_pretrained(args.segmenter, device=args.device, precision=args.precision)


def find_entities(
    segmenter: EntitySegmenter | None,
    pixels: np.ndarray,
    photo: Listed,
    args: argparse.Namespace,
    console: Console,
    place: str,
    *,
    several: bool,
) -> EntityMap:
    """The entities of a photo, from the segmenter, or from --masks if there is none.

    If there are `several` photos, a photo's masks are found by its name.
    """
    if segmenter is not None:
        return segmenter(
            pixels,
            max_pixels=args.max_pixels,
            progress=lambda done, total, what: console.progress(f"{place}{photo.path.name}: {what} {done}/{total}"),
        )
    from ..entities.importing import read_masks

    size = (pixels.shape[0], pixels.shape[1])
    with about(photo):
        return read_masks(
            args.masks,
            size,
            photo=photo.path,
            by_name=several,
            max_pixels=args.max_pixels,
            may_be_empty=True,
            order=args.mask_order,
            threshold=args.mask_threshold,
            void=args.void,
            pixels=args.mask_pixels,
        )
