"""Choosing entities by text and data, on a map that can be drawn in a few lines."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.entities.choosing import (
    check_choice,
    choose,
    choose_tracks,
    ids_of_phrase,
    invert,
    write_ids,
)
from esg.entities.entity_map import EntityMap
from esg.entities.grounding import Grounding, Phrase
from esg.entities.pointing import ids_at, ids_in_boxes
from esg.support.errors import InputError

LABELS = [
    [1, 1, 1, 1, 1, 0, 0, 0, 0, 5],
    [1, 1, 1, 1, 1, 0, 0, 0, 0, 5],
    [2, 2, 0, 0, 0, 0, 0, 3, 4, 4],
    [2, 2, 0, 0, 0, 0, 0, 3, 4, 4],
]
# id, score, area: 1 0.9 10 | 2 0.8 4 | 3 0.5 2 | 4 0.3 4 | 5 0.3 2 (of 40 pixels)
ENTITIES = EntityMap.from_labels(np.array(LABELS), [0.9, 0.8, 0.5, 0.3, 0.3])
EMPTY = EntityMap.from_labels(np.zeros((2, 3), np.int32))

CAPTION = "Two dogs, a black dog and the sky; Two  DOGS"
GROUNDING = Grounding(
    CAPTION,
    (
        Phrase("Two dogs", (0, 8), (1, 2), (0.9, 0.8)),
        Phrase("a black dog", (10, 21), (2,), (0.7,)),
        Phrase("the sky", (26, 33)),
        Phrase("Two  DOGS", (35, 44), (4,), (0.5,)),
    ),
)

ids_of_map = st.lists(st.integers(1, len(ENTITIES)), unique=True)


def test_ids_that_do_not_exist_can_be_left_out() -> None:
    entities = EntityMap.from_labels(np.array([[1, 2, 3]]))
    assert choose(entities, "2-9, 0, 12", strict=False) == [2, 3]
    assert choose(entities, [3, 4, 0], strict=False) == [3]
    with pytest.raises(InputError, match="There is no entity 9"):
        choose(entities, "2-9")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" , \n", []),
        ("3", [3]),
        ("5, 1", [1, 5]),
        ("2-4", [2, 3, 4]),
        ("2 – 4,1", [1, 2, 3, 4]),
        ("4-4", [4]),
        ("ALL", [1, 2, 3, 4, 5]),
        ("none", []),
        ("none,2,", [2]),
        ("largest", [1]),
        ("largest 3", [1, 2, 4]),
        ("Largest 99", [1, 2, 3, 4, 5]),
        ("largest 0", []),
        ("smallest", [3]),
        ("smallest 2", [3, 5]),
        ("best 3", [1, 2, 3]),
        ("score>=0.9", [1]),
        ("score > 50%", [1, 2]),
        ("score<.5", [4, 5]),
        ("area>=10%", [1, 2, 4]),
        ("area > 10 %", [1]),
        ("area<=2", [3, 5]),
        ("area<4.5", [2, 3, 4, 5]),
        ("not 3", [1, 2, 4, 5]),
        ("!3,!4", [1, 2, 5]),
        ("NOT area<=2, 5", [1, 2, 4, 5]),
        ("2-4\nnot 3", [2, 4]),
        ("2, not 2, 2", [2]),
        ("3, not all", []),
    ],
)
def test_choose_by_words(text: str, expected: list[int]) -> None:
    assert choose(ENTITIES, text) == expected


@pytest.mark.parametrize("word", ["centre", "Center"])
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[1, 1, 1], [1, 2, 1], [1, 1, 1]], [2]),
        ([[2, 0, 0, 0, 0, 0], [2, 2, 2, 0, 0, 0], [2, 0, 0, 0, 0, 1]], [2]),  # (2, 1) is nearer than (5, 2)
        ([[1], [0], [0], [0], [2]], [1]),  # both as near: the one further up
        ([[0, 0], [0, 0]], []),
    ],
)
def test_the_entity_at_the_centre_or_nearest_to_it(word: str, labels: list, expected: list[int]) -> None:
    entities = EntityMap.from_labels(np.array(labels), [0.9, 0.8])
    assert choose(entities, word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("phrase: two dogs", [1, 2, 4]),
        ("Phrase:TWO   dogs", [1, 2, 4]),
        ('phrase: "two dogs"', [1, 2, 4]),
        ("phrase: dog", [2]),  # no phrase is "dog" alone, and "dogs" is another word
        ("phrase: dog black", [2]),
        ("phrase: dogs", [1, 2, 4]),
        ("phrase: the sky", []),  # a phrase that means nothing
        ("phrase: cat", []),
        ("phrase: ?", []),
        ("not phrase: dog, not 5", [1, 3, 4]),
    ],
)
def test_choose_by_phrase(text: str, expected: list[int]) -> None:
    assert choose(ENTITIES, text, grounding=GROUNDING) == expected


def test_a_phrase_in_quotation_marks_may_hold_a_comma() -> None:
    grounding = Grounding("red, green", (Phrase("red, green", (0, 10), (3,), (1.0,)),))
    assert choose(ENTITIES, 'phrase: "Red, green", 1', grounding=grounding) == [1, 3]


def test_ids_of_phrase_prefers_whole_phrases_even_ungrounded_ones() -> None:
    grounding = Grounding("a sky, sky", (Phrase("a sky", (0, 5), (1,), (1.0,)), Phrase("sky", (7, 10))))
    assert ids_of_phrase(grounding, "SKY") == []
    assert ids_of_phrase(grounding, "sky a") == [1]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], []),
        ({"x": 0, "y": 3}, [2]),
        ([{"x": 9.9, "y": 0}, {"x": 0.5, "y": 0.5}], [1, 5]),
        ([{"x": -1, "y": 0}, {"x": 10, "y": 0}, {"x": 0, "y": 4}], []),  # outside
        ([{"x": 5, "y": 0}], []),  # no entity
        ([{"x": 0, "y": 0, "label": 0}, {"x": 1, "y": 1, "label": 1}, {"x": 0, "y": 2}], [2]),
        ([{"x": np.float32(7), "y": np.int64(2)}], [3]),
    ],
)
def test_ids_at(points: object, expected: list[int]) -> None:
    assert ids_at(ENTITIES, points) == expected
    assert choose(ENTITIES, points) == expected


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ({"x": 0, "y": 0, "width": 5, "height": 2}, [1]),
        ({"x": 0, "y": 0, "width": 5, "height": 3, "score": 0.7, "label": "cat"}, [1, 2]),  # half of entity 2
        ({"x": 8, "y": 2, "width": 0.5, "height": 2}, []),  # no pixel's centre lies in it: its edge ends a box
        ({"x": 8, "y": 2, "width": 0.6, "height": 2}, [4]),
        ({"x": -99, "y": -99, "width": 999, "height": 999}, [1, 2, 3, 4, 5]),
        ({"x": 20, "y": 0, "width": 9, "height": 9}, []),
        ([{"x": 9, "y": 0, "width": 1, "height": 1}, {"x": 7, "y": 3, "width": 1, "height": 1}], [3, 5]),
        ([], []),
    ],
)
def test_ids_in_boxes(boxes: object, expected: list[int]) -> None:
    assert ids_in_boxes(ENTITIES, boxes) == expected
    assert choose(ENTITIES, boxes) == expected


def test_how_much_of_an_entity_a_box_must_hold_can_be_set() -> None:
    box = {"x": 0, "y": 0, "width": 4, "height": 3}  # 8 of 10 pixels of entity 1, 2 of 4 of entity 2
    assert ids_in_boxes(ENTITIES, box, min_fraction=0.8) == choose(ENTITIES, box, min_fraction=0.8) == [1]
    assert choose(ENTITIES, json.dumps(box), min_fraction=0) == [1, 2]
    with pytest.raises(InputError, match="from 0 to 1"):
        ids_in_boxes(ENTITIES, box, min_fraction=1.5)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (3, [3]),
        (np.array([4, 2]), [2, 4]),
        ([1, {"x": 0, "y": 3}, {"x": 7, "y": 2, "width": 1, "height": 2}], [1, 2, 3]),
        ([1, 2, {"x": 0, "y": 0, "label": 0}], [2]),
    ],
)
def test_choose_by_data_and_by_the_same_as_json(data: object, expected: list[int]) -> None:
    assert choose(ENTITIES, data) == expected
    assert choose(ENTITIES, json.dumps(data if not isinstance(data, np.ndarray) else data.tolist())) == expected


def test_json_is_a_part_among_others() -> None:
    assert choose(ENTITIES, '2, {"x": 0, "y": 0}, [3, 5]\nnot [{"x": 7, "y": 2}]') == [1, 2, 5]
    assert choose(ENTITIES, '1-3, {"x": 0, "y": 0, "label": 0}') == [2, 3]
    assert choose(ENTITIES, 'not {"x": 0, "y": 0, "width": 5, "height": 4}') == [3, 4, 5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("6", "no entity 6: the ids of this picture go from 1 to 5"),
        ("0", "no entity 0"),
        ("2-9", "no entity 9"),
        ("4-2", "write 2-4"),
        ("dog", "'dog' is not understood; write ids such as"),
        ("3 5", "not understood"),
        ("score>=high", "not understood"),
        ("1" * 5000, "not understood"),
        ("not", "must be followed by something"),
        ("not, 3", "must be followed by something"),
        ("phrase:", "must be followed by words"),
        ("phrase: dog", "ground a text"),
        ("[1] 2", "There must be a comma before '2'"),
        ('{"x": 1', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"x": 1}', "object with the numbers x, y"),
        ('{"x": NaN, "y": 1}', "object with the numbers x, y"),
        ('{"x": true, "y": 1}', "object with the numbers x, y"),
        ('{"x": 1, "y": 1, "width": 3}', "x, y, width, height"),
        ('{"x": 1, "y": 1, "width": -3, "height": 1}', "negative"),
        ('["3"]', "not by '3'"),
        ("[[1]]", "not by"),
        ("[true]", "not by"),
    ],
)
def test_errors_are_one_sentence(text: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        choose(ENTITIES, text)
    assert words in str(error.value)


def test_a_picture_without_entities() -> None:
    for text in ("all", "largest 3", "best", "centre", "score>=0", "not none", '[{"x": 0, "y": 0}]'):
        assert choose(EMPTY, text) == []
    assert invert(EMPTY, []) == []
    with pytest.raises(InputError, match="There is no entity 1: this picture has no entities"):
        choose(EMPTY, "1")


def test_a_grounding_of_other_entities_is_refused() -> None:
    with pytest.raises(InputError, match="refers to entity 2, but there are 0"):
        choose(EMPTY, "phrase: dog", grounding=GROUNDING)


@pytest.mark.parametrize("points", ["{} {}", "[3]", [(1, 2)], 7, None])
def test_ids_at_refuses_invalid_points(points: object) -> None:
    with pytest.raises(InputError):
        ids_at(ENTITIES, points)


def test_texts_of_points_and_boxes() -> None:
    assert ids_at(ENTITIES, ' [{"x": 0, "y": 3}] ') == [2]
    assert ids_in_boxes(ENTITIES, '{"x": 0, "y": 2, "width": 2, "height": 2}') == [2]
    assert ids_at(ENTITIES, " ") == ids_in_boxes(ENTITIES, "") == []


@pytest.mark.parametrize(
    ("ids", "text"),
    [([], "none"), ([4], "4"), ([2, 1], "1,2"), ([7, 3, 5, 6], "3,5-7"), ([1, 1, 2, 3, 5, 6], "1-3,5,6")],
)
def test_write_ids(ids: list[int], text: str) -> None:
    assert write_ids(ids) == text


def test_write_ids_refuses_invalid_ids() -> None:
    for ids in ([0], [-2], [1.5], ["3"], [True]):
        with pytest.raises(InputError, match="whole numbers of 1 or more"):
            write_ids(ids)


@given(ids_of_map)
def test_what_is_written_is_read(ids: list[int]) -> None:
    assert choose(ENTITIES, write_ids(ids)) == sorted(ids)
    assert choose(ENTITIES, json.dumps(ids)) == choose(ENTITIES, ids) == sorted(ids)


@given(ids_of_map)
def test_invert_is_not(ids: list[int]) -> None:
    others = invert(ENTITIES, ids)
    assert sorted([*ids, *others]) == [1, 2, 3, 4, 5]
    assert choose(ENTITIES, ",".join(f"not {number}" for number in ids) or "all") == others
    with pytest.raises(InputError, match="no entity 6"):
        invert(ENTITIES, [*ids, 6])


PIECES = ["3", "9", "-", "not", "!", "largest", "best", "centre", "score", "area", ">=", "<", "%", ".", "phrase:", '"']
PIECES += ["dog", "[", "]", "{", "}", '{"x":1,"y":1}', '"width"', "all", "none", "1e999", "NaN", ",", "\n", " "]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4)).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        ids = choose(ENTITIES, text, grounding=GROUNDING)
    except InputError:
        return
    assert ids == sorted(set(ids))
    assert set(ids) <= {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("leftmost", [2]),
        ("leftmost 2", [1, 2]),
        ("rightmost", [5]),
        ("top", [1]),
        ("topmost 2", [1, 5]),
        ("bottom 3", [2, 3, 4]),
        ("not bottom 3", [1, 5]),
        ("left", [2]),
        ("Right, left 2", [1, 2, 5]),
    ],
)
def test_by_place(text: str, expected: list[int]) -> None:
    assert choose(ENTITIES, text) == expected


def test_words_that_mean_the_same() -> None:
    for one, other in (("biggest 2", "largest 2"), ("middle", "centre"), ("center", "centre"), ("everything", "all")):
        assert choose(ENTITIES, one) == choose(ENTITIES, other) != []
    assert choose(ENTITIES, "nothing") == []
    with pytest.raises(InputError, match=r"^'left side' is not understood"):
        choose(ENTITIES, "left side")


def test_chinese_commas_and_colons_are_commas_and_colons() -> None:
    assert choose(ENTITIES, "1，3、5") == [1, 3, 5]
    assert choose(ENTITIES, "phrase：two dogs，3", grounding=GROUNDING) == [1, 2, 3, 4]
    assert choose(ENTITIES, '{"x": 9, "y": 0}，1') == [1, 5]


@pytest.mark.parametrize(
    ("text", "first", "second", "third"),
    [
        ("3", [3], [3], [3]),
        ("3, picture 2: 1,4", [3], [1, 4], [3]),
        ("picture 2: 1\nPicture 1: not 2", [1, 3, 4, 5], [1], []),
        ("all, pictures 2-3: best", [1, 2, 3, 4, 5], [1], [1]),
        ("all, picture 2:", [1, 2, 3, 4, 5], [], [1, 2, 3, 4, 5]),
        ('picture 3: phrase: "two dogs, picture 1: 3"', [], [], []),
        ("picture 1：2，picture 3： 4", [2], [], [4]),
    ],
)
def test_parts_for_single_pictures(text: str, first: list[int], second: list[int], third: list[int]) -> None:
    check_choice(text)
    for picture, expected in enumerate((first, second, third), start=1):
        assert choose(ENTITIES, text, grounding=GROUNDING, picture=picture) == expected


@pytest.mark.parametrize("text", ["larger", "3-1", "[{", "phrase:", "3 4", "not", "picture 0: 3", "picture 3-2: 1"])
def test_unreadable_choices_are_reported_without_entities(text: str) -> None:
    with pytest.raises(InputError):
        check_choice(text)


# A clip: track 2 is the left half of both frames, first with id 2 and then with id 1; 5 and 9 are in one frame each.
FRAMES = [
    EntityMap.from_labels(np.array([[2, 2, 1, 1]]), [0.9, 0.5]),
    EntityMap.from_labels(np.array([[1, 1, 2, 0]]), [0.9, 0.5]),
]
TRACKS = [np.array([5, 2]), np.array([2, 9])]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("2", [2]),
        ("2-9", [2, 5, 9]),
        ("all", [2, 5, 9]),
        ("not 5", [2, 9]),
        ("best", [5]),
        ("picture 2: best", [2]),
        ("5, picture 2: smallest", [5, 9]),
        ("all, picture 2: not smallest", [2, 5]),
        ("picture 1: not 2", [5, 9]),
        ("picture 7: largest", []),
        ('{"x": 0, "y": 0}', [2]),
        ([5, {"x": 0, "y": 0}], [2, 5]),
        ('all, {"x": 0, "y": 0, "label": 0}', [5, 9]),
        ("", []),
    ],
)
def test_tracks(what: object, expected: list[int]) -> None:
    assert choose_tracks(FRAMES, TRACKS, what) == expected  # type: ignore[arg-type]


def test_a_track_that_is_not_there() -> None:
    with pytest.raises(InputError, match="There is no track 3: this clip has 2,5,9"):
        choose_tracks(FRAMES, TRACKS, "3")
    assert choose_tracks(FRAMES, TRACKS, "3, 9", strict=False) == [9]
    empty = EntityMap.from_labels(np.zeros((1, 4), np.int32))
    assert choose_tracks([empty], [np.zeros(0, np.int64)], "all, largest") == []


def test_a_phrase_means_the_tracks_that_it_means_most_of_the_time() -> None:
    cat = Phrase("cat", (0, 3), (2,), (0.9,))
    groundings = [Grounding("cat", (cat,)), None]
    assert choose_tracks(FRAMES, TRACKS, "phrase: cat", groundings=groundings) == [2]  # in one frame of two
    longer = [*FRAMES, FRAMES[1]], [*TRACKS, TRACKS[1]], [*groundings, None]
    assert choose_tracks(longer[0], longer[1], "phrase: cat", groundings=longer[2]) == []  # in one of three
    with pytest.raises(InputError, match="ground a text"):
        choose_tracks(FRAMES, TRACKS, "phrase: cat")
