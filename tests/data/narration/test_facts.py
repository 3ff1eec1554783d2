"""Facts about tiny pictures with known answers, and about synthetic scenes."""

from __future__ import annotations

import numpy as np
import pytest

from esg.data.narration.facts import Facts, photo_facts, scene_facts
from esg.data.narration.words import KINDS, NOUNS, SHAPES, SHOWN_AS, SIZES
from esg.data.scenes.outlines import OUTLINES
from esg.data.scenes.synth import Scene, SceneEntity, make_scene
from esg.data.scenes.textures import TEXTURES
from esg.support.errors import InputError

GREY, RED, BLUE = (120, 120, 120), (220, 30, 30), (30, 60, 220)


def picture(*patches: tuple[int, int, int, int, tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture of 100 x 200 with patches x0, y0, x1, y1, colour; ids are 1 for the ground, 2, 3, ..."""
    image, labels = np.full((100, 200, 3), GREY, np.uint8), np.ones((100, 200), np.int32)
    for number, (x0, y0, x1, y1, colour) in enumerate(patches, 2):
        image[y0:y1, x0:x1], labels[y0:y1, x0:x1] = colour, number
    return image, labels


def fact(*patches: tuple[int, int, int, int, tuple[int, int, int]]) -> Facts:
    """Facts of the first of some patches."""
    return photo_facts(*picture(*patches))[1]


def test_a_red_square_at_the_bottom_left() -> None:
    found = fact((20, 70, 40, 90, RED))
    assert found.id == 2
    assert (found.colour, found.noun, found.position, found.size) == ("red", "shape", "at the bottom left", "medium")
    assert (found.kind, found.form, found.tone) == (None, None, None)
    assert (found.area, found.box, found.centroid) == (400, (20, 70, 40, 90), (30, 80))
    assert found.clear == {"red", "shape", "smooth", "bottom", "left"}
    assert found.clear <= found.words


def test_the_ground_is_across_the_whole_picture() -> None:
    ground = photo_facts(*picture((90, 40, 110, 60, RED)))[0]
    assert (ground.noun, ground.colour, ground.position, ground.size) == (
        "area",
        "grey",
        "across the whole picture",
        "large",
    )
    assert "middle" not in ground.clear


@pytest.mark.parametrize(
    ("box", "position"),
    [
        ((0, 0, 20, 20), "at the top left"),
        ((90, 0, 110, 20), "at the top"),
        ((180, 0, 200, 20), "at the top right"),
        ((0, 40, 20, 60), "on the left"),
        ((90, 40, 110, 60), "in the middle"),
        ((180, 40, 200, 60), "on the right"),
        ((0, 80, 20, 100), "at the bottom left"),
        ((0, 80, 200, 100), "at the bottom"),
        ((180, 80, 200, 100), "at the bottom right"),
        ((0, 30, 200, 60), None),  # a band across the middle
        ((66, 40, 80, 60), None),  # between left and middle
    ],
)
def test_positions(box: tuple[int, int, int, int], position: str | None) -> None:
    assert fact((*box, RED)).position == position


def test_a_place_between_two_words_is_arguable() -> None:
    found = fact((66, 40, 80, 60, RED))
    assert {"left", "middle"} <= found.words
    assert not {"left", "middle"} & found.clear


@pytest.mark.parametrize(
    ("box", "noun"),
    [
        ((0, 0, 60, 30), "area"),
        ((10, 10, 60, 14), "strip"),
        ((10, 10, 14, 14), "spot"),
        ((10, 10, 30, 30), "shape"),
    ],
)
def test_nouns_tell_shapes(box: tuple[int, int, int, int], noun: str) -> None:
    assert fact((*box, RED)).noun == noun


def test_a_ragged_thing_is_a_patch() -> None:
    image, labels = picture()
    labels[30:50, 30:50][::4] = 2
    labels[30:50, 38:42] = 2
    found = photo_facts(image, labels)[1]
    assert found.noun == "patch"
    assert "shape" not in found.words


@pytest.mark.parametrize(
    ("side", "size", "true"),
    [
        (6, "tiny", {"tiny", "small"}),
        (12, "small", {"small"}),
        (18, "medium", {"small"}),  # 1.6 %, just above the limit
        (30, "medium", set()),
        (60, "large", {"large"}),
    ],
)
def test_sizes(side: int, size: str, true: set[str]) -> None:
    found = fact((5, 5, 5 + side, 5 + side, RED))
    assert found.size == size
    assert found.words & SIZES.keys() == true
    assert found.clear & SIZES.keys() == {size} - {"medium"}


def test_a_colour_is_given_only_if_it_is_clear() -> None:
    image, labels = picture((0, 0, 40, 40, RED))
    image[:20, :40] = BLUE
    half = photo_facts(image, labels)[1]
    assert half.colour is None
    assert {"red", "blue"} <= half.words
    image[:30, :40] = BLUE
    most = photo_facts(image, labels)[1]
    assert most.colour == "blue"
    assert "red" not in most.words


@pytest.mark.parametrize(("colour", "tone"), [((0, 60, 0), "dark"), ((180, 240, 180), "light"), ((0, 128, 0), None)])
def test_tones(colour: tuple[int, int, int], tone: str | None) -> None:
    found = fact((0, 0, 40, 40, colour))
    assert (found.colour, found.tone) == ("green", tone)


def test_surfaces_are_smooth_or_rough() -> None:
    image, labels = picture((0, 0, 100, 100, RED))
    assert photo_facts(image, labels)[1].texture == "smooth"
    image[:, :100] = (
        np.where(np.random.default_rng(0).random((25, 25)) < 0.5, 40, 200).repeat(4, 0).repeat(4, 1)[..., None]
    )
    rough = photo_facts(image, labels)[1]
    assert rough.texture == "rough"
    assert "smooth" not in rough.words


def test_ids_may_have_gaps_and_nothing_gives_no_facts() -> None:
    image, labels = picture((0, 0, 40, 40, RED))
    labels[labels == 2] = 70
    labels[labels == 1] = 0
    assert [f.id for f in photo_facts(image, labels)] == [70]
    assert photo_facts(image, np.zeros_like(labels)) == ()


def test_bad_input() -> None:
    image, labels = picture()
    with pytest.raises(InputError, match="uint8"):
        photo_facts(image.astype(np.float32), labels)
    with pytest.raises(InputError, match="one per pixel"):
        photo_facts(image, labels[1:])
    with pytest.raises(InputError, match=">= 0"):
        photo_facts(image, -labels)


def scene(name: str, kind: str, texture: str, image: np.ndarray, labels: np.ndarray) -> Scene:
    entities = tuple(
        SceneEntity(k, *(("wall", "stuff") if k == 1 else (name, kind)), "red", texture, "small", (0, 0, 1, 1), 1)
        for k in np.unique(labels).tolist()
    )
    return Scene(image, labels, entities, ())


def test_scenes_give_names_and_the_picture_gives_colours() -> None:
    image, labels = picture((0, 0, 60, 60, BLUE))
    found = scene_facts(scene("pierced tile", "thing", "plain", image, labels))[1]
    assert (found.noun, found.form, found.kind, found.colour) == ("box", "pierced", "thing", "blue")
    assert {"box", "pierced", "blue"} <= found.clear


def test_a_pattern_is_given_only_if_it_is_visible() -> None:
    image, labels = picture((0, 0, 60, 60, BLUE))
    hidden = scene_facts(scene("disc", "thing", "wooden", image, labels))[1]
    assert hidden.texture is None
    assert "striped" in hidden.words - hidden.clear
    image[:60, :60] = np.where(np.arange(60) // 6 % 2, 160, 40)[None, :, None]
    assert scene_facts(scene("disc", "thing", "wooden", image, labels))[1].texture == "striped"
    assert scene_facts(scene("railing", "thing", "wooden", image, labels))[1].texture is None


def test_unknown_names_get_the_noun_of_their_kind() -> None:
    image, labels = picture((0, 0, 60, 60, BLUE))
    assert scene_facts(scene("gadget", "thing", "plain", image, labels))[1].noun == "shape"
    assert scene_facts(scene("goo", "stuff", "plain", image, labels))[1].noun == "area"


@pytest.mark.parametrize("seed", range(6))
def test_facts_of_scenes_agree_with_them(seed: int) -> None:
    made = make_scene(seed, 96, 128)
    for found, entity in zip(scene_facts(made), made.entities, strict=True):
        assert (found.id, found.kind, found.area, found.box) == (entity.id, entity.kind, entity.area, entity.box)
        assert found.size == entity.size
        assert found.noun == NOUNS[entity.name.split()[-1]]
        assert {found.noun} <= found.clear <= found.words <= KINDS.keys() | {*NOUNS.values(), "pierced", "bitten"}


def test_every_texture_and_outline_has_a_word() -> None:
    assert SHOWN_AS.keys() == TEXTURES.keys() - {"plain"}
    assert OUTLINES.keys() <= NOUNS.keys()
    assert set(SHAPES) & set(NOUNS.values()) == {"area"}


def test_photos_of_people_have_facts(shared) -> None:  # type: ignore[no-untyped-def]
    from esg.data.labelled import labelled
    from esg.data.opening import open_photos

    photo = open_photos(shared / "data" / "bsds500" / "train")[0]
    for annotator in range(len(photo.annotators)):
        one = labelled(photo, (), annotator)
        labels = one.labels
        found = photo_facts(one.image, labels)
        assert [f.id for f in found] == np.unique(labels[labels > 0]).tolist()
        assert sum(f.area for f in found) == np.count_nonzero(labels)
        assert all(f.noun in SHAPES for f in found)
