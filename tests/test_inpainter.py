"""The Inpainter: remove and repaint, with one set of settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from esg import CropSettings, DiffusionInpainting, Inpainter, InputError, MaskSettings, PaintSettings

pytest.importorskip("cv2", reason="removing needs OpenCV", exc_type=ImportError)


@pytest.fixture
def wall() -> np.ndarray:
    photo = np.full((64, 96, 3), 200, np.uint8)
    photo[24:40, 40:56] = (180, 20, 20)
    return photo


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((64, 96), bool)
    mask[24:40, 40:56] = True
    return mask


def test_what_is_masked_is_gone_and_the_rest_is_untouched(wall: np.ndarray, mask: np.ndarray) -> None:
    before = wall.copy()
    clean = Inpainter().remove(wall, mask)
    assert np.array_equal(wall, before)
    assert np.abs(clean.astype(int) - 200).max() < 10


def test_pixels_beyond_the_grown_mask_never_change(mask: np.ndarray) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    clean = Inpainter().remove(photo, mask, MaskSettings(grow=3, feather=1))
    outside = np.ones((64, 96), bool)
    outside[24 - 3 : 40 + 3, 40 - 3 : 56 + 3] = False
    assert np.array_equal(clean[outside], photo[outside])
    assert not np.array_equal(clean[mask], photo[mask])


def test_an_empty_mask_changes_nothing(wall: np.ndarray) -> None:
    assert np.array_equal(Inpainter().remove(wall, np.zeros((64, 96), bool)), wall)


def test_repainting_without_a_model_says_how_to_load_one(wall: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"Inpainter\.from_pretrained"):
        Inpainter().repaint(wall, mask, "a window")


def test_settings_are_checked_before_a_model_paints() -> None:
    with pytest.raises(InputError, match="steps"):
        PaintSettings(steps=0).check("a window")
    with pytest.raises(InputError, match="grow"):
        MaskSettings(grow=-1).crop(None)


def test_defaults_are_those_of_the_crop() -> None:
    crop = MaskSettings().crop(None)
    defaults = CropSettings()
    assert (crop.grow, crop.feather, crop.fill_holes) == (defaults.grow, defaults.feather, defaults.fill_holes)
    assert (crop.target, crop.multiple) == (0, 1)


def test_a_diffusion_model_paints_inside_the_mask_alone(
    tiny_diffusion: Callable[[int], Path], wall: np.ndarray, mask: np.ndarray
) -> None:
    pytest.importorskip("diffusers", reason="repainting needs diffusers")
    inpainter = Inpainter(DiffusionInpainting.from_pretrained(tiny_diffusion(4), device="cpu"))
    steps: list[int] = []
    painted, again = (
        inpainter.repaint(
            wall,
            mask,
            "a window",
            MaskSettings(grow=4, feather=2),
            PaintSettings(steps=2, match_colour=0),
            progress=lambda done, total, what: steps.append(done),
        )
        for _ in range(2)
    )
    assert np.array_equal(painted, again)
    assert steps == [1, 2, 1, 2]
    outside = np.ones((64, 96), bool)
    outside[24 - 4 : 40 + 4, 40 - 4 : 56 + 4] = False
    assert np.array_equal(painted[outside], wall[outside])
    assert not np.array_equal(painted[mask], wall[mask])
