"""Nested masks: which lies above, and which are whole objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esg.entities.importing import read_masks
from esg.entities.rle import encode_mask
from esg.support.errors import InputError
from foreign_files import put


def nested(tmp_path: Path) -> Path:
    """SAM's masks of a cup on a table: the scene, the table, the cup, its body and its handle."""
    h, w = 24, 32
    masks = np.zeros((5, h, w), bool)
    masks[0] = True
    masks[1, 14:] = True
    masks[2, 8:20, 10:23] = True
    masks[3, 8:20, 10:20] = True
    masks[4, 11:17, 20:23] = True
    scores = (1.01, 1.0, 0.99, 0.97, 0.93)
    records = [
        {"segmentation": encode_mask(mask), "predicted_iou": score, "point_coords": [[1.0, 1.0]]}
        for mask, score in zip(masks, scores, strict=True)
    ]
    return put(tmp_path, records, "sam.json")


def test_parts_lie_above_wholes_in_sams_masks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = nested(tmp_path)
    found = read_masks(path)
    assert len(found) == 5
    assert len({found.at(15, 10), found.at(21, 12), found.at(22, 9), found.at(1, 20), found.at(1, 1)}) == 5
    assert not caplog.messages
    assert len(read_masks(path, order="score")) == 1
    assert "4 of 5 masks are hidden entirely and left out" in caplog.text
    assert 'order="smaller"' in caplog.text


def test_whole_objects_of_nested_masks(tmp_path: Path) -> None:
    found = read_masks(nested(tmp_path), order="whole")
    assert len(found) == 3  # the scene, the table, and the cup with its handle
    assert found.at(15, 10) == found.at(21, 12) != found.at(1, 20)
    with pytest.raises(InputError, match=r"The order of masks must be one of score, smaller, .*, not 'best'"):
        read_masks(nested(tmp_path), order="best")
