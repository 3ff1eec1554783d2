"""A vision encoder for small models: an EfficientNet-Lite pretrained on ImageNet, and a neck that is trained.

LLaVA's CLIP is far too large for a laptop, and no CLIP of this size is available. Features at three strides and the
pixels' colours are combined on one grid, so that it shows what things are as well as their colours and edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.efficientnet import EfficientNetConfig
from ..layers.linear import Linear

if TYPE_CHECKING:
    from .config import VisionConfig

FINE = 4  # mean colours are taken over squares of this many pixels


class EfficientTower(nn.Module):
    """Encodes images (N, 3, side, side) as a grid, tokens and the backbone's maps at strides 16 and 32."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        sizes = EfficientNetConfig()
        self.channels = sizes.channels[2:]
        self.backbone = sizes.build()
        self.colours = nn.Conv2d(3 * (config.patch // FINE) ** 2, config.width, 1)
        self.projections = nn.ModuleList(nn.Conv2d(channels, config.width, 1) for channels in sizes.channels[1:])
        self.places = nn.Parameter(torch.zeros(config.width, config.grid, config.grid))
        self.blocks = nn.ModuleList(_Block(config.width, config.ffn) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Encodes images.

        Args:
            pixels: (N, 3, side, side), normalised as for CLIP.

        Returns:
            A grid (N, width, g, g) with g = side / patch; tokens (N, t, width), each the mean of pool × pool cells of
            the grid; and the backbone's maps at strides 16 and 32, with `channels` channels.
        """
        size = self.config.grid, self.config.grid
        x = self.colours(F.pixel_unshuffle(F.avg_pool2d(pixels, FINE), self.config.patch // FINE)) + self.places
        maps = self.backbone(pixels)[1:]
        for projection, features in zip(self.projections, maps, strict=True):
            # Average features that are finer than the grid; interpolate features that are coarser.
            own = features if features.shape[-1] <= size[1] else F.adaptive_avg_pool2d(features, size)
            own = projection(own)
            if own.shape[-1] < size[1]:
                own = F.interpolate(own, size=size, mode="bilinear", align_corners=False)
            x = x + own
        for block in self.blocks:
            x = block(x)
        grid = self.norm(x.movedim(1, -1)).movedim(-1, 1)
        return grid, F.avg_pool2d(grid, self.config.pool).flatten(2).transpose(1, 2), tuple(maps[1:])


class _Block(nn.Module):
    """A depthwise 7×7 convolution and a feed-forward network around a shortcut (Liu et al., CVPR 2022)."""

    def __init__(self, width: int, ffn: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.inner = Linear(width, ffn)
        self.outer = Linear(ffn, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.spread(x).movedim(1, -1))
        return x + self.outer(self.inner(hidden, "gelu")).movedim(-1, 1)
