"""The random generator of scenes: the distributions of its own draws."""

from __future__ import annotations

import numpy as np
import pytest

from esg.data.scenes.draws import Draws


def test_chance_is_a_share() -> None:
    rng = Draws(0)
    assert np.mean([rng.chance(0.3) for _ in range(4000)]) == pytest.approx(0.3, abs=0.03)
    assert not any(rng.chance(0.0) for _ in range(100))
    assert all(rng.chance(1.0) for _ in range(100))


def test_log_uniform_spreads_over_orders_of_magnitude() -> None:
    rng = Draws(1)
    drawn = np.array([rng.log_uniform(0.01, 100) for _ in range(4000)])
    assert 0.01 <= drawn.min() <= drawn.max() <= 100
    assert np.mean(drawn < 1) == pytest.approx(0.5, abs=0.03)


def test_angles_prefer_the_upright() -> None:
    rng = Draws(2)
    turns = np.array([rng.angle() for _ in range(4000)]) / (np.pi / 2)
    assert np.mean(np.abs(turns - turns.round()) < 0.1) == pytest.approx(0.52, abs=0.05)
    assert len(set(turns.round() % 4)) == 4


def test_a_seed_is_a_stream() -> None:
    first, again, other = Draws((3, 1)), Draws((3, 1)), Draws((3, 2))
    values = first.random(5)
    assert np.array_equal(values, again.random(5))
    assert not np.array_equal(values, other.random(5))
