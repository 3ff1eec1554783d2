"""Label pictures with soft rims: anti-aliased colours and greys, and colours that went through a lossy format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from esg.entities.importing import read_masks
from esg.support.errors import InputError

COLOURS = [(255, 0, 0), (0, 0, 255), (0, 200, 0)]
GREYS = [(90,) * 3, (170,) * 3, (250,) * 3]


def drawing(colours: list[tuple[int, ...]], smooth: bool) -> Image.Image:
    """A disc, a box that touches it, and an ellipse above the box, 160 x 120, on black."""
    found = Image.new("RGB", (640, 480))
    draw = ImageDraw.Draw(found)
    draw.ellipse((80, 80, 240, 240), fill=colours[0])
    draw.rectangle((200, 200, 480, 360), fill=colours[1])
    draw.ellipse((420, 140, 600, 440), fill=colours[2])
    return found.resize((160, 120), Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


@pytest.mark.parametrize(
    ("name", "colours", "mode"),
    [("a.png", COLOURS, "RGB"), ("a.png", COLOURS, "RGBA"), ("a.gif", COLOURS, "RGB"), ("a.png", GREYS, "L")],
)
def test_the_rims_of_smooth_drawings_belong_to_the_areas(
    tmp_path: Path, name: str, colours: list[tuple[int, ...]], mode: str
) -> None:
    drawing(colours, smooth=True).convert(mode).save(tmp_path / name)
    exact = np.asarray(drawing(colours, smooth=False).convert("RGB"))
    found = read_masks(tmp_path / name, (120, 160))
    assert len(found) == 3
    for colour in colours:
        expected = (exact == colour).all(axis=2)
        assert max(np.count_nonzero(found.mask(one) & expected) for one in (1, 2, 3)) >= expected.sum() - 30


@pytest.mark.parametrize("options", [{"quality": 90}, {"quality": 75}, {"format": "WEBP", "quality": 80}])
def test_colours_through_a_lossy_format(tmp_path: Path, options: dict[str, object]) -> None:
    exact = drawing(COLOURS, smooth=False).resize((640, 480), Image.Resampling.NEAREST)
    exact.save(tmp_path / "a.jpg", **options)
    found = read_masks(tmp_path / "a.jpg")
    expected = sorted(int((np.asarray(exact) == colour).all(axis=2).sum()) for colour in COLOURS)
    assert len(found) == 3
    assert sorted(found.areas.tolist()) == pytest.approx(expected, rel=0.03)


def test_a_photo_before_a_white_wall_is_not_a_label_map(tmp_path: Path) -> None:
    pixels = np.full((240, 320, 3), 255, np.uint8)
    pixels[60:200, 80:240] = np.random.default_rng(0).integers(0, 256, (140, 160, 3))
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    with pytest.raises(InputError, match="a JPEG picture in colours, like a photo"):
        read_masks(tmp_path / "photo.jpg")


def test_small_entities_are_no_rims(tmp_path: Path) -> None:
    """Lines of one pixel and single pixels keep their own ids, also where two areas meet."""
    labels = np.zeros((60, 80), np.uint8)
    labels[:, 20:], labels[:, 60:] = 1, 30
    labels[:, 59] = np.arange(60) // 6 + 2
    Image.fromarray(labels).save(tmp_path / "grey.png")
    assert len(read_masks(tmp_path / "grey.png")) == 12
    colours = np.random.default_rng(1).integers(1, 256, (31, 3), np.uint8)
    colours[0] = 0
    Image.fromarray(colours[labels]).save(tmp_path / "colours.png")
    assert len(read_masks(tmp_path / "colours.png")) == 12
