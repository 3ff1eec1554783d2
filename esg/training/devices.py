"""Several devices that train one model."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_over_devices(value: Tensor) -> Tensor:
    """The mean of a scalar over the devices of a distributed run; on a single one, the scalar."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(value)
        value = value / torch.distributed.get_world_size()
    return value
