"""Nodes that convert entities to and from the formats of other nodes and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..esg import EntityMap, Grounding, InputError, Phrase, palette
from .host import host
from .inputs import checked_before, choice, number, switch, text, whole, wire
from .later import Later
from .segs import from_segs, to_segs
from .values import (
    ENTITIES,
    Entities,
    checked_image,
    entity_masks,
    fitted,
    number_mask,
    pictures,
    read_masks,
    to_image,
    with_pictures,
)


class EntitiesToMasks:
    CATEGORY = "ESG/convert"
    DESCRIPTION = "Makes a mask for each entity, in numerical order: as one batch, and as a list of single masks."
    SEARCH_ALIASES = ("separate masks", "mask batch", "mask list", "split masks")
    RETURN_TYPES = ("MASK", "MASK")
    RETURN_NAMES = ("mask_batch", "mask_list")
    OUTPUT_TOOLTIPS = (
        "All masks as one batch, starting with the first picture; one empty mask if there are no entities.",
        "The same masks one by one: the nodes after it run once for each. For a clip, a batch for each track, with a "
        "mask for each picture.",
    )
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True, True)
    FUNCTION = "convert_lists"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"entities": wire(ENTITIES, "From any node.")}}

    def convert_lists(self, entities: list[Entities]) -> tuple[list[Tensor], list[Tensor]]:
        batches: list[Tensor] = []
        single: list[Tensor] = []
        for place, given in enumerate(entities):
            batch, masks = self.convert(given)
            for mask in masks:
                mask.batch = place, len(entities)
            batches.append(batch)
            single += masks
        return batches, single

    def convert(self, entities: Entities) -> tuple[Later, list[Later]]:
        """Converts one batch of pictures."""
        everything = sorted({int(number) for own in entities.numbers for number in own})
        if entities.tracks is not None:
            masks = [number_mask(entities, [track]) for track in everything]
        else:
            masks = [
                number_mask(Entities.of([found]), [number])
                for found in entities.maps
                for number in range(1, len(found) + 1)
            ]
        return entity_masks(entities), masks or [entity_masks(entities)]


class EntitiesToSegs:
    CATEGORY = "ESG/convert"
    DESCRIPTION = (
        "Converts entities for the detailers of the Impact Pack: one SEG for each entity, even if it is in several "
        "pieces, labelled with its phrase or class."
    )
    SEARCH_ALIASES = ("segs", "impact pack", "detailer")
    RETURN_TYPES = ("SEGS",)
    RETURN_NAMES = ("segs",)
    OUTPUT_TOOLTIPS = ("For Detailer (SEGS) and other nodes of the Impact Pack.",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "entities": wire(ENTITIES, "Entities of one picture: SEGS does not support batches."),
                "crop_factor": number(
                    3, 1, 100, "Side of the region around an entity, as a multiple of its box.", step=0.1
                ),
            }
        }

    def convert(self, entities: Entities, crop_factor: float) -> tuple[Any]:
        if len(entities) != 1:
            raise InputError(
                f"SEGS are for one picture, but these entities are of {len(entities)} pictures; connect one picture."
            )
        (found,), (own,), (names,) = entities.maps, entities.numbers, entities.names
        labels = [name or f"entity {known}" for name, known in zip(names, own)]
        return (to_segs(found, labels, crop_factor),)


class EntitiesToLabelMap:
    CATEGORY = "ESG/convert"
    DESCRIPTION = (
        "Makes pictures in which every entity has one colour, as ControlNet and other programs expect, or its number "
        "as grey value."
    )
    SEARCH_ALIASES = ("label map", "segmentation map", "id map", "seg controlnet")
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("label_map",)
    OUTPUT_TOOLTIPS = ("A picture for each map; the background is black.",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "entities": wire(ENTITIES, "From any node."),
                "pixels": choice(
                    ["colours", "numbers"],
                    "colours: a different colour for each entity. numbers: number / 255 in all channels, for numbers "
                    "up to 255; in a saved PNG, the grey value is the number.",
                ),
            }
        }

    def convert(self, entities: Entities, pixels: str) -> tuple[Tensor]:
        highest = max((int(own.max(initial=0)) for own in entities.numbers), default=0)
        if pixels == "colours":
            colours = np.concatenate([np.zeros((1, 3), np.uint8), palette(highest)])
        elif highest > 255:
            raise InputError(
                f"The highest number is {highest}, but a grey value can be at most 255; set pixels to colours, or save "
                "COCO JSON."
            )
        else:
            colours = np.repeat(np.arange(highest + 1, dtype=np.uint8)[:, None], 3, axis=1)
        pairs = zip(entities.maps, entities.numbers)
        return (to_image([colours[np.append(0, own)][found.labels] for found, own in pairs]),)


class EntitiesToBoxes:
    CATEGORY = "ESG/convert"
    DESCRIPTION = "Lists the box around each entity, for nodes that accept boxes, such as SAM's."
    SEARCH_ALIASES = ("bounding box", "bbox", "bboxes", "sam boxes", "detect")
    RETURN_TYPES = ("BOUNDING_BOX",)
    RETURN_NAMES = ("boxes",)
    OUTPUT_TOOLTIPS = (
        "For each picture a list of boxes in numerical order, each with x, y, width and height in pixels, the score, "
        "and the phrase, class or number as label.",
    )
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"entities": wire(ENTITIES, "From any node.")}}

    def convert(self, entities: Entities) -> tuple[list[list[dict[str, Any]]]]:
        boxes = []
        for found, own, names in zip(entities.maps, entities.numbers, entities.names):
            of_picture = []
            for k in np.argsort(own).tolist():
                x0, y0, x1, y1 = found.boxes[k].tolist()
                about = {"score": float(found.scores[k]), "label": names[k] or str(own[k])}
                of_picture.append({"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, **about})
            boxes.append(of_picture)
        return (boxes,)


class CutOut:
    CATEGORY = "ESG/convert"
    DESCRIPTION = (
        "Cuts the masked area out of its picture and makes the rest transparent. Soft edges of the mask stay soft. "
        "Save the result as PNG."
    )
    SEARCH_ALIASES = ("rgba", "transparent", "remove background", "cutout", "sticker", "png", "alpha")
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "mask")
    OUTPUT_TOOLTIPS = ("Pictures with transparency (RGBA), for Save Image.", "The masks, of the same size.")
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True, True)
    FUNCTION = "cut_out_lists"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "One picture for all masks, or one for each."),
                "mask": wire("MASK", "From Pick Entities, Refine Edges or any other node; white is kept."),
                "crop": switch(True, "Crop to the box around the masked area. Off: the picture keeps its size."),
                "margin": whole(0, 0, 1024, "Pixels around that box."),
            }
        }

    def cut_out_lists(self, **lists: list[Any]) -> tuple[list[Any], list[Any]]:
        return self._unless_empty([self._cut_out(**given) for given in with_pictures(lists)])

    def cut_out(self, *values: Any, **more: Any) -> tuple[list[Any], list[Any]]:
        """Cuts out of one batch of pictures and masks."""
        return self._unless_empty([self._cut_out(*values, **more)])

    def _unless_empty(self, found: list[tuple[list[Tensor], list[Tensor]]]) -> tuple[list[Any], list[Any]]:
        cuts, alphas = ([one for own in found for one in own[k]] for k in (0, 1))
        if not cuts:
            stop = host().block("The mask is empty, so there is nothing to cut out.")
            return [stop], [stop]
        host().say("")
        return cuts, alphas

    def _cut_out(self, image: Tensor, mask: Tensor, crop: bool, margin: int) -> tuple[list[Tensor], list[Tensor]]:
        photos, masks = checked_image(image).cpu(), read_masks(mask)
        count = max(len(photos), len(masks))
        if len(photos) not in (1, count) or len(masks) not in (1, count):
            raise InputError(
                f"{len(masks)} masks do not fit {len(photos)} pictures; connect one mask for each, or a single one."
            )
        height, width = photos.shape[1:3]
        cuts, alphas = [], []
        for k in range(count):
            alpha = torch.from_numpy(fitted(masks[k % len(masks)], (height, width)))
            rows, columns = (alpha.amax(axis).nonzero().flatten().tolist() for axis in (1, 0))
            if not rows:
                continue
            top, bottom = max(rows[0] - margin, 0), rows[-1] + 1 + margin
            left, right = max(columns[0] - margin, 0), columns[-1] + 1 + margin
            box = (slice(top, bottom), slice(left, right)) if crop else (slice(None), slice(None))
            colours = photos[k % len(photos)][box]
            colours = colours[..., :3].expand(*colours.shape[:2], 3)
            cuts.append(torch.cat([colours, alpha[box][..., None]], dim=-1)[None].to(host().results()))
            alphas.append(alpha[box][None].to(host().results()))
        return cuts, alphas


class SaveCoco:
    CATEGORY = "ESG/convert"
    DESCRIPTION = "Saves entities as COCO JSON in the output folder, one file for each picture, and outputs the JSON."
    SEARCH_ALIASES = ("coco", "json", "rle", "annotations", "export masks")
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("coco",)
    OUTPUT_TOOLTIPS = (
        "The JSON of the first picture: for each entity its compressed RLE, box, area, score and, in a clip, track.",
    )
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "entities": wire(ENTITIES, "From any node."),
                "filename_prefix": text(
                    "entities", "Beginning of the file's name in the output folder; it may include folders."
                ),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: Any = None) -> bool | str:
        return checked_before(cls, {"filename_prefix": filename_prefix}, host().check_prefix)

    def save(self, entities: Entities, filename_prefix: str) -> dict[str, Any]:
        saved = []
        tracks = entities.tracks or [None] * len(entities)
        for found, own in zip(entities.maps, tracks):
            path = host().output_path(filename_prefix.strip() or "entities", ".json")
            found.save_coco(path, tracks=own)
            saved.append(str(path))
        return {"ui": {"text": saved}, "result": (Path(saved[0]).read_text(encoding="utf-8"),)}


class MasksToEntities:
    CATEGORY = "ESG/convert"
    DESCRIPTION = (
        "Turns masks of one picture, from SAM, a detector or a brush, into entities that can be picked and grounded. "
        "Where masks overlap, the smaller one gets the pixel, unless you choose another order."
    )
    SEARCH_ALIASES = ("mask to entities", "sam", "import masks", "ground masks")
    RETURN_TYPES = (ENTITIES,)
    RETURN_NAMES = ("entities",)
    OUTPUT_TOOLTIPS = ("Entities of one picture, numbered by size, the largest first.",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "masks": wire("MASK", "A batch of masks of one picture; empty ones are skipped."),
                "threshold": number(0.5, 0, 1, "For soft masks: values above this belong to the entity."),
                "pieces": switch(
                    False, "Turn every connected piece of a mask into an entity, for example for painted masks."
                ),
            },
            "optional": {
                "image": wire("IMAGE", "The picture of the masks; masks of another size are resized to it."),
                "order": choice(
                    ("smaller", "larger", "first", "last", "whole"),
                    "Which mask is on top where masks overlap: the smaller or the larger one, or the first or the last "
                    "of the batch. whole: keep only whole objects of nested masks, such as SAM's. Ignored if pieces is "
                    "on.",
                    advanced=True,
                ),
            },
        }

    def convert(
        self, masks: Tensor, threshold: float, pieces: bool, image: Tensor | None = None, order: str = "smaller"
    ) -> tuple[Entities]:
        found = read_masks(masks)
        size = found[0].shape if image is None else pictures(image[:1])[0].shape[:2]
        inside = [fitted(mask, size) > threshold for mask in found]
        return (Entities.of([_pieces(inside) if pieces else EntityMap.from_masks(inside, size=size, order=order)]),)


class SegsToEntities:
    CATEGORY = "ESG/convert"
    DESCRIPTION = "Turns the SEGS of detectors and of the Impact Pack into entities. Labels become phrases."
    SEARCH_ALIASES = ("segs", "impact pack", "detector", "ultralytics")
    RETURN_TYPES = (ENTITIES,)
    RETURN_NAMES = ("entities",)
    OUTPUT_TOOLTIPS = ("Entities of one picture, by descending score.",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "segs": wire("SEGS", "SEGS of one picture."),
                "threshold": number(0.5, 0, 1, "For soft masks: values above this belong to the entity."),
            }
        }

    def convert(self, segs: Any, threshold: float) -> tuple[Entities]:
        found, labels, odd = from_segs(segs, threshold)
        more = f"; and {len(odd) - 3} more" if len(odd) > 3 else ""
        host().say(f"Skipped: {'; '.join(odd[:3])}{more}." if odd else "")
        return (Entities.of([found], [_named(labels, found.scores)]),)


def _named(labels: list[str], scores: np.ndarray) -> Grounding | None:
    """The names of entities as phrases; entities with the same name share a phrase."""
    names = [name for name in dict.fromkeys(labels) if name.strip()]
    if not names:
        return None
    phrases, start = [], 0
    for name in names:
        ids = tuple(k for k, label in enumerate(labels, start=1) if label == name)
        certain = tuple(float(np.clip(scores[k - 1], 0, 1)) for k in ids)
        phrases.append(Phrase(name, (start, start + len(name)), ids, certain))
        start += len(name) + 2
    return Grounding(", ".join(names), tuple(phrases))


def _pieces(masks: list[np.ndarray]) -> EntityMap:
    """Like `EntityMap.from_masks` for all connected pieces, of which a noisy mask has too many to hold as masks."""
    labels = np.zeros(masks[0].shape, np.int32)
    least = np.full(masks[0].shape, np.iinfo(np.int32).max, np.int32)  # area of the piece that has the pixel
    count = 0
    for mask in masks:
        pieces, found = ndimage.label(mask, np.ones((3, 3)))
        areas = np.bincount(pieces.ravel()).astype(np.int32)[pieces]
        wins = mask & (areas < least)
        labels[wins] = pieces[wins] + count
        least[wins] = areas[wins]
        count += found
    return EntityMap.from_labels(labels)
