from __future__ import annotations

import pytest
import torch

from esg.models.layers import linear
from esg.models.layers.pixel_decoder import PixelDecoder


def test_pixels_in_blocks_get_the_features_of_all_pixels_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    decoder = PixelDecoder((8, 8, 8, 8), width=32, heads=4, points=2, layers=2, ffn=64)
    for layer in decoder.layers:
        torch.nn.init.normal_(layer.attention.offsets.weight, std=0.2)  # every pixel looks elsewhere
    maps = [torch.randn(2, 8, 64 // side, 96 // side) for side in (1, 2, 4, 8)]
    whole, features = decoder(maps)  # with gradients, all at once
    monkeypatch.setattr(linear, "BLOCK", 2 * 32 * 100)  # 100 pixels of both pictures
    with torch.inference_mode():
        levels, in_blocks = decoder(maps)
    torch.testing.assert_close(in_blocks, features, atol=1e-4, rtol=1e-4)
    for level, expected in zip(levels, whole, strict=True):
        torch.testing.assert_close(level, expected, atol=1e-4, rtol=1e-4)
