from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from esg.models.cropformer.model import CropFormer
from esg.models.cropformer.position_code import PositionCode, position_code
from esg.models.cropformer.views import ViewGeometry
from esg.weights.loading import load_segmenter


def test_a_place_has_the_same_code_in_every_view() -> None:
    full = position_code(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), 8, 8)
    crop = position_code(torch.tensor([[0.5, 0.25, 1.0, 0.75]]), 8, 8)
    steps = (torch.arange(8) + 0.5) / 8
    # The first wave along y is channel 0, that along x channel 12: six octaves of sines and of cosines lie between.
    torch.testing.assert_close(full[0, 0, :, 12], torch.sin(torch.pi * steps))
    torch.testing.assert_close(crop[0, 0, :, 12], torch.sin(torch.pi * (0.5 + steps / 2)))
    torch.testing.assert_close(crop[0, :, 0, 0], torch.sin(torch.pi * (0.25 + steps / 2)))


def test_frames_reach_over_the_padding() -> None:
    geometry = ViewGeometry((100, 200), ((0, 0, 200, 100), (60, 30, 200, 100)), ((50, 100), (50, 100)), (64, 128))
    expected = torch.tensor([[0.0, 0.0, 1.28, 1.28], [0.3, 0.3, 0.3 + 0.7 * 1.28, 0.3 + 0.7 * 1.28]])
    torch.testing.assert_close(geometry.frames, expected)


def test_it_starts_as_no_change() -> None:
    features = [torch.randn(2, 8, 4, 6), torch.randn(2, 16, 2, 3)]
    changed = PositionCode((8, 16))(features, torch.rand(2, 4))
    assert all(torch.equal(a, b) for a, b in zip(features, changed, strict=True))


def test_a_model_with_whereabouts_tells_left_from_right(tiny_model: Path) -> None:
    config = dataclasses.replace(load_segmenter(tiny_model)[0].config, whereabouts=True)
    torch.manual_seed(0)
    model = CropFormer(config).eval()
    assert model.whereabouts is not None
    for projection in model.whereabouts.projections:
        torch.nn.init.normal_(projection.weight)
    pixels = torch.randn(1, 1, 3, 64, 64)
    left, right = (model(pixels, torch.tensor([[[x, 0.0, x + 0.5, 1.0]]])).image[-1].embeddings for x in (0.0, 0.5))
    assert (left - right).abs().max() > 1e-3
