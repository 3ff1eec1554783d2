"""Label Studio's JSON: tasks with polygons in percent of the picture and brush strokes as bit streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..rle import Rle
from .canvas import Canvas
from .embedded import mask_of_bits
from .fields import Unusable, mapping, number, points, records, score, shown, size, text
from .items import NO_MASK, Item, Picture

_BOXES = ("rectanglelabels", "rectangle", "keypointlabels", "choices", "textarea", "rating", "labels", "relation")


def is_tasks(content: Sequence[Any]) -> bool:
    """Whether a list holds Label Studio's tasks, in full or in the short form (JSON-MIN)."""
    return any(_results(one) for one in records(content)) or any(
        isinstance(one.get("data"), Mapping) and ("annotations" in one or "predictions" in one)
        for one in records(content)
    )


def pictures(content: Sequence[Any]) -> list[Picture]:
    """The picture of each task, with its annotation, or its first prediction if it does not have one."""
    return [_picture(task) for task in records(content)]


def _picture(task: Mapping[str, Any]) -> Picture:
    found = _results(task)
    data = mapping(task.get("data")) or {key: value for key, value in task.items() if isinstance(value, str)}
    names = [text(value) for key, value in data.items() if key in ("image", "img", "photo", "url")]
    names += [text(value) for value in data.values() if "." in text(value)[-6:]]
    sizes = [size(one.get("original_height"), one.get("original_width")) for one in found]
    return Picture(
        tuple(dict.fromkeys(filter(None, [*names, text(task.get("file_upload"))]))),
        next(filter(None, sizes), None),
        lambda: [
            Item(f"region {text(one.get('id')) or place}", partial(_draw, one), partial(score, one))
            for place, one in enumerate(found, start=1)
        ],
    )


def _results(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The regions of a task."""
    for key in ("annotations", "completions", "predictions"):
        for made in records(task.get(key)):
            if found := records(made.get("result")):
                return [one for one in found if "value" in one]
    # The short form has the regions under the name of the labelling control, with the values next to the size.
    return [
        {**one, "value": one, "type": _kind(one)}
        for value in task.values()
        for one in records(value)
        if "original_width" in one and _kind(one)
    ]


def _kind(value: Mapping[str, Any]) -> str:
    for key in ("polygonlabels", "brushlabels", "rectanglelabels", "ellipselabels", "keypointlabels"):
        if key in value:
            return key
    return "polygon" if "points" in value else "brush" if "rle" in value else ""


def _draw(region: Mapping[str, Any], canvas: Canvas) -> Rle:
    value = mapping(region.get("value"))
    kind = text(region.get("type")).lower() or _kind(value)
    height, width = canvas.size
    if "rle" in value:
        if not isinstance(value["rle"], list):
            raise Unusable(f"is damaged (its RLE is {shown(value['rle'])})")
        known = size(region.get("original_height"), region.get("original_width")) or canvas.size
        if known != canvas.size:
            raise Unusable(f"belongs to a picture of {known[1]}x{known[0]} pixels, not {width}x{height}")
        return canvas.patch(mask_of_bits(value["rle"], height, width), 0, 0)
    if "points" in value:
        return canvas.polygons([points(value["points"]) * (width / 100, height / 100)])
    if kind.startswith("ellipse"):
        measures = [number(value.get(key)) for key in ("x", "y", "radiusX", "radiusY")]
        if None in measures:
            raise Unusable("is an ellipse without a centre or radii")
        x, y, rx, ry = (one for one in measures if one is not None)
        turned = number(value.get("rotation")) or 0.0
        return canvas.ellipse(x * width / 100, y * height / 100, rx * width / 100, ry * height / 100, turned)
    if kind in _BOXES or {"x", "y", "width", "height"} <= value.keys():
        raise Unusable(NO_MASK)
    raise Unusable(f"is of the unknown kind {shown(kind)}")
