"""Pastes an engine's result for a crop back into the photo, without changing anything else in the photo."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..pictures.resizing import reach, resize
from ..support.checks import check_number, type_name
from ..support.errors import InputError
from ..support.strips import strips
from .colour import match_colours
from .frame import Slices, in_photo
from .masks import distances

SAME = 0.5 / 255 + 1e-6  # an 8-bit engine changes the values it keeps by at most this (0..1, with float32's errors)
_RING = 1 / 16  # width of the ring around a mask for comparing colours, as a fraction of the crop's side
_LEAST_RING = 8  # pixels of the crop


@dataclass(frozen=True, eq=False, repr=False)
class Stitch:
    """The data needed to paste an edited crop back into its photo; the arrays are read-only.

    Attributes:
        photo_size: height and width of the photo.
        box: x0, y0, x1, y1 in pixels of the photo, x1 and y1 exclusive; it has exactly the crop's aspect ratio, and
            may extend beyond the photo.
        blend: float32, 0..1, the blend mask of the part of the box inside the photo, in the photo's pixels.
        sent: (h, w, 3) uint8 or float32, the crop as sent to the engine.
        generated: (h, w) bool, the generation mask.
    """

    photo_size: tuple[int, int]
    box: tuple[int, int, int, int]
    blend: np.ndarray
    sent: np.ndarray
    generated: np.ndarray

    def __repr__(self) -> str:
        height, width = self.sent.shape[:2]
        return f"Stitch(box {self.box} of {self.photo_size[1]}x{self.photo_size[0]}, sent as {width}x{height})"

    @property
    def inside(self) -> Slices:
        """Rows and columns of the photo that the box covers; `blend` has this size."""
        x0, y0, x1, y1 = self.box
        return in_photo((slice(y0, y1), slice(x0, x1)), self.photo_size)

    @property
    def full_mask(self) -> np.ndarray:
        """The blend mask at the photo's size, (H, W) float32, 0..1; a new array each time."""
        mask = np.zeros(self.photo_size, np.float32)
        mask[self.inside] = self.blend
        return mask


def stitch_back(photo: np.ndarray, record: Stitch, result: np.ndarray, match_colour: float = 0.0) -> np.ndarray:
    """Pastes an engine's result for a crop back into the photo.

    A pixel changes only where the blend mask is above 0 and the engine changed the crop by more than rounding to 8 bits
    would: pasting the crop as sent gives the original photo. If the crop had another scale, resampling spreads changes
    by up to three of its pixels. If the result has another size than the crop, everything counts as changed.

    Args:
        photo: (H, W, 3) uint8 or float32, the photo that was cut; it may have been edited since, and is not changed.
        record: record from `cut_for_inpainting`.
        result: (h, w, 3) uint8, or float from 0 to 1 (values beyond are clipped), of any size.
        match_colour: 0..1, how far to match the colours of the result to the photo, by mean and spread in a ring around
            the generation mask, where both should be the same; see `colour.match_colours`. They stay unchanged if the
            mask leaves no room for a ring.

    Returns:
        (H, W, 3) in the photo's dtype, a new array.

    Raises:
        InputError: the photo does not have the size of the one that was cut, or an argument is invalid.

    >>> from esg import cut_for_inpainting
    >>> photo, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), bool)
    >>> mask[20:40, 30:50] = True
    >>> crop = cut_for_inpainting(photo, mask)
    >>> white = np.full_like(crop.picture, 255)  # what an engine made of the crop
    >>> stitch_back(photo, crop.stitch, white)[30, 40].tolist()
    [255, 255, 255]
    """
    check_photo(photo)
    edited = photo.copy()
    stitch_into(edited, record, result, match_colour)
    return edited


def stitch_into(photo: np.ndarray, record: Stitch, result: np.ndarray, match_colour: float = 0.0) -> None:
    """Like `stitch_back`, but changes the given photo in place; it need not be contiguous."""
    check_photo(photo)
    _check_result(photo, record, result, match_colour)
    changed = _changed(record, result)
    if changed is not None and not changed.any():
        return
    if match_colour > 0:
        result = _matched(record, result, match_colour)
    rows, columns = record.inside
    x0, y0, x1, y1 = record.box
    box = y1 - y0, x1 - x0
    in_box = slice(rows.start - y0, rows.stop - y0), slice(columns.start - x0, columns.stop - x0)
    weight = record.blend if changed is None else record.blend * _spread(changed, box)[in_box]
    for channel in range(3):
        _blend(photo[rows, columns, channel], resize(_unit(result[..., channel]), box)[in_box], weight)


def _check_result(photo: np.ndarray, record: Stitch, result: np.ndarray, match_colour: float) -> None:
    if photo.shape[:2] != record.photo_size:
        height, width = record.photo_size
        raise InputError(
            f"The crop was cut from a photo of {width}x{height} pixels, but this one has "
            f"{photo.shape[1]}x{photo.shape[0]}; stitch it into the photo it comes from."
        )
    is_picture = isinstance(result, np.ndarray) and result.ndim == 3 and result.shape[2] == 3 and result.size
    if not is_picture or (result.dtype != np.uint8 and result.dtype.kind != "f"):
        raise InputError(
            f"An engine's picture must be (height, width, 3) uint8, or float from 0 to 1, not {type_name(result)}."
        )
    if result.dtype.kind == "f" and not np.isfinite(result).all():
        raise InputError("The engine's picture contains values that are NaN or infinite; try precision fp32.")
    check_number("match_colour", match_colour, 0, 1)


def _unit(values: np.ndarray) -> np.ndarray:
    """Converts to float32 from 0 to 1."""
    if values.dtype == np.uint8:
        return values.astype(np.float32) / np.float32(255)
    return np.clip(values, 0, 1).astype(np.float32)


def _changed(record: Stitch, result: np.ndarray) -> np.ndarray | None:
    """(h, w) bool, the pixels of the crop that the engine changed; None if that is unknown."""
    if result.shape != record.sent.shape:
        return None
    changed = np.zeros(result.shape[:2], bool)
    for channel in range(3):
        changed |= np.abs(_unit(result[..., channel]) - _unit(record.sent[..., channel])) > SAME
    return changed


def _spread(changed: np.ndarray, box: tuple[int, int]) -> np.ndarray:
    """The pixels of the box that a change in the crop affects after resizing, bool."""
    far = reach(changed.shape, box)
    wide = ndimage.maximum_filter(changed, 2 * far + 1, mode="constant") if far else changed
    rows, columns = (
        np.minimum((np.arange(large) + 0.5) * (small / large), small - 1).astype(np.intp)
        for small, large in zip(changed.shape, box)
    )
    return wide[rows[:, None], columns]


def _blend(old: np.ndarray, new: np.ndarray, weight: np.ndarray) -> None:
    """Blends one channel, 0..1 float32, into that of the photo, in place; exact where the weight is 0."""
    for rows in strips(*old.shape):
        part, share = old[rows], weight[rows]
        fresh = new[rows].clip(0, 1)
        if old.dtype == np.uint8:
            mixed = np.rint((1 - share) * part + share * (fresh * np.float32(255)))
        else:
            mixed = (1 - share) * part + share * fresh
        np.copyto(part, mixed, where=share > 0, casting="unsafe")


def _matched(record: Stitch, result: np.ndarray, strength: float) -> np.ndarray:
    """The result with the colours of the crop that was sent, float32."""
    height, width = record.generated.shape
    far = max(_LEAST_RING, round(math.sqrt(height * width) * _RING))
    ring = (distances(record.generated, far) <= far) & ~record.generated
    result = _unit(result)
    if not ring.any():
        return result
    return match_colours(result, resize(result, (height, width))[ring], _unit(record.sent[ring]), strength)


def check_photo(photo: np.ndarray) -> None:
    """Raises InputError unless it is (H, W, 3) uint8 or float32 with at least one pixel."""
    is_picture = isinstance(photo, np.ndarray) and photo.ndim == 3 and photo.shape[2] == 3 and photo.size
    if not is_picture or photo.dtype not in (np.uint8, np.float32):
        raise InputError(
            "A photo to inpaint must be (height, width, 3) uint8, or float32 from 0 to 1, "
            f"not {type_name(photo)}; `esg.read_image` converts a file or a PIL picture."
        )
