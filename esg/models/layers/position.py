"""Sine position encodings of pixels and views."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TEMPERATURE = 10000.0
_EPS = 1e-6


def _sine(steps: int, width: int, device: torch.device) -> Tensor:
    """Sines and cosines, interleaved, of the positions 1..steps scaled to (0, 2π] → (steps, width) float32."""
    position = torch.arange(1, steps + 1, dtype=torch.float32, device=device) / (steps + _EPS) * (2 * math.pi)
    channel = torch.arange(width, dtype=torch.float32, device=device)
    period = _TEMPERATURE ** (2 * torch.div(channel, 2, rounding_mode="floor") / width)
    angle = position[:, None] / period
    return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)


def pixel_positions(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Encoding of every pixel of one view: the y half, then the x half → (height·width, channels) float32."""
    y = _sine(height, channels // 2, device)[:, None].expand(-1, width, -1)
    x = _sine(width, channels // 2, device)[None].expand(height, -1, -1)
    return torch.cat((y, x), dim=2).flatten(0, 1)


def view_positions(views: int, height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Encoding at batch level: pixel encoding plus view encoding, view-major → (views·height·width, channels)."""
    pixels = pixel_positions(height, width, channels, device)
    return (_sine(views, channels, device)[:, None] + pixels).flatten(0, 1)
