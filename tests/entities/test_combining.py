"""Set operations and corrections, on maps of a few lines, and compared with the logic of single pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from esg.entities.combining import assign, follow, intersect, merge, split, subtract, union
from esg.entities.entity_map import EntityMap
from esg.entities.grounding import Grounding, Phrase
from esg.support.errors import InputError

SHAPE = (5, 6)
label_maps = hnp.arrays(np.int32, SHAPE, elements=st.integers(0, 4))
masks = hnp.arrays(bool, SHAPE)
maps = st.builds(EntityMap.from_labels, label_maps, st.lists(st.sampled_from([0.2, 0.5, 0.9]), min_size=4, max_size=4))


def draw(*rows: str) -> np.ndarray:
    return np.array([[int(letter.replace(".", "0")) for letter in row] for row in rows])


def entities_of(*rows: str, scores: tuple[float, ...] = (0.9, 0.5, 0.3)) -> EntityMap:
    return EntityMap.from_labels(draw(*rows), scores)


def masks_of(entities: EntityMap) -> list[np.ndarray]:
    return [entities.labels == number for number in range(1, len(entities) + 1)]


def test_union() -> None:
    a = entities_of("111.", "222.", scores=(0.9, 0.3))
    b = entities_of("..11", "..11", scores=(0.5,))
    entities, new_ids = union(a, b)
    assert entities.labels.tolist() == draw("1112", "3322").tolist()
    assert entities.scores.tolist() == pytest.approx([0.9, 0.5, 0.3])
    assert new_ids.tolist() == [0, 1, 3, 2]


def test_union_at_equal_scores() -> None:
    small, large = entities_of("11.."), entities_of("1111")
    assert union(large, small).entities.labels.tolist() == draw("2211").tolist()  # the smaller one lies above
    same = union(small, entities_of("11.."))
    assert (len(same.entities), same.new_ids.tolist()) == (1, [0, 1, 0])


def test_subtract_and_intersect() -> None:
    a = entities_of("1122", "1133")
    b = entities_of("..12", "...2")
    assert subtract(a, b).entities.labels.tolist() == draw("11..", "112.").tolist()
    assert subtract(a, b).new_ids.tolist() == [0, 1, 0, 2]
    assert intersect(a, b).entities.labels.tolist() == draw("..11", "...2").tolist()
    assert intersect(a, b).new_ids.tolist() == [0, 0, 1, 2]


@given(maps, maps)
def test_union_is_what_from_masks_makes_of_all_masks(a: EntityMap, b: EntityMap) -> None:
    entities, new_ids = union(a, b)
    assert entities == EntityMap.from_masks([*masks_of(a), *masks_of(b)], [*a.scores, *b.scores], size=SHAPE)
    assert sorted(new_ids[new_ids > 0]) == list(range(1, len(entities) + 1))
    of_a, of_b = new_ids[: len(a) + 1], new_ids[len(a) :].copy()
    of_b[0] = 0
    from_a, from_b = of_a[a.labels] == entities.labels, of_b[b.labels] == entities.labels
    assert (from_a | from_b).all()
    assert np.array_equal(entities.labels > 0, (a.labels > 0) | (b.labels > 0))


@given(maps, maps)
def test_subtract_and_intersect_pixel_by_pixel(a: EntityMap, b: EntityMap) -> None:
    without, new_ids = subtract(a, b)
    assert np.array_equal(without.labels, np.where(b.labels == 0, new_ids[a.labels], 0))
    within, new_ids = intersect(a, b)
    assert np.array_equal(within.labels, np.where(b.labels > 0, new_ids[a.labels], 0))
    assert without.areas.sum() + within.areas.sum() == a.areas.sum()


def test_maps_of_two_pictures_are_refused() -> None:
    for combine in (union, subtract, intersect):
        with pytest.raises(InputError, match="4x1 and 3x1"):
            combine(entities_of("11.."), entities_of("11."))


def test_merge_keeps_the_highest_score() -> None:
    entities, new_ids = merge(entities_of("1223", "1.33"), [3, 2])
    assert entities.labels.tolist() == draw("1222", "1.22").tolist()
    assert entities.scores.tolist() == pytest.approx([0.9, 0.5])
    assert new_ids.tolist() == [0, 1, 2, 2]


def test_merge_of_fewer_than_two_changes_nothing() -> None:
    entities = entities_of("1223")
    for ids in ([], [2], [2, 2]):
        assert merge(entities, ids).entities == entities
        assert merge(entities, ids).new_ids.tolist() == [0, 1, 2, 3]


def test_a_merged_entity_that_grows_may_get_a_lower_id() -> None:
    entities, new_ids = merge(entities_of("11123", scores=(0.5, 0.5, 0.5)), [2, 3])
    assert (entities.labels.tolist(), new_ids.tolist()) == ([[1, 1, 1, 2, 2]], [0, 1, 2, 2])
    entities, new_ids = merge(entities_of("1112233", scores=(0.5, 0.5, 0.5)), [2, 3])
    assert (entities.labels.tolist(), new_ids.tolist()) == ([[2, 2, 2, 1, 1, 1, 1]], [0, 2, 1, 1])


def test_split_within_one_entity() -> None:
    entities, new_ids = split(entities_of("1112", "1112"), 1, draw(".111", "...."))
    assert entities.labels.tolist() == draw("1223", "1113").tolist()
    assert entities.scores.tolist() == pytest.approx([0.9, 0.9, 0.5])
    assert new_ids.tolist() == [0, 1, 3, 2]


def test_split_across_entities() -> None:
    painted = draw("..11", "...1", "....")
    before = entities_of("1112", "111.", "1.3.")
    entities, new_ids = split(before, None, painted)
    assert entities.labels.tolist() == draw("1122", "1112", "1.3.").tolist()
    assert entities.scores.tolist() == pytest.approx([0.9, 0.9, 0.3])
    assert new_ids.tolist() == [0, 1, 0, 3, 2]
    assert split(before, None, painted, score=0.1).new_ids.tolist() == [0, 1, 0, 2, 3]


def test_split_where_nothing_is() -> None:
    empty = EntityMap.from_labels(np.zeros((1, 3), np.int32))
    entities, new_ids = split(empty, None, draw("11."))
    assert (entities.labels.tolist(), entities.scores.tolist(), new_ids.tolist()) == ([[1, 1, 0]], [1.0], [0, 1])
    assert split(empty, None, draw("...")).new_ids.tolist() == [0, 0]


@given(maps, masks)
def test_split_takes_the_painted_pixels_and_no_others(before: EntityMap, painted: np.ndarray) -> None:
    entities, new_ids = split(before, None, painted)
    assert np.array_equal(entities.labels, np.where(painted, new_ids[-1], new_ids[before.labels]))
    for number in range(1, len(before) + 1):
        inside = painted & (before.labels == number)
        entities, new_ids = split(before, number, painted)
        assert np.array_equal(entities.labels, np.where(inside, new_ids[-1], new_ids[before.labels]))


def test_assign_and_remove() -> None:
    before, painted = entities_of("1122", "..33"), draw(".11.", "11..")
    entities, new_ids = assign(before, 2, painted)
    assert entities.labels.tolist() == draw("1222", "2233").tolist()
    entities, new_ids = assign(before, 1, painted, remove=True)
    assert entities.labels.tolist() == draw("1.22", "..33").tolist()
    entities, new_ids = assign(before, 3, draw("1111", "1111"))
    assert (entities.labels.tolist(), new_ids.tolist()) == (draw("1111", "1111").tolist(), [0, 0, 0, 1])
    entities, new_ids = assign(before, 1, draw("1111", "1111"), remove=True)
    assert (entities.labels.tolist(), new_ids.tolist()) == (draw("..11", "..22").tolist(), [0, 0, 1, 2])


@given(maps.filter(len), masks, st.data())
def test_assign_pixel_by_pixel(before: EntityMap, painted: np.ndarray, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, len(before)))
    entities, new_ids = assign(before, number, painted)
    assert np.array_equal(entities.labels, np.where(painted, new_ids[number], new_ids[before.labels]))
    entities, new_ids = assign(before, number, painted, remove=True)
    assert np.array_equal(entities.labels, np.where(painted & (before.labels == number), 0, new_ids[before.labels]))


def test_what_cannot_be_mended_is_refused() -> None:
    entities = entities_of("1122")
    for mend in (split, assign):
        with pytest.raises(InputError, match="There is no entity 3"):
            mend(entities, 3, draw("1..."))
        with pytest.raises(InputError, match=r"\(1, 4\), not \(1, 3\)"):
            mend(entities, 1, draw("1.."))
        with pytest.raises(InputError, match="threshold it first"):
            mend(entities, 1, np.zeros((1, 4)))
        for several in ([1, 2], "1", 1.0):
            with pytest.raises(InputError, match=r"^An entity id is a single whole number, not "):
                mend(entities, several, draw("1..."))
    with pytest.raises(InputError, match="There is no entity 9"):
        merge(entities, [1, 9])
    for score, words in (
        (float("inf"), "finite"),
        (float("nan"), "score is nan"),
        ("x", "score is 'x', but must be a"),
    ):
        with pytest.raises(InputError, match=words):
            split(entities, 1, draw("1..."), score=score)


def test_a_grounding_follows() -> None:
    grounding = Grounding(
        "a cat and a dog",
        (Phrase("a cat", (0, 5), (3, 1, 2), (0.9, 0.8, 0.7)), Phrase("a dog", (10, 15), (2,), (0.6,))),
    )
    followed = follow(grounding, np.array([0, 2, 0, 2]))
    assert followed == Grounding("a cat and a dog", (Phrase("a cat", (0, 5), (2,), (0.9,)), Phrase("a dog", (10, 15))))
    assert follow(grounding, np.arange(4)) == grounding
    with pytest.raises(InputError, match="refers to entity 3, but there were 2"):
        follow(grounding, np.arange(3))


def test_a_grounding_of_the_second_map_follows_a_union() -> None:
    a, b = entities_of("11..", scores=(0.5,)), entities_of("...1", scores=(0.9,))
    grounding = Grounding("cat", (Phrase("cat", (0, 3), (1,), (1.0,)),))
    new_ids = union(a, b).new_ids
    assert follow(grounding, new_ids).phrases[0].entity_ids == (2,)
    assert follow(grounding, new_ids[len(a) :]).phrases[0].entity_ids == (1,)
