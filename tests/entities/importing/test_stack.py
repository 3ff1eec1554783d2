"""One mask of numbers: where it is inside, and what is no mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from esg.entities.importing.stack import are_logits, check_size, encode
from esg.entities.rle import area, compress, decode_mask, encode_mask
from esg.support.errors import InputError


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20)))
def test_any_mask_is_encoded_whole(mask: np.ndarray) -> None:
    assert np.array_equal(decode_mask(encode(mask, "it")), mask)
    if mask.any():
        found = encode(mask, "it")
        assert {**found, "counts": compress(found["counts"])} == encode_mask(mask)
    else:
        assert area(encode(mask, "it")) == 0


@pytest.mark.parametrize(
    ("values", "inside"),
    [
        (np.array([0, 1, 1], np.uint8), [0, 1, 1]),
        (np.array([0, 127, 128, 255], np.uint8), [0, 0, 1, 1]),
        (np.array([0, 254, 3], np.int64), [0, 1, 0]),
        (np.array([0, 32767, 32768, 65535], np.uint16), [0, 0, 1, 1]),
        (np.array([0.0, 0.5, 0.51, 1.0], np.float32), [0, 0, 1, 1]),
        (np.array([0.0, 0.5], np.float16), [0, 0]),
        (np.array([0.0, 100.0, 255.0], ">f8"), [0, 0, 1]),
    ],
)
def test_soft_masks_are_cut_at_half(values: np.ndarray, inside: list[int]) -> None:
    assert decode_mask(encode(values[None], "it")).astype(int).tolist() == [inside]


@pytest.mark.parametrize(
    ("values", "threshold", "inside"),
    [
        (np.array([-3.5, 4.0, 0.1, -0.1]), 0.5, [0, 1, 1, 0]),
        (np.array([-3.5, 4.0, 0.1, -0.1]), 0.9, [0, 1, 0, 0]),  # log(0.9 / 0.1) is 2.2
        (np.array([-1.0, 1.0]), 0.5, [0, 1]),
        (np.array([-7.0, -2.0]), 0.5, [0, 0]),
        (np.array([-7.0, 7.0]), 0.0, [1, 1]),
        (np.array([-7.0, 7.0]), 1.0, [0, 0]),
    ],
)
def test_logits_are_cut_at_zero(values: np.ndarray, threshold: float, inside: list[int]) -> None:
    assert are_logits(values)
    assert decode_mask(encode(values[None], "it", threshold)).astype(int).tolist() == [inside]


@pytest.mark.parametrize(
    ("values", "inside"),
    [
        (np.array([-0.1, 0.2, 1.1, 0.6], np.float32), [0, 0, 1, 1]),  # bicubic resampling overshoots
        (np.array([-20.0, 60.0, 270.0]), [0, 0, 1]),
        (np.array([-1, 1, 0], np.int8), [0, 1, 0]),
        (np.array([-100, 0, 255, 100]), [0, 0, 1, 0]),
    ],
)
def test_negative_numbers_of_a_mask_are_outside(values: np.ndarray, inside: list[int]) -> None:
    assert not are_logits(values)
    assert decode_mask(encode(values[None], "it")).astype(int).tolist() == [inside]


@pytest.mark.parametrize("values", [np.array([0, 70000]), np.array([-1000.0, 3000.0])])
def test_values_that_no_mask_has(values: np.ndarray) -> None:
    sentence = r"^It holds values from \S+ to \S+, but those of a mask are 0 and 1 or 0 and 255\.$"
    with pytest.raises(InputError, match=sentence):
        encode(values[None], "It")
    for odd in (np.nan, np.inf):
        with pytest.raises(InputError, match=r"^It holds values that are not finite numbers; set them to 0\.$"):
            encode(np.array([[0.0, odd]]), "It")


@pytest.mark.parametrize("values", [np.array([0, 1, 2, 7], np.uint8), np.array([0, 300], np.uint16)])
def test_labels_are_not_taken_for_a_mask(values: np.ndarray) -> None:
    with pytest.raises(InputError, match=rf"holds values up to {values[-1]}, .* give a label map as a PNG"):
        encode(values[None], "It")


def test_sizes() -> None:
    check_size((3, 4), None, "it")
    check_size((3, 4), (3, 4), "it", max_pixels=12)
    with pytest.raises(InputError, match="of 4x3 pixels, but the photo has 3x4"):
        check_size((3, 4), (4, 3), "it")
    with pytest.raises(InputError, match="limit of 11; raise max_pixels"):
        check_size((3, 4), None, "it", max_pixels=11)
    with pytest.raises(InputError, match="without pixels"):
        check_size((0, 4), None, "it")
