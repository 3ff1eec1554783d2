"""COCO RLE: the same bytes as pycocotools, and nothing lost on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from esg.entities import rle
from esg.support.errors import InputError

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))
counts = st.lists(st.integers(0, 2**33 - 1), min_size=1, max_size=30).map(lambda values: np.array(values, np.int64))


def test_a_known_mask() -> None:
    mask = np.array([[0, 1], [0, 1], [1, 0]], bool)
    assert rle.read_counts(rle.encode_mask(mask)).tolist() == [2, 3, 1]
    assert rle.encode_mask(mask)["counts"] == "231"
    assert rle.area(rle.encode_mask(mask)) == 3


@pytest.mark.parametrize(("value", "expected"), [(False, [6]), (True, [0, 6])])
def test_uniform_masks(value: bool, expected: list[int]) -> None:
    encoded = rle.encode_mask(np.full((2, 3), value))
    assert rle.read_counts(encoded).tolist() == expected
    assert np.array_equal(rle.decode_mask(encoded), np.full((2, 3), value))


@given(masks)
def test_masks_survive(mask: np.ndarray) -> None:
    assert np.array_equal(rle.decode_mask(rle.encode_mask(mask)), mask)


@given(counts)
def test_counts_survive_compression(values: np.ndarray) -> None:
    assert np.array_equal(rle.decompress(rle.compress(values)), values)


@given(masks, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_a_patch_lies_at_its_corner(mask: np.ndarray, left: int, top: int, right: int, bottom: int) -> None:
    whole = np.pad(mask, ((top, bottom), (left, right)))
    assert rle.encode_mask(mask, corner=(left, top), size=whole.shape) == rle.encode_mask(whole)


@given(hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.integers(0, 4)))
def test_all_labels_at_once(labels: np.ndarray) -> None:
    assert rle.encode_labels(labels, 4) == [rle.encode_mask(labels == label) for label in range(1, 5)]


@given(masks)
def test_same_as_pycocotools(mask: np.ndarray) -> None:
    reference = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    theirs = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    ours = rle.encode_mask(mask)
    assert ours["counts"] == theirs["counts"].decode("ascii")
    assert ours["size"] == theirs["size"]
    assert rle.area(theirs) == reference.area(theirs)
    assert np.array_equal(rle.decode_mask(theirs), mask)


def test_long_and_short_runs_of_a_large_mask() -> None:
    mask = np.zeros((300, 400), bool)
    mask[:, 10:200] = True  # a single run over many columns
    mask[::2, 250:] = True  # more runs of one pixel than are painted at once
    assert np.array_equal(rle.decode_mask(rle.encode_mask(mask)), mask)


@given(st.text(max_size=8) | st.binary(max_size=8) | st.lists(st.integers(-5, 30), max_size=4))
def test_any_rubbish_is_read_or_refused(rubbish: str | bytes | list[int]) -> None:
    try:
        lengths = rle.read_counts({"size": [3, 4], "counts": rubbish})
    except InputError:
        return
    assert lengths.sum() == 12
    assert (lengths >= 0).all()
