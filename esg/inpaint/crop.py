"""Cutting the surroundings of a mask out of a photo, at a size and with the masks that suit an engine."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ..checks import kind_of
from ..errors import InputError
from ..resample import resize
from .frame import CropSettings, Slices, frame, in_photo
from .masks import generation_and_blend
from .stitch import Stitch, check_photo


@dataclass(frozen=True, eq=False)
class InpaintCrop:
    """What an inpainting engine works on, all of one size (h, w).

    Attributes:
        picture: (h, w, 3) in the photo's dtype, read-only: copy it to draw on it.
        generation: (h, w) float32, 1 where the engine makes the picture anew, else 0.
        blend: (h, w) float32, 0..1, how much of the result will be shown: the feathered mask, within `generation`.
        stitch: for `stitch_back`.
    """

    picture: np.ndarray = field(repr=False)
    generation: np.ndarray = field(repr=False)
    blend: np.ndarray = field(repr=False)
    stitch: Stitch


def cut_for_inpainting(photo: np.ndarray, mask: np.ndarray, settings: CropSettings | None = None) -> InpaintCrop:
    """Cuts the surroundings of a mask out of a photo, for an inpainting engine.

    The crop is not distorted: its box has exactly the aspect ratio of the size that the engine gets. Where that box
    goes beyond the photo, the pixels at the photo's border are repeated, of photo and mask. Of an empty mask the crop
    is the whole photo, with masks that are 0, and `stitch_back` then changes nothing.

    Args:
        photo: (H, W, 3) uint8, or float32 from 0 to 1; it stays as it is.
        mask: (H, W) bool, or float from 0 to 1. It grows and is feathered from where it is 1; softer parts, as of
            matting, are generated and keep their value in the blend mask, or get a higher one.
        settings: None: the defaults.

    Raises:
        InputError: photo or mask have a wrong shape, dtype or value, or the settings are no CropSettings.
    """
    settings = CropSettings() if settings is None else settings
    if not isinstance(settings, CropSettings):
        raise InputError(f"The settings must be CropSettings(...), not {kind_of(settings)}.")
    check_photo(photo)
    _check_mask(mask, photo)
    photo_size = (mask.shape[0], mask.shape[1])
    box, size = frame(_needed(mask, max(settings.grow, settings.feather)), photo_size, settings)
    inside = in_photo(box, photo_size)
    generated, blend = generation_and_blend(mask[inside], settings.grow, settings.feather, settings.fill_holes)

    picture = resize(_padded(photo[inside], box, photo_size), size)
    if picture.dtype != np.uint8:
        picture = picture.clip(0, 1)  # the filter overshoots at edges
    elif np.may_share_memory(picture, photo):
        picture = picture.copy()
    # The box filter leaves out no pixel, however small the crop: what is generated in the photo is so in the crop.
    made = _padded(generated.astype(np.float32), box, photo_size)
    generation = (resize(made, size, Image.Resampling.BOX) > 0).astype(np.float32)
    shown = resize(_padded(blend, box, photo_size), size, Image.Resampling.BILINEAR) * generation
    rows, columns = box
    record = Stitch(photo_size, (columns.start, rows.start, columns.stop, rows.stop), blend, picture, generation > 0)
    for array in (record.blend, record.sent, record.generated):
        array.setflags(write=False)
    return InpaintCrop(picture, generation, shown, record)


def _needed(mask: np.ndarray, margin: int) -> Slices:
    """The smallest box around all of the mask that is not 0, and a margin; of an empty mask, all."""
    found = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    if not len(found[0]):
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    rows, columns = (
        slice(max(int(at[0]) - margin, 0), min(int(at[-1]) + 1 + margin, end)) for at, end in zip(found, mask.shape)
    )
    return rows, columns


def _padded(pixels: np.ndarray, box: Slices, photo_size: tuple[int, int]) -> np.ndarray:
    """The pixels of a box, of which those in the photo are given; the others repeat the nearest of them."""
    beyond = [(max(-s.start, 0), max(s.stop - end, 0)) for s, end in zip(box, photo_size)]
    return np.pad(pixels, [*beyond, (0, 0)][: pixels.ndim], mode="edge") if np.any(beyond) else pixels


def _check_mask(mask: np.ndarray, photo: np.ndarray) -> None:
    if not isinstance(mask, np.ndarray):
        raise InputError(f"A mask must be an array (height, width), bool or float from 0 to 1, not {kind_of(mask)}.")
    if mask.shape != photo.shape[:2]:
        raise InputError(f"The mask has shape {mask.shape}, but the photo's height and width are {photo.shape[:2]}.")
    if mask.dtype.kind not in "bf":
        raise InputError(f"A mask must be bool, or float from 0 to 1, not {mask.dtype}; take mask > 127 of 8 bits.")
    if mask.dtype.kind == "f" and not (mask.min() >= 0 and mask.max() <= 1):  # NaN fails both
        raise InputError(f"A mask's values must lie between 0 and 1; these go from {mask.min()} to {mask.max()}.")
