"""Merging of predictions at several sizes, with masks that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from esg.models.cropformer.fusion import fuse
from esg.models.cropformer.predicted import Predicted
from esg.models.cropformer.scales import merge_scales
from esg.models.cropformer.views import ViewGeometry
from esg.segmenter import EntitySegmenter
from esg.support.errors import InputError


def predicted(masks: np.ndarray, scores: list[float], short: int, *, sure: float = 8.0) -> Predicted:
    """A prediction with these masks (Q, H, W) bool of a photo; each has a feature channel of its own."""
    height, width = masks.shape[1:]
    geometry = ViewGeometry.plan(height, width, crops=0, short=short, longest=4 * short)
    (h, w), (ph, pw) = geometry.sizes[0], geometry.padded_size
    content = torch.nn.functional.interpolate(torch.from_numpy(masks)[None].float(), (h // 4, w // 4), mode="nearest")
    features = torch.nn.functional.pad(
        content * 2 * sure - sure, (0, pw // 4 - w // 4, 0, ph // 4 - h // 4), value=-sure
    )
    probabilities = torch.tensor([[score, 1 - score] for score in scores])
    return Predicted(torch.eye(len(masks)), features, probabilities, geometry)


def halves(*order: int) -> np.ndarray:
    """Masks of a photo of 64 x 96: its left half (0), its right half (1), or a square in it (2)."""
    masks = np.zeros((3, 64, 96), bool)
    masks[0, :, :48], masks[1, :, 48:], masks[2, 8:24, 8:24] = True, True, True
    return masks[list(order)]


def labels(merged: Predicted) -> np.ndarray:
    fused = fuse(merged.masks(), merged.class_scores[:, 0], merged.geometry)
    return fused.labels


def test_matched_masks_are_fused_whatever_their_order() -> None:
    merged = merge_scales([predicted(halves(0, 1), [0.9, 0.6], 64), predicted(halves(1, 0), [0.8, 0.7], 128)])
    assert merged.probabilities[:, 0].tolist() == pytest.approx([0.8, 0.7])
    assert len(merged.geometry) == 2
    found = labels(merged)
    assert (found[:, :46] == 1).all()
    assert (found[:, 50:] == 2).all()


def test_a_mask_without_a_match_is_kept_as_it_is() -> None:
    merged = merge_scales([predicted(halves(0, 1), [0.5, 0.6], 64), predicted(halves(2, 1), [0.9, 0.8], 128)])
    assert merged.probabilities[:, 0].tolist() == pytest.approx([0.5, 0.7, 0.9])
    found = labels(merged)
    assert (found[10:22, 10:22] == 1).all()  # the square has the best score
    assert (found[:, 50:] == 2).all()
    assert (found[30:, :46] == 3).all()


def test_where_sizes_disagree_the_surer_one_decides() -> None:
    wide = halves(0)
    wide[:, :, :60] = True
    merged = merge_scales([predicted(halves(0), [0.9], 64, sure=8), predicted(wide, [0.9], 128, sure=0.5)])
    assert (labels(merged)[:, 50:] == 0).all()
    merged = merge_scales([predicted(halves(0), [0.9], 64, sure=0.5), predicted(wide, [0.9], 128, sure=8)])
    assert (labels(merged)[:, 50:58] == 1).all()


def test_three_sizes() -> None:
    sizes = [predicted(halves(0), [0.9], 64), predicted(halves(2), [0.8], 96), predicted(halves(1), [0.7], 128)]
    merged = merge_scales(sizes)
    assert merged.probabilities[:, 0].tolist() == pytest.approx([0.9, 0.8, 0.7])
    found = labels(merged)
    assert set(np.unique(found[:, 50:])) == {3}


def test_what_cannot_be_merged(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="no predictions"):
        merge_scales([])
    other = predicted(np.zeros((1, 32, 32), bool), [0.5], 64)
    with pytest.raises(InputError, match="full view of the same photo"):
        merge_scales([predicted(halves(0), [0.5], 64), other])
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    photo = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    one = segmenter(segmenter.predict_sizes(photo, [64]), min_score=0)
    assert one == segmenter(photo, crops=0, fusion="io", size=64, min_score=0)
    assert segmenter(segmenter.predict_sizes(photo, [64, 96]), min_score=0).labels.shape == (60, 80)
