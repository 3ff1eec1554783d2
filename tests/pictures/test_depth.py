"""Values of more than 8 bits: they are reduced to 8 by the bits that they use."""

from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from esg.pictures.depth import used_bits
from esg.pictures.reading import read_image, read_photo

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
