"""Position codes: tell features where in the photo they are. An addition of ours to CropFormer, for small models.

Two look-alikes can only get different masks if their features contain their positions. Backbones trained on millions of
photos infer positions from their padding; a small one trained from scratch does not. The position is relative to the
photo, not to the view, so that a place has the same code in the full view and in every crop, as the batch level needs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..layers.linear import Linear

_OCTAVES = 6  # wavelengths of 2, 1, … 1/16 photo


class PositionCode(nn.Module):
    """Adds a learned projection of the position code to every feature map; initially adds zero."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(Linear(4 * _OCTAVES, width) for width in channels)
        for parameter in self.projections.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: list[Tensor], frames: Tensor) -> list[Tensor]:
        """Adds codes to maps (N, C, h, w) of views that span `frames` (N, 4), see `CropFormer.forward`."""
        return [
            feature + projection(position_code(frames, feature.shape[2], feature.shape[3])).permute(0, 3, 1, 2)
            for feature, projection in zip(features, self.projections)
        ]


def position_code(frames: Tensor, height: int, width: int) -> Tensor:
    """Sines and cosines of the pixel centres' positions, y before x → (N, height, width, 4 · octaves) float32."""
    x0, y0, x1, y1 = frames.float().unbind(1)
    steps = [(torch.arange(side, device=frames.device) + 0.5) / side for side in (height, width)]
    y = y0[:, None] + (y1 - y0)[:, None] * steps[0]  # (N, height), 0..1 in the photo
    x = x0[:, None] + (x1 - x0)[:, None] * steps[1]
    y, x = y[:, :, None].expand(-1, -1, width), x[:, None].expand(-1, height, -1)
    waves = math.pi * 2.0 ** torch.arange(_OCTAVES, device=frames.device)
    angle = torch.stack((y, x), dim=-1)[..., None] * waves  # (N, height, width, 2, octaves)
    return torch.cat((angle.sin(), angle.cos()), dim=-1).flatten(3)
