"""Label PNGs in the folders where programs for 3D scenes look for the masks of their frames."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..support.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from ..entities.entity_map import EntityMap

LAYOUTS = {
    "flat": "labels/NAME.png",
    "maskclustering": "SCENE/output/mask/FRAME.png",
    "instascene": "SCENE/sam/mask/FRAME.png",
}
ORDERS = {"best-first": "id 1 has the highest score", "best-last": "id 1 has the lowest score"}
SMALLEST = 400  # pixels; MaskClustering drops smaller masks of a frame
MOST = 255  # ids in 8 bits
_OF_FRAMES = ("color", "colors", "colour", "rgb", "rgb_images", "image", "images", "frame", "frames", "input")
_MASKS = {"maskclustering": "output/mask", "instascene": "sam/mask"}


def label_place(name: str, layout: str) -> str:
    """The path of a photo's label PNG in the output folder.

    The scene of a frame is its folder; a folder such as color/ or images/ at its end is left out, because the masks are
    written beside it.

    >>> label_place("scene0011_00/color/120", "maskclustering")
    'scene0011_00/output/mask/120.png'
    >>> label_place("scene0011_00/color/120", "flat")
    'labels/scene0011_00/color/120.png'
    """
    if layout == "flat":
        return f"labels/{name}.png"
    path = PurePosixPath(name)
    scene = path.parent.parent if path.parent.name.lower() in _OF_FRAMES else path.parent
    return (scene / _MASKS[layout] / f"{path.name}.png").as_posix()


def check_places(names: Iterable[str], archives: Iterable[str], layout: str) -> None:
    """Raises InputError, before the work, if the label PNGs of two photos would have the same path.

    Args:
        names: of pictures.
        archives: names of archives, whose pictures are not known yet.
        layout: of `LAYOUTS`.
    """
    folders = {archive.casefold() for archive in archives}
    taken: dict[str, str] = {}
    for name in names:
        place = label_place(name, layout)
        other = taken.setdefault(place.casefold(), name)
        if other != name:
            raise InputError(
                f"The label PNGs of {other} and {name} would both be {place}; give their folders in separate runs, or "
                "use --layout flat."
            )
        if any(parent.as_posix() in folders for parent in PurePosixPath(name.casefold()).parents):
            raise InputError(
                f"The label PNGs of {name} and of an archive would be in one folder; give the archive in a separate "
                "run with another output folder."
            )


def is_label_place(path: str) -> bool:
    """Whether a path in the output folder may be that of a label PNG of an earlier run, whatever its layout."""
    folder = PurePosixPath(path).parent
    return path.startswith("labels/") or any(f"/{folder}".endswith(f"/{masks}") for masks in _MASKS.values())


def eight_bit_labels(entities: EntityMap, order: str) -> np.ndarray:
    """The labels of a map as (H, W) uint8, 0 = none, numbered in an order of `ORDERS`.

    Raises:
        InputError: there are more entities than 8 bits can number.
    """
    import numpy as np

    from ..entities.label_arrays import look_up

    if len(entities) > MOST:
        raise InputError(
            f"There are {len(entities)} entities, but an 8-bit label PNG holds {MOST}; raise --min-area or "
            "--min-score, or write --format parquet."
        )
    ids = np.arange(1, len(entities) + 1, dtype=np.uint8)
    table = np.append(np.uint8(0), ids if order == "best-first" else ids[::-1])
    return look_up(table, entities.labels)
