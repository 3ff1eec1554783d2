"""Names of entities' classes: they follow their entity through every operation and file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from esg import (
    EntityMap,
    Grounding,
    InputError,
    Phrase,
    ScoredMask,
    absorb_specks,
    assign,
    choose,
    drop_small,
    drop_weak,
    fill_holes,
    intersect,
    merge,
    read_masks,
    remove_islands,
    split,
    subtract,
    track_entities,
    union,
)
from esg.entities.importing.cvat import cvat_xml
from esg.entities.importing.labelme import labelme_dict
from esg.entities.importing.panoptic import panoptic_dict
from esg.entities.scored_masks import coco_results

LABELS = np.array([[3, 3, 3, 1], [0, 3, 2, 1]])
NAMED = EntityMap.from_labels(LABELS, [0.5, 0.9, 0.7], ["sky", "dog", None])  # dog 0.9, unnamed 0.7, sky 0.5


def test_names_are_ordered_like_scores() -> None:
    assert NAMED.names == ("dog", None, "sky")
    assert EntityMap.from_labels(LABELS).names == (None, None, None)
    assert EntityMap.from_labels(np.array([[0, 3]]), [1, 1, 1], ["a", "b", "c"]).names == ("c",)
    assert EntityMap.from_labels(np.array([[1]]), names=["a", "gone"]).names == ("a",)
    masks = np.array([[[True, True]], [[False, True]]])
    assert EntityMap.from_masks(masks, [0.2, 0.8], names=["whole", ""]).names == (None, "whole")


def test_maps_with_other_names_are_not_equal() -> None:
    assert EntityMap.from_labels(NAMED.labels, NAMED.scores) != NAMED
    assert EntityMap(NAMED.labels, NAMED.scores, NAMED.names) == NAMED


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c", "d"], ["a", "b", 3], "abc"])
def test_wrong_names_are_refused(names: list[str]) -> None:
    with pytest.raises(InputError, match=r"^Names must be a list of 3 texts or None, one for each score\.$"):
        EntityMap.from_labels(LABELS, [1, 1, 1], names)


def test_choosing_and_tidying_keep_names() -> None:
    assert NAMED.keep([1, 3]).names == ("dog", "sky")
    assert drop_weak(NAMED, 0.6).names == ("dog", None)
    assert drop_small(NAMED, 2).names == (None, "sky")
    for tidy in (fill_holes, remove_islands, absorb_specks):
        assert tidy(NAMED, 1).names == NAMED.names


def test_combining_keeps_names() -> None:
    other = EntityMap.from_labels(np.array([[0, 0, 0, 0], [1, 0, 0, 0]]), [0.8], ["cat"])
    assert union(NAMED, other).entities.names == ("dog", "cat", None, "sky")
    dog = EntityMap.from_labels(np.array([[0, 0, 0, 0], [0, 0, 1, 0]]))
    assert subtract(NAMED, dog).entities.names == (None, "sky")
    assert intersect(NAMED, EntityMap.from_labels(np.array([[0, 0, 0, 1], [0] * 4]))).entities.names == ("sky",)
    painted = np.array([[True, False, False, False], [False] * 4])
    assert assign(NAMED, 1, painted).entities.names == NAMED.names
    assert merge(NAMED, [1, 3]).entities.names == ("dog", None)
    assert merge(NAMED, [2, 3]).entities.names == ("dog", "sky")  # the best that has one


def test_a_part_has_the_name_of_its_whole() -> None:
    corner = np.array([[False] * 3 + [True], [False] * 4])
    assert split(NAMED, 3, corner, score=0.1).entities.names == ("dog", None, "sky", "sky")
    nothing_beneath = np.array([[False] * 4, [True] + [False] * 3])
    assert split(NAMED, None, nothing_beneath).entities.names == (None, "dog", None, "sky")


def test_without_a_grounding_a_phrase_chooses_by_names() -> None:
    assert choose(NAMED, "phrase: Dog") == [1]
    assert choose(NAMED, "all, not phrase: sky") == [1, 2]
    assert choose(NAMED, "phrase: horse") == []
    grounding = Grounding("A dog.", (Phrase("dog", (2, 5), (2,), (0.9,)),))
    assert choose(NAMED, "phrase: dog", grounding=grounding) == [2]


def test_a_track_has_the_name_that_its_entities_have_most_often() -> None:
    frames = [EntityMap.from_labels(np.ones((4, 4), int), names=[name]) for name in ("cat", "dog", "dog", None)]
    clip = track_entities(frames)
    assert [track.name for track in clip.tracks] == ["dog"]
    assert clip.entities(0).entities.names == ("dog",)
    assert track_entities(frames[3:]).tracks[0].name is None


def test_files_keep_names(tmp_path: Path) -> None:
    NAMED.save_coco(tmp_path / "named.json")
    NAMED.save_labels_png(tmp_path / "named.png")
    assert EntityMap.from_coco(tmp_path / "named.json") == NAMED
    assert EntityMap.from_labels_png(tmp_path / "named.png") == NAMED
    assert read_masks(tmp_path / "named.json") == read_masks(tmp_path / "named.png") == NAMED
    (tmp_path / "labelme.json").write_text(json.dumps(labelme_dict(NAMED)))
    (tmp_path / "cvat.xml").write_text(cvat_xml([(NAMED, "a.jpg")]))
    results = [
        ScoredMask(rle, float(score), name) for rle, score, name in zip(NAMED.to_rles(), NAMED.scores, NAMED.names)
    ]
    (tmp_path / "results.json").write_text(json.dumps(coco_results(results, 1)))
    assert read_masks(tmp_path / "labelme.json") == read_masks(tmp_path / "results.json") == NAMED
    assert {*read_masks(tmp_path / "cvat.xml").names} == {*NAMED.names}  # without scores, the order is another
    content = json.loads((tmp_path / "named.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "dog"}, {"id": 2, "name": "entity"}, {"id": 3, "name": "sky"}]
    assert [one["category_id"] for one in content["annotations"]] == [1, 2, 3]
    assert [shape["label"] for shape in labelme_dict(NAMED)["shapes"]] == ["dog", "entity", "sky"]
    assert [cvat_xml([(NAMED, "")]).count(f'label="{name}"') for name in ("dog", "entity", "sky")] == [1, 1, 1]
    panoptic = panoptic_dict(NAMED, "a.jpg", "a.png")
    assert [one["name"] for one in panoptic["categories"]] == ["dog", "entity", "sky"]
    assert [one["category_id"] for one in panoptic["annotations"][0]["segments_info"]] == [1, 2, 3]


def test_files_without_names_have_one_category(tmp_path: Path) -> None:
    plain = EntityMap.from_labels(LABELS)
    assert plain.to_coco()["categories"] == [{"id": 1, "name": "entity"}]
    assert {one["category_id"] for one in plain.to_coco()["annotations"]} == {1}
    assert EntityMap.from_labels(np.zeros((1, 1), int)).to_coco()["categories"] == [{"id": 1, "name": "entity"}]
    plain.save_labels_png(tmp_path / "plain.png")
    assert b"esg:names" not in (tmp_path / "plain.png").read_bytes()


@pytest.mark.parametrize("field", ["7", "[1, 2]", "no json"])
def test_damaged_names_in_a_png_are_told(tmp_path: Path, field: str) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    fields = PngInfo()
    fields.add_text("esg:names", field)
    Image.fromarray(np.ones((2, 2), np.uint8)).save(tmp_path / "a.png", pnginfo=fields)
    with pytest.raises(InputError, match=r"a\.png has damaged names in its field esg:names\.$"):
        EntityMap.from_labels_png(tmp_path / "a.png")
