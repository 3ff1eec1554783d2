"""EfficientNet-Lite backbone (Tan and Le, ICML 2019), features at strides 4, 8, 16 and 32.

The Lite variants use ReLU6 and no squeeze-and-excitation. ImageNet weights come with batch norm, which is constant here
and therefore folded into the convolutions (`load_efficientnet`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...support.errors import WeightsError


@dataclass(frozen=True)
class EfficientNetConfig:
    """The blocks of every stage; the defaults are EfficientNet-Lite0.

    Attributes:
        stem: channels of the first convolution.
        outputs: channels of each of the seven stages.
        repeats: blocks of each stage.
    """

    stem: int = 32
    outputs: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    repeats: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the maps at strides 4, 8, 16 and 32."""
        return tuple(self.outputs[stage] for stage in _TAPS)

    def build(self) -> EfficientNet:
        return EfficientNet(self)


LITE2 = EfficientNetConfig(outputs=(16, 24, 48, 88, 120, 208, 352), repeats=(1, 3, 3, 4, 4, 5, 1))
"""EfficientNet-Lite2."""

_KERNELS = (3, 3, 5, 3, 5, 5, 3)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EXPANSION = (1, 6, 6, 6, 6, 6, 6)
_TAPS = (1, 2, 4, 6)  # the last stages before the next stride
_BATCH_NORM_EPS = 1e-3


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding: the odd pixel goes to the right and the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        # Stride 1 pads both sides equally; stride 2 with even sides pads one pixel less on the left and the top.
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)
        self.before, self.after = (kernel - 2) // 2, (kernel - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            x = F.pad(x, (self.before, self.after, self.before, self.after))
        return super().forward(x)


class InvertedBottleneck(nn.Module):
    """1×1 expansion, depthwise convolution, 1×1 projection, and a shortcut if the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = SameConv(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = SameConv(hidden, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        hidden = x if self.expand is None else F.relu6(self.expand(x))
        out = self.project(F.relu6(self.depthwise(hidden)))
        return out + x if self.shortcut else out


class EfficientNet(nn.Module):
    """(N, 3, H, W), H and W multiples of 32 → four feature maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.stem = SameConv(3, config.stem, 3, 2)
        self.stages = nn.ModuleList()
        inputs = config.stem
        sizes = zip(config.outputs, config.repeats, _KERNELS, _STRIDES, _EXPANSION)
        for outputs, repeats, kernel, stride, expansion in sizes:
            blocks = []
            for index in range(repeats):
                blocks.append(InvertedBottleneck(inputs, outputs, kernel, 1 if index else stride, expansion))
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = F.relu6(self.stem(pixels))
        features = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in _TAPS:
                features.append(x)
        return features

    def freeze(self, stages: int) -> None:
        """Freezes the stem and the first `stages` of the seven stages during training."""
        self.stem.requires_grad_(stages == 0)
        for number, stage in enumerate(self.stages):
            stage.requires_grad_(number >= stages)


def load_efficientnet(
    backbone: EfficientNet, weights: Mapping[str, Tensor], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """Loads ImageNet weights, named as in `efficientnet_lite_pytorch`, into a backbone.

    They expect pixels (x − 127) / 128. The first convolution is changed so that pixels (x − mean) / std, the input of
    every model here, give the same result, except for the padding around the image.

    Args:
        backbone: backbone with the same sizes.
        weights: names and tensors, batch norm included.
        mean, std: statistics of red, green and blue, for values 0..255.

    Raises:
        WeightsError: a tensor is missing or has another shape.
    """
    try:
        folded = _folded(weights, [len(stage) for stage in backbone.stages])  # type: ignore[arg-type]
        weight, bias = folded["stem.weight"], folded["stem.bias"]
        shift = (torch.tensor(mean) - 127) / 128
        folded["stem.bias"] = bias + (weight.sum((2, 3)) * shift).sum(1)
        folded["stem.weight"] = weight * (torch.tensor(std) / 128)[:, None, None]
        backbone.load_state_dict(folded)
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"These are not the weights of this EfficientNet-Lite: {error}.") from None


def _folded(weights: Mapping[str, Tensor], repeats: list[int]) -> dict[str, Tensor]:
    """Convolutions with their batch norms folded in, under our names."""
    places = [f"stages.{stage}.{index}" for stage, count in enumerate(repeats) for index in range(count)]
    found = {}
    for name in [name for name in weights if name.endswith("conv.weight") or name.endswith("_conv_stem.weight")]:
        if match := re.fullmatch(r"_blocks\.(\d+)\._(expand|depthwise|project)_conv\.weight", name):
            block = f"_blocks.{match[1]}."
            norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
            ours, norm = f"{places[int(match[1])]}.{match[2]}", block + norms[match[2]]
        elif name == "_conv_stem.weight":
            ours, norm = "stem", "_bn0"
        else:
            continue
        scale = weights[f"{norm}.weight"] * (weights[f"{norm}.running_var"] + _BATCH_NORM_EPS).rsqrt()
        found[f"{ours}.weight"] = weights[name] * scale[:, None, None, None]
        found[f"{ours}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return found
