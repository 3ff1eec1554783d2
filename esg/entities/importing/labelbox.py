"""Labelbox's JSON: a data row per photo, with polygons; its masks are at addresses and cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import exports
from .coco import outline_of
from .fields import mapping, records, size, text
from .items import Picture


def is_labelbox(content: Any) -> bool:
    """Whether an object is a data row of Labelbox, as exported now or in the format of before 2023."""
    return isinstance(content, Mapping) and (
        ("data_row" in content and "projects" in content) or ("Label" in content and "Labeled Data" in content)
    )


def picture(row: Mapping[str, Any]) -> Picture:
    """The photo of a data row, with the objects of all of its labels."""
    media, data = mapping(row.get("media_attributes")), mapping(row.get("data_row"))
    objects = [*records(mapping(row.get("Label")).get("objects"))]
    for project in mapping(row.get("projects")).values():
        for label in records(mapping(project).get("labels")):
            objects += records(mapping(label.get("annotations")).get("objects"))
    names = [data.get("external_id"), data.get("row_data"), row.get("External ID"), row.get("Labeled Data")]
    return Picture(
        tuple(dict.fromkeys(filter(None, map(text, names)))),
        size(media.get("height"), media.get("width")),
        exports.picture({"objects": [_with_mask(one) for one in objects]}).items,
    )


def _with_mask(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object of a label, in which the address of a mask stands where other tools have the mask."""
    address = text(mapping(one.get("mask")).get("url")) or text(one.get("instanceURI"))
    return {**one, "mask": address} if address and outline_of({**one, "mask": None}) is None else one
