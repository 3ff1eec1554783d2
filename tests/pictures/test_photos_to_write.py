"""Photos that are read to be written again: the data besides pixels that affect their look, and what is lost."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from esg.pictures.metadata import Metadata
from esg.pictures.reading import Photo, read_image, read_photo, write_image
from esg.support.errors import ImageError

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


def test_transparency_comes_along_where_there_is_any(saved: Callable[..., Path]) -> None:
    alpha = np.full((900, 1301), 255, np.uint8)  # more than a strip
    for value in (255, 254):
        alpha[-1, -1] = value
        for mode in ("LA", "RGBA"):
            picture = Image.new(mode, (1301, 900))
            picture.putalpha(Image.fromarray(alpha))
            photo = read_photo(saved(picture, compress_level=1))
            assert photo.changes == ()
            assert photo.pixels[-1, -1].tolist() == [255 - value] * 3
            assert (photo.rgba is None) == (value == 255)
            if photo.rgba is not None:
                assert np.array_equal(photo.rgba, np.asarray(picture.convert("RGBA")))


@pytest.mark.filterwarnings("ignore:.*mode.*:DeprecationWarning")
@pytest.mark.parametrize("there", [False, True])
def test_one_transparent_value_or_colour_counts_where_it_is(saved: Callable[..., Path], there: bool) -> None:
    palette = Image.new("P", (2, 1))
    colour = (255, 0, 0) if there else (1, 0, 0)
    deep = Image.fromarray(np.array([[0, 1, 65535]], np.uint16))
    for picture, transparent, place in (
        (palette, 0 if there else 1, (0, 0)),
        (Image.fromarray(RGB), colour, (0, 0)),
        (deep, 1 if there else 2, (0, 1)),
    ):
        photo = read_photo(saved(picture, transparency=transparent))
        assert (photo.rgba is not None) == there
        if photo.rgba is not None:
            assert photo.rgba[place][3] == 0
            assert photo.pixels[place].tolist() == [255] * 3
    assert photo.changes == ("16 bit became 8 bit",)


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


# --------------------------------------------------------------------------------------- what is written beside pixels


def test_what_a_camera_writes_is_kept_and_upright(tmp_path: Path, saved: Callable[..., Path]) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0132], exif[0x8298], exif[0x0112] = "Maker", "2024:05:06 07:08:09", "(c) nobody", 6
    exif.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0xA002: 3, 0xA003: 2})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 30.0, 0.0)})
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        photo = read_photo(saved(Image.fromarray(RGB), suffix, exif=exif, dpi=(300, 200), lossless=True))
        assert photo.pixels.shape == (3, 2, 3)
        assert photo.changes == ()
        for target in ("new.png", "new.jpg", "new.webp"):
            write_image(tmp_path / target, photo.pixels, metadata=photo.metadata)
            with Image.open(tmp_path / target) as written:
                again = written.getexif()
                assert [again[tag] for tag in (0x010F, 0x0132, 0x8298)] == [
                    "Maker",
                    "2024:05:06 07:08:09",
                    "(c) nobody",
                ]
                assert again.get(0x0112) in (1, None)  # Pillow turns a TIFF by itself
                if suffix != ".tif":  # into which Pillow writes no directories
                    assert again.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
                    assert (again.get_ifd(0x8769)[0xA002], again.get_ifd(0x8769)[0xA003]) == (2, 3)
                    assert again.get_ifd(0x8825)[1] == "N"
                if suffix != ".webp" and target != "new.webp":  # which has no place for it
                    assert written.info["dpi"] == pytest.approx((300, 200), abs=0.1)
            assert read_image(tmp_path / target).shape == (3, 2, 3)


def test_the_size_that_a_camera_writes_is_that_of_the_part_that_is_written(tmp_path: Path, saved: Callable) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0xA002: 3, 0xA003: 2, 0xA005: {1: "R98"}})
    exif.get_ifd(0x8825).update({1: "N"})
    photo = read_photo(saved(Image.fromarray(RGB), ".jpg", exif=exif))
    for pixels, size in ((photo.pixels, (3, 2)), (photo.pixels[:1, 1:], (2, 1)), (photo.pixels[..., 0], (3, 2))):
        write_image(tmp_path / "part.png", pixels, metadata=photo.metadata)
        with Image.open(tmp_path / "part.png") as written:
            again = written.getexif()
            inner = again.get_ifd(0x8769)
            assert written.size == (inner[0xA002], inner[0xA003]) == size
            assert (again[0x010F], inner[0x9003], again.get_ifd(0x8825)[1]) == ("Maker", "2024:05:06 07:08:09", "N")
            assert again.get_ifd(0xA005)[1] == "R98"


def test_the_thumbnail_of_a_photo_is_not_kept(tmp_path: Path) -> None:
    """It would still show what has been removed."""
    thumbnail = b"\xff\xd8thumbnail\xff\xd9"
    # Big-endian: a directory with the maker's name, and one with where the thumbnail is and how long.
    first = struct.pack(">HHHI4sI", 1, 0x010F, 2, 4, b"Me!\0", 26)
    second = struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(thumbnail), 0)
    block = b"Exif\0\0MM\0*" + struct.pack(">I", 8) + first + second + thumbnail
    Image.fromarray(RGB).save(tmp_path / "photo.jpg", exif=block)
    with Image.open(tmp_path / "photo.jpg") as picture:
        assert 0x0201 in picture.getexif().get_ifd(ExifTags.IFD.IFD1)  # so that this test says something
    photo = read_photo(tmp_path / "photo.jpg")
    assert photo.metadata.exif is not None
    assert b"Me!" in photo.metadata.exif
    write_image(tmp_path / "new.png", photo.pixels, metadata=photo.metadata)
    assert b"thumbnail" not in (tmp_path / "new.png").read_bytes()


def test_the_text_of_a_png_is_kept(tmp_path: Path, saved: Callable[..., Path]) -> None:
    info = PngInfo()
    info.add_text("parameters", "a red ball, steps 20")
    info.add_text("prompt", '{"1": {}}', zip=True)
    info.add_itxt("Titel", "Größe 红", "de", "Titel")
    photo = read_photo(saved(Image.fromarray(RGB), pnginfo=info, dpi=(300, 300)))
    write_image(tmp_path / "new.png", photo.pixels, metadata=photo.metadata)
    with Image.open(tmp_path / "new.png") as written:
        assert written.text == {"parameters": "a red ball, steps 20", "prompt": '{"1": {}}', "Titel": "Größe 红"}
        assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    commented = read_photo(saved(Image.fromarray(RGB), ".jpg", comment="a note"))
    assert commented.metadata.text == (("Comment", "a note"),)


def test_xmp_is_kept_and_upright(tmp_path: Path, saved: Callable[..., Path]) -> None:
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" dc:rights="nobody"/></x:xmpmeta>'
    photo = read_photo(saved(Image.fromarray(RGB), ".webp", xmp=packet, lossless=True))
    for name in ("new.png", "new.jpg", "new.webp"):
        write_image(tmp_path / name, photo.pixels, metadata=photo.metadata)
        assert read_photo(tmp_path / name).metadata.xmp == packet.replace(b'"6"', b'"1"')


def test_damaged_exif_is_left_out_and_reported(tmp_path: Path, saved: Callable[..., Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of it
        path = saved(Image.fromarray(RGB), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
        photo = read_photo(path)
    write_image(tmp_path / "new.png", photo.pixels, metadata=photo.metadata)
    assert np.array_equal(read_image(tmp_path / "new.png"), RGB)


def test_what_a_format_cannot_hold_does_not_stop_the_writing(tmp_path: Path) -> None:
    metadata = Metadata(exif=b"Exif\0\0" + bytes(70_000), xmp=bytes(70_000), text=(("x" * 99, "long"), ("ü", "é")))
    for name in ("a.jpg", "a.png", "a.bmp", "a.gif"):
        write_image(tmp_path / name, RGB, metadata=metadata)
        assert read_image(tmp_path / name).shape == RGB.shape


# ---------------------------------------------------------------------------------------------------- transparent parts


def test_an_edit_keeps_transparency_and_every_pixel_that_it_did_not_change(saved: Callable[..., Path]) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    rgba[:5, :, 3], rgba[5:10, :, 3] = 0, 255
    photo = read_photo(saved(Image.fromarray(rgba)))
    assert photo.rgba is not None
    assert np.array_equal(photo.edited(photo.pixels), rgba)  # to the bit, below transparent parts, too
    new = photo.pixels.copy()
    new[4:16, 10:20] = (200, 30, 60)
    result = photo.edited(new)
    inside = np.zeros((20, 30), bool)
    inside[4:16, 10:20] = True
    assert np.array_equal(result[~inside], rgba[~inside])
    assert np.array_equal(result[..., 3], rgba[..., 3])
    assert np.array_equal(result[5:10, 10:20, :3], new[5:10, 10:20])
    seen = Image.alpha_composite(Image.new("RGBA", (30, 20), "white"), Image.fromarray(result))
    shown = np.asarray(seen).astype(int)[..., :3]
    possible = 255 - rgba[..., 3:].astype(int)  # nothing is darker over white
    assert np.abs(shown - np.maximum(new, possible))[10:16, 10:20].max() <= 2


def test_an_opaque_photo_is_written_as_it_is() -> None:
    photo = Photo(RGB, (), Metadata(), None)
    assert photo.edited(RGB) is RGB
    assert photo.profile is None
