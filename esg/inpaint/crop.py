"""Cuts a mask's surroundings out of a photo, at a size and with masks that suit an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ..pictures.resizing import resize
from ..support.checks import type_name
from ..support.errors import InputError
from .frame import CropSettings, Slices, frame, in_photo
from .masks import generation_and_blend, without_noise
from .stitch import Stitch, check_photo


@dataclass(frozen=True, eq=False)
class InpaintCrop:
    """The input of an inpainting engine, all of the same size (h, w).

    Attributes:
        picture: (h, w, 3) in the photo's dtype, read-only: copy it to draw on it.
        generation: (h, w) float32, 1 where the engine generates new content, else 0.
        blend: (h, w) float32, 0..1, opacity of the result: the feathered mask, within `generation`.
        stitch: record for `stitch_back`.
    """

    picture: np.ndarray = field(repr=False)
    generation: np.ndarray = field(repr=False)
    blend: np.ndarray = field(repr=False)
    stitch: Stitch


def cut_for_inpainting(
    photo: np.ndarray, mask: np.ndarray, settings: CropSettings | None = None, *, visible: np.ndarray | None = None
) -> InpaintCrop:
    """Cuts a mask's surroundings out of a photo, for an inpainting engine.

    The crop is not distorted: its box has exactly the aspect ratio of the engine's input. Where the box extends beyond
    the photo, the border pixels of photo and mask are repeated. For an empty mask, the crop is the whole photo with
    zero masks, and `stitch_back` changes nothing.

    Args:
        photo: (H, W, 3) uint8, or float32 from 0 to 1; it is not changed.
        mask: (H, W) bool, or float from 0 to 1. It is grown and feathered from the area where it is 1; softer parts, as
            in matting, are generated and keep at least their value in the blend mask.
        settings: settings of the crop; None: the defaults.
        visible: (H, W) bool, further parts of the photo that must be in the crop; None: nothing further.

    Raises:
        InputError: photo or mask has a wrong shape, dtype or value, or the settings are not CropSettings.

    >>> photo, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), bool)
    >>> mask[20:40, 30:50] = True
    >>> crop = cut_for_inpainting(photo, mask, CropSettings(target=64, multiple=8))
    >>> crop.picture.shape
    (64, 64, 3)
    """
    return cut_together([photo], [mask], settings, visible=visible)[0]


def cut_together(
    photos: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    settings: CropSettings | None = None,
    *,
    visible: np.ndarray | None = None,
) -> list[InpaintCrop]:
    """Cuts the same box out of several photos, such as the frames of a clip, so that all crops match.

    Args:
        photos: as many as masks, of the same size, each as in `cut_for_inpainting`. The box covers what all masks need;
            it covers the whole photo only if all masks are empty.
        masks, settings, visible: as in `cut_for_inpainting`.

    Raises:
        InputError: see `cut_for_inpainting`; or the photos differ in size, or there are none.

    >>> photos = [np.zeros((60, 80, 3), np.uint8)] * 2
    >>> masks = [np.zeros((60, 80), bool) for _ in photos]
    >>> masks[0][20:40, 10:30] = masks[1][20:40, 20:40] = True
    >>> [crop.picture.shape for crop in cut_together(photos, masks, CropSettings(target=0, multiple=1))]  # one box
    [(54, 69, 3), (54, 69, 3)]
    """
    settings = CropSettings() if settings is None else settings
    if not isinstance(settings, CropSettings):
        raise InputError(f"The settings must be CropSettings(...), not {type_name(settings)}.")
    if not photos or len(photos) != len(masks):
        raise InputError(f"Give one mask per photo; there are {len(masks)} masks for {len(photos)} photos.")
    for photo, mask in zip(photos, masks):
        check_photo(photo)
        _check_mask(mask, photos[0] if photo.shape == photos[0].shape else photo)
        if photo.shape != photos[0].shape:
            raise InputError("Photos can only be cut at the same place if they have the same size.")
    photo_size = photos[0].shape[0], photos[0].shape[1]
    marked = [mask > settings.background for mask in masks]
    box, size = frame(_needed(marked, visible, max(settings.grow, settings.feather)), photo_size, settings)
    return [_cut(photo, mask, box, size, settings) for photo, mask in zip(photos, masks)]


def _cut(
    photo: np.ndarray, mask: np.ndarray, box: Slices, size: tuple[int, int], settings: CropSettings
) -> InpaintCrop:
    photo_size = (mask.shape[0], mask.shape[1])
    inside = in_photo(box, photo_size)
    clean = without_noise(mask[inside], settings.background)
    generated, blend = generation_and_blend(clean, settings.grow, settings.feather, settings.fill_holes)

    picture = resize(_padded(photo[inside], box, photo_size), size)
    if picture.dtype != np.uint8:
        picture = picture.clip(0, 1)  # the filter overshoots at edges
    elif np.may_share_memory(picture, photo):
        picture = picture.copy()
    # The box filter uses every pixel, however small the crop, so no generated pixel of the photo is lost in the crop.
    made = _padded(generated.astype(np.float32), box, photo_size)
    generation = (resize(made, size, Image.Resampling.BOX) > 0).astype(np.float32)
    shown = resize(_padded(blend, box, photo_size), size, Image.Resampling.BILINEAR) * generation
    rows, columns = box
    record = Stitch(photo_size, (columns.start, rows.start, columns.stop, rows.stop), blend, picture, generation > 0)
    for array in (record.blend, record.sent, record.generated):
        array.setflags(write=False)
    return InpaintCrop(picture, generation, shown, record)


def _needed(masks: Sequence[np.ndarray], visible: np.ndarray | None, margin: int) -> Slices:
    """The smallest box around the masks (H, W) bool, with a margin, and around everything that must be visible.

    If all masks are empty, it is the whole photo.
    """
    height, width = masks[0].shape
    extents = [found for mask in masks if (found := _extent(mask))]
    if not extents:
        return slice(0, height), slice(0, width)
    boxes = [
        [(max(s.start - margin, 0), min(s.stop + margin, end)) for s, end in zip(found, (height, width))]
        for found in extents
    ]
    if visible is not None and (found := _extent(visible)):
        boxes.append([(s.start, s.stop) for s in found])
    rows, columns = (slice(min(at[0] for at in one), max(at[1] for at in one)) for one in zip(*boxes))
    return rows, columns


def _extent(mask: np.ndarray) -> Slices | None:
    """The smallest box around a mask; None if it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    down = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(mask[down].any(axis=0))
    return down, slice(int(columns[0]), int(columns[-1]) + 1)


def _padded(pixels: np.ndarray, box: Slices, photo_size: tuple[int, int]) -> np.ndarray:
    """The pixels of a box, given those inside the photo; the others repeat the nearest pixel."""
    beyond = [(max(-s.start, 0), max(s.stop - end, 0)) for s, end in zip(box, photo_size)]
    return np.pad(pixels, [*beyond, (0, 0)][: pixels.ndim], mode="edge") if np.any(beyond) else pixels


def _check_mask(mask: np.ndarray, photo: np.ndarray) -> None:
    if not isinstance(mask, np.ndarray):
        raise InputError(f"A mask must be an array (height, width), bool or float from 0 to 1, not {type_name(mask)}.")
    if mask.shape != photo.shape[:2]:
        raise InputError(f"The mask has shape {mask.shape}, but the photo's height and width are {photo.shape[:2]}.")
    if mask.dtype.kind not in "bf":
        raise InputError(f"A mask must be bool, or float from 0 to 1, not {mask.dtype}; for 8 bits use mask > 127.")
    if mask.dtype.kind == "f" and not (mask.min() >= 0 and mask.max() <= 1):  # NaN fails both
        raise InputError(f"A mask's values must lie between 0 and 1, but these go from {mask.min()} to {mask.max()}.")
