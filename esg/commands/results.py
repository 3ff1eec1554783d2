"""The files that `esg segment` makes of a photo: all of them, or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ..errors import ImageError, OutputError

if TYPE_CHECKING:
    import numpy as np

    from ..entities import EntityMap
    from ..naming import Listed

KINDS = {
    "overlay": "the photo with its entities coloured and numbered",
    "labels": "16 bit grey PNG whose pixels are entity ids",
    "coco": "JSON with RLE, score, box and area of every entity",
    "masks": "a PNG for every entity in NAME.masks",
}
JPEG_SIDE = 65500  # pixels; the longest that JPEG libraries agree on


def check_folder(folder: Path) -> None:
    """Makes the folder if it is missing; OutputError unless files can be made in it."""
    with _refusal(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def check_size(pixels: np.ndarray, path: Path, kinds: list[str]) -> None:
    """ImageError if a file of these kinds cannot be as large as the picture, which is better known before the work."""
    longest = max(pixels.shape[:2])
    if "overlay" in kinds and longest > JPEG_SIDE:
        raise ImageError(
            f"{path} is {longest:,} pixels long, and a JPEG overlay can have {JPEG_SIDE:,}; "
            "leave it out with --save labels,coco."
        )


def save(entities: EntityMap, pixels: np.ndarray, photo: Listed, folder: Path, kinds: list[str]) -> None:
    """Writes the files of one photo below `folder`, where those of an earlier run are replaced.

    They are made in a hidden folder beside their places and moved there when all are complete.

    Raises:
        OutputError: they cannot be written; none of them is left then, and those of an earlier run are as they were.
    """
    with _refusal(folder), tempfile.TemporaryDirectory(prefix=".esg-", dir=folder) as temporary:
        stage = Path(temporary)
        try:
            for kind in kinds:
                _WRITERS[kind](entities, pixels, photo, stage / photo.name)
        except OutputError as error:
            raise OutputError(str(error).replace(str(stage), str(folder))) from error.__cause__
        moves = [(path, folder / path.relative_to(stage)) for path in sorted(stage.rglob("*")) if path.is_file()]
        target = folder / photo.name
        masks = target.with_name(f"{target.name}.masks")
        stale = [path for path in masks.glob("[0-9]*.png") if path.is_file()] if "masks" in kinds else []
        with tempfile.TemporaryDirectory(prefix=".esg-", dir=folder) as earlier:
            _move(moves, stale, Path(earlier))


def _move(moves: list[tuple[Path, Path]], stale: list[Path], earlier: Path) -> None:
    """Moves files to their places, and what lies there and the stale ones to `earlier`; on failure all goes back."""
    made: list[Path] = []
    begun: list[tuple[Path, Path]] = []
    try:
        for folder in dict.fromkeys(place.parent for _, place in moves):
            with _refusal(folder):
                missing = [parent for parent in (folder, *folder.parents) if not os.path.lexists(parent)]
                for parent in reversed(missing):
                    parent.mkdir()
                    made.append(parent)
                tempfile.TemporaryFile(dir=folder).close()
        for _, place in moves:
            if place.is_dir():
                raise OutputError(
                    f"{place} cannot be written: a folder lies in its place; choose another output folder."
                )
        taken = dict.fromkeys([*stale, *(place for _, place in moves if os.path.lexists(place))])
        aside = [(path, earlier / str(number)) for number, path in enumerate(taken)]
        for source, place in [*aside, *moves]:
            begun.append((source, place))
            with _refusal((source if place.parent == earlier else place).parent):
                source.replace(place)
    except BaseException:
        for source, place in reversed(begun):
            if not os.path.lexists(source):  # else it did not come to the move
                place.replace(source)
        for folder in reversed(made):
            folder.rmdir()
        raise


def _save_overlay(entities: EntityMap, pixels: np.ndarray, photo: Listed, stem: Path) -> None:
    from ..draw import overlay
    from ..images import write_image

    write_image(f"{stem}.overlay.jpg", overlay(pixels, entities, numbers=True), quality=92, subsampling=0)


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


_WRITERS = {"overlay": _save_overlay, "labels": _save_labels, "coco": _save_coco, "masks": _save_masks}


@contextmanager
def _refusal(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"The output folder {folder} cannot be written to ({reason}); choose another one.") from error
