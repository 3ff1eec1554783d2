"""Photos that are held out are never drawn, and the same ones are held out in every run."""

from __future__ import annotations

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
