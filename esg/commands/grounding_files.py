"""The files that `esg ground` makes of a photo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .results import save_together

if TYPE_CHECKING:
    import numpy as np

    from ..entities import EntityMap
    from ..grounding import Grounding
    from ..naming import Listed


def save(
    grounding: Grounding, entities: EntityMap, pixels: np.ndarray, photo: Listed, folder: Path, *, page: bool
) -> None:
    """Writes the files, the page among them if it is wanted, below `folder`; see `results.save_together`."""

    def write(stem: Path) -> None:
        from ..grounding_picture import draw_grounding
        from ..images import write_image

        grounding.save(f"{stem}.grounding.json")
        entities.save_labels_png(f"{stem}.labels.png")
        write_image(f"{stem}.grounding.jpg", draw_grounding(pixels, entities, grounding), quality=92, subsampling=0)
        if page:
            _save_page(grounding, entities, pixels, photo, Path(f"{stem}.grounding.html"))

    save_together(folder, photo.name, write)


def _save_page(grounding: Grounding, entities: EntityMap, pixels: np.ndarray, photo: Listed, path: Path) -> None:
    from ..files import write_atomically
    from ..grounding_html import grounding_page

    title = os.fsencode(photo.path.name).decode("utf-8", "replace")  # a file's name need not be text
    text = grounding_page(pixels, entities, grounding, title=title)
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
