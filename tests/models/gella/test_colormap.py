"""Entities as colours that cannot be confused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.models.gella.colormap import COLOURS, MOST_ENTITIES, colormap, location_colours, random_colours, without_gaps
from esg.support.errors import InputError

NOWHERE = np.zeros((1, 1), np.int32)


def assert_distinct(colours: np.ndarray, count: int) -> None:
    assert (colours.shape, colours.dtype) == ((count + 1, 3), np.uint8)
    assert colours[0].tolist() == [0, 0, 0]
    assert len(np.unique(colours, axis=0)) == count + 1
    # They stay apart where a network sees them a little changed.
    assert set(np.unique(colours % 17)) == {0}


@given(count=st.integers(0, MOST_ENTITIES), seed=st.integers(0, 2**32 - 1))
def test_random_colours_are_distinct(count: int, seed: int) -> None:
    assert_distinct(random_colours(NOWHERE, count, seed), count)


@given(count=st.integers(0, 60), height=st.integers(1, 6), width=st.integers(1, 6), seed=st.integers(0, 99))
def test_location_colours_are_distinct(count: int, height: int, width: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, count + 1, (height, width))
    assert_distinct(location_colours(labels, count, seed), count)


@pytest.mark.parametrize("name", COLOURS)
def test_every_colour_can_be_used(name: str) -> None:
    labels = np.arange(MOST_ENTITIES + 1).reshape(64, 64)
    assert_distinct(COLOURS[name](labels, MOST_ENTITIES, 0), MOST_ENTITIES)


@pytest.mark.parametrize("name", COLOURS)
def test_the_seed_decides(name: str) -> None:
    labels = np.arange(36).reshape(6, 6)
    first, again, other = (COLOURS[name](labels, 35, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_red_and_green_are_the_place() -> None:
    labels = np.kron([[1, 2], [3, 4]], np.ones((2, 2), int))  # four quarters
    colours = location_colours(labels, 4, seed=0)
    near, far = 4 * 17, 12 * 17  # 1/4 and 3/4 of the way, in steps of 1/16
    assert colours[1:, :2].tolist() == [[near, near], [far, near], [near, far], [far, far]]


def test_random_colours_do_not_tell_the_place() -> None:
    labels = np.arange(36).reshape(6, 6)
    assert (random_colours(labels, 35, 3) == random_colours(labels[::-1], 35, 3)).all()


@pytest.mark.parametrize("name", COLOURS)
@given(seed=st.integers(0, 99))
def test_pixels_have_one_colour_where_they_have_one_label(name: str, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 5, (4, 5))
    picture = colormap(labels, colours=name, seed=seed)
    assert (picture.shape, picture.dtype) == ((4, 5, 3), np.uint8)
    flat, colours = labels.ravel(), picture.reshape(-1, 3)
    same = (colours[:, None] == colours).all(axis=2)
    assert (same == (flat[:, None] == flat)).all()
    assert (colours[flat == 0] == 0).all()


def test_gaps_are_closed_as_far_as_they_reach() -> None:
    labels = np.array([[1, 0, 0, 0, 2, 0, 0, 0, 0]])
    assert without_gaps(labels, 1).tolist() == [[1, 1, 0, 2, 2, 2, 0, 0, 0]]
    assert without_gaps(labels, 2.5)[0, [0, 1, 3, 4, 5, 6, 7, 8]].tolist() == [1, 1, 2, 2, 2, 2, 0, 0]
    assert without_gaps(labels, 0).tolist() == labels.tolist()
    assert not without_gaps(np.zeros((2, 3), np.int32), 9).any()


def test_without_reach_a_map_stays_as_it_is() -> None:
    labels = np.array([[1, 0, 2]])
    assert without_gaps(labels, 0) is labels


def test_a_map_without_entities_is_black() -> None:
    assert not colormap(np.zeros((2, 3), np.int32)).any()


def test_too_many_entities_are_refused() -> None:
    with pytest.raises(InputError, match="4095 colours for 4096 entities"):
        colormap(np.array([[MOST_ENTITIES + 1]]))
