"""ResNet backbone (He et al., CVPR 2016) with frozen batch norm, features at strides 4, 8, 16, 32.

Our own, because we do not depend on torchvision, and importing transformers takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ResNetConfig:
    """Number of bottleneck blocks per stage; the defaults are ResNet-50."""

    depths: tuple[int, ...] = (3, 4, 6, 3)

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(256 * 2**stage for stage in range(len(self.depths)))

    def build(self) -> ResNet:
        return ResNet(self)


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics and affine terms are constants."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=1e-5)


class FrozenNormConv(nn.Module):
    """A convolution without bias and its frozen batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = FrozenBatchNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Bottleneck(nn.Module):
    """1×1, 3×3 (with the stride), 1×1, around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shortcut = FrozenNormConv(inputs, outputs, 1, stride) if inputs != outputs else nn.Identity()
        self.conv1 = FrozenNormConv(inputs, outputs // 4, 1)
        self.conv2 = FrozenNormConv(outputs // 4, outputs // 4, 3, stride)
        self.conv3 = FrozenNormConv(outputs // 4, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))) + self.shortcut(x))


class ResNet(nn.Module):
    """(N, 3, H, W) → four feature maps (N, 256·2^i, H/4/2^i, W/4/2^i)."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.stem = FrozenNormConv(3, 64, 7, stride=2)
        self.stages = nn.ModuleList()
        inputs = 64
        for stage, (outputs, depth) in enumerate(zip(config.channels, config.depths)):
            blocks = []
            for index in range(depth):
                blocks.append(Bottleneck(inputs, outputs, stride=2 if stage and not index else 1))
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(self.stem(pixels)), kernel_size=3, stride=2, padding=1)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
