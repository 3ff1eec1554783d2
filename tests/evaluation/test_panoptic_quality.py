"""Panoptic quality of small pictures, worked out by hand from panopticapi's rules, and compared with torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from in_memory import MemoryPhotos, MemoryPredictions, masks_of, photo_of

from esg.data.annotated import Category
from esg.evaluation.panoptic_quality import PanopticEvaluation, evaluate_panoptic
from esg.support.errors import InputError

CAT, DOG, SKY = 0, 1, 2
CATEGORIES = (Category("cat", True, 17), Category("dog", True, 18), Category("sky", False, 187))


Case = tuple[np.ndarray, list[int], np.ndarray, list[int | None]]
"""True labels and their categories, found labels and their categories."""


def measured(*cases: Case, crowds: Sequence[int] = ()) -> PanopticEvaluation:
    photos = [photo_of(true, kinds, crowds, f"{k}.jpg") for k, (true, kinds, *_) in enumerate(cases)]
    found = {f"{k}.jpg": masks_of(said, (), kinds) for k, (*_, said, kinds) in enumerate(cases)}
    return evaluate_panoptic(MemoryPhotos(photos, CATEGORIES), MemoryPredictions(found))


def row(*widths: int) -> np.ndarray:
    """10 rows with labels 1, 2 ... of these widths; negative widths are not annotated."""
    labels = [np.full(abs(width), number if width > 0 else 0) for number, width in enumerate(widths, start=1)]
    return np.repeat([np.concatenate(labels)], 10, axis=0).astype(np.int32)


def test_matched_false_and_missed_segments() -> None:
    """The cat's mask takes half of the dog. Cat: IoU 60/80. Dog: 0.5 is not enough: missed and false. Sky: IoU 1."""
    result = measured((row(60, 40, 100), [CAT, DOG, SKY], row(80, 20, 100), [CAT, DOG, SKY]))
    assert result.by_category["cat"].pq == pytest.approx(60 / 80)
    dog = result.by_category["dog"]
    assert (dog.matched, dog.false, dog.missed, dog.pq) == (0, 1, 1, 0)
    assert result.figures["PQ"] == pytest.approx((0.75 + 0 + 1) / 3)
    assert result.figures["SQ"] == pytest.approx((0.75 + 0 + 1) / 3)
    assert result.figures["RQ"] == pytest.approx((1 + 0 + 1) / 3)
    assert result.figures["PQ_things"] == pytest.approx(0.375)
    assert result.figures["PQ_stuff"] == 1


def test_sums_over_photos_before_the_quotient() -> None:
    """Cat: matched with an IoU of 0.8 in one photo, missed in the other."""
    nothing = np.zeros((10, 100), np.int32)
    result = measured((row(80, 20), [CAT, SKY], row(100), [CAT]), (row(100), [CAT], nothing, []))
    cat = result.by_category["cat"]
    assert (cat.pq, cat.sq, cat.rq) == pytest.approx((0.8 / 1.5, 0.8, 1 / 1.5))


def test_what_is_not_annotated_does_not_lower_the_iou() -> None:
    """A fifth of the found cat is not annotated."""
    assert measured((row(80, -20), [CAT], row(100), [CAT])).figures["SQ"] == pytest.approx(1)


def test_another_class_is_false_and_missed() -> None:
    result = measured((row(100), [CAT], row(100), [DOG]))
    assert (result.by_category["cat"].missed, result.by_category["dog"].false) == (1, 1)
    assert result.figures["PQ"] == 0


def test_a_found_segment_mostly_outside_the_annotated_area_is_ignored() -> None:
    true = row(40, -60)
    for width, false in ((81, 0), (79, 1)):  # 41 of 81 pixels, and 39 of 79, are not annotated
        said = row(width, -(100 - width))
        assert getattr(measured((true, [SKY], said, [CAT])).by_category.get("cat"), "false", 0) == false


def test_crowds_are_not_missed_and_what_lies_in_them_is_not_false() -> None:
    """A crowd of cats: found cats inside count for nothing, a found dog is a false one."""
    true, said = row(50, 50), row(50, 30, 20)
    result = measured((true, [SKY, CAT], said, [SKY, CAT, DOG]), crowds=[2])
    assert "cat" not in result.by_category
    assert (result.by_category["dog"].false, result.by_category["dog"].missed) == (1, 0)
    assert result.figures["PQ"] == pytest.approx(0.5)


def test_where_found_masks_overlap_the_higher_score_lies_above() -> None:
    true = row(50, 50)
    found = [*masks_of(row(50, 50), [0.9, 0.9], [CAT, DOG]), *masks_of(row(100), [0.5], [DOG])]
    photos = MemoryPhotos([photo_of(true, [CAT, DOG])], CATEGORIES)
    result = evaluate_panoptic(photos, MemoryPredictions({"a.jpg": found}))
    assert result.figures["PQ"] == 1  # nothing is left of the third


def test_masks_without_a_category_are_named() -> None:
    result = measured((row(100), [CAT], row(100), [None]))
    assert list(result.problems) == ["predictions without a category (1): 1 of 0.jpg"]
    assert result.figures["PQ"] == 0


def test_the_truth_needs_categories() -> None:
    with pytest.raises(InputError, match="does not have categories"):
        evaluate_panoptic(MemoryPhotos([photo_of(row(100))]), MemoryPredictions({}))


@pytest.mark.parametrize("seed", range(5))
def test_equals_torchmetrics(seed: int) -> None:
    torchmetrics = pytest.importorskip("torchmetrics.functional.detection")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    true = rng.integers(1, 7, (5, 8)).repeat(12, 0).repeat(12, 1).astype(np.int32)
    said = np.roll(true, 3, axis=seed % 2)
    said[rng.random(said.shape) < 0.1] = 7
    kinds = [CAT, CAT, DOG, DOG, SKY, CAT, DOG]
    both = [
        torch.tensor(np.stack([np.array([0, *kinds])[one], np.where(np.array([0, *kinds])[one] == SKY, 0, one)], -1))[
            None
        ]
        for one in (said, true)
    ]
    expected = torchmetrics.panoptic_quality(*both, things={CAT, DOG}, stuffs={SKY}, return_per_class=True)
    result = measured((true, kinds[:6], said, kinds))
    ours = [result.by_category[one.name].pq if one.name in result.by_category else 0 for one in CATEGORIES]
    assert ours == pytest.approx(expected.ravel().tolist(), abs=1e-6)
    assert any(0 < one < 1 for one in ours)
