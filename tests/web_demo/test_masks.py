"""Masks that visitors bring."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg import EntityMap, InputError
from esg.entities.importing.panoptic import panoptic_colours, panoptic_dict
from web_demo.masks import read_own_masks
from web_demo.visit import Visit


@pytest.fixture
def visit(pixels: np.ndarray) -> Visit:
    visit = Visit()
    visit.begin("photo.png", pixels.copy())
    return visit


def read(paths: Sequence[Path], visit: Visit, max_pixels: int) -> EntityMap:
    """Where nothing is to be warned of."""
    found = read_own_masks(paths, visit, max_pixels)
    assert found.warnings == ()
    return found.entities


def test_one_file_of_masks(visit: Visit, quarters: EntityMap, tmp_path: Path) -> None:
    quarters.save_labels_png(tmp_path / "labels.png")
    quarters.save_coco(tmp_path / "coco.json", file_name="photo")
    np.save(tmp_path / "labels.npy", quarters.labels)
    for name in ("labels.png", "coco.json", "labels.npy"):
        found = read([tmp_path / name], visit, 10_000)
        assert np.array_equal(found.labels, quarters.labels)


def test_masks_are_found_by_a_name_with_several_dots(pixels: np.ndarray, quarters: EntityMap, tmp_path: Path) -> None:
    visit = Visit()
    visit.begin("my.cat.jpg", pixels.copy())
    content = quarters.to_coco(file_name="my.cat.jpg")
    content["images"].append({"id": 2, "width": 120, "height": 80, "file_name": "my.dog.jpg"})
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert read([tmp_path / "coco.json"], visit, 10_000) == quarters


def test_of_several_masks_no_copy_is_left(
    visit: Visit, quarters: EntityMap, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    paths = [tmp_path / "1.png", tmp_path / "2.png"]
    for path in paths:
        Image.fromarray(quarters.mask(int(path.stem))).save(path)
    small = tmp_path / "small.png"
    Image.new("L", (7, 5)).save(small)
    before = sorted(cache.rglob("*"))
    assert len(read(paths, visit, 10_000)) == 2
    assert len(read_own_masks([*paths, small], visit, 10_000).entities) == 2  # what does not fit is left out
    assert sorted(cache.rglob("*")) == before
    assert list((tmp_path / "temporary").iterdir()) == []


def test_several_masks_of_one_name(visit: Visit, quarters: EntityMap, tmp_path: Path) -> None:
    paths = []
    for number in (1, 2, 3):
        paths.append(tmp_path / str(number) / "mask.png")
        paths[-1].parent.mkdir()
        Image.fromarray(quarters.mask(number)).save(paths[-1])
    found = read(paths, visit, 10_000)
    assert len(found) == 3
    for number in (1, 2, 3):
        mask = quarters.mask(number)
        assert np.array_equal(found.mask(int(found.labels[mask][0])), mask)


def test_masks_that_do_not_fit_are_one_sentence(visit: Visit, tmp_path: Path) -> None:
    Image.new("L", (7, 5)).save(tmp_path / "a.png")
    Image.new("L", (7, 5)).save(tmp_path / "b.png")
    for names in (["a.png"], ["a.png", "b.png"]):
        with pytest.raises(InputError, match=r"^a\.png [^\n]*80[^\n]*$") as caught:
            read([tmp_path / name for name in names], visit, 10_000)
        assert str(tmp_path) not in str(caught.value)


def test_a_panoptic_file_comes_with_its_png(visit: Visit, quarters: EntityMap, tmp_path: Path) -> None:
    (tmp_path / "panoptic.json").write_text(json.dumps(panoptic_dict(quarters, "photo.png", "ids.png")))
    Image.fromarray(panoptic_colours(quarters)).save(tmp_path / "ids.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ids.png").rename(tmp_path / "elsewhere/ids.png")  # every upload has a folder of its own
    found = read([tmp_path / "elsewhere/ids.png", tmp_path / "panoptic.json"], visit, 10_000)
    assert np.array_equal(found.labels, quarters.labels)
    with pytest.raises(
        InputError, match=r"^panoptic\.json is COCO's panoptic format, .*'ids\.png' lies neither beside it"
    ):
        read([tmp_path / "panoptic.json"], visit, 10_000)


def test_of_files_of_many_photos_that_of_this_one_is_taken(visit: Visit, quarters: EntityMap, tmp_path: Path) -> None:
    for name, entities in (("photo", quarters), ("other", quarters.keep([1]))):
        entities.save_coco(tmp_path / f"{name}.json", file_name=f"{name}.png")
        np.save(tmp_path / f"{name}.npy", entities.labels)
    assert read([tmp_path / "other.json", tmp_path / "photo.json"], visit, 10_000) == quarters
    arrays = read([tmp_path / "other.npy", tmp_path / "photo.npy"], visit, 10_000)
    assert np.array_equal(arrays.labels, quarters.labels)
    visit.file = "third.png"
    with pytest.raises(InputError, match=r"^None of these 2 annotation files has the photo's name, third\.png; "):
        read([tmp_path / "other.json", tmp_path / "photo.json"], visit, 10_000)


def test_what_was_left_out_is_told_without_the_server_s_folders(
    visit: Visit, quarters: EntityMap, tmp_path: Path
) -> None:
    content = quarters.to_coco(file_name="photo.png")
    content["annotations"][1]["segmentation"] = [[1, 1, 2, 2]]
    (tmp_path / "coco.json").write_text(json.dumps(content))
    found = read_own_masks([tmp_path / "coco.json"], visit, 10_000)
    assert len(found.entities) == 2
    (sentence,) = found.warnings
    assert sentence.startswith("coco.json: 1 of 3 masks is left out: ")

    whole = np.ones((80, 120), bool)
    for number, mask in enumerate((whole, quarters.mask(1)), start=1):
        Image.fromarray(mask).save(tmp_path / f"{number}.png")
    Image.new("L", (7, 5)).save(tmp_path / "3.png")
    (sentence,) = read_own_masks([tmp_path / f"{number}.png" for number in (1, 2, 3)], visit, 10_000).warnings
    assert sentence.startswith("The folder with your masks: 1 of 3 masks is left out: ")


def test_options_that_the_page_does_not_have_are_not_told(visit: Visit, quarters: EntityMap, tmp_path: Path) -> None:
    content = quarters.to_coco(file_name="photo.png")
    twin = {**content["annotations"][0], "id": 9, "score": 0.9}
    (tmp_path / "coco.json").write_text(json.dumps({**content, "annotations": [*content["annotations"], twin]}))
    (sentence,) = read_own_masks([tmp_path / "coco.json"], visit, 10_000).warnings
    assert sentence.endswith("1 of 4 masks are hidden entirely and left out.")
