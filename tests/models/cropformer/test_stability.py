"""Mask stability: known answers, and comparison with a direct computation over whole views."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from esg.models.cropformer.stability import stability
from esg.models.cropformer.views import ViewGeometry

SURE, DOUBTFUL = 5.0, 0.3  # logits of probabilities above 0.7, and between 0.3 and 0.7


def blocks(rows: list[list[float]], geometry: ViewGeometry) -> torch.Tensor:
    """Logits (Q, 1, h, w) of one view: a row of equally wide blocks for every query."""
    height, width = (side // 4 for side in geometry.padded_size)
    each = torch.tensor(rows)
    return each.repeat_interleave(width // each.shape[1], 1)[:, None, None].expand(-1, -1, height, -1)


def test_share_of_the_loose_mask_that_the_strict_one_keeps() -> None:
    geometry = ViewGeometry.plan(128, 128, crops=0, short=128)
    made = blocks([[SURE] * 4, [DOUBTFUL] * 4, [SURE, DOUBTFUL, -SURE, -SURE], [-SURE] * 4], geometry)
    found = stability(made, geometry)
    assert found.dtype == torch.float32
    # Between blocks logits are interpolated, which moves the outlines by less than a block of 4 pixels.
    assert found.tolist() == pytest.approx([1, 0, 0.5, 0], abs=0.04)


def test_padding_is_not_looked_at() -> None:
    geometry = ViewGeometry.plan(33, 64, crops=0, short=33, longest=64)  # padded to 64 × 64
    made = blocks([[SURE]], geometry).clone()
    made[..., 10:, :] = DOUBTFUL  # from pixel 40 on
    assert stability(made, geometry).tolist() == [1]


def test_views_that_disagree_are_not_sure() -> None:
    geometry = ViewGeometry.plan(64, 64, short=64)
    same = torch.tensor([SURE] * 5)[None, :, None, None].expand(1, -1, 16, 16)
    assert stability(same, geometry).tolist() == [1]
    other = torch.tensor([-SURE] + [SURE] * 4)[None, :, None, None].expand(1, -1, 16, 16)
    assert 0 < stability(other, geometry).item() < 1  # the corners have one crop, the middle has four


@given(
    size=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    crops=st.sampled_from([0, 4, 8]),
    seed=st.integers(0, 999),
)
def test_near_the_straight_way(size: tuple[int, int], crops: int, seed: int) -> None:
    geometry = ViewGeometry.plan(*size, crops=crops, short=40, longest=96)
    coarse = torch.randn(3, len(geometry), 3, 3, generator=torch.Generator().manual_seed(seed)) * 4
    height, width = (side // 4 for side in geometry.padded_size)
    logits = F.interpolate(coarse, size=(height, width), mode="bilinear")
    total, views = torch.zeros(3, *size), torch.zeros(*size)
    for view, ((x0, y0, x1, y1), (h, w)) in enumerate(zip(geometry.boxes, geometry.sizes, strict=True)):
        full = F.interpolate(logits[:, view][None], size=geometry.padded_size, mode="bilinear")[:, :, :h, :w]
        total[:, y0:y1, x0:x1] += F.interpolate(full, size=(y1 - y0, x1 - x0), mode="bilinear")[0].sigmoid()
        views[y0:y1, x0:x1] += 1
    fused = total / views
    loose, strict = ((fused > threshold).sum((1, 2)) for threshold in (0.3, 0.7))
    found = stability(logits, geometry)
    assert ((found >= 0) & (found <= 1)).all()
    many = loose >= 400  # of few pixels a single one at the outline changes much
    torch.testing.assert_close(found[many], (strict / loose.clamp(min=1))[many], atol=0.1, rtol=0)


def test_a_large_photo_needs_no_large_grid() -> None:
    geometry = ViewGeometry.plan(6000, 4000, crops=0, short=32, longest=48)
    made = blocks([[SURE, -SURE]], geometry)
    assert stability(made.half(), geometry).item() > 0.8
