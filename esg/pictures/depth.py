"""Reduces more than 8 bits per channel to 8, by the bits that the values use, which may be fewer than the file has.

10- and 12-bit cameras store their values unscaled in 16-bit files: 0..4095 of 0..65535.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from ..support.errors import ImageError
from ..support.strips import strips
from .files import identified

DEEP = 16
_MOST_USED = 14  # bits; values that need more are 16-bit values of a dark picture
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
# Tags of TIFF
_BITS, _PHOTOMETRIC, _BANDS, _NUMBERS = 258, 262, 277, 339
_PLANES = 284  # 2: each colour in its own plane
_WHITE_IS_ZERO, _SIGNED = 0, 2  # values of the photometric tag and of the tag for the kind of numbers
_SIZ = b"\xff\x4f\xff\x51"  # the beginning of a JPEG 2000 codestream
_RAW_MODE = re.compile(r"(\w+);16([BLN])")


def is_deep(picture: ImageFile.ImageFile) -> bool:
    """Whether a picture, not decoded yet, has more than 8 bits per channel, as Pillow reports for PNG, TIFF and PPM."""
    how = " ".join(str(tile[3]) for tile in picture.tile)  # such as RGB;16B, but BGR;16 are 16 bits for all channels
    if picture.mode.startswith("I") or _RAW_MODE.search(how):
        return True
    return _is_deep_ppm(picture) or _has_deep_planes(picture)


def stated_bits(picture: ImageFile.ImageFile) -> int | None:
    """The bits per channel of a picture, not decoded yet, if its file has fewer than 16 or scales them."""
    how = " ".join(str(tile[3]) for tile in picture.tile)
    if "I;12" in how:
        return 12
    scaled = any(tile[0] in ("ppm", "ppm_plain") for tile in picture.tile) and not _is_deep_ppm(picture)
    return DEEP if scaled or _declared_bits(picture) not in (None, DEEP) else None


def _declared_bits(picture: Any) -> int | None:
    """The bits per channel that a JPEG 2000 declares, from which Pillow scales to 8 or 16; None for other pictures."""
    if picture.format != "JPEG2000" or picture.fp is None:
        return None
    place = picture.fp.tell()
    picture.fp.seek(0)
    head = picture.fp.read(1 << 16)
    picture.fp.seek(place)
    start = head.find(_SIZ)
    return (head[start + 42] & 127) + 1 if 0 <= start < len(head) - 42 else None


def is_signed(picture: Any) -> bool:
    """Whether a picture is a grey TIFF with signed numbers of 8 or 16 bits."""
    return picture.format == "TIFF" and picture.tag_v2.get(_NUMBERS) == (_SIGNED,) and _grey_bits(picture) in (8, 16)


def is_inverted(picture: Any) -> bool:
    """Whether a picture is a 16-bit TIFF with 0 as white, which Pillow does not turn into 0 as black."""
    return (
        picture.format == "TIFF" and picture.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and _grey_bits(picture) == DEEP
    )


def _grey_bits(picture: Any) -> int | None:
    bits = picture.tag_v2.get(_BITS, (1,))
    return int(bits[0]) if len(bits) == 1 and picture.tag_v2.get(_BANDS, 1) == 1 else None


def unsigned(picture: Any, name: str) -> tuple[Image.Image, int]:
    """A decoded grey picture with signed numbers, as one with unsigned numbers; and the number of bits in use.

    If all numbers are at least 0, one bit is unused; if they go far below 0, half of their range is added to them.

    Raises:
        ImageError: a few numbers are negative, so they are not brightness.
    """
    bits = _grey_bits(picture) or DEEP
    values = np.asarray(picture).astype(np.int32)
    values = values.astype(np.uint8).view(np.int8).astype(np.int32) if bits == 8 else values
    low, high, half = int(values.min()), int(values.max()), 1 << (bits - 1)
    if -(half // 2) <= low < 0:
        raise ImageError(
            f"{name} contains negative numbers, from {low} to {high}; save it with 8 or 16 bits without a sign."
        )
    values = values + half if low < 0 else values
    used = bits if low < 0 else 7 if bits == 8 else min(used_bits(high), bits - 1)
    if used <= 8:
        values, used = values << (8 - used), 8
    return _with_values(values.astype(np.uint8 if bits == 8 else np.int32), picture), used


def inverted(picture: Any, bits: int) -> Image.Image:
    """A decoded grey picture with 0 as white, as one with 0 as black."""
    return _with_values(((1 << bits) - 1 - np.asarray(picture).astype(np.int32)).clip(0), picture)


def _with_values(values: np.ndarray, like: Image.Image) -> Image.Image:
    picture = Image.fromarray(values)
    picture.info = like.info
    return picture


def used_bits(largest: int) -> int:
    """The number of bits, 8 to 16, of values up to `largest`."""
    bits = max(8, int(largest).bit_length())
    return bits if bits <= _MOST_USED else DEEP


def largest_value(picture: Image.Image, name: str) -> int:
    """The largest value of a decoded grey picture with 16 bits or integers.

    Raises:
        ImageError: a value is negative, or needs more than 16 bits.
    """
    largest = 0
    for rows in strips(picture.height, picture.width):
        values = np.asarray(picture.crop((0, rows.start, picture.width, rows.stop)))
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(
                f"{name} contains whole numbers of more than 16 bits, or below 0; save it with 8 or 16 bits."
            )
        largest = max(largest, int(values.max()))
    return largest


def stretched(picture: Image.Image, file: Any, how: list[Any], frame: int = 0) -> tuple[Image.Image, int]:
    """A 16-bit colour picture, of which Pillow gives only the upper bytes, and the number of bits its values use.

    If they are fewer than 16, the lower bytes are read, too, and the picture is made from the bits in use.

    Args:
        picture: decoded; RGB, RGBA or another mode with 8 bits per channel.
        file: the file it comes from.
        how: its tiles as they were before decoding.
        frame: which of the file's pictures it is.
    """
    colours = len(picture.getbands()) - (picture.mode in ("RGBA", "LA", "RGBa", "La"))
    upper = [high for _, high in _extrema(picture)]
    if max(upper[:colours]) >= 1 << (_MOST_USED - 8):
        return picture, DEEP
    lower = _lower_bytes(file, how, frame)
    bands, bits = [], 8
    groups = [range(colours), range(colours, len(upper))]
    for group in filter(len, groups):
        values = [_joined(picture.getchannel(k), lower and lower.getchannel(k)) for k in group]
        used = used_bits(max(int(one.max()) for one in values))
        bands += [Image.fromarray((one >> (used - 8)).astype(np.uint8)) for one in values]
        bits = used if group.start == 0 else bits
    result = Image.merge(picture.mode, bands)
    result.info = picture.info
    return result, bits


def _extrema(picture: Image.Image) -> list[tuple[int, int]]:
    found: Any = picture.getextrema()
    return [found] if isinstance(found[0], (int, float)) else list(found)


def _joined(upper: Image.Image, lower: Image.Image | None) -> np.ndarray:
    values = np.asarray(upper).astype(np.uint16) << 8
    return values if lower is None else values | np.asarray(lower)


def _lower_bytes(file: Any, how: list[Any], frame: int) -> Image.Image | None:
    """Decodes the picture again with the other byte order, which gives the lower bytes of its values.

    None for formats that Pillow supports in one byte order only.
    """
    file.seek(0)
    picture: Any = identified(file, "")
    picture.seek(frame)
    picture.tile = [tile for given in how if (tile := _swapped(given)) is not None]
    by_libtiff = any(tile[0] == "libtiff" for tile in how)
    if len(picture.tile) != len(how) or (by_libtiff and _has_deep_planes(picture)):
        return None
    try:
        picture.load()
    except ValueError:  # no such format
        return None
    return picture


def _swapped(tile: Any) -> Any:
    decoder, arguments = tile[0], tile[3]
    mode = arguments if isinstance(arguments, str) else arguments[0]
    found = _RAW_MODE.fullmatch(mode)
    if found is None:
        return None
    other = f"{found[1]};16{_SWAPPED[found[2]]}"
    swapped = other if isinstance(arguments, str) else (other, *arguments[1:])
    return _tile(tile, decoder, swapped)


def _is_deep_ppm(picture: ImageFile.ImageFile) -> bool:
    """Whether it is a 16-bit RGB PPM, whose values Pillow scales by the maximum that the file declares."""
    return any(tile[0] == "ppm" and picture.mode == "RGB" and _last(tile[3]) == 65535 for tile in picture.tile)


def _last(arguments: Any) -> Any:
    return arguments[-1] if isinstance(arguments, tuple) else arguments


def prepare(picture: Any) -> None:
    """Tells Pillow where the upper bytes are in some 16-bit pictures, not decoded yet, that it would misread.

    These are PPMs, and TIFFs that store each colour in its own plane.
    """
    if _is_deep_ppm(picture):
        picture.tile = [_tile(tile, "raw", ("RGB;16B", 0, 1)) for tile in picture.tile]
    elif _has_deep_planes(picture):
        order = "B" if picture.tag_v2.prefix == b"MM" else "L"
        picture.tile = [
            _tile(one, "raw", (f"{one[3][0]};16{order}", *one[3][1:])) if one[3][0] in ("R", "G", "B", "A") else one
            for one in picture.tile
        ]


def _has_deep_planes(picture: Any) -> bool:
    if picture.format != "TIFF" or picture.tag_v2.get(_PLANES) != 2:
        return False
    bits = picture.tag_v2.get(258, (8,))
    return picture.mode in ("RGB", "RGBA") and set(bits if isinstance(bits, tuple) else (bits,)) == {16}


def _tile(like: Any, decoder: str, arguments: Any) -> Any:
    values = (decoder, like[1], like[2], arguments)
    return type(like)(*values) if hasattr(like, "_fields") else values
