from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from esg.data.labelled import UNKNOWN, LabelledPhoto
from esg.entities.entity_map import EntityMap
from esg.evaluation.photos import evaluate_entities

pytest.importorskip("pycocotools")


class Photos(list):
    """Photos in memory instead of a folder."""


def photo(labels: np.ndarray, *categories: str) -> LabelledPhoto:
    return LabelledPhoto("a", np.zeros((*labels.shape, 3), np.uint8), labels, categories)


def figures(labels: np.ndarray, said: np.ndarray, *categories: str) -> dict[str, float]:
    photos: Any = Photos([photo(labels, *categories)])
    return evaluate_entities(lambda image: EntityMap.from_labels(said), photos)


def test_the_truth_is_perfect() -> None:
    labels = np.repeat([[1] * 60 + [2] * 40], 100, axis=0).astype(np.int32)
    found = figures(labels, labels, "person", "sky-other-merged")
    assert [found[name] for name in ("AP", "covering", "covering_by_area", "whole")] == pytest.approx([1, 1, 1, 1])
    assert found["whole_count"] == 1


def test_a_person_in_halves_is_not_whole() -> None:
    labels = np.repeat([[1] * 60 + [2] * 40], 100, axis=0).astype(np.int32)
    said = np.repeat([[1] * 30 + [2] * 30 + [3] * 40], 100, axis=0).astype(np.int32)
    said[50:, :30] = 4  # now quarters and a half
    found = figures(labels, said, "person", "sky-other-merged")
    assert found["whole"] == 1  # the half is an IoU of 0.5
    said[50:, 30:60] = 5
    found = figures(labels, said, "person", "sky-other-merged")
    assert found["whole"] == 0
    assert found["covering"] == pytest.approx((0.25 + 1) / 2)
    assert found["covering_by_area"] == pytest.approx(0.6 * 0.25 + 0.4)


def test_small_and_other_things_are_not_counted_as_whole() -> None:
    labels = np.ones((100, 100), np.int32)
    labels[:10, :10] = 2
    found = figures(labels, labels, "road", "person")
    assert found["whole_count"] == 0
    assert np.isnan(found["whole"])


def test_what_has_no_label_is_left_out_of_the_covering() -> None:
    labels = np.full((100, 100), UNKNOWN, np.int32)
    labels[:, :50] = 1
    assert figures(labels, np.ones((100, 100), np.int32), "road")["covering"] == 1
    assert figures(labels, np.zeros((100, 100), np.int32), "road")["covering"] == 0


def test_progress() -> None:
    photos: Any = Photos([photo(np.ones((40, 40), np.int32), "road")] * 2)
    whole = EntityMap.from_labels(np.ones((40, 40), int))
    seen: list[tuple[int, int]] = []
    evaluate_entities(lambda image: whole, photos, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 2), (2, 2)]
