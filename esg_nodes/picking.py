"""The node in which entities are chosen by clicks or by a text; clicks are stored as text, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ..esg import Grounding, InputError, check_choice, choose, choose_tracks, follow, shrink
from ..esg import invert as others
from .host import UNSERVED, host
from .inputs import switch, text, wire
from .later import LaterMaps
from .values import ENTITIES, Entities, check_pairs, later_mask, one_by_one, pictures

PREVIEW = 1024  # pixels, longest side of the picture to click on


class PickEntities:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Chooses entities: run it once, then click them in the node, or write a text: 3,5-7 / largest 2 / leftmost / "
        'centre / score>=0.5 / area>=5% / phrase: dog / not 3 / [{"x": 40, "y": 30}]. In a batch, the text applies to '
        "all pictures that do not have their own, such as: picture 2: 3,5. In a clip, the chosen entities are followed "
        "through all pictures."
    )
    SEARCH_ALIASES = ("click to select", "select mask", "point selector", "pick mask", "n-th mask", "sam", "sam points")
    RETURN_TYPES = ("MASK", ENTITIES, ENTITIES, "STRING")
    RETURN_NAMES = ("mask", "picked", "rest", "ids")
    OUTPUT_TOOLTIPS = (
        "All chosen entities, one mask for each picture.",
        "The chosen entities, renumbered; in a clip, they keep their numbers.",
        "All other entities, renumbered; in a clip, they keep their numbers.",
        "The numbers of the chosen entities, as in 3,5-7; one line for each picture.",
    )
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True, True, True, True)
    FUNCTION = "pick_lists"
    OUTPUT_NODE = True  # runs even if nothing is connected to it, so that there is a picture to click

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "The pictures that the entities come from."),
                "entities": wire(ENTITIES, "From Segment Entities, Ground Text, Masks to Entities or any other node."),
                "picks": text(
                    "",
                    "The choice. Clicks write numbers here, and you can write: 3,5-7 / all / largest 2 / smallest / "
                    "best 3 / leftmost / rightmost / top / bottom / centre / score>=0.5 / area>=5% / phrase: dog / "
                    "not 3; separate several with commas. `phrase:` needs entities from Ground Text. What follows "
                    "`picture 2:` applies to the second picture only.",
                ),
                "invert": switch(False, "Choose all other entities instead."),
            },
            "optional": {
                "more": wire(
                    "STRING", "Another text like `picks`, from a node, such as points as JSON.", forceInput=True
                ),
                "boxes": wire(  # forceInput, or newer frontends draw a box of their own and always send it
                    "BOUNDING_BOX",
                    "Entities that are in these boxes with at least half of their area.",
                    forceInput=True,
                ),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, picks: Any = None) -> bool | str:
        return unreadable(picks)

    def pick_lists(self, **lists: list[Any]) -> dict[str, Any]:
        done, before = [], 0
        for given in one_by_one(lists):
            done.append(self.pick(**given, before=before))
            before += len(given["entities"])
        # In a list, some of the pictures may have a number, as in a batch.
        missing = _missing(given["entities"], given["picks"]) if len(done) == 1 else ""
        host().say(" ".join(filter(None, (UNSERVED, missing))))
        shown = [page for one in done for page in one["ui"]["esg_pick"]]
        return {"ui": {"esg_pick": shown}, "result": tuple(map(list, zip(*(one["result"] for one in done))))}

    def pick(
        self,
        image: Tensor,
        entities: Entities,
        picks: str,
        invert: bool,
        more: str | None = None,
        boxes: Any = None,
        before: int = 0,
    ) -> dict[str, Any]:
        """Chooses in one batch of pictures; `before` is the number of pictures in earlier batches."""
        check_pairs(image, entities)
        # Numbers that were clicked on another picture may not exist in this one; it must be shown all the same, so that
        # the user can click again.
        wanted = [
            entities.choose(picks, strict=False, first=before + 1),
            entities.choose(more or "", strict=False, first=before + 1),
            _in_boxes(entities, boxes),
        ]
        chosen = [sorted({*a, *b, *c}) for a, b, c in zip(*wanted)]
        rest = [others(found, ids) for found, ids in zip(entities.maps, chosen)]
        if invert:
            chosen, rest = rest, chosen
        result = (
            later_mask(len(image), image.shape[1:3], lambda k: entities.maps[k].mask(chosen[k])),
            kept(entities, chosen),
            kept(entities, rest),
            "\n".join(entities.written(chosen)),
        )
        return {"ui": {"esg_pick": _previews(image, entities, chosen)}, "result": result}


def unreadable(what: Any) -> bool | str:
    """For VALIDATE_INPUTS: True, or why a text cannot be read; a text from another node is not known yet."""
    for words in what if isinstance(what, list) else [what]:
        try:
            check_choice(words or "")
        except InputError as error:
            return str(error)
    return True


def _missing(entities: Entities, picks: str) -> str:
    """A sentence if the text has numbers that one picture, or a clip, does not have; otherwise an empty text."""
    try:
        entities.choose(picks)
    except InputError as error:
        return str(error)
    return ""


def kept(entities: Entities, chosen: Sequence[Sequence[int]]) -> Entities:
    """Only these entities of each picture, renumbered, with their phrases and tracks."""
    groundings: list[Grounding | None] = []
    for found, grounding, ids in zip(entities.maps, entities.groundings, chosen):
        new_ids = np.zeros(len(found) + 1, np.int32)
        new_ids[[*ids]] = np.arange(1, len(ids) + 1)
        groundings.append(follow(grounding, new_ids) if grounding else None)
    tracks = entities.tracks and [own[np.array(ids, int) - 1] for own, ids in zip(entities.tracks, chosen)]
    maps = LaterMaps(len(entities), lambda k: entities.maps[k].keep(chosen[k]))
    return Entities.of(maps, groundings, tracks)


def _in_boxes(entities: Entities, boxes: Any) -> list[list[int]]:
    """The ids in each picture that are in boxes; in a clip, they are followed from the pictures that have boxes."""
    count = len(entities)
    if boxes is None or not count:
        return [[] for _ in range(count)]
    items = [boxes] if isinstance(boxes, dict) else boxes
    by_picture = isinstance(items, (list, tuple)) and items and all(isinstance(one, (list, tuple)) for one in items)
    of_each = [list(one) for one in items] if by_picture else [items] * count
    if not isinstance(items, (list, tuple)) or not all(_is_box(box) for own in of_each for box in own):
        raise InputError(
            "boxes must be {x, y, width, height} in pixels, or lists of these; connect a node that makes such boxes."
        )
    if len(of_each) != count:
        raise InputError(
            f"There are boxes for {len(of_each)} pictures, but {count} pictures; connect boxes of the same pictures."
        )
    if entities.tracks is None:
        return [choose(found, own) for found, own in zip(entities.maps, of_each)]
    first = of_each if by_picture else of_each[:1]
    tracks: set[int] = set()
    for found, own, numbers in zip(entities.maps, first, entities.tracks):
        tracks.update(choose_tracks([found], [numbers], own))
    return entities.of_numbers(tracks)


def _is_box(value: Any) -> bool:
    """Whether it is a box, and not a number or a point, which would choose something else."""
    return isinstance(value, dict) and {"x", "y", "width", "height"} <= value.keys()


def _previews(image: Tensor, entities: Entities, chosen: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """The data that the widget draws for each picture: files in the folder of previews, and numbers."""
    previews = []
    for one, found, own, ids in zip(image, entities.maps, entities.numbers, chosen):
        step = max(1, max(found.labels.shape) // (2 * PREVIEW))  # to shrink all of a large picture takes a second
        (photo,) = pictures(one[None, step // 2 :: step, step // 2 :: step])
        small, labels = shrink(photo, found.labels[step // 2 :: step, step // 2 :: step], PREVIEW)
        numbers = np.append(0, own)[labels]
        colours = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], axis=-1).astype(np.uint8)
        picture, map_of_numbers = host().temp_path(".jpg"), host().temp_path(".png")
        Image.fromarray(small).save(picture, quality=90)
        Image.fromarray(colours).save(map_of_numbers, compress_level=1)
        files = {
            name: {"filename": path.name, "subfolder": "", "type": "temp"}
            for name, path in (("picture", picture), ("labels", map_of_numbers))
        }
        previews.append(
            {
                **files,
                "count": len(found),
                "width": labels.shape[1],
                "height": labels.shape[0],
                "scale": found.width / labels.shape[1],
                "numbers": sorted(own.tolist()),
                "clip": entities.tracks is not None,
                "ids": sorted(own[np.array(ids, int) - 1].tolist()),
            }
        )
    return previews
