"""Panoptic results: merged stuff, separate things, and COCO's files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from esg.entities.categories import Categories
from esg.entities.entity_map import EntityMap
from esg.entities.importing.panoptic import ids_of_colours
from esg.entities.name_lists import NameList
from esg.entities.panoptic import Panoptic

CATEGORIES = Categories(("dog", "sky-other-merged", "grass"), (True, False, False), (18, 187, 193))
NAMES = NameList(CATEGORIES, ("dog", "sky", "grass"))
LABELS = np.array([[1, 1, 2, 2], [1, 0, 2, 3], [4, 4, 5, 6]])
ENTITIES = EntityMap.from_labels(LABELS, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])  # keeps these numbers


@pytest.fixture
def found() -> Panoptic:
    # Two dogs, and three parts of the sky; entity 6 has no name.
    names = {1: (0, 0.5), 2: (1, 0.9), 3: (1, 0.3), 4: (0, 0.95), 5: (1, 0.3)}
    return Panoptic.of(ENTITIES, names, NAMES)


def test_stuff_is_merged_and_things_stay_apart(found: Panoptic) -> None:
    told = [(one.id, one.name, one.category_id, one.isthing, one.entity_ids) for one in found.segments]
    assert told == [
        (1, "dog", 18, True, (4,)),
        (2, "sky-other-merged", 187, False, (2, 3, 5)),
        (3, "dog", 18, True, (1,)),
    ]
    # The sky's score is the mean by area: (3 · 0.9 + 0.3 + 0.3) / 5.
    assert [one.score for one in found.segments] == pytest.approx([0.95, 0.66, 0.5])
    assert found.entities.labels.tolist() == [[3, 3, 2, 2], [3, 0, 2, 2], [1, 1, 2, 0]]
    assert found.entities.names == ("dog", "sky-other-merged", "dog")


def test_nothing_named_is_nothing() -> None:
    found = Panoptic.of(ENTITIES, {}, NAMES)
    assert found.segments == ()
    assert not found.entities.labels.any()
    assert found.grounding().caption == "no name"


def test_the_files_are_those_of_coco(found: Panoptic) -> None:
    content = json.loads(json.dumps(found.to_coco("a.jpg", "a.png")))
    (annotation,) = content["annotations"]
    segments = {one["id"]: one for one in annotation["segments_info"]}
    assert {number: one["category_id"] for number, one in segments.items()} == {1: 18, 2: 187, 3: 18}
    assert (segments[2]["area"], segments[2]["bbox"]) == (5, [2, 0, 2, 3])
    assert content["categories"][1] == {"id": 187, "name": "sky-other-merged", "isthing": 0}
    assert len(content["categories"]) == 3
    assert np.array_equal(ids_of_colours(found.colours), found.entities.labels)


def test_the_names_are_a_grounding(found: Panoptic) -> None:
    phrases = [(phrase.text, phrase.entity_ids) for phrase in found.grounding().phrases]
    assert phrases == [("dog", (1, 3)), ("sky", (2,))]


def test_many_parts_of_every_kind() -> None:
    rng = np.random.default_rng(0)
    entities = EntityMap.from_labels(rng.integers(0, 40, (30, 30)))
    names = {number: (int(rng.integers(3)), float(rng.random())) for number in range(1, len(entities) + 1)}
    found = Panoptic.of(entities, names, NAMES)
    for segment in found.segments:
        assert {CATEGORIES.names[names[number][0]] for number in segment.entity_ids} == {segment.name}
        whole = np.isin(entities.labels, segment.entity_ids)
        assert np.array_equal(found.entities.labels == segment.id, whole)
    assert sum(not segment.isthing for segment in found.segments) == 2
