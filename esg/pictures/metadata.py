"""A photo file's data besides its pixels: profile, EXIF, XMP, resolution and text, read and written again.

Pixels are rotated upright when they are read, so the data that is kept says that they are upright. Thumbnails are
dropped, since they would still show things that have been removed from the photo.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo, iTXt

_ORIENTATION, _WIDTH, _HEIGHT = 0x0112, 0xA002, 0xA003
_LARGEST_PROFILE = 1 << 20  # bytes; Pillow considers PNGs with larger ones damaged
_LARGEST_SEGMENT = 65_500  # bytes of EXIF or XMP in a JPEG
_XMP_IN_PNG = "XML:com.adobe.xmp"
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>\s*))\d+")
# TIFF tags that describe how the pixels are stored; EXIF blocks of other files do not have them.
_STORAGE = {
    *range(254, 267),  # kind, size, bits, compression, photometric, fill order
    *(273, 277, 278, 279, 280, 281, 284, *range(288, 294), 297, 301, 317, *range(318, 348)),  # strips, tiles, inks
    *(*range(512, 533), 700, 33723, 34377, 34675, 50706, 50707),  # JPEG, YCbCr, XMP, IPTC, Photoshop, profile, DNG
}


@dataclass(frozen=True)
class Metadata:
    """The data of a photo file that is kept besides its pixels, for `write_image(..., metadata=)`.

    Attributes:
        profile: the ICC profile of the RGB values; None: they are sRGB.
        exif: an EXIF block with upright orientation and without a thumbnail.
        xmp: an XMP packet, likewise.
        dpi: horizontal and vertical pixels per inch.
        text: keywords and texts, as in PNGs; the comment of a JPEG or GIF has the keyword "Comment".
    """

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: tuple[tuple[str, str], ...] = ()

    def options(self, format_name: str, size: tuple[int, int]) -> dict[str, Any]:
        """Options for Pillow's writer of a format, as far as the format can hold the data.

        Args:
            format_name: Pillow's name of the format.
            size: width and height of the picture to write, which may be a part of the photo.
        """
        most = _LARGEST_SEGMENT if format_name == "JPEG" else math.inf
        found: dict[str, Any] = {"icc_profile": self.profile, "dpi": self.dpi}
        exif = self.exif and _of_size(self.exif, size)
        found |= {"exif": exif} if exif and len(exif) <= most else {}
        if format_name == "PNG":
            found["pnginfo"] = self._png_text()
        elif self.xmp and len(self.xmp) <= most and format_name in ("JPEG", "WEBP", "AVIF", "MPO"):
            found["xmp"] = self.xmp
        return {name: value for name, value in found.items() if value is not None}

    def _png_text(self) -> PngInfo:
        info = PngInfo()
        for name, text in self.text:
            try:
                info.add_text(name, text)
            except (ValueError, UnicodeError):  # a keyword that PNGs cannot have
                continue
        if self.xmp:
            info.add_itxt(_XMP_IN_PNG, self.xmp.decode("utf-8", "replace"))
        return info


def read_metadata(picture: Image.Image, size: tuple[int, int]) -> tuple[Metadata, list[str]]:
    """The metadata of a decoded picture's file, and descriptions of what cannot be kept, a few words each.

    Args:
        picture: Pillow's picture.
        size: width and height of its upright pixels.
    """
    profile = rgb_profile(picture)
    exif, damaged = _upright_exif(picture, size)
    lost = {
        "the colour profile is left out": bool(picture.info.get("icc_profile")) and profile is None,
        "its EXIF data is damaged and left out": damaged,
        "its IPTC data is left out": bool(picture.info.get("photoshop")),
    }
    found = Metadata(profile, exif, _upright_xmp(picture), _dpi(picture), tuple(_text(picture)))
    return found, [words for words, true in lost.items() if true]


def _of_size(exif: bytes, size: tuple[int, int]) -> bytes:
    """The same EXIF block with this width and height, if it has any; one that cannot be read stays as it is."""
    sides = {_WIDTH: size[0], _HEIGHT: size[1]}
    try:
        block = Image.Exif()
        block.load(exif)
        inner = dict(block.get_ifd(ExifTags.IFD.Exif))
        if not inner.keys() & sides.keys() or sides.items() <= inner.items():
            return exif
        if ExifTags.IFD.Interop in inner:
            inner[ExifTags.IFD.Interop] = dict(block.get_ifd(ExifTags.IFD.Interop))
        block[ExifTags.IFD.Exif] = inner | sides
        return block.tobytes()
    except Exception:  # a damaged block can raise almost anything
        return exif


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation of a picture as stored, 1 to 8; 1 is upright.

    Raises:
        Exception: of any type, if the EXIF block is damaged.
    """
    found = picture.getexif().get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def rgb_profile(picture: Image.Image) -> bytes | None:
    """The ICC profile, if it is one for RGB pixels."""
    profile = picture.info.get("icc_profile")
    usable = isinstance(profile, bytes) and profile[16:20] == b"RGB " and len(profile) <= _LARGEST_PROFILE
    return profile if usable and picture.mode in ("RGB", "RGBX", "RGBA", "RGBa", "P", "PA") else None


def _upright_exif(picture: Image.Image, size: tuple[int, int]) -> tuple[bytes | None, bool]:
    """The EXIF block, or None, and whether there is one that cannot be read."""
    try:
        given = picture.getexif()
        kept = Image.Exif()
        for tag, value in given.items():
            if tag not in _STORAGE and tag != _ORIENTATION:
                kept[tag] = value
        for place in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if place in kept:
                del kept[place]
            if inner := dict(given.get_ifd(place)):
                if _WIDTH in inner or _HEIGHT in inner:
                    inner |= {_WIDTH: size[0], _HEIGHT: size[1]}
                if ExifTags.IFD.Interop in inner:
                    inner[ExifTags.IFD.Interop] = dict(given.get_ifd(ExifTags.IFD.Interop))
                kept[place] = inner
        if not len(kept):
            return None, False
        if _ORIENTATION in given:
            kept[_ORIENTATION] = 1
        return kept.tobytes(), False
    except Exception:  # a damaged block can raise almost anything, and the picture is fine without it
        return None, True


def _upright_xmp(picture: Image.Image) -> bytes | None:
    packet = picture.info.get("xmp") or picture.info.get(_XMP_IN_PNG)
    packet = packet.encode() if isinstance(packet, str) else packet
    return _XMP_ORIENTATION.sub(rb"\g<1>1", packet) if isinstance(packet, bytes) and packet else None


def _dpi(picture: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in picture.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None  # also false for NaN


def _text(picture: Image.Image) -> list[tuple[str, str]]:
    found: Any = getattr(picture, "text", None) or {}
    texts = [(name, text) for name, text in found.items() if name != _XMP_IN_PNG and isinstance(text, (str, iTXt))]
    comment = picture.info.get("comment")
    if isinstance(comment, bytes):
        comment = comment.decode("utf-8", "replace")
    if isinstance(comment, str) and comment.strip("\0 ") and not found:
        texts.append(("Comment", comment.rstrip("\0")))
    return texts
