"""Masks of a photo that may overlap, with scores: an alternative to an EntityMap, in COCO's format for results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .rle import Rle


class ScoredMask(NamedTuple):
    """A mask that may overlap with others.

    Attributes:
        rle: the mask, a compressed COCO RLE at the photo's size.
        score: 0..1.
        name: name of its class, None if the model does not know classes.
        category_id: id of its class; 1 if the model does not know classes.
    """

    rle: Rle
    score: float
    name: str | None = None
    category_id: int = 1


def coco_results(masks: Iterable[ScoredMask], image_id: int | str, file_name: str = "") -> list[dict[str, Any]]:
    """COCO results: one object per mask, which evaluators and `read_masks` accept.

    >>> (result,) = coco_results([ScoredMask({"size": [1, 2], "counts": "02"}, 0.5, "dog", 18)], 139)
    >>> result["image_id"], result["category_id"], result["score"]
    (139, 18, 0.5)
    """
    about = {"file_name": file_name} if file_name else {}
    return [
        {
            "image_id": image_id,
            **about,
            "category_id": one.category_id,
            "segmentation": dict(one.rle),
            "score": one.score,
            **({"category_name": one.name} if one.name else {}),
        }
        for one in masks
    ]
