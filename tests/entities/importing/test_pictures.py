"""Pictures of masks, judged by their content, and masks of photos that EXIF turns."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from esg.entities.entity_map import EntityMap
from esg.entities.importing import read_masks
from esg.support.errors import InputError
from foreign_files import LEFT, SIZE, H, W, areas, coco, png, put


def discs() -> Image.Image:
    """Two discs with soft rims, 160 x 120."""
    found = Image.new("L", (640, 480))
    draw = ImageDraw.Draw(found)
    draw.ellipse((80, 120, 200, 240), fill=255)
    draw.ellipse((400, 240, 520, 360), fill=255)
    return found.resize((160, 120), Image.Resampling.LANCZOS)


MASKS: dict[str, Callable[[Image.Image, Path], None]] = {
    "soft": lambda m, path: m.save(path, "png"),
    "hard": lambda m, path: m.point(lambda v: 255 * (v > 127)).save(path, "png"),
    "rgb": lambda m, path: m.convert("RGB").save(path, "png"),
    "grey with alpha": lambda m, path: Image.merge("LA", (m, Image.new("L", m.size, 255))).save(path, "png"),
    "palette": lambda m, path: m.convert("P").save(path, "png"),
    "one bit": lambda m, path: m.point(lambda v: 255 * (v > 127)).convert("1").save(path, "png"),
    "jpeg": lambda m, path: m.save(path, "jpeg", quality=85),
    "jpeg in colour": lambda m, path: m.convert("RGB").save(path, "jpeg", quality=75),
    "webp": lambda m, path: m.convert("RGB").save(path, "webp"),
    "jpeg kept as png": lambda m, path: through_jpeg(m).save(path, "png"),
    "black is 1": lambda m, path: m.point(lambda v: 255 if v > 127 else 1).save(path, "png"),
    "video range": lambda m, path: m.point(lambda v: 16 + v * 219 // 255).save(path, "png"),
    "feathered": lambda m, path: m.filter(ImageFilter.GaussianBlur(4)).save(path, "png"),
    "sixteen bits": lambda m, path: Image.fromarray(np.asarray(m).astype(np.uint16) * 257).save(path, "png"),
    "white, cut out": lambda m, path: cut_out(m, (255, 255, 255)).save(path, "png"),
    "red, cut out": lambda m, path: cut_out(m, (200, 30, 30)).save(path, "png"),
    "tiff": lambda m, path: m.save(path, "tiff"),
}


def through_jpeg(mask: Image.Image) -> Image.Image:
    data = BytesIO()
    mask.save(data, "jpeg", quality=85)
    return Image.open(data).convert("L")


def cut_out(mask: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    found = Image.new("RGBA", mask.size, colour)
    found.putalpha(mask)
    return found


@pytest.mark.parametrize("name", MASKS)
def test_a_picture_of_one_mask_is_one_whatever_it_is_kept_in(tmp_path: Path, name: str) -> None:
    MASKS[name](discs(), tmp_path / "mask.png")
    expected = np.asarray(discs()) > 127
    found = read_masks(tmp_path / "mask.png", (120, 160))
    assert len(found) == 1
    tolerance = {"feathered": 150, "webp": 60, "jpeg in colour": 60}.get(name, 12)
    assert np.count_nonzero(found.mask(1) ^ expected) <= tolerance


def test_where_a_soft_mask_is_cut(tmp_path: Path) -> None:
    discs().save(tmp_path / "mask.png")
    low, half, high = (read_masks(tmp_path / "mask.png", threshold=t).areas[0] for t in (0.04, 0.5, 0.9))
    assert low > half > high


def test_pictures_that_are_no_masks(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    for suffix in ("png", "jpg"):
        Image.fromarray(photo).save(tmp_path / f"photo.{suffix}")
        with pytest.raises(InputError, match=r"does not hold masks: it is a .* like a photo"):
            read_masks(tmp_path / f"photo.{suffix}")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "labels.jpg")
    with pytest.raises(InputError, match="JPEG does not keep the numbers of a label map"):
        read_masks(tmp_path / "labels.jpg")


@pytest.mark.parametrize(
    ("labels", "mode", "count"),
    [
        ([0, 1, 2, 255], "P", 2),  # PASCAL VOC
        ([0, 1, 2, 255], "L", 2),
        ([0, 15, 255], "L", 1),
        ([*range(0, 151, 10), 255], "L", 15),  # ADE20K, which has 150 numbers
        ([0, 60, 120, 180, 255], "L", 4),
        ([0, 85, 170, 255], "L", 3),  # three entities, spread out to be seen
        ([0, 50, 100, 254, 255], "P", 4),
        ([0, 255], "P", 1),
        ([0, 128, 255], "L", 2),
    ],
)
def test_void(tmp_path: Path, labels: list[int], mode: str, count: int) -> None:
    pixels = np.repeat(np.repeat(np.array([labels], np.uint8), 12, 0), 12, 1)
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture = Image.frombytes("P", picture.size, pixels.tobytes())
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    picture.save(tmp_path / "labels.png")
    assert len(read_masks(tmp_path / "labels.png")) == count
    assert len(read_masks(tmp_path / "labels.png", void=-1)) == len(labels) - 1
    assert len(read_masks(tmp_path / "labels.png", void=labels[1])) == len(labels) - 2 or labels == [0, 255]


@pytest.mark.parametrize(("labels", "told"), [([0, 85, 170, 255], True), ([*range(254), 254, 255], False)])
def test_255_as_an_entity_is_told_where_it_may_be_void(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: list[int], told: bool
) -> None:
    caplog.set_level(logging.INFO, "esg")
    pixels = np.repeat(np.repeat(np.array([labels], np.uint8), 12, 0), 12, 1)
    Image.fromarray(pixels).save(tmp_path / "labels.png")
    assert len(read_masks(tmp_path / "labels.png")) == len(labels) - 1
    assert ("255 is an entity; pass its number as void" in caplog.text) == told


def test_colours_are_entities(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, 10:20] = (128, 0, 0)
    pixels[:, 20:] = (0, 128, 0)
    pixels[:, 9] = (224, 224, 192)  # PASCAL VOC's void
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_masks(tmp_path / "a.png").areas.tolist() == [200, 200]
    see_through = np.dstack([pixels, (pixels.any(axis=2) * 90).astype(np.uint8)])
    see_through[:, 20:, 3] = 200
    see_through[:, :20, 3] = np.where(see_through[:, :20, 3] > 0, 200, 0)
    Image.fromarray(see_through).save(tmp_path / "b.png")
    assert len(read_masks(tmp_path / "b.png")) == 2


def turned_photo(path: Path, orientation: int) -> np.ndarray:
    """A photo of 16 x 12 stored pixels that EXIF turns; gives the mask of its stored pixels."""
    mask = np.zeros(SIZE, bool)
    mask[1:4, 2:8] = True
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (W, H)).save(path, exif=exif)
    return mask


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_masks_of_the_stored_pixels_are_turned_with_the_photo(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    photo = tmp_path / "photo.jpg"
    stored = turned_photo(photo, orientation)
    Image.fromarray(stored.astype(np.uint8)).save(tmp_path / "labels.png")
    with Image.open(photo) as picture:
        like = Image.fromarray(stored.astype(np.uint8))
        like.getexif()[0x0112] = picture.getexif()[0x0112]
        expected = np.asarray(ImageOps.exif_transpose(like)) > 0
    found = read_masks(tmp_path / "labels.png", (W, H), photo=photo)
    assert np.array_equal(found.labels > 0, expected)
    content = EntityMap.from_labels(stored.astype(int)).to_coco()
    assert read_masks(put(tmp_path, content), (W, H), photo=photo) == found
    assert read_masks(put(tmp_path, coco({"segmentation": [LEFT]})), (W, H), photo=photo).areas.tolist() == [16]


def test_half_a_turn_cannot_be_seen_and_is_asked_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    photo = tmp_path / "photo.jpg"
    mask = turned_photo(photo, 3)
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "labels.png")
    found = read_masks(tmp_path / "labels.png", SIZE, photo=photo)
    assert np.array_equal(found.labels > 0, mask)
    assert "EXIF rotates the photo, and the masks fit it either way" in caplog.text
    caplog.clear()
    stored = read_masks(tmp_path / "labels.png", SIZE, photo=photo, pixels="stored")
    assert np.array_equal(stored.labels > 0, mask[::-1, ::-1])
    read_masks(tmp_path / "labels.png", SIZE, photo=photo, pixels="upright")
    assert not caplog.messages


@pytest.mark.parametrize("quality", [10, 30, 50, 65, 75, 85, 95])
@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_a_mask_in_a_lossy_format_of_any_quality(tmp_path: Path, quality: int, suffix: str) -> None:
    y, x = np.mgrid[:120, :160]
    mask = (x - 45) ** 2 + (y - 50) ** 2 < 25**2
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(tmp_path / f"mask.{suffix}", quality=quality)
    (area,) = read_masks(tmp_path / f"mask.{suffix}", (120, 160)).areas
    assert abs(int(area) - int(mask.sum())) < 20


def test_sides_that_are_swapped_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "masks.npy", np.ones((2, W, H), bool))
    with pytest.raises(InputError, match="width and height are swapped; turn the masks or the photo by 90 degrees"):
        areas(tmp_path / "masks.npy")
    rle = {"size": [W, H], "counts": [0, W * H]}
    with pytest.raises(InputError, match=r"but its picture has 16x12; COCO's size is \[height, width\]"):
        areas(put(tmp_path, coco({"id": 1, "segmentation": rle})))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x1f\x8b" + bytes(20), "is a file packed with gzip, which ESG does not read; unpack it first"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, which ESG does not read; save its masks with numpy.save"),
        (b"v/1\x01\x02\0\0\0", "is an OpenEXR picture, which ESG does not read; save the masks as PNG"),
        (b"MATLAB 5.0 MAT-file", "is a MATLAB file, which ESG does not read; save its masks with numpy.save or as PNG"),
        (b"\x80\x04\x95", "is a pickle, which is not read because it could run programs"),
    ],
)
def test_what_a_file_is_instead(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "masks.npy").write_bytes(data)
    with pytest.raises(InputError, match=words):
        areas(tmp_path / "masks.npy")


def test_a_picture_under_the_name_of_an_array(tmp_path: Path) -> None:
    (tmp_path / "masks.npy").write_bytes(base64.b64decode(png(np.eye(H, W, dtype=bool))))
    assert areas(tmp_path / "masks.npy") == [H]


@pytest.mark.parametrize(("suffix", "white"), [("tif", 255), ("tif", 1), ("tif", 7), ("gif", 255), ("png", 255)])
def test_frames_are_masks(tmp_path: Path, suffix: str, white: int) -> None:
    masks = np.zeros((2, 12, 16), np.uint8)
    masks[0, 2:6, 2:6], masks[1, 6:10, 9:14] = white, white
    first, second = map(Image.fromarray, masks)
    path = tmp_path / f"masks.{suffix}"
    first.save(path, save_all=True, append_images=[second])
    assert read_masks(path).areas.tolist() == [20, 16]


def test_frames_that_are_not_masks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mask = np.zeros((12, 16), np.uint8)
    mask[2:6, 2:6] = 255
    labels = np.repeat(np.array([[0, 1, 2, 3]], np.uint8), 12, 0).repeat(4, 1)
    path = tmp_path / "pages.tif"
    Image.fromarray(mask).save(path, save_all=True, append_images=[Image.fromarray(labels)])
    assert read_masks(path).areas.tolist() == [16]
    assert "1 of 2 masks is left out: frame 2 is a label map or a photo, with 4 different numbers" in caplog.text
    Image.fromarray(labels).save(path, save_all=True, append_images=[Image.fromarray(labels[::-1])])
    assert len(read_masks(path)) == 3
    assert "has 2 frames, none of which is a mask; ESG uses the first one" in caplog.text
    Image.fromarray(labels).save(path, save_all=True, append_images=[Image.fromarray(mask[:6, :8])])  # a preview
    assert len(read_masks(path)) == 3


@pytest.mark.parametrize(("dtype", "void"), [(np.uint16, 65535), (np.uint16, 255), (np.int16, -100), (np.int32, -100)])
def test_void_of_more_than_8_bits(tmp_path: Path, dtype: type, void: int) -> None:
    labels = np.repeat(np.repeat(np.array([[0, 1, 2, void]], dtype), 12, 0), 12, 1)
    Image.fromarray(labels.astype(np.int32) if void < 0 else labels).save(tmp_path / "labels.tif")
    assert read_masks(tmp_path / "labels.tif").areas.tolist() == [144, 144]


@pytest.mark.parametrize(("name", "kind"), [("mask.pbm", "PPM"), ("mask", "PPM"), ("mask", "WEBP"), ("mask", "BMP")])
def test_pictures_are_recognised_by_their_first_bytes(tmp_path: Path, name: str, kind: str) -> None:
    mask = Image.fromarray(np.arange(20).reshape(4, 5) > 13)
    mask.save(tmp_path / name, kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert read_masks(tmp_path / name).areas.tolist() == [6]
