"""Matching as COCO's evaluator does it, with boundaries, and without keeping masks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from in_memory import masks_of, photo_of

from esg.data.annotated import Segment
from esg.entities import rle
from esg.evaluation.boundaries import boundary
from esg.evaluation.matching import accumulated, boundary_overlaps, matched, overlaps

pytest.importorskip("pycocotools", reason="average precision needs pycocotools")


def mask(rows: slice, columns: slice, size: tuple[int, int] = (100, 100)) -> rle.Rle:
    inside = np.zeros(size, bool)
    inside[rows, columns] = True
    return rle.encode_mask(inside)


def halves() -> np.ndarray:
    labels = np.ones((100, 100), np.int32)
    labels[:, 50:] = 2
    return labels


def test_results_survive_json() -> None:
    """An interrupted run reads them from a file."""
    truth, found = photo_of(halves()).segments, masks_of(halves(), [0.9, 0.3])
    result = matched(truth, found, overlaps(truth, found))
    again = accumulated([json.loads(json.dumps(result))])
    assert again.figures() == accumulated([result]).figures()
    assert again.figures()["AP"] == again.figures()["AR50@100"] == pytest.approx(1)


def test_recall_at_an_iou_of_one_half_counts_what_other_thresholds_miss() -> None:
    truth = photo_of(halves()).segments
    found = masks_of((np.arange(100) < 30) + np.zeros((100, 100), np.int32))  # 0.6 of the left half
    figures = accumulated([matched(truth, found, overlaps(truth, found))]).figures()
    assert figures["AR50@100"] == pytest.approx(0.5)
    assert figures["AR100"] == pytest.approx(0.15)  # three of ten thresholds


def test_categories_are_averaged_and_those_without_truth_left_out() -> None:
    truth, found = photo_of(halves()).segments, masks_of(halves())
    right = matched(truth, found, overlaps(truth, found))
    missed = matched(truth, [], overlaps(truth, []))
    extra = matched([], found, overlaps([], found))
    result = accumulated({0: [right], 2: [missed, extra], 3: [extra]}, 4)
    assert result.by_category() == pytest.approx([1, -1, 0, -1])
    assert result.figures()["AP"] == pytest.approx(0.5)
    assert result.by_iou() == pytest.approx([0.5] * 10)
    assert result.curve(0) == pytest.approx([0.5] * 101)


def test_a_mask_in_a_crowd_is_neither_right_nor_wrong() -> None:
    photo = photo_of(halves(), crowds=[2])
    found = masks_of(halves(), [0.5, 0.9])
    result = accumulated([matched(photo.segments, found[::-1], overlaps(photo.segments, found[::-1]))])
    assert result.figures()["AP"] == pytest.approx(1)


def test_the_boundary_of_a_square_is_a_frame() -> None:
    """2 % of the diagonal of 100 x 100 pixels are 3 pixels."""
    frame = rle.decode_mask(boundary(mask(slice(20, 60), slice(30, 70))))
    expected = np.zeros((100, 100), bool)
    expected[20:60, 30:70] = True
    expected[23:57, 33:67] = False
    assert np.array_equal(frame, expected)


def test_the_edge_of_the_photo_is_a_boundary() -> None:
    assert rle.area(boundary(mask(slice(None), slice(None)))) == 100 * 100 - 94 * 94


def test_an_empty_mask_has_an_empty_boundary() -> None:
    assert rle.area(boundary(mask(slice(0), slice(0)))) == 0


def test_boundary_iou_of_a_shifted_square() -> None:
    """A 40 x 40 square moved 4 pixels to the right: its frames, 3 pixels wide, share the horizontal bars."""
    truth, found = mask(slice(20, 60), slice(30, 70)), mask(slice(20, 60), slice(34, 74))
    segments, masks = [Segment(truth)], masks_of(rle.decode_mask(found).astype(np.int32))
    ious = overlaps(segments, masks)
    assert ious[0, 0] == pytest.approx(36 / 44)
    # Bars: 36 x 3, twice. Frame: 40² - 34² = 444 pixels. The vertical bars do not meet: they cross the bars only.
    assert boundary_overlaps(segments, masks, ious)[0, 0] == pytest.approx(216 / (2 * 444 - 216))


def test_the_smaller_of_both_ious_counts() -> None:
    """A frame and a filled square have the same boundary but not the same area."""
    ring = np.zeros((100, 100), bool)
    ring[20:60, 30:70] = True
    filled = ring.copy()
    ring[30:50, 40:60] = False
    segments, masks = [Segment(rle.encode_mask(filled))], masks_of(ring.astype(np.int32))
    ious = overlaps(segments, masks)
    assert ious[0, 0] == pytest.approx(0.75)
    assert boundary_overlaps(segments, masks, ious)[0, 0] == pytest.approx(444 / (444 + 26**2 - 20**2))
