"""The node in which entities are clicked, or chosen by a text; what is clicked is kept as a text, too."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ..esg import EntityMap, Grounding, InputError, choose, follow, shrink, write_ids
from ..esg import invert as others
from .host import host
from .inputs import switch, text, wire
from .values import ENTITIES, Entities, check_pairs, pictures, to_mask

PREVIEW = 1024  # pixels, longest side of the picture to click on


class PickEntities:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Choose entities by clicking them in the node, once it has run, or by a text: 3,5-7 / largest 2 / centre / "
        'score>=0.5 / area>=5% / phrase: dog / not 3 / [{"x": 40, "y": 30}]. It holds for all pictures of a batch; '
        "numbers that a picture lacks choose nothing in it."
    )
    SEARCH_ALIASES = ("click to select", "select mask", "point selector", "pick mask", "n-th mask")
    RETURN_TYPES = ("MASK", ENTITIES, ENTITIES, "STRING")
    RETURN_NAMES = ("mask", "picked", "rest", "ids")
    OUTPUT_TOOLTIPS = (
        "All that is chosen, one mask for each picture.",
        "The chosen entities, numbered anew.",
        "The others, numbered anew.",
        "The numbers of what is chosen, as in 3,5-7; one line for each picture.",
    )
    FUNCTION = "pick"
    OUTPUT_NODE = True  # it runs without anything behind it, so that there is something to click

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "The pictures that the entities are of."),
                "entities": wire(ENTITIES, "From Segment Entities, Ground Text or masks of any kind."),
                "picks": text(
                    "",
                    "What is chosen: clicks write numbers here, and you can write: 3,5-7 / all / "
                    "largest 2 / smallest / best 3 / centre / score>=0.5 / area>=5% / phrase: dog / not 3; with commas "
                    "between several.",
                ),
                "invert": switch(False, "Choose all others instead."),
            },
            "optional": {
                "more": wire(
                    "STRING", "A text like `picks` from another node, such as points as JSON.", forceInput=True
                ),
                "boxes": wire(  # forceInput, or newer frontends draw a box of their own and always send it
                    "BOUNDING_BOX", "Entities that lie in these boxes, by at least half of their area.", forceInput=True
                ),
            },
        }

    def pick(
        self,
        image: Tensor,
        entities: Entities,
        picks: str,
        invert: bool,
        more: str | None = None,
        boxes: Any = None,
    ) -> dict[str, Any]:
        photos = pictures(image)
        check_pairs(photos, entities)
        by_picture = _boxes_of(boxes, len(photos))
        chosen = []
        for found, grounding, in_picture in zip(entities.maps, entities.groundings, by_picture):
            # Numbers that were clicked on another picture may not exist in this one; that must not keep it from being
            # shown to be clicked anew.
            ids = {*choose(found, picks, grounding=grounding, strict=False), *choose(found, in_picture)}
            ids |= {*choose(found, more or "", grounding=grounding, strict=False)}
            chosen.append(others(found, ids) if invert else sorted(ids))
        shown = [_preview(*each) for each in zip(photos, entities.maps, chosen)]
        texts = [write_ids(ids) for ids in chosen]
        result = (
            to_mask([found.mask(ids) for found, ids in zip(entities.maps, chosen)], photos[0].shape[:2]),
            kept(entities, chosen),
            kept(entities, [others(found, ids) for found, ids in zip(entities.maps, chosen)]),
            "\n".join(texts),
        )
        return {"ui": {"esg_pick": shown}, "result": result}


def kept(entities: Entities, chosen: list[list[int]]) -> Entities:
    """These entities of each picture alone, numbered anew; phrases follow them."""
    groundings: list[Grounding | None] = []
    for found, grounding, ids in zip(entities.maps, entities.groundings, chosen):
        new_ids = np.zeros(len(found) + 1, np.int32)
        new_ids[ids] = np.arange(1, len(ids) + 1)
        groundings.append(follow(grounding, new_ids) if grounding else None)
    return Entities.of([found.keep(ids) for found, ids in zip(entities.maps, chosen)], groundings)


def _boxes_of(boxes: Any, count: int) -> list[list[Any]]:
    """BOUNDING_BOX is a box, boxes for all pictures, or a list of them for each; → the boxes of every picture."""
    if boxes is None:
        return [[]] * count
    if isinstance(boxes, dict):
        return [[boxes]] * count
    if not isinstance(boxes, (list, tuple)):
        raise InputError("Boxes must be {x, y, width, height} in pixels, or lists of these.")
    if boxes and all(isinstance(one, (list, tuple)) for one in boxes):
        if len(boxes) != count:
            raise InputError(f"There are boxes for {len(boxes)} pictures, but {count} pictures.")
        return [list(one) for one in boxes]
    return [list(boxes)] * count


def _preview(photo: np.ndarray, entities: EntityMap, ids: list[int]) -> dict[str, Any]:
    """What the widget draws: files in the folder of previews, and which entities are chosen."""
    small, labels = shrink(photo, entities.labels, PREVIEW)
    numbers = np.stack([labels & 255, labels >> 8 & 255, labels >> 16], axis=-1).astype(np.uint8)
    picture, map_of_numbers = host().temp_path(".jpg"), host().temp_path(".png")
    Image.fromarray(small).save(picture, quality=90)
    Image.fromarray(numbers).save(map_of_numbers, compress_level=1)
    files = {
        name: {"filename": path.name, "subfolder": "", "type": "temp"}
        for name, path in (("picture", picture), ("labels", map_of_numbers))
    }
    return {**files, "count": len(entities), "width": labels.shape[1], "height": labels.shape[0], "ids": ids}
