"""JSON exports of annotation tools in which each picture has its own list of outlines, under various names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ..rle import Rle
from .canvas import Canvas
from .coco import Segmentation, names_of, outline_of
from .fields import Unusable, identifier, mapping, number, records, score, shown, size, text
from .items import NO_MASK, Item, Picture

_LISTS = (
    "annotations",
    "labels",
    "objects",
    "object",
    "instances",
    "regions",
    "predictions",
)  # where a picture has its masks
_BOXES = ("bbox", "box", "rectangle", "rect", "rbbox", "rotated_bbox", "cuboid", "cuboid_3d", "label", "caption", "tag")
_NO_AREA = (
    "point",
    "points",
    "polyline",
    "line",
    "linestring",
    "multipoint",
    "multilinestring",
    "skeleton",
    "template",
)


def has_masks(content: Any) -> bool:
    """Whether an object is a picture with a list of masks."""
    return isinstance(content, Mapping) and any(
        isinstance(content.get(key), list) and (any(records(content[key])) or not content[key]) for key in _LISTS
    )


def picture(content: Mapping[str, Any], name: str = "") -> Picture:
    """A picture of SuperAnnotate, VoTT, Datumaro, Hasty, Dataloop, Scale, BDD100K, Mapillary or a similar tool.

    Args:
        content: the object with the list of masks.
        name: the file name under which the whole file lists this object, if it does.
    """
    found = next(records(content[key]) for key in _LISTS if isinstance(content.get(key), list))
    inner = [content, *(mapping(content.get(key)) for key in ("image", "asset", "metadata", "size", "info"))]
    inner += [mapping(one.get(key)) for one in inner[1:] for key in ("size", "system")]
    names = [one for place in inner for one in names_of(place)]
    names += [name, *([text(content.get("id"))] if "image" in content else [])]
    sizes = [size(one.get("height"), one.get("width")) for one in inner]
    sizes += [size(*one[key][:2]) for one in inner for key in ("size", "imsize") if _is_pair(one.get(key))]
    layered = any("z_order" in one or "zIndex" in one for one in found)
    return Picture(
        tuple(dict.fromkeys(filter(None, names))),
        next(filter(None, sizes), None),
        lambda: [_item(one, place, layered) for place, one in enumerate(found, start=1)],
    )


def pictures(content: Mapping[str, Any]) -> list[Picture]:
    """The pictures of an object that lists several; empty if it does not.

    They are under "items" (Datumaro), "images" (Hasty), "assets" or "frames" (VoTT), or file names (SuperAnnotate).
    """
    for key in ("items", "images", "assets", "frames"):
        found = content.get(key)
        if isinstance(found, list) and any(has_masks(one) for one in found):
            return [picture(one) for one in found if has_masks(one)]
        if isinstance(found, Mapping) and (several := _by_name(found)):
            return several
    return _by_name(content)


def geojson(content: Any) -> Picture | None:
    """The polygons of GeoJSON in pixels, as QuPath writes it; None if it is not GeoJSON."""
    if isinstance(content, Mapping) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    if isinstance(content, Mapping):
        content = [content] if content.get("type") == "Feature" else [{"geometry": content}]
    found = records(content)
    if not any(_is_geometry(one.get("geometry")) for one in found):
        return None
    return Picture(
        (),
        None,
        lambda: [Item(_called("feature", place, one), partial(_feature, one)) for place, one in _placed(found)],
    )


def _by_name(content: Mapping[str, Any]) -> list[Picture]:
    """Pictures under their names: each an object with masks, or the list of its masks."""
    found = []
    for name, one in content.items():
        if has_masks(one):
            found.append(picture(one, str(name)))
        elif isinstance(one, list) and "." in str(name)[-6:] and any(outline_of(mask) for mask in records(one)):
            found.append(picture({"annotations": one}, str(name)))
    return found


def _item(one: Mapping[str, Any], place: int, layered: bool) -> Item:
    layer = number(one.get("z_order")) or number(one.get("zIndex")) or 0.0
    return Item(_called("annotation", place, one), partial(_draw, one), partial(score, one), layer if layered else None)


def _called(kind: str, place: int, one: Mapping[str, Any]) -> str:
    known = identifier(one.get("id"))
    label = (
        mapping(one.get("properties")).get("name") or one.get("className") or one.get("label") or one.get("category")
    )
    return f"{kind} {place if known is None else known}" + (f" ({text(label)})" if text(label) else "")


def _placed(found: list[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    return list(enumerate(found, start=1))


def _draw(one: Mapping[str, Any], canvas: Canvas) -> Rle:
    kind = text(one.get("type") or one.get("annotation_kind") or one.get("shape")).lower()
    if kind in _BOXES:
        raise Unusable(NO_MASK)
    if kind in _NO_AREA:
        raise Unusable(f"is a {kind} and has no area")
    if kind == "ellipse":
        measures = [number(one.get(key)) for key in ("cx", "cy", "rx", "ry")]
        if None in measures:
            raise Unusable("is an ellipse without a centre or radii")
        x, y, rx, ry = (measure for measure in measures if measure is not None)
        return canvas.ellipse(x, y, rx, ry, number(one.get("angle")) or 0.0)
    holes = one.get("exclude")
    if isinstance(holes, list) and holes and isinstance(one.get("points"), list):
        return canvas.polygons([one["points"]], holes)
    outline = outline_of(one)
    if outline is None and not any(key in one for key in ("bbox", "box", "boundingBox", "bounding_box")):
        raise Unusable(f"is of the kind {shown(kind)} and has no outline" if kind else "has no outline")
    return Segmentation(outline).draw(canvas)


def _feature(one: Mapping[str, Any], canvas: Canvas) -> Rle:
    geometry = mapping(one.get("geometry"))
    kind, coordinates = text(geometry.get("type")), geometry.get("coordinates")
    if not kind:
        raise Unusable("has no geometry")
    if kind.lower() in _NO_AREA:
        raise Unusable(f"is a {kind} and has no area")
    if kind not in ("Polygon", "MultiPolygon") or not isinstance(coordinates, list):
        raise Unusable(f"is of the kind {shown(kind)}, which does not have an outline")
    polygons = [one for one in ([coordinates] if kind == "Polygon" else coordinates) if isinstance(one, list) and one]
    if not polygons:
        raise Unusable(NO_MASK)
    return canvas.polygons([rings[0] for rings in polygons], [hole for rings in polygons for hole in rings[1:]])


def _is_geometry(value: Any) -> bool:
    return isinstance(value, Mapping) and "coordinates" in value and isinstance(value.get("type"), str)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (2, 3)
