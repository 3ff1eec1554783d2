"""The tool that exchanges the backbone of a trained model."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from efficientnet_weights import published
from scripts import load_script

from esg.models.cropformer.config import CropFormerConfig
from esg.models.cropformer.model import CropFormer
from esg.models.cropformer.views import PIXEL_MEAN, PIXEL_STD
from esg.models.layers.efficientnet import EfficientNetConfig, load_efficientnet

SMALL = EfficientNetConfig(stem=8, outputs=(4, 6, 8, 10, 12, 14, 16), repeats=(1, 2, 1, 1, 2, 1, 1))
OTHER = EfficientNetConfig(stem=8, outputs=(4, 8, 10, 10, 14, 14, 18), repeats=(1, 1, 1, 2, 1, 1, 1))


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_script("tools/change_backbone.py")


@pytest.fixture
def trained() -> CropFormer:
    torch.manual_seed(0)
    sizes = {"heads": 4, "decoder_layers": 1, "decoder_ffn": 32, "encoder_layers": 1, "encoder_ffn": 32, "points": 2}
    model = CropFormer(CropFormerConfig(SMALL, whereabouts=True, queries=5, width=32, **sizes)).eval()
    load_efficientnet(model.backbone, published(SMALL), PIXEL_MEAN, PIXEL_STD)
    assert model.whereabouts is not None
    for layer in model.whereabouts.projections:
        torch.nn.init.normal_(layer.weight, std=0.1)
    return model


def photos(count: int) -> list[torch.Tensor]:
    return list(torch.randn(count, 1, 3, 96, 64, generator=torch.Generator().manual_seed(1)))


@torch.no_grad()
def test_the_same_backbone_changes_nothing(
    tool: ModuleType, trained: CropFormer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "RIDGE", 1e-9)
    same = tool.change_backbone(trained, SMALL, published(SMALL), photos(12))
    photo, frame = photos(13)[-1][None], torch.tensor([[[0.0, 0, 1, 1]]])
    before, after = (model(photo, frame).image[-1].embeddings for model in (trained, same))
    assert torch.allclose(after, before, atol=1e-2)
    assert (after - before).abs().max() < 0.1 * before.std()


@torch.no_grad()
def test_another_backbone_fits_and_the_rest_is_kept(tool: ModuleType, trained: CropFormer) -> None:
    new = tool.change_backbone(trained, OTHER, published(OTHER), photos(4))
    assert new.config.backbone == OTHER
    for name, value in trained.state_dict().items():
        if not name.startswith(("backbone.", "whereabouts.")) and value.shape == new.state_dict()[name].shape:
            fitted = name.startswith(("pixel_decoder.input_projs", "pixel_decoder.lateral.conv"))
            assert fitted or torch.equal(new.state_dict()[name], value)
    assert new(photos(1)[0][None], torch.tensor([[[0.0, 0, 1, 1]]])).image[-1].embeddings.isfinite().all()
