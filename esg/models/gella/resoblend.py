"""ResoBlend (paper Sec. 4.2, Eq. 14 and 15): adds image features to the colormap's feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.attention import MultiheadAttention
from ..layers.linear import Linear, Mlp
from ..layers.position import pixel_positions


@dataclass(frozen=True)
class BlendConfig:
    """Parts of ResoBlend; each can be switched off (Table XVII).

    Attributes:
        self_attention: SA, on the image features.
        cross_attention: CA, from image features (queries) to mask features (keys and values). Without it, mask features
            are isolated from image features, as the paper describes that row: FF, RES and CONV work on the mask
            features alone, at their own resolution, and SA has nothing to do.
        ffn: FF, the feed-forward network.
        residual: RES, adds the image features again.
        conv: CONV, 3×3.
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
        self.image = Linear(image_channels, width) if config.cross_attention else None
        looks = config.self_attention and config.cross_attention
        self.self_attention = MultiheadAttention(width, heads) if looks else None
        self.self_norm = nn.LayerNorm(width) if looks else nn.Identity()
        self.levels = nn.ModuleList(_Level(channels, width, heads, ffn, config) for channels in mask_channels)

    def forward(self, image: Tensor, masks: list[Tensor]) -> list[Tensor]:
        """Blends image features into each level of mask features.

        Args:
            image: Z_v, (N, C_v, g, g), the image encoder's grid over the same square as the colormap.
            masks: Z_c, finest first, (N, C_s, h_s, w_s).

        Returns:
            Z_vc, (N, width, h_s, w_s) each.
        """
        seen = None if self.image is None else self._seen(self.image(image.flatten(2).transpose(1, 2)), image.shape[2:])
        return [level(mask, seen) for level, mask in zip(self.levels, masks, strict=True)]

    def _seen(self, features: Tensor, grid: Sequence[int]) -> _Image:
        """Z'_v from Z_v (N, g², width)."""
        places = pixel_positions(grid[0], grid[1], features.shape[2], features.device).to(features.dtype)
        asking = features
        if self.self_attention is not None:
            placed = features + places
            asking = self.self_norm(features + self.self_attention(placed, placed, features, None))
        return _Image(features, asking, places, (grid[0], grid[1]))


@dataclass(frozen=True)
class _Image:
    """Z_v and Z'_v (N, g², C), the position codes of their cells, and the number of rows and columns."""

    features: Tensor
    asking: Tensor
    places: Tensor
    grid: tuple[int, int]


class _Level(nn.Module):
    def __init__(self, channels: int, width: int, heads: int, ffn: int, config: BlendConfig) -> None:
        super().__init__()
        self.residual = config.residual
        self.mask = nn.Conv2d(channels, width, 1)
        self.cross_attention = MultiheadAttention(width, heads) if config.cross_attention else None
        self.cross_norm = nn.LayerNorm(width) if config.cross_attention else nn.Identity()
        self.ffn = Mlp(width, ffn) if config.ffn else None
        self.conv = nn.Conv2d(width, width, 3, padding=1) if config.conv else nn.Identity()
        self.skip = config.skip

    def forward(self, mask: Tensor, image: _Image | None) -> Tensor:
        """z^s (N, C_s, h, w) → z_w^s (N, C, h, w); the image is None without cross-attention."""
        own = self.mask(mask)  # (N, C, h, w)
        height, width = own.shape[2:]
        x = values = own.flatten(2).transpose(1, 2)  # (N, h·w, C)
        again, grid = (values, (height, width)) if image is None else (image.features, image.grid)
        if image is not None and self.cross_attention is not None:
            keys = values + pixel_positions(height, width, own.shape[1], own.device).to(values.dtype)
            x = self.cross_norm(self.cross_attention(image.asking + image.places, keys, values, None))
        if self.ffn is not None:
            x = self.ffn(x)
        if self.residual:
            x = x + again
        blended = self.conv(x.transpose(1, 2).unflatten(2, grid))
        if grid != (height, width):
            blended = F.interpolate(blended, size=(height, width), mode="bilinear", align_corners=False)
        return blended + own if self.skip else blended
