"""The files that `esg ground` writes for a photo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import panoptic
from .results import save_together

if TYPE_CHECKING:
    from ..entities.entity_map import EntityMap
    from ..entities.grounding import Grounding
    from ..entities.panoptic import Panoptic
    from ..pictures.listing import InputPhoto
    from ..pictures.reading import Photo


PAGE = ".grounding.html"
ENDINGS = (".grounding.json", ".labels.png", ".grounding.jpg")


def save(
    grounding: Grounding,
    entities: EntityMap,
    source: Photo,
    photo: InputPhoto,
    folder: Path,
    *,
    page: bool,
    found: Panoptic | None = None,
) -> int:
    """Writes the files below `folder`, including the HTML page if `page`, and those of a panoptic result.

    See `results.save_together`, also for the return value.
    """

    def write(stem: Path) -> None:
        from ..drawing.grounding_picture import draw_grounding
        from ..pictures.reading import write_image

        grounding.save(f"{stem}.grounding.json")
        entities.save_labels_png(f"{stem}.labels.png")
        drawn = draw_grounding(source.pixels, entities, grounding)
        write_image(f"{stem}.grounding.jpg", drawn, quality=92, subsampling=0, icc_profile=source.profile)
        if found is not None:
            panoptic.save(found, photo, stem)
        if page:
            _save_page(grounding, entities, source, photo, Path(f"{stem}{PAGE}"))

    return save_together(folder, photo.name, write)


def _save_page(grounding: Grounding, entities: EntityMap, source: Photo, photo: InputPhoto, path: Path) -> None:
    from ..drawing.grounding_page import grounding_page
    from ..support.files import write_atomically

    title = os.fsencode(photo.path.name).decode("utf-8", "replace")  # a file name need not be valid text
    text = grounding_page(source.pixels, entities, grounding, title=title, icc_profile=source.profile)
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
