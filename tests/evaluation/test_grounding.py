from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.evaluation.grounding import Judged, Overlap, average_recall, referring_iou


def test_an_overlap_counts_pixels() -> None:
    said, true = np.array([[1, 1, 0, 0]], bool), np.array([[0, 1, 1, 1]], bool)
    assert Overlap.of(said, true) == Overlap(1, 4)
    assert Overlap.of(said, true).iou == 0.25
    assert Overlap.of(said & False, true & False).iou == 1
    ignored = np.array([[1, 0, 0, 1]], bool)
    assert Overlap.of(said, true, ignored) == Overlap(1, 2)
    assert Overlap.of(said, true, np.ones_like(said)).iou == 1


def test_groups_of_nouns() -> None:
    figures = average_recall(
        [
            Judged(1.0, True, "thing", False),
            Judged(0.6, True, "thing", True),
            Judged(0.2, True, "stuff", False),
            Judged(0.0, False, None, True),
        ]
    )
    expected = {
        "AR": 0.45,
        "AR_things": 0.8,
        "AR_stuff": 0.2,
        "AR_singular": 0.6,
        "AR_plural": 0.3,
        "acc50": 0.5,
        "noun_recall": 0.75,
    }
    assert figures == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_average_recall_is_the_area_under_the_curve_of_recall(ious: list[float]) -> None:
    thresholds = np.arange(0, 1, 1e-4)
    recall = (np.array(ious)[:, None] > thresholds).mean(0)
    figure = average_recall([Judged(iou, True, None, False) for iou in ious])["AR"]
    assert figure == pytest.approx(recall.mean(), abs=2e-4)


def test_figures_without_data_are_nan() -> None:
    figures = average_recall([Judged(1.0, True, "thing", False)])
    assert math.isnan(figures["AR_stuff"])
    assert math.isnan(figures["AR_plural"])
    assert math.isnan(referring_iou([])["cIoU"])


def test_large_masks_count_more_in_ciou_than_in_giou() -> None:
    figures = referring_iou([Overlap(90, 100), Overlap(0, 10), Overlap(0, 0)])
    assert figures == pytest.approx({"cIoU": 90 / 110, "gIoU": (0.9 + 0 + 1) / 3, "P50": 2 / 3})
