"""The picture of a grounding: entities in their phrases' colours, everything else dimmed, the caption below."""

from __future__ import annotations

import numpy as np
import pytest

from esg.drawing.grounding_picture import (
    LONGEST,
    NARROWEST,
    draw_grounding,
    drawn_size,
    entity_colours,
    phrase_colours,
    shrink,
)
from esg.drawing.overlay import palette
from esg.entities.entity_map import EntityMap
from esg.entities.grounding import Grounding, Phrase
from esg.support.errors import InputError

CAPTION = "A cat, the cat and a dog on a mat."
CAT, THE_CAT, DOG, MAT = (2, 5), (7, 14), (21, 24), (30, 33)
FIRST, SECOND = (tuple(colour) for colour in palette(2).tolist())


def grounding(**ids: tuple[int, ...]) -> Grounding:
    spans = {"cat": CAT, "the_cat": THE_CAT, "dog": DOG, "mat": MAT}
    return Grounding(
        CAPTION,
        tuple(Phrase(CAPTION[slice(*spans[name])], spans[name], own, (0.9,) * len(own)) for name, own in ids.items()),
    )


def quarters(height: int, width: int) -> EntityMap:
    """Entities 1 to 4 from left to right, of equal size; the lowest row belongs to none."""
    labels = np.tile(np.arange(width) * 4 // width + 1, (height, 1))
    labels[-1] = 0
    return EntityMap.from_labels(labels)


def test_phrases_that_mean_the_same_have_one_colour_in_the_order_of_reading() -> None:
    found = grounding(dog=(3,), mat=(), cat=(1, 2), the_cat=(2, 1))
    assert phrase_colours(found) == [SECOND, None, FIRST, FIRST]
    assert entity_colours(found, 4) == [[FIRST], [FIRST], [SECOND], []]
    both = grounding(cat=(1,), the_cat=(1,), dog=(1, 2))
    assert entity_colours(both, 2) == [[FIRST, SECOND], [SECOND]]
    assert phrase_colours(Grounding("nothing")) == []


def test_grounded_entities_are_coloured_and_the_rest_is_dimmed() -> None:
    photo = np.full((80, 400, 3), (200, 100, 60), np.uint8)
    before = photo.copy()
    picture = draw_grounding(photo, quarters(80, 400), grounding(cat=(1,), dog=(2,), mat=()))
    assert np.array_equal(photo, before)
    assert picture.shape[1] == 400
    assert len(picture) > 80
    for x, colour in ((50, FIRST), (150, SECOND)):
        assert picture[40, x].tolist() == [(part + own) // 2 for part, own in zip((200, 100, 60), colour)]
    for y, x in ((40, 250), (40, 350), (79, 50)):  # no phrase means these, or no entity lies there
        assert picture[y, x].max() < 100
        assert np.ptp(picture[y, x].astype(int)) < 20
    beneath = picture[80:].reshape(-1, 3).tolist()
    assert list(FIRST) in beneath
    assert list(SECOND) in beneath
    assert picture[-1].min() == 255


def test_without_grounded_entities_the_photo_stays_unchanged() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (80, 400, 3), np.uint8)
    picture = draw_grounding(photo, quarters(80, 400), grounding(cat=(), mat=()))
    assert np.array_equal(picture[:80], photo)


def test_what_several_phrases_mean_has_stripes() -> None:
    photo = np.zeros((80, 400, 3), np.uint8)
    picture = draw_grounding(photo, quarters(80, 400), grounding(cat=(1, 2), dog=(1,)))
    halves = [[part // 2 for part in colour] for colour in (FIRST, SECOND)]
    found = {tuple(colour) for colour in picture[10:70, 10:90].reshape(-1, 3).tolist()}
    assert found == {tuple(half) for half in halves}
    assert {tuple(colour) for colour in picture[10:70, 110:190].reshape(-1, 3).tolist()} == {tuple(halves[0])}


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (150, 200), (40, 60)])
def test_any_shape_has_room_for_the_caption(shape: tuple[int, int]) -> None:
    labels = EntityMap.from_labels(np.ones(shape, int))
    picture = draw_grounding(np.full((*shape, 3), 9, np.uint8), labels, grounding(cat=(1,)))
    assert picture.shape[1] == max(shape[1], NARROWEST)
    assert len(picture) >= shape[0] + 13
    coloured = (picture[: shape[0]] == [(9 + part) // 2 for part in FIRST]).all(axis=2)
    assert coloured.sum() >= shape[0] * shape[1] - 2 * sum(shape)  # the photo is there; its border may be pale


def test_letters_grow_with_the_photo() -> None:
    heights = []
    for side in (200, 1500, 5000):
        photo, entities = np.zeros((side, side, 3), np.uint8), EntityMap.from_labels(np.ones((side, side), int))
        heights.append(len(draw_grounding(photo, entities, Grounding("cat"))) - side)
    assert heights[0] >= 30
    assert heights[1] > 2 * heights[0]
    assert heights[2] / heights[1] == pytest.approx(5000 / 1500, rel=0.05)


def test_photos_that_are_too_large_are_drawn_smaller() -> None:
    entities = quarters(8, 2 * LONGEST)
    picture = draw_grounding(np.zeros((8, 2 * LONGEST, 3), np.uint8), entities, grounding(cat=(2,)))
    assert picture.shape[1] == LONGEST
    assert picture[1, LONGEST * 3 // 8].any()
    assert not picture[1, LONGEST // 8].any()


def test_shrinking_keeps_photo_and_labels_together() -> None:
    labels = np.repeat([[1, 2]], 500, axis=1).repeat(60, axis=0)
    image = np.where(labels[..., None] == 1, 0, 255).astype(np.uint8).repeat(3, axis=2)
    small, ids = shrink(image, labels, 100)
    assert (small.shape, ids.shape) == ((6, 100, 3), (6, 100))
    assert np.array_equal(ids[0], np.repeat([1, 2], 50))
    assert (small[:, :45] < 20).all()
    assert (small[:, 55:] > 235).all()
    assert shrink(image, labels, 1000) == (image, labels)


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(InputError, match="belong to a picture of 400x80"):
        draw_grounding(np.zeros((81, 400, 3), np.uint8), quarters(80, 400), grounding(cat=(1,)))
    with pytest.raises(InputError, match="'cat' refers to entity 5, but there are only 4"):
        draw_grounding(np.zeros((80, 400, 3), np.uint8), quarters(80, 400), grounding(cat=(5,)))


@pytest.mark.parametrize(("height", "width"), [(40, 60), (300, 500), (10, 3000), (8, 12000)])
def test_its_size_is_known_before_it_is_drawn(height: int, width: int) -> None:
    for caption in ("a dog", "a dog and a cat, " * 9):
        grounding = Grounding(caption)
        drawn = draw_grounding(
            np.zeros((height, width, 3), np.uint8), EntityMap.from_labels(np.ones((height, width), np.int32)), grounding
        )
        assert drawn.shape[:2] == drawn_size(grounding, height, width)
