"""The files that `esg segment` makes of a photo."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ..errors import ImageError
from .results import save_together

if TYPE_CHECKING:
    import numpy as np

    from ..entities import EntityMap
    from ..images import Photo
    from ..naming import Listed

KINDS = {
    "overlay": "the photo with its entities coloured and numbered",
    "labels": "16 bit grey PNG whose pixels are entity ids",
    "coco": "JSON with RLE, score, box and area of every entity",
    "masks": "a PNG for every entity in NAME.masks",
}
ENDINGS = {  # of the names of these files
    "overlay": (".overlay.jpg",),
    "labels": (".labels.png",),
    "coco": (".entities.json",),
    "masks": (".masks",),
}
JPEG_SIDE = 65500  # pixels; the longest that JPEG libraries agree on


def check_size(pixels: np.ndarray, path: Path, kinds: list[str]) -> None:
    """ImageError if a file of these kinds cannot be as large as the picture, which is better known before the work."""
    longest = max(pixels.shape[:2])
    if "overlay" in kinds and longest > JPEG_SIDE:
        raise ImageError(
            f"{path} is {longest:,} pixels long, and a JPEG overlay can have {JPEG_SIDE:,}; "
            "leave it out with --save labels,coco."
        )


def save(entities: EntityMap, source: Photo, photo: Listed, folder: Path, kinds: list[str]) -> int:
    """Writes the files of these kinds below `folder`; see `results.save_together`, also for what comes back."""

    def write(stem: Path) -> None:
        for kind in kinds:
            if kind == "overlay":
                _save_overlay(entities, source, stem)
            else:
                _WRITERS[kind](entities, source.pixels, photo, stem)

    masks = folder / f"{photo.name}.masks"
    stale = [path for path in masks.glob("[0-9]*.png") if path.is_file()] if "masks" in kinds else []
    return save_together(folder, photo.name, write, stale)


def _save_overlay(entities: EntityMap, source: Photo, stem: Path) -> None:
    from ..draw import overlay
    from ..images import write_image

    shown = overlay(source.pixels, entities, numbers=True)  # whose colours are numbers in the photo's profile
    write_image(f"{stem}.overlay.jpg", shown, quality=92, subsampling=0, icc_profile=source.profile)


def _save_labels(entities: EntityMap, pixels: np.ndarray, photo: Listed, stem: Path) -> None:
    entities.save_labels_png(f"{stem}.labels.png")


def _save_coco(entities: EntityMap, pixels: np.ndarray, photo: Listed, stem: Path) -> None:
    name = PurePath(photo.name).with_name(photo.path.name).as_posix()
    name = os.fsencode(name).decode("utf-8", "replace")  # a file's name need not be text, JSON has to be
    entities.save_coco(f"{stem}.entities.json", file_name=name)


def _save_masks(entities: EntityMap, pixels: np.ndarray, photo: Listed, stem: Path) -> None:
    import numpy as np

    from ..images import write_image

    for number in range(1, len(entities) + 1):
        write_image(f"{stem}.masks/{number}.png", entities.mask(number).astype(np.uint8) * np.uint8(255))


_WRITERS = {"labels": _save_labels, "coco": _save_coco, "masks": _save_masks}
