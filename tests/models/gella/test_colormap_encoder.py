"""The backbones that read colormaps."""

from __future__ import annotations

import math

import pytest
import torch

from esg.models.gella.colormap_encoder import ENCODERS, MobileNetV2


@pytest.fixture(scope="module")
def tiny() -> MobileNetV2:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MobileNetV2(0.1).eval()


def test_mobilenet_without_its_classifier_has_two_million_parameters() -> None:
    with torch.device("meta"):
        encoder = MobileNetV2()
    # 3,504,872 as published (Table XI: 3.5 M), of which the classifier has 1,281,000.
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 2_223_872
    assert encoder.channels == (24, 32, 96, 320)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", [(64, 64), (40, 72)])
def test_features_are_at_strides_4_to_32(name: str, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        encoder = ENCODERS[name](0.5).eval()
        features = encoder(torch.zeros(2, 3, *size))
    height, width = size
    assert [tuple(feature.shape) for feature in features] == [
        (2, channels, math.ceil(height / stride), math.ceil(width / stride))
        for channels, stride in zip(encoder.channels, (4, 8, 16, 32))
    ]


def test_features_are_the_last_of_their_stride(tiny: MobileNetV2) -> None:
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        features = tiny(pixels)
        hidden = tiny.net(pixels, output_hidden_states=True).hidden_states
    last_of_side = {state.shape[2]: state for state in hidden}
    for feature, side in zip(features, (16, 8, 4, 2)):
        assert torch.equal(feature, last_of_side[side])


def test_running_statistics_outlive_a_batch() -> None:
    encoder = MobileNetV2(0.1).train()
    norm = next(module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d))
    with torch.no_grad():
        encoder(torch.rand(2, 3, 32, 32))
        before = norm.running_mean.clone()
        encoder(torch.zeros(2, 3, 32, 32))  # the first convolution has no bias: its mean is 0
    torch.testing.assert_close(norm.running_mean, before * 0.9)
    assert before.abs().min() > 0


def test_nothing_that_can_be_trained_is_idle(tiny: MobileNetV2) -> None:
    trained = [parameter for parameter in tiny.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(
        sum(feature.square().sum() for feature in tiny(torch.rand(1, 3, 64, 64))), trained, allow_unused=True
    )
    assert all(gradient is not None for gradient in gradients)
