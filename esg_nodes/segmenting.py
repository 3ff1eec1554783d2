"""The node that segments pictures."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .inputs import MANY, choice, number, switch, whole, wire
from .loading import Loaded
from .recalling import segmented
from .values import ENTITIES, SEGMENTER, Entities, entity_masks, later_overlay

LIMITS = {
    "min_score": number(-1, -1, 1, "Drop entities with a lower score. Scores reach 0.73; -1: the model's default."),
    "min_area": whole(0, 0, MANY, "Drop entities with fewer pixels."),
}
"""Inputs of all nodes that segment."""

EACH, ALL = MASKS_OF = ("each entity", "all in one")


class SegmentEntities:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Segments every picture of a batch into its entities: everything in it, without overlap. Entities are numbered "
        "from 1 by descending score. Those of models that know classes are named after them."
    )
    SEARCH_ALIASES = (
        "segment everything",
        "entity segmentation",
        "auto mask",
        "segment anything",
        "sam",
        "sam2",
        "cropformer",
    )
    RETURN_TYPES = (ENTITIES, "MASK", "IMAGE")
    RETURN_NAMES = ("entities", "masks", "overlay")
    OUTPUT_TOOLTIPS = (
        "The entities of every picture.",
        "One mask for each entity, in numerical order, starting with the first picture; or one for each picture. If "
        "nothing is found, one empty mask.",
        "The pictures with their entities in colours.",
    )
    FUNCTION = "segment"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "segmenter": wire(SEGMENTER, "From Load Segmenter."),
                "image": wire("IMAGE", "Pictures of any size."),
                "crops": choice(
                    ["auto", "4", "8", "0"],
                    "Number of high-resolution crops besides the whole picture. The authors' models find smaller "
                    "things and better outlines with them; without crops, it takes a fifth of the time. auto: 4, or 0 "
                    "for cropformer-nano, which does better without.",
                ),
                **LIMITS,
                "max_count": whole(
                    0, 0, 1000, "Maximum number of entities per picture, those with the highest scores; 0: all."
                ),
                "masks_of": choice(
                    MASKS_OF, "each entity: masks has a mask for each entity. all in one: it has one for each picture."
                ),
                "numbers": switch(False, "Write the numbers of the entities into the overlay."),
            },
            "optional": {
                "fusion": choice(
                    ["auto", "boc", "bc", "bo", "io"],
                    "Level and views that the result is built from. boc: batch level, picture and crops. bc: batch "
                    "level, crops only. bo: batch level, picture only. io: image level, picture only. auto: boc, or io "
                    "without crops.",
                    advanced=True,
                ),
                "fill_holes": whole(0, 0, MANY, "Fill holes in an entity of up to this many pixels.", advanced=True),
                "remove_islands": whole(
                    0,
                    0,
                    MANY,
                    "Drop separate parts of an entity with fewer pixels, but never its largest.",
                    advanced=True,
                ),
                "size": whole(
                    0,
                    0,
                    4096,
                    "Short side, in pixels, of the views that the model gets; 0: the model's default.",
                    step=32,
                    advanced=True,
                ),
                "crop_ratio": number(
                    0,
                    0,
                    1,
                    "Side of a crop as a share of the picture's side; 0: the model's default, 0.7.",
                    advanced=True,
                ),
            },
        }

    def segment(
        self,
        segmenter: Loaded,
        image: Tensor,
        crops: str,
        min_score: float,
        min_area: int,
        max_count: int,
        masks_of: str,
        numbers: bool,
        fusion: str = "auto",
        fill_holes: int = 0,
        remove_islands: int = 0,
        size: int = 0,
        crop_ratio: float = 0,
    ) -> tuple[Entities, Tensor, Tensor]:
        options = {
            "crops": None if crops == "auto" else int(crops),
            "crop_ratio": crop_ratio or None,
            "fusion": None if fusion == "auto" else fusion,
            "size": size or None,
        }
        filters = {
            "min_score": None if min_score < 0 else min_score,
            "min_area": min_area,
            "fill_holes": fill_holes,
            "remove_islands": remove_islands,
        }
        maps = [
            found.keep(range(1, max_count + 1)) if 0 < max_count < len(found) else found
            for found in segmented(segmenter, image, options, filters)
        ]
        entities = Entities.of(maps)
        masks = entity_masks(entities, each=masks_of == EACH)
        return entities, masks, later_overlay(image, entities, numbers=numbers)
