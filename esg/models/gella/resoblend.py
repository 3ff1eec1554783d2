"""ResoBlend (paper Sec. 4.2, Eq. 14 and 15): adds image features to the colormap's feature pyramid."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.attention import MultiheadAttention
from ..layers.position import pixel_positions


@dataclass(frozen=True)
class BlendConfig:
    """Parts of ResoBlend; each can be switched off (Table XVII).

    Attributes:
        self_attention: SA, on the image features.
        cross_attention: CA, from image features (queries) to mask features (keys and values); without it, a level only
            has image features.
        ffn: FF, the feed-forward network.
        residual: RES, adds the image features again.
        conv: CONV, 3×3; 1×1 if switched off.
        skip: adds the mask features at their own resolution. Not in the paper: taken literally, a blended map has no
            more detail than the grid of image features, and masks are reconstructed from nothing else. After 800 steps
            of training at the size of gella-nano, 73.0 % of the masks were reconstructed with it and 63.5 % without
            (`benchmarks/grounding_ablations.py`).
    """

    self_attention: bool = True
    cross_attention: bool = True
    ffn: bool = True
    residual: bool = True
    conv: bool = True
    skip: bool = True


class ResoBlend(nn.Module):
    """Blends image features into a pyramid of mask features.

    Args:
        image_channels: C_v of the image encoder.
        mask_channels: channels of the pyramid's levels, finest first.
        width: channels of every output level.
        heads, ffn: sizes of attention and feed-forward network.
        config: parts to use.
    """

    def __init__(
        self,
        image_channels: int,
        mask_channels: tuple[int, ...],
        width: int,
        heads: int,
        ffn: int,
        config: BlendConfig = BlendConfig(),
    ) -> None:
        super().__init__()
        self.config = config
        self.image = nn.Linear(image_channels, width)
        self.self_attention = MultiheadAttention(width, heads) if config.self_attention else None
        self.self_norm = nn.LayerNorm(width) if config.self_attention else nn.Identity()
        self.levels = nn.ModuleList(_Level(channels, width, heads, ffn, config) for channels in mask_channels)

    def forward(self, image: Tensor, masks: list[Tensor]) -> list[Tensor]:
        """Blends image features into each level of mask features.

        Args:
            image: Z_v, (N, C_v, g, g), the image encoder's grid over the same square as the colormap.
            masks: Z_c, finest first, (N, C_s, h_s, w_s).

        Returns:
            Z_vc, (N, width, h_s, w_s) each.
        """
        grid = (image.shape[2], image.shape[3])
        features = self.image(image.flatten(2).transpose(1, 2))  # (N, g², width)
        places = pixel_positions(*grid, features.shape[2], features.device).to(features.dtype)
        asking = features
        if self.self_attention is not None:
            placed = features + places
            asking = self.self_norm(features + self.self_attention(placed, placed, features, None))
        return [level(features, asking, places, mask, grid) for level, mask in zip(self.levels, masks, strict=True)]


class _Level(nn.Module):
    def __init__(self, channels: int, width: int, heads: int, ffn: int, config: BlendConfig) -> None:
        super().__init__()
        self.residual = config.residual
        # Without CA and skip, only the spatial size of the mask features matters.
        self.mask = nn.Conv2d(channels, width, 1) if config.cross_attention or config.skip else nn.Identity()
        self.cross_attention = MultiheadAttention(width, heads) if config.cross_attention else None
        self.cross_norm = nn.LayerNorm(width) if config.cross_attention else nn.Identity()
        self.ffn = nn.Sequential(nn.Linear(width, ffn), nn.GELU(), nn.Linear(ffn, width)) if config.ffn else None
        self.conv = nn.Conv2d(width, width, 3, padding=1) if config.conv else nn.Conv2d(width, width, 1)
        self.skip = config.skip

    def forward(self, features: Tensor, asking: Tensor, places: Tensor, mask: Tensor, grid: tuple[int, int]) -> Tensor:
        """Z_v and Z'_v (N, g², C), z^s (N, C_s, h, w) → z_w^s (N, C, h, w)."""
        own = self.mask(mask)  # (N, C, h, w)
        x = asking
        if self.cross_attention is not None:
            values = own.flatten(2).transpose(1, 2)  # (N, h·w, C)
            height, width = own.shape[2:]
            keys = values + pixel_positions(height, width, own.shape[1], own.device).to(values.dtype)
            x = self.cross_norm(self.cross_attention(asking + places, keys, values, None))
        if self.ffn is not None:
            x = self.ffn(x)
        if self.residual:
            x = x + features
        blended = self.conv(x.transpose(1, 2).unflatten(2, grid))
        blended = F.interpolate(blended, size=own.shape[2:], mode="bilinear", align_corners=False)
        return blended + own if self.skip else blended
