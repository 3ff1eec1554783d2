"""The files that a visitor takes away, at the photo's own size."""

from __future__ import annotations

from typing import Any

import numpy as np

from esg import EntityMap, InputError, overlay, write_image

from .picture import new_folder


def save(pixels: np.ndarray, entities: EntityMap, name: str, wish: dict[str, Any]) -> str:
    """Writes one file.

    Args:
        pixels: (H, W, 3) uint8 RGB, the photo.
        entities: all its entities.
        name: stem of the file's name.
        wish: from the browser: "what" is "labels", "coco", "overlay" or "cutout"; "shown" how many entities the page
            shows, the best ones; "selected" their ids for the cut-out; "opacity" 0..1 and "numbers" for the overlay.

    Returns:
        The path of the file.

    Raises:
        EsgError: the wish makes no sense, or the file cannot be written.
    """
    try:
        what, shown = str(wish["what"]), int(wish["shown"])
        selected = [int(number) for number in wish["selected"]]
        opacity, numbers = float(wish["opacity"]), bool(wish["numbers"])
    except (KeyError, TypeError, ValueError):
        raise InputError("The page sent something that cannot be understood; reload it.") from None
    path = new_folder() / name
    if what == "cutout":
        path = path.with_name(f"{name}.cutout.png")
        write_image(path, entities.cutout(pixels, selected))
        return str(path)
    entities = entities.keep(range(1, shown + 1))
    if what == "labels":
        path = path.with_name(f"{name}.labels.png")
        entities.save_labels_png(path)
    elif what == "coco":
        path = path.with_name(f"{name}.entities.json")
        entities.save_coco(path, file_name=name)
    elif what == "overlay":
        path = path.with_name(f"{name}.overlay.jpg")
        write_image(path, overlay(pixels, entities, alpha=opacity, numbers=numbers), quality=92)
    else:
        raise InputError(f"There is no file called {what!r}.")
    return str(path)
