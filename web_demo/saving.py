"""Writes the files that a visitor exports, at the photo's own size."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from esg import EntityMap, Grounding, InputError, grounding_page, overlay, write_image

from .editing import Area, Stroke, mask_of, read_strokes
from .export import needs_files, write_workflow
from .picture import new_folder, private_file
from .visit import Visit


@dataclass(frozen=True)
class Wish:
    """A request of the browser for a file.

    Attributes:
        what: a key of `FILES`.
        shown: how many entities the page shows; these are the ones with the highest scores.
        selected: ids of the selected entities.
        map_number: the map that these belong to, as in `Visit`.
        strokes: brush strokes, which add to the selection or erase from it.
        opacity: opacity of the overlay, from 0 to 1.
        numbers: whether the overlay has numbers.
    """

    what: str
    shown: int
    selected: tuple[int, ...]
    map_number: int
    strokes: tuple[Stroke, ...] = ()
    opacity: float = 0.45
    numbers: bool = True

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Wish:
        """Reads data that came over the network; InputError if it is invalid."""
        try:
            selected = tuple(int(number) for number in data["selected"])
            opacity = float(data["opacity"])
            if not 0 <= opacity <= 1:
                raise ValueError
            shown, map_number = int(data["shown"]), int(data["map_number"])
            strokes = read_strokes(data.get("strokes", ()))
            return cls(str(data["what"]), shown, selected, map_number, strokes, opacity, bool(data["numbers"]))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            raise InputError("The page sent something that cannot be understood; reload it.") from None


def save(visit: Visit, data: Mapping[str, Any]) -> str:
    """Writes one file.

    Args:
        visit: the visit with the photo, entities and words to write.
        data: the browser's request, see `Wish`.

    Returns:
        The path of the file.

    Raises:
        EsgError: the request is invalid, something that the file needs is missing, the entities have changed since the
            request, or the file cannot be written.
    """
    wish = Wish.read(data)
    if wish.what not in FILES:
        raise InputError(f"The page cannot write a file of the kind {wish.what!r}; reload it.")
    ending, write = FILES[wish.what]
    visit.need_photo()
    if wish.what == "workflow" and needs_files(visit, wish.strokes):
        ending = "comfyui.zip"
    path = new_folder() / f"{visit.name}.{ending}"
    write(path, visit, wish)
    return str(visit.give(private_file(path)))


def _shown(visit: Visit, wish: Wish) -> EntityMap:
    return visit.need_entities(wish.shown, map_number=wish.map_number)


def _selection(visit: Visit, wish: Wish) -> EntityMap:
    """The selection, with the strokes of the brush, as one entity."""
    mask = mask_of(visit.need_photo(), _shown(visit, wish), Area(wish.selected, wish.strokes))
    return EntityMap.from_labels(mask.astype(np.int32))


def _labels(path: Path, visit: Visit, wish: Wish) -> None:
    _shown(visit, wish).save_labels_png(path)


def _coco(path: Path, visit: Visit, wish: Wish) -> None:
    _shown(visit, wish).save_coco(path, file_name=visit.file)


def _masks(path: Path, visit: Visit, wish: Wish) -> None:
    entities = _shown(visit, wish)
    digits = len(str(len(entities)))
    masks = {f"{number:0{digits}}": number for number in wish.selected or range(1, len(entities) + 1)}
    if wish.strokes:  # they do not belong to a single entity
        entities, masks = _selection(visit, wish), {"selection": 1}
    with zipfile.ZipFile(path, "w") as archive:  # PNGs are compressed already
        for called, number in masks.items():
            content = io.BytesIO()
            Image.fromarray(entities.mask(number)).save(content, "png")
            archive.writestr(f"{visit.name}.{called}.png", content.getvalue())


def _overlay(path: Path, visit: Visit, wish: Wish) -> None:
    entities = _shown(visit, wish)
    shown = overlay(visit.need_photo(), entities, alpha=wish.opacity, numbers=wish.numbers)
    write_image(path, shown, quality=92, icc_profile=visit.metadata.profile)


def _cutout(path: Path, visit: Visit, wish: Wish) -> None:
    entities, ids = _shown(visit, wish), wish.selected
    if wish.strokes:
        entities, ids = _selection(visit, wish), (1,)
    picture = visit.to_write()
    pixels = entities.cutout(np.ascontiguousarray(picture[..., :3]), ids)
    if picture.shape[2] == 4:  # transparent parts of the photo stay transparent
        pixels[..., 3] = entities.cutout(picture[..., [3, 3, 3]], ids)[..., 0]
    write_image(path, pixels, metadata=visit.metadata)


def _workflow(path: Path, visit: Visit, wish: Wish) -> None:
    visit.need_entities(map_number=wish.map_number)
    write_workflow(path, visit, wish.shown, wish.selected, wish.strokes)


def _grounded(visit: Visit, wish: Wish) -> tuple[EntityMap, Grounding]:
    if visit.grounding is None:
        raise InputError("Ground some words first (Ground, in the tab Words).")
    return visit.need_entities(map_number=wish.map_number), visit.grounding


def _grounding(path: Path, visit: Visit, wish: Wish) -> None:
    _grounded(visit, wish)[1].save(path)


def _page(path: Path, visit: Visit, wish: Wish) -> None:
    entities, grounding = _grounded(visit, wish)
    profile = visit.metadata.profile
    text = grounding_page(visit.need_photo(), entities, grounding, title=visit.name, icc_profile=profile)
    path.write_text(text, encoding="utf-8")


def _result(path: Path, visit: Visit, wish: Wish) -> None:
    write_image(path, visit.to_write(), metadata=visit.metadata)


FILES = {  # the end of the file's name, and the function that writes it
    "labels": ("labels.png", _labels),
    "coco": ("entities.json", _coco),
    "masks": ("masks.zip", _masks),
    "overlay": ("overlay.jpg", _overlay),
    "cutout": ("cutout.png", _cutout),
    "workflow": ("comfyui.json", _workflow),
    "grounding": ("grounding.json", _grounding),
    "page": ("grounding.html", _page),
    "result": ("edited.png", _result),
}
