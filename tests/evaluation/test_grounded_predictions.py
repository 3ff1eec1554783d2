"""Panoptic results of a grounder, measured against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg.data.annotated import AnnotatedPhoto, AnnotatedPhotos, Category, Segment
from esg.data.problems import Problems
from esg.entities import rle
from esg.entities.entity_map import EntityMap
from esg.entities.panoptic import Panoptic
from esg.evaluation.grounded_predictions import GroundedPredictions
from esg.evaluation.panoptic_quality import evaluate_panoptic

LABELS = np.array([[1, 1, 2, 3]] * 4, np.int32)  # a dog, and sky in two pieces
CATEGORIES = (Category("dog", True, 18), Category("sky-other-merged", False, 187))


class Truth(AnnotatedPhotos):
    """One photo."""

    def __init__(self, folder: Path) -> None:
        self.name, self.problems, self.categories = "truth", Problems(), CATEGORIES
        Image.new("RGB", (4, 4)).save(folder / "a.png")
        dog, sky = (rle.encode_mask(np.isin(LABELS, ids)) for ids in ((1,), (2, 3)))
        self._photo = AnnotatedPhoto(1, "a.png", (4, 4), folder / "a.png", (Segment(sky, 1), Segment(dog, 0)))

    def __len__(self) -> int:
        return 1

    def called(self, index: int) -> tuple[int | str, str]:
        return 1, "a.png"

    def photo(self, index: int) -> AnnotatedPhoto:
        return self._photo


class Namer:
    """Names entity 1 a dog, and the others sky."""

    name = "namer"

    def panoptic(self, image: np.ndarray, entities: EntityMap, names: Any, *, threshold: float) -> Panoptic:
        assert image.shape == (4, 4, 3)
        assert names.spoken == ("dog", "sky")
        found = {}
        for number in range(1, len(entities) + 1):
            is_dog = entities.mask([number])[0, 0]
            found[number] = (0, 0.9) if is_dog else (1, 0.4)
        return Panoptic.of(entities, {key: one for key, one in found.items() if one[1] >= threshold}, names)


@pytest.mark.parametrize(("threshold", "quality"), [(0.1, 1.0), (0.5, 0.5)])
def test_entities_of_a_segmenter_get_names_and_stuff_is_merged(
    tmp_path: Path, threshold: float, quality: float
) -> None:
    namer: Any = Namer()
    predictions = GroundedPredictions(namer, CATEGORIES, lambda image, name: EntityMap.from_labels(LABELS), threshold)
    measured = evaluate_panoptic(Truth(tmp_path), predictions)
    assert measured.figures["PQ"] == quality  # above the score of the sky, only the dog is left
    assert measured.by_category["dog"].pq == 1


def test_true_segments_may_be_named_too(tmp_path: Path) -> None:
    namer: Any = Namer()
    assert evaluate_panoptic(Truth(tmp_path), GroundedPredictions(namer, CATEGORIES)).figures["PQ"] == 1
