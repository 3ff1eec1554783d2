from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.data.narration.words import NOUNS
from esg.data.narration.words import SHAPES as WORDS_FOR_SHAPES
from esg.language.coco_names import NAMES, SHAPES, SYNONYMS, counted, counted_names, plural
from esg.language.known_words import render

SEVERAL = frozenset(name for name in NAMES if " " in name)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("A puppy on a couch.", "A dog on a couch."),
        ("two puppies and some women", "two dogs and some people"),
        ("a Wine Glass, a teddy bear", "a Wine Glass, a teddy bear"),
        ("wine glasses beside a mug", "wine glasses beside a cup"),
        ("catalogue of cars", "catalogue of cars"),  # whole words alone
        ("", ""),
        ("eine Katze", "eine Katze"),
    ],
)
def test_synonyms_are_read_as_the_known_word(text: str, known: str) -> None:
    assert render(text, SYNONYMS, SEVERAL).text == known


def test_places_go_both_ways() -> None:
    text = "The lady left of the two puppies."
    found = render(text, SYNONYMS, SEVERAL)
    span = (4, 8)
    assert text[slice(*span)] == "lady"
    assert found.text[slice(*found.to_rendered(span))] == "person"
    assert found.to_original(found.to_rendered(span)) == span
    whole = (0, len(text))
    assert found.to_rendered(whole) == (0, len(found.text))
    assert found.to_original((0, len(found.text))) == whole


words = st.sampled_from(["puppy", "women", "a", "the", "red", "sofa", ",", "dog", "TVs", "é", "犬", "\n"])


@given(st.lists(words, max_size=12).map(" ".join), st.data())
def test_every_span_of_whole_words_comes_back(text: str, data: st.DataObject) -> None:
    found = render(text, SYNONYMS, SEVERAL)
    starts = [0, *(place + 1 for place, letter in enumerate(text) if letter == " ")]
    start = data.draw(st.sampled_from(starts))
    ends = [place for place in [*(one - 1 for one in starts[1:]), len(text)] if place > start]
    if not ends:
        return
    span = start, data.draw(st.sampled_from(ends))
    known = found.to_rendered(span)
    assert 0 <= known[0] < known[1] <= len(found.text)
    assert found.to_original(known) == span


def test_shapes_have_other_words_too() -> None:
    assert render("two red squares and a circle", SHAPES).text == "two red boxes and a disc"
    assert not SHAPES.keys() & {*NOUNS.values(), *WORDS_FOR_SHAPES, *NAMES}
    assert set(SHAPES.values()) <= {*NOUNS.values(), *WORDS_FOR_SHAPES}


def test_no_name_is_a_synonym_of_another() -> None:
    assert not SYNONYMS.keys() & set(NAMES)
    assert set(SYNONYMS.values()) <= set(NAMES)
    assert len(NAMES) == len(set(NAMES)) == 133


def test_numbers_and_plurals() -> None:
    assert [plural(name) for name in ("bus", "knife", "person", "skis", "toothbrush")] == [
        "buses",
        "knives",
        "people",
        "skis",
        "toothbrushes",
    ]
    assert [counted("dog", count) for count in (1, 2, 4, 5)] == ["dog", "two dogs", "four dogs", "several dogs"]
    assert counted("grass", 3) == "grass"
    assert counted_names(["dog", "sky", "dog", "cup"], [20, 70, 20, 0], 100) == ["sky", "two dogs"]
