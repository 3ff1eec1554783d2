"""Where photos, models and masks come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg import EntityMap, EsgError, InputError
from web_demo.parts import photo
from web_demo.parts.photo import example_photos, is_small, segmenter_choices
from web_demo.visit import Visit


def test_every_example_is_there_and_credited() -> None:
    paths = example_photos()
    assert {path.name for path in paths} == {path.name for path in photo.EXAMPLES.glob("*.jpg")}
    credits = (photo.EXAMPLES / "CREDITS.md").read_text(encoding="utf-8")
    assert all(path.name in credits for path in paths)


def test_the_banner_is_for_the_weights_that_ship() -> None:
    assert is_small("cropformer-nano")
    assert not is_small("cropformer-hornet-large")
    assert not is_small("somewhere/mine.safetensors")


def test_any_model_given_can_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.touch()
    choices = segmenter_choices(str(file))
    assert choices[0] == ("mine", str(file))
    assert ("cropformer-nano", "cropformer-nano") in choices
    assert segmenter_choices("cropformer-nano")[0] == ("cropformer-nano", "cropformer-nano")
    assert len(segmenter_choices("cropformer-nano")) == len(choices) - 1


def test_where_a_photo_lies_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("this is text")
    with pytest.raises(EsgError, match=r"^photo\.png is not a picture") as caught:
        photo._read(tmp_path / "photo.png", 100)
    assert str(tmp_path) not in str(caught.value)


@pytest.fixture
def visit(pixels: np.ndarray) -> Visit:
    visit = Visit()
    visit.begin("photo.png", pixels.copy())
    return visit


def test_one_file_of_masks(visit: Visit, quarters: EntityMap, tmp_path: Path) -> None:
    quarters.save_labels_png(tmp_path / "labels.png")
    quarters.save_coco(tmp_path / "coco.json", file_name="photo")
    np.save(tmp_path / "labels.npy", quarters.labels)
    for name in ("labels.png", "coco.json", "labels.npy"):
        read = photo._read_masks([tmp_path / name], visit, 10_000)
        assert np.array_equal(read.labels, quarters.labels)


def test_several_masks_of_one_name(visit: Visit, quarters: EntityMap, tmp_path: Path) -> None:
    paths = []
    for number in (1, 2, 3):
        paths.append(tmp_path / str(number) / "mask.png")
        paths[-1].parent.mkdir()
        Image.fromarray(quarters.mask(number)).save(paths[-1])
    read = photo._read_masks(paths, visit, 10_000)
    assert len(read) == 3
    for number in (1, 2, 3):
        mask = quarters.mask(number)
        assert np.array_equal(read.mask(int(read.labels[mask][0])), mask)


def test_masks_that_do_not_fit_are_one_sentence(visit: Visit, tmp_path: Path) -> None:
    Image.new("L", (7, 5)).save(tmp_path / "a.png")
    Image.new("L", (7, 5)).save(tmp_path / "b.png")
    for names, begin in ((["a.png"], "a.png"), (["a.png", "b.png"], "The folder of masks")):
        with pytest.raises(InputError, match=rf"^{begin}[^\n]*80[^\n]*$") as caught:
            photo._read_masks([tmp_path / name for name in names], visit, 10_000)
        assert str(tmp_path) not in str(caught.value)
