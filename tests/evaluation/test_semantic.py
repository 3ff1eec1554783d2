"""Mean IoU of small pictures, worked out by hand, and label maps whose numbers are classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_memory import MemoryPhotos, MemoryPredictions, masks_of, photo_of
from PIL import Image

from esg.data.annotated import Category
from esg.evaluation.class_maps import ClassMapPhotos, ClassMaps, read_categories
from esg.evaluation.semantic import evaluate_semantic
from esg.support.errors import EsgError

CATEGORIES = (Category("cat", True, 1), Category("sky", False, 2), Category("sea", False, 3))


def figures(true: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """Of maps in which label k is class k - 1."""
    photos = MemoryPhotos([photo_of(true, [0, 1, 2][: int(true.max())])], CATEGORIES)
    found = MemoryPredictions({"a.jpg": masks_of(said, (), [0, 1, 2][: int(said.max())])})
    return evaluate_semantic(photos, found).figures


def test_mean_iou_by_hand() -> None:
    """Cat: 40 of 60 + 0; sky: 40 of 40 + 20; no sea in the truth, so it does not count."""
    true, said = np.ones((10, 10), np.int32), np.ones((10, 10), np.int32)
    true[6:], said[4:] = 2, 2
    found = figures(true, said)
    assert found["mIoU"] == pytest.approx((40 / 60 + 40 / 60) / 2)
    assert found["mACC"] == pytest.approx((40 / 60 + 1) / 2)
    assert found["pACC"] == pytest.approx(0.8)
    said[4:6] = 3  # pixels of the cat said to be sea: the IoU of the sky becomes 1
    assert figures(true, said)["mIoU"] == pytest.approx((40 / 60 + 1) / 2)


def test_weights_are_the_frequencies() -> None:
    true, said = np.ones((10, 10), np.int32), np.ones((10, 10), np.int32)
    true[:1] = 2
    found = figures(true, said)
    assert found["mIoU"] == pytest.approx(0.45)
    assert found["fwIoU"] == pytest.approx(0.9 * 0.9)


def test_what_is_not_annotated_does_not_count_but_what_is_not_found_is_wrong() -> None:
    true, said = np.ones((10, 10), np.int32), np.ones((10, 10), np.int32)
    true[:5] = 0
    said[:5] = 3
    assert figures(true, said)["mIoU"] == 1
    assert figures(said, true)["mIoU"] == pytest.approx(0.5)


def save(folder: Path, **maps: np.ndarray) -> Path:
    folder.mkdir()
    for name, labels in maps.items():
        Image.fromarray(labels.astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def test_label_maps_of_classes(tmp_path: Path) -> None:
    """Numbers are those of the list, 0 is a class if it is listed, and 255 is not."""
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(["road", "wall", "car"]))
    categories = read_categories(path)
    true = np.zeros((10, 10))
    true[5:], true[9:] = 2, 255
    said = np.zeros((10, 10))
    photos = ClassMapPhotos(save(tmp_path / "true", a=true, b=true), categories)
    found = evaluate_semantic(photos, ClassMaps(save(tmp_path / "said", a=said, b=true), categories))
    assert found.by_category == pytest.approx({"road": 100 / 140, "car": 40 / 80})
    assert found.figures["mIoU"] == pytest.approx((100 / 140 + 0.5) / 2)
    assert list(found.problems) == ["predicted classes that are not listed (1): 255 in b"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (["a", "b"], {0: "a", 1: "b"}),
        ([{"id": 7, "name": "a"}, {"id": 2, "name": "b"}], {7: "a", 2: "b"}),
        ({"categories": [{"id": 7, "name": "a", "isthing": 0}]}, {7: "a"}),
    ],
)
def test_lists_of_categories(tmp_path: Path, content: Any, names: dict[int, str]) -> None:
    (tmp_path / "list.json").write_text(json.dumps(content))
    assert {one.id: one.name for one in read_categories(tmp_path / "list.json")} == names


def test_unusable_label_maps_are_named(tmp_path: Path) -> None:
    categories = (Category("a", id=0), Category("b", id=1))
    good = np.zeros((10, 10))
    truth = save(tmp_path / "true", a=good, b=good, c=good)
    said = save(tmp_path / "said", a=good, b=np.zeros((5, 10)))
    Image.new("RGB", (10, 10)).save(said / "c.png")
    found = evaluate_semantic(ClassMapPhotos(truth, categories), ClassMaps(said, categories))
    assert found.figures["photos"] == 1
    (line,) = found.problems
    assert line.startswith("photos that cannot be used (2): b: ")
    assert "10x5 pixels, but its photo 10x10" in line
    assert "is not a label map: it should have one whole number per pixel" in line


def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("{}")
    with pytest.raises(EsgError, match="does not list categories"):
        read_categories(tmp_path / "list.json")
    with pytest.raises(EsgError, match="does not contain label maps"):
        ClassMaps(tmp_path, ())
    with pytest.raises(EsgError, match="does not exist"):
        ClassMapPhotos(tmp_path / "nowhere", ())
    with pytest.raises(EsgError, match="does not have categories"):
        evaluate_semantic(MemoryPhotos([photo_of(np.ones((8, 8), np.int32))]), MemoryPredictions({}))
