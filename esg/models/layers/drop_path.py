"""Stochastic depth (Huang et al., ECCV 2016): in training, some pictures skip the residual branch of a block."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Drops a residual branch for random pictures of a batch, and scales it up for the others.

    Attributes:
        rate: probability of dropping, in training; below 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def forward(self, branch: Tensor) -> Tensor:
        """(N, ...) → (N, ...)."""
        if not self.training or self.rate == 0:
            return branch
        kept = torch.rand(len(branch), *[1] * (branch.ndim - 1), device=branch.device) >= self.rate
        return branch * kept / (1 - self.rate)


def set_drop_path(backbone: nn.Module, rate: float) -> None:
    """Sets the rates of all blocks, which grow linearly from 0 in the first one to `rate` in the last one."""
    blocks = [module for module in backbone.modules() if isinstance(module, DropPath)]
    for number, block in enumerate(blocks):
        block.rate = rate * number / max(1, len(blocks) - 1)
