"""A photo with a label map and the names of its entities: what all sources of photos give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNKNOWN = -1
"""The label of pixels that nobody has labelled: they may belong to an entity or to none."""


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo and what is known of its entities.

    Attributes:
        name: of the photo's file, without its ending.
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int32: entities 1..N, 0 = no entity, `UNKNOWN` = not labelled.
        categories: N names, that of entity 1 first; None where the category is not known.
        captions: what people wrote about it; none where nobody has.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    categories: tuple[str | None, ...]
    captions: tuple[str, ...] = ()
