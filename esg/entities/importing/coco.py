"""COCO's annotations and similar formats: results, LVIS, SA-1B, SAM's lists, Detectron2's records."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from logging import getLogger
from typing import Any

import numpy as np

from ...support.errors import InputError
from ..class_names import known as known_name
from ..rle import Rle, encode_mask
from .canvas import Canvas, draw_all
from .embedded import bytes_of, mask_of_png
from .fields import Unusable, are_plain_numbers, identifier, number, records, score, shown, size, text
from .items import NO_MASK, Item, Picture

log = getLogger(__name__)

_NAMES = ("file_name", "filename", "path", "name", "image_name", "image_path", "coco_url")  # of a picture, best first
_OF = ("file_name", "filename", "image_name", "image_path", "image")  # names of the picture in a list of masks
_OUTLINES = ("segmentation", "mask", "rle", "rle_mask", "points", "polygon", "vertices", "coordinates")  # of a mask
_BOXES = ("bbox", "box", "bounding_box", "width")
_BETWEEN = re.compile(r"[\s,;\[\]()]+")  # counts written as text
_NUMBERS = re.compile(r"[\s\d.,;eE+-]+")  # points written as text
_FEW = 64  # numbers, of which polygons of tiny pictures may have that many
_FIRST, _LAST = ord("0"), ord("o")  # characters of compressed counts


def from_file(content: Mapping[str, Any], source: str) -> list[Picture]:
    """The pictures of an object with "images" and "annotations".

    Raises:
        InputError: one of the two is missing or is not a list.
    """
    if content.get("images") == [] and "annotations" not in content:
        return []
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), (list, Mapping)) and (key == "images" or content.get(key, "") is not None):
            raise InputError(f"{source} is not in COCO's format: {_missing(content, key)}.")
    images = _different(_listed(content["images"]))
    annotations = _listed(content["annotations"])
    if not images:
        return from_list(annotations) if annotations else []
    same = _same_pictures(images)
    ids = [identifier(image.get("id")) for image in images]
    by_id: dict[str | None, list[tuple[int, Mapping[str, Any]]]] = {}
    for place, one in enumerate(annotations, start=1):
        of = identifier(one.get("image_id"))
        only = len(ids) == 1 and None in (of, ids[0])
        by_id.setdefault(ids[0] if only else same.get(of, of), []).append((place, one))
    names = _category_names(content.get("categories"))
    often = Counter(ids)
    strangers = [of for of in by_id if of not in often]
    lost = sum(len(by_id[of]) for of in strangers)

    def items(of: str | None) -> list[Item]:
        if often[of] > 1:
            raise InputError(f"{source} has several pictures with the id {of!r}; make the ids unique.")
        mine = by_id.get(of, [])
        if not mine and strangers:
            raise InputError(
                f'{source} has annotations of pictures that are not among its "images" (image_id '
                f"{', '.join(map(str, strangers[:3]))}{', …' if len(strangers) > 3 else ''}), and none of this one, "
                f"whose id is {of}."
            )
        if lost and len(ids) == 1:
            log.warning(
                '%s: %d of %d annotations are of pictures that are not among its "images" (image_id %s).',
                *(source, lost, len(annotations), ", ".join(map(str, strangers[:3]))),
            )
        return [item(one, place, name=names.get(identifier(one.get("category_id")))) for place, one in mine]

    return [
        Picture(
            names_of(image), size(image.get("height"), image.get("width")), partial(items, of), _is_sams(by_id.get(of))
        )
        for image, of in zip(images, ids, strict=True)
        if same.get(of, of) == of
    ]


def picture_of(content: Mapping[str, Any], image_id: int | str | None, source: str) -> Picture:
    """The picture with an id in an object with "images" and "annotations"; without an id, the only picture.

    Raises:
        InputError: it does not exist, or there are several.
    """
    pictures = from_file(content, source)
    if image_id is None:
        if len(pictures) != 1:
            raise InputError(f"{source} describes {len(pictures)} pictures; say which one with image_id.")
        return pictures[0]
    images = _different(_listed(content["images"]))
    same = _same_pictures(images)
    ids = [of for image in images if same.get(of := identifier(image.get("id")), of) == of]
    wanted = same.get(identifier(image_id), identifier(image_id))
    if wanted not in ids:
        raise InputError(f"{source} does not have a picture with id {image_id!r}.")
    return pictures[ids.index(wanted)]


def from_record(record: Mapping[str, Any]) -> Picture:
    """A picture that contains its annotations: SA-1B's, with "image", or one of Detectron2's records."""
    image = record["image"] if isinstance(record.get("image"), Mapping) else record
    mine = list(enumerate(records(record.get("annotations")), start=1))
    return Picture(
        names_of(image),
        size(image.get("height"), image.get("width")),
        lambda: [item(one, place) for place, one in mine],
        _is_sams(mine),
    )


def from_list(content: Sequence[Any]) -> list[Picture]:
    """The pictures of a list of annotations, by their ids or names if it has any: COCO's results, SAM's masks."""
    by_id: dict[str | None, list[tuple[int, Mapping[str, Any]]]] = {}
    for place, one in enumerate(records(content), start=1):
        of = identifier(one.get("image_id")) or next(filter(None, (text(one.get(key)) for key in _OF)), None)
        by_id.setdefault(of, []).append((place, one))
    if len(by_id) == 2 and None in by_id:  # the others can only be of the same picture
        by_id = {next(of for of in by_id if of is not None): list(enumerate(records(content), start=1))}
    return [
        Picture(
            () if of is None else (of,),
            None,
            lambda mine=mine: [item(one, place) for place, one in mine],  # type: ignore[misc]
            _is_sams(mine),
        )
        for of, mine in by_id.items()
    ] or [Picture((), None, list)]


def from_columns(content: Mapping[str, Any]) -> Picture:
    """A picture with a list of "masks" and one of "scores", as MMDetection's inferencer writes it."""
    masks, scores = content["masks"], content.get("scores")
    scores = scores if isinstance(scores, list) and len(scores) == len(masks) else [None] * len(masks)
    columns = [{"segmentation": mask, "score": value} for mask, value in zip(masks, scores, strict=True)]
    return Picture((), None, lambda: [item(one, place, "mask") for place, one in enumerate(columns, start=1)])


def item(annotation: Mapping[str, Any], place: int, kind: str = "annotation", name: str | None = None) -> Item:
    """One annotation, called by its id, or by its place in the file if it does not have one; `name`: its category's."""
    known = identifier(annotation.get("id"))
    called = f"{kind} {place}" if known is None else f"{kind} {known}"
    outline = outline_of(annotation)
    if outline is None and not any(key in annotation for key in (*_OUTLINES, *_BOXES)):
        return Item(called, _without_outline, None)
    mask = Segmentation(outline)
    name = name or known_name(text(annotation.get("category_name")))
    return Item(called, mask.draw, partial(score, annotation), None, mask.size, name)


def outline_of(annotation: Mapping[str, Any]) -> Any:
    """Its "segmentation", or what other tools have instead: Ultralytics "segments", Roboflow "points", a bare RLE."""
    segments = annotation.get("segments")
    if isinstance(segments, Mapping) and (found := _columns(segments)):
        return found
    polygon = annotation.get("polygon")
    if isinstance(polygon, Mapping) and "segmentation" not in annotation:
        if found := _columns(polygon):  # ADE20K's
            return found
        if all(isinstance(one, Mapping) for one in polygon.values()):  # Encord's, with numbered points
            return list(polygon.values())
        return polygon.get("paths") or [polygon.get("path")]  # Darwin's
    if isinstance(annotation.get("poly2d"), list):  # BDD100K's
        return [one.get("vertices") for one in records(annotation["poly2d"]) if one.get("closed", True)]
    if "counts" in annotation and "segmentation" not in annotation:
        return annotation
    return next((annotation[key] for key in _OUTLINES if annotation.get(key) is not None), None)


def _columns(value: Mapping[str, Any]) -> list[list[Any]] | None:
    """The points x, y of an object with a list of x and one of y; None for others."""
    if not isinstance(value.get("x"), list) or not isinstance(value.get("y"), list):
        return None
    return [list(pair) for pair in zip(value["x"], value["y"], strict=False)]


def _without_outline(_: Canvas) -> Rle:
    raise Unusable('has no "segmentation"')


class Segmentation:
    """A "segmentation": an RLE with counts in any notation, polygons in any nesting, or rows of 0 and 1."""

    def __init__(self, value: Any) -> None:
        self.value = _from_text(value)

    @cached_property
    def rows(self) -> np.ndarray | None:
        """The mask, (H, W), of rows of 0 and 1, 0 and 255, or false and true; None for anything else."""
        rows = self.value
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            return None
        if len({len(row) for row in rows}) != 1 or not rows[0] or isinstance(rows[0][0], (str, list, Mapping)):
            return None
        try:
            values = np.array(rows)
        except ValueError:
            return None
        if values.ndim != 2 or values.dtype.kind not in "biuf" or not np.isin(values, (0, values.max())).all():
            return None
        return values if values.max() in (0, 1, 255) else None

    @property
    def size(self) -> tuple[int, int] | None:
        """height, width of the picture; None if it does not contain them."""
        if isinstance(self.value, Mapping) or _is_rles(self.value):
            sides = _sides(self.value if isinstance(self.value, Mapping) else self.value[0])
            return size(*sides) if isinstance(sides, (list, tuple)) and len(sides) == 2 else None
        if self.rows is None or self.rows.max() > 1 or self._may_be_polygon:
            return None  # 0 and 255 may be corners of polygons
        return self.rows.shape[0], self.rows.shape[1]

    @property
    def _may_be_polygon(self) -> bool:
        """Whether it is a single row of numbers, which may be a polygon with corners at 0 and 1."""
        if self.rows is None or self.rows.dtype.kind == "b":
            return False
        return len(self.rows) == 1 and self.rows.size >= 6 and self.rows.size % 2 == 0

    def draw(self, canvas: Canvas) -> Rle:
        """Draws it on a canvas; raises Unusable if it is not a mask."""
        value = self.value
        if value is None or (isinstance(value, (list, str)) and not _content(value)):
            raise Unusable(NO_MASK)
        if isinstance(value, Mapping):
            return _drawn(value, canvas) if "counts" in value else _drawn_object(value, canvas)
        if isinstance(value, str):
            return _drawn_text(value.strip(), canvas)
        if _is_rles(value):
            return draw_all([partial(_drawn, one) for one in value], canvas)
        if not isinstance(value, list):
            raise Unusable(f"has {shown(value)} as its segmentation, neither an RLE nor polygons")
        flat = _FEW < len(value) == canvas.size[0] * canvas.size[1] and all(one in (0, 1) for one in value)
        if flat:  # pixels row by row
            return canvas.rle(encode_mask(np.array(value, bool).reshape(canvas.size)))
        rows = None if self._may_be_polygon else self.rows
        if rows is not None and (rows.shape == canvas.size or (len(rows) > 1 and rows.max() <= 1)):
            return canvas.rle(encode_mask(rows != 0))
        return canvas.polygons(polygon for polygon in _rings(value) if _content(polygon))


def _from_text(value: Any) -> Any:
    """A segmentation written as text in JSON, as in tables; anything else unchanged."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _is_rles(value: Any) -> bool:
    """Whether it is a list of RLEs, which are pieces of one mask."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, Mapping) and "counts" in one for one in value)


def _drawn(rle: Mapping[str, Any], canvas: Canvas) -> Rle:
    """Draws an RLE; without a size, it has that of the picture."""
    found, height, width = counts(rle.get("counts")), *canvas.size
    if isinstance(found, list) and sum(found) != height * width and all(_FIRST <= one <= _LAST for one in found):
        found = "".join(map(chr, found))  # the bytes of a compressed string
    sides = canvas.size if _sides(rle) is None else _sides(rle)
    try:
        return canvas.rle({"size": sides, "counts": found})
    except Unusable:
        if not isinstance(found, str) or "\\\\" not in found:
            raise
        return canvas.rle({"size": sides, "counts": found.replace("\\\\", "\\")})  # escaped once too often


def _sides(rle: Mapping[str, Any]) -> Any:
    """The height and width of an RLE; None if it has neither."""
    sides = rle.get("size")
    named = sides if isinstance(sides, Mapping) else rle
    for keys in (("height", "width"), ("h", "w")):
        if not isinstance(sides, (list, tuple)) and all(key in named for key in keys):
            return [named[key] for key in keys]
    return sides


def _drawn_object(value: Mapping[str, Any], canvas: Canvas) -> Rle:
    """Draws the points of an object that is not an RLE."""
    if (columns := _columns(value)) is not None:
        return canvas.polygons([columns])
    inner = outline_of(value)
    if inner is not None and inner is not value:
        return Segmentation(inner).draw(canvas)
    if "width" in value or "height" in value:
        raise Unusable(NO_MASK)
    raise Unusable("has an object as its segmentation, with neither counts nor points")


def _drawn_text(value: str, canvas: Canvas) -> Rle:
    """Draws a mask written as text: a PNG in base64, points, or the counts of an RLE of the picture's size."""
    if _NUMBERS.fullmatch(value):
        return canvas.polygons([value])
    if value.startswith(("http://", "https://")):
        raise Unusable("has its mask at an address; download it first")
    if value.lower().endswith((".png", ".jpg", ".tif", ".tiff", ".bmp", ".npy")):
        raise Unusable(f"has its mask in a file of its own, {shown(value)}; give the folder of these files")
    if value.startswith(("data:", "iVBOR")):
        return canvas.patch(mask_of_png(value), 0, 0)
    try:
        return _drawn({"counts": value}, canvas)
    except Unusable:
        raise Unusable(f"has {shown(value)} as its segmentation, neither an RLE nor polygons") from None


def counts(value: Any) -> Any:
    """The counts of an RLE.

    They may be written as a list in text, Python's b'…', base64, a list of characters, Node's Buffer or floats.
    """
    if isinstance(value, Mapping) and value.get("type") == "Buffer":
        value = value.get("data")
    if isinstance(value, list) and set(map(type, value)) == {int} and max(map(abs, value)) < 1 << 53:
        return value
    if isinstance(value, list) and any(isinstance(one, str) and number(one) is None for one in value):
        value = "".join(map(str, value)) if all(isinstance(one, str) and len(one) == 1 for one in value) else value
    if isinstance(value, str):
        bare = value.strip()
        if bare[:2] in ("b'", 'b"') and bare[-1:] == bare[1]:
            return bare[2:-1].replace("\\\\", "\\")
        if " " in bare or "," in bare:  # compressed strings do not have these
            value = [one for one in _BETWEEN.split(bare) if one]
        elif bare and not _FIRST <= ord(min(bare)) <= ord(max(bare)) <= _LAST:
            return _from_base64(bare)
    if isinstance(value, (np.ndarray, bytes)):  # from a dict in memory
        return value
    if isinstance(value, list):
        numbers = [number(one) for one in value]
        if all(one is not None and one == int(one) and abs(one) < 1 << 53 for one in numbers):
            return [int(one) for one in numbers if one is not None]
        raise Unusable("is damaged (its counts are not a list of whole numbers)")
    if not isinstance(value, str):
        raise Unusable(f"is damaged (its counts are {shown(value)})")
    return value.strip()


def _from_base64(text: str) -> str:
    """Compressed counts in base64, possibly in a zlib stream; any other text unchanged."""
    try:
        return bytes_of(text).decode("ascii")
    except (Unusable, ValueError):
        return text


def _rings(segmentation: list[Any]) -> Iterator[Any]:
    """The polygons of a list with any nesting, each in a notation that `fields.points` accepts."""
    waiting = [segmentation]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, list) or are_plain_numbers(one) or not any(map(_is_nested, one)):
            yield one  # x, y, x, y, …
        elif all(isinstance(inner, Mapping) for inner in one) or (len(one) > 2 and all(map(_is_point, one))):
            yield one  # {"x": …, "y": …}, … or [x, y], …
        elif all(isinstance(inner, list) and len(inner) == 1 and _is_point(inner[0]) for inner in one):
            yield [inner[0] for inner in one]  # [[x, y]], …: OpenCV's contours
        else:
            waiting += reversed(one)


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, Mapping))


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (2, 3) and all(number(one) is not None for one in value)


def _content(value: Any) -> bool:
    """Whether it contains anything besides nested empty lists and texts."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif one != "":
            return True
    return False


def _is_sams(annotations: Sequence[tuple[int, Mapping[str, Any]]] | None) -> bool:
    """Whether the first of them has SAM's own score and no other."""
    first = annotations[0][1] if annotations else {}
    return "predicted_iou" in first and first.get("score") is None


def names_of(image: Mapping[str, Any]) -> tuple[str, ...]:
    """The file names that an object has for its picture, best first."""
    more = image.get("extra")
    found = [text(one) or ("" if text(one) == one else identifier(one) or "") for one in map(image.get, _NAMES)] + [
        text(more.get("name")) if isinstance(more, Mapping) else ""
    ]
    return tuple(filter(None, found))


def _category_names(categories: Any) -> dict[str | None, str]:
    """The names of categories by their ids."""
    named = ((identifier(one.get("id")), known_name(text(one.get("name")))) for one in records(categories))
    return {of: name for of, name in named if of is not None and name is not None}


def _listed(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list, of an object that has them by their ids, or a single one."""
    if isinstance(value, Mapping):
        return list(value.values()) if value and all(isinstance(one, Mapping) for one in value.values()) else [value]
    return records(value)


def _same_pictures(images: list[Mapping[str, Any]]) -> dict[str | None, str | None]:
    """The ids of pictures that are listed again under another id, with the same names and size, and their first ids."""
    first: dict[object, str | None] = {}
    same: dict[str | None, str | None] = {}
    for image in images:
        of, names = identifier(image.get("id")), names_of(image)
        if of is not None and names:
            one = first.setdefault((names, size(image.get("height"), image.get("width"))), of)
            if one != of:
                same[of] = one
    return same


def _different(images: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The pictures without those that a file lists twice."""
    found: dict[object, Mapping[str, Any]] = {}
    for place, image in enumerate(images):
        known, names = identifier(image.get("id")), names_of(image)
        found.setdefault((known, names) if known is not None and names else place, image)
    return list(found.values())


def _missing(content: Mapping[str, Any], key: str) -> str:
    return f'"{key}" is missing' if key not in content else f'"{key}" is {shown(content[key])} instead of a list'
