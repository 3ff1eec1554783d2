"""Outlines: properties that `Radial` relies on."""

from __future__ import annotations

import numpy as np
import pytest

from esg.data.scenes.outlines import OUTLINES, ellipse, star, stretched


@pytest.mark.parametrize("name", OUTLINES)
def test_radii_are_positive_and_the_largest_is_one(name: str) -> None:
    for seed in range(50):
        radii = OUTLINES[name](np.random.default_rng(seed))
        assert radii.shape == (512,)
        assert radii.min() > 0
        assert radii.max() == pytest.approx(1)


def test_a_squeezed_disc_is_an_ellipse() -> None:
    assert np.allclose(stretched(np.ones(512), 0.5), ellipse(0.5), atol=1e-3)


def test_a_star_has_its_tips_and_its_depth() -> None:
    radii = star(4, 0.5)
    assert np.allclose(radii[::128], 1)
    assert np.allclose(radii[64::128], 0.5)
