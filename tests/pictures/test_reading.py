"""Every type of picture that users have, and files that are not pictures."""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from esg.pictures.reading import read_image, write_image
from esg.support.errors import ImageError, InputError, OutputError

RGB = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [90, 90, 90], [255, 255, 255]]], np.uint8)
GREY = np.array([[0, 128, 255]], np.uint8)
WHITE = [255, 255, 255]


def grey(*values: int) -> list:
    return [[[value] * 3 for value in values]]


def test_path_pil_and_array_give_the_same(saved: Callable[..., Path]) -> None:
    picture = Image.fromarray(RGB)
    path = saved(picture)
    for source in (path, str(path), picture, RGB):
        result = read_image(source)
        assert np.array_equal(result, RGB)
        assert result.dtype == np.uint8
        assert result.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_exif_rotation(saved: Callable[..., Path], orientation: int, suffix: str) -> None:
    picture = Image.fromarray(RGB)
    exif = picture.getexif()
    exif[0x0112] = orientation
    path = saved(picture, suffix, exif=exif, lossless=True)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(read_image(path), expected)
    assert np.array_equal(read_image(picture), expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_accepted(saved: Callable[..., Path]) -> None:
    path = saved(Image.fromarray(RGB), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(read_image(path), RGB)


def test_alpha_lies_over_white(saved: Callable[..., Path]) -> None:
    rgba = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    expected = [[[200, 0, 0], WHITE, [127, 127, 127]]]
    assert read_image(rgba).tolist() == expected
    assert read_image(saved(Image.fromarray(rgba))).tolist() == expected
    la = Image.fromarray(np.array([[[50, 255], [50, 0]]], np.uint8), "LA")
    assert read_image(saved(la)).tolist() == grey(50, 255)


@pytest.mark.filterwarnings("ignore:.*mode.*:DeprecationWarning")
def test_palette_with_and_without_transparency(saved: Callable[..., Path]) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    assert read_image(saved(picture)).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert read_image(saved(picture, transparency=1)).tolist() == [[[10, 20, 30], WHITE]]


def test_transparent_colour_of_an_rgb_png(saved: Callable[..., Path]) -> None:
    path = saved(Image.fromarray(RGB), transparency=(255, 0, 0))
    assert read_image(path)[0].tolist() == [WHITE, [0, 255, 0], [0, 0, 255]]


def test_grey_and_one_bit(saved: Callable[..., Path]) -> None:
    assert read_image(saved(Image.fromarray(GREY))).tolist() == grey(0, 128, 255)
    assert read_image(GREY).tolist() == grey(0, 128, 255)
    assert read_image(GREY[..., None]).tolist() == grey(0, 128, 255)
    assert read_image(saved(Image.fromarray(GREY > 0))).tolist() == grey(0, 255, 255)


def test_cmyk(saved: Callable[..., Path]) -> None:
    path = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), ".tif")
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]
    photo = read_image(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), ".jpg"))
    assert np.abs(photo[0, 0].astype(int) - [255, 0, 0]).max() < 8


def test_16_bit_is_scaled_not_clipped(saved: Callable[..., Path]) -> None:
    deep = np.array([[0, 128 * 257, 65535]], np.uint16)
    assert read_image(saved(Image.fromarray(deep))).tolist() == grey(0, 128, 255)
    assert read_image(saved(Image.fromarray(deep), ".tif")).tolist() == grey(0, 128, 255)
    big_endian = Image.frombytes("I;16B", (3, 1), deep.astype(">u2").tobytes())
    assert read_image(big_endian).tolist() == grey(0, 128, 255)
    assert read_image(Image.fromarray(deep.astype(np.int32))).tolist() == grey(0, 128, 255)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_picture_that_is_already_open_is_read_like_its_file(
    tmp_path: Path, saved: Callable[..., Path], suffix: str, bits: int
) -> None:
    largest = (1 << bits) - 1
    deep = np.array([[0, largest // 2, largest]], np.uint16)
    path = saved(Image.fromarray(deep), suffix)
    with Image.open(path) as picture:
        assert read_image(picture).tolist() == read_image(path).tolist() == grey(0, 127, 255)
    colours = pytest.importorskip("cv2", reason="writes colours of 16 bits")
    path = tmp_path / f"colours{suffix}"
    assert colours.imwrite(str(path), np.stack([deep, deep[:, ::-1], deep], axis=-1))
    with Image.open(path) as picture:
        assert read_image(picture).tolist() == read_image(path).tolist() == [[[0, 255, 0], [127] * 3, [255, 0, 255]]]
        assert np.asarray(picture).shape == (1, 3, 3)  # it is as usable as it was before


def test_an_open_picture_whose_file_is_closed(saved: Callable[..., Path]) -> None:
    for pixels in (np.array([[0, 4095]], np.uint16), RGB):
        with Image.open(saved(Image.fromarray(pixels))) as picture:
            pass
        one_sentence(picture, r"picture\.png was closed before it was read; give its path")


def test_a_batch_of_one() -> None:
    assert np.array_equal(read_image(RGB[None]), RGB)


def test_transparent_value_of_a_16_bit_png(saved: Callable[..., Path]) -> None:
    path = saved(Image.fromarray(np.array([[0, 1, 65535]], np.uint16)), transparency=0)
    assert read_image(path).tolist() == grey(255, 0, 255)  # 1 differs from 0 only in the lower byte


def test_numbers_beyond_16_bit_and_floats_are_refused(saved: Callable[..., Path]) -> None:
    for number, words in (
        (np.int32(70000), "whole numbers of more than 16 bits, or below 0"),
        (np.float32(0.5), "floating-point numbers"),
    ):
        path = saved(Image.fromarray(np.array([[number]])), ".tif")
        one_sentence(path, rf"picture\.tif contains {words}; save it with 8 or 16 bits\.$")
        with Image.open(path) as picture:
            one_sentence(picture, words)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_the_first_frame_of_an_animation(
    saved: Callable[..., Path], suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = saved(frames[0], suffix, save_all=True, append_images=frames[1:], lossless=True)
    with caplog.at_level(logging.INFO, "esg"):
        assert read_image(path)[0, 0].tolist() == [255, 0, 0]
    assert "ESG uses the first one" in caplog.text


@pytest.mark.parametrize("shape", [(1, 1), (20000, 1), (1, 20000)])
def test_extreme_shapes(saved: Callable[..., Path], shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert np.array_equal(read_image(saved(Image.fromarray(pixels))), pixels)


def test_a_picture_of_several_strips(saved: Callable[..., Path]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 1301, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Image.fromarray(pixels), exif=exif, compress_level=1)
    assert np.array_equal(read_image(path), np.rot90(pixels, -1))


def test_the_content_counts_not_the_suffix(tmp_path: Path, saved: Callable[..., Path]) -> None:
    path = saved(Image.fromarray(RGB)).rename(tmp_path / "photo.jpg")
    assert np.array_equal(read_image(path), RGB)


def one_sentence(source: object, match: str, **options: int) -> None:
    with pytest.raises(ImageError, match=match) as caught:
        read_image(source, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert ". " not in text


def test_files_that_are_not_pictures_are_refused(tmp_path: Path) -> None:
    one_sentence(tmp_path / "none.jpg", "does not exist")
    one_sentence(tmp_path, "is a folder")
    (tmp_path / "photo.png").write_bytes(png_header(4, 4))
    one_sentence(tmp_path / "photo.png" / "x", "cannot be opened: not a directory")
    one_sentence(tmp_path / ("x" * 300), "cannot be opened: file name too long")
    one_sentence("a\0.png", r"'a\\x00\.png' cannot be opened: embedded null")
    for name, content, match in [
        ("empty.png", b"", "is empty"),
        ("words.jpg", b"just some words\n" * 9, "not a picture"),
        ("zeros.png", bytes(1000), "not a picture"),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ]:
        (tmp_path / name).write_bytes(content)
        one_sentence(tmp_path / name, match)
    one_sentence(None, "NoneType")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # to open it would wait for a writer for ever
    one_sentence(tmp_path / "pipe.png", r"pipe\.png is a pipe or a device, not a file; save the picture as a file")
    one_sentence(os.devnull, "is a pipe or a device")
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as full, os.fdopen(reading, "rb"):
        Image.fromarray(RGB).save(full, "PNG")
        full.flush()
        one_sentence(f"/dev/fd/{reading}", "is a pipe or a device")  # what `esg segment <(cat photo.png)` is given


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".ppm", ".jp2"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read")
def test_truncated_at_any_place(tmp_path: Path, saved: Callable[..., Path], suffix: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    whole = saved(Image.fromarray(pixels), suffix).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for part in (2, 9, 17, 30, 60, len(whole) // 2, len(whole) * 3 // 4):
        path.write_bytes(whole[:part])
        one_sentence(path, r"cut")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".ppm", ".jp2"])
def test_damaged_bytes_never_give_another_error(tmp_path: Path, saved: Callable[..., Path], suffix: str) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
    whole = np.frombuffer(saved(Image.fromarray(pixels), suffix).read_bytes(), np.uint8)
    path = tmp_path / f"damaged{suffix}"
    for _ in range(40):
        damaged = whole.copy()
        places = random.integers(0, min(len(whole), 200), 4)
        damaged[places] = random.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata
            with contextlib.suppress(ImageError):
                assert read_image(path, max_pixels=10_000).dtype == np.uint8


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.full((2, 2, 3), np.nan), r"must be uint8 .*, not float64 that holds NaN\.$"),
        (np.zeros((2, 2, 3), np.float32), r"\(array \* 255\)"),
        (np.full((2, 2, 3), 200.0), r"with array\.round\(\)\.astype\('uint8'\)\.$"),
        (np.full((2, 2, 3), 200, np.uint16), r"not uint16; convert it with array\.astype\('uint8'\)\.$"),
        (np.full((2, 2, 3), 256, np.uint16), r"not uint16 from 256 to 256\.$"),
        (np.full((2, 2, 3), -1, np.int64), r"not int64 from -1 to -1\.$"),
        (np.ones((2, 2, 3), bool), r"not bool; .*\(array \* 255\)"),
        (np.array([["a"]]), r"not <U1\.$"),
        (np.zeros((0, 2, 3), np.float32), r"not float32\.$"),
        (np.zeros((3, 20, 20), np.uint8), "transpose"),
        (np.zeros((4, 4, 2), np.uint8), r"not \(4, 4, 2\)\.$"),
        (np.zeros((2, 2, 5), np.uint8), "shape"),
        (np.zeros((2, 2, 2, 3), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "any pixels"),
        (np.zeros((4, 0), np.uint8), "any pixels"),
    ],
)
def test_arrays_that_are_not_pictures_are_refused(array: np.ndarray, match: str) -> None:
    with pytest.raises(ImageError, match=match):
        read_image(array)


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, data)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(20000, 15000))
    one_sentence(path, r"300,000,000 pixels, more than the limit of 200,000,000; raise max_pixels if")
    path.write_bytes(png_header(2**31 - 1, 2**31 - 1))
    one_sentence(path, "limit")
    one_sentence(Image.fromarray(RGB), "limit of 5", max_pixels=5)
    one_sentence(RGB, "limit of 5", max_pixels=5)
    assert read_image(RGB, max_pixels=6).shape == RGB.shape


def test_pillows_own_limit_is_neither_applied_nor_changed(
    saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(Image.fromarray(np.zeros((60, 60, 3), np.uint8)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr("esg.support.strips.STRIP_PIXELS", 600)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).shape == (60, 60, 3)
    assert Image.MAX_IMAGE_PIXELS == 1000


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_write_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"picture{suffix}"
    write_image(path, np.full((8, 8, 3), 128, np.uint8))
    assert np.abs(read_image(path).astype(int) - 128).max() <= 2
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_only_arrays_are_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be an array, not of type Image; "):
        write_image(tmp_path / "picture.png", Image.new("RGB", (4, 4)))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_write_image_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_image(tmp_path / "file" / "picture.png", RGB)


@pytest.mark.parametrize(
    ("name", "pixels", "options", "match"),
    [
        ("a.foo", RGB, {}, "'.foo' is not the suffix"),
        ("a", RGB, {}, "'' is not the suffix"),
        ("a.mpg", RGB, {}, "'.mpg' is not the suffix"),  # a format that Pillow can only read
        ("a.jpg", np.zeros((2, 2, 4), np.uint8), {}, "JPEG does not support .*RGBA"),
        ("a.jpg", np.zeros((1, 70000, 3), np.uint8), {}, r"JPEG does not support .*\(1, 70000, 3\)"),
        ("a.webp", np.zeros((1, 70000, 3), np.uint8), {}, "WEBP does not support"),
        ("a.gif", np.zeros((1, 70000), np.uint8), {}, "GIF does not support"),
        ("a.png", np.zeros((2, 2), np.int64), {}, "int64"),
        ("a.png", np.zeros((0, 2, 3), np.uint8), {}, "empty"),
        ("a.jpg", RGB, {"quality": "good"}, "options"),
    ],
)
def test_write_image_refuses_in_one_sentence(
    tmp_path: Path, name: str, pixels: np.ndarray, options: dict, match: str
) -> None:
    with pytest.raises(OutputError, match=match) as caught:
        write_image(tmp_path / "new" / name, pixels, **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
