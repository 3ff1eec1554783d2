"""Reads pictures into (H, W, 3) uint8 RGB and writes them, with one clear sentence for each that cannot be used."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from io import BytesIO
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from ..support.checks import type_name
from ..support.errors import ImageError, InputError, OutputError
from ..support.files import write_atomically
from ..support.limits import MAX_PIXELS
from ..support.strips import strips
from .depth import (
    DEEP,
    inverted,
    is_deep,
    is_inverted,
    is_signed,
    largest_value,
    prepare,
    stated_bits,
    stretched,
    unsigned,
    used_bits,
)
from .files import READ_ERRORS, check_size, decoded, identified, opened, reason_of
from .files import open_picture as open_picture
from .metadata import Metadata, orientation, read_metadata

log = getLogger(__name__)

ImageLike = str | Path | Image.Image | NDArray[np.uint8]
"""A picture: the path of a file, a PIL picture, or (H, W, 3) RGB pixels."""

# Errors that Pillow's writers raise for pixels or options that their format does not support.
_WRITE_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, OverflowError, struct.error)
_WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")


def read_image(source: ImageLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Turns a file, a PIL picture or an array into RGB pixels, rotated upright by EXIF.

    Transparent parts are put on white. Of an animated picture, the first frame is used, with a log message. 16-bit
    values are reduced to their upper 8 bits; if they use at most 14 bits, as with 10- or 12-bit cameras, to the upper 8
    of the bits in use, also with a log message.

    Args:
        source: a path, a PIL picture, or a uint8 array of shape (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA,
            or one of these in a batch, (1, H, W, 3). Pillow keeps only the upper bytes of 16-bit colours when it
            decodes them, so give the path, or the picture as `Image.open` returns it.
        max_pixels: larger pictures are refused before they are decoded.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous. It may be the source array itself, so do not write to it.

    Raises:
        ImageError: the source is missing, damaged, too large, or not a picture.

    >>> read_image(np.zeros((4, 6, 3), np.uint8)).shape
    (4, 6, 3)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "The picture")
        check_size(source.size, name, max_pixels)
        return _upright(_from_picture(source, name), name)
    if isinstance(source, (str, Path)):
        with opened(source, max_pixels) as picture:
            return _upright(_read(picture, str(source)), str(source))
    raise ImageError(f"A picture must be a path, a PIL image or a numpy array, not {type(source).__name__}.")


@dataclass(frozen=True, eq=False)
class Photo:
    """The pixels of a photo, and everything else it needs to look the same when it is written again.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, C-contiguous; transparent parts are put on white.
        changes: everything that was converted or lost on reading, a few words each; empty for most photos.
        metadata: the file's data besides its pixels, for `write_image(..., metadata=)`.
        rgba: (H, W, 4) uint8, the pixels with their transparency; None if all are opaque.
    """

    pixels: np.ndarray
    changes: tuple[str, ...]
    metadata: Metadata
    rgba: np.ndarray | None

    @property
    def profile(self) -> bytes | None:
        """The ICC profile of the pixels; None if the file does not have one for RGB, and the pixels are sRGB."""
        return self.metadata.profile

    def edited(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels to write after an edit: the edited pixels with the photo's transparency.

        Where the edit changed nothing, the file's own pixels are unchanged, bit for bit.

        Args:
            pixels: (H, W, 3) uint8, `self.pixels` after the edit.

        Returns:
            (H, W, 4) uint8 RGBA, or the pixels themselves if the photo is opaque.
        """
        if self.rgba is None:
            return pixels
        out = self.rgba.copy()
        for rows in strips(*pixels.shape[:2]):
            changed = (pixels[rows] != self.pixels[rows]).any(axis=2) & (out[rows][..., 3] > 0)
            alpha = out[rows][..., 3:][changed].astype(np.float32) / 255
            colours = (pixels[rows][changed] - 255 * (1 - alpha)) / alpha  # without the white beneath
            part = out[rows]
            part[..., :3][changed] = np.rint(colours).clip(0, 255).astype(np.uint8)
        return out


def read_photo(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Reads a file like `read_image`, for a program that writes the photo again.

    Raises:
        ImageError: the file is missing, damaged, too large, or not a picture.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(f"{folder}/photo.png", np.zeros((4, 6, 3), np.uint8))
    ...     photo = read_photo(f"{folder}/photo.png")
    >>> photo.pixels.shape, photo.changes
    ((4, 6, 3), ())
    """
    with opened(path, max_pixels) as picture:
        deep = is_deep(picture)  # no longer known after decoding
        found = _read(picture, str(path))
        rgba = _upright(found, str(path), alpha=True) if _is_transparent(found.picture) else None
        pixels = _upright(found, str(path)) if rgba is None else _over_white(rgba)
        metadata, lost = read_metadata(found.picture, (pixels.shape[1], pixels.shape[0]))
        mode = found.picture.mode
        changes = [f"{found.bits} bit became 8 bit"] * (deep and found.bits > 8)
        changes += [f"{mode} became RGB"] * (mode in ("CMYK", "LAB", "YCbCr"))
        return Photo(pixels, (*changes, *lost), metadata, rgba)


@dataclass(frozen=True)
class _Decoded:
    """A decoded picture, and the number of bits in use if it is grey with more than 8 bits."""

    picture: Image.Image
    bits: int


def _read(picture: ImageFile.ImageFile, name: str) -> _Decoded:
    """Decodes a picture, and notes how many bits its values use if there are more than 8."""
    deep, stated = is_deep(picture), stated_bits(picture)
    signed, from_white = is_signed(picture), is_inverted(picture)
    prepare(picture)
    tiles, file, frame = list(picture.tile), picture.fp, picture.tell()
    result = decoded(picture)
    if signed:
        return _Decoded(*unsigned(result, name))
    if not deep:
        return _Decoded(result, DEEP)
    bits = stated or DEEP
    if result.mode.startswith("I"):
        bits = _bits_of(result, name, stated)
    elif stated is None and result.mode in ("RGB", "RGBA", "LA"):
        result, bits = stretched(result, file, tiles, frame)
    if stated is None and bits < DEEP:
        log.info("%s uses only the values 0 to %d of its 16 bits, and is read as %d bit.", name, (1 << bits) - 1, bits)
    return _Decoded(inverted(result, bits) if from_white else result, bits)


def _from_picture(picture: Image.Image, name: str) -> _Decoded:
    """Decodes a picture that the caller opened, in the same way as its file.

    Once a picture with 16-bit colours is decoded, the lower bytes are lost.
    """
    if not isinstance(picture, ImageFile.ImageFile) or not picture.tile:
        return _Decoded(picture, _bits_of(picture, name))
    file = picture.fp
    if file is None or file.closed:
        raise ImageError(f"{name} was closed before it was read; give its path, or read it while it is open.")
    if not is_deep(picture) and not is_signed(picture):
        return _Decoded(picture, _bits_of(picture, name))
    place = file.tell()
    try:
        file.seek(0)
        with identified(BytesIO(file.read()), name) as again:
            again.seek(picture.tell())
            return _read(again, name)
    except READ_ERRORS as error:
        raise _damaged(name, error) from None
    finally:
        file.seek(place)


def _bits_of(picture: Image.Image, name: str, stated: int | None = None) -> int:
    """The number of bits that the values of a grey picture use; it does not matter for other pictures."""
    try:
        picture.load()
        largest = largest_value(picture, name) if picture.mode.startswith("I") else 65535
    except READ_ERRORS as error:
        raise _damaged(name, error) from None
    return stated or used_bits(largest)


def _damaged(name: str, error: Exception) -> ImageError:
    return ImageError(f"{name} is damaged or of an unknown type ({reason_of(error)}).")


def _from_array(array: np.ndarray, max_pixels: int) -> np.ndarray:
    if array.dtype != np.uint8:
        raise ImageError(f"An array must be uint8 with values 0 to 255, not {array.dtype}{_way_to_uint8(array)}.")
    if array.ndim == 4 and array.shape[0] == 1:  # a batch of one
        array = array[0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        hint = "; move the channels to the end with array.transpose(1, 2, 0)" if _channels_first(array.shape) else ""
        raise ImageError(f"An array must have shape (height, width, 3), not {array.shape}{hint}.")
    check_size((array.shape[1], array.shape[0]), "The array", max_pixels)
    if array.ndim == 3 and array.shape[2] == 3:
        return np.ascontiguousarray(array)
    out = np.empty((*array.shape[:2], 3), np.uint8)
    for rows in strips(*array.shape[:2]):
        part = array[rows]
        out[rows] = _over_white(part) if array.shape[2:] == (4,) else part.reshape(*part.shape[:2], 1)
    return out


def _way_to_uint8(array: np.ndarray) -> str:
    """Advice for an array of another dtype, as the end of a sentence; empty if its values do not suggest any."""
    kind = array.dtype.kind
    if kind not in "bfiu" or not array.size:
        return ""
    if kind == "f" and np.isnan(array).any():
        return " that holds NaN"
    low, high = array.min(), array.max()
    if kind in "bf" and low >= 0 and high <= 1:
        return "; convert values between 0 and 1 with (array * 255).round().astype('uint8')"
    if low >= 0 and high <= 255:
        return f"; convert it with array{'.round()' if kind == 'f' else ''}.astype('uint8')"
    return f" from {low} to {high}"


def _channels_first(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] in (1, 3, 4) and min(shape[1:]) > 4  # otherwise it may be a side


def _upright(found: _Decoded, name: str, *, alpha: bool = False) -> np.ndarray:
    """(H, W, 3) RGB, or with `alpha` (H, W, 4) RGBA.

    Converts strip by strip, straight into the upright result, so that nothing else of full size is allocated.
    """
    picture = found.picture
    try:
        width, height = picture.size  # after loading, which rotates a TIFF upright
        turned = _read_orientation(picture)
        shape = (width, height) if turned >= 5 else (height, width)
        out = np.empty((*shape, 4 if alpha else 3), np.uint8)
        as_stored = _undo_orientation(out, turned)
        for rows in strips(height, width):
            part = _channels(picture.crop((0, rows.start, width, rows.stop)), found.bits, name)
            as_stored[rows] = part if alpha or part.shape[2] < 4 else _over_white(part)
    except READ_ERRORS as error:
        raise _damaged(name, error) from None
    return out


def _channels(part: Image.Image, bits: int, name: str) -> np.ndarray:
    """(h, w, 1) grey, (h, w, 3) RGB or (h, w, 4) RGBA, uint8."""
    if part.mode.startswith("I"):
        values = np.asarray(part)
        grey = (values >> (bits - 8)).clip(0, 255).astype(np.uint8)[..., None]
        if "transparency" not in part.info:
            return grey
        # The transparent value; Pillow's own conversion supports it only with 8 bits.
        opaque = np.where(values == part.info["transparency"], 0, 255).astype(np.uint8)[..., None]
        return np.concatenate([grey, grey, grey, opaque], axis=2)
    if part.mode == "F":
        raise ImageError(f"{name} contains floating-point numbers; save it with 8 or 16 bits.")
    if part.mode in _WITH_ALPHA or "transparency" in part.info:
        return np.asarray(part.convert("RGBA"))
    return np.asarray(part.convert("RGB"))


def _over_white(rgba: np.ndarray) -> np.ndarray:
    """(h, w, 4) → (h, w, 3)."""
    out = np.empty((*rgba.shape[:2], 3), np.uint8)
    for rows in strips(*rgba.shape[:2]):
        alpha = rgba[rows][..., 3:].astype(np.uint32)
        out[rows] = (rgba[rows][..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return out


def _is_transparent(picture: Image.Image) -> bool:
    """Whether any pixel is at least partly transparent."""
    one = picture.info.get("transparency")  # in some formats, the single transparent value or colour
    if one is None and picture.mode not in _WITH_ALPHA:
        return False
    for rows in strips(picture.height, picture.width):
        part = picture.crop((0, rows.start, picture.width, rows.stop))
        if picture.mode.startswith("I"):
            found = (np.asarray(part) == one).any()
        else:
            found = (np.asarray(part.convert("RGBA").getchannel("A")) < 255).any()
        if found:
            return True
    return False


def _read_orientation(picture: Image.Image) -> int:
    try:
        return orientation(picture)
    except Exception:  # a damaged EXIF block can raise almost anything, and the picture is fine without it
        log.warning("The EXIF data of a picture is damaged; the picture is not rotated.")
        return 1


def _undo_orientation(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The view of the upright array as the picture is stored (EXIF orientation 1..8)."""
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    return upright.swapaxes(0, 1) if orientation >= 5 else upright


def write_image(path: str | Path, pixels: np.ndarray, *, metadata: Metadata | None = None, **options: Any) -> None:
    """Writes a picture, completely or not at all, in the format of the path's suffix.

    Args:
        path: ends in .png, .jpg, .webp or another suffix that Pillow knows.
        pixels: (H, W) uint8 or uint16, or (H, W, 3) RGB or (H, W, 4) RGBA uint8.
        metadata: from `read_photo`, to keep the photo's profile, EXIF, resolution and, in a PNG, text, as far as the
            format can hold them.
        **options: for Pillow's writer, such as quality=90; they take precedence over the metadata.

    Raises:
        InputError: the pixels are not an array.
        OutputError: the suffix is unknown, its format cannot hold the pixels, or the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(f"{folder}/mask.png", np.array([[0, 255]], np.uint8))
    ...     read_image(f"{folder}/mask.png").shape
    (1, 2, 3)
    """
    if not isinstance(pixels, np.ndarray):
        raise InputError(f"A picture to write must be an array, not {type_name(pixels)}; convert it with np.asarray.")
    encoded = BytesIO()  # in memory first: Pillow reports a full disk without saying so
    Image.init()
    suffix = os.path.splitext(path)[1].lower()
    format_name = Image.EXTENSION.get(suffix)
    if format_name is None or format_name not in Image.SAVE:
        raise OutputError(
            f"{path} cannot be written: {suffix!r} is not the suffix of a picture format; use .png or .jpg."
        )
    try:
        picture = Image.fromarray(pixels)
        if metadata is not None:
            options = metadata.options(format_name, picture.size) | options
        picture.save(encoded, format_name, **options)
    except _WRITE_ERRORS as error:
        raise OutputError(
            f"{path} cannot be written: {format_name} does not support pixels of shape {pixels.shape} "
            f"{pixels.dtype} with these options ({reason_of(error)}); try .png."
        ) from error
    with write_atomically(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())
