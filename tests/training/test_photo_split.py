"""Photos that are held out are never drawn, and the same ones are held out in every run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg.support.errors import ImageError
from esg.training.photo_split import PhotoSplit


def folder(path: Path, count: int) -> str:
    """A folder of photos of one entity each; photo number n has n + 10 columns."""
    path.mkdir()
    for number in range(count):
        shape = (12, number + 10)
        Image.fromarray(np.zeros((*shape, 3), np.uint8)).save(path / f"p{number}.jpg")
        Image.fromarray(np.ones(shape, np.uint8)).save(path / f"p{number}_0.png")
    return str(path)


@pytest.mark.parametrize(
    ("count", "share", "held"), [(10, 0.2, 2), (10, 0.0, 0), (10, 1.0, 10), (3, 0.01, 1), (2, 0.9, 1), (1, 0.5, 0)]
)
def test_every_photo_is_either_drawn_or_held_out(tmp_path: Path, count: int, share: float, held: int) -> None:
    place = folder(tmp_path / "photos", count)
    split = PhotoSplit([place], (), share)
    kept = {photo.name for photo in split.held_out(99)}
    assert (len(kept), len(split)) == (held, count - held)
    if held < count:
        rng = np.random.default_rng(1)
        drawn = {split.draw(rng).name for _ in range(20 * count)}
        assert drawn == {f"p{number}" for number in range(count)} - kept
    again = pickle.loads(pickle.dumps(PhotoSplit([place], (), share)))  # noqa: S301 - our own, as workers get it
    assert {photo.name for photo in again.held_out(99)} == kept


def test_a_limit_takes_equal_parts_from_the_folders(tmp_path: Path) -> None:
    split = PhotoSplit([folder(tmp_path / "a", 8), folder(tmp_path / "b", 20), folder(tmp_path / "c", 2)], (), 0.5)
    widths = [photo.image.shape[1] for photo in split.held_out(7)]
    assert len(widths) == 7
    assert len([*split.held_out(5)]) == 5
    names = [photo.name for photo in split.held_out(99)]
    assert len(names) == 4 + 10 + 1


def test_photos_that_cannot_be_read_are_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = PhotoSplit([folder(tmp_path / "photos", 4)])
    for number in range(2):
        (tmp_path / f"photos/p{number}.jpg").write_bytes(b"damaged")
    rng = np.random.default_rng(0)
    assert {split.draw(rng).name for _ in range(80)} == {"p2", "p3"}
    assert [sum(f"p{number}.jpg" in record.message for record in caplog.records) for number in range(4)] == [1, 1, 0, 0]
    for number in range(2, 4):
        (tmp_path / f"photos/p{number}.jpg").unlink()
    with pytest.raises(ImageError, match=r"100 photos in a row cannot be used: .*p\d\.jpg"):
        split.draw(rng)


def test_held_out_photos_that_cannot_be_read_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = PhotoSplit([folder(tmp_path / "photos", 3)], held_out=1)
    (tmp_path / "photos/p1.jpg").unlink()
    for _ in range(2):
        assert sorted(photo.name for photo in split.held_out(9)) == ["p0", "p2"]
    assert len(caplog.records) == 1
    assert "p1.jpg" in caplog.text
    for number in (0, 2):
        (tmp_path / f"photos/p{number}_0.png").write_bytes(b"damaged")
    with pytest.raises(ImageError, match="None of the photos that the run measures on can be read"):
        list(split.held_out(9))


def test_what_is_left_out_of_annotations_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder(tmp_path / "images", 1)
    box, whole = [0, 0, 4, 0, 4, 4], {"size": [12, 10], "counts": [0, 120]}
    annotations = [
        {"id": 1, "image_id": 0, "segmentation": whole},
        {"id": 2, "image_id": 0, "segmentation": {"size": [3, 3], "counts": [9]}},
        {"id": 3, "image_id": 8, "segmentation": [box]},
    ]
    images = [{"id": 0, "file_name": "p0.jpg", "height": 12, "width": 10}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    split = PhotoSplit([str(tmp_path / "a.json")])
    for _ in range(3):
        assert split.draw(np.random.default_rng(0)).labels.max() == 1
    assert [record.getMessage().removeprefix(f"{tmp_path}/") for record in caplog.records] == [
        "a.json has annotations of photos that are not listed, such as id 3.",
        "a.json has annotations whose mask has 3x3 pixels instead of the photo's 10x12, such as id 2 of p0.jpg.",
    ]
