"""`python -m benchmarks.foreign_masks`: every format is read to the same entities."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.foreign_masks import cases, make_masks


def test_every_mask_has_pixels_and_is_the_same_each_time() -> None:
    masks = make_masks(20, 40, 60)
    assert masks.shape == (20, 40, 60)
    assert masks.any((1, 2)).all()
    np.testing.assert_array_equal(masks, make_masks(20, 40, 60))


def test_every_format_is_read(tmp_path: Path) -> None:
    masks = make_masks(4, 60, 90)
    covered = masks.any(0)
    names = []
    for name, read, least in cases(masks, tmp_path):
        names.append(name)
        found = read()
        entities = found[0].maps[0] if name == "MASK of ComfyUI" else found
        np.testing.assert_array_equal(entities.labels > 0, covered, name)
        assert least() is not None, name
    assert len(names) == 10
