"""Putting an edited crop back: only pixels inside the blend mask that the engine edited change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from esg import CropSettings, InputError, Stitch, cut_for_inpainting, stitch_back
from esg.inpaint.colour import from_lab, to_lab
from esg.pictures.resizing import resize

sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))
settings = st.builds(
    CropSettings,
    target=st.sampled_from([0, 1, 8, 32]),
    multiple=st.sampled_from([1, 8, 16]),
    context=st.sampled_from([1.0, 1.5, 4.0]),
    grow=st.integers(0, 4),
    feather=st.integers(0, 4),
    fill_holes=st.booleans(),
)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Any]:
    """A photo of noise, a mask of any kind, and the crop."""
    height, width = draw(sizes)
    random = np.random.default_rng(draw(st.integers(0, 99)))
    photo = random.integers(0, 256, (height, width, 3), np.uint8)
    if draw(st.booleans()):
        photo = (photo / 255 + random.uniform(0, 1e-3, photo.shape)).clip(0, 1).astype(np.float32)
    mask = random.random((height, width)) < draw(st.sampled_from([0, 0.02, 0.5, 1]))
    if draw(st.booleans()):
        mask = mask * random.choice(np.float32([0.3, 1]), mask.shape)
    return photo, mask, cut_for_inpainting(photo, mask, draw(settings))


def bits(pixels: np.ndarray) -> bytes:
    return pixels.tobytes()


@given(cuts(), st.sampled_from([0.0, 1.0]))
def test_an_untouched_crop_gives_the_photo_back_to_the_bit(cut: Any, match: float) -> None:
    photo, _, crop = cut
    back = stitch_back(photo, crop.stitch, crop.picture, match)
    assert back.dtype == photo.dtype
    assert bits(back) == bits(photo)
    assert not np.may_share_memory(back, photo)
    as_float = crop.picture if crop.picture.dtype != np.uint8 else crop.picture.astype(np.float32) / 255
    as_bytes = np.rint(as_float * 255).astype(np.uint8)
    assert bits(stitch_back(photo, crop.stitch, as_float, match)) == bits(photo)
    assert bits(stitch_back(photo, crop.stitch, as_bytes, match)) == bits(photo)


def test_values_half_way_between_two_bytes_count_as_unchanged() -> None:
    """Rounding them in float32 may change them by slightly more than half a step."""
    values = np.float32((np.arange(255) + 0.5) / 255)
    values = np.concatenate([np.nextafter(values, np.float32(0)), values, np.nextafter(values, np.float32(1))])
    photo = np.repeat(values.reshape(15, 51, 1), 3, axis=2)
    crop = cut_for_inpainting(photo, np.ones(photo.shape[:2], bool), CropSettings(0, 1))
    as_bytes = np.rint(crop.picture * np.float32(255)).astype(np.uint8)
    assert bits(stitch_back(photo, crop.stitch, as_bytes)) == bits(photo)


@given(cuts(), sizes, st.booleans(), st.sampled_from([0.0, 0.5]))
def test_nothing_changes_outside_the_blend_mask(cut: Any, other: tuple[int, int], same: bool, match: float) -> None:
    photo, mask, crop = cut
    shape = crop.picture.shape[:2] if same else other
    result = np.random.default_rng(5).uniform(-0.1, 1.1, (*shape, 3)).astype(np.float32)
    before = bits(photo)
    back = stitch_back(photo, crop.stitch, result, match)
    outside = crop.stitch.full_mask == 0
    assert bits(back[outside]) == bits(photo[outside])
    assert bits(photo) == before
    assert np.isfinite(back).all()
    if mask.max() == 0:
        assert bits(back) == bits(photo)


@given(cuts(), st.data())
def test_a_change_comes_no_further_than_the_filter(cut: Any, data: st.DataObject) -> None:
    """What changes where one pixel of the crop did is what a plain resizing of the crop would have changed there."""
    photo, _, crop = cut
    height, width = crop.generation.shape
    result = crop.picture.copy()
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    result[row, column] = (255 if result.dtype == np.uint8 else 1) - result[row, column]
    back = stitch_back(photo, crop.stitch, result)
    x0, y0, x1, y1 = crop.stitch.box
    rows, columns = np.nonzero((back != photo).any(axis=2))
    for places, start, stop, at, length in ((rows, y0, y1, row, height), (columns, x0, x1, column, width)):
        scale = length / (stop - start)
        assert (np.abs((places - start + 0.5) * scale - at - 0.5) <= 3 * max(1, scale) + 1.5).all()


@given(cuts(), st.data())
def test_a_change_comes_as_far_as_the_filter(cut: Any, data: st.DataObject) -> None:
    """Wherever one changed pixel of the crop makes a difference, the resized result is what is blended in."""
    photo, _, crop = cut
    height, width = crop.generation.shape
    result = crop.picture.copy()
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    result[row, column] = (255 if result.dtype == np.uint8 else 1) - result[row, column]
    x0, y0, x1, y1 = crop.stitch.box
    rows, columns = crop.stitch.inside
    one = np.float32(255 if photo.dtype == np.uint8 else 1)
    sent, resized = (
        resize(pixels / one, (y1 - y0, x1 - x0))[rows.start - y0 : rows.stop - y0, columns.start - x0 :][
            :, : columns.stop - columns.start
        ].clip(0, 1)
        for pixels in (crop.picture, result)
    )
    touched = (np.abs(resized - sent) > 1e-6) & (crop.stitch.blend == 1)[..., None]
    back = stitch_back(photo, crop.stitch, result)[rows, columns]
    assert back[touched] / one == pytest.approx(resized[touched], abs=0.51 / 255 if one > 1 else 1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("result_dtype", [np.uint8, np.float32, np.float16])
def test_known_mixture(dtype: type, result_dtype: type) -> None:
    one = 255 if dtype == np.uint8 else 1
    photo = np.zeros((1, 9, 3), dtype)
    mask = np.zeros((1, 9), bool)
    mask[0, 4] = True
    crop = cut_for_inpainting(photo, mask, CropSettings(target=0, multiple=1, context=1, grow=2, feather=1))
    assert crop.picture.shape == (1, 5, 3)
    white = np.full((1, 5, 3), 255 if result_dtype == np.uint8 else 1, result_dtype)
    back = stitch_back(photo, crop.stitch, white)
    assert back[0, :, 1].tolist() == [0, 0, round(one / 2) if one > 1 else 0.5, one, one, one, back[0, 2, 1], 0, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_at_its_own_scale_the_result_comes_in_unchanged(dtype: type) -> None:
    random = np.random.default_rng(0)
    photo, result = random.integers(0, 256, (2, 30, 20, 3), np.uint8)
    if dtype == np.float32:
        photo, result = (picture.astype(np.float32) / 255 for picture in (photo, result))
    crop = cut_for_inpainting(photo, np.ones((30, 20), bool), CropSettings(target=0, multiple=1))
    assert np.array_equal(stitch_back(photo, crop.stitch, result), result)


def test_values_that_arithmetic_would_change_stay_outside_the_mask() -> None:
    photo = np.zeros((9, 9, 3), np.float32)
    photo[0], photo[:, 0] = -0.0, 7.5
    mask = np.zeros((9, 9), bool)
    mask[3:6, 3:6] = True
    crop = cut_for_inpainting(photo, mask, CropSettings(target=0, multiple=1, context=9, grow=1, feather=1))
    back = stitch_back(photo, crop.stitch, np.ones_like(crop.picture))
    outside = crop.stitch.full_mask == 0
    assert bits(back[outside]) == bits(photo[outside])
    assert (back[mask] == 1).all()


def test_resampled_results_are_sharp_where_they_belong() -> None:
    """A crop at twice and at half the scale, whose left half is painted black."""
    photo = np.full((40, 40, 3), 200, np.uint8)
    for target in (20, 80):
        crop = cut_for_inpainting(photo, np.ones((40, 40), bool), CropSettings(target=target, multiple=1))
        assert crop.picture.shape == (target, target, 3)
        result = crop.picture.copy()
        result[:, : target // 2] = 0
        back = stitch_back(photo, crop.stitch, result)
        assert (back[:, :16] == 0).all()
        assert (back[:, 24:] == 200).all()


def test_one_entity_after_the_other() -> None:
    """Crops of one photo, cut in advance, are stitched into the same picture; the second sees the first's pixels."""
    photo = np.random.default_rng(0).integers(0, 200, (40, 60, 3), np.uint8)
    plain = CropSettings(target=0, multiple=1, context=3, grow=0, feather=0)
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 5:15, 5:15] = masks[1, 10:30, 12:40] = True
    edited = photo
    for value, mask in zip((255, 220), masks):
        crop = cut_for_inpainting(photo, mask, plain)
        edited = stitch_back(edited, crop.stitch, np.full_like(crop.picture, value))
    expected = photo.copy()
    expected[masks[0]] = 255
    expected[masks[1]] = 220
    assert np.array_equal(edited, expected)


def test_full_mask_and_repr() -> None:
    photo, mask = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), bool)
    mask[4, 6] = True
    record = cut_for_inpainting(photo, mask, CropSettings(target=0, multiple=8, grow=0, feather=0)).stitch
    assert np.array_equal(record.full_mask, mask)
    assert (record.full_mask.dtype, record.blend.shape) == (np.float32, (8, 8))
    assert repr(record) == "Stitch(box (2, 0, 10, 8) of 30x20, sent as 8x8)"


def test_colours_are_matched_by_what_surrounds_the_mask() -> None:
    """The engine, like a lossy encoder, spoils the colours of all it gives back, and paints the mask grey."""
    photo = np.random.default_rng(0).uniform(0.3, 0.7, (60, 60, 3)).astype(np.float32)
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    crop = cut_for_inpainting(photo, mask, CropSettings(target=0, multiple=1, context=2, grow=0, feather=0))
    wanted = crop.picture.copy()
    wanted[crop.generation > 0] = 0.5
    spoilt = from_lab(to_lab(wanted) * np.float32([0.9, 1, 1]) + np.float32([8, 4, -6]))
    middle = slice(20, 40), slice(20, 40)
    errors = [np.abs(stitch_back(photo, crop.stitch, spoilt, match)[middle] - 0.5).max() for match in (0, 0.5, 1)]
    assert errors[1] == pytest.approx(errors[0] / 2, abs=0.01)
    assert errors[2] < 0.01 < 0.05 < errors[0]


def test_without_a_ring_colours_stay() -> None:
    photo, result = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), np.uint8)
    crop = cut_for_inpainting(photo, np.ones((20, 20), bool), CropSettings(target=0, multiple=1))
    assert np.array_equal(stitch_back(photo, crop.stitch, result, 1.0), result)


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.fixture
def record() -> Stitch:
    return cut_for_inpainting(np.zeros((20, 30, 3), np.uint8), np.ones((20, 30), bool)).stitch


def test_another_photo(record: Stitch) -> None:
    with pytest.raises(InputError, match="30x20 pixels, but this one has 20x30"):
        stitch_back(np.zeros((30, 20, 3), np.uint8), record, record.sent)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (np.zeros((8, 8), np.uint8), r"\(8, 8\) uint8"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\)"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        (Image.new("RGB", (8, 8)), "not of type Image"),
        (np.full((8, 8, 3), np.nan, np.float32), "NaN or infinite; try precision fp32"),
        (np.full((8, 8, 3), np.inf), "NaN or infinite"),
    ],
)
def test_results_that_cannot_be_used(record: Stitch, result: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        stitch_back(np.zeros((20, 30, 3), np.uint8), record, result)


@pytest.mark.parametrize("match", [-0.1, 1.1, np.nan, None])
def test_strength_out_of_range(record: Stitch, match: Any) -> None:
    with pytest.raises(InputError, match="from 0 to 1"):
        stitch_back(np.zeros((20, 30, 3), np.uint8), record, record.sent, match)
