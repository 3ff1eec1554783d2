"""A photo with a label map and the names of its entities, as given by all sources of photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNKNOWN = -1
"""The label of pixels that nobody has labelled: they may belong to an entity or to none."""


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo and the known facts about its entities.

    Attributes:
        name: name of the photo's file, without its suffix.
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int32: entities 1..N, 0 = no entity, `UNKNOWN` = not labelled.
        categories: N names, starting with entity 1; None where the category is unknown.
        captions: captions written by people; may be empty.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    categories: tuple[str | None, ...]
    captions: tuple[str, ...] = ()
