"""EntityMap: a label map and one score per entity, the only form in which ESG keeps a segmentation.

A map takes four bytes per pixel, however many entities it holds; masks are made on demand, for the ids requested.
`formats.py` has its file formats, `cleanup.py` tidies its regions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ..support.checks import check_number, is_whole, type_name
from ..support.errors import InputError
from ..support.files import write_atomically
from ..support.limits import MAX_PIXELS
from . import files as formats
from . import rle
from .label_arrays import box_of_mask, count_labels, look_up
from .layers import bottom_first, check_layers, check_order, whole_objects
from .polygons import outline

MAX_LABEL = (1 << 24) - 1  # the largest id that a panoptic PNG can hold; keeps tables of all labels small


@dataclass(frozen=True, eq=False, repr=False)
class EntityMap:
    """The entities of one picture, numbered 1..N by descending score; at equal scores the larger one comes first.

    Make one with `from_labels`, `from_masks`, `from_coco` or `from_labels_png`; the constructor itself accepts only
    arrays that are already in order. It keeps these arrays and makes them read-only. Two maps are equal if their
    labels, scores and names are.

    Attributes:
        labels: (H, W) int32, the id of the entity that each pixel belongs to, 0 = none.
        scores: (N,) float32, finite, non-increasing; entry k belongs to id k + 1, here and below.
        names: N names of the entities' classes, None where it is unknown, as it is for all entities of most models.
        areas: (N,) int64, pixels, at least 1.
        boxes: (N, 4) int64, x0, y0, x1, y1 in pixels, x1 and y1 exclusive.

    >>> import numpy as np
    >>> entities = EntityMap.from_labels(np.array([[1, 1, 0], [1, 2, 2]]), [0.9, 0.4])
    >>> len(entities), entities.areas.tolist()
    (2, [3, 2])
    >>> entities.mask([2]).tolist()
    [[False, False, False], [False, True, True]]
    >>> EntityMap.from_coco(entities.to_coco()) == entities
    True
    """

    labels: np.ndarray
    scores: np.ndarray
    names: tuple[str | None, ...] = None  # type: ignore[assignment]  # set below
    areas: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.scores)
        object.__setattr__(self, "names", _checked_names(self.names, count))
        if self.labels.dtype != np.int32 or self.scores.dtype != np.float32 or self.scores.ndim != 1:
            raise InputError("EntityMap takes int32 labels and float32 scores; use EntityMap.from_labels for others.")
        if _largest_label(self.labels) != count or not np.isfinite(self.scores).all():
            raise InputError(f"The labels are not 1..{count}, one for each score; use EntityMap.from_labels instead.")
        areas = count_labels(self.labels, count)[1:]
        equal_scores = self.scores[1:] == self.scores[:-1]
        in_order = (self.scores[1:] < self.scores[:-1]) | equal_scores & (areas[1:] <= areas[:-1])
        if not areas.all() or not in_order.all():
            raise InputError("Entities are not numbered by descending score; use EntityMap.from_labels instead.")
        object.__setattr__(self, "areas", areas)
        for array in (self.labels, self.scores, areas):
            array.setflags(write=False)

    @classmethod
    def from_labels(
        cls,
        labels: np.ndarray,
        scores: Sequence[float] | np.ndarray | None = None,
        names: Sequence[str | None] | None = None,
    ) -> EntityMap:
        """Numbers the entities of any label map: by descending score, then descending area, then old label.

        Args:
            labels: (H, W) integers of 0 or more, 0 = none; gaps and any order are allowed.
            scores: entry k - 1 is the score of label k; labels that do not occur are dropped. None: all are 1.
            names: entry k - 1 is the name of label k, None or "" if it is unknown; None: all are unknown.

        Raises:
            InputError: labels, scores or names have a wrong shape, dtype or value.
        """
        labels = np.asarray(labels)
        largest = _largest_label(labels)
        given = _checked_scores(np.ones(max(largest, len(names or ()))) if scores is None else scores)
        if largest > len(given):
            raise InputError(f"Label {largest} has no score: only {len(given)} scores were given.")
        called = _checked_names(names, len(given))
        areas = count_labels(labels, len(given))[1:]
        order = np.lexsort((-areas, -given))
        order = order[areas[order] > 0]
        new_ids = np.zeros(len(given) + 1, np.int32)
        new_ids[order + 1] = np.arange(1, len(order) + 1)
        return cls(look_up(new_ids, labels), given[order], tuple(called[k] for k in order))

    @classmethod
    def from_masks(
        cls,
        masks: np.ndarray | Iterable[np.ndarray | rle.Rle],
        scores: Sequence[float] | np.ndarray | None = None,
        *,
        size: tuple[int, int] | None = None,
        order: str = "score",
        layers: Sequence[float] | None = None,
        names: Sequence[str | None] | None = None,
    ) -> EntityMap:
        """Lays masks over each other: a pixel goes to the mask with the higher score, then the smaller, then the first.

        Args:
            masks: (N, H, W) array, or N masks that are each an (H, W) array or a COCO RLE; arrays are bool, or
                integers where every value but 0 is inside. Masks left without a pixel do not get an id.
            scores: (N,) finite numbers; None: all are 1.
            size: height, width of the picture; needed only if the list may be empty.
            order: the mask that is on top where masks overlap: "score", the one with the higher score; "smaller", so
                that parts show on wholes; "larger"; "first" or "last" in the list; "whole", which drops the parts of
                nested masks, such as SAM's, and keeps only whole objects (see `layers.whole_objects`).
            layers: (N,) numbers, if the masks have layers: a higher layer is on top, and `order` decides only within a
                layer.
            names: N names, None or "" where it is unknown; None: all are unknown.

        Raises:
            InputError: masks differ in size or have a wrong dtype, scores, layers or names do not match them, or size
                or order are invalid.
        """
        check_order(order)
        sizes: set[tuple[int, ...]] = set()
        if isinstance(masks, np.ndarray) and masks.ndim == 3:
            sizes.add(masks.shape[1:])  # an array has a size even if it has no masks
        try:
            masks = list(masks)
        except TypeError:
            raise InputError(
                "Masks must be a list of arrays (height, width) or one array (masks, height, width), not of type "
                f"{type(masks).__name__}."
            ) from None
        given = _checked_scores(np.ones(len(masks)) if scores is None else scores)
        if len(given) != len(masks):
            raise InputError(f"There are {len(masks)} masks but {len(given)} scores; give one score per mask.")
        masks = [_checked_mask(mask) for mask in masks]
        sizes |= {rle.size_of(mask) if isinstance(mask, Mapping) else np.shape(mask) for mask in masks}
        sizes |= {_checked_size(size)} if size is not None else set()
        if not sizes:
            raise InputError("Without masks the size of the picture is unknown; give size=(height, width).")
        if len(sizes) != 1:
            raise InputError(
                f"All masks must have the same size (height, width), but these sizes were given: {sorted(sizes)}."
            )
        (shape,) = sizes
        if len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] >= 1 << 31:
            raise InputError(
                "Masks must be a list of arrays (height, width) or one array (masks, height, width), from 1 x 1 to "
                f"2**31 pixels; here each has the shape {shape}."
            )
        check_layers(layers, len(masks))
        areas = np.array([_mask_area(mask) for mask in masks], np.int64)
        kept = np.ones(len(masks), bool)
        if order == "whole":
            as_rles = [mask if isinstance(mask, Mapping) else rle.encode_mask(mask != 0) for mask in masks]
            kept = whole_objects(as_rles, areas)
        height, width = shape
        columns = np.zeros(width * height, np.int32)
        labels = columns.reshape(width, height).T
        for index in bottom_first(order, given, areas, layers):
            mask = masks[index]
            if not kept[index]:
                continue
            if isinstance(mask, Mapping):
                rle.paint(mask, columns, index + 1)
            else:
                inside = mask if mask.dtype == bool else mask != 0
                box = box_of_mask(inside)
                labels[box][inside[box]] = index + 1
        return cls.from_labels(labels, given, names)

    @classmethod
    def from_coco(
        cls,
        source: Mapping[str, Any] | str | Path,
        *,
        image_id: int | str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> EntityMap:
        """Reads the annotations of one picture in COCO format; overlaps are resolved as in `from_masks`.

        Names are those of the categories. Entities of the category "entity", which `to_coco` gives to those without a
        name, do not get one.

        Args:
            source: dict with "images" and "annotations", or the path of a JSON file with them. Annotations may be
                compressed or uncompressed RLE or polygons; a missing score is 1.
            image_id: id of the picture, if there are several.
            max_pixels: larger pictures are refused before their masks are decoded.

        Raises:
            InputError: the file cannot be read, is malformed or too large, or lacks the picture.
        """
        found = formats.read_coco(source, image_id, max_pixels=max_pixels)
        return cls.from_masks(found.rles, found.scores, names=found.names, size=found.size)

    @classmethod
    def from_labels_png(
        cls,
        path: str | Path,
        scores: Sequence[float] | np.ndarray | None = None,
        *,
        max_pixels: int = MAX_PIXELS,
    ) -> EntityMap:
        """Reads a grey PNG whose pixels are labels.

        Args:
            path: a grey PNG with 8 or 16 bits, or a palette PNG.
            scores: as in `from_labels`; by default those that `save_labels_png` wrote into the file, else all are 1.
                Names are those that it wrote.
            max_pixels: larger pictures are refused before they are decoded.

        Raises:
            InputError: the file cannot be read, is too large, or is not a PNG with labels.
        """
        labels, stored, names = formats.read_labels_png(path, max_pixels=max_pixels)
        fits = scores is None or (names is not None and len(names) == len(scores))
        return cls.from_labels(labels, stored if scores is None else scores, names if fits else None)

    @property
    def height(self) -> int:
        return self.labels.shape[0]

    @property
    def width(self) -> int:
        return self.labels.shape[1]

    @cached_property
    def boxes(self) -> np.ndarray:
        found = ndimage.find_objects(self.labels) if len(self) else []
        boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in found], np.int64).reshape(-1, 4)
        boxes.setflags(write=False)
        return boxes

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        return f"EntityMap({len(self)} entities, {self.width}x{self.height})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EntityMap):
            return NotImplemented
        same = np.array_equal(self.labels, other.labels) and np.array_equal(self.scores, other.scores)
        return same and self.names == other.names

    __hash__ = None  # type: ignore[assignment]

    def at(self, x: float, y: float) -> int:
        """The id of the pixel that contains point x, y; 0 if it has no entity or lies outside the picture."""
        return int(self.labels[int(y), int(x)]) if 0 <= x < self.width and 0 <= y < self.height else 0

    def in_box(self, x0: float, y0: float, x1: float, y1: float, *, min_fraction: float = 0.0) -> list[int]:
        """The ids in a box, in ascending order.

        Args:
            x0, y0, x1, y1: the box in pixels, x1 and y1 exclusive; pixels partly in the box count, and parts outside
                the picture are ignored.
            min_fraction: fraction of its area, 0..1, that an entity must have in the box, and at least one pixel.

        Raises:
            InputError: a side of the box is not a number, or the fraction is out of range.
        """
        for name, side in (("x0", x0), ("y0", y0), ("x1", x1), ("y1", y1)):
            check_number(name, side)
        check_number("min_fraction", min_fraction, 0, 1)
        x0, x1 = np.clip((x0, x1), 0, self.width)
        y0, y1 = np.clip((y0, y1), 0, self.height)
        inside = self.labels[math.floor(y0) : math.ceil(y1), math.floor(x0) : math.ceil(x1)]
        areas = count_labels(inside, len(self))[1:]
        return (np.flatnonzero((areas > 0) & (areas >= min_fraction * self.areas)) + 1).tolist()

    def mask(self, ids: int | Iterable[int]) -> np.ndarray:
        """The union of one or several entities, (H, W) bool; InputError for an id that does not exist."""
        wanted = self.checked_ids(ids)
        mask = np.zeros(self.labels.shape, bool)
        if len(wanted):
            box = self._box_of(wanted)
            mask[box] = self._inside(wanted, box)
        return mask

    def cutout(self, image: np.ndarray, ids: int | Iterable[int]) -> np.ndarray:
        """The pixels of one or several entities, cropped to their common box and transparent elsewhere.

        Args:
            image: (H, W, 3) uint8 RGB, the picture of this map.
            ids: at least one id.

        Returns:
            (h, w, 4) uint8 RGBA, alpha 255 inside; outside, colour and alpha are 0.

        Raises:
            InputError: an id does not exist, none is given, or the picture has another size.
        """
        wanted = self.checked_ids(ids)
        if not len(wanted):
            raise InputError("Nothing to cut out: give at least one entity id.")
        self.check_image(image)
        box = self._box_of(wanted)
        alpha = self._inside(wanted, box).astype(np.uint8) * np.uint8(255)
        return np.dstack([image[box] & alpha[..., None], alpha])

    def keep(self, ids: int | Iterable[int]) -> EntityMap:
        """A map with only these entities, renumbered in the same order; the pixels of the others become 0."""
        wanted = self.checked_ids(ids)
        new_ids = np.zeros(len(self) + 1, np.int32)
        new_ids[wanted] = np.arange(1, len(wanted) + 1)
        names = tuple(self.names[k - 1] for k in wanted)
        return EntityMap(look_up(new_ids, self.labels), self.scores[wanted - 1], names)

    def to_rles(self) -> list[rle.Rle]:
        """One compressed COCO RLE per entity, in the order of the ids."""
        return rle.encode_labels(self.labels, len(self))

    def to_polygons(self) -> list[list[np.ndarray]]:
        """The outlines of every entity, in the order of the ids; filled, they give exactly its pixels.

        Returns:
            For each entity, one (P, 2) int64 array of x, y in pixels per piece, along the edges of the pixels; (0, 0)
            is the outer corner of the picture, and holes are joined to the rim by seams.
        """
        found = []
        for number, (x0, y0, x1, y1) in enumerate(self.boxes.tolist(), start=1):
            found.append(outline(self.labels[y0:y1, x0:x1] == number, (x0, y0)))
        return found

    def to_coco(
        self,
        *,
        image_id: int = 1,
        file_name: str = "",
        polygons: bool = False,
        tracks: Sequence[int] | np.ndarray | None = None,
    ) -> dict[str, Any]:
        """The map as a COCO dict that `json.dump` accepts and `from_coco` turns back into an equal map.

        Args:
            image_id: id of the picture.
            file_name: file name of the picture.
            polygons: whether to write masks as polygons, for tools that do not read RLE, instead of compressed RLEs.
            tracks: for a frame of a clip, the track of every entity, written as "id" and "track_id" of its annotation.

        Returns:
            "images" (one), "annotations" (id, score, segmentation, area, bbox as x, y, width, height in pixels) and
            "categories" (the names, and "entity" for entities without one).
        """
        masks: list[Any] = list(self.to_rles())
        if polygons:
            masks = [[outer.ravel().tolist() for outer in pieces] for pieces in self.to_polygons()]
        content = formats.coco_dict(
            masks, self.scores, self.areas, self.boxes, self.labels.shape, image_id, file_name, self.names
        )
        for annotation, track in zip(content["annotations"], () if tracks is None else tracks):
            annotation["id"] = annotation["track_id"] = int(track)
        return content

    def save_coco(
        self,
        path: str | Path,
        *,
        file_name: str = "",
        polygons: bool = False,
        tracks: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        """Writes `to_coco` as JSON; OutputError if that fails, and then no file is left."""
        content = self.to_coco(file_name=file_name, polygons=polygons, tracks=tracks)
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def save_labels_png(self, path: str | Path) -> None:
        """Writes the labels as a 16-bit grey PNG, pixel = id, with scores and names in text fields of the file.

        Raises:
            OutputError: there are more than 65535 entities, or the file cannot be written; then no file is left.
        """
        formats.write_labels_png(path, self.labels, self.scores, self.names)

    def check_image(self, image: np.ndarray) -> None:
        """InputError unless `image` is an (H, W, 3) uint8 picture of this map's size."""
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != (self.height, self.width, 3):
            raise InputError(
                f"The entities belong to a picture of {self.width}x{self.height} pixels; give it as an array (height, "
                f"width, 3) of uint8, not {type_name(image)}."
            )

    def checked_ids(self, ids: int | Iterable[int]) -> np.ndarray:
        """The same ids, (K,) int64, ascending and without duplicates; InputError for one that does not exist."""
        given = np.array(list(ids) if isinstance(ids, Iterable) else [ids])
        if given.ndim != 1 or (len(given) and given.dtype.kind not in "iu"):
            raise InputError(f"Entity ids are whole numbers, not {ids!r}.")
        unknown = given[(given < 1) | (given > len(self))]
        if len(unknown):
            there_are = (
                f"the ids of this picture go from 1 to {len(self)}" if len(self) else "this picture has no entities"
            )
            raise InputError(f"There is no entity {unknown[0]}: {there_are}.")
        return np.unique(given).astype(np.int64)

    def _box_of(self, ids: np.ndarray) -> tuple[slice, slice]:
        boxes = self.boxes[ids - 1]
        (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        return slice(int(y0), int(y1)), slice(int(x0), int(x1))

    def _inside(self, ids: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
        if len(ids) == 1:
            return self.labels[box] == ids[0]
        wanted = np.zeros(len(self) + 1, bool)
        wanted[ids] = True
        return look_up(wanted, self.labels[box])


def _largest_label(labels: np.ndarray) -> int:
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise InputError(f"Labels must be whole numbers of shape (height, width), not {labels.dtype} {labels.shape}.")
    if not labels.size:
        raise InputError(f"A label map must be at least 1 x 1 pixels, not {labels.shape}.")
    smallest, largest = int(labels.min()), int(labels.max())
    if smallest < 0 or largest > MAX_LABEL:
        raise InputError(f"Labels must lie between 0 and {MAX_LABEL}, but these go from {smallest} to {largest}.")
    return largest


def _checked_size(size: Any) -> tuple[int, ...]:
    try:
        checked = tuple(size)
    except TypeError:
        checked = ()
    if len(checked) != 2 or not all(is_whole(side) for side in checked):
        raise InputError(f"The size of a picture must be two whole numbers (height, width), not {size!r}.")
    return checked


def _checked_scores(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            checked = np.array(scores, dtype=np.float32)
    except (TypeError, ValueError):
        raise InputError("Scores must be a list of numbers.") from None
    if checked.ndim != 1 or not np.isfinite(checked).all():
        raise InputError(
            f"Scores must be a one-dimensional array of finite numbers; these have shape {checked.shape} or hold NaN."
        )
    return checked


def _checked_names(names: Sequence[str | None] | None, count: int) -> tuple[str | None, ...]:
    if names is None:
        return (None,) * count
    checked = () if isinstance(names, str) else tuple(name or None for name in names)
    if len(checked) != count or not all(name is None or isinstance(name, str) for name in checked):
        raise InputError(f"Names must be a list of {count} texts or None, one for each score.")
    return checked


def _checked_mask(mask: np.ndarray | rle.Rle) -> np.ndarray | rle.Rle:
    """The checked mask; an RLE is unpacked, so that its counts are parsed only once."""
    if isinstance(mask, Mapping):
        return rle.unpacked(mask)
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biu":
        raise InputError(f"A mask must be bool, not {mask.dtype}; threshold it first: mask > 0.5.")
    for axis in (0, -1):
        if mask.ndim == 3 and mask.shape[axis] == 1:  # a channel axis, as in many networks' output
            mask = mask.squeeze(axis)
    return mask


def _mask_area(mask: np.ndarray | rle.Rle) -> int:
    return rle.area(mask) if isinstance(mask, Mapping) else int(np.count_nonzero(mask))
