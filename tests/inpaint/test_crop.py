"""Cutting the surroundings of a mask out of a photo."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from esg import CropSettings, InputError, cut_for_inpainting

AS_IT_IS = CropSettings(target=0, multiple=1, context=1, grow=0, feather=0)


def photo_of(height: int, width: int, dtype: type = np.uint8) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return noise if dtype == np.uint8 else noise.astype(np.float32) / 255


def box_mask(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_at_the_photos_own_scale_the_crop_is_the_photo(dtype: type) -> None:
    photo, mask = photo_of(20, 30, dtype), box_mask(20, 30, slice(5, 9), slice(10, 16))
    crop = cut_for_inpainting(photo, mask, CropSettings(target=0, multiple=8, context=1, grow=2, feather=1))
    assert crop.stitch.box == (5, 3, 21, 11)
    assert crop.stitch.photo_size == (20, 30)
    assert crop.picture.dtype == dtype
    assert np.array_equal(crop.picture, photo[3:11, 5:21])
    assert (crop.generation.dtype, crop.blend.dtype) == (np.float32, np.float32)
    assert np.array_equal(crop.generation[:, 3:13] > 0, crop.stitch.full_mask[3:11, 8:18] > 0)
    assert np.array_equal(crop.blend, crop.stitch.full_mask[3:11, 5:21])
    assert (crop.blend[2:6, 5:11] == 1).all()
    assert crop.blend[0].max() == 0.5


def test_the_crop_is_its_own_and_read_only() -> None:
    photo, mask = photo_of(20, 30), box_mask(20, 30, slice(5, 9), slice(10, 16))
    for settings in (AS_IT_IS, CropSettings(target=16)):
        crop = cut_for_inpainting(photo, mask, settings)
        before = crop.picture.copy()
        photo[:] = 255 - photo
        assert np.array_equal(crop.picture, before)
        with pytest.raises(ValueError, match="read-only"):
            crop.picture[0, 0] = 0


def test_beyond_the_photo_pixels_and_mask_repeat() -> None:
    photo, mask = photo_of(5, 6), box_mask(5, 6, slice(0, 2), slice(0, 6))
    crop = cut_for_inpainting(photo, mask, CropSettings(target=0, multiple=8, context=3, grow=0, feather=0))
    assert crop.stitch.box == (-1, -2, 7, 6)
    assert np.array_equal(crop.picture, np.pad(photo, ((2, 1), (1, 1), (0, 0)), mode="edge"))
    assert np.array_equal(crop.generation, np.pad(mask, ((2, 1), (1, 1)), mode="edge"))
    assert crop.stitch.blend.shape == (5, 6)


def test_one_pixel_stays_in_a_crop_a_hundred_times_smaller() -> None:
    mask = box_mask(800, 900, slice(333, 334), slice(421, 422))
    crop = cut_for_inpainting(
        photo_of(800, 900), mask, CropSettings(target=8, multiple=1, context=900, grow=0, feather=0)
    )
    assert crop.generation.sum() == 1
    assert 0 < crop.blend.sum() < 0.01
    row, column = np.argwhere(crop.generation)[0]
    assert (row, column) == (333 * crop.generation.shape[0] // 800, 421 * crop.generation.shape[1] // 900)


def test_the_generation_mask_covers_the_mask_at_every_scale() -> None:
    mask = np.random.default_rng(1).random((57, 43)) < 0.02
    for target in (8, 40, 300):
        crop = cut_for_inpainting(
            photo_of(57, 43), mask, CropSettings(target=target, multiple=1, grow=0, feather=0, fill_holes=False)
        )
        x0, y0, x1, y1 = crop.stitch.box
        rows, columns = np.nonzero(mask)
        height, width = crop.generation.shape
        at = (
            ((rows - y0 + 0.5) * height / (y1 - y0)).astype(int),
            ((columns - x0 + 0.5) * width / (x1 - x0)).astype(int),
        )
        assert (crop.generation[at] == 1).all()
        assert not crop.blend[crop.generation == 0].any()
        assert set(np.unique(crop.generation)) <= {0, 1}


@pytest.mark.parametrize("photo_size", [(5, 7), (1, 1), (40, 30)])
def test_an_empty_mask_gives_the_whole_photo(photo_size: tuple[int, int]) -> None:
    photo = photo_of(*photo_size)
    for kind in (bool, np.float32):
        crop = cut_for_inpainting(photo, np.zeros(photo_size, kind), AS_IT_IS)
        assert np.array_equal(crop.picture, photo)
        assert not crop.generation.any()
        assert not crop.stitch.full_mask.any()


def test_a_full_mask() -> None:
    photo = photo_of(40, 60)
    crop = cut_for_inpainting(photo, np.ones((40, 60), bool), CropSettings(target=64))
    assert (crop.generation == 1).all()
    assert crop.blend == pytest.approx(np.ones(crop.generation.shape))
    assert (crop.stitch.full_mask == 1).all()


def test_float_crops_stay_in_range_and_nothing_is_written_to_the_arguments() -> None:
    photo = np.repeat(np.float32([[[0], [1]]]).repeat(8, 0).repeat(8, 1), 3, 2)
    mask = box_mask(8, 16, slice(2, 5), slice(4, 9)).astype(np.float64)
    before = photo.copy(), mask.copy()
    crop = cut_for_inpainting(photo, mask, CropSettings(target=128))
    assert crop.picture.shape == (*crop.generation.shape, 3)
    assert crop.picture.min() == 0
    assert crop.picture.max() == 1
    assert np.array_equal(photo, before[0])
    assert np.array_equal(mask, before[1])


@pytest.mark.parametrize(
    ("photo", "mask", "words"),
    [
        (np.zeros((4, 5, 4), np.uint8), np.zeros((4, 5), bool), r"\(4, 5, 4\) uint8"),
        (np.zeros((4, 5, 3)), np.zeros((4, 5), bool), "float64"),
        (Image.new("RGB", (5, 4)), np.zeros((4, 5), bool), r"not of type Image; `esg\.read_image` converts"),
        (None, np.zeros((4, 5), bool), "of type NoneType"),
        (np.zeros((4, 5, 3), np.uint8), [[False] * 5] * 4, r"A mask must be an array \(height, width\).* type list\.$"),
        (np.zeros((4, 5, 3), np.uint8), Image.new("1", (5, 4)), "not of type Image"),
        (np.zeros((0, 5, 3), np.uint8), np.zeros((0, 5), bool), r"\(0, 5, 3\)"),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), bool), r"mask has shape \(5, 4\)"),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8), "mask > 127"),
        (np.zeros((4, 5, 3), np.uint8), np.full((4, 5), 1.5), "go from 1.5 to 1.5"),
        (np.zeros((4, 5, 3), np.uint8), np.full((4, 5), np.nan), "between 0 and 1"),
    ],
)
def test_wrong_arguments(photo: np.ndarray, mask: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        cut_for_inpainting(photo, mask)


def test_wrong_settings() -> None:
    with pytest.raises(InputError, match=r"^The settings must be CropSettings\(...\), not of type dict\.$"):
        cut_for_inpainting(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), bool), {"grow": 3})  # type: ignore[arg-type]
