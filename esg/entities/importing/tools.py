"""The JSON of Cityscapes, Supervisely, VIA, ISAT and FiftyOne."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ..rle import Rle
from .canvas import Canvas
from .embedded import mask_of_array, mask_of_png
from .fields import Unusable, mapping, number, points, records, score, shown, size, text
from .items import NO_MASK, Item, Picture


def cityscapes(content: Mapping[str, Any]) -> Picture:
    """Cityscapes' polygons; later ones are on top."""
    kept = [
        (place, one) for place, one in enumerate(records(content.get("objects")), start=1) if not one.get("deleted")
    ]
    return Picture(
        (),
        size(content.get("imgHeight"), content.get("imgWidth")),
        lambda: [
            Item(_called("object", place, one.get("label")), partial(_polygon, one.get("polygon")), None, place)
            for place, one in kept
        ],
    )


def supervisely(content: Mapping[str, Any]) -> Picture:
    """Supervisely's bitmaps and polygons with holes; later ones are on top."""
    measures = mapping(content.get("size"))
    return Picture(
        tuple(filter(None, (text(content.get("name")),))),
        size(measures.get("height"), measures.get("width")),
        lambda: [
            Item(_called("object", place, one.get("classTitle")), partial(_supervisely, one), None, place)
            for place, one in enumerate(records(content.get("objects")), start=1)
        ],
    )


def isat(content: Mapping[str, Any]) -> Picture:
    """ISAT's polygons, with layers."""
    info = mapping(content.get("info"))
    found = records(content.get("objects"))
    return Picture(
        tuple(filter(None, (text(info.get("name")),))),
        size(info.get("height"), info.get("width")),
        lambda: [
            Item(
                _called("object", place, one.get("category")),
                partial(_polygon, one.get("segmentation")),
                None,
                number(one.get("layer")) or 0.0,
            )
            for place, one in enumerate(found, start=1)
        ],
    )


def via(content: Mapping[str, Any]) -> list[Picture]:
    """The pictures of the VGG Image Annotator, which does not record their size."""
    found = mapping(content.get("_via_img_metadata")) or content
    return [_via_picture(mapping(one)) for one in found.values() if "regions" in mapping(one)]


def is_via(content: Mapping[str, Any]) -> bool:
    """Whether an object was written by the VGG Image Annotator."""
    found = mapping(content.get("_via_img_metadata")) or content
    return any("filename" in mapping(one) and "regions" in mapping(one) for one in found.values())


def fiftyone(content: Mapping[str, Any]) -> list[Picture]:
    """The samples of a FiftyOne dataset: masks within boxes, and filled polylines, in fractions of the picture."""
    return [_fiftyone_picture(sample) for sample in records(content.get("samples"))]


def _called(kind: str, place: int, label: Any) -> str:
    return f"{kind} {place}" + (f" ({text(label)})" if text(label) else "")


def _polygon(corners: Any, canvas: Canvas) -> Rle:
    if not corners:
        raise Unusable(NO_MASK)
    return canvas.polygons([corners])


def _supervisely(shape: Mapping[str, Any], canvas: Canvas) -> Rle:
    kind = text(shape.get("geometryType")).lower()
    bitmap, corners = mapping(shape.get("bitmap")), mapping(shape.get("points"))
    if bitmap or kind == "bitmap":
        origin = points(bitmap.get("origin"))
        if len(origin) != 1:
            raise Unusable("has a bitmap without an origin x, y")
        return canvas.patch(mask_of_png(bitmap.get("data")), *(round(one) for one in origin[0]))
    if kind in ("rectangle", "point", "line", "polyline", "graph", "cuboid"):
        raise Unusable(NO_MASK if kind == "rectangle" else f"is a {kind} and has no area")
    if corners:
        holes = corners.get("interior")
        return canvas.polygons([corners.get("exterior")], holes if isinstance(holes, list) else ())
    raise Unusable(f"is of the unknown kind {shown(kind)}")


def _via_picture(content: Mapping[str, Any]) -> Picture:
    regions = content.get("regions")
    found = records(list(regions.values()) if isinstance(regions, Mapping) else regions)
    return Picture(
        tuple(filter(None, (text(content.get("filename")),))),
        None,
        lambda: [
            Item(f"region {place}", partial(_via_shape, mapping(one.get("shape_attributes"))))
            for place, one in enumerate(found, start=1)
        ],
    )


def _via_shape(shape: Mapping[str, Any], canvas: Canvas) -> Rle:
    kind = text(shape.get("name")).lower()

    def numbers(*keys: str) -> list[float]:
        found = [number(shape.get(key)) for key in keys]
        if None in found:
            raise Unusable(f"is a {kind} without {', '.join(keys)}")
        return [one for one in found if one is not None]

    if kind == "polygon" or ("all_points_x" in shape and kind != "polyline"):
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise Unusable("has lists of x and y that do not match")
        return canvas.polygons([[list(pair) for pair in zip(xs, ys)]])
    if kind == "rect":
        x, y, width, height = numbers("x", "y", "width", "height")
        return canvas.rectangle(x, y, x + width, y + height)
    if kind == "circle":
        x, y, radius = numbers("cx", "cy", "r")
        return canvas.ellipse(x, y, radius, radius)
    if kind == "ellipse":
        x, y, rx, ry = numbers("cx", "cy", "rx", "ry")
        return canvas.ellipse(x, y, rx, ry, math.degrees(number(shape.get("theta")) or 0.0))
    raise Unusable(f"is a {kind} and has no area" if kind in ("point", "polyline") else "is of an unknown kind")


def _fiftyone_picture(sample: Mapping[str, Any]) -> Picture:
    measures = mapping(sample.get("metadata"))
    shapes = [
        one
        for field in sample.values()
        for key in ("detections", "polylines")
        for one in records(mapping(field).get(key))
    ]
    return Picture(
        tuple(filter(None, (text(sample.get("filepath")),))),
        size(measures.get("height"), measures.get("width")),
        lambda: [
            Item(_called("object", place, one.get("label")), partial(_fiftyone_shape, one), partial(score, one))
            for place, one in enumerate(shapes, start=1)
        ],
    )


def _fiftyone_shape(shape: Mapping[str, Any], canvas: Canvas) -> Rle:
    height, width = canvas.size
    if isinstance(shape.get("points"), list):
        if not shape.get("filled"):
            raise Unusable("is a line and has no area")
        return canvas.polygons([points(polygon) * (width, height) for polygon in shape["points"]])
    mask = shape.get("mask")
    packed = mapping(mapping(mask).get("$binary")).get("base64") or mapping(mask).get("$binary") or mask
    if not packed:
        raise Unusable(NO_MASK)
    box = points(shape.get("bounding_box"))
    if len(box) != 2:
        raise Unusable("has no bounding_box of four numbers")
    inside = mask_of_array(packed)
    canvas.count(inside.size)
    (left, top), (w, h) = box * (width, height)
    left, top = round(left), round(top)
    columns, rows = max(round(w), 1), max(round(h), 1)
    if not (columns <= 2 * width and rows <= 2 * height):
        raise Unusable("has a box larger than the picture")
    down = (np.arange(rows) * inside.shape[0] // rows)[:, None]
    return canvas.patch(inside[down, np.arange(columns) * inside.shape[1] // columns], left, top)
