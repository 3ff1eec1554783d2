"""Pictures from end to end: a bad one gives one line, exit status 2 and no files; an unusual one must work."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg import EntityMap, read_image

Run = Callable[..., Any]
Written = Callable[[], list[str]]


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says it is this large and has hardly any content, as a decompression bomb does."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def rotated(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(PICTURE, "JPEG", exif=exif)


PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)
PNG, JPEG = encoded(PICTURE, "PNG"), encoded(PICTURE, "JPEG")

# --------------------------------------------------------------------------------------------------------- bad pictures


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(PNG[: len(PNG) // 2], "incomplete", id="truncated PNG"),
        pytest.param(JPEG[: len(JPEG) // 2], "incomplete", id="truncated JPEG"),
        pytest.param(encoded(PICTURE, "WEBP")[:500], "", id="truncated WebP"),
        pytest.param(encoded(PICTURE, "GIF")[:1500], "incomplete", id="truncated GIF"),
        pytest.param(PNG[:100] + bytes(100) + PNG[200:], "damaged", id="damaged PNG"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"dear diary", "not a picture", id="text"),
        pytest.param(b"%PDF-1.7 dear diary", "not a picture", id="PDF"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture", id="SVG"),
        pytest.param(encoded(Image.new("F", (9, 9)), "TIFF"), "floating-point", id="floating point TIFF"),
        pytest.param(png_of_size(20_000, 15_000), "300,000,000 pixels, more than the limit of 200,000,000", id="bomb"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_unusable_picture_is_reported(
    segment: Run, tmp_path: Path, written: Written, content: bytes, words: str
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    segment(path).refused(f"esg: {path}", words)
    assert written() == []


def test_max_pixels_moves_the_limit(segment: Run, photo: Path, written: Written) -> None:
    segment(photo, "--max-pixels", 2399).refused("2,400 pixels", "limit of 2,399", "--max-pixels")
    assert written() == []
    assert segment(photo, "--max-pixels", 2400).status == 0


def test_a_bomb_is_not_decoded(segment: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of_size(20_000, 15_000))
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
    segment(path, "--max-pixels", 299_999_999).refused("limit of 299,999,999")


def test_too_long_for_a_jpeg(segment: Run, tmp_path: Path, written: Written) -> None:
    path = tmp_path / "strip.png"
    Image.new("L", (65_501, 1)).save(path)
    segment(path).refused("65,501 pixels long", "--save labels,coco")
    assert written() == []
    assert segment(path, "--save", "labels,coco").status == 0


# ------------------------------------------------------------------------------------------------ odd but good pictures


@pytest.mark.parametrize(
    ("content", "size"),
    [
        pytest.param(encoded(Image.new("RGB", (1, 1)), "PNG"), (1, 1), id="1x1"),
        pytest.param(encoded(Image.new("RGB", (1, 20_000)), "PNG"), (20_000, 1), id="1x20000"),
        pytest.param(encoded(Image.new("RGB", (20_000, 1)), "PNG"), (1, 20_000), id="20000x1"),
        pytest.param(PNG, (40, 60), id="mislabelled PNG"),
        pytest.param(encoded(PICTURE.convert("RGBA"), "PNG"), (40, 60), id="alpha"),
        pytest.param(encoded(PICTURE.convert("LA"), "PNG"), (40, 60), id="grey with alpha"),
        pytest.param(encoded(PICTURE.convert("P"), "PNG"), (40, 60), id="palette"),
        pytest.param(encoded(PICTURE.convert("P"), "PNG", transparency=bytes(9)), (40, 60), id="transparent palette"),
        pytest.param(encoded(PICTURE.convert("CMYK"), "JPEG"), (40, 60), id="CMYK"),
        pytest.param(encoded(PICTURE.convert("L"), "JPEG"), (40, 60), id="greyscale"),
        pytest.param(encoded(PICTURE.convert("1"), "PNG"), (40, 60), id="black and white"),
        pytest.param(
            encoded(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG"), (40, 60), id="16 bit grey"
        ),
        pytest.param(rotated(3), (40, 60), id="upside down"),
        pytest.param(rotated(6), (60, 40), id="on its side"),
    ],
)
def test_an_odd_picture_is_segmented(segment: Run, tmp_path: Path, content: bytes, size: tuple[int, int]) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    result = segment(path)
    assert result.status == 0
    assert len(result.err) == 1
    assert EntityMap.from_labels_png(tmp_path / "out/photo.labels.png").labels.shape == size
    coco = EntityMap.from_coco(tmp_path / "out/photo.entities.json")
    assert (coco.height, coco.width) == size
    assert read_image(tmp_path / "out/photo.overlay.jpg").shape == (*size, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_of_an_animated_picture_the_first_frame_is_taken(segment: Run, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"moving.{kind.lower()}"
    frames = [Image.fromarray(np.roll(PIXELS, shift, axis=0)) for shift in (0, 7, 19)]
    path.write_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    result = segment(path)
    assert result.status == 0
    assert "ESG uses the first one" in result.err[0]
    assert EntityMap.from_labels_png(tmp_path / "out/moving.labels.png").labels.shape == (40, 60)
