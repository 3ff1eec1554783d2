"""The whole CropFormer: which views depend on each other, and that the order of computation does not change results."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from esg.models.cropformer.config import CropFormerConfig
from esg.models.cropformer.model import CropFormer, Output
from esg.weights.loading import load_segmenter

PICTURES, VIEWS = 2, 3
FRAMES = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(PICTURES, VIEWS, 4)


@pytest.fixture(scope="module")
def config(tiny_model: Path) -> CropFormerConfig:
    return load_segmenter(tiny_model)[0].config


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(PICTURES, VIEWS, 3, 64, 96, dtype=torch.float64, generator=generator)


def built(config: CropFormerConfig, **changes: Any) -> CropFormer:
    """In double precision, so that rounding does not move a mask over its threshold."""
    torch.manual_seed(0)
    return CropFormer(dataclasses.replace(config, **changes)).double().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model(config: CropFormerConfig) -> CropFormer:
    return built(config)


@pytest.fixture(scope="module")
def output(model: CropFormer, pixels: Tensor) -> Output:
    return model(pixels, FRAMES)


def tensors(output: Output) -> list[Tensor]:
    heads = [*output.image, *output.batch, *([output.anchors] if output.anchors else [])]
    return [*output.levels, output.features, *(part for head in heads for part in (head.logits, head.embeddings))]


def assert_same(one: Output, other: Output) -> None:
    assert (len(one.image), len(one.batch)) == (len(other.image), len(other.batch))
    for a, b in zip(tensors(one), tensors(other), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


def test_shapes(config: CropFormerConfig, output: Output) -> None:
    width, queries, heads = config.width, config.queries, config.decoder_layers + 1
    assert [tuple(level.shape) for level in output.levels] == [
        (PICTURES, VIEWS, width, 64 // stride, 96 // stride) for stride in (32, 16, 8)
    ]
    assert output.features.shape == (PICTURES, VIEWS, width, 16, 24)
    assert [tuple(head.logits.shape) for head in output.image] == [(PICTURES * VIEWS, queries, 2)] * heads
    assert [tuple(head.logits.shape) for head in output.batch] == [(PICTURES, queries, 2)] * heads
    assert [tuple(head.embeddings.shape) for head in output.batch] == [(PICTURES, queries, width)] * heads
    assert output.anchors is None


@pytest.mark.parametrize("views_at_once", [1, 2, 4, 99])
def test_views_at_once_does_not_change_the_result(
    model: CropFormer, pixels: Tensor, output: Output, views_at_once: int
) -> None:
    """Also where a group holds views of two pictures, and where the last group is smaller."""
    seen: list[tuple[int, int]] = []
    result = model(pixels, FRAMES, views_at_once=views_at_once, progress=lambda *step: seen.append(step))
    assert_same(result, output)
    assert seen == [(min(done, 6), 6) for done in range(views_at_once, 6 + views_at_once, views_at_once)]


def test_anchors_are_joined_in_the_order_of_the_views(config: CropFormerConfig, pixels: Tensor) -> None:
    model = built(config, anchors=4)
    together, alone = (model(pixels, FRAMES, views_at_once=number) for number in (6, 1))
    assert together.anchors is not None
    assert together.anchors.logits.shape == (PICTURES * VIEWS, 16, 2)
    assert_same(together, alone)


def test_pictures_do_not_see_each_other(model: CropFormer, pixels: Tensor, output: Output) -> None:
    for picture in range(PICTURES):
        part = slice(picture, picture + 1)
        alone = model(pixels[part], FRAMES[part])
        torch.testing.assert_close(alone.batch[-1].embeddings, output.batch[-1].embeddings[part])
        torch.testing.assert_close(alone.batch[-1].logits, output.batch[-1].logits[part])


def test_a_crop_is_seen_at_batch_level_and_by_no_other_view_at_image_level(
    model: CropFormer, pixels: Tensor, output: Output
) -> None:
    changed = pixels.clone()
    changed[0, 2] = -changed[0, 2]
    result = model(changed, FRAMES)
    image, batch = (
        (new.embeddings - old.embeddings).abs().amax((1, 2))
        for new, old in ((result.image[-1], output.image[-1]), (result.batch[-1], output.batch[-1]))
    )
    assert (image > 1e-6).tolist() == [False, False, True, False, False, False]
    assert (batch > 1e-6).tolist() == [True, False]


def test_the_batch_level_starts_from_the_association(model: CropFormer, output: Output, pixels: Tensor) -> None:
    assert model.association is not None
    level = [features[:, :, None].flatten(0, 1) for features in output.levels]
    begun, _ = model.decoder.begin(level, output.features[:, :, None].flatten(0, 1))
    content, _ = model.decoder(level, output.features[:, :, None].flatten(0, 1), begun)
    content, positions = (x.unflatten(0, (PICTURES, VIEWS)) for x in (content, begun.positions))
    first = model.decoder.head(model.association.associate(content, positions))
    torch.testing.assert_close(first.embeddings, output.batch[0].embeddings)


def test_the_batch_level_may_be_left_out(
    config: CropFormerConfig, model: CropFormer, pixels: Tensor, output: Output
) -> None:
    plain = built(config, association=False)
    assert plain.load_state_dict(model.state_dict(), strict=False).missing_keys == []
    for result in (model(pixels, FRAMES, batch_level=False), plain(pixels, FRAMES)):
        assert_same(result, dataclasses.replace(output, batch=[]))


def test_without_whereabouts_frames_are_not_read(model: CropFormer, pixels: Tensor, output: Output) -> None:
    assert_same(model(pixels, torch.full_like(FRAMES, float("nan"))), output)


def test_frames_go_with_their_views(config: CropFormerConfig, pixels: Tensor) -> None:
    model = built(config, whereabouts=True).float()
    assert model.whereabouts is not None
    for projection in model.whereabouts.projections:
        torch.nn.init.normal_(projection.weight)
    corners = torch.linspace(0, 0.5, PICTURES * VIEWS).view(PICTURES, VIEWS, 1)
    frames = torch.cat((corners, corners.flip(1), corners + 0.4, corners.flip(1) + 0.4), dim=2)
    together, alone, astray = (
        model(pixels.float(), where, batch_level=False, views_at_once=number).features
        for where, number in ((frames, 6), (frames, 1), (frames.flip(0), 6))
    )
    torch.testing.assert_close(alone, together, atol=1e-3, rtol=1e-3)
    assert (astray - together).abs().amax((2, 3, 4)).min() > 0.1  # every view notices
