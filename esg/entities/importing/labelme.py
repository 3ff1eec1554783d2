"""LabelMe's JSON, also written by AnyLabeling and X-AnyLabeling: the shapes of one photo."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..class_names import UNNAMED, known
from ..rle import Rle
from .canvas import Canvas, draw_all
from .embedded import mask_of_png, size_of_picture
from .fields import Unusable, identifier, points, records, score, shown, size, text
from .items import NO_MASK, Item, Picture

if TYPE_CHECKING:
    from ..entity_map import EntityMap

_LINES = ("point", "points", "line", "linestrip", "line_strip")


def picture(content: Mapping[str, Any]) -> Picture:
    """The picture of a file. Shapes with the same label and group form one mask, as in LabelMe's own conversions."""
    groups: dict[object, list[tuple[int, Mapping[str, Any]]]] = {}
    for place, shape in enumerate(records(content.get("shapes")), start=1):
        group = identifier(shape.get("group_id"))
        groups.setdefault(place if group is None else (group, text(shape.get("label"))), []).append((place, shape))
    name = text(content.get("imagePath"))
    return Picture(
        (name,) if name else (),
        size(content.get("imageHeight"), content.get("imageWidth")) or size_of_picture(content.get("imageData")),
        lambda: [_item(shapes) for shapes in groups.values()],
    )


def labelme_dict(entities: EntityMap, file_name: str = "") -> dict[str, Any]:
    """A map as LabelMe's JSON: one polygon per piece of an entity, with its name as label and its id as group_id."""
    shapes = [
        {
            "label": name or UNNAMED,
            "points": polygon.tolist(),
            "group_id": number,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
            "score": float(str(certain)),
        }
        for number, (polygons, certain, name) in enumerate(
            zip(entities.to_polygons(), entities.scores, entities.names), start=1
        )
        for polygon in polygons
    ]
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": file_name,
        "imageData": None,
        "imageHeight": entities.height,
        "imageWidth": entities.width,
    }


def _item(shapes: list[tuple[int, Mapping[str, Any]]]) -> Item:
    place, first = shapes[0]
    label = text(first.get("label"))
    called = f"shape {place}" + (f" ({label})" if label else "")
    draw = partial(draw_all, [partial(_draw, shape) for _, shape in shapes])
    return Item(called, draw, partial(score, first), name=known(label))


def _draw(shape: Mapping[str, Any], canvas: Canvas) -> Rle:
    kind = text(shape.get("shape_type")).lower() or "polygon"
    if kind in _LINES:
        raise Unusable(f"is a {kind} and has no area")
    corners = points(shape.get("points"))
    if not len(corners):
        raise Unusable(NO_MASK)
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    if kind == "mask":
        return canvas.patch(mask_of_png(shape.get("mask")), round(x0), round(y0))
    if kind == "circle" and len(corners) == 2:
        radius = float(np.hypot(*(corners[1] - corners[0])))
        return canvas.ellipse(float(corners[0, 0]), float(corners[0, 1]), radius, radius)
    if kind == "circle" and len(corners) > 2:
        return canvas.ellipse((x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2)
    if kind == "rectangle" and len(corners) in (2, 4):
        return canvas.rectangle(x0, y0, x1, y1)
    if kind == "circle" or (kind == "rectangle" and len(corners) == 1):
        raise Unusable(f"is a {kind} of one point")
    if kind in ("polygon", "rotation", "rectangle", "quadrilateral"):
        return canvas.polygons([corners])
    raise Unusable(f"is of the unknown kind {shown(kind)}")
