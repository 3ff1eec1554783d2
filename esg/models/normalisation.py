"""Normalises images for the two encoders."""

from __future__ import annotations

import torch
from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def normalised(pixels: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 RGB → float32, normalised with CLIP's mean and deviation, for the vision encoder."""
    mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (pixels.float() / 255 - mean) / std


def centred(colormaps: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 RGB → float32 in -1..1, for the colormap encoder."""
    return colormaps.float() / 127.5 - 1
