from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from efficientnet_weights import published

from esg.models.cropformer.views import PIXEL_MEAN, PIXEL_STD
from esg.models.layers.efficientnet import EfficientNetConfig, SameConv, load_efficientnet
from esg.support.errors import WeightsError

SMALL = EfficientNetConfig(stem=8, outputs=(4, 6, 8, 10, 12, 14, 16), repeats=(1, 2, 1, 1, 2, 1, 1))


def test_strides_and_channels() -> None:
    features = EfficientNetConfig().build()(torch.zeros(1, 3, 64, 96))
    assert [tuple(one.shape[1:]) for one in features] == [(24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]


@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_is_tensorflows(kernel: int) -> None:
    conv = SameConv(1, 1, kernel, 2)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 0, 0] = 1
    # The first output pixel sees (kernel - 2) // 2 pixels before the first one: the corner is in its window alone for
    # a kernel of 3, which begins at pixel 0; its right neighbour begins at pixel 2.
    seen = conv(x)[0, 0]
    assert seen.shape == (4, 4)
    assert seen[0, 0] == 1
    assert seen.sum() == 1


def test_folded_batch_norm_computes_the_same() -> None:
    weights = published(SMALL)
    net = SMALL.build()
    load_efficientnet(net, weights, (127.0,) * 3, (128.0,) * 3)
    x = torch.randn(1, 3, 64, 64)
    plain = F.conv2d(F.pad(x, (0, 1, 0, 1)), weights["_conv_stem.weight"], stride=2)
    names = ("running_mean", "running_var", "weight", "bias")
    normed = F.batch_norm(plain, *(weights[f"_bn0.{name}"] for name in names), eps=1e-3)
    assert torch.allclose(net.stem(x), normed, atol=1e-5)
    block = net.stages[0][0]  # without expansion
    deep = F.relu6(normed)
    for layer, norm, ours in (("_depthwise_conv", "_bn1", block.depthwise), ("_project_conv", "_bn2", block.project)):
        weight = weights[f"_blocks.0.{layer}.weight"]
        deep_in = deep
        deep = F.conv2d(deep, weight, padding=weight.shape[-1] // 2, groups=len(weight) if weight.shape[1] == 1 else 1)
        deep = F.batch_norm(deep, *(weights[f"_blocks.0.{norm}.{name}"] for name in names), eps=1e-3)
        assert torch.allclose(ours(deep_in), deep, atol=1e-5)
        deep = F.relu6(deep)


def test_other_pixels_mean_the_same() -> None:
    weights = published(SMALL)
    theirs, ours = SMALL.build(), SMALL.build()
    load_efficientnet(theirs, weights, (127.0,) * 3, (128.0,) * 3)
    load_efficientnet(ours, weights, PIXEL_MEAN, PIXEL_STD)
    pixels = torch.rand(1, 3, 32, 32) * 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (PIXEL_MEAN, PIXEL_STD))
    one, other = theirs.stem((pixels - 127) / 128), ours.stem((pixels - mean) / std)
    assert torch.allclose(one[..., :-1, :-1], other[..., :-1, :-1], atol=1e-4)  # but for the padding


def test_frozen_stages_keep_their_weights() -> None:
    net = SMALL.build()
    net.freeze(5)
    trained = {name.split(".")[1] for name, one in net.named_parameters() if one.requires_grad}
    assert trained == {"5", "6"}
    net.freeze(0)
    assert all(one.requires_grad for one in net.parameters())


def test_other_weights_are_one_sentence() -> None:
    with pytest.raises(WeightsError, match="not the weights of this EfficientNet-Lite"):
        load_efficientnet(EfficientNetConfig().build(), published(SMALL), PIXEL_MEAN, PIXEL_STD)
    with pytest.raises(WeightsError, match="not the weights of this EfficientNet-Lite"):
        load_efficientnet(SMALL.build(), {"x": torch.zeros(1)}, PIXEL_MEAN, PIXEL_STD)
