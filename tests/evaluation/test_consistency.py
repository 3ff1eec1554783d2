"""How well two annotators agree, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from in_memory import MemoryPhotos, photo_of

from esg.data.annotated import Category
from esg.evaluation.consistency import annotators_consistency, consistency
from esg.support.errors import InputError

pytest.importorskip("pycocotools", reason="average precision needs pycocotools")

FIRST = (Category("cat"), Category("dog"))
SECOND = (Category("Dog"), Category("cow"), Category("cat"))


def row(*widths: int) -> np.ndarray:
    return np.repeat([np.repeat(np.arange(1, len(widths) + 1), widths)], 100, axis=0).astype(np.int32)


def test_classes_are_compared_by_name_under_the_same_masks() -> None:
    """Three masks are the same; cat and Dog agree, the other dog is a cow; the fourth is split in halves."""
    first = MemoryPhotos([photo_of(row(20, 20, 20, 40), [0, 1, 1, 0])], FIRST)
    second = MemoryPhotos([photo_of(row(20, 20, 20, 20, 20), [2, 0, 1, 2, 2])], SECOND)
    found = consistency(first, second)
    assert (found.photos, found.same) == (1, 3)
    assert found.accuracy == pytest.approx(2 / 3)


def test_ap_of_one_against_the_other() -> None:
    same = MemoryPhotos([photo_of(row(20, 80))])
    assert consistency(same, same).ap == pytest.approx(1)
    assert np.isnan(consistency(same, same).accuracy)
    # IoU 0.75: both are right at six of ten thresholds; at the others the larger one, which comes first, is wrong.
    other = MemoryPhotos([photo_of(np.where(row(20, 60, 20) == 3, 0, row(20, 60, 20)))])
    assert consistency(same, other).ap == pytest.approx(0.6 + 0.4 * 0.5 * 51 / 101)
    assert consistency(MemoryPhotos([photo_of(row(100))]), MemoryPhotos([photo_of(row(60, 40))])).ap == pytest.approx(
        0.3  # IoU 0.6: at 0.5, 0.55 and 0.6; the smaller mask comes second
    )


def test_photos_of_one_annotator_only_are_named() -> None:
    a, b, c = (photo_of(row(100), name=name) for name in ("a.jpg", "b.jpg", "c.jpg"))
    found = consistency(MemoryPhotos([a, b, None]), MemoryPhotos([a, c]))
    assert found.photos == 1
    assert set(found.problems) == {
        "photos that only the first one annotated (1): b.jpg",
        "photos that only the second one annotated (1): c.jpg",
        "photos that cannot be used (1): number 2.png is broken",
    }
    with pytest.raises(InputError, match="do not annotate the same photos"):
        consistency(MemoryPhotos([b]), MemoryPhotos([c]))


def test_each_two_annotators_of_a_photo() -> None:
    people = tuple(photo_of(one).segments for one in (row(50, 50), row(50, 50), row(100)))
    found = annotators_consistency(MemoryPhotos([replace(photo_of(row(50, 50)), annotators=people)]))
    assert list(found) == [(0, 1), (0, 2), (1, 2)]
    assert found[0, 1].ap == pytest.approx(1)
    assert found[0, 2].ap < 0.1  # the whole is half covered by each: an IoU of 0.5
    with pytest.raises(InputError, match="several people annotated"):
        annotators_consistency(MemoryPhotos([photo_of(row(100))]))
