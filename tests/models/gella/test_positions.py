"""Position tables for another grid: known values, and values that must not change."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esg.models.gella.positions import resampled


def test_a_table_of_the_same_grid_is_itself() -> None:
    table = torch.rand(1 + 9, 4).half()
    assert resampled(table, 10) is table


@given(given_side=st.integers(2, 7), wanted_side=st.integers(1, 9), seed=st.integers(0, 9))
def test_the_class_token_keeps_its_row_and_constant_tables_stay_constant(
    given_side: int, wanted_side: int, seed: int
) -> None:
    row, everywhere = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))
    table = torch.cat((row[None], everywhere.expand(given_side**2, 3)))
    found = resampled(table, wanted_side**2 + 1)
    assert found.shape == (wanted_side**2 + 1, 3)
    assert torch.equal(found[0], row)
    assert torch.allclose(found[1:], everywhere.expand(wanted_side**2, 3), atol=1e-5)


@pytest.mark.parametrize(("given_side", "wanted_side"), [(24, 16), (16, 24)])
def test_rows_and_columns_keep_their_places(given_side: int, wanted_side: int) -> None:
    """Far from the border, cubic interpolation keeps a slope: the centre of a patch tells where it lies."""

    def centres(side: int) -> np.ndarray:
        place = (np.arange(side) + 0.5) / side
        return np.stack(np.meshgrid(place, 10 * place, indexing="ij"), -1)  # (side, side, 2), down and right

    table = torch.from_numpy(np.concatenate([[[5, 6]], centres(given_side).reshape(-1, 2)])).float()
    found = resampled(table, wanted_side**2 + 1)
    inner = slice(4, -4)
    grid = found[1:].numpy().reshape(wanted_side, wanted_side, 2)[inner, inner]
    assert np.allclose(grid, centres(wanted_side)[inner, inner], atol=0.03)
    assert found[0].tolist() == [5, 6]


def test_half_precision_is_resampled_in_float32_with_a_log_message(caplog: pytest.LogCaptureFixture) -> None:
    table = torch.randn(1 + 36, 4, generator=torch.Generator().manual_seed(0)).half()
    with caplog.at_level(logging.INFO, "esg"):
        found = resampled(table, 1 + 16)
    assert found.dtype == torch.float32
    assert torch.equal(found, resampled(table.float(), 1 + 16))
    assert "with 6 patches per side; resampling its positions to 4" in caplog.text


@pytest.mark.parametrize(("rows", "wanted"), [(1 + 9, 9), (11, 1 + 4), (0, 1 + 4), (1, 1 + 4), (1 + 4, 1), (1 + 4, 0)])
def test_tables_that_are_not_square_stay_unchanged(rows: int, wanted: int) -> None:
    for table in (torch.zeros(rows, 2), torch.zeros(rows), torch.zeros(())):
        assert resampled(table, wanted) is table
