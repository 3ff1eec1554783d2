"""COCO's panoptic format: PNGs whose colours are ids, R + 256 G + 65536 B, and a JSON file that lists the ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from ...pictures.reading import open_picture
from ...support.errors import ImageError, InputError
from ..class_names import UNNAMED, category_ids
from .fields import identifier, records, size, text
from .items import Picture

if TYPE_CHECKING:
    from ..entity_map import EntityMap


def is_panoptic(content: Mapping[str, Any]) -> bool:
    """Whether an object is a panoptic file."""
    return any("segments_info" in one for one in records(content.get("annotations")))


def pictures(content: Mapping[str, Any]) -> list[tuple[Picture, Mapping[str, Any]]]:
    """The pictures, without items, and the annotation of each."""
    images = {identifier(one.get("id")): one for one in records(content.get("images"))}
    found = []
    for one in records(content.get("annotations")):
        if "segments_info" not in one:
            continue
        image = images.get(identifier(one.get("image_id")), {})
        names = tuple(filter(None, (text(image.get("file_name")), text(one.get("file_name")))))
        found.append((Picture(names, size(image.get("height"), image.get("width")), list), one))
    return found


def png_of(annotation: Mapping[str, Any], path: Path) -> Path:
    """The PNG of an annotation: next to the JSON file, or in a folder there with the same name.

    Raises:
        InputError: it does not exist.
    """
    parts = PurePosixPath(text(annotation.get("file_name")).replace("\\", "/")).parts
    inner = [part for part in parts if part not in ("/", "..", ".")]
    if not inner or len(inner) != len(parts):
        inner = inner[-1:]
    if not inner:
        raise InputError(f"{path} is COCO's panoptic format, but does not say which PNG holds the ids (file_name).")
    folder = path.parent
    places = [folder.joinpath(*inner), folder / path.stem / inner[-1], folder / inner[-1]]
    for place in places:
        try:
            if place.is_file() and place.resolve().is_relative_to(folder.resolve()):
                return place
        except (OSError, ValueError):
            continue
    raise InputError(
        f"{path} is COCO's panoptic format, whose masks are in a PNG, and {inner[-1]!r} lies neither beside it nor in "
        f"a folder {path.stem!r} there; put it beside the file, or give the PNG itself."
    )


def read_png(path: Path, max_pixels: int) -> np.ndarray:
    """The ids, (H, W) int32, of a panoptic PNG; a grey one holds the ids themselves.

    Raises:
        InputError: it cannot be read, is too large, or is lossy.
    """
    try:
        with open_picture(path, max_pixels=max_pixels) as picture:
            if picture.format in ("JPEG", "MPO"):
                raise InputError(f"{path} is a JPEG, which does not keep ids; give the PNG of the panoptic masks.")
            grey = picture.mode in ("1", "L", "P") or picture.mode.startswith("I")
            return np.asarray(picture).astype(np.int32) if grey else ids_of_colours(np.asarray(picture.convert("RGB")))
    except ImageError as error:
        raise InputError(*error.args) from None


def listed(annotation: Mapping[str, Any]) -> set[int]:
    """The ids that the file lists; others in the PNG do not belong to any entity."""
    ids = (identifier(one.get("id")) for one in records(annotation.get("segments_info")))
    return {int(one) for one in ids if one is not None and one.isascii() and one.isdigit()}


def ids_of_colours(colours: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 → (...) int32."""
    wide = colours.astype(np.int32)
    return wide[..., 0] + (wide[..., 1] << 8) + (wide[..., 2] << 16)


def panoptic_colours(entities: EntityMap) -> np.ndarray:
    """A map as the pixels of a panoptic PNG, (H, W, 3) uint8."""
    return np.stack([entities.labels >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def panoptic_dict(entities: EntityMap, file_name: str, png_name: str) -> dict[str, Any]:
    """A map as COCO's panoptic JSON, with the names of the photo and of the PNG (`panoptic_colours`)."""
    categories = category_ids(entities.names)
    segments = [
        {
            "id": k,
            "category_id": categories[name or UNNAMED],
            "area": int(area),
            "bbox": [int(x0), int(y0), int(x1 - x0), int(y1 - y0)],
            "iscrowd": 0,
            "score": float(str(certain)),
        }
        for k, (area, (x0, y0, x1, y1), certain, name) in enumerate(
            zip(entities.areas, entities.boxes, entities.scores, entities.names, strict=True), start=1
        )
    ]
    return {
        "images": [{"id": 1, "width": entities.width, "height": entities.height, "file_name": file_name}],
        "annotations": [{"image_id": 1, "file_name": png_name, "segments_info": segments}],
        "categories": [{"id": number, "name": name, "isthing": 1} for name, number in categories.items()],
    }
