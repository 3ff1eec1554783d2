"""A vision encoder for squares of another side: the table of its positions, resampled to another grid of patches."""

from __future__ import annotations

import logging
import math

import torch
import torch.nn.functional as F
from torch import Tensor

log = logging.getLogger(__name__)

POSITIONS = "vision.embeddings.position_embedding.weight"  # among the names of `language.our_key`


def resampled(table: Tensor, rows: int) -> Tensor:
    """A table of positions with so many rows: what was learnt for the patches of a picture, read between them.

    Args:
        table: (1 + g², C) float; the first row is that of the token of the whole picture, and stays as it is.
        rows: 1 + h², of the table that is needed.

    Returns:
        (1 + h², C) float32 by bicubic interpolation, as transformers does it; the table itself where it has as many
        rows already, or where one of the two is none of a square.
    """
    given, wanted = _side(len(table)) if table.dim() == 2 else 0, _side(rows)
    if given == wanted or not given or not wanted:
        return table
    log.info("The vision encoder has learnt a grid of %d patches a side, which is resampled to %d.", given, wanted)
    first, grid = table[:1].float(), table[1:].float().T.unflatten(1, (given, given))  # (1, C), (C, g, g)
    grid = F.interpolate(grid[None], (wanted, wanted), mode="bicubic")[0]  # (C, h, h)
    return torch.cat((first, grid.flatten(1).T))


def _side(rows: int) -> int:
    """Of the square of patches that so many rows are for; 0 if there is none."""
    side = math.isqrt(max(0, rows - 1))
    return side if side**2 + 1 == rows else 0
