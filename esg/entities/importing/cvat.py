"""CVAT's XML for images: polygons, ellipses and masks of any number of pictures, with a stacking order."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

import numpy as np

from ...support.errors import InputError
from ..class_names import UNNAMED, known
from ..rle import Rle
from .canvas import Canvas, draw_all
from .coco import counts
from .fields import Unusable, identifier, number, side, size, text
from .items import NO_MASK, Item, Picture

if TYPE_CHECKING:
    from ..entity_map import EntityMap

_SHAPES = ("polygon", "mask", "ellipse", "box", "polyline", "points", "cuboid", "skeleton", "tag")
_LARGEST = 1 << 28  # pixels in the box of a mask

Shape = tuple[str, dict[str, str]]


def read(path: Path) -> list[Picture]:
    """The pictures of a file, which is read as a stream; entities and document types, which can do harm, are refused.

    Raises:
        InputError: the file cannot be read, or is not CVAT's XML for images.
    """
    found: list[tuple[dict[str, str], list[Shape]]] = []
    opened: list[str] = []
    kinds: set[str] = set()

    def begin(name: str, attributes: dict[str, str]) -> None:
        opened.append(name)
        kinds.add(name)
        if name == "image":
            found.append((attributes, []))
        elif name in _SHAPES and found and "image" in opened:
            found[-1][1].append((name, attributes))

    def refuse(*_: object) -> None:
        raise InputError(
            f"{path} declares a document type, which is not read because it could do harm; remove its <!DOCTYPE>."
        )

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda name: opened.pop()
    parser.StartDoctypeDeclHandler = refuse
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except (expat.ExpatError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise InputError(f"{path} is not an XML file, or is incomplete ({error}).") from None
    if "image" not in kinds:
        if "bndbox" in kinds or "annotation" in kinds:
            raise InputError(f"{path} is Pascal VOC's XML, which has boxes and no masks; give the PNG of the masks.")
        if "track" in kinds:
            raise InputError(f'{path} is CVAT\'s XML for video; export the task as "CVAT for images".')
        if "svg" in kinds:
            raise InputError(f"{path} is an SVG drawing; export each mask as a black and white PNG.")
        raise InputError(f"{path} is not CVAT's XML: it does not describe an image.")
    return [_picture(attributes, shapes) for attributes, shapes in found]


def cvat_xml(pictures: Iterable[tuple[EntityMap, str]]) -> str:
    """Writes maps, with the file names of their photos, as CVAT's XML for images 1.1: a mask and label per entity."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    for number_, (entities, name) in enumerate(pictures):
        lines.append(
            f'  <image id="{number_}" name={quoteattr(name)} width="{entities.width}" height="{entities.height}">'
        )
        for k, (called, (x0, y0, x1, y1)) in enumerate(zip(entities.names, entities.boxes.tolist()), start=1):
            inside = (entities.labels[y0:y1, x0:x1] == k).ravel()
            changes = np.flatnonzero(np.diff(inside, prepend=False)).tolist()
            lengths = np.diff([0, *changes, inside.size]).tolist()
            label, rle = quoteattr(called or UNNAMED), ", ".join(map(str, lengths))
            lines.append(
                f'    <mask label={label} source="auto" occluded="0" rle="{rle}" '
                f'left="{x0}" top="{y0}" width="{x1 - x0}" height="{y1 - y0}" z_order="0"></mask>'
            )
        lines.append("  </image>")
    return "\n".join([*lines, "</annotations>", ""])


def _picture(attributes: dict[str, str], shapes: list[Shape]) -> Picture:
    groups: dict[object, list[tuple[int, Shape]]] = {}
    for place, shape in enumerate(shapes, start=1):
        group = identifier(shape[1].get("group_id"))
        groups.setdefault(place if group in (None, "0") else (group, shape[1].get("label")), []).append((place, shape))
    name = text(attributes.get("name"))
    return Picture(
        (name,) if name else (),
        size(attributes.get("height"), attributes.get("width")),
        lambda: [_item(some) for some in groups.values()],
    )


def _item(shapes: list[tuple[int, Shape]]) -> Item:
    place, (kind, first) = shapes[0]
    label = text(first.get("label"))
    called = f"{kind} {place}" + (f" ({label})" if label else "")
    return Item(
        called,
        partial(draw_all, [partial(_draw, *shape) for _, shape in shapes]),
        None,
        number(first.get("z_order")) or 0.0,
        name=known(label),
    )


def _draw(kind: str, attributes: dict[str, str], canvas: Canvas) -> Rle:
    if kind == "polygon":
        pairs = [one.split(",") for one in attributes.get("points", "").split(";") if one.strip()]
        return canvas.polygons([pairs])
    if kind == "mask":
        return _mask(attributes, canvas)
    if kind == "ellipse":
        measures = [number(attributes.get(key)) for key in ("cx", "cy", "rx", "ry")]
        if None in measures:
            raise Unusable("is an ellipse without a centre or radii")
        cx, cy, rx, ry = (one for one in measures if one is not None)
        return canvas.ellipse(cx, cy, rx, ry, number(attributes.get("rotation")) or 0.0)
    if kind in ("box", "cuboid", "tag"):
        raise Unusable(NO_MASK)
    raise Unusable(f"is a {kind} and has no area")


def _mask(attributes: dict[str, str], canvas: Canvas) -> Rle:
    """A mask in its own box, with run lengths row by row."""
    width, height = side(attributes.get("width")), side(attributes.get("height"))
    left, top = number(attributes.get("left")), number(attributes.get("top"))
    if width is None or height is None or left is None or top is None or width * height > _LARGEST:
        raise Unusable("has no box of a sensible size (left, top, width, height)")
    canvas.count(width * height)
    lengths = counts(attributes.get("rle", "").replace(",", " ").split())
    if not isinstance(lengths, list) or min(lengths, default=-1) < 0 or sum(lengths) != width * height:
        raise Unusable(f"is damaged (its rle does not cover the {width}x{height} pixels of its box)")
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(height, width)
    return canvas.patch(inside, round(left), round(top))
