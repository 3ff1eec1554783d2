"""Photos that are read to be written again: what else than pixels makes their look, and what of it is lost."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg.errors import ImageError
from esg.images import read_image, read_photo, write_image

RGB = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [90, 90, 90], [255, 255, 255]]], np.uint8)
GREY = np.array([[0, 128, 255]], np.uint8)


def profile_of(space: bytes, length: int = 200) -> bytes:
    """What looks like an ICC profile: of its header only the colour space counts here."""
    return bytes(16) + space + bytes(length - 20)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_the_profile_of_a_photo_comes_along_and_into_a_new_file(
    tmp_path: Path, saved: Callable[..., Path], suffix: str
) -> None:
    profile = profile_of(b"RGB ")
    path = saved(Image.fromarray(RGB), suffix, icc_profile=profile)
    photo = read_photo(path)
    assert np.array_equal(photo.pixels, read_image(path))
    assert (photo.profile, photo.changes) == (profile, ())
    write_image(tmp_path / "new.png", photo.pixels, icc_profile=photo.profile)
    again = read_photo(tmp_path / "new.png")
    assert (again.profile, again.changes) == (profile, ())
    assert np.array_equal(again.pixels, photo.pixels)


def test_most_photos_have_nothing_but_pixels(tmp_path: Path, saved: Callable[..., Path]) -> None:
    for picture in (RGB, GREY, GREY > 0, np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])):
        photo = read_photo(saved(Image.fromarray(picture)))
        assert (photo.profile, photo.changes) == (None, ())
        write_image(tmp_path / "new.png", photo.pixels, icc_profile=photo.profile)
        assert read_photo(tmp_path / "new.png").profile is None


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("L", profile_of(b"GRAY")),
        ("L", profile_of(b"RGB ")),  # which is wrong of a grey picture, and would change what looks right without it
        ("RGB", profile_of(b"CMYK")),
        ("RGB", b"short"),
    ],
)
def test_profiles_that_are_not_for_rgb_are_left_out(saved: Callable[..., Path], mode: str, profile: bytes) -> None:
    photo = read_photo(saved(Image.new(mode, (2, 2)), icc_profile=profile))
    assert (photo.profile, photo.changes) == (None, ("the colour profile is left out",))


@pytest.mark.parametrize("more", [0, 1])
def test_a_profile_is_as_large_as_pillow_reads_it_from_a_png(
    tmp_path: Path, saved: Callable[..., Path], more: int
) -> None:
    profile = profile_of(b"RGB ", (1 << 20) + more)
    photo = read_photo(saved(Image.fromarray(RGB), ".tif", icc_profile=profile))
    assert photo.profile == (None if more else profile)
    write_image(tmp_path / "new.png", photo.pixels, icc_profile=photo.profile)
    assert read_photo(tmp_path / "new.png").profile == photo.profile


def test_cmyk_does_not_stay(saved: Callable[..., Path]) -> None:
    path = saved(Image.new("CMYK", (8, 8)), ".jpg", icc_profile=profile_of(b"CMYK"))
    assert read_photo(path).changes == ("CMYK became RGB", "the colour profile is left out")


def test_transparency_does_not_stay_where_there_is_any(saved: Callable[..., Path]) -> None:
    alpha = np.full((900, 1301), 255, np.uint8)  # more than a strip
    for value, changes in ((255, ()), (254, ("transparent parts are white now",))):
        alpha[-1, -1] = value
        for mode in ("LA", "RGBA"):
            picture = Image.new(mode, (1301, 900))
            picture.putalpha(Image.fromarray(alpha))
            assert read_photo(saved(picture, compress_level=1)).changes == changes


@pytest.mark.filterwarnings("ignore:.*mode.*:DeprecationWarning")
@pytest.mark.parametrize("there", [False, True])
def test_one_transparent_value_or_colour_counts_where_it_is(saved: Callable[..., Path], there: bool) -> None:
    words = ("transparent parts are white now",) * there
    palette = Image.new("P", (2, 1))
    assert read_photo(saved(palette, transparency=0 if there else 1)).changes == words
    colour = (255, 0, 0) if there else (1, 0, 0)
    assert read_photo(saved(Image.fromarray(RGB), transparency=colour)).changes == words
    deep = Image.fromarray(np.array([[0, 1, 65535]], np.uint16))
    changes = read_photo(saved(deep, transparency=1 if there else 2)).changes
    assert changes == (*words, "16 bit became 8 bit")


def deep_png(channels: int) -> bytes:
    """A PNG of 2x1 pixels with 16 bits a channel, which Pillow reads but does not write."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = b"IHDR" + struct.pack(">IIBBBBB", 2, 1, 16, colour, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" + b"\xff" * (4 * channels))
    chunks = [
        struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (header, data, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_does_not_stay(tmp_path: Path, channels: int) -> None:
    (tmp_path / "deep.png").write_bytes(deep_png(channels))
    photo = read_photo(tmp_path / "deep.png")
    assert photo.changes == ("16 bit became 8 bit",)
    assert photo.pixels.tolist() == [[[255] * 3] * 2]


def test_16_bits_for_all_channels_are_not_many(tmp_path: Path) -> None:
    header = struct.pack("<2sIHHI", b"BM", 58, 0, 0, 54) + struct.pack(
        "<IiiHHIIiiII", 40, 1, 1, 1, 16, 0, 4, 0, 0, 0, 0
    )
    (tmp_path / "picture.bmp").write_bytes(header + b"\xff\x7f\0\0")
    photo = read_photo(tmp_path / "picture.bmp")
    assert (photo.pixels.tolist(), photo.changes) == ([[[255] * 3]], ())


def test_16_bit_of_a_tiff(saved: Callable[..., Path]) -> None:
    values = np.array([[0, 128 * 257, 65535]], np.uint16)
    for compression in (None, "tiff_lzw"):
        path = saved(Image.fromarray(values), ".tif", compression=compression)
        assert read_photo(path).changes == ("16 bit became 8 bit",)


def test_a_photo_that_cannot_be_read_again_is_refused_as_a_picture_is(
    tmp_path: Path, saved: Callable[..., Path]
) -> None:
    whole = saved(Image.fromarray(np.zeros((40, 40, 3), np.uint8))).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:60])
    for name, words in (("none.png", "does not exist"), ("cut.png", r"cut\.png is damaged or incomplete")):
        for read in (read_image, read_photo):
            with pytest.raises(ImageError, match=words):
                read(tmp_path / name)
    with pytest.raises(ImageError, match="limit of 1,599"):
        read_photo(tmp_path / "picture.png", max_pixels=1599)
