from __future__ import annotations

import numpy as np
import pytest
import torch

from esg.models.cropformer.device_fusion import fuse_there
from esg.models.cropformer.fusion import fuse
from esg.models.cropformer.views import ViewGeometry


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("indices", [range(5), range(1, 5), range(1)], ids=["all", "crops", "full"])
def test_it_gives_the_result_of_fuse(indices: range, stable: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    geometry = ViewGeometry.plan(150, 210, short=64, longest=96).select(indices)
    coarse = torch.randn(9, len(geometry), 3, 4, generator=generator) * 4
    low = tuple(side // 4 for side in geometry.padded_size)
    logits = torch.nn.functional.interpolate(coarse, low, mode="bilinear")
    scores = torch.rand(9, generator=generator)
    scores[4] = scores[2]  # a tie, which the lower index wins
    steps: list[tuple[int, int]] = []
    there = fuse_there(
        logits, scores, geometry, stable=stable, progress=lambda done, total, _: steps.append((done, total))
    )
    here = fuse(logits, scores, geometry, stable=stable)
    assert (there.labels != here.labels).mean() < 1e-4
    assert len(np.unique(here.labels)) > 4
    assert there.labels.dtype == here.labels.dtype
    assert np.array_equal(there.queries, here.queries)
    assert np.abs(there.areas - here.areas).max() <= 5
    for name in ("class_scores", "scores"):
        assert np.allclose(getattr(there, name), getattr(here, name), atol=1e-5), name
    assert steps[-1] == (len(steps), len(steps))


def test_a_photo_in_which_no_query_claims_a_pixel() -> None:
    geometry = ViewGeometry.plan(40, 50, crops=0, short=32, longest=64)
    low = tuple(side // 4 for side in geometry.padded_size)
    fused = fuse_there(torch.full((3, 1, *low), -9.0), torch.tensor([0.2, 0.9, 0.5]), geometry)
    assert not fused.labels.any()
    assert fused.areas.tolist() == [0, 0, 0]
    assert fused.scores.tolist() == [0, 0, 0]
    assert fused.queries.tolist() == [1, 2, 0]
