"""From a selection to a mask, and from a mask to another photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg import (
    DiffusionInpainting,
    EntityMap,
    Grounding,
    InputError,
    MaskSettings,
    PaintSettings,
    Phrase,
    cut_for_inpainting,
)
from web_demo.editing import (
    MASK_COLOUR,
    MASK_STRENGTH,
    Area,
    Edit,
    edited,
    mask_of,
    mask_picture,
    read_steps,
)
from web_demo.message import Stroke

PLAIN = MaskSettings(grow=0, feather=0, fill_holes=False)


# ---------------------------------------------------------------------------------------------- masks


def test_a_mask_is_the_selection_or_all_but_it(pixels: np.ndarray, quarters: EntityMap) -> None:
    assert np.array_equal(mask_of(pixels, quarters, Area((1, 3))), quarters.mask([1, 3]))
    inverted = mask_of(pixels, quarters, Area((1, 3), invert=True))
    assert np.array_equal(inverted, ~quarters.mask([1, 3]))


def test_a_soft_edge_follows_the_photos_own(pixels: np.ndarray, quarters: EntityMap) -> None:
    told = []
    mask = mask_of(pixels, quarters, Area((1,), soft=True), lambda *news: told.append(news))
    assert mask.dtype == np.float32
    assert mask[10, 10] == 1
    assert mask[70, 110] == 0
    assert told


def test_no_mask_is_one_sentence(pixels: np.ndarray, quarters: EntityMap) -> None:
    with pytest.raises(InputError, match=r"^Select at least one entity first"):
        mask_of(pixels, quarters, Area())
    with pytest.raises(InputError, match="4"):
        mask_of(pixels, quarters, Area((4,)))
    everything = EntityMap.from_labels(np.ones((80, 120), int))
    with pytest.raises(
        InputError, match=r"^Nothing is left to edit: everything is selected and the mask is inverted\.$"
    ):
        mask_of(pixels, everything, Area((1,), invert=True))


@given(
    ids=st.sets(st.sampled_from([1, 2, 3]), min_size=1),
    grow=st.integers(0, 12),
    feather=st.integers(0, 12),
    fill=st.booleans(),
    invert=st.booleans(),
)
def test_what_is_shown_of_a_small_photo_is_the_mask_itself(
    ids: set[int], grow: int, feather: int, fill: bool, invert: bool
) -> None:
    labels = np.zeros((30, 40), np.int32)
    labels[5:20, 5:20], labels[10:14, 10:14], labels[20:, 30:] = 1, 2, 3
    entities, photo = EntityMap.from_labels(labels), np.zeros((30, 40, 3), np.uint8)
    area, settings = Area(tuple(ids), invert=invert), MaskSettings(grow, feather, fill)
    shown = mask_picture(photo, entities, area, settings, 40)
    blend = cut_for_inpainting(photo, mask_of(photo, entities, area), settings.crop(None)).stitch.full_mask
    assert np.array_equal(shown[..., 3], np.rint(255 * MASK_STRENGTH * blend))
    assert (shown[..., :3] == MASK_COLOUR).all()


def test_of_a_large_photo_the_mask_is_made_in_the_browsers_size() -> None:
    labels = np.zeros((60, 400), np.int32)
    labels[:, :200] = 1
    entities, photo = EntityMap.from_labels(labels), np.zeros((60, 400, 3), np.uint8)
    alpha = mask_picture(photo, entities, Area((1,)), MaskSettings(grow=40, feather=0), 100)[..., 3]
    assert alpha.shape == (15, 100)
    assert (alpha[:, :60] > 0).all()  # 200 + 40 pixels of the photo
    assert not alpha[:, 60:].any()


def test_without_a_selection_no_mask_is_shown(pixels: np.ndarray, quarters: EntityMap) -> None:
    everything = EntityMap.from_labels(np.ones((80, 120), int))
    for entities, area in [
        (quarters, Area()),
        (quarters, Area(invert=True)),
        (everything, Area((1,), invert=True)),
    ]:
        shown = mask_picture(pixels, entities, area, PLAIN, 1600)
        assert shown.shape == (80, 120, 4)
        assert not shown.any()


def test_a_mask_of_what_is_no_longer_there_is_one_sentence(pixels: np.ndarray, quarters: EntityMap) -> None:
    for ids in ((4,), (-1,), (0,)):
        with pytest.raises(InputError):
            mask_picture(pixels, quarters, Area(ids), PLAIN, 1600)


# ---------------------------------------------------------------------------------------------- edits


@pytest.mark.parametrize(
    ("area", "how"),
    [
        (Area((1,)), MaskSettings()),
        (Area((1,)), PLAIN),
        (Area((1,), invert=True), MaskSettings(grow=2, feather=9)),
        (Area((1,), soft=True), MaskSettings()),
    ],
)
def test_removing_changes_nothing_where_the_mask_has_faded_out(
    pixels: np.ndarray, quarters: EntityMap, area: Area, how: MaskSettings
) -> None:
    before = pixels.copy()
    result, crop = edited(pixels, quarters, Edit(area, mask=how), None)
    assert np.array_equal(pixels, before)
    assert (result.shape, result.dtype) == (pixels.shape, np.uint8)
    assert (crop.target, crop.grow, crop.feather) == (0, how.grow, how.feather)
    outside = cut_for_inpainting(pixels, mask_of(pixels, quarters, area), crop).stitch.full_mask == 0
    assert outside.any()
    assert np.array_equal(result[outside], pixels[outside])
    inside = mask_of(pixels, quarters, area) == 1
    assert (result[inside] != pixels[inside]).any(axis=1).mean() > 0.9


def test_what_is_removed_takes_the_colour_around_it() -> None:
    photo = np.full((40, 60, 3), 90, np.uint8)
    photo[15:25, 20:40] = 255
    labels = np.zeros((40, 60), np.int32)
    labels[15:25, 20:40] = 1
    result, _ = edited(photo, EntityMap.from_labels(labels), Edit(Area((1,)), mask=MaskSettings(4, 2)), None)
    assert np.abs(result.astype(int) - 90).max() <= 5


def test_a_prompt_is_painted_as_the_settings_say(
    pixels: np.ndarray, quarters: EntityMap, tiny_diffusion: Callable[[int], Path]
) -> None:
    engine = DiffusionInpainting.from_pretrained(tiny_diffusion(9), device="cpu")
    how = MaskSettings(grow=3, feather=2)

    told: list[tuple[int, int, str]] = []

    def paint(**options: Any) -> np.ndarray:
        settings = PaintSettings(**{"steps": 2, "match_colour": 0.0, **options})
        edit = Edit(Area((1,)), "a red hat", how, settings, engine.name)
        return edited(pixels, quarters, edit, engine, lambda *news: told.append(news))[0]

    first = paint()
    assert told == [(1, 2, "steps"), (2, 2, "steps")]
    crop = how.crop(engine)
    assert (crop.target, crop.multiple) == (64, 8)
    outside = cut_for_inpainting(pixels, quarters.mask(1), crop).stitch.full_mask == 0
    assert np.array_equal(first[outside], pixels[outside])
    assert (first[quarters.mask(1)] != pixels[quarters.mask(1)]).any(axis=1).mean() > 0.9
    assert np.array_equal(paint(), first)
    for other in ({"seed": 1}, {"steps": 3}, {"strength": 0.5}, {"guidance": 1.0}, {"match_colour": 1.0}):
        assert not np.array_equal(paint(**other), first), other


def test_a_hole_made_with_the_brush_stays_a_hole() -> None:
    point = ((0.5, 0.5),)
    assert Area((1,), (Stroke(True, 0.1, point),)).filled(MaskSettings()).fill_holes
    assert not Area((1,), (Stroke(False, 0.1, point),)).filled(MaskSettings()).fill_holes
    assert not Area((1,)).filled(PLAIN).fill_holes


# ---------------------------------------------------------------------------------------------- lists of steps


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1, 3 = a blue dress", [((1, 3), "a blue dress")]),
        ("1-2 =", [((1, 2), "")]),
        ("  2=  x = y  ", [((2,), "x = y")]),
        ("\n1 = a\n\n  \nlargest 2 =\n", [((1,), "a"), ((1, 2), "")]),
        ("area>=5% = moss", [((1, 2, 3), "moss")]),
        ("score<=0.4 = moss", [((3,), "moss")]),
        ("area>5% =", [((1, 2, 3), "")]),
        ("score<0.5 = x >= y", [((3,), "x >= y")]),
        ('phrase: "dog" = a cat', [((2,), "a cat")]),
        ("not 1 = sky", [((2, 3), "sky")]),
    ],
)
def test_a_list_of_steps(quarters: EntityMap, text: str, steps: list[tuple[tuple[int, ...], str]]) -> None:
    grounding = Grounding("a dog", (Phrase("dog", (2, 5), (2,), (0.9,)),))
    assert read_steps(text, quarters, grounding=grounding) == steps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^The list is empty; write a line such as: 3, 5 = a blue dress\.$"),
        (" \n\n", r"^The list is empty"),
        ("1 = a\n2", r"^Step 2: write entities = prompt"),
        ("1 = a\n\n9 = b", r"^Step 3: .*9"),
        ("= b", r"^Step 1: no entity matches ''\.$"),
        ("score>0.9 = b", r"^Step 1: no entity matches 'score>0\.9'\.$"),
        ("the dog = b", r"^Step 1: "),
        ("area>=5%", r"^Step 1: write entities = prompt"),
        ("phrase: dog = b", r"^Step 1: there is no phrase 'dog' yet; ground "),
    ],
)
def test_an_error_in_a_list_has_the_number_of_its_line(quarters: EntityMap, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_steps(text, quarters)
    assert "\n" not in str(caught.value)
