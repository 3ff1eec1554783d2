"""HorNet backbone (Rao et al., NeurIPS 2022): recursive gated convolutions, features at strides 4, 8, 16, 32."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .drop_path import DropPath
from .linear import Mlp

_SCALE = 1 / 3
"""Factor on the depth-wise branch of gⁿConv, `s` in the paper."""


@dataclass(frozen=True)
class HorNetConfig:
    """Sizes of a HorNet; the recursion order of gⁿConv grows from 2 to 5 over the stages.

    `filters` gives the (height, width) of each stage's stored frequency-domain filter, or None for a 7×7 convolution.
    """

    width: int = 192
    depths: tuple[int, ...] = (2, 3, 18, 2)
    filters: tuple[tuple[int, int] | None, ...] = (None, None, (24, 13), (12, 7))

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(self.width * 2**stage for stage in range(len(self.depths)))

    def build(self) -> HorNet:
        return HorNet(self)


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, eps=1e-6)
        return x.permute(0, 3, 1, 2)


class GlobalLocalFilter(nn.Module):
    """Half of the channels through a 3×3 depth-wise convolution, half through a filter in the frequency domain."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.local = nn.Conv2d(channels // 2, channels // 2, 3, padding=1, bias=False, groups=channels // 2)
        self.complex_weight = nn.Parameter(torch.empty(channels // 2, height, width, 2))
        nn.init.normal_(self.complex_weight, std=0.02)
        self.pre_norm = ChannelNorm(channels)
        self.post_norm = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        local, spectral = self.pre_norm(x).chunk(2, dim=1)
        local = self.local(local)
        real = torch.promote_types(spectral.dtype, torch.float32)  # the CPU lacks a half-precision FFT
        spectrum = torch.fft.rfft2(spectral.to(real), norm="ortho")  # (N, C/2, H, W/2 + 1) complex
        weight = self.complex_weight.to(real)
        if weight.shape[1:3] != spectrum.shape[2:]:
            weight = F.interpolate(
                weight.permute(3, 0, 1, 2), size=spectrum.shape[2:], mode="bilinear", align_corners=True
            ).permute(1, 2, 3, 0)
        spectrum = spectrum * torch.view_as_complex(weight.contiguous())
        filtered = torch.fft.irfft2(spectrum, s=x.shape[2:], norm="ortho").to(local.dtype)
        return self.post_norm(torch.stack((local, filtered), dim=2).flatten(1, 2))  # channels interleaved


class GatedConvolution(nn.Module):
    """gⁿConv: `order` rounds of gating; every round has twice the channels of the previous one."""

    def __init__(self, channels: int, order: int, filter_size: tuple[int, int] | None) -> None:
        super().__init__()
        self.widths = [channels // 2**index for index in reversed(range(order))]
        total = sum(self.widths)
        self.proj_in = nn.Conv2d(channels, 2 * channels, 1)
        self.depthwise: nn.Module = (
            nn.Conv2d(total, total, 7, padding=3, groups=total)
            if filter_size is None
            else GlobalLocalFilter(total, *filter_size)
        )
        self.pointwise = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(self.widths, self.widths[1:]))
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate, context = self.proj_in(x).split((self.widths[0], sum(self.widths)), dim=1)
        first, *others = (self.depthwise(context) * _SCALE).split(self.widths, dim=1)
        x = gate * first
        for pointwise, other in zip(self.pointwise, others):
            x = pointwise(x) * other
        return self.proj_out(x)


class HorNetBlock(nn.Module):
    """gⁿConv, then an MLP, both residual with a learned scale per channel."""

    def __init__(self, channels: int, order: int, filter_size: tuple[int, int] | None) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.mixer = GatedConvolution(channels, order, filter_size)
        self.gamma1 = nn.Parameter(torch.full((channels,), 1e-6))
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = Mlp(channels, 4 * channels)
        self.gamma2 = nn.Parameter(torch.full((channels,), 1e-6))
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.gamma1[:, None, None] * self.mixer(self.norm1(x)))
        return x + self.drop_path((self.gamma2 * self.mlp(self.norm2(x.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2))


class HorNet(nn.Module):
    """(N, 3, H, W) → four feature maps (N, C·2^i, H/4/2^i, W/4/2^i), each through its own norm."""

    def __init__(self, config: HorNetConfig) -> None:
        super().__init__()
        self.channels = config.channels
        stem = nn.Sequential(nn.Conv2d(3, config.width, 4, stride=4), ChannelNorm(config.width))
        halvings = (
            nn.Sequential(ChannelNorm(channels), nn.Conv2d(channels, 2 * channels, 2, stride=2))
            for channels in config.channels[:-1]
        )
        self.downsamples = nn.ModuleList((stem, *halvings))
        self.stages = nn.ModuleList(
            nn.Sequential(*(HorNetBlock(channels, stage + 2, filter_size) for _ in range(depth)))
            for stage, (channels, depth, filter_size) in enumerate(zip(config.channels, config.depths, config.filters))
        )
        self.norms = nn.ModuleList(ChannelNorm(channels) for channels in config.channels)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        features, x = [], pixels
        for downsample, stage, norm in zip(self.downsamples, self.stages, self.norms):
            x = stage(downsample(x))
            features.append(norm(x))
        return features
