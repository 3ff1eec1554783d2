from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Nodes = Callable[[str], Any]


@pytest.fixture
def grounded(entities: Any, core: Any) -> Any:
    """Of one picture, four quarters; two phrases mean some of them."""
    phrases = (core.Phrase("left", (0, 4), (1, 3), (0.9, 0.8)), core.Phrase("right", (6, 11), (2,), (0.7,)))
    return type(entities).of(entities.maps[:1], [core.Grounding("left, right", phrases)])


@pytest.fixture
def middle(entities: Any, core: Any) -> Any:
    """Of the same picture: a surer entity in its middle."""
    labels = np.zeros((40, 60), np.int32)
    labels[10:30, 15:45] = 1
    grounding = core.Grounding("middle", (core.Phrase("middle", (0, 6), (1,), (1.0,)),))
    return type(entities).of([core.EntityMap.from_labels(labels, [0.9])], [grounding])


def meant(entities: Any) -> dict[str, tuple[int, ...]]:
    (grounding,) = entities.groundings
    assert all(grounding.caption[slice(*phrase.span)] == phrase.text for phrase in grounding.phrases)
    return {phrase.text: phrase.entity_ids for phrase in grounding.phrases}


def test_a_union_has_the_entities_and_the_phrases_of_both(nodes: Nodes, grounded: Any, middle: Any) -> None:
    (found,) = nodes("CombineEntities").combine(grounded, middle, "union")
    assert found.maps[0].scores.round(1).tolist() == pytest.approx([0.9, 0.7, 0.6, 0.5, 0.4])
    assert np.array_equal(found.maps[0].labels == 1, middle.maps[0].labels == 1)
    assert found.groundings[0].caption == "left, right, middle"
    assert meant(found) == {"left": (2, 4), "right": (3,), "middle": (1,)}


def test_a_sentence_goes_on_behind_its_full_stop(nodes: Nodes, grounded: Any, middle: Any, core: Any) -> None:
    grounding = core.Grounding("It is left.", (core.Phrase("left", (6, 10), (1,), (0.5,)),))
    sentence = type(grounded).of(grounded.maps, [grounding])
    (found,) = nodes("CombineEntities").combine(sentence, middle, "union")
    assert found.groundings[0].caption == "It is left. middle"
    assert meant(found) == {"left": (2,), "middle": (1,)}


def test_phrases_of_one_side_are_kept(nodes: Nodes, grounded: Any, middle: Any) -> None:
    nameless = type(grounded).of(grounded.maps)
    assert meant(nodes("CombineEntities").combine(nameless, middle, "union")[0]) == {"middle": (1,)}
    bare = type(middle).of(middle.maps)
    assert meant(nodes("CombineEntities").combine(grounded, bare, "union")[0]) == {"left": (2, 4), "right": (3,)}
    assert nodes("CombineEntities").combine(nameless, bare, "union")[0].groundings == (None,)


def test_what_was_picked_and_the_rest_together_are_what_was(
    nodes: Nodes, grounded: Any, image: torch.Tensor, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _, picked, rest, _ = nodes("PickEntities").pick(image[:1], grounded, "2,3", False)["result"]
    (found,) = nodes("CombineEntities").combine(picked, rest, "union")
    assert found == grounded


def test_subtracting_and_intersecting(nodes: Nodes, grounded: Any, middle: Any) -> None:
    inside = middle.maps[0].labels > 0
    (left,) = nodes("CombineEntities").combine(grounded, middle, "subtract")
    assert np.array_equal(left.maps[0].labels, np.where(inside, 0, grounded.maps[0].labels))
    assert left.groundings == grounded.groundings
    (common,) = nodes("CombineEntities").combine(grounded, middle, "intersect")
    assert np.array_equal(common.maps[0].labels, np.where(inside, grounded.maps[0].labels, 0))
    assert meant(nodes("CombineEntities").combine(middle, left, "intersect")[0]) == {"middle": ()}


def test_only_entities_of_the_same_pictures_are_combined(nodes: Nodes, entities: Any, middle: Any, core: Any) -> None:
    with pytest.raises(core.InputError, match="a has entities of 2 pictures and b of 1"):
        nodes("CombineEntities").combine(entities, middle, "union")
    small = type(middle).of([core.EntityMap.from_labels(np.ones((2, 2), int))])
    with pytest.raises(core.InputError, match="Only maps of the same picture"):
        nodes("CombineEntities").combine(middle, small, "union")


def test_several_entities_become_one(nodes: Nodes, grounded: Any) -> None:
    found, ids = nodes("MergeEntities").merge(grounded, "phrase: left, 4")
    assert np.array_equal(found.maps[0].labels == 1, grounded.maps[0].labels != 2)
    assert ids == "1"
    assert meant(found) == {"left": (1,), "right": (2,)}


def test_merging_nothing_changes_nothing(nodes: Nodes, entities: Any) -> None:
    found, ids = nodes("MergeEntities").merge(entities, "area>5000")
    assert found == entities
    assert ids == "none\nnone"


def test_numbers_that_only_other_pictures_have_are_no_error(
    nodes: Nodes, sieve: Callable[..., Any], entities: Any, grounded: Any, core: Any
) -> None:
    assert nodes("MergeEntities").merge(entities, "1,4")[1] == "1\nnone"
    assert [len(found) for found in sieve(entities, picks="1,4").maps] == [2, 0]
    for run in (lambda: nodes("MergeEntities").merge(grounded, "9"), lambda: sieve(grounded, picks="9")):
        with pytest.raises(core.InputError, match="There is no entity 9"):
            run()


@pytest.fixture
def paint() -> torch.Tensor:
    """MASK of half the size of the pictures: the upper half."""
    mask = torch.zeros(1, 20, 30)
    mask[:, :10] = 1
    return mask


def test_paint_becomes_an_entity(nodes: Nodes, grounded: Any, paint: torch.Tensor) -> None:
    paint[:, :, :10] = 0
    found, ids = nodes("SplitEntity").split(grounded, paint, "new entity", 0)
    number = int(ids)
    inside = np.zeros((40, 60), bool)
    inside[:20, 20:] = True
    assert np.array_equal(found.maps[0].labels == number, inside)
    assert len(found.maps[0]) == 4  # nothing is left of the second quarter
    assert meant(found)["right"] == ()
    cut, ids = nodes("SplitEntity").split(grounded, paint, "new entity", 1)
    inside[:, 30:] = False
    assert np.array_equal(cut.maps[0].labels == int(ids), inside)
    assert len(cut.maps[0]) == 5


def test_paint_is_given_and_taken(nodes: Nodes, grounded: Any, paint: torch.Tensor) -> None:
    before = grounded.maps[0].labels
    found, ids = nodes("SplitEntity").split(grounded, paint, "add to", 4)
    assert np.array_equal(found.maps[0].labels == int(ids), (before == 4) | (before <= 2))
    assert meant(found) == {"left": (1,), "right": ()}
    taken, ids = nodes("SplitEntity").split(grounded, paint, "take from", 2)
    assert np.array_equal(taken.maps[0].labels == 0, before == 2)
    assert ids == "none"
    taken, ids = nodes("SplitEntity").split(grounded, paint, "take from", 0)
    assert np.array_equal(taken.maps[0].labels == 0, before <= 2)
    assert ids == "none"


def test_one_painted_mask_is_for_all_pictures(nodes: Nodes, entities: Any, paint: torch.Tensor, core: Any) -> None:
    found, ids = nodes("SplitEntity").split(entities, paint, "new entity", 0)
    assert ids == "1\n1"
    assert [one.mask(1)[:20].all() for one in found.maps] == [True, True]
    each = torch.stack([torch.zeros(20, 30), paint[0]])
    assert nodes("SplitEntity").split(entities, each, "new entity", 0)[1] == "none\n1"
    with pytest.raises(core.InputError, match="There are 3 masks for 2 pictures"):
        nodes("SplitEntity").split(entities, torch.zeros(3, 40, 60), "new entity", 0)
    with pytest.raises(core.InputError, match="entity is 0; for add to"):
        nodes("SplitEntity").split(entities, paint, "add to", 0)
    with pytest.raises(core.InputError, match="There is no entity 9"):
        nodes("SplitEntity").split(entities, paint, "take from", 9)


@pytest.mark.parametrize("operation", ["new entity", "add to", "take from"])
def test_paint_on_an_entity_that_a_picture_lacks_changes_nothing_there(
    nodes: Nodes, grounded: Any, entities: Any, paint: torch.Tensor, part: Callable[[str], Any], operation: str
) -> None:
    empty = entities.maps[1]
    words = grounded.groundings[0]
    two = part("values").Entities.of([grounded.maps[0], empty], [words, type(words)(words.caption)])
    found, ids = nodes("SplitEntity").split(two, paint, operation, 2)
    alone, number = nodes("SplitEntity").split(grounded, paint, operation, 2)
    assert ids == f"{number}\nnone"
    assert found.maps[0] == alone.maps[0]
    assert found.maps[1] == empty
    assert found.groundings == (alone.groundings[0], two.groundings[1])


@pytest.fixture
def sieve(nodes: Nodes) -> Callable[..., Any]:
    every = {"picks": "all", "min_score": 0.0, "remove_islands": 0, "fill_holes": 0, "min_area": 0, "max_count": 0}
    return lambda entities, **options: nodes("FilterEntities").filter(entities, **{**every, **options})[0]


def test_without_conditions_all_are_kept(sieve: Callable[..., Any], entities: Any, grounded: Any) -> None:
    assert sieve(entities) == entities
    assert sieve(grounded) == grounded


@pytest.mark.parametrize(
    ("options", "left", "right"),
    [
        ({"picks": "not 1"}, (2,), (1,)),
        ({"picks": "phrase: left"}, (1, 2), ()),
        ({"min_score": 0.55}, (1,), (2,)),
        ({"max_count": 1}, (1,), ()),
        ({"max_count": 9}, (1, 3), (2,)),
        ({"min_area": 601}, (), ()),
    ],
)
def test_entities_are_left_out_and_phrases_follow(
    sieve: Callable[..., Any], grounded: Any, options: Any, left: Any, right: Any
) -> None:
    assert meant(sieve(grounded, **options)) == {"left": left, "right": right}


def test_islands_and_holes(sieve: Callable[..., Any], entities: Any, core: Any) -> None:
    labels = np.ones((5, 8), np.int32)
    labels[2, 2] = 0  # a hole
    labels[2, 4] = labels[:, 6:] = 2  # an island, and what it belongs to
    grounding = core.Grounding("two", (core.Phrase("two", (0, 3), (2,), (0.5,)),))
    given = type(entities).of([core.EntityMap.from_labels(labels, [0.5, 0.5])], [grounding])
    tidy = sieve(given, remove_islands=2, fill_holes=1)
    assert tidy.maps[0].labels.tolist() == [[1] * 6 + [2] * 2] * 5
    assert meant(tidy) == {"two": (2,)}


def test_phrases_follow_when_tidying_changes_the_order(sieve: Callable[..., Any], entities: Any, core: Any) -> None:
    """At equal scores the larger entity comes first, and filling makes one larger."""
    labels = np.zeros((5, 12), np.int32)
    labels[:4, :5] = 1  # 20 pixels
    labels[:, 7:] = 2  # 25 pixels, less the hole of 9
    labels[1:4, 8:11] = 0
    grounding = core.Grounding("ring", (core.Phrase("ring", (0, 4), (2,), (0.5,)),))
    given = type(entities).of([core.EntityMap.from_labels(labels, [0.5, 0.5])], [grounding])
    filled = sieve(given, fill_holes=9)
    assert filled.maps[0].areas.tolist() == [25, 20]
    assert meant(filled) == {"ring": (1,)}


@pytest.fixture
def disc() -> tuple[torch.Tensor, np.ndarray]:
    """IMAGE of a bright disc, 48x64, and where it is."""
    rows, columns = np.mgrid[:48, :64]
    inside = (rows - 24) ** 2 + (columns - 32) ** 2 < 15**2
    return torch.from_numpy(np.repeat(np.where(inside, 0.9, 0.1)[None, ..., None], 3, 3)).float(), inside


def test_edges_go_to_those_of_the_picture(nodes: Nodes, disc: tuple[torch.Tensor, np.ndarray], core: Any) -> None:
    image, inside = disc
    rough = torch.from_numpy(np.roll(inside, 2, axis=1)).float()[None]
    (soft,) = nodes("RefineEdges").refine(image, torch.cat([rough, rough * 0]), 8, 0.03)
    assert soft.shape == (2, 48, 64)
    assert np.abs(soft[0].numpy() - inside).mean() < 0.3 * np.abs(rough[0].numpy() - inside).mean()
    photo = (image[0] * 255).round().byte().numpy()
    assert np.array_equal(soft[0].numpy(), core.soft_alpha(photo, rough[0].numpy() > 0.5, width=8, contrast=0.03))
    assert not soft[1].any()


def test_width_0_leaves_masks_and_sizes_are_fitted(nodes: Nodes, disc: tuple[torch.Tensor, np.ndarray]) -> None:
    image, _ = disc
    (same,) = nodes("RefineEdges").refine(image, torch.ones(1, 24, 32), 0, 0.03)
    assert torch.equal(same, torch.ones(1, 48, 64))


def test_pictures_and_masks_go_in_pairs(
    nodes: Nodes, disc: tuple[torch.Tensor, np.ndarray], core: Any, part: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(part("host").PlainHost, "progress", lambda self: lambda *args: seen.append(args[:2]))
    image, inside = disc
    rough = torch.from_numpy(inside).float()
    both = torch.cat([image, 1 - image])
    (soft,) = nodes("RefineEdges").refine(both, torch.stack([rough, rough]), 4, 0.03)
    assert torch.allclose(soft[0], soft[1], atol=1e-3)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (200, 200)
    with pytest.raises(core.InputError, match="There are 2 pictures for 3 masks"):
        nodes("RefineEdges").refine(both, torch.zeros(3, 48, 64), 4, 0.03)


def test_pictures_of_a_list_are_counted_through(nodes: Nodes, entities: Any) -> None:
    one_each = [type(entities).of([found]) for found in entities.maps]
    size = len(entities.maps[0])
    (left,) = nodes("FilterEntities").filter_lists(
        entities=[*one_each, one_each[0]],
        picks=["picture 1: 1, picture 3: 2,9"],
        **{name: [0] for name in ("min_score", "remove_islands", "fill_holes", "min_area", "max_count")},
    )
    assert [len(found) for (found,) in (one.maps for one in left)] == [1, 0, 1]
    assert np.array_equal(left[2].maps[0].labels > 0, entities.maps[0].labels == 2)
    merged, ids = nodes("MergeEntities").merge_lists(entities=one_each, picks=["all, picture 2: none"])
    assert [len(one.maps[0]) for one in merged] == [1, len(entities.maps[1])]
    assert ids == ["1", "none"]
    assert size > 1


def test_an_entity_that_cannot_be_is_told_before_anything_runs(nodes: Nodes) -> None:
    validate = nodes("SplitEntity").VALIDATE_INPUTS
    assert validate(operation="new entity", entity=0) is True
    assert validate(operation="add to", entity=None) is True  # it comes over a wire
    assert "entity is 0" in validate(operation="add to", entity=0)
    assert "use a number from 0" in validate(operation="add to", entity=-1)
    assert "use one of: new entity, add to, take from" in validate(operation="wash", entity=1)
