"""Random fields: standardised, and the same on every grid."""

from __future__ import annotations

import pytest
import torch

from esg.data.scenes.noise import Noise


def test_noise_is_standardised_smooth_and_independent_of_the_grid() -> None:
    noise = Noise(1, (20.0, 20.0), 3)
    x = y = (torch.arange(300) + 0.5) / 300
    field = noise(x, y)
    assert abs(field.mean()) < 0.15
    assert field.std() == pytest.approx(1.0, abs=0.2)
    assert torch.allclose(field[100:120, 30:70], noise(x[30:70], y[100:120]), atol=1e-5)
    assert torch.equal(Noise(1, (20.0, 20.0))(x, y, pixel=0.1), torch.zeros(300, 300))
