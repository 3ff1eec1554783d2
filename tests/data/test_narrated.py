from __future__ import annotations

import numpy as np
import pytest

from esg.data.labelled import UNKNOWN, LabelledPhoto
from esg.data.narrated import NARRATED, tell_named, tell_photo, tell_scene
from esg.data.scenes.synth import make_scene
from esg.support.errors import ImageError

SIDES = (64, 96)


def test_entities_of_a_mention_are_those_of_the_scene_under_other_numbers() -> None:
    told = tell_scene(11, np.random.default_rng(0), SIDES)
    height, width = told.labels.shape
    scene = make_scene(11, height, width, NARRATED)
    assert np.array_equal(told.image, scene.image)
    pairs = np.unique(np.stack((told.labels.ravel(), scene.labels.ravel())), axis=1)
    assert pairs.shape[1] == len(np.unique(told.labels)) == len(np.unique(scene.labels))  # one to one
    for mention in told.narratives[0].mentions:
        assert set(mention.entity_ids) <= set(np.unique(told.labels).tolist())
        assert mention.plural == (len(mention.entity_ids) > 1)


def test_referring_expressions_are_one_mention_each() -> None:
    told = tell_scene(0, np.random.default_rng(0), SIDES, refers=[True, False, True])
    one, narrative, other = told.narratives
    for expression in (one, other):
        (mention,) = expression.mentions
        assert mention.span == (0, len(expression.caption))
        assert len(mention.entity_ids) == 1
    assert len(narrative.mentions) > 1


def photo(labels: np.ndarray, *categories: str) -> LabelledPhoto:
    image = np.full((*labels.shape, 3), (200, 10, 30), np.uint8)
    return LabelledPhoto("7", image, labels.astype(np.int32), categories or (None,) * int(labels.max()))


@pytest.mark.parametrize("side", [1, 12])
def test_a_photo_with_one_small_entity_always_gets_a_text(side: int) -> None:
    labels = np.zeros((90, 120), np.uint8)
    labels[:side, :side] = 1
    photos = photo(labels)
    told = [tell_photo(photos, np.random.default_rng(seed), SIDES, refers=[False, True]) for seed in range(25)]
    assert all(np.array_equal(np.unique(one.labels), [0, 1]) for one in told)
    assert all(len(one.facts) == 1 and len(one.narratives) == 2 for one in told)
    whole = [one.labels.shape == labels.shape for one in told]
    assert any(whole)  # where no crop showed it
    assert not all(whole)
    assert all((one.labels > 0).sum() == side**2 for one in told if one.labels.shape == labels.shape)


def test_a_segmentation_without_a_segment_is_one_sentence() -> None:
    photos = photo(np.zeros((30, 40), np.uint8))
    with pytest.raises(ImageError, match=r"7 does not have any segments \(all pixels are 0\); replace or remove it\.$"):
        tell_photo(photos, np.random.default_rng(0), SIDES)


def test_texts_about_a_photo_with_categories_use_their_names() -> None:
    labels = np.full((90, 120), UNKNOWN, np.int32)
    labels[:45], labels[50:80, 10:50], labels[50:80, 60:110] = 1, 2, 3
    named = photo(labels, "sky-other-merged", "dog", "dog")
    lists = 0
    for seed in range(12):
        told = tell_named(named, {"dog"}, np.random.default_rng(seed), SIDES, refers=[False])
        assert told is not None
        nouns = {fact.id: fact.noun for fact in told.facts}
        assert set(nouns.values()) <= {"sky", "dog"}
        assert told.labels.min() == 0  # nothing is grounded in what nobody has labelled
        (narrative,) = told.narratives
        absent = [mention for mention in narrative.mentions if not mention.entity_ids]
        lists += bool(absent)
        for mention in narrative.mentions:
            text = narrative.caption[slice(*mention.span)]
            assert all(nouns[one] in text or f"{nouns[one]}s" in text for one in mention.entity_ids), text
        assert not {narrative.caption[slice(*one.span)] for one in absent} & {*nouns.values(), "dogs"}
        assert set(told.names) <= {"sky", "dog", "two dogs"}
        assert told.descriptions[0].endswith(".")
    assert 0 < lists < 12


def test_without_augmentation_a_photo_stays_as_it_is() -> None:
    """Sec. 5.3 of the paper: photos are scaled and padded, never cropped."""
    labels = np.full((90, 120), UNKNOWN, np.int32)
    labels[:45], labels[50:80, 10:50] = 1, 2
    for told in (
        tell_photo(photo(labels), np.random.default_rng(0), None),
        tell_named(photo(labels, "sky-other-merged", "dog"), {"dog"}, np.random.default_rng(0), None),
    ):
        assert told is not None
        assert np.array_equal(told.image, photo(labels).image)
        assert np.array_equal(told.labels > 0, labels > 0)
    nothing = photo(np.full((90, 120), UNKNOWN, np.int32))
    assert tell_named(nothing, {"dog"}, np.random.default_rng(0), None) is None


def test_a_photo_of_which_no_crop_shows_an_entity_is_left_out() -> None:
    labels = np.full((900, 900), UNKNOWN, np.int32)
    labels[0, 0] = 1
    assert tell_named(photo(labels, "dog"), {"dog"}, np.random.default_rng(3), SIDES) is None


def test_another_segmenters_masks_are_changed_like_the_true_ones() -> None:
    rows, columns = np.indices((90, 120))
    labels = 1 + (rows > 40) + 2 * (columns > 50)
    given = np.where(columns > 80, 1, 2) * (rows > 10)
    image = np.stack((labels * 20, given * 60, labels), -1).astype(np.uint8)
    true = LabelledPhoto("7", image, labels.astype(np.int32), (None,) * 4)
    for seed in range(5):
        told = tell_photo(true, np.random.default_rng(seed), SIDES, given=given.astype(np.int32))
        plain = tell_photo(true, np.random.default_rng(seed), SIDES)
        assert np.array_equal(told.labels, plain.labels)
        assert told.given is not None
        whole = tell_photo(
            LabelledPhoto("7", image, (given + 1).astype(np.int32), (None,) * 3), np.random.default_rng(seed), SIDES
        )
        # The same crop of the other map, in which entities have other numbers.
        pairs = np.unique(np.stack((told.given.ravel(), whole.labels.ravel())), axis=1)
        assert pairs.shape[1] == len(np.unique(told.given)) == len(np.unique(whole.labels))
    assert tell_photo(true, np.random.default_rng(0), None, given=given.astype(np.int32)).given.max() == 2
