"""Nodes that hand a piece of a picture to a diffusion model and put back what it makes of it, one mask after another.

What is made for several masks travels as lists, so that nodes between these run once for each: crops differ in size,
and a batch could not hold them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..esg import (
    CropSettings,
    EntityMap,
    Grounding,
    InputError,
    Stitch,
    choose,
    cut_for_inpainting,
    remove_with_opencv,
    stitch_back,
)
from .host import host
from .inputs import choice, number, switch, text, whole, wire
from .values import ENTITIES, STITCH, Entities, checked_image, fitted, read_masks, to_mask

PHRASE, ENTITY = EACH = ("phrase", "entity")


@dataclass(frozen=True)
class StitchRecord:
    """ESG_STITCH: where a crop belongs.

    Attributes:
        picture: index of its picture in the batch.
        stitch: its place there.
    """

    picture: int
    stitch: Stitch


class MaskToInpaint:
    CATEGORY = "ESG/inpaint"
    DESCRIPTION = (
        "Cuts the surroundings of a mask out of a picture, at a size that suits the diffusion model. Of several masks "
        "it makes a list, and what comes next runs once for each; Inpaint Stitch puts them all back. An empty mask "
        "gives the whole picture, of which nothing will change."
    )
    SEARCH_ALIASES = ("inpaint crop", "crop and stitch", "crop to mask", "mask crop")
    RETURN_TYPES = ("IMAGE", "MASK", "MASK", "MASK", STITCH)
    RETURN_NAMES = ("crop", "generation_mask", "blend_mask", "full_mask", "stitch")
    OUTPUT_TOOLTIPS = (
        "The crop, for the diffusion model.",
        "What is to be made anew in it: the mask, grown.",
        "How much of the result will be shown: the mask, with soft edges.",
        "The same at the size of the picture.",
        "For Inpaint Stitch.",
    )
    OUTPUT_IS_LIST = (True, True, True, True, True)
    FUNCTION = "cut"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        default = CropSettings()
        return {
            "required": {
                "image": wire("IMAGE", "One picture for all masks, or one for each."),
                "mask": wire("MASK", "One mask for all pictures, one for each, or several of one picture."),
                "target": whole(
                    default.target,
                    0,
                    8192,
                    "Square root of the crop's area in pixels: 512 for SD 1.5, 1024 for SDXL and newer; 0: as large as "
                    "it is in the picture.",
                    step=8,
                ),
                "multiple": choice(["8", "16", "64"], "Sides of the crop are multiples of so many pixels."),
                "context": number(
                    default.context,
                    1,
                    10,
                    "Sides of the crop, in sides of the mask's box: how much the model sees around.",
                ),
                "grow": whole(default.grow, 0, 1024, "Pixels of the picture by which more than the mask is made anew."),
                "feather": whole(
                    default.feather,
                    0,
                    1024,
                    "Pixels of the picture, outside the mask, over which the result fades out.",
                ),
                "fill_holes": switch(default.fill_holes, "Make anew what lies in holes of the mask, too."),
            }
        }

    def cut(
        self,
        image: Tensor,
        mask: Tensor,
        target: int,
        multiple: str,
        context: float,
        grow: int,
        feather: int,
        fill_holes: bool,
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor], list[StitchRecord]]:
        settings = CropSettings(target, int(multiple), context, grow, feather, fill_holes)
        photos, found = _photos(image), read_masks(mask)
        count = max(len(photos), len(found))
        if len(photos) not in (1, count) or len(found) not in (1, count):
            raise InputError(
                f"{len(found)} masks do not fit {len(photos)} pictures; give as many, or only one picture or one mask."
            )
        crops = []
        for k in range(count):
            photo = photos[k % len(photos)]
            crops.append(cut_for_inpainting(photo, fitted(found[k % len(found)], photo.shape[:2]), settings))
        return (
            [_image([crop.picture]) for crop in crops],
            [to_mask([crop.generation]) for crop in crops],
            [to_mask([crop.blend]) for crop in crops],
            [to_mask([crop.stitch.full_mask]) for crop in crops],
            [StitchRecord(k % len(photos), crop.stitch) for k, crop in enumerate(crops)],
        )


class InpaintStitch:
    CATEGORY = "ESG/inpaint"
    DESCRIPTION = (
        "Puts what the diffusion model made of crops back into their pictures, one after the other. Outside the soft "
        "edge of the masks no pixel changes. A crop that comes in several variants gives as many pictures."
    )
    SEARCH_ALIASES = ("uncrop", "paste back", "crop and stitch", "composite")
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "mask")
    OUTPUT_TOOLTIPS = ("The whole pictures.", "Where they may have changed, with soft edges.")
    INPUT_IS_LIST = True
    FUNCTION = "stitch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "The pictures that were given to Mask to Inpaint."),
                "inpainted": wire("IMAGE", "What became of its crops, of any size."),
                "stitch": wire(STITCH, "From Mask to Inpaint."),
                "match_colour": number(
                    0,
                    0,
                    1,
                    "How far the result is brought to the colours around the mask: 0 as it is, 1 fully.",
                    step=0.05,
                ),
            }
        }

    def stitch(
        self, image: list[Tensor], inpainted: list[Tensor], stitch: list[StitchRecord], match_colour: list[float]
    ) -> tuple[Tensor, Tensor]:
        if len(image) != 1:
            raise InputError(
                f"Inpaint Stitch takes one batch of pictures, and got a list of {len(image)}; make a batch of it first."
            )
        if len(inpainted) != len(stitch):
            raise InputError(f"There are {len(stitch)} crops to put back, but {len(inpainted)} pictures to put there.")
        photos = _photos(image[0])
        if stitch and max(record.picture for record in stitch) >= len(photos):
            raise InputError("There are fewer pictures than were cut; connect those that Mask to Inpaint got.")
        variants = max((len(made) for made in inpainted), default=1)
        if not variants:
            raise InputError("The inpainted crops are batches without a picture; the node that they come from failed.")
        if any(len(made) not in (1, variants) for made in inpainted):
            raise InputError("The crops come in different numbers of variants; make as many of each.")
        show = host().progress()
        done, masks = [], []
        for variant in range(variants):
            edited = list(photos)
            changed = [np.zeros(photo.shape[:2], np.float32) for photo in photos]
            for index, (made, record) in enumerate(zip(inpainted, stitch)):
                result = _photos(made[variant % len(made)][None])[0]
                place = record.picture
                edited[place] = stitch_back(edited[place], record.stitch, result, match_colour[0])
                part = changed[place][record.stitch.inside]
                np.maximum(part, record.stitch.blend, out=part)
                show(variant * len(stitch) + index + 1, variants * len(stitch), "crops")
            done += edited
            masks += changed
        return _with_rest(done, image[0]), to_mask(masks)


class ForEach:
    CATEGORY = "ESG/inpaint"
    DESCRIPTION = (
        "Lists masks with a prompt for each phrase or entity, so that what comes next runs once for each and one graph "
        "repaints them all. Mask to Inpaint and Inpaint Stitch take the lists."
    )
    SEARCH_ALIASES = ("loop", "for each mask", "for each phrase", "batch inpaint", "prompt per mask")
    RETURN_TYPES = ("MASK", "STRING", "STRING")
    RETURN_NAMES = ("masks", "prompts", "names")
    OUTPUT_TOOLTIPS = ("A list of masks.", "The prompt for each.", "What each of them is: its phrase, or its number.")
    OUTPUT_IS_LIST = (True, True, True)
    FUNCTION = "list"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "entities": wire(ENTITIES, "Of one picture; phrases come from Ground Text."),
                "each": choice(
                    EACH,
                    "phrase: all that a phrase means is one mask. entity: every entity has a mask of its own, and its "
                    "first phrase for a name.",
                ),
                "prompts": text(
                    "{name}",
                    "A line for each: 'sky = stars at night' is for the phrase sky, '3 = a red door' for entity 3. A "
                    "line without =, or after * =, is for all others; {name} in it stands for the phrase. Without "
                    "such a line the others are left out.",
                    lines=True,
                ),
            },
            "optional": {
                "only": text("", "Only these entities, as in Pick Entities: 3,5-7 / largest 2 / phrase: dog.")
            },
        }

    def list(self, entities: Entities, each: str, prompts: str, only: str = "") -> tuple[Any, Any, Any]:
        if len(entities) != 1:
            raise InputError(f"This needs the entities of one picture, and these are of {len(entities)}.")
        (found,), (grounding,) = entities.maps, entities.groundings
        wanted = set(choose(found, only, grounding=grounding)) if only.strip() else {*range(1, len(found) + 1)}
        general, special = _read_prompts(prompts)
        masks, chosen, names = [], [], []
        named = _named(found, grounding, each)
        known = {_key(name) for name, _ in named} | {str(k) for _, ids in named for k in ids if each == ENTITY}
        if named and special and general is None and not known & {*special}:
            raise InputError(
                f"No line of the prompts fits: there are {', '.join(dict.fromkeys(name for name, _ in named))}. A line "
                "for all others has no = in it, or begins with * =."
            )
        for name, ids in named:
            ids = [k for k in ids if k in wanted]
            key = next((key for key in (_key(name), *map(str, ids if each == ENTITY else [])) if key in special), None)
            prompt = general if key is None else special[key]
            if ids and prompt is not None:
                masks.append(found.mask(ids))
                chosen.append(prompt.replace("{name}", name))
                names.append(name)
        if not masks:  # an empty list would make the nodes behind it fail
            return [to_mask([], found.labels.shape)], [""], [""]
        return [to_mask([mask]) for mask in masks], chosen, names


class InpaintOpenCV:
    CATEGORY = "ESG/inpaint"
    DESCRIPTION = (
        "Removes what is masked without a diffusion model: OpenCV continues what surrounds it. Suits small things on "
        "plain ground."
    )
    SEARCH_ALIASES = ("remove object", "erase", "telea", "cleanup", "cv2 inpaint")
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("The pictures without it; no pixel outside the mask changes.",)
    FUNCTION = "remove"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "Pictures."),
                "mask": wire("MASK", "One for each picture, or one for all; what is above 0.5 is removed."),
                "grow": whole(4, 0, 1024, "Pixels by which more than the mask is removed, such as shadows and seams."),
                "method": choice(["telea", "ns"], "telea: fast marching; ns: after Navier and Stokes."),
                "radius": number(3, 0.5, 100, "Pixels around a point that it is made from.", step=0.5),
            }
        }

    def remove(self, image: Tensor, mask: Tensor, grow: int, method: str, radius: float) -> tuple[Tensor]:
        photos, found = _photos(image), read_masks(mask)
        if len(found) not in (1, len(photos)):
            raise InputError(f"{len(found)} masks do not fit {len(photos)} pictures; give as many, or one for all.")
        show = host().progress()
        done = []
        for k, photo in enumerate(photos):
            hole = fitted(found[k % len(found)], photo.shape[:2]) > 0.5
            if grow:
                hole = cut_for_inpainting(photo, hole, CropSettings(0, 1, 1, grow, 0, False)).stitch.full_mask > 0
            done.append(remove_with_opencv(photo, hole, method=method, radius=radius))
            show(k + 1, len(photos), "pictures")
        return (_with_rest(done, image),)


def _photos(image: Tensor) -> list[np.ndarray]:
    """IMAGE → (H, W, 3) float32 pictures as they are, since what is not edited must not change by a bit."""
    pixels = checked_image(image)[..., :3].cpu().numpy()
    return [np.ascontiguousarray(np.broadcast_to(one, (*one.shape[:2], 3))) for one in pixels]


def _image(photos: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(photos)).to(host().results())


def _with_rest(photos: Sequence[np.ndarray], image: Tensor) -> Tensor:
    """The pictures, once or several times those of an IMAGE, with what else it holds, such as alpha."""
    done, rest = _image(photos), image[..., 3:].detach().float()
    if not rest.shape[-1]:
        return done
    return torch.cat([done, rest.to(done.device).repeat(len(photos) // len(rest), 1, 1, 1)], dim=-1)


def _named(entities: EntityMap, grounding: Grounding | None, each: str) -> list[tuple[str, list[int]]]:
    """What there is a prompt for, with its name, in the order of the caption or of the numbers."""
    if each == PHRASE:
        if grounding is None:
            raise InputError("There are no phrases yet; put Ground Text in between, or take each entity.")
        return [(phrase.text, [*phrase.entity_ids]) for phrase in sorted(grounding.phrases, key=lambda one: one.span)]
    names = []
    for k in range(1, len(entities) + 1):
        phrases = grounding.entity_phrases(k) if grounding else ()
        names.append((phrases[0].text if phrases else str(k), [k]))
    return names


def _read_prompts(prompts: str) -> tuple[str | None, dict[str, str]]:
    """The prompt for what has none of its own, and the others by the name that they are for."""
    general, special = [], {}
    for line in filter(None, map(str.strip, prompts.replace("＝", "=").splitlines())):
        name, equals, prompt = line.partition("=")
        if equals and name.strip() != "*":
            special[_key(name)] = prompt.strip()
        else:
            general.append(prompt.strip() if equals else line)
    return " ".join(general) if general else None, special


def _key(name: str) -> str:
    return " ".join(name.lower().split())
