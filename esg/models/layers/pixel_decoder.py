"""Pixel decoder of Mask2Former (Cheng et al., CVPR 2022): multi-scale deformable attention plus one FPN level."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .deformable import DeformableAttention
from .linear import Linear, in_blocks
from .position import pixel_positions


class EncoderLayer(nn.Module):
    """Deformable self-attention and FFN, post-norm."""

    def __init__(self, width: int, heads: int, levels: int, points: int, ffn: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(width, heads, levels, points)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = Linear(width, ffn)
        self.linear2 = Linear(ffn, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, positions: Tensor, reference: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        values = self.attention.values(x)

        def layer(x: Tensor, positions: Tensor, reference: Tensor) -> Tensor:
            x = self.norm1(x + self.attention(x + positions, values, reference, shapes))
            return self.norm2(x + self.linear2(self.linear1(x, "relu")))

        return in_blocks(layer, x, positions, reference)


class NormedConv(nn.Module):
    """A convolution without bias and its GroupNorm."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(32, outputs)
        nn.init.kaiming_uniform_(self.conv.weight, a=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class PixelDecoder(nn.Module):
    """Converts backbone features to three context levels for the queries, and mask features at stride 4.

    Args:
        channels: channels of the four backbone features, strides 4, 8, 16, 32.
        width: channels of all outputs.
        heads, points: of the deformable attention.
        layers, ffn: number and hidden size of the encoder's layers.
    """

    levels = 3

    def __init__(self, channels: tuple[int, ...], width: int, heads: int, points: int, layers: int, ffn: int) -> None:
        super().__init__()
        self.input_projs = nn.ModuleList(_input_projection(inputs, width) for inputs in reversed(channels[1:]))
        self.level_embed = nn.Parameter(torch.randn(self.levels, width))
        self.layers = nn.ModuleList(EncoderLayer(width, heads, self.levels, points, ffn) for _ in range(layers))
        self.lateral = NormedConv(channels[0], width, 1)
        self.smooth = NormedConv(width, width, 3)
        self.mask_features = nn.Conv2d(width, width, 1)
        nn.init.kaiming_uniform_(self.mask_features.weight, a=1)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Four maps, strides 4 to 32 → ([(N, C, h, w) at strides 32, 16, 8], mask features (N, C, H/4, W/4))."""
        maps = [proj(feature) for proj, feature in zip(self.input_projs, reversed(features[1:]))]
        shapes = [(x.shape[2], x.shape[3]) for x in maps]
        x = torch.cat([level.flatten(2).transpose(1, 2) for level in maps], dim=1)  # (N, S, C)
        positions = torch.cat(
            [pixel_positions(h, w, x.shape[2], x.device) + embed for (h, w), embed in zip(shapes, self.level_embed)]
        ).to(x.dtype)
        reference = torch.cat([_centres(h, w, x.device) for h, w in shapes])
        for layer in self.layers:
            x = layer(x, positions, reference, shapes)
        parts = x.split([h * w for h, w in shapes], dim=1)
        levels = [part.transpose(1, 2).unflatten(2, shape) for part, shape in zip(parts, shapes)]
        fine = self.lateral(features[0])
        fine = fine + F.interpolate(
            levels[-1].to(fine.dtype), size=fine.shape[2:], mode="bilinear", align_corners=False
        )
        return levels, self.mask_features(F.relu(self.smooth(fine)))


def _input_projection(inputs: int, width: int) -> nn.Sequential:
    projection = nn.Conv2d(inputs, width, 1)
    nn.init.xavier_uniform_(projection.weight)
    return nn.Sequential(projection, nn.GroupNorm(32, width))


def _centres(height: int, width: int, device: torch.device) -> Tensor:
    """Pixel centres of a level as x, y in 0..1 → (height·width, 2) float32."""
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((grid_x, grid_y), dim=-1).flatten(0, 1)
