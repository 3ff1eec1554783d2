"""Words are found in any script, and equal words get equal keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.language.words import find_words, forms, is_adverb, is_number, is_plural, is_qualifier, is_verb


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A light-brown cow's hat.", ["A", "light", "brown", "cow", "s", "hat"]),
        ("traffic_light", ["traffic", "light"]),
        ("re\u0301sume\u0301, co\u00adoperate", ["re\u0301sume\u0301", "co\u00adoperate"]),
        ("一只狗dog", ["一", "只", "狗", "dog"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("मेज़ पर", ["मेज़", "पर"]),
        ("개 두 마리", ["개", "두", "마리"]),
        ("🐶🐱 C++", ["🐶", "🐱", "C"]),
        ("\u0301 <>! ", []),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert [text[word.start : word.end] for word in find_words(text)] == words


@pytest.mark.parametrize(
    ("one", "other"), [("STRASSE", "straße"), ("ＤＯＧ", "dog"), ("café", "cafe\u0301"), ("ﬁre", "Fire")]
)
def test_case_width_and_composition_make_no_difference(one: str, other: str) -> None:
    assert find_words(one)[0].key == find_words(other)[0].key


@given(text=st.text())
def test_words_stand_in_order(text: str) -> None:
    places = [place for word in find_words(text) for place in (word.start, word.end)]
    assert places == sorted(places)
    assert all(0 <= place <= len(text) for place in places)
    assert all(word.key and word.start < word.end for word in find_words(text))


SAME = ["dog dogs", "bus buses", "box boxes", "horse horses", "shoe shoes", "tomato tomatoes", "puppy puppies"]
SAME += ["tie ties", "key keys", "person people", "fireman firemen", "grandchild grandchildren", "leaf leaves"]


@pytest.mark.parametrize("pair", [*SAME, "cafe café", "istanbul i̇stanbul"])
def test_words_that_differ_in_number_or_accents(pair: str) -> None:
    one, other = pair.split()
    assert forms(one) & forms(other)


@pytest.mark.parametrize("pair", ["car cares", "cat cart", "glass glasgow", "can cane", "hat hate", "men women"])
def test_other_words(pair: str) -> None:
    one, other = pair.split()
    assert not forms(one) & forms(other)


def test_plurals() -> None:
    assert all(is_plural(word) for word in ("dogs", "glasses", "women", "people", "trees", "leaves"))
    assert not any(is_plural(word) for word in ("dog", "glass", "bus", "tennis", "gas", "lens", "woman", ""))


def test_numbers_are_words_or_digits() -> None:
    assert all(is_number(key) for key in ("two", "dozen", "2", "2019"))
    assert not any(is_number(key) for key in ("dog", "2nd", "3d", "½", ""))
    assert all(is_qualifier(key) for key in ("two", "2", "red"))
    assert not is_qualifier("dog")


def test_adverbs() -> None:
    assert is_adverb("slowly")
    assert not any(is_adverb(key) for key in ("fly", "family", "dog"))


@pytest.mark.parametrize(
    ("before", "key", "following", "verb"),
    [
        ("dog", "looks", "at", True),
        ("boy", "peels", "a", True),
        ("boy", "peels", "2", True),
        ("also", "shows", "two", True),
        ("tennis", "players", "play", False),
        ("2", "parked", "cars", False),
        ("two", "parked", "cars", False),
        ("railing", "painting", ".", False),
        ("dogs", "chew", "three", True),
    ],
)
def test_verbs_after_nouns(before: str, key: str, following: str, verb: bool) -> None:
    run = [] if before == "also" else find_words(before)
    assert is_verb(key, run, "", False, before, following) is verb
