"""Reinhard's colour transfer: known colours of CIELAB, and shifts that are undone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from esg.inpaint.colour import from_lab, match_colours, to_lab

colours = hnp.arrays(np.float32, (5, 3), elements=st.floats(0, 1, width=32))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.25, 0.6, (*shape, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (100, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
)
def test_known_colours(rgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    assert to_lab(np.array(rgb, np.float32)) == pytest.approx(np.array(lab), abs=0.02)
    assert from_lab(np.array(lab, np.float32)) == pytest.approx(np.array(rgb), abs=0.002)


@given(colours)
def test_there_and_back(given_colours: np.ndarray) -> None:
    assert from_lab(to_lab(given_colours)) == pytest.approx(given_colours, abs=1e-4)


def test_a_shift_and_a_loss_of_contrast_are_taken_back() -> None:
    wanted = noise(40, 50)
    lab = to_lab(wanted)
    spoilt = from_lab((lab - lab.mean((0, 1))) * 0.8 + lab.mean((0, 1)) + np.float32([4, -3, 5]))
    ring = np.arange(50) < 20
    mended = match_colours(spoilt, spoilt[:, ring].reshape(-1, 3), wanted[:, ring].reshape(-1, 3))
    assert np.abs(mended - wanted).mean() < np.abs(spoilt - wanted).mean() / 5
    half = match_colours(spoilt, spoilt[:, ring].reshape(-1, 3), wanted[:, ring].reshape(-1, 3), 0.5)
    assert half == pytest.approx((spoilt + mended) / 2, abs=1e-6)


def test_what_agrees_stays() -> None:
    picture = noise(6, 7)
    assert match_colours(picture, picture[0], picture[0]) == pytest.approx(picture, abs=1e-4)


def test_flat_samples_do_not_blow_up_contrast() -> None:
    picture, flat = noise(6, 7), np.full((9, 3), 0.5, np.float32)
    assert match_colours(picture, flat, flat) == pytest.approx(picture, abs=1e-4)
    most = to_lab(match_colours(picture, flat, noise(9)))
    assert most.std((0, 1))[0] <= 2.01 * to_lab(picture).std((0, 1))[0]
