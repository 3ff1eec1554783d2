from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esg.data.bsds import BsdsPhotos
from esg.data.synth import make_scene
from esg.data.telling.told import NARRATED, tell_photo, tell_scene
from esg.errors import ImageError

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


def photo(folder: Path, labels: np.ndarray) -> BsdsPhotos:
    Image.new("RGB", labels.shape[::-1], (200, 10, 30)).save(folder / "7.jpg")
    Image.fromarray(labels).save(folder / "7_0.png")
    return BsdsPhotos(folder)


@pytest.mark.parametrize("side", [1, 12])
def test_a_photo_with_one_small_entity_can_always_be_told(tmp_path: Path, side: int) -> None:
    labels = np.zeros((90, 120), np.uint8)
    labels[:side, :side] = 1
    photos = photo(tmp_path, labels)
    told = [tell_photo(photos, np.random.default_rng(seed), SIDES, refers=[False, True]) for seed in range(25)]
    assert all(np.array_equal(np.unique(one.labels), [0, 1]) for one in told)
    assert all(len(one.facts) == 1 and len(one.narratives) == 2 for one in told)
    whole = [one.labels.shape == labels.shape for one in told]
    assert any(whole)  # where no crop showed it
    assert not all(whole)
    assert all((one.labels > 0).sum() == side**2 for one in told if one.labels.shape == labels.shape)


def test_a_segmentation_without_a_segment_is_one_sentence(tmp_path: Path) -> None:
    photos = photo(tmp_path, np.zeros((30, 40), np.uint8))
    with pytest.raises(ImageError, match=r"7\.jpg has no segment, all of it is 0; replace or remove it\.$"):
        tell_photo(photos, np.random.default_rng(0), SIDES)
