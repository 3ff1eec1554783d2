"""Nodes that cut a crop out of a picture for a diffusion model, and paste the result back.

The crops of several masks travel as lists, and the nodes in between run once for each: crops differ in size, so a batch
could not hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..esg import (
    CropSettings,
    InpaintCrop,
    InputError,
    Margins,
    Stitch,
    cut_for_inpainting,
    cut_together,
    remove_with_opencv,
    stitch_into,
)
from .host import host
from .inputs import checked_before, choice, number, switch, whole, wire
from .values import (
    STITCH,
    checked_image,
    fitted,
    later_mask,
    picture_places,
    read_masks,
    to_mask,
    with_pictures,
)

NO_MARGINS = Margins()


@dataclass(frozen=True, eq=False)
class StitchRecord:
    """ESG_STITCH: where a crop belongs.

    Attributes:
        picture: index of its picture in the batch.
        stitch: its place in that picture.
        together: the number of crops in its batch of crops.
        place: index of its batch of pictures in the list of batches.
        places: the number of batches of pictures in that list.
        margins: margins that were added to its picture.
    """

    picture: int
    stitch: Stitch
    together: int = 1
    place: int = 0
    places: int = 1
    margins: Margins = NO_MARGINS


class MaskToInpaint:
    CATEGORY = "ESG/inpaint"
    DESCRIPTION = (
        "Cuts a mask and its surroundings out of a picture, at a size that suits the diffusion model. Several masks "
        "give a list, and the nodes after it run once for each; Inpaint Stitch pastes them all back. For a clip, "
        "switch on one_box to get one batch. left, top, right and bottom enlarge the picture, to paint beyond its "
        "border. If the mask is empty, the nodes after it do not run."
    )
    SEARCH_ALIASES = ("inpaint crop", "crop and stitch", "crop to mask", "mask crop", "video inpaint")
    RETURN_TYPES = ("IMAGE", "MASK", "MASK", "MASK", STITCH)
    RETURN_NAMES = ("crop", "generation_mask", "blend_mask", "full_mask", "stitch")
    OUTPUT_TOOLTIPS = (
        "The crop, for the diffusion model.",
        "The area of the crop to repaint: the mask, grown.",
        "The opacity of the result in the crop: the mask, with soft edges.",
        "The opacity of the result at the picture's size.",
        "For Inpaint Stitch.",
    )
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True, True, True, True, True)
    FUNCTION = "cut_lists"

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
                    "Square root of the crop's area in pixels: 512 for SD 1.5, 1024 for SDXL and newer. 0: keep the "
                    "picture's own scale.",
                    step=8,
                ),
                "multiple": choice(
                    ["8", "16", "32", "64"], "The crop's width and height are multiples of this many pixels."
                ),
                "context": number(
                    default.context,
                    1,
                    10,
                    "The crop's sides as a multiple of those of the mask's box: how much of the surroundings the "
                    "model sees.",
                ),
                "grow": whole(default.grow, 0, 1024, "Repaint this many pixels beyond the mask."),
                "feather": whole(
                    default.feather,
                    0,
                    1024,
                    "Pixels outside the mask over which the result fades into the picture.",
                ),
                "fill_holes": switch(default.fill_holes, "Also repaint holes in the mask."),
            },
            "optional": {
                "one_box": switch(
                    False,
                    "For a clip: cut all pictures at the same place and size, as one batch, which video models need. "
                    "Off: every mask gets its own crop.",
                ),
                "pass_empty": switch(
                    False,
                    "What to do with an empty mask. Off: skip it; if all are empty, the nodes after it do not run. "
                    "On: pass on the whole picture, which will not change.",
                ),
                "background": number(
                    default.background,
                    0,
                    0.5,
                    "Mask values up to this count as 0, and values from 1 minus this count as 1, because masks from "
                    "JPEGs, videos and other programs are not exactly black and white. 0: use every value as it is.",
                    advanced=True,
                ),
                "width": whole(
                    0,
                    0,
                    8192,
                    "Exact width of the crop in pixels; set height, too. target and multiple are then ignored.",
                    step=8,
                    advanced=True,
                ),
                "height": whole(0, 0, 8192, "Exact height of the crop; set width, too.", step=8, advanced=True),
                "left": whole(
                    0,
                    0,
                    8192,
                    "Outpainting: pixels to add on the left of the picture. The added area is painted together with "
                    "the mask, which may be empty.",
                    step=8,
                    advanced=True,
                ),
                "top": whole(0, 0, 8192, "Pixels to add at the top.", step=8, advanced=True),
                "right": whole(0, 0, 8192, "Pixels to add on the right.", step=8, advanced=True),
                "bottom": whole(0, 0, 8192, "Pixels to add at the bottom.", step=8, advanced=True),
                "context_mask": wire("MASK", "Other parts of the picture that the crop must include."),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, width: Any = 0, height: Any = 0) -> bool | str:
        return checked_before(cls, {"width": width, "height": height}, CropSettings)

    def cut_lists(self, **lists: list[Any]) -> tuple[list[Any], ...]:
        every, left_out = [], []
        places = len(lists["image"])
        of = picture_places(lists["mask"], places)
        for k, given in enumerate(with_pictures(lists)):
            place = min(k, places - 1) if of is None else of[k]
            if (found := self._cut(**given)) is None:
                left_out.append(str(k + 1))
            else:
                *crops, records = found
                every.append((*crops, [replace(record, place=place, places=places) for record in records]))
        said = f"Skipped, because the mask is empty: item {', '.join(left_out)} of the list." if left_out else ""
        return self._joined(every, said)

    def cut(self, *values: Any, **more: Any) -> tuple[list[Any], ...]:
        """Cuts crops out of one batch of pictures and masks."""
        found = self._cut(*values, **more)
        return self._joined([] if found is None else [found])

    def _joined(self, every: list[tuple[list[Any], ...]], said: str = "") -> tuple[list[Any], ...]:
        if not every:
            stop = host().block("The mask is empty, so there is nothing to inpaint.")
            return ([stop],) * len(self.RETURN_TYPES)
        host().say(said)
        return tuple([one for found in every for one in found[k]] for k in range(len(self.RETURN_TYPES)))

    def _cut(
        self,
        image: Tensor,
        mask: Tensor,
        target: int,
        multiple: str,
        context: float,
        grow: int,
        feather: int,
        fill_holes: bool,
        one_box: bool = False,
        pass_empty: bool = False,
        background: float = CropSettings().background,
        width: int = 0,
        height: int = 0,
        left: int = 0,
        top: int = 0,
        right: int = 0,
        bottom: int = 0,
        context_mask: Tensor | None = None,
    ) -> tuple[list[Any], ...] | None:
        """The outputs; None if the mask is empty."""
        settings = CropSettings(
            target, int(multiple), context, grow, feather, fill_holes, background=background, width=width, height=height
        )
        photos, found = _photos(image), read_masks(mask)
        count = max(len(photos), len(found))
        if len(photos) not in (1, count) or len(found) not in (1, count):
            raise InputError(
                f"{len(found)} masks do not fit {len(photos)} pictures; connect as many masks as pictures, or only one "
                "picture or one mask."
            )
        size = photos[0].shape[:2]
        masks = [fitted(one, size) for one in found]
        visible = _visible(context_mask, size, background)
        if margins := Margins(left, top, right, bottom):
            photos = [margins.widen(one) for one in photos]
            masks = [margins.widen_mask(one, fill_holes=fill_holes, background=background) for one in masks]
            visible = None if visible is None else margins.widen_empty(visible)
            settings = replace(settings, fill_holes=False)  # widen_mask has just filled them
        some = [(one > background).any() for one in masks]
        chosen = [k for k in range(count) if pass_empty or some[k % len(masks)]]
        if not any(some) and not pass_empty:
            return None
        groups = [[*range(count)]] if one_box else [[k] for k in chosen]
        crops, records = [], []
        for group in groups:
            of = [photos[k % len(photos)] for k in group], [masks[k % len(masks)] for k in group]
            crops.append(cut_together(*of, settings, visible=visible))
            records += [
                StitchRecord(k % len(photos), crop.stitch, len(group), margins=margins)
                for k, crop in zip(group, crops[-1])
            ]
        return (
            [_image([crop.picture for crop in batch]) for batch in crops],
            [to_mask([crop.generation for crop in batch]) for batch in crops],
            [to_mask([crop.blend for crop in batch]) for batch in crops],
            [_full_mask(batch, masks[0].shape) for batch in crops],
            records,
        )


class InpaintStitch:
    CATEGORY = "ESG/inpaint"
    DESCRIPTION = (
        "Pastes repainted crops back into their pictures, one after the other. Outside the soft edge of the masks, no "
        "pixel changes. If a crop was repainted in several variants, there is a picture for each."
    )
    SEARCH_ALIASES = ("uncrop", "paste back", "crop and stitch", "composite")
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "mask")
    OUTPUT_TOOLTIPS = (
        "The whole pictures: one batch for each batch of pictures that was cut.",
        "The areas that may have changed, with soft edges.",
    )
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True, True)
    FUNCTION = "stitch_lists"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "The pictures that were given to Mask to Inpaint."),
                "inpainted": wire("IMAGE", "The repainted crops, at any size."),
                "stitch": wire(STITCH, "From Mask to Inpaint."),
                "match_colour": number(
                    0,
                    0,
                    1,
                    "How far to match the result to the colours around the mask: 0 not at all, 1 fully.",
                    step=0.05,
                ),
            }
        }

    def stitch_lists(
        self, image: list[Tensor], inpainted: list[Tensor], stitch: list[StitchRecord], match_colour: list[float]
    ) -> tuple[list[Tensor], list[Tensor]]:
        pairs = list(zip(stitch, _by_crop(inpainted, stitch)))
        places = _places(image, stitch)
        show = host().progress()
        done = []
        for place, one in enumerate(image):
            own = [pair for pair, belongs in zip(pairs, places) if belongs == place]

            def report(share: float, before: int = place) -> None:
                show(round(100 * (before + share)), 100 * len(image), "crops")

            done.append(_stitched(one, own, match_colour[0], report))
        return [edited for edited, _ in done], [changed for _, changed in done]

    def stitch(
        self, image: list[Tensor], inpainted: list[Tensor], stitch: list[StitchRecord], match_colour: list[float]
    ) -> tuple[Tensor, Tensor]:
        """Pastes crops back into one batch of pictures; the outputs are not lists."""
        if len(image) != 1:
            raise InputError(
                f"This needs one batch of pictures, but there are {len(image)}; use stitch_lists for several."
            )
        (edited,), (changed,) = self.stitch_lists(image, inpainted, stitch, match_colour)
        return edited, changed


class InpaintOpenCV:
    CATEGORY = "ESG/inpaint"
    DESCRIPTION = (
        "Removes the masked area without a diffusion model: OpenCV continues the surroundings. Suits small things on "
        "a plain background."
    )
    SEARCH_ALIASES = ("remove object", "erase", "telea", "cleanup", "cv2 inpaint")
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("The pictures without the masked area; no pixel outside the mask changes.",)
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "remove_lists"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "The pictures to remove something from."),
                "mask": wire("MASK", "One mask for each picture, or one for all; the area above 0.5 is removed."),
                "grow": whole(4, 0, 1024, "Remove this many pixels beyond the mask, to include shadows and seams."),
                "method": choice(["telea", "ns"], "OpenCV's method. telea: fast marching. ns: Navier-Stokes."),
                "radius": number(
                    3, 0.5, 100, "Radius in pixels of the surroundings from which each pixel is computed.", step=0.5
                ),
            }
        }

    def remove_lists(self, **lists: list[Any]) -> tuple[list[Tensor]]:
        return ([self.remove(**given)[0] for given in with_pictures(lists)],)

    def remove(self, image: Tensor, mask: Tensor, grow: int, method: str, radius: float) -> tuple[Tensor]:
        photos, found = _photos(image), read_masks(mask)
        if len(found) not in (1, len(photos)):
            raise InputError(
                f"{len(found)} masks do not fit {len(photos)} pictures; connect one for each, or one for all."
            )
        show = host().progress()
        done = []
        for k, photo in enumerate(photos):
            hole = fitted(found[k % len(found)], photo.shape[:2]) > 0.5
            if grow:
                hole = cut_for_inpainting(photo, hole, CropSettings(0, 1, 1, grow, 0, False)).stitch.full_mask > 0
            done.append(remove_with_opencv(photo, hole, method=method, radius=radius))
            show(k + 1, len(photos), "pictures")
        return (_with_rest(done, image),)


def _by_crop(inpainted: list[Tensor], stitch: list[StitchRecord]) -> list[Tensor]:
    """The repainted pictures of each crop, (variants, h, w, C), whichever batches the crops came back in."""
    if not all(len(made) for made in inpainted):
        raise InputError("The inpainted crops are empty batches; check the node that they come from.")
    starts = [0]  # of the batches that were cut
    while starts[-1] < len(stitch):
        starts.append(starts[-1] + stitch[starts[-1]].together)
    sizes = [end - start for start, end in zip(starts, starts[1:])]
    if len(inpainted) == len(sizes) and all(len(made) % size == 0 for made, size in zip(inpainted, sizes)):
        found = [made[k::size] for made, size in zip(inpainted, sizes) for k in range(size)]
    elif sum(map(len, inpainted)) == len(stitch):
        found = [made[k : k + 1] for made in inpainted for k in range(len(made))]
    elif len(inpainted) == 1 and stitch and len(inpainted[0]) % len(stitch) == 0:
        found = [inpainted[0][k :: len(stitch)] for k in range(len(stitch))]
    else:
        count = sum(map(len, inpainted))
        raise InputError(
            f"There are {len(stitch)} crops to paste back, but {count} inpainted pictures; connect the pictures that "
            "were made from the crops of this Mask to Inpaint."
        )
    variants = max(map(len, found), default=1)
    if any(len(made) not in (1, variants) for made in found):
        raise InputError("The crops have different numbers of variants; make the same number for each crop.")
    return found


def _places(image: list[Tensor], stitch: list[StitchRecord]) -> list[int]:
    """The index in `image` of each crop's batch; the batches are in the order in which they were cut."""
    places = [record.place if len(image) > 1 else 0 for record in stitch]
    cut = max((record.places for record in stitch), default=len(image))
    if len(image) not in (1, cut):
        raise InputError(
            f"The crops come from {cut} batches of pictures, but image has {len(image)}; connect the pictures that are "
            "connected to Mask to Inpaint."
        )
    for record, place in zip(stitch, places):
        if record.picture >= len(image[place]):
            raise InputError("image has fewer pictures than were cut; connect those of Mask to Inpaint.")
    return places


def _stitched(
    image: Tensor, crops: list[tuple[StitchRecord, Tensor]], match_colour: float, report: Callable[[float], None]
) -> tuple[Tensor, Tensor]:
    """A batch with its crops pasted back, once for each variant, and masks of the areas that may have changed."""
    pixels = checked_image(image)
    pixels = pixels.expand(*pixels.shape[:3], 3) if pixels.shape[3] == 1 else pixels
    pixels = _widened(pixels, crops[0][0].margins) if crops else pixels
    variants = max((len(made) for _, made in crops), default=1)
    edited = pixels.repeat(variants, 1, 1, 1).cpu()
    for variant in range(variants):
        for index, (record, made) in enumerate(crops):
            (result,) = _photos(made[variant % len(made)][None])
            place = edited[variant * len(pixels) + record.picture]
            stitch_into(place.numpy()[..., :3], record.stitch, result, match_colour)
            report((variant * len(crops) + index + 1) / (variants * len(crops)))
    report(1)

    def changed(k: int) -> np.ndarray:
        mask = np.zeros(edited.shape[1:3], np.float32)
        for record, _ in crops:
            if record.picture == k % len(pixels):
                part = mask[record.stitch.inside]
                np.maximum(part, record.stitch.blend, out=part)
        return mask

    return edited.to(host().results()), later_mask(len(edited), edited.shape[1:3], changed)


def _widened(pixels: Tensor, margins: Margins) -> Tensor:
    """The pictures of an IMAGE with margins added; the margins are opaque."""
    if not margins:
        return pixels
    wide = torch.from_numpy(np.stack([margins.widen(one) for one in pixels.cpu().numpy()]))
    outside = torch.from_numpy(margins.widen_mask(np.zeros(pixels.shape[1:3], bool), fill_holes=False, background=0))
    wide[..., 3:] = torch.maximum(wide[..., 3:], outside[..., None])
    return wide


def _visible(mask: Tensor | None, size: tuple[int, int], background: float) -> np.ndarray | None:
    """The union of all masks of a context mask, (H, W) bool."""
    if mask is None:
        return None
    return np.any([fitted(one, size) > background for one in read_masks(mask)], axis=0)


def _full_mask(crops: Sequence[InpaintCrop], size: tuple[int, ...]) -> Tensor:
    """MASK of the blend masks at the picture's size, made when it is needed."""
    return later_mask(len(crops), size, lambda k: crops[k].stitch.full_mask)


def _photos(image: Tensor) -> list[np.ndarray]:
    """IMAGE → (H, W, 3) float32 pictures, not rounded, since unedited pixels must not change by a bit."""
    pixels = checked_image(image)[..., :3].cpu().numpy()
    return [np.ascontiguousarray(np.broadcast_to(one, (*one.shape[:2], 3))) for one in pixels]


def _image(photos: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(photos)).to(host().results())


def _with_rest(photos: Sequence[np.ndarray], image: Tensor) -> Tensor:
    """IMAGE of the pictures, with the further channels of the original IMAGE, such as alpha."""
    done, rest = _image(photos), image[..., 3:].detach().float()
    if not rest.shape[-1]:
        return done
    return torch.cat([done, rest.to(done.device).repeat(len(photos) // len(rest), 1, 1, 1)], dim=-1)
