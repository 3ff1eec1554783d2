from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from benchmarks.flops import counter
from esg.models.layers.linear import Linear


@pytest.mark.parametrize("rows", [3, 200])  # few and many rows are computed by different operators
def test_a_linear_layer_multiplies_and_adds_for_every_weight(rows: int) -> None:
    layer = Linear(8, 5)
    with torch.inference_mode(), counter() as operations:
        layer(torch.zeros(2, rows, 8))
    assert operations.get_total_flops() == 2 * 2 * rows * 8 * 5


def test_attention_is_two_products() -> None:
    query, key = torch.zeros(1, 2, 30, 16), torch.zeros(1, 2, 50, 16)
    with torch.inference_mode(), counter() as operations:
        F.scaled_dot_product_attention(query, key, key)
    assert operations.get_total_flops() == 2 * (2 * 2 * 30 * 50 * 16)
