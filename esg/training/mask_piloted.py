"""Mask-piloted training (Zhang et al., CVPR 2023): a second decoder pass whose queries attend inside the true masks.

Ordinary queries switch between entities from layer to layer for a long time. Piloted queries get a slightly wrong mask
of their entity from the start, and must reconstruct the exact one. So all layers learn early how to use a masked
region. The trained model does not keep anything of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import LossConfig, level_losses
from .targets import target_ids

if TYPE_CHECKING:
    from ..models.cropformer.model import CropFormer, Output


def mask_piloted_losses(
    model: CropFormer, output: Output, labels: Tensor, config: LossConfig, noise: float = 0.2
) -> dict[str, Tensor]:
    """The mask losses of the image level for queries that attend inside the true masks.

    Args:
        model: the model whose decoder is trained.
        output: output of the model for (B, T) views.
        labels: (B, T, H, W) integer label maps, 0 = no entity.
        config: as for the other losses.
        noise: number of flipped pixels per mask, as a share of its area.

    Returns:
        Scalars `pilot_bce` and `pilot_dice`, summed over the layers.
    """
    views = labels.flatten(0, 1)[:, None]  # (B·T, 1, H, W)
    levels = [level.flatten(0, 1)[:, None] for level in output.levels]
    ids = target_ids(views, config.smallest)  # (B·T, P)
    masks = [_noisy_masks(views[:, 0], ids, level.shape[3:], noise) for level in levels]
    heads = model.decoder.follow(levels, masks)
    terms = level_losses(output.features.float().flatten(0, 1)[:, None], heads, views, config, answers=ids)
    return {"pilot_bce": terms["bce"], "pilot_dice": terms["dice"]}


def _noisy_masks(labels: Tensor, ids: Tensor, size: torch.Size, noise: float) -> Tensor:
    """Slightly wrong masks of the entities `ids` (N, P) in `labels` (N, H, W), at another size → (N, P, h·w) bool."""
    small = F.interpolate(labels[:, None].float(), size=tuple(size), mode="nearest").flatten(2)  # (N, 1, h·w)
    masks = small == ids[..., None]
    chance = noise * masks.float().mean(-1, keepdim=True)
    masks = masks ^ (torch.rand_like(masks, dtype=torch.float) < chance)
    return masks | ~masks.any(-1, keepdim=True)
