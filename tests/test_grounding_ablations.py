"""The ablations: regions in a colormap, embeddings of them, and what makes the variants different."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.entity_features import (
    POOLINGS,
    BinaryMasks,
    BoxFeatures,
    EntityFeatures,
    MaskedAttention,
    MeanFeatures,
    boxes,
    coloured,
    roi_align,
)
from benchmarks.grounding_ablations import FIGURES, TABLES, VARIANTS, VariantTask, configured, markdown
from esg.models.gella.association import at_stride, overlaps, tie
from esg.models.gella.checkpoint import read_gella
from esg.models.gella.colormap import colormap
from esg.models.gella.config import PRESETS
from esg.models.meta_init import Unfilled
from esg.models.normalisation import centred
from esg.training.gella import GellaTrainConfig
from esg.training.run_tokenizer import run_tokenizer

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


def test_boxes_are_tight() -> None:
    regions = torch.zeros(1, 3, 8, 8)
    regions[0, 0, 2:4, 1:7] = 1
    regions[0, 1] = 1
    assert boxes(regions)[0].tolist() == [[1 / 8, 2 / 8, 7 / 8, 4 / 8], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_features_of_a_box_are_those_at_its_place() -> None:
    x = ((torch.arange(16) + 0.5) / 16).expand(16, 16)
    grid = torch.stack((x, x.T))[None]  # each cell knows its place
    box = torch.tensor([[[0.25, 0.5, 0.75, 1.0]]])
    found = roi_align(grid, box)[0, 0]
    middles = (torch.arange(4) + 0.5) / 4
    torch.testing.assert_close(found[0], (0.25 + 0.5 * middles).expand(4, 4), atol=0.02, rtol=0)
    torch.testing.assert_close(found[1, :3], (0.5 + 0.5 * middles)[:3, None].expand(3, 4), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("build", "local"),
    [
        (MeanFeatures, True),
        (BoxFeatures, True),
        (lambda config: MaskedAttention(config, multiplied=False), False),
        (lambda config: MaskedAttention(config, multiplied=True), False),
        (BinaryMasks, False),
        (lambda config: BinaryMasks(config, pooling="conv"), False),
        (lambda config: BinaryMasks(config, pooling="cls", blocks=2), False),
    ],
    ids=["mean", "roi-align", "added", "multiplied", "binary", "convolution", "class token"],
)
def test_a_region_reconstructs_its_mask_and_knows_its_features(build: Any, local: bool, labels: np.ndarray) -> None:
    model: EntityFeatures = build(NANO).eval()
    grid = torch.randn(1, NANO.vision.width, 16, 16)
    with torch.no_grad():
        before = model.reconstruct(grid, _colours(labels))
        grid[:, :, 10:] += torch.randn(NANO.vision.width, 6, 16)  # only the third entity is there
        after = model.reconstruct(grid, _colours(labels))
    shown = before.masks()[0] > 0
    given = at_stride(torch.from_numpy(labels), shown.shape[-1])
    ties = tie(overlaps(shown.flatten(1), given.flatten(), 3))
    assert ties.matched.all()
    same = torch.isclose(before.embeddings, after.embeddings, atol=1e-5).all(-1)[0, ties.queries]
    # Attention looks at the whole image, and entities at one another.
    assert same.tolist() == ([True, True, False] if local else [False] * 3)


def test_masks_in_the_attention_matter(labels: np.ndarray) -> None:
    torch.manual_seed(0)
    added = MaskedAttention(NANO, multiplied=False).eval()
    multiplied = MaskedAttention(NANO, multiplied=True).eval()
    multiplied.load_state_dict(added.state_dict())
    x, image = torch.randn(1, 2, NANO.decoder.width), torch.randn(1, 4, NANO.decoder.width)
    shares = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 0, 1.0]]])
    with torch.no_grad():
        nothing, one, other = (
            layer(x, image, given)
            for layer, given in ((added.layers[0], None), (added.layers[0], shares), (multiplied.layers[0], shares))
        )
    assert not torch.allclose(one, nothing, atol=1e-3)
    assert not torch.allclose(one, other, atol=1e-3)


def test_every_variant_is_another_model_without_appearance(speaker: Any) -> None:
    found = set()
    for name, variant in VARIANTS.items():
        with Unfilled():
            model = VariantTask(variant, GellaTrainConfig(model=variant.model), speaker[1]).model(new=True).gella
        assert model.appearance is None
        values = getattr(model, "values", None)
        found.add((model.config.to_json(), type(model), name.startswith("mask-mul"), values, repr(model)))
    assert len(found) == len(VARIANTS)


@pytest.mark.parametrize("values", [(0, 1), (-1, 1), (0, 255)])
def test_values_of_binary_masks_are_what_the_encoder_gets(values: tuple[int, int], labels: np.ndarray) -> None:
    model = BinaryMasks(NANO, values=values).eval()
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        model.reconstruct(torch.randn(1, NANO.vision.width, 16, 16), _colours(labels))
    assert seen[0].shape == (3, 3, 96, 96)  # an encoder pass for each entity
    assert (float(seen[0].min()), float(seen[0].max())) == values


def test_pooling_styles() -> None:
    features = torch.zeros(1, 4, 3, 3)
    features[0, 2, 1, 1] = 9.0
    assert POOLINGS["avg"](4)(features).tolist() == [[0, 0, 1, 0]]
    convolution = POOLINGS["conv"](4)
    with torch.no_grad():
        convolution.conv.weight.zero_()[1, 2, 1, 1] = 2.0  # the second output reads the third channel's middle
        convolution.conv.bias.zero_()
    assert convolution(features).tolist() == [[0, 18, 0, 0]]
    token = POOLINGS["cls"](4)
    moved = features.roll(1, dims=3)
    with torch.no_grad():
        same, other = token(features), token(torch.zeros(1, 4, 3, 3))
        assert torch.allclose(same, token(moved), atol=1e-6)  # without position codes
        assert not torch.allclose(same, other, atol=1e-3)


def test_vision_and_language_of_given_weights_do_not_learn(tmp_path: Path) -> None:
    arguments = argparse.Namespace(
        batch=1, photos=(), steps=1, device="cpu", workers=0, backbone_init=None, init="gella-nano"
    )
    config = configured(VARIANTS["roi-align"], arguments)
    assert (config.samples.tasks, config.backbone_init) == ((0.0, 0.0, 1.0), None)
    model = VariantTask(VARIANTS["roi-align"], config, run_tokenizer(config, tmp_path)).model(new=True).gella
    given, _ = read_gella(config.init)
    assert all(
        torch.equal(own, theirs) and not own.requires_grad
        for own, theirs in zip(model.language.parameters(), given.language.parameters(), strict=True)
    )
    assert all(parameter.requires_grad for parameter in model.association.parameters())


def test_every_row_is_a_variant_and_the_last_rows_are_the_papers() -> None:
    assert {name for table in TABLES.values() for _, name, _ in table.rows} == set(VARIANTS)
    figures = dict.fromkeys(FIGURES, 50.0) | {"parameters": 2e6}
    text = markdown("XVII", dict.fromkeys(VARIANTS, figures), "5 steps.")
    assert "| without CA | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 2.0 M | 43.1 |" in text.splitlines()
    assert text.startswith("Table XVII: parts of ResoBlend. 5 steps.\n\n| | AR | things |")
