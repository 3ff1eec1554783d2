"""The ablation with region features: the regions it finds in a colormap, and its embeddings of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.grounding_ablations import VARIANTS, RegionGella, coloured
from esg.models.gella.association import at_stride, overlaps, tie
from esg.models.gella.colormap import colormap
from esg.models.gella.config import PRESETS
from esg.models.normalisation import centred
from esg.training.gella import GellaTrainConfig

NANO = PRESETS["gella-nano"]


@pytest.fixture
def labels() -> np.ndarray:
    found = np.zeros((192, 192), np.int32)
    found[:96, :96], found[:96, 96:], found[120:, 40:150] = 1, 2, 3
    return found


def _colours(labels: np.ndarray) -> torch.Tensor:
    return centred(torch.from_numpy(colormap(labels)).permute(2, 0, 1)[None])


def test_regions_of_one_colour(labels: np.ndarray) -> None:
    regions = coloured(_colours(labels), 5)[0]
    found = {tuple(region.flatten().tolist()) for region in regions}
    wanted = [torch.from_numpy(labels == entity).float().flatten() for entity in (1, 2, 3)]
    assert found == {tuple(one.tolist()) for one in (*wanted, torch.zeros(192 * 192))}


def test_more_regions_than_places_are_left_out(labels: np.ndarray) -> None:
    assert coloured(_colours(labels), 2).flatten(2).any(-1).tolist() == [[True, True]]


def test_a_region_reconstructs_its_mask_and_depends_only_on_its_own_features(labels: np.ndarray) -> None:
    model = RegionGella(NANO).eval()
    grid = torch.randn(1, NANO.vision.width, 16, 16)
    with torch.no_grad():
        before = model.reconstruct(grid, _colours(labels))
        grid[:, :, 10:] += 1  # only the third entity is there
        after = model.reconstruct(grid, _colours(labels))
    shown = before.masks()[0] > 0
    given = at_stride(torch.from_numpy(labels), shown.shape[-1])
    ties = tie(overlaps(shown.flatten(1), given.flatten(), 3))
    assert ties.matched.all()
    same = torch.isclose(before.embeddings, after.embeddings).all(-1)[0, ties.queries]
    assert same.tolist() == [True, True, False]


def test_every_variant_is_another_model(speaker: Any) -> None:
    found = set()
    for variant in VARIANTS.values():
        with torch.device("meta"):
            model = variant.task(GellaTrainConfig(model=variant.model), speaker[1]).model(new=True).gella
        found.add((model.config.to_json(), type(model)))
    assert len(found) == len(VARIANTS)
