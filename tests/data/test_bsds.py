"""Photos with human segmentations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg.data.bsds import BsdsPhotos, renumbered
from esg.support.errors import ImageError, InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos; the first has eleven segmentations, whose order by name is not their order by number."""
    for name, people in (("22", 11), ("7", 1)):
        Image.new("RGB", (6, 4), (200, 10, 30)).save(tmp_path / f"{name}.jpg")
        for k in range(people):
            labels = np.ones((4, 6), np.uint8)
            labels[:, 3:] = 5 + k
            Image.fromarray(labels).save(tmp_path / f"{name}_{k}.png")
    (tmp_path / "README.txt").write_text("not a photo")
    return tmp_path


def test_items_in_order(folder: Path) -> None:
    photos = BsdsPhotos(folder)
    assert photos.ids == ["22", "7"]
    assert len(photos) == 2
    image, maps = photos.item(0)
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    assert len(maps) == 11
    assert all(m.dtype == np.int32 and m.shape == (4, 6) for m in maps)
    assert all(np.array_equal(np.unique(m), [1, 2]) for m in maps)
    assert len(photos[1][1]) == 1
    assert len(list(photos)) == 2


def test_renumbering_keeps_zero() -> None:
    labels = np.array([[0, 9], [4, 9]], np.uint8)
    assert np.array_equal(renumbered(labels), [[0, 2], [1, 2]])
    assert np.array_equal(renumbered(labels + 1), [[1, 3], [2, 3]])


def test_missing_folder(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="does not exist"):
            BsdsPhotos(folder)
    with pytest.raises(InputError, match=r"does not contain \.jpg files"):
        BsdsPhotos(tmp_path)


def test_photo_without_segmentation(folder: Path) -> None:
    (folder / "7_0.png").unlink()
    with pytest.raises(InputError, match=r"first is 7\.jpg"):
        BsdsPhotos(folder)


def test_broken_and_ill_fitting_files(folder: Path) -> None:
    Image.new("L", (5, 4)).save(folder / "22_0.png")
    with pytest.raises(ImageError, match=r"22_0\.png"):
        BsdsPhotos(folder).item(0)
    (folder / "7.jpg").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"7\.jpg"):
        BsdsPhotos(folder).item(1)


@pytest.mark.parametrize(
    ("orientation", "turn"), [(3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90)], ids=["180", "90"]
)
def test_photos_are_upright_as_their_segmentations_are(tmp_path: Path, orientation: int, turn: Image.Transpose) -> None:
    upright = np.full((16, 32, 3), 200, np.uint8)
    upright[:8, :16] = 0  # the top left
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(upright).transpose(turn).save(tmp_path / "7.jpg", exif=exif, quality=95)
    Image.fromarray((upright[..., 0] == 0).astype(np.uint8)).save(tmp_path / "7_0.png")
    image, (labels,) = BsdsPhotos(tmp_path).item(0)
    assert image.shape == (16, 32, 3)
    assert np.array_equal(image.mean(2) < 100, labels == 1)


def test_real_photos(shared: Path) -> None:
    photos = BsdsPhotos(shared / "data" / "bsds500" / "val")
    assert len(photos) == 100
    image, maps = photos.item(0)
    assert sorted(image.shape) == [3, 321, 481]
    assert len(maps) >= 4
    for labels in maps:
        assert np.array_equal(np.unique(labels), np.arange(1, labels.max() + 1))
