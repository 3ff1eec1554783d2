"""The network as a GPU runs it: nothing in a pass waits for a number, so nothing keeps the CPU from running ahead."""

from __future__ import annotations

import pytest
import torch

from esg.models.cropformer.config import BackboneConfig, CropFormerConfig
from esg.models.cropformer.model import CropFormer
from esg.models.layers.efficientnet import EfficientNetConfig
from esg.models.layers.hornet import HorNetConfig
from esg.models.layers.resnet import ResNetConfig
from esg.models.layers.swin import SwinConfig

BACKBONES: dict[str, BackboneConfig] = {
    "swin": SwinConfig(width=8, depths=(1, 2, 1, 1), heads=(1, 1, 1, 1)),
    "hornet": HorNetConfig(width=16, depths=(1, 1, 1, 1), filters=(None, None, (4, 3), (2, 2))),
    "resnet": ResNetConfig(),
    "efficientnet": EfficientNetConfig(),
}
SIZES = {"queries": 6, "width": 32, "heads": 2, "decoder_layers": 2, "decoder_ffn": 8, "encoder_layers": 1}


def config(backbone: str) -> CropFormerConfig:
    own = {"anchors": 3, "whereabouts": True} if backbone == "efficientnet" else {}
    return CropFormerConfig(BACKBONES[backbone], **SIZES, **own)  # type: ignore[arg-type]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_both_levels_run_on_tensors_without_values(backbone: str) -> None:
    """A tensor on the device "meta" has a shape and no values: `.item()` and sizes that depend on values are errors."""
    with torch.device("meta"), torch.inference_mode():
        model = CropFormer(config(backbone)).eval()
        output = model(torch.zeros(1, 3, 3, 64, 96), torch.zeros(1, 3, 4), views_at_once=2)
    assert output.batch[-1].logits.shape == (1, 6, 2)


def test_such_tensors_would_show_a_wait() -> None:
    with pytest.raises(RuntimeError, match="meta"):
        torch.zeros((), device="meta").item()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_weights_with_adjacent_channels_give_the_same(backbone: str) -> None:
    torch.manual_seed(0)
    model = CropFormer(config(backbone)).eval()
    pixels, frames = torch.randn(1, 1, 3, 64, 96), torch.rand(1, 1, 4)
    with torch.inference_mode():
        expected = model(pixels, frames).image[-1].logits
        found = model.to(memory_format=torch.channels_last)(pixels, frames).image[-1].logits
    assert torch.allclose(found, expected, atol=1e-4)
