"""Signed distances: exact where it counts, and nothing outside the bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from esg.data.scenes.outlines import ellipse, polygon
from esg.data.scenes.shapes import Box, Difference, Radial, Rim, Strokes, Union


def grid(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns and rows of the pixel centres of a square grid."""
    centres = (torch.arange(size) + 0.5) / size
    return centres, centres.clone()


def test_disc_distance_is_exact() -> None:
    x, y = grid(50)
    disc = Radial(0.5, 0.5, 0.3, 0.25 * ellipse(1.0))
    expected = torch.hypot(x[None] - 0.5, y[:, None] - 0.5) - 0.25
    assert torch.allclose(disc.distance(x, y), expected, atol=1e-5)


def test_box_and_polygon_cover_their_area() -> None:
    x, y = grid(400)
    box = Box(0.5, 0.5, 0.3, 0.1, 0.4)
    assert (box.distance(x, y) < 0).float().mean() == pytest.approx(0.12, abs=2e-3)
    square = Radial(0.5, 0.5, 0.2, 0.4 * polygon(np.arange(4) * (np.pi / 2), np.ones(4)))
    assert (square.distance(x, y) < 0).float().mean() == pytest.approx(0.32, abs=3e-3)


def test_nothing_lies_outside_the_bounds() -> None:
    x, y = grid(200)
    ring = Rim(Radial(0.4, 0.6, 0.0, 0.3 * ellipse(0.5)), 0.05)
    strokes = Strokes(((0.2, 0.2, 0.8, 0.3, 0.02, 0.01), (0.8, 0.3, 0.7, 0.9, 0.01, 0.01)))
    for shape in (ring, strokes, Union((ring, strokes)), Difference(strokes, ring)):
        x0, y0, x1, y1 = shape.bounds
        mask = shape.distance(x, y) < 0
        outside = (x[None] < x0) | (x[None] > x1) | (y[:, None] < y0) | (y[:, None] > y1)
        assert mask.any()
        assert not (mask & outside).any()


def test_strokes_do_not_depend_on_the_window() -> None:
    x, y = grid(100)
    strokes = Strokes(((0.1, 0.15, 0.9, 0.8, 0.03, 0.01),))
    whole, part = strokes.distance(x, y), strokes.distance(x[30:60], y[20:70])
    assert torch.allclose(whole[20:70, 30:60], part, atol=1e-6)
