"""Counts the operations of a network, as `torch.utils.flop_counter` does, with operators that it does not know."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count


def counter() -> FlopCounterMode:
    """A context that counts multiplications and additions in matrix products, convolutions and attention."""
    known = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        known[torch.ops.mkldnn._linear_pointwise] = _linear
    return FlopCounterMode(display=False, custom_mapping=known)


def _linear(x: torch.Size, weight: torch.Size, *_: Any, **__: Any) -> int:
    return 2 * math.prod(x) * weight[0]


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)
