"""Picture files: types that need a plugin, types that are refused with a reason, and missing endings."""

from __future__ import annotations

import importlib.util
import io
import logging
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from esg.pictures.files import check_file
from esg.pictures.reading import read_image, read_photo
from esg.support.errors import ImageError

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def refusal(path: Path) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(ImageError) as caught:
        read_image(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert text.endswith(".")
    assert "\n" not in text
    return text.removeprefix(str(path)).strip()


# ------------------------------------------------------------------------------------------- formats that need a plugin


@pytest.mark.parametrize(
    ("module", "suffix"), [("pillow_heif", ".HEIC"), ("pillow_avif", ".avif"), ("pillow_jxl", ".jxl")]
)
def test_a_plugin_is_used_where_it_is_installed(tmp_path: Path, module: str, suffix: str) -> None:
    plugin = pytest.importorskip(module, reason=f"reads {suffix}")
    if module == "pillow_heif":
        plugin.register_heif_opener()
    pixels = np.full((48, 64, 3), 200, np.uint8)
    pixels[10:30, 10:40] = (200, 30, 30)
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(pixels).save(path, quality=95)
    program = "import sys, numpy, esg; numpy.save(sys.argv[2], esg.read_image(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, path, tmp_path / "read.npy"], check=True)  # it knows no plugin yet
    assert np.abs(np.load(tmp_path / "read.npy").astype(int) - pixels)[15:25, 15:35].max() < 16
    for most in (1, 48 * 64 - 1):
        with pytest.raises(ImageError, match="64x48 = 3,072 pixels, more than the limit"):
            read_image(path, max_pixels=most)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC, which needs a plugin: pip install pillow-heif."),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "is HEIC, which needs a plugin: pip install pillow-heif."),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "needs a plugin: pip install pillow-avif-plugin."),
        (b"\xff\x0a" + bytes(30), "is JPEG XL, which needs a plugin: pip install pillow-jxl-plugin."),
    ],
)
def test_a_missing_plugin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, words: str) -> None:
    for name in ("HEIF", "AVIF", "JXL"):
        monkeypatch.delitem(Image.OPEN, name, raising=False)
    for module in ("pillow_heif", "pillow_avif", "pillow_jxl"):
        monkeypatch.setitem(sys.modules, module, None)  # which makes their import fail
    monkeypatch.setattr(Image, "init", lambda: True)
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(head + bytes(200))
    assert words in refusal(path)


@cache
def encoded(suffix: str) -> bytes:
    """A small photo in the format of a suffix; skips where Pillow cannot write that."""
    module = {".heic": "pillow_heif", ".jxl": "pillow_jxl"}.get(suffix)
    if module == "pillow_heif":
        pytest.importorskip(module).register_heif_opener()
    elif module and importlib.util.find_spec(module):
        importlib.import_module(module)
    Image.init()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        pytest.skip(f"Pillow cannot write {suffix} here")
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, Image.registered_extensions()[suffix])
    return buffer.getvalue()


@settings(max_examples=40)
@given(where=st.integers(0, 400), values=st.binary(min_size=1, max_size=6), cut=st.integers(20, 3000))
@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read")
@pytest.mark.parametrize("suffix", [".heic", ".avif", ".jxl", ".tif", ".jpg"])
def test_damaged_files_give_a_sentence_or_a_picture(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, where: int, values: bytes, cut: int
) -> None:
    damaged = bytearray(encoded(suffix))
    damaged[where : where + len(values)] = values
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(bytes(damaged[:cut]))
    try:
        photo, sentence = read_photo(path, max_pixels=100_000), ""
    except ImageError as error:
        photo, sentence = None, str(error)
    assert photo is not None or sentence.startswith(str(path))
    assert "\n" not in sentence


# ------------------------------------------------------------------------------------------- the right reason is named


@pytest.mark.parametrize(
    ("name", "head", "words"),
    [
        ("a.pdf", b"%PDF-1.7\n", "is a PDF, not a picture that can be read; export the page as PNG."),
        ("a.jpg", b"\n<!DOCTYPE html><html>", "is a web page, not a picture that can be read"),
        ("a.png", b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS"),
        ("a.psd", b"8BPS\0\1", "is a Photoshop file"),
        ("a.exr", b"\x76\x2f\x31\x01\2", "is OpenEXR"),
        ("a.mp4", b"\0\0\0\x18ftypisom\0\0\2\0", "is a video, not a picture; save one of its frames as PNG."),
        ("a.raf", b"FUJIFILMCCD-RAW 0201", "is a camera raw file; develop it to JPEG or TIFF first."),
        ("a.cr2", b"II*\0\x10\0\0\0CR\2\0", "is a camera raw file"),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1", "is a camera raw file"),
        ("a.rw2", b"IIU\0\x18\0\0\0", "is a camera raw file"),
        ("a.tif", b"II*\0\x08\0\0\0", "not a picture that ESG can read"),
    ],
)
def test_files_that_are_something_else_are_called_by_their_name(
    tmp_path: Path, name: str, head: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(head + bytes(100))
    assert words in refusal(tmp_path / name)


def tiff(tags: dict[int, tuple[int, tuple[int, ...]]], data: bytes = b"") -> bytes:
    """A TIFF with one directory; tags are 3 (short) or 4 (long) with their values."""
    at = 8 + 2 + 12 * (len(tags) + 1) + 4
    entries, beyond = b"", b""
    for tag, (kind, values) in sorted({**tags, 273: (4, (0,))}.items()):
        packed = struct.pack("<" + {3: "H", 4: "I"}[kind] * len(values), *values)
        if tag == 273:
            packed = struct.pack("<I", 2000)
        if len(packed) > 4:
            beyond += packed
            packed = struct.pack("<I", at + len(beyond) - len(packed))
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return (b"II*\0" + struct.pack("<IH", 8, len(tags) + 1) + entries + bytes(4) + beyond).ljust(2000, b"\0") + data


def shape(bands: int, bits: int, **more: int) -> dict[int, tuple[int, tuple[int, ...]]]:
    tags = {256: (3, (4,)), 257: (3, (2,)), 258: (3, (bits,) * bands), 259: (3, (more.get("compression", 1),))}
    tags |= {262: (3, (more.get("photometric", 2 if bands > 2 else 1),)), 277: (3, (bands,)), 278: (3, (2,))}
    tags |= {279: (4, (8 * bands * bits // 8,)), 339: (3, (more.get("numbers", 1),) * bands)}
    return tags | ({338: (3, (0,) * (bands - 3))} if bands > 3 else {})


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (shape(5, 8, photometric=1), "has 5 bands, but a picture has 1 (grey), 3 (RGB) or 4 (with transparency)"),
        (shape(7, 16), "has 7 bands"),
        (shape(3, 32, numbers=3), "contains floating-point numbers; save it with 8 or 16 bits."),
        (shape(3, 64, numbers=3), "contains floating-point numbers"),
        (shape(3, 32), "contains 32-bit numbers; save it with 8 or 16 bits."),
        (shape(1, 16, photometric=32803), "is a camera raw file"),
        (shape(3, 8, compression=34887), "uses a compression that cannot be read here"),
        (shape(2, 16), "is a type of TIFF that cannot be read here (2 bands of 16 bits"),
    ],
)
def test_the_reason_why_a_tiff_cannot_be_read(tmp_path: Path, tags: dict, words: str) -> None:
    (tmp_path / "photo.tif").write_bytes(tiff(tags, bytes(4 * 2 * 7 * 8)))
    assert words in refusal(tmp_path / "photo.tif")


def test_a_tiff_that_is_written_like_that_by_hand_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "photo.tif").write_bytes(tiff(shape(3, 8), bytes(range(24))))
    assert read_image(tmp_path / "photo.tif").ravel().tolist() == list(range(24))


# -------------------------------------------------------------------------------------------- thumbnails of raw files


def test_a_raw_file_is_not_taken_for_its_thumbnail(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "photo.dng") as file:
        file.write(NOISE[::8, ::8], photometric="rgb", subifds=1, subfiletype=1)
        file.write(NOISE[..., 0].astype(np.uint16) * 16, photometric="minisblack", subfiletype=0)
    for check in (check_file, read_image, read_photo):
        with pytest.raises(ImageError, match=r"is a camera raw file, and only its small preview .* develop it to"):
            check(tmp_path / "photo.dng")


def test_a_tiff_that_begins_with_a_reduced_copy_means_the_photo(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "photo.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(NOISE[::8, ::8], photometric="rgb", subfiletype=1)
        file.write(NOISE[::4, ::4], photometric="rgb", subfiletype=1)
        file.write(NOISE, photometric="rgb", subfiletype=0)
    with caplog.at_level(logging.INFO, "esg"):
        assert np.array_equal(read_image(path), NOISE)
    assert "begins with a reduced copy; ESG uses its picture number 3" in caplog.text
    with pytest.raises(ImageError, match="more than the limit"):
        read_image(path, max_pixels=48 * 64 - 1)


def test_pyramids_and_lone_copies_stay_what_they_are(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        file.write(NOISE, photometric="rgb", subifds=1)
        file.write(NOISE[::2, ::2], photometric="rgb", subfiletype=1)
    tifffile.imwrite(tmp_path / "copy.tif", NOISE, photometric="rgb", subfiletype=1)
    for name in ("pyramid.tif", "copy.tif"):
        assert np.array_equal(read_image(tmp_path / name), NOISE)


# ------------------------------------------------------------------------------------------------ JPEGs without an end


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 95}])
def test_a_jpeg_that_lacks_only_its_end_marker_is_whole(saved: Callable[..., Path], options: dict) -> None:
    path = saved(Image.fromarray(NOISE), ".jpg", **options)
    whole, pixels = path.read_bytes(), read_image(path)
    for missing in (1, 2):
        path.write_bytes(whole[:-missing])
        assert np.array_equal(read_image(path), pixels)
        assert np.array_equal(read_photo(path).pixels, pixels)
    path.write_bytes(whole + bytes(100))
    assert np.array_equal(read_image(path), pixels)
    for missing in (4, 9, 40, len(whole) // 3):
        path.write_bytes(whole[:-missing])
        words = refusal(path)
        assert words.startswith("is damaged or incomplete (image file is truncated")
        assert words.endswith("get the file again, or open it in another program and save it from there.")


def test_a_progressive_jpeg_without_its_last_scans_is_not_whole(saved: Callable[..., Path]) -> None:
    path = saved(Image.fromarray(NOISE), ".jpg", progressive=True)
    whole = path.read_bytes()
    scans = [k for k in range(len(whole) - 1) if whole[k : k + 2] == b"\xff\xda"]
    assert len(scans) > 3
    path.write_bytes(whole[: scans[-1]])
    assert "damaged or incomplete" in refusal(path)


# ------------------------------------------------------------------------------------------- PNGs with whole pixels


def chunk(name: bytes, data: bytes, *, sound: bool = True) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) ^ (not sound))


@pytest.mark.parametrize("place", ["before the pixels", "after the pixels"])
@pytest.mark.parametrize(
    "odd",
    [
        chunk(b"tEXt", b"a\0b", sound=False),
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(3 << 20))),
        chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(bytes(3 << 20))),
        chunk(b"pHYs", b"\0"),
        chunk(b"sRGB", b""),
        chunk(b"gAMA", b""),
        chunk(b"tRNS", b"\0", sound=False),
    ],
)
def test_what_is_beside_the_pixels_of_a_png_does_not_spoil_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, odd: bytes, place: str
) -> None:
    whole = png_of(NOISE)
    where = 33 if place == "before the pixels" else len(whole) - 12
    path = tmp_path / "photo.png"
    path.write_bytes(whole[:where] + odd + whole[where:])
    assert np.array_equal(read_image(path), NOISE)
    assert np.array_equal(read_photo(path).pixels, NOISE)
    assert all("its metadata are damaged or too long" in message for message in caplog.messages)


def test_the_orientation_of_a_png_with_a_damaged_text_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3
    whole = png_of(NOISE, exif=exif)
    path = tmp_path / "photo.png"
    path.write_bytes(whole[:33] + chunk(b"tEXt", b"a\0b", sound=False) + whole[33:])
    assert np.array_equal(read_image(path), NOISE[::-1, ::-1])


def test_a_png_whose_pixels_are_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png_of(NOISE)[:2000] + chunk(b"tEXt", b"a\0b", sound=False))
    assert "damaged or incomplete" in refusal(path)


def png_of(pixels: np.ndarray, **options: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "png", **options)
    return data.getvalue()


def test_an_address_is_not_a_path() -> None:
    with pytest.raises(ImageError, match=r"is an address; download the picture and give its path\.$"):
        read_image("https://example.org/photo.jpg")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"message": "not found"}', "is JSON, not a picture; if it holds masks, give it to"),
        (b"data:image/png;base64,iVBORw0KGgo=", "is a picture written as text (base64)"),
        (b"\x93NUMPY\x01\0v\0", "is a numpy array, not a picture that can be read; save it as PNG."),
    ],
)
def test_more_that_is_taken_for_a_picture(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    assert words in refusal(path)


def test_the_preview_of_a_cr2_is_not_taken_for_the_photo(tmp_path: Path) -> None:
    path = tmp_path / "photo.cr2"
    Image.new("RGB", (16, 12)).save(path, "tiff")
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[4:8], "little")
    directory = data[first : first + 6 + 12 * int.from_bytes(data[first : first + 2], "little")]
    data[4:12] = len(data).to_bytes(4, "little") + b"CR\2\0"
    path.write_bytes(data + directory)
    with pytest.raises(ImageError, match=r"photo\.cr2 is a camera raw file; develop it"):
        read_image(path)
