"""Kili's JSON: assets with labels, whose polygons are in fractions of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ..rle import Rle
from .canvas import Canvas
from .fields import Unusable, mapping, points, records, text
from .items import NO_MASK, Item, Picture


def is_kili(content: Any) -> bool:
    """Whether an object is an asset of Kili with a label."""
    return isinstance(content, Mapping) and bool(_answers(content))


def picture(asset: Mapping[str, Any]) -> Picture:
    """The photo of an asset, with the annotations of its latest label."""
    found = [one for job in _answers(asset)[-1].values() for one in records(mapping(job).get("annotations"))]
    names = tuple(filter(None, (text(asset.get("externalId")), text(asset.get("content")))))
    return Picture(
        names,
        None,
        lambda: [Item(f"annotation {place}", partial(_draw, one)) for place, one in enumerate(found, start=1)],
    )


def _answers(asset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The jobs of each label, the latest one last."""
    labels = [*records(asset.get("labels")), mapping(asset.get("latestLabel"))]
    return [mapping(one.get("jsonResponse")) for one in labels if mapping(one.get("jsonResponse"))]


def _draw(one: Mapping[str, Any], canvas: Canvas) -> Rle:
    if text(one.get("type")) in ("rectangle", "marker", "polyline", "vector"):
        raise Unusable(NO_MASK)
    outlines = [_corners(polygon, canvas) for polygon in records(one.get("boundingPoly"))]
    if not outlines:
        raise Unusable(NO_MASK)
    return canvas.polygons(outlines[:1], outlines[1:])  # the others are holes


def _corners(polygon: Mapping[str, Any], canvas: Canvas) -> Any:
    height, width = canvas.size
    if "normalizedVertices" in polygon:
        return points(polygon["normalizedVertices"]) * (width, height)
    return points(polygon.get("vertices"))
