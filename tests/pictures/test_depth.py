"""Values of more than 8 bits: they are reduced to 8 by the bits that they use."""

from __future__ import annotations

import logging
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from esg.pictures.depth import used_bits
from esg.pictures.reading import read_image, read_photo
from esg.support.errors import ImageError

SCENE = np.linspace(0, 1, 6 * 8 * 3).reshape(6, 8, 3)


def png(values: np.ndarray) -> bytes:
    """A PNG of (H, W, 1, 2, 3 or 4) uint16, which Pillow reads but does not write."""
    height, width, channels = values.shape
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [header, b"IDAT" + zlib.compress(rows), b"IEND"]
    framed = [struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def ppm(values: np.ndarray, largest: int = 65535) -> bytes:
    height, width, channels = values.shape
    kind = {1: "P5", 3: "P6"}[channels]
    return f"{kind} {width} {height} {largest}\n".encode() + values.astype(">u2").tobytes()


def of_bits(bits: int, channels: int = 3) -> np.ndarray:
    return np.rint(SCENE[..., :channels] / SCENE[..., :channels].max() * (2**bits - 1)).astype(np.uint16)


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize(("write", "channels"), [(png, 1), (png, 3), (ppm, 1), (ppm, 3)])
def test_the_values_of_a_camera_fill_8_bits(
    tmp_path: Path, bits: int, write: object, channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    values = of_bits(bits, channels)
    path = tmp_path / "photo.png"
    path.write_bytes(write(values))  # type: ignore[operator]
    with caplog.at_level(logging.INFO, "esg"):
        pixels = read_image(path)
    assert np.array_equal(pixels, np.broadcast_to(values >> (bits - 8), pixels.shape))
    assert f"uses only the values 0 to {2**bits - 1} of its 16 bits, and is read as {bits} bit" in caplog.text
    assert read_photo(path).changes == (f"{bits} bit became 8 bit",)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("largest", [16384, 40000, 65535])
def test_what_needs_more_bits_keeps_its_brightness(
    tmp_path: Path, channels: int, largest: int, caplog: pytest.LogCaptureFixture
) -> None:
    values = np.rint(SCENE[..., :channels] / SCENE[..., :channels].max() * largest).astype(np.uint16)
    (tmp_path / "photo.png").write_bytes(png(values))
    with caplog.at_level(logging.INFO, "esg"):
        pixels = read_image(tmp_path / "photo.png")
    assert np.array_equal(pixels, np.broadcast_to(values >> 8, pixels.shape))
    assert not caplog.text


def test_values_of_8_bits_stay_as_they_are(tmp_path: Path) -> None:
    values = of_bits(8)
    (tmp_path / "photo.png").write_bytes(png(values))
    assert np.array_equal(read_image(tmp_path / "photo.png"), values)
    dark = np.full((2, 2), 3, np.uint16)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    assert (read_image(tmp_path / "dark.png") == 3).all()
    Image.fromarray(dark * 0).save(tmp_path / "black.png")
    assert not read_image(tmp_path / "black.png").any()


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_tiffs_of_either_order_with_their_colours_together_or_apart(
    tmp_path: Path, compression: str | None, order: str, planes: str
) -> None:
    tifffile = pytest.importorskip("tifffile")
    for bits in (12, 16):
        values = of_bits(bits)
        path = tmp_path / "photo.tif"
        stored = values if planes == "contig" else values.transpose(2, 0, 1)
        tifffile.imwrite(path, stored, photometric="rgb", compression=compression, byteorder=order, planarconfig=planes)
        coarse = planes == "separate" and compression and bits == 12  # of these Pillow gives no lower bytes
        far = np.abs(read_image(path).astype(int) - (values >> (bits - 8)))
        assert far.max() < (16 if coarse else 1)


def test_transparency_has_its_own_bit_depth(tmp_path: Path) -> None:
    for opaque in (4095, 65535):
        values = np.concatenate([of_bits(12), np.full((6, 8, 1), opaque, np.uint16)], axis=2)
        values[0, 0, 3] = 0
        (tmp_path / "photo.png").write_bytes(png(values))
        photo = read_photo(tmp_path / "photo.png")
        assert photo.rgba is not None
        assert np.array_equal(photo.rgba[..., :3], values[..., :3] >> 4)
        assert photo.rgba[0, :2, 3].tolist() == [0, 255]


def test_grey_with_transparency_is_not_black(tmp_path: Path) -> None:
    values = np.concatenate([of_bits(12, 1), np.full((6, 8, 1), 65535, np.uint16)], axis=2)
    (tmp_path / "photo.png").write_bytes(png(values))
    pixels = read_image(tmp_path / "photo.png").astype(int)
    assert np.abs(pixels - (values[..., :1] >> 4)).max() < 16  # of which Pillow gives no lower bits


def test_a_ppm_that_says_how_bright_white_is_keeps_its_brightness(tmp_path: Path) -> None:
    values = of_bits(10)
    (tmp_path / "dark.ppm").write_bytes(ppm(values, 4095))
    assert read_image(tmp_path / "dark.ppm").max() == 255 * 1023 // 4095 + 1
    (tmp_path / "dark.pgm").write_bytes(ppm(values[..., :1], 4095))
    assert read_image(tmp_path / "dark.pgm").max() in (63, 64)


def test_whole_numbers_of_32_bits_and_pictures_of_pillow(tmp_path: Path) -> None:
    values = of_bits(12, 1)[..., 0]
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "photo.tif")
    assert np.array_equal(read_image(tmp_path / "photo.tif")[..., 0], values >> 4)
    assert np.array_equal(read_image(Image.fromarray(values))[..., 0], values >> 4)


@given(st.integers(0, 65535))
def test_the_used_bits_hold_the_largest_value(largest: int) -> None:
    bits = used_bits(largest)
    assert 8 <= bits <= 16
    assert largest < 1 << bits
    assert bits in (8, 16) or largest >= 1 << (bits - 1)


GREY = np.tile(np.arange(256, dtype=np.int32), (4, 1))


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (GREY * 257 - 32768, np.int16),
        (GREY * 128, np.int16),
        (GREY * 16, np.int16),  # 12 bits
        (GREY - 128, np.int8),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_numbers_have_their_full_brightness(tmp_path: Path, stored: np.ndarray, kind: type, order: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, stored.astype(kind), byteorder=order)
    assert np.array_equal(read_image(path)[..., 0], GREY)
    with Image.open(path) as picture:
        assert np.array_equal(read_image(picture)[..., 0], GREY)


def test_signed_numbers_that_are_not_brightness(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, (GREY * 8 - 1000).astype(np.int16))
    with pytest.raises(ImageError, match="contains negative numbers, from -1000 to 1040; save it with 8 or 16 bits"):
        read_image(path)
    tifffile.imwrite(path, np.dstack([GREY] * 3).astype(np.int16), photometric="rgb")
    with pytest.raises(ImageError, match="contains signed numbers; save it with 8 or 16 bits without a sign"):
        read_image(path)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_tiff_with_0_as_white(tmp_path: Path, bits: int) -> None:
    tifffile = pytest.importorskip("tifffile")
    kind = np.uint8 if bits == 8 else np.uint16
    values = np.rint(GREY / 255 * (2**bits - 1)).astype(kind)
    tifffile.imwrite(tmp_path / "photo.tif", (2**bits - 1 - values).astype(kind), photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "photo.tif")[..., 0], values >> (bits - 8))


def jpeg2000(values: np.ndarray, bits: int) -> bytes:
    """A JPEG 2000 that declares fewer than the 16 bits that Pillow writes."""
    data = BytesIO()
    Image.fromarray((values + 32768 - (1 << bits >> 1)).astype(np.uint16)).save(data, "JPEG2000")  # 0 is in the middle
    found = bytearray(data.getvalue())
    found[found.index(b"\xff\x51") + 40] = found[found.index(b"ihdr") + 14] = bits - 1
    return bytes(found)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_jpeg_2000_with_few_bits(tmp_path: Path, bits: int) -> None:
    values = GREY << (bits - 8)
    for content, bright in ((jpeg2000(values, bits), 1), (jpeg2000(values // 4, bits), 4)):  # the second is a dark one
        (tmp_path / "photo.jp2").write_bytes(content)
        assert np.array_equal(read_image(tmp_path / "photo.jp2")[..., 0], GREY // bright)
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "photo.jp2")  # in a file of 16 bits
    assert np.array_equal(read_image(tmp_path / "photo.jp2")[..., 0], GREY)
