"""Batch norms of the colormap encoder in training: as they are, frozen, or synchronised between devices.

With two pictures per device, statistics of a batch say little. The paper does not mention them.
"""

from __future__ import annotations

import torch
from torch import nn

NORMS = ("own", "frozen", "synchronised")


def with_norms(encoder: nn.Module, norms: str, device: torch.device) -> nn.Module:
    """The encoder with other batch norms, under the same names of weights; one without batch norms stays as it is.

    Args:
        encoder: the colormap encoder; changed in place.
        norms: a name in `NORMS`. "frozen" keeps the statistics, scale and shift of published weights; "synchronised"
            computes statistics over the batches of all devices; "own" over each device's own batch.
        device: the device of the run; PyTorch cannot synchronise CPUs, whose norms remain their own.
    """
    if norms == "synchronised" and device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(encoder)
    if norms == "frozen":
        for module in list(encoder.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, _frozen(child))
    return encoder


class FrozenNorm(nn.BatchNorm2d):
    """A batch norm whose statistics, scale and shift do not change in training."""

    def train(self, mode: bool = True) -> FrozenNorm:
        """Always stays in evaluation mode, in which the statistics do not change."""
        return super().train(False)


def _frozen(norm: nn.BatchNorm2d) -> FrozenNorm:
    frozen = FrozenNorm(norm.num_features, norm.eps, norm.momentum)
    frozen.load_state_dict(norm.state_dict())
    return frozen.requires_grad_(False).eval()  # type: ignore[return-value]
