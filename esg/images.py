"""Reading pictures into (H, W, 3) uint8 RGB and writing them, with one clear sentence for each that cannot be used."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from logging import getLogger
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile

from .checks import kind_of
from .errors import ImageError, InputError, OutputError
from .files import write_atomically
from .labelmap import strips
from .limits import MAX_PIXELS

log = getLogger(__name__)

# What is tried on a file, by its content. Formats that run programs (EPS) or are no pictures are not among them; AVIF
# and HEIF work where Pillow or a plugin of the user's brings them.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "MPO", "AVIF", "HEIF")
_KNOWN = "JPEG, PNG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000"
_ORIENTATION = 0x0112
_LARGEST_PROFILE = 1 << 20  # bytes; Pillow takes PNGs with larger ones for damaged
# What Pillow's readers are known to raise on damaged files; the bomb error guards parts of files that we do not see.
_READ_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, OverflowError, struct.error),
    *(zlib.error, Image.DecompressionBombError),
)
# What Pillow's writers are known to raise on pixels or options that their format cannot take.
_WRITE_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, OverflowError, struct.error)


def read_image(source: str | Path | Image.Image | np.ndarray, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Turns a file, a PIL picture or an array into RGB pixels, upright as EXIF says.

    Transparent parts are laid over white, 16 bit values are brought to 8 bit by their upper byte, and of an animated
    picture the first frame is taken, which is logged.

    Args:
        source: a path, a PIL picture, or a uint8 array of shape (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA.
        max_pixels: larger pictures are refused before they are decoded.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous. It may be the array given as source, so do not write to it.

    Raises:
        ImageError: the source is missing, damaged, too large, or no picture.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        name = getattr(source, "filename", "") or "The picture"
        check_size(source.size, name, max_pixels)
        return _from_picture(source, name)
    if isinstance(source, (str, Path)):
        with open_picture(source, max_pixels=max_pixels) as picture:
            return _from_picture(picture, str(source))
    raise ImageError(f"A picture must be a path, a PIL image or a numpy array, not {type(source).__name__}.")


@dataclass(frozen=True, eq=False)
class Photo:
    """The pixels of a photo's file, and what else it needs to look the same when it is written again.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, C-contiguous.
        profile: the ICC profile that says which colours these numbers mean, for `write_image(..., icc_profile=)`; None
            if the file has none for RGB, and they are sRGB.
        changes: what of the file is otherwise in the pixels, a few words each; nothing for most photos.
    """

    pixels: np.ndarray
    profile: bytes | None
    changes: tuple[str, ...]


def read_photo(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Reads a file as `read_image` does, for a program that writes the photo again.

    Raises:
        ImageError: the file is missing, damaged, too large, or no picture.
    """
    with _opened(path, max_pixels) as picture:
        deep = _is_deep(picture)  # which is known no more when it is decoded
        picture.load()
        pixels = _from_picture(picture, str(path))
        profile = _rgb_profile(picture)
        changes = {
            "transparent parts are white now": _is_transparent(picture),
            "16 bit became 8 bit": deep,
            f"{picture.mode} became RGB": picture.mode in ("CMYK", "LAB", "YCbCr"),
            "the colour profile is left out": bool(picture.info.get("icc_profile")) and profile is None,
        }
        return Photo(pixels, profile, tuple(words for words, true in changes.items() if true))


@contextmanager
def open_picture(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A decoded PIL picture from a file whose size was checked first; whatever fails in the block is an ImageError."""
    with _opened(path, max_pixels) as picture:
        picture.load()
        yield picture


@contextmanager
def _opened(path: str | Path, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """As `open_picture`, but it is decoded only when its pixels are asked for.

    Pillow's own limit is a global of the process that belongs to whoever imported Pillow, so the file is opened
    through Pillow's table of formats, beside that limit.
    """
    file = _open(path)
    try:
        with file:
            picture = _identify(file, str(path))
            if picture is None:
                raise ImageError(_not_a_picture(Path(path)))
            with picture:
                check_size(picture.size, str(path), max_pixels)
                if getattr(picture, "is_animated", False) and picture.format != "MPO":
                    log.info("%s has several frames; the first one is taken.", path)
                yield picture
    except _READ_ERRORS as error:
        raise ImageError(
            f"{path} is damaged or incomplete ({str(error).rstrip('.') or type(error).__name__})."
        ) from None
    except MemoryError:
        raise ImageError(f"{path} is too large for the memory of this machine.") from None


def _open(path: str | Path) -> BinaryIO:
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):  # to open a pipe may never end
        raise ImageError(f"{path} is a pipe or a device, no file; save the picture as a file and give that.")
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist.") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, not a picture.") from None
    except PermissionError:
        raise ImageError(f"{path} may not be read{' (it is a folder)' if os.path.isdir(path) else ''}.") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{str(path)!r} cannot be opened: {reason.lower()}.") from None


def _identify(file: Any, name: str) -> ImageFile.ImageFile | None:
    head = file.read(16)
    Image.preinit()
    for attempt in (0, 1):
        for format_name in FORMATS:
            if format_name not in Image.OPEN:
                continue
            opener, accepts = Image.OPEN[format_name]
            verdict = accepts is None or accepts(head)
            if not verdict or isinstance(verdict, str):  # text says why the format is not at hand
                continue
            file.seek(0)
            try:
                return opener(file, name)
            except (SyntaxError, IndexError, TypeError, struct.error):  # how Pillow's readers say "not mine"
                continue
        if attempt == 0:
            Image.init()  # the less common formats; slow, so only when needed
    return None


def _not_a_picture(path: Path) -> str:
    if path.stat().st_size == 0:
        return f"{path} is empty."
    return f"{path} is not a picture that can be read ({_KNOWN}) or its beginning is damaged."


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """ImageError unless a picture of this width, height has pixels, and not more than `max_pixels`."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels ({width}x{height}).")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has {width}x{height} = {width * height:,} pixels, more than the limit of {max_pixels:,}; "
            f"raise it with --max-pixels (max_pixels=) if you trust the picture."
        )


def _from_array(array: np.ndarray, max_pixels: int) -> np.ndarray:
    if array.dtype != np.uint8:
        raise ImageError(f"An array must be uint8 with values 0 to 255, not {array.dtype}{_way_to_uint8(array)}.")
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
    """What to do with an array of another dtype, as the end of a sentence; nothing where its values do not tell."""
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
    return len(shape) == 3 and shape[0] in (1, 3, 4) and min(shape[1:]) > 4  # else it may be a side


def _from_picture(picture: Image.Image, name: str) -> np.ndarray:
    """Converts strip by strip, straight into the upright result, so that nothing full-size is made but the result."""
    try:
        picture.load()
        width, height = picture.size  # after loading: TIFF turns itself upright then
        orientation = _read_orientation(picture)
        out = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
        as_stored = _undo_orientation(out, orientation)
        for rows in strips(height, width):
            as_stored[rows] = _rgb(picture.crop((0, rows.start, width, rows.stop)), name)
    except _READ_ERRORS as error:
        raise ImageError(f"{name} is damaged or of an unknown kind ({str(error).rstrip('.')}).") from None
    return out


def _rgb(part: Image.Image, name: str) -> np.ndarray:
    if part.mode.startswith("I"):
        values = np.asarray(part)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(f"{name} holds whole numbers beyond 16 bit; save it with 8 or 16 bit.")
        grey = (values >> 8).astype(np.uint8)
        if "transparency" in part.info:  # the one value that is; Pillow's own conversion knows it in 8 bit only
            grey[values == part.info["transparency"]] = 255
        return grey[..., None]
    if part.mode == "F":
        raise ImageError(f"{name} holds floating point numbers; save it with 8 or 16 bit.")
    if part.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in part.info:
        return _over_white(np.asarray(part.convert("RGBA")))
    return np.asarray(part.convert("RGB"))


def _over_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.uint32)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _is_deep(picture: ImageFile.ImageFile) -> bool:
    """Whether a picture that is not decoded yet has more than 8 bits a channel, which Pillow tells of PNG and TIFF."""
    how = " ".join(str(tile[3]) for tile in picture.tile)  # such as RGB;16B, but BGR;16 are 16 bits for all channels
    return picture.mode.startswith("I") or re.search(r";16[BLN]", how) is not None


def _is_transparent(picture: Image.Image) -> bool:
    """Whether any pixel is, if only in part."""
    one = picture.info.get("transparency")  # of some kinds of pictures the one value or colour that is
    if one is None and picture.mode not in ("RGBA", "RGBa", "LA", "La", "PA"):
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


def _rgb_profile(picture: Image.Image) -> bytes | None:
    """The ICC profile, if it is one that RGB pixels can have."""
    profile = picture.info.get("icc_profile")
    usable = isinstance(profile, bytes) and profile[16:20] == b"RGB " and len(profile) <= _LARGEST_PROFILE
    return profile if usable and picture.mode in ("RGB", "RGBX", "RGBA", "RGBa", "P", "PA") else None


def _read_orientation(picture: Image.Image) -> int:
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block can raise nearly anything, and the picture is good without it
        log.warning("The EXIF data of a picture is damaged; its orientation is taken as it is stored.")
        return 1
    return orientation if orientation in range(1, 9) else 1


def _undo_orientation(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The view of the upright array in which the picture lies as it is stored (EXIF orientation 1..8)."""
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    return upright.swapaxes(0, 1) if orientation >= 5 else upright


def write_image(path: str | Path, pixels: np.ndarray, **options: Any) -> None:
    """Writes a picture whole or not at all, in the format of the path's suffix.

    Args:
        path: ends in .png, .jpg, .webp or another suffix that Pillow knows.
        pixels: (H, W) uint8 or uint16, or (H, W, 3) RGB or (H, W, 4) RGBA uint8.
        **options: for Pillow's writer, such as quality=90, or icc_profile= of `read_photo`.

    Raises:
        InputError: the pixels are no array.
        OutputError: the suffix is unknown, its format cannot hold the pixels, or the file cannot be written.
    """
    if not isinstance(pixels, np.ndarray):
        raise InputError(f"A picture to write must be an array, not {kind_of(pixels)}; np.asarray makes one of it.")
    encoded = BytesIO()  # in memory first: Pillow reports a full disk without saying so
    Image.init()
    suffix = os.path.splitext(path)[1].lower()
    format_name = Image.EXTENSION.get(suffix)
    if format_name not in Image.SAVE:
        raise OutputError(f"{path} cannot be written: no picture format has the suffix {suffix!r}; use .png or .jpg.")
    try:
        Image.fromarray(pixels).save(encoded, format_name, **options)
    except _WRITE_ERRORS as error:
        raise OutputError(
            f"{path} cannot be written: {format_name} does not take pixels of shape {pixels.shape} "
            f"{pixels.dtype} with these options ({str(error).rstrip('.') or type(error).__name__}); try .png."
        ) from error
    with write_atomically(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())
