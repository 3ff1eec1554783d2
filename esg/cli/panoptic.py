"""`esg ground --panoptic`: names for all entities from a list, and the files of the result."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from .job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from ..entities.entity_map import EntityMap
    from ..entities.panoptic import Panoptic
    from ..grounder import Grounder
    from ..pictures.listing import InputPhoto

    Name = Callable[[np.ndarray, EntityMap, Job], Panoptic]  # of a photo, (H, W, 3) uint8, and its entities

ENDINGS = (".panoptic.png", ".panoptic.json")


def add(group: Any) -> None:
    """Adds the option."""
    group.add_argument(
        "--panoptic",
        metavar="LIST",
        help="panoptic segmentation: give each entity the best of the names in a list, and merge stuff, such as sky, "
        "into one segment each; coco (133 names), ade20k (150), a text file with one name per line, or a JSON file "
        'with COCO\'s "categories", which say what is stuff; also writes NAME.panoptic.png and NAME.panoptic.json in '
        "COCO's format",
    )


def naming(grounder: Grounder, name_list: str, threshold: float | None) -> Name:
    """The function that names the entities of a photo.

    Args:
        grounder: the model.
        name_list: name or file of the list.
        threshold: minimum score of a name; None: the default.

    Raises:
        InputError: the list cannot be used, or the model knows none of its names.
    """
    from ..entities.name_lists import NameList
    from ..grounder import NAMED

    names = NameList.read(name_list)
    grounder.check_words(names.spoken)
    least = NAMED if threshold is None else threshold

    def name(pixels: np.ndarray, entities: EntityMap, job: Job) -> Panoptic:
        job.now("naming")
        return grounder.panoptic(pixels, entities, names, threshold=least, max_pixels=job.max_pixels)

    return name


def save(found: Panoptic, photo: InputPhoto, stem: Path) -> None:
    """Writes the PNG and the JSON."""
    from ..pictures.reading import write_image
    from ..support.files import write_atomically

    write_image(f"{stem}.panoptic.png", found.colours)
    name = PurePath(photo.name).with_name(photo.path.name).as_posix()
    called = os.fsencode(name).decode("utf-8", "replace")  # a file name need not be valid text, but JSON must be
    content = found.to_coco(called, f"{PurePath(stem).name}.panoptic.png")
    with write_atomically(Path(f"{stem}.panoptic.json")) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
