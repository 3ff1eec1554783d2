"""AP with classes, on small pictures and against pycocotools itself."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from in_memory import MemoryPhotos, MemoryPredictions, masks_of, photo_of

from esg.data.annotated import Category
from esg.entities import rle
from esg.evaluation.instances import InstanceEvaluation, evaluate_instances
from esg.evaluation.matching import FoundMask
from esg.support.errors import InputError

pytest.importorskip("pycocotools", reason="average precision needs pycocotools")

CAT, DOG, SKY = 0, 1, 2
CATEGORIES = (Category("cat", True, 17), Category("dog", True, 18), Category("sky", False, 187))


def thirds() -> np.ndarray:
    return np.repeat([[1] * 20 + [2] * 20 + [3] * 20], 40, axis=0).astype(np.int32)


def measured(found: list[FoundMask]) -> InstanceEvaluation:
    photos = MemoryPhotos([photo_of(thirds(), [CAT, DOG, SKY])], CATEGORIES)
    return evaluate_instances(photos, MemoryPredictions({"a.jpg": found}))


def test_the_class_must_be_right() -> None:
    result = measured(masks_of(thirds(), (), [CAT, CAT, SKY]))
    assert result.by_category == pytest.approx({"cat": 1, "dog": 0})
    assert result.figures["AP"] == pytest.approx(0.5)


def test_stuff_does_not_count() -> None:
    assert measured(masks_of(thirds(), (), [CAT, DOG, DOG])[:2]).figures["AP"] == pytest.approx(1)


def test_masks_without_a_class_are_named() -> None:
    result = measured(masks_of(thirds(), (), [CAT, None, SKY]))
    assert list(result.problems) == ["predictions without a category (1): 1 of a.jpg"]


def test_the_truth_needs_categories() -> None:
    with pytest.raises(InputError, match="measure its masks as entities"):
        evaluate_instances(MemoryPhotos([photo_of(thirds())]), MemoryPredictions({}))


def test_equals_pycocotools() -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(1)
    photos, found, coco, results = [], {}, [], []
    for number in range(6):
        grid = rng.integers(1, 6, (4, 6))
        grid[0, :5] = np.arange(1, 6)  # each label is there
        true = grid.repeat(25, 0).repeat(25, 1).astype(np.int32)
        said = np.roll(true, int(rng.integers(1, 6)), 1)
        kinds, guesses = rng.integers(0, 2, 5).tolist(), rng.integers(0, 2, 5).tolist()
        scores = rng.random(5).round(1).tolist()  # with ties
        photo = photo_of(true, kinds, crowds=[5], name=f"{number}.jpg")
        photos.append(photo)
        found[photo.name] = masks_of(said, scores, guesses)
        for one in photo.segments:
            area = rle.area(one.mask)
            coco.append(
                {"id": len(coco) + 1, "image_id": number, "category_id": one.category, "iscrowd": int(one.crowd)}
                | {"segmentation": dict(one.mask), "area": area}
            )
        for own in found[photo.name]:
            results.append(
                {"id": len(results) + 1, "image_id": number, "category_id": own.category, "score": own.score}
                | {"segmentation": dict(own.mask), "area": rle.area(own.mask), "iscrowd": 0}
            )
    sides = []
    for listed in (coco, results):
        side = COCO()
        side.dataset = {
            "images": [{"id": k, "height": 100, "width": 150} for k in range(6)],
            "annotations": listed,
            "categories": [{"id": 0}, {"id": 1}],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            side.createIndex()
        sides.append(side)
    official = COCOeval(*sides, "segm")
    with contextlib.redirect_stdout(io.StringIO()):
        official.evaluate()
        official.accumulate()
        official.summarize()
    result = evaluate_instances(MemoryPhotos(photos, CATEGORIES), MemoryPredictions(found))
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
    assert [result.figures[name] for name in names] == pytest.approx(official.stats.tolist(), abs=1e-12)
    assert 0 < result.figures["AP"] < 1
