"""Position encodings, compared with the formula of the authors' code for single numbers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esg.models.layers.position import pixel_positions, view_positions

CPU = torch.device("cpu")
sides = st.integers(1, 9)
widths = st.integers(1, 8).map(lambda quarter: 4 * quarter)  # sine and cosine for y and for x


def wave(index: int, length: int, channel: int, width: int) -> float:
    """DETR's `PositionEmbeddingSine` with normalize=True: positions from 1, scale 2π, temperature 10000, eps 1e-6."""
    angle = (index + 1) / (length + 1e-6) * 2 * math.pi / 10000 ** (2 * (channel // 2) / width)
    return math.cos(angle) if channel % 2 else math.sin(angle)


@given(height=sides, width=sides, channels=widths, data=st.data())
def test_a_pixel_has_the_waves_of_its_row_and_then_of_its_column(
    height: int, width: int, channels: int, data: st.DataObject
) -> None:
    encoding = pixel_positions(height, width, channels, CPU)
    assert encoding.shape == (height * width, channels)
    assert encoding.dtype == torch.float32
    y, x, channel = (data.draw(st.integers(0, end - 1)) for end in (height, width, channels // 2))
    place, half = encoding[y * width + x], channels // 2
    assert place[channel].item() == pytest.approx(wave(y, height, channel, half), abs=1e-5)
    assert place[half + channel].item() == pytest.approx(wave(x, width, channel, half), abs=1e-5)


def test_known_places() -> None:
    """Two rows and four columns: y is at π and 2π, x at the quarters of the circle."""
    encoding = pixel_positions(2, 4, 4, CPU).view(2, 4, 4)
    expected_y = torch.tensor([[0.0, -1.0], [0.0, 1.0]])[:, None].expand(-1, 4, -1)
    expected_x = torch.tensor([[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0], [0.0, 1.0]]).expand(2, -1, -1)
    torch.testing.assert_close(encoding, torch.cat((expected_y, expected_x), dim=2), atol=1e-5, rtol=0)


@given(views=st.integers(1, 9), height=sides, width=sides, channels=widths, data=st.data())
def test_at_batch_level_the_waves_of_the_view_run_over_all_channels(
    views: int, height: int, width: int, channels: int, data: st.DataObject
) -> None:
    encoding = view_positions(views, height, width, channels, CPU)
    assert encoding.shape == (views * height * width, channels)
    view, channel = data.draw(st.integers(0, views - 1)), data.draw(st.integers(0, channels - 1))
    added = encoding.view(views, height * width, channels)[view] - pixel_positions(height, width, channels, CPU)
    expected = torch.full((height * width,), wave(view, views, channel, channels))
    torch.testing.assert_close(added[:, channel], expected, atol=1e-5, rtol=0)


def test_no_two_places_are_alike() -> None:
    encoding = view_positions(5, 6, 7, 32, CPU)
    distances = torch.cdist(encoding, encoding) + torch.eye(len(encoding))
    assert distances.min() > 1e-2
