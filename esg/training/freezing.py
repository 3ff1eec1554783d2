"""Freezes the first stages of a backbone, whose edges and textures fit all photos."""

from __future__ import annotations

from torch import nn

from ..models.layers.efficientnet import EfficientNet
from ..support.errors import InputError

_BEFORE = ("stem", "patch_embed", "patch_norm")  # the layers before the first stage, of several kinds of backbones


def freeze_stages(backbone: nn.Module, count: int) -> None:
    """Freezes the first `count` stages, and all that comes before them; 0 freezes nothing.

    Raises:
        InputError: the backbone has fewer stages.
    """
    stages = list(backbone.stages)  # type: ignore[arg-type]
    if count > len(stages):
        raise InputError(f"The setting frozen_stages is {count}, but this backbone has {len(stages)} stages.")
    if isinstance(backbone, EfficientNet):
        backbone.freeze(count)
    elif count:
        # Downsampling is a part of its own before every stage (HorNet) or between them (Swin).
        between = [*getattr(backbone, "downsamples", [])][:count] + [*getattr(backbone, "mergings", [])][: count - 1]
        first = [getattr(backbone, name) for name in _BEFORE if hasattr(backbone, name)]
        for module in (*first, *between, *stages[:count]):
            module.requires_grad_(False)
