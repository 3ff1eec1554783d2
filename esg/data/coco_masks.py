"""The mask of an annotation in COCO's format, pixel for pixel as the official evaluator draws it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..entities import rle
from ..entities.importing.fields import Unusable, points, shown
from ..entities.polygons import fill_polygons
from ..support.errors import InputError


def mask_of(annotation: Mapping[str, Any], size: tuple[int, int]) -> rle.Rle:
    """The RLE, with compressed counts, of an annotation's `segmentation`: polygons, an RLE, or a list of RLEs.

    Polygons are drawn by pycocotools; without it, by ours, which differs from it by some pixels along the outline.

    Raises:
        Unusable: there is no mask, or it cannot be used; the message says why.
    """
    segmentation = annotation.get("segmentation")
    if segmentation in (None, [], {}, ""):
        raise Unusable("without a mask")
    if isinstance(segmentation, Mapping):
        return _checked(segmentation, size)
    if isinstance(segmentation, list) and all(isinstance(one, Mapping) for one in segmentation):
        return rle.union([_checked(one, size) for one in segmentation])
    if not isinstance(segmentation, list):
        raise Unusable(f"whose segmentation is {shown(segmentation)}")
    flat = not any(isinstance(one, list | tuple) for one in segmentation)
    try:
        polygons = [points(one) for one in ([segmentation] if flat else segmentation)]
    except Unusable:
        raise Unusable("whose polygon is not a list of coordinates") from None
    polygons = [one for one in polygons if len(one) >= 3]
    if not polygons:
        raise Unusable("whose polygon has fewer than three points")
    return _drawn(polygons, size)


def _checked(segmentation: Mapping[str, Any], size: tuple[int, int]) -> rle.Rle:
    """An RLE with compressed counts of exactly this size."""
    try:
        if rle.size_of(segmentation) != size:
            height, width = rle.size_of(segmentation)
            raise Unusable(f"whose mask has {width}x{height} pixels instead of the photo's {size[1]}x{size[0]}")
        counts = rle.read_counts(segmentation)
    except InputError:
        raise Unusable("whose RLE is damaged") from None
    given = segmentation["counts"]
    text = given if isinstance(given, str) else given.decode("ascii") if isinstance(given, bytes) else None
    return {"size": list(size), "counts": rle.compress(counts) if text is None else text}


def _drawn(polygons: list[np.ndarray], size: tuple[int, int]) -> rle.Rle:
    try:
        from pycocotools import mask as coco_mask
    except ImportError:
        return fill_polygons(polygons, *size)
    merged = coco_mask.merge(coco_mask.frPyObjects([one.ravel().tolist() for one in polygons], *size))
    return {"size": list(size), "counts": merged["counts"].decode("ascii")}
