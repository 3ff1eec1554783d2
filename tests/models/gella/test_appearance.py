from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from esg.entities.entity_map import EntityMap
from esg.models.gella import inference
from esg.models.gella.appearance import Appearance, mask_pooled, masks_of
from esg.models.gella.association import QueryMatching
from esg.models.gella.config import GellaConfig, VisionConfig
from esg.models.gella.inference import GellaInference
from esg.models.gella.model import Gella


def test_features_are_averaged_under_each_mask() -> None:
    features = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [8.0, 0.0]]]])  # (1, 2, 2, 2)
    left = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    corner = torch.tensor([[0.0, 0.0], [0.0, 0.5]])
    found = mask_pooled(features, torch.stack([left, corner])[None])
    assert torch.allclose(found, torch.tensor([[[2.0, 4.0], [6.0, 0.0]]]))


def test_a_finer_mask_counts_by_how_much_of_a_cell_it_covers() -> None:
    features = torch.tensor([[[[0.0, 8.0]]]])
    mask = torch.zeros(1, 1, 2, 4)
    mask[0, 0, :, 1:] = 1  # half of the left cell, all of the right one
    assert mask_pooled(features, mask).item() == pytest.approx(8 * 2 / 3)


@given(seed=st.integers(0, 1000), fine=st.sampled_from([1, 2, 4]))
@settings(max_examples=30, deadline=None)
def test_a_mean_lies_between_the_extremes(seed: int, fine: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 3, 4, 6, generator=draws)
    masks = torch.rand(2, 5, 4 * fine, 6 * fine, generator=draws)
    found = mask_pooled(features, masks)
    assert (found >= features.amin((2, 3))[:, None] - 1e-4).all()
    assert (found <= features.amax((2, 3))[:, None] + 1e-4).all()


def test_an_empty_mask_gives_numbers() -> None:
    assert mask_pooled(torch.randn(1, 3, 4, 4), torch.zeros(1, 2, 8, 8)).isfinite().all()


def test_nothing_is_added_before_training() -> None:
    made = Appearance((3, 5), 7)((torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)), torch.rand(2, 6, 8, 8))
    assert made.shape == (2, 6, 7)
    assert not made.any()


def seeing(config: GellaConfig) -> GellaConfig:
    vision = VisionConfig(width=32, ffn=32, layers=1, heads=2, side=96, patch=24, tower="efficientnet-lite0", pool=2)
    return dataclasses.replace(config, vision=vision)


def test_entity_embeddings_depend_on_the_features_under_their_masks(tiny_config: GellaConfig) -> None:
    torch.manual_seed(0)
    model = Gella(seeing(tiny_config)).eval()
    assert model.appearance is not None
    with torch.no_grad():
        model.appearance.project.weight.normal_()
        sight = model.language.see(torch.randn(1, 3, 96, 96))
        colormap = torch.rand(1, 3, 64, 64) * 2 - 1
        without = model.reconstruct(sight.grid, colormap)
        made = model.reconstruct(sight.grid, colormap, sight.maps)
        added = model.appearance(sight.maps, made.masks().sigmoid())
    assert torch.allclose(made.masks(), without.masks())
    assert torch.allclose(made.embeddings - without.embeddings, added, atol=1e-4)
    assert added.abs().max() > 0.1


def test_masks_of_a_label_map() -> None:
    found = masks_of(torch.tensor([[1, 0], [3, 3]]), 3)
    assert found.tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [1, 1]]]


def test_an_entity_that_no_query_gives_back_is_known_by_its_looks(
    speaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = GellaInference(Gella(seeing(speaker[0])), speaker[1])
    appearance = model.model.appearance
    assert appearance is not None
    torch.nn.init.normal_(appearance.project.weight, std=0.1)
    monkeypatch.setattr(
        inference,
        "tie",
        lambda iou: QueryMatching(torch.full(iou.shape[1:], -1), torch.zeros(iou.shape[1], dtype=torch.bool)),
    )
    labels = np.repeat([[1] * 300 + [2] * 300], 600, axis=0)
    labels[100, 100] = 3  # is lost where the model sees it
    photo = np.random.default_rng(0).integers(0, 255, (600, 600, 3), np.uint8)
    photo[:, :300] //= 8  # the left half is dark
    sight = model.see(photo)
    entities = EntityMap.from_labels(labels)
    scores = model.scores(sight, entities, "A dog.", [(0, 5)])[0]
    with torch.no_grad():
        areas = masks_of(torch.tensor(entities.labels), 3)
        looks = appearance(sight.maps, areas[None])[0, :2]
        text = model._conversation.extract("A dog.", [(0, 5)])
        (nouns,) = model.model.nouns(model.model.language.read(sight.tokens, [text.ids]), [text])
        expected = model.model.association(nouns, looks)[0].sigmoid()
    assert scores[:2] == pytest.approx(expected.numpy(), abs=2e-3)
    assert abs(expected[0] - expected[1]) > 5e-3
    assert scores[2] == 0


def test_a_clip_has_no_appearance(gella: Gella) -> None:
    assert gella.appearance is None
