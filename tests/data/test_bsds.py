"""Photos with human segmentations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg.data.bsds import BsdsPhotos, renumbered
from esg.data.labelled import UNKNOWN, labelled, painted
from esg.support.errors import ImageError, InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos; the first has eleven segmentations, whose order by name is not their order by number."""
    for name, people in (("22", 11), ("7", 1)):
        Image.new("RGB", (6, 4), (200, 10, 30)).save(tmp_path / f"{name}.jpg")
        for k in range(people):
            labels = np.ones((4, 6), np.uint8)
            labels[:, : 1 + k // 10] = 5 + k
            Image.fromarray(labels).save(tmp_path / f"{name}_{k}.png")
    (tmp_path / "README.txt").write_text("not a photo")
    return tmp_path


def test_photos_in_order_with_all_their_annotators(folder: Path) -> None:
    photos = BsdsPhotos(folder)
    assert [photo.name for photo in photos] == ["22.jpg", "7.jpg"]
    first = photos[0]
    assert first.image().shape == (4, 6, 3)
    assert len(first.annotators) == 11
    assert first.segments == first.annotators[0]
    widths = [int((labelled(first, (), one).labels[0] == 2).sum()) for one in range(11)]
    assert widths == [1] * 10 + [2]  # the last is 22_10.png
    assert len(photos[1].annotators) == 1


def test_zero_is_not_labelled(tmp_path: Path) -> None:
    Image.new("RGB", (2, 1)).save(tmp_path / "a.jpg")
    Image.fromarray(np.array([[0, 9]], np.uint8)).save(tmp_path / "a_0.png")
    assert painted(BsdsPhotos(tmp_path)[0].segments, (1, 2), ())[0].tolist() == [[UNKNOWN, 1]]


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


def test_photos_without_a_segmentation_are_left_out_and_named(folder: Path) -> None:
    (folder / "7_0.png").unlink()
    photos = BsdsPhotos(folder)
    assert [photo.name for photo in photos] == ["22.jpg"]
    assert list(photos.problems) == ["photos without a segmentation (1): 7.jpg"]
    (folder / "7.jpg").unlink()
    (folder / "7_3.png").write_bytes((folder / "22_0.png").read_bytes())
    assert list(BsdsPhotos(folder).problems) == ["segmentations without a photo (1): 7_3.png"]
    (folder / "7_3.png").unlink()
    for path in folder.glob("22_*.png"):
        path.unlink()
    with pytest.raises(InputError, match=r"No photo in .* has a segmentation; add 22_0\.png"):
        BsdsPhotos(folder)


def test_broken_and_ill_fitting_files(folder: Path) -> None:
    Image.new("L", (5, 4)).save(folder / "22_1.png")
    with pytest.raises(ImageError, match=r"22_1\.png does not have the size of 22_0\.png"):
        BsdsPhotos(folder)[0]
    Image.new("L", (5, 4), 1).save(folder / "7_0.png")
    with pytest.raises(ImageError, match=r"7\.jpg has 6x4 pixels, but its annotations are for 5x4"):
        BsdsPhotos(folder)[1].image()
    (folder / "7.jpg").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"7\.jpg"):
        BsdsPhotos(folder)[1].image()


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
    photo = labelled(BsdsPhotos(tmp_path)[0], ())
    assert photo.image.shape == (16, 32, 3)
    assert np.array_equal(photo.image.mean(2) < 100, photo.labels == 1)


def test_real_photos(shared: Path) -> None:
    photos = BsdsPhotos(shared / "data" / "bsds500" / "val")
    assert len(photos) == 100
    first = photos[0]
    assert sorted(first.image().shape) == [3, 321, 481]
    assert len(first.annotators) >= 4
    for segments in first.annotators:
        labels, _ = painted(segments, first.size, ())
        assert np.array_equal(np.unique(labels), np.arange(1, len(segments) + 1))
