"""Picture files: recognised by their content and opened after a size check, or refused with the reason."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from logging import getLogger
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageChops, ImageFile, TiffImagePlugin

from ..support.errors import Advice, ImageError
from ..support.limits import MAX_PIXELS
from .png_chunks import bare_png

log = getLogger(__name__)

# The formats tried on a file, by its content; without formats that run programs (EPS) or are not pictures.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "MPO", "AVIF", "HEIF", "JXL")
_KNOWN = "JPEG, PNG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000, and with a plugin HEIC, AVIF, JPEG XL"
# Errors of Pillow's readers on damaged files; the bomb error guards parts of files that we do not see.
READ_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, OverflowError, struct.error),
    *(zlib.error, RuntimeError, Image.DecompressionBombError),
)
_NOT_MINE = (SyntaxError, IndexError, TypeError, KeyError, struct.error)  # how Pillow's readers say so

# Formats that need a package besides Pillow: its module, its name for pip, and a readable name of the format.
_PLUGINS = {
    "HEIF": ("pillow_heif", "pillow-heif", "HEIC"),
    "AVIF": ("pillow_avif", "pillow-avif-plugin", "AVIF"),
    "JXL": ("pillow_jxl", "pillow-jxl-plugin", "JPEG XL"),
}
_BRANDS = {  # the first brand of an ISO media file
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIF"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
_RAW = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM", b"ARRIRAW")  # cameras' own formats
_CANON = b"CR"  # after the head of a TIFF: Canon's CR2
_OTHERS = {  # files that people mistake for pictures, by their first bytes
    b"%PDF": ("a PDF", "export the page as PNG"),
    b"%!PS": ("PostScript", "export it as PNG"),
    b"8BPS": ("a Photoshop file", "export it as PNG or TIFF"),
    b"gimp xcf": ("a GIMP file", "export it as PNG"),
    b"\x76\x2f\x31\x01": ("OpenEXR", "save it with 8 or 16 bit as PNG or TIFF"),
    b"#?RADIANCE": ("Radiance HDR", "save it with 8 or 16 bit as PNG or TIFF"),
    b"SIMPLE  =": ("FITS", "save it with 8 or 16 bit as PNG or TIFF"),
    b"DDS ": ("a DDS texture", "save it as PNG"),
    b"\0\0\1\0": ("a Windows icon", "save it as PNG"),
    b"PK\3\4": ("a ZIP archive", "unpack it first"),
    b"\x1f\x8b": ("a gzip archive", "unpack it first"),
    b"version https://git-lfs": ("a pointer of Git LFS", "get the file itself with `git lfs pull`"),
    b"<svg": ("SVG", "export it as PNG"),
    b"<!doctype": ("a web page", "download the picture itself"),
    b"<html": ("a web page", "download the picture itself"),
    b"data:image": ("a picture written as text (base64)", "decode it first"),
    b"\x93NUMPY": ("a numpy array", "save it as PNG"),
    b"\x1aE\xdf\xa3": ("a video", "save a frame of it as PNG"),
}

_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # of a JPEG, except for those within a scan

# Tags of TIFF
_KIND, _OLD_KIND, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
_BANDS, _SUB_PICTURES, _NUMBERS, _DNG = 277, 330, 339, 50706
_OF_SENSORS = (32803, 34892)  # photometric: a colour filter array, and linear raw
_SIGNED, _FLOATS, _COMPLEX = 2, 3, (5, 6)


@contextmanager
def opened(
    path: str | Path, max_pixels: int = MAX_PIXELS, *, all_frames: bool = False
) -> Iterator[ImageFile.ImageFile]:
    """A PIL picture from a file, size-checked but not decoded yet; any failure in the block becomes an ImageError.

    Of a file with several frames, it is the first, and the log says so unless the caller reads them all.

    Pillow's own limit is a process-wide global that we must not change, so the file is opened through Pillow's table of
    formats, which bypasses that limit.
    """
    file = open_for_reading(path)
    try:
        with file:
            picture = identified(file, str(path), max_pixels)
            with picture:
                check_size(picture.size, str(path), max_pixels)
                if picture.format == "TIFF":
                    _turn_to_photo(picture, str(path))
                    check_size(picture.size, str(path), max_pixels)
                if not all_frames and getattr(picture, "is_animated", False) and picture.format != "MPO":
                    _tell_frame(picture.tell(), str(path))
                yield picture
    except READ_ERRORS as error:
        raise ImageError(
            f"{path} is damaged or incomplete ({reason_of(error)}); get the file again, "
            "or open it in another program and save it from there."
        ) from None
    except MemoryError:
        raise ImageError(f"{path} is too large for this machine's memory.") from None


def _tell_frame(place: int, name: str) -> None:
    if place:
        log.info("%s begins with a reduced copy; ESG uses its picture number %d.", name, place + 1)
    else:
        log.info("%s has several frames; ESG uses the first one.", name)


@contextmanager
def open_picture(path: str | Path, *, max_pixels: int = MAX_PIXELS, all_frames: bool = False) -> Iterator[Image.Image]:
    """A decoded PIL picture from a file whose size was checked first; failures in the block become ImageErrors."""
    with opened(path, max_pixels, all_frames=all_frames) as picture:
        yield decoded(picture)


def check_file(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> None:
    """Checks, before long work, whether a file can be a picture: it exists, and its header and size are acceptable.

    Raises:
        ImageError: it does not exist, is not a picture, or is too large.
    """
    with opened(path, max_pixels):
        pass


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Raises ImageError if a picture of this (width, height) is empty or has more than `max_pixels` pixels."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name} does not have any pixels ({width}x{height}).")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has {width}x{height} = {width * height:,} pixels, more than the limit of {max_pixels:,}.",
            Advice.MAX_PIXELS,
        )


def decoded(picture: ImageFile.ImageFile) -> Image.Image:
    """Decodes a picture; a JPEG without its end marker counts as complete, and so does a PNG with damaged texts.

    Raises:
        Exception: one of `READ_ERRORS`.
    """
    file = picture.fp
    try:
        picture.load()
    except READ_ERRORS:
        if picture.format not in ("JPEG", "PNG") or file is None or file.closed:
            raise
        file.seek(0)
        data = file.read()
        whole = _with_its_end(data) if picture.format == "JPEG" else _bare(data, str(picture.filename))
        if whole is None:
            raise
        whole.load()
        return whole
    return picture


def _with_its_end(data: bytes) -> Image.Image | None:
    """A JPEG that ends early, if all of its pixels are there.

    Missing pixels would be decoded from whatever follows; so if two different endings give the same picture, none is
    missing.
    """
    data = data[:-1] if data.endswith(b"\xff") else data
    found = []
    for ending in (b"", b"\xb5\x4a" * 64):
        try:
            picture = identified(BytesIO(data + ending + b"\xff\xd9"), "")
            picture.load()
        except (ImageError, *READ_ERRORS):
            return None
        found.append(picture)
    whole, other = found
    return whole if ImageChops.difference(whole, other).getbbox() is None and _has_all_scans(data) else None


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG that have begun provide every coefficient with all of its bits."""
    missing: dict[int, set[int]] = {}  # for each component, the coefficients whose last bit is still missing
    place = 2
    while place + 4 <= len(data):
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        segment = data[place + 4 : place + 2 + length]
        if marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) and len(segment) > 5:
            missing = {number: set(range(64)) for number in segment[6 : 6 + 3 * segment[5] : 3]}
        place += 2 + length
        if marker == 0xDA and segment:
            first, last, bits = segment[1 + 2 * segment[0] :][:3]
            for number in segment[1 : 1 + 2 * segment[0] : 2]:
                if not bits & 15:
                    missing.get(number, set()).difference_update(range(first, last + 1))
            following = _MARKER.search(data, place)
            place = following.start() if following else len(data)
        while place + 1 < len(data) and data[place : place + 2] == b"\xff\xff":
            place += 1
    return bool(missing) and not any(missing.values())


def open_for_reading(path: str | Path) -> BinaryIO:
    """An opened file; ImageError with the reason if it cannot be opened."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):  # a pipe may block
        raise ImageError(f"{path} is a pipe or a device, not a file; save the picture as a file and give that.")
    try:
        return open(path, "rb")
    except FileNotFoundError:
        if str(path).lower().startswith(("http:/", "https:/")):
            raise ImageError(f"{path} is an address; download the picture and give its path.") from None
        raise ImageError(f"{path} does not exist.") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, not a picture.") from None
    except PermissionError:
        raise ImageError(f"{path} cannot be read{' (it is a folder)' if os.path.isdir(path) else ''}.") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{str(path)!r} cannot be opened: {reason.lower()}.") from None


def identified(file: Any, name: str, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """The PIL picture in a file, not decoded yet; ImageError with the reason if there is none."""
    head = file.read(64)
    if kind := _plugin_kind(head):
        _register(kind)
    if kind == "JXL":  # its plugin decodes at once
        check_size(_jxl_size(file, head), name, max_pixels)
    Image.preinit()
    refused: dict[str, Exception] = {}
    for attempt in (0, 1):
        for format_name in FORMATS:
            if format_name not in Image.OPEN:
                continue
            opener, accepts = Image.OPEN[format_name]
            verdict = accepts is None or accepts(head[:16])
            if not verdict or isinstance(verdict, str):  # a text says why the format is unavailable
                continue
            file.seek(0)
            try:
                return opener(file, name)
            except (ValueError, *_NOT_MINE) as error:
                file.seek(0)
                if format_name == "PNG" and (picture := _bare(file.read(), name)) is not None:
                    return picture
                if not isinstance(error, _NOT_MINE):
                    raise
                refused[format_name] = error
        if attempt == 0:
            Image.init()  # the less common formats; slow, so only when needed
    raise _refusal(file, head, name, kind, refused)


def _bare(data: bytes, name: str) -> ImageFile.ImageFile | None:
    """A PNG without the data beside its pixels, some of which cannot be read; None if it only contains pixels."""
    bare = bare_png(data)
    if bare is None:
        return None
    try:
        picture = Image.OPEN["PNG"][0](BytesIO(bare), name)
    except (ValueError, *_NOT_MINE):
        return None
    log.warning("%s: its metadata are damaged or too long, and are left out.", name or "The picture")
    return picture


# ------------------------------------------------------------------------------------------------ what else a file is


def _plugin_kind(head: bytes) -> str | None:
    """The format of a file that may need a plugin."""
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "JXL"
    if head[4:8] != b"ftyp":
        return None
    also = [head[k : k + 4] for k in range(16, min(struct.unpack(">I", head[:4])[0], len(head)), 4)]
    return "AVIF" if {b"avif", b"avis"} & {head[8:12], *also} else _BRANDS.get(head[8:12])


def _register(kind: str) -> None:
    """Registers a format with Pillow, if the package that provides it is installed and works."""
    Image.preinit()
    if kind == "AVIF" and kind not in Image.OPEN:
        Image.init()  # newer versions of Pillow may read it themselves
    if kind in Image.OPEN and not _is_empty(kind):
        return
    try:
        module = import_module(_PLUGINS[kind][0])
        if kind == "HEIF":
            module.register_heif_opener()
    except Exception as error:  # a plugin that does not match its libraries may raise anything
        log.debug("%s cannot be used: %s", _PLUGINS[kind][0], error)


def _is_empty(kind: str) -> bool:
    """Whether Pillow was built without the library that a format needs, which shows only when it is used."""
    accepts = Image.OPEN[kind][1]
    return kind == "AVIF" and accepts is not None and isinstance(accepts(b"\0\0\0 ftypavif\0\0\0\0"), str)


def _refusal(file: Any, head: bytes, name: str, kind: str | None, refused: dict[str, Exception]) -> ImageError:
    """The error for a file that cannot be used as a picture, with the reason."""
    file.seek(0, os.SEEK_END)
    if file.tell() == 0:
        return ImageError(f"{name} is empty.")
    if kind is not None:
        _, package, called = _PLUGINS[kind]
        if not {kind} & refused.keys():
            return ImageError(f"{name} is {called}, which needs a plugin: pip install {package}.")
        return ImageError(f"{name} is {called}, but its beginning is damaged ({reason_of(refused[kind])}).")
    if head.startswith(_RAW) or head[4:12] == b"ftypcrx " or (head[:4] == b"II*\0" and head[8:10] == _CANON):
        return ImageError(_raw_photo(name))
    if head[4:8] == b"ftyp" or (head.startswith(b"RIFF") and head[8:12] == b"AVI "):
        return ImageError(f"{name} is a video, not a picture; save one of its frames as PNG.")
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if begins.startswith(b"{"):
        return ImageError(f"{name} is JSON, not a picture.", Advice.MASKS)
    for magic, (what, advice) in _OTHERS.items():
        if head.startswith(magic) or begins.startswith(magic):
            return ImageError(f"{name} is {what}, not a picture that can be read; {advice}.")
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") and (why := _why_no_tiff(file, name)):
        return ImageError(why)
    if "JPEG" in refused and "12-bit" in str(refused["JPEG"]):
        return ImageError(f"{name} is a 12-bit JPEG, which cannot be read here; save it with 8 bits.")
    return ImageError(f"{name} is not a picture that ESG can read ({_KNOWN}), or its beginning is damaged.")


def reason_of(error: Exception) -> str:
    """A library's error message, for use within a sentence."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _raw_photo(name: str, more: str = "") -> str:
    return f"{name} is a camera raw file{more}; develop it to JPEG or TIFF first."


def _why_no_tiff(file: Any, name: str) -> str | None:
    """The reason why a TIFF cannot be read, from its first directory."""
    try:
        file.seek(0)
        head = file.read(8)
        head += file.read(8) if head[2:3] == b"+" or head[3:4] == b"+" else b""
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
        bands, bits = int(tags.get(_BANDS, 1)), max(_numbers(tags.get(_BITS, 1)))
        kinds = {*_numbers(tags.get(_NUMBERS, 1))}
        photometric, compression = tags.get(_PHOTOMETRIC), tags.get(_COMPRESSION, 1)
        if _HEIGHT not in tags or _WIDTH not in tags:
            return None
    except READ_ERRORS:
        return None
    if photometric in _OF_SENSORS or _DNG in tags:
        return _raw_photo(name)
    if bands > 4:
        return (
            f"{name} has {bands} bands, but a picture has 1 (grey), 3 (RGB) or 4 (with transparency); save three of "
            "them as an RGB picture with 8 or 16 bits."
        )
    if _FLOATS in kinds or kinds & {*_COMPLEX}:
        what = "floating-point" if _FLOATS in kinds else "complex"
        return f"{name} contains {what} numbers; save it with 8 or 16 bits."
    if _SIGNED in kinds:
        return f"{name} contains signed numbers; save it with 8 or 16 bits without a sign."
    if bits > 16:
        return f"{name} contains {bits}-bit numbers; save it with 8 or 16 bits."
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        return f"{name} uses a compression that cannot be read here (TIFF number {compression}); save it with LZW."
    return (
        f"{name} is a type of TIFF that cannot be read here ({bands} bands of {bits} bits, photometric "
        f"{photometric}); save it as grey or RGB with 8 or 16 bits."
    )


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),)


def _turn_to_photo(picture: Any, name: str) -> None:
    """Goes to the first directory of a TIFF that is not a reduced copy; ImageError if the photo cannot be reached."""
    picture.fp.seek(8)
    if picture.fp.read(2) == _CANON:  # whose first directory is a preview that does not say so
        raise ImageError(_raw_photo(name))
    place, unreadable = 0, False
    while is_copy(picture.tag_v2) and place + 1 < picture.n_frames:
        place += 1
        try:
            picture.seek(place)
        except READ_ERRORS:  # unreadable; its tags must not be mistaken for those of the copy
            unreadable = True
            picture.seek(0)
    if is_copy(picture.tag_v2):
        picture.seek(0)
        place = 0
        if unreadable or _hidden_photo(picture) or _DNG in picture.tag_v2:
            raise ImageError(_raw_photo(name, ", and only its small preview can be read"))
    elif picture.tag_v2.get(_PHOTOMETRIC) in _OF_SENSORS or _hidden_photo(picture):
        raise ImageError(_raw_photo(name))


def is_copy(tags: Any) -> bool:
    """Whether the tags of a TIFF's directory say that it is a reduced copy of another."""
    kind, old = tags.get(_KIND, 0), tags.get(_OLD_KIND, 1)
    return (isinstance(kind, int) and bool(kind & 1)) or old == 2


def _hidden_photo(picture: Any) -> bool:
    """Whether a subdirectory of the picture's directory has a larger picture, which Pillow cannot reach."""
    width, height = picture.size
    for place in _numbers(picture.tag_v2.get(_SUB_PICTURES, ())):
        tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=picture.tag_v2.prefix)
        try:
            picture.fp.seek(place)
            tags.load(picture.fp)
            if int(tags[_WIDTH]) * int(tags[_HEIGHT]) > width * height:
                return True
        except READ_ERRORS:
            continue
    return False


def _jxl_size(file: Any, head: bytes) -> tuple[int, int]:
    """Width and height of a JPEG XL from its header (ISO/IEC 18181-1, SizeHeader)."""
    bits = int.from_bytes(_jxl_codestream(file, head), "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def side(small: int) -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    height = side(small)
    ratio = take(3)
    if ratio:
        above, below = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height * above // below, height
    return side(small), height


def _jxl_codestream(file: Any, head: bytes) -> bytes:
    """The first bytes after the codestream's signature."""
    if head.startswith(b"\xff\x0a"):
        return head[2:18]
    place = 0
    while True:
        file.seek(place)
        box = file.read(48)
        if len(box) < 12:
            raise SyntaxError("no codestream")
        size, kind = struct.unpack(">I4s", box[:8])
        start = 8
        if size == 1:
            size, start = struct.unpack(">Q", box[8:16])[0], 16
        if kind in (b"jxlc", b"jxlp"):
            stream = box[start + (4 if kind == b"jxlp" else 0) :]
            if not stream.startswith(b"\xff\x0a"):
                raise SyntaxError("no codestream")
            return stream[2:18]
        if size < start:
            raise SyntaxError("no codestream")
        place += size
