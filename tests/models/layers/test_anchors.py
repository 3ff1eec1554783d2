from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from esg.models.layers.anchors import Anchors, anchor_points, choose_anchors


def masks_of(*rows: str) -> torch.Tensor:
    return torch.tensor([[digit == "1" for digit in row] for row in rows])[None]


def test_anchors_are_the_centres_of_cells_row_by_row() -> None:
    assert anchor_points(2, torch.device("cpu")).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_one_anchor_is_chosen_for_every_mask_the_most_frequent_first() -> None:
    masks = masks_of("0011", "1100", "1100", "1100", "0011", "0000")
    assert choose_anchors(masks, 2).tolist() == [[1, 0]]


def test_the_typical_one_of_similar_masks_is_chosen() -> None:
    masks = masks_of("111000", "111100", "111110", "000001")
    assert choose_anchors(masks, 2).tolist() == [[1, 3]]


def test_an_empty_mask_is_taken_last_and_nothing_twice() -> None:
    masks = masks_of("0000", "1100", "1100", "0011")
    assert sorted(choose_anchors(masks, 4)[0].tolist()) == [0, 1, 2, 3]
    assert choose_anchors(masks, 2).tolist() == [[1, 3]]


@given(seed=st.integers(0, 1000), anchors=st.integers(1, 12), places=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_the_choice_is_one_without_repetition_and_by_picture(seed: int, anchors: int, places: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(3, anchors, places, generator=generator) < 0.4
    chosen = choose_anchors(masks, anchors)
    assert chosen.sort().values.tolist() == [list(range(anchors))] * 3
    for picture in range(3):
        assert torch.equal(choose_anchors(masks[picture : picture + 1], anchors), chosen[picture : picture + 1])


@pytest.mark.parametrize("size", [(3, 5), (16, 16), (40, 8)])
def test_features_beyond_the_outermost_cell_centres_are_repeated(size: tuple[int, int]) -> None:
    """As grid_sample's padding "border" would have it; the memory may be in any order."""
    anchors = Anchors(4, 16)
    features = torch.randn(2, 4, *size, generator=torch.Generator().manual_seed(0))
    grid = anchor_points(16, features.device)[None, None].expand(2, -1, -1, -1) * 2 - 1
    under = F.grid_sample(features, grid, align_corners=False, padding_mode="border")
    expected = anchors.project(under[:, :, 0].transpose(1, 2))
    for view in (features, features.to(memory_format=torch.channels_last)):
        torch.testing.assert_close(anchors(view), expected, rtol=0, atol=1e-5)
