from __future__ import annotations

import dataclasses

import pytest
import torch

from esg.models.gella.config import PRESETS, GellaConfig, LanguageConfig, VisionConfig
from esg.models.gella.language import Language
from esg.models.gella.tower import EfficientTower
from esg.support.errors import InputError

SMALL = VisionConfig(width=32, ffn=32, layers=1, heads=2, side=96, patch=24, tower="efficientnet-lite0", pool=2)


def test_grid_and_tokens_hold_the_same() -> None:
    tower = EfficientTower(SMALL)
    grid, tokens, maps = tower(torch.randn(2, 3, 96, 96))
    assert grid.shape == (2, 32, 4, 4)
    assert [tuple(features.shape) for features in maps] == [(2, 112, 6, 6), (2, 320, 3, 3)]
    assert tower.channels == (112, 320)
    assert tokens.shape == (2, 4, 32)
    assert SMALL.tokens == 4
    corner = grid[:, :, :2, :2].mean((2, 3))
    assert torch.allclose(tokens[:, 0], corner, atol=1e-5)


def test_colours_reach_the_grid_where_they_are() -> None:
    tower = EfficientTower(SMALL).eval()
    for projection in tower.projections:
        torch.nn.init.zeros_(projection.weight)
    pixels = torch.zeros(1, 3, 96, 96)
    pixels[..., 24:48, 48:72] = 1
    with torch.no_grad():
        x = tower.colours(torch.nn.functional.pixel_unshuffle(torch.nn.functional.avg_pool2d(pixels, 4), 6))
    changed = (x - x[..., :1, :1]).abs().amax(1)[0] > 1e-6
    assert changed.nonzero().tolist() == [[1, 2]]


def test_a_language_model_reads_the_tower() -> None:
    language = LanguageConfig(
        vocabulary=40, width=16, ffn=16, layers=1, heads=2, context=32, image_token=3, pad_token=0, seg_token=4
    )
    config = GellaConfig(vision=SMALL, language=language)
    model = Language(config)
    sight = model.see(torch.randn(1, 3, 96, 96))
    assert sight.grid.shape == (1, 32, 4, 4)
    assert sight.tokens.shape == (1, 4, 16)
    assert isinstance(model.tower, EfficientTower)
    assert model.words(sight.tokens, [torch.tensor([1, 3, 5])])[0].shape == (1, 6, 16)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"tower": "resnet"}, "Unknown vision tower 'resnet'"),
        ({"patch": 20}, "needs a side that is a multiple of 32"),
        ({"side": 100, "patch": 20}, "needs a side that is a multiple of 32"),
        ({"pool": 3}, "needs a side that is a multiple of 32"),
        ({"tower": "clip"}, "the pool must be 1"),
        ({"pool": 0}, "The pool of vision is 0"),
    ],
)
def test_sizes_that_do_not_fit_are_one_sentence(change: dict, what: str) -> None:
    with pytest.raises(InputError, match=what):
        dataclasses.replace(SMALL, **change)


def test_the_small_preset_comes_back_from_json() -> None:
    config = PRESETS["gella-nano"]
    assert GellaConfig.from_json(config.to_json()) == config
