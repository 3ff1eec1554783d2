"""Plots and the sheet of the worst photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from in_memory import MemoryPhotos, MemoryPredictions, masks_of, photo_of
from PIL import Image

from esg.evaluation.entities import evaluate_entities
from esg.evaluation.plots import draw_curves, draw_worst

pytest.importorskip("pycocotools", reason="average precision needs pycocotools")


def test_curves_and_a_row_for_each_of_the_worst_photos(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    labels = np.repeat([[1] * 60 + [2] * 40], 50, axis=0).astype(np.int32)
    Image.new("RGB", (100, 50), "red").save(tmp_path / "a.png")
    photos = MemoryPhotos([replace(photo_of(labels), file=tmp_path / "a.png"), photo_of(labels, name="b.jpg")])
    predictions = MemoryPredictions({"a.jpg": masks_of(labels)})
    measured = evaluate_entities(photos, predictions)
    paths = draw_curves(measured.accumulated, tmp_path)
    assert [path.name for path in paths] == ["precision_recall.png", "ap_by_iou.png"]
    for path in paths:
        with Image.open(path) as picture:
            assert picture.size > (500, 300)
    with Image.open(draw_worst(photos, predictions, measured.worst, tmp_path)) as sheet:
        assert sheet.size == (960, 2 * (240 + 26))
        # The worst photo, b, is missing and nothing was found in it; a is red below its colours.
        below, above = sheet.getpixel((600, 26 + 240 + 26 + 120)), sheet.getpixel((600, 26 + 120))
    assert above == pytest.approx((96, 96, 96), abs=4)
    assert below[0] > 150
