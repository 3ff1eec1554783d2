"""Soft edges on drawn pictures: where the contour moves, what stays, and that tiles are invisible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from esg.inpaint import soft_edges as edges
from esg.inpaint.soft_edges import soft_alpha
from esg.support.errors import InputError

RED, BLUE = np.array([200, 40, 30]), np.array([20, 60, 220])


def two_colours(red: np.ndarray) -> np.ndarray:
    """A photo of red, weighted 0..1, on blue."""
    return np.round(red[..., None] * RED + (1 - red[..., None]) * BLUE).astype(np.uint8)


def ball(side: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2
    return np.hypot(y, x) <= radius


@pytest.mark.parametrize("width", [8, 16])
def test_the_contour_goes_to_the_edge_of_the_photo(width: int) -> None:
    true = ball(96, 30.0)
    image = two_colours(true.astype(float))
    for mask in (ball(96, 27.0), ball(96, 33.0), np.roll(true, 3, axis=1)):
        alpha = soft_alpha(image, mask, width=width)
        assert (alpha.dtype, alpha.shape) == (np.float32, mask.shape)
        assert np.array_equal(alpha > 0.5, true)
        assert np.abs(alpha - true).mean() < 0.1 * np.abs(mask.astype(float) - true).mean()


def test_a_soft_edge_of_the_photo_makes_a_soft_edge() -> None:
    red = np.tile(np.clip((36 - np.arange(64)) / 8, 0, 1), (40, 1))  # from 1 at column 28 to 0 at 36
    mask = np.tile(np.arange(64) < 32, (40, 1))
    alpha = soft_alpha(two_colours(red), mask, width=9)
    assert np.abs(alpha - red).max() < 0.25
    assert (np.diff(alpha, axis=1) < 1e-3).all()


@pytest.mark.parametrize("contrast", [0.001, 0.01, 0.1])
def test_a_grey_photo_works_as_well_as_a_coloured_one(contrast: float) -> None:
    true = ball(96, 30.0)
    grey = np.repeat(np.where(true, 180, 60)[..., None], 3, axis=2).astype(np.uint8)
    for image in (grey, 255 - grey):
        alpha = soft_alpha(image, np.roll(true, 2, axis=1), width=8, contrast=contrast)
        assert np.array_equal(alpha > 0.5, true)


@pytest.mark.parametrize("mask", [np.zeros((9, 7), bool), np.ones((9, 7), bool)])
def test_a_mask_without_contour_stays(mask: np.ndarray) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    assert np.array_equal(soft_alpha(image, mask), mask)


@settings(max_examples=20)
@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)),
    st.integers(0, 3) | st.just(17),
    st.integers(0, 9),
)
def test_any_mask_keeps_what_is_not_near_its_contour(mask: np.ndarray, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*mask.shape, 3), np.uint8)
    alpha = soft_alpha(image, mask, width=width)
    assert ((alpha >= 0) & (alpha <= 1)).all()
    both = mask.any() and not mask.all()
    beyond = ndimage.distance_transform_edt(mask) + ndimage.distance_transform_edt(~mask) > width
    assert np.array_equal(alpha[beyond], mask[beyond]) if both else np.array_equal(alpha, mask)


@pytest.mark.parametrize("width", [3, 16])
def test_tiles_do_not_show(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (150, 131, 3), np.uint8)
    mask = ball(150, 50.0)[:, :131]
    whole = soft_alpha(image, mask, width=width)
    monkeypatch.setattr(edges, "_TILE", 32)
    assert np.abs(soft_alpha(image, mask, width=width) - whole).max() < 1e-3


def test_progress_and_how_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "_TILE", 32)
    image, mask = np.zeros((40, 64, 3), np.uint8), ball(64, 9.0)[:40]
    seen = []
    soft_alpha(image, mask, progress=lambda *report: seen.append(report))
    assert seen == [(done, 4, "edges") for done in range(5)]

    def stop(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        soft_alpha(image, mask, progress=stop)


def test_what_cannot_be_refined_is_refused() -> None:
    image, mask = np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), bool)
    with pytest.raises(InputError, match="The photo must be"):
        soft_alpha(image / 255, mask)
    with pytest.raises(InputError, match="like the photo"):
        soft_alpha(image, mask[:3])
    with pytest.raises(InputError, match="like the photo"):
        soft_alpha(image, mask.astype(np.uint8))
    for options in (
        {"width": -1},
        {"width": 999},
        {"width": 3.5},
        {"width": "3"},
        {"contrast": 0.0},
        {"contrast": float("nan")},
        {"contrast": None},
    ):
        with pytest.raises(InputError, match="The width must be a whole number"):
            soft_alpha(image, mask, **options)


@pytest.mark.parametrize(("radius", "eps"), [(1, 1e-3), (5, 1e-3), (9, 1e-2)])
def test_the_filter_is_the_one_of_the_paper(radius: int, eps: float) -> None:
    """Equations 19 to 21, pixel by pixel, away from the border."""
    random = np.random.default_rng(0)
    guide, signal = random.integers(0, 256, (41, 43, 3), np.uint8), random.random((41, 43)) > 0.5
    colours = guide / 255

    def window(y: int, x: int) -> tuple[slice, slice]:
        return slice(y - radius, y + radius + 1), slice(x - radius, x + radius + 1)

    def coefficients(y: int, x: int) -> np.ndarray:
        own, levels = colours[window(y, x)].reshape(-1, 3), signal[window(y, x)].ravel()
        with_signal = (own * levels[:, None]).mean(0) - own.mean(0) * levels.mean()
        slope = np.linalg.solve(np.cov(own.T, bias=True) + eps * np.eye(3), with_signal)
        return np.append(slope, levels.mean() - slope @ own.mean(0))

    y, x = 20, 21
    around = [coefficients(v, u) for v in range(y - radius, y + radius + 1) for u in range(x - radius, x + radius + 1)]
    expected = np.append(colours[y, x], 1) @ np.mean(around, axis=0)
    assert edges._filter(guide, signal, radius, eps)[y, x] == pytest.approx(expected, abs=1e-4)
