"""Pictures of masks: recognises by the content, not by the format, a mask, a label map, or colours for ids."""

from __future__ import annotations

import math
from logging import getLogger
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

from ...pictures.files import READ_ERRORS, is_copy, open_picture
from ...support.errors import ImageError, InputError
from ...support.limits import MAX_PIXELS
from ...support.strips import strips
from ..files import NAMES_FIELD, SCORES_FIELD, read_names, read_scores
from ..rle import Rle
from .items import LeftOut
from .panoptic import ids_of_colours
from .rims import areas_of_lossy, is_flat, without_rims
from .stack import MAX_DRAWN, LabelMap, Stack, WrongSize, check_size, encode
from .void import without_void

log = getLogger(__name__)

LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF", "JPEG2000", "JXL")  # formats that do not keep numbers exactly
_VOID_COLOUR = (224, 224, 192)  # the border around things in PASCAL VOC's palette
_NOISE = 0.2  # fraction of the range, at either end, within the noise of a lossy format
_STRAY = 0.005  # fraction of pixels between black and white that a lossy format may have
_EDGE = 0.1  # fraction of the range, at either end, that counts as black or white in a mask
_MOST_COLOURS = 65_535
_WITH_FRAMES = ("TIFF", "GIF", "PNG", "WEBP")
_CAST = 6  # average difference between the channels of a grey picture in a lossy format
_RIMS = "%s has soft rims between its areas; their pixels belong to the nearest area."
_FLAT = 0.5  # fraction of the pixels of a map whose neighbours all have the same number


def read_picture(
    path: Path,
    size: tuple[int, int] | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    threshold: float = 0.5,
    void: int | None = None,
) -> Stack | LabelMap:
    """Reads a picture of masks.

    - Black and white, possibly with soft edges, or a JPEG of that: one mask. Colours count as grey if R, G and B are
      equal. If a picture is partly transparent, its opaque part is the mask, whatever its colour.
    - Grey or a palette with numbers: a label map, 0 = no entity.
    - Uniform areas of colour: a map in which every colour is an entity, as in COCO's panoptic PNGs; black = no entity.
    - Several frames in a TIFF, GIF, PNG or WebP: one mask per frame.

    Args:
        path: the file.
        size: height, width that the masks must have.
        max_pixels: larger pictures are refused before they are decoded.
        threshold: fraction of white, 0 to 1, above which a pixel of a soft mask is inside.
        void: another number of a label map that belongs to no entity; see `void.without_void`.

    Raises:
        InputError: the file cannot be read, is too large, or does not hold masks.
    """
    try:
        with open_picture(path, max_pixels=max_pixels, all_frames=True) as picture:
            if len(frames := _frames(picture)) > 1:
                if masks := _read_frames(picture, frames, size, path, max_pixels, threshold):
                    return masks
                log.warning("%s has %d frames, none of which is a mask; ESG uses the first one.", path, len(frames))
                picture.seek(frames[0])
            stored, named = picture.info.get(SCORES_FIELD), picture.info.get(NAMES_FIELD)
            indexed = picture.mode == "P" and not _is_grey_ramp(picture)
            kind = str(picture.format)
            upright = _upright(picture)
            check_size(upright.size[::-1], size, path, max_pixels)
            found = _values(upright, kind in LOSSY, path)
            if indexed and (areas := without_rims(np.asarray(upright.convert("RGB")))) is not None:
                found, indexed = areas, False
    except ImageError as error:
        raise InputError(*error.args) from None
    if stored is not None and found.ndim == 2 and found.dtype.kind in "iu":
        return LabelMap(found, read_scores(stored, path), read_names(named, path))
    return _understood(found, indexed, kind, threshold, void, path)


def _frames(picture: Image.Image) -> list[int]:
    """The frames of a TIFF, GIF, PNG or WebP that are as large as the one it stands at and not reduced copies."""
    count = getattr(picture, "n_frames", 1)
    if count == 1 or picture.format not in _WITH_FRAMES:
        return [0]
    here, size, frames = picture.tell(), picture.size, []
    for place in range(count):
        picture.seek(place)
        if picture.size == size and not (picture.format == "TIFF" and is_copy(picture.tag_v2)):  # type: ignore[attr-defined]
            frames.append(place)
    picture.seek(here)
    return frames


def _read_frames(
    picture: Image.Image,
    frames: list[int],
    size: tuple[int, int] | None,
    path: Path,
    max_pixels: int,
    threshold: float,
) -> Stack | None:
    """The frames of a picture that are masks; a warning names the others. None if no frame is a mask.

    A frame is a mask if it is black and white, or if it has one number besides 0.
    """
    if len(frames) * picture.width * picture.height > MAX_DRAWN:
        raise InputError(
            f"The {len(frames):,} frames of {path} have more than {MAX_DRAWN:,} pixels in total; save fewer."
        )
    left_out = LeftOut(str(path))
    rles: list[Rle] = []
    found = picture.height, picture.width
    for place in frames:
        called = f"frame {place + 1}"
        try:
            picture.seek(place)
            values = _values(_upright(picture), False, path)
            found = values.shape[0], values.shape[1]
            check_size(found, size, path, max_pixels)
            rles.append(encode(_mask_of_frame(values), called, threshold))
        except WrongSize:
            raise
        except InputError as error:
            left_out.add(called, str(error).removeprefix(called).strip(" ."))
        except READ_ERRORS:
            left_out.add(called, "is damaged")
    if not rles:
        return None
    log.info("%s: %d of its %d frames are masks.", path, len(rles), len(frames))
    left_out.tell(len(frames))
    return Stack(rles, None, found)


def _mask_of_frame(values: np.ndarray) -> np.ndarray:
    if values.ndim == 3:
        raise InputError("is a colour picture")
    if values.dtype.kind not in "iu":
        return values
    numbers = np.unique(values)
    if len(numbers) < 2 or (len(numbers) == 2 and numbers[0] == 0):
        return values > 0
    if not looks_like_mask(values):
        raise InputError(f"is a label map or a photo, with {len(numbers)} different numbers")
    return values


def read_pixels(pixels: np.ndarray, path: Path, *, threshold: float = 0.5, void: int | None = None) -> Stack | LabelMap:
    """The masks of (H, W, 3) RGB or (H, W, 4) RGBA uint8 of a file that is not a picture; see `read_picture`."""
    return _understood(_values(Image.fromarray(pixels), False, path), False, "RGB", threshold, void, path)


def masks_of_picture(
    path: Path, size: tuple[int, int] | None = None, *, max_pixels: int = MAX_PIXELS, threshold: float = 0.5
) -> Stack:
    """The mask of a picture that should be one, or one per frame if it has several; see `read_picture`.

    Raises:
        InputError: it cannot be read, is a photo or a label map, or has another size.
    """
    try:
        with open_picture(path, max_pixels=max_pixels, all_frames=True) as picture:
            if len(frames := _frames(picture)) > 1:
                if masks := _read_frames(picture, frames, size, path, max_pixels, threshold):
                    return masks
                picture.seek(frames[0])
            found = _values(_upright(picture), picture.format in LOSSY, path)
    except ImageError as error:
        raise InputError(*error.args) from None
    if found.ndim == 3:
        raise InputError(f"{path} is a colour picture, not a mask; save the mask in black and white.")
    if found.dtype.kind in "iu" and (reason := _why_no_mask(found)):
        raise InputError(f"{path} {reason}.")
    shape = found.shape[0], found.shape[1]
    check_size(shape, size, path, max_pixels)
    return Stack([encode(found, str(path), threshold)], None, shape)


def _why_no_mask(values: np.ndarray) -> str | None:
    """Why grey numbers are a label map or a photo; None if they may be a mask."""
    high = int(values.max())
    whole = 255 if high <= 255 else 65535
    if high <= 1 or high == values.min():
        return None
    between = (values > int(_EDGE * whole)) & (values < math.ceil((1 - _EDGE) * whole))  # integers compare faster
    if high > whole / 2 and not between.any():
        return None
    flat = is_flat(values)
    if high <= whole / 2 or (len(np.unique(values[flat & (values > 0)])) > 2 and flat[between].mean() > _FLAT / 2):
        return "is a label map, not a mask; give it by itself instead of the folder"
    return "is a grey picture such as a photo, not a mask" if between.mean() > _FLAT else None


def looks_like_mask(values: np.ndarray) -> bool:
    """Whether (H, W) numbers from 0 to 255 or 65535 are a mask with soft edges rather than a label map.

    They are a mask if the lightest is more than half of white, most pixels are nearly black or nearly white, and the
    others are transitions: hardly any of them has neighbours that all have its number, and their pieces contain white.
    """
    low, high = int(values.min()), int(values.max())
    whole = 255 if high <= 255 else 65535
    if not whole / 2 < high <= whole or low > _EDGE * whole or low == high:
        return False
    between = (values != low) & (values != high)
    count = int(between.sum())
    if not count:
        return True
    ends = (values <= _EDGE * whole) | (values >= high - _EDGE * whole)
    if ends.sum() < values.size / 2:
        return False
    if (is_flat(values) & between).sum() > count * _FLAT / 2:
        return False
    return _mostly_around_white(values, between, high, whole)


def _clamped(values: np.ndarray) -> np.ndarray:
    """Grey of a lossy format without the noise near black and white."""
    dark, light = _NOISE * 255, (1 - _NOISE) * 255
    return np.where(values <= dark, 0, np.where(values >= light, 255, values)).astype(np.uint8)


def _looks_like_lossy_mask(values: np.ndarray) -> bool:
    """Whether grey of a lossy format is black and white apart from noise, or a mask with soft edges."""
    clamped = _clamped(values)
    black, white = int((clamped == 0).sum()), int((clamped == 255).sum())
    return (white > 0 and values.size - black - white <= _STRAY * values.size) or looks_like_mask(clamped)


def _mostly_around_white(values: np.ndarray, between: np.ndarray, high: int, whole: int) -> bool:
    """Whether most pixels between black and white are connected to white."""
    pieces, count = ndimage.label(values > _EDGE * whole, np.ones((3, 3)))
    if not count:
        return False
    white = np.zeros(count + 1, bool)
    white[np.unique(pieces[values >= high - 2 * _EDGE * whole])] = True
    visible = between & (pieces > 0)
    return bool(white[pieces[visible]].mean() > 0.5) if visible.any() else True


def _values(picture: Image.Image, lossy: bool, path: Path) -> np.ndarray:
    """(H, W) numbers, or (H, W, 3) uint8 colours if they are not all grey."""
    mode = picture.mode
    if mode in ("1", "P", "L", "F") or mode.startswith("I"):
        return np.asarray(picture)
    if mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        rgba = np.asarray(picture.convert("RGBA"))
        if rgba[..., 3].min() != rgba[..., 3].max():
            return _opaque(rgba, path)
        return _grey_or_colours(rgba[..., :3], 0)
    if mode in ("RGB", "YCbCr", "CMYK"):
        return _grey_or_colours(np.asarray(picture.convert("RGB")), _CAST if lossy else 0)
    raise InputError(f"{path} does not hold masks: it is a picture of mode {mode}; save it as a grey PNG.")


def _is_grey_ramp(picture: Image.Image) -> bool:
    """Whether the used colours of a palette are grey and equal to their index, up to white: a grey picture."""
    palette = np.array(picture.getpalette() or [], np.uint8)
    palette = palette[: len(palette) // 3 * 3].reshape(-1, 3)
    used = np.flatnonzero(np.bincount(np.asarray(picture).ravel(), minlength=256))
    return bool(len(palette) > 255 == used[-1] and (palette[used] == used[:, None]).all())


def _opaque(rgba: np.ndarray, path: Path) -> np.ndarray:
    """The mask or map of a picture that is partly transparent.

    If it is black and white, white is the mask; uniform areas of several colours are a map; otherwise, the opaque part
    is the mask.
    """
    there = rgba[..., 3] > 127
    seen = rgba[there][:, :3]
    if len(seen):
        ids = np.unique(ids_of_colours(seen))
        grey = bool((seen == seen[:, :1]).all())
        if grey and seen.min() <= _EDGE * 255 and seen.max() >= (1 - _EDGE) * 255:
            return (rgba[..., 0].astype(np.uint16) * rgba[..., 3] // 255).astype(np.uint8)
        shown = np.where(there[..., None], rgba[..., :3], np.uint8(0))
        if not grey and 1 < len(ids) <= _MOST_COLOURS and is_flat(ids_of_colours(shown))[there].mean() >= _FLAT:
            return shown
    log.info("%s is partly transparent; its opaque part is the mask.", path)
    return rgba[..., 3]


def _grey_or_colours(rgb: np.ndarray, cast: int) -> np.ndarray:
    """Grey if the channels differ by at most `cast` on average, or not at all if that is 0; otherwise the colours."""
    total, most = 0, 0
    for rows in strips(*rgb.shape[:2]):
        differences = rgb[rows].max(axis=2) - rgb[rows].min(axis=2)
        total, most = total + int(differences.sum(dtype=np.int64)), max(most, int(differences.max()))
    is_grey = total <= cast * rgb.shape[0] * rgb.shape[1] if cast else most == 0
    return np.ascontiguousarray(rgb[..., 1]) if is_grey else rgb


def _upright(picture: Image.Image) -> Image.Image:
    """The picture, rotated upright by EXIF."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a damaged EXIF block can raise almost anything, and the picture is fine without it
        return picture


def _understood(
    values: np.ndarray, indexed: bool, kind: str, threshold: float, void: int | None, path: Path
) -> Stack | LabelMap:
    lossy = kind in LOSSY
    size = values.shape[0], values.shape[1]
    if values.ndim == 3:
        return LabelMap(_labels_of_colours(values, kind if lossy else None, path), None)
    if values.dtype == bool:
        return LabelMap(values.astype(np.uint8), None)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise InputError(f"{path} holds values that are not finite numbers; save it with 8 or 16 bits.")
        if (values == np.round(values)).all() and values.min() >= 0 and values.max() > 1:
            values = values.astype(np.int64)
        else:
            return Stack([encode(values, str(path), threshold)], None, size)
    if indexed:
        is_mask = bool(np.isin(np.unique(values), (0, 255)).all())
    else:
        is_mask = _looks_like_lossy_mask(values) if lossy else looks_like_mask(values)
    if is_mask:
        return Stack([encode(values, str(path), threshold)], None, size)
    if lossy:
        raise InputError(
            f"{path} does not hold masks: it is a {kind} picture, not a grey PNG; it is not a mask in black and white, "
            f"and {kind} does not keep the numbers of a label map."
        )
    if values.dtype == np.uint8 and not indexed and (areas := without_rims(values)) is not None:
        log.info(_RIMS, path)
        values = areas
    return LabelMap(without_void(values, void, path, indexed=indexed), None)


def _labels_of_colours(rgb: np.ndarray, lossy: str | None, path: Path) -> np.ndarray:
    """The ids, (H, W) int32, of a picture whose colours are numbers, as in COCO's panoptic format."""
    advice = "give a grey PNG of labels, or one in black and white for a single mask"
    areas = areas_of_lossy(rgb) if lossy else None
    if lossy and areas is None:
        raise InputError(f"{path} does not hold masks: it is a {lossy} picture in colours, like a photo; {advice}.")
    ids = ids_of_colours(rgb if areas is None else areas)
    found = np.unique(ids)
    if len(found) > _MOST_COLOURS or (len(found) > 16 and is_flat(ids).mean() < _FLAT):
        raise InputError(
            f"{path} does not hold masks: it is a picture of mode RGB in {len(found):,} colours, like a photo; "
            f"{advice}."
        )
    if areas is None and (areas := without_rims(rgb)) is not None:
        log.info(_RIMS, path)
        ids = ids_of_colours(areas)
    void = int(ids_of_colours(np.array(_VOID_COLOUR, np.uint8)))
    if void in found and (found == 0).any():
        ids[ids == void] = 0
    log.info("%s is a picture in colours; every colour except black is an entity.", path)
    return ids
