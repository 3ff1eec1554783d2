"""Entities of photos: known figures of small pictures, and the figures of the independent tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from in_memory import MemoryPhotos, MemoryPredictions, masks_of, photo_of

from esg.data.annotated import Category
from esg.data.opening import open_photos
from esg.entities.entity_map import EntityMap
from esg.evaluation.entities import covering, evaluate_entities
from esg.evaluation.predictions import ModelPredictions, open_predictions

pytest.importorskip("pycocotools", reason="average precision needs pycocotools")

PERSON, ROAD = Category("person", True), Category("road", False)


def columns(*widths: int) -> np.ndarray:
    """100 rows of labels 1, 2 ... with these widths."""
    return np.repeat([np.repeat(np.arange(1, len(widths) + 1), widths)], 100, axis=0).astype(np.int32)


def figures(labels: np.ndarray, said: np.ndarray, *categories: int) -> dict[str, float]:
    photos = MemoryPhotos([photo_of(labels, categories)], [PERSON, ROAD])
    return evaluate_entities(photos, MemoryPredictions({"a.jpg": masks_of(said)})).figures


def test_the_truth_is_perfect() -> None:
    found = figures(columns(60, 40), columns(60, 40), 0, 1)
    for name in ("AP", "APb", "AR50@100", "covering", "covering_by_area", "whole"):
        assert found[name] == pytest.approx(1), name
    assert (found["whole_count"], found["photos"], found["overlapping"]) == (1, 1, 0)


def test_a_person_in_pieces_is_not_whole() -> None:
    said = columns(30, 30, 40)
    said[50:, :30] = 4  # quarters and a half
    assert figures(columns(60, 40), said, 0, 1)["whole"] == 1  # the half is an IoU of 0.5
    said[50:, 30:60] = 5
    found = figures(columns(60, 40), said, 0, 1)
    assert found["whole"] == 0
    assert found["covering"] == pytest.approx((0.25 + 1) / 2)
    assert found["covering_by_area"] == pytest.approx(0.6 * 0.25 + 0.4)


def test_small_and_other_things_are_not_counted_as_whole() -> None:
    labels = np.ones((100, 100), np.int32)
    labels[:10, :10] = 2
    found = figures(labels, labels, 1, 0)
    assert found["whole_count"] == 0
    assert np.isnan(found["whole"])


def test_what_is_not_annotated_is_left_out_of_the_covering_but_wrong_in_ap() -> None:
    labels = np.zeros((100, 100), np.int32)
    labels[:, :50] = 1
    found = figures(labels, np.ones((100, 100), np.int32), 1)
    assert found["covering"] == 1
    assert found["AP"] == pytest.approx(0.1)  # IoU 0.5: one of ten thresholds
    assert figures(labels, np.zeros((100, 100), np.int32), 1)["covering"] == 0


def test_low_and_high_resolution_apart() -> None:
    low, high = columns(60, 40), np.repeat(columns(600, 400), 10, axis=0)
    photos = MemoryPhotos([photo_of(low), photo_of(high, name="b.jpg")])
    found = evaluate_entities(photos, MemoryPredictions({"a.jpg": masks_of(low)})).figures
    assert (found["AP_low"], found["AP_high"]) == (pytest.approx(1), 0)
    assert found["APb_low"] == pytest.approx(1)
    assert not any(name.endswith("_low") for name in figures(low, low))


def test_overlapping_masks_are_counted() -> None:
    photos = MemoryPhotos([photo_of(columns(60, 40))])
    twice = masks_of(columns(60, 40)) + masks_of(columns(100))
    assert evaluate_entities(photos, MemoryPredictions({"a.jpg": twice})).figures["overlapping"] == 1


def test_the_covering_of_several_annotators_and_the_typical_one() -> None:
    """AP is measured against the annotator with the median number of segments: here the one with two."""
    photo = photo_of(columns(100))
    people = tuple(photo_of(one).segments for one in (columns(100), columns(60, 40), columns(20, 20, 60)))
    photos = MemoryPhotos([replace(photo, annotators=people)])
    found = evaluate_entities(photos, MemoryPredictions({"a.jpg": masks_of(columns(60, 40))})).figures
    assert found["AP"] == pytest.approx(1)
    # Against one segment 0.6; against itself 1; against three: 20/60, 20/60 and 40/60 by area 20, 20 and 60.
    assert found["covering_people"] == pytest.approx((0.6 + 1 + (0.2 / 3 + 0.2 / 3 + 0.6 * 40 / 60)) / 3)


def test_covering_counts_the_background_as_a_region() -> None:
    truth = columns(50, 50)
    said = truth - 1  # the left half has no label
    assert covering(said, truth) == 1


def test_the_worst_photos_come_first() -> None:
    good, bad, nothing = columns(60, 40), columns(50, 50), np.zeros((100, 100), np.int32)
    photos = MemoryPhotos([photo_of(good), photo_of(bad, name="b.jpg"), photo_of(nothing, name="c.jpg")])
    found = MemoryPredictions({name: masks_of(good) for name in ("a.jpg", "b.jpg", "c.jpg")})
    measured = evaluate_entities(photos, found)
    assert measured.worst == [1, 0]
    assert list(measured.problems) == [
        "photos without annotated entities, in which all predictions are wrong (1): c.jpg"
    ]


def test_a_model_is_measured_on_the_photos(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    photos = MemoryPhotos([replace(photo_of(columns(60, 40)), file=tmp_path / "a.png")])
    seen: list[tuple[int, int]] = []
    model = ModelPredictions(lambda image: EntityMap.from_labels(columns(60, 40)))
    found = evaluate_entities(photos, model, progress=lambda *counts: seen.append(counts)).figures
    assert found["AP"] == pytest.approx(1)
    assert seen == [(1, 1)]


def test_the_official_evaluators_numbers(shared: Path) -> None:
    import json

    folder = shared / "reference/evaluator"
    official = json.loads((folder / "official_results.json").read_text())["all_12_stats_segm"]
    found = evaluate_entities(open_photos(folder / "gt.json"), open_predictions(folder / "pred.json")).figures
    for name, value in official.items():
        short = name.replace("@100", "") if name.startswith(("ARs", "ARm", "ARl")) else name.replace("@", "")
        assert found[short] == pytest.approx(value, abs=1e-9), name
