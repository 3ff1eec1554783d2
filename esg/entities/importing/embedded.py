"""Masks written as text in annotation files: pictures in base64, zlib streams, and Label Studio's run lengths."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from ...pictures.files import identified
from ...support.errors import ImageError
from .fields import Unusable

_LARGEST = 1 << 26  # pixels of one mask, and bytes of an unpacked one
_DAMAGES = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, OverflowError, MemoryError)
_DAMAGED = (*_DAMAGES, struct.error, zlib.error, Image.DecompressionBombError)


def bytes_of(text: Any) -> bytes:
    """The bytes of a text in base64, unpacked if they are a zlib stream.

    Raises:
        Unusable: it is not base64, is damaged, or is too large when unpacked.
    """
    if not isinstance(text, str) or not text:
        raise Unusable("has no mask in it")
    try:
        data = base64.b64decode(text.partition("base64,")[2] or text)
    except (binascii.Error, ValueError):
        raise Unusable("has a mask that is not base64") from None
    if data[:1] != b"\x78":
        return data
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(data, _LARGEST)
    except zlib.error:
        raise Unusable("has a mask that is damaged") from None
    if stream.unconsumed_tail:
        raise Unusable("has a mask that is too large")
    return data


def mask_of_png(text: Any) -> np.ndarray:
    """The mask, (h, w) bool, of a PNG in base64: where it is opaque if it has alpha, else where it is not black.

    Raises:
        Unusable: it is not one, or is too large.
    """
    data = bytes_of(text)
    try:
        with Image.open(BytesIO(data), formats=["PNG"]) as found:
            if found.width * found.height > _LARGEST:
                raise Unusable(f"has a mask of {found.width}x{found.height} pixels, which is too large")
            if found.mode in ("RGBA", "LA", "PA") or "transparency" in found.info:
                return np.asarray(found.convert("RGBA").getchannel("A")) > 127
            grey = np.asarray(found if found.mode in ("P", "1") else found.convert("L"))
            return grey > (127 if grey.max(initial=0) > 127 else 0)
    except _DAMAGED:
        raise Unusable("has a mask that is not a PNG") from None


def size_of_picture(text: Any) -> tuple[int, int] | None:
    """height, width of a picture in base64; None if it is not one."""
    try:
        with identified(BytesIO(bytes_of(text)), "") as found:
            return found.height, found.width
    except (Unusable, ImageError, *_DAMAGED):
        return None


def mask_of_array(text: Any) -> np.ndarray:
    """The mask, (h, w) bool, of a .npy file in base64, as in FiftyOne; a pickle in it is not executed.

    Raises:
        Unusable: it is not one, or is too large.
    """
    try:
        found = np.load(BytesIO(bytes_of(text)), allow_pickle=False)
    except _DAMAGED:
        raise Unusable("has a mask that is not an array") from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "biu" or not found.size:
        raise Unusable("has a mask that is not an array of height x width")
    return found != 0


def mask_of_bits(numbers: Sequence[Any], height: int, width: int) -> np.ndarray:
    """The mask, (height, width) bool, of Label Studio's brush: bytes of a bit stream with the opacity of RGBA pixels.

    The stream begins with the number of values (32 bits), their size (5 bits), and four sizes of lengths (4 bits each).
    Then follow blocks: a bit that says whether one value is repeated, two bits that select the size of the length, the
    length, and one value or as many as the length.

    Raises:
        Unusable: it is damaged, or its size differs.
    """
    if not all(isinstance(one, int) and 0 <= one < 256 for one in numbers):
        raise Unusable("is damaged (its RLE is not a list of bytes)")
    bits = np.unpackbits(np.array(numbers, np.uint8))
    place = 0

    def take(length: int, count: int = 1) -> np.ndarray:
        nonlocal place
        piece = bits[place : place + length * count]
        if len(piece) < length * count:
            raise Unusable("is damaged (its RLE is cut short)")
        place += length * count
        return piece.reshape(count, length) @ (1 << np.arange(length - 1, -1, -1, dtype=np.int64))

    total, word = int(take(32)[0]), int(take(5)[0]) + 1
    lengths = [int(take(4)[0]) + 1 for _ in range(4)]
    if total != height * width * 4:
        raise Unusable(f"is damaged (its RLE has {total} values, not four for each of {width}x{height} pixels)")
    values = np.empty(total, np.int64)
    done = 0
    while done < total:
        repeated, size = int(take(1)[0]), lengths[int(take(2)[0])]
        count = min(int(take(size)[0]) + 1, total - done)
        values[done : done + count] = take(word) if repeated else take(word, count)
        done += count
    return values.reshape(height, width, 4)[..., 3] > 127
