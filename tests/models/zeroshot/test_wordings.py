from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esg.models.zeroshot.wordings import GENERIC, context_of, rivals, wordings


@pytest.mark.parametrize(
    ("caption", "phrase", "context"),
    [
        ("A dog near the red door, and a cat.", "dog", "dog near the red door"),
        ("A dog near the red door, and a cat.", "red door", "red door"),
        ("Two dogs and a cat sleep.", "Two dogs", "Two dogs"),
        ("Two dogs and a cat sleep.", "cat", "cat sleep"),
        ("A sandal lies here", "sandal", "sandal lies here"),  # "and" within a word ends nothing
        ("一只狗，一扇门。", "狗", "狗"),
    ],
)
def test_the_rest_of_the_clause_is_the_context(caption: str, phrase: str, context: str) -> None:
    start = caption.index(phrase)
    assert context_of(caption, (start, start + len(phrase))) == context


def test_a_phrase_gets_several_wordings_without_its_article() -> None:
    plain = wordings("dog")
    assert len(plain) == len(set(plain)) >= 3
    assert plain[0] == "a photo of the dog."
    assert wordings("the dog", "the dog") == wordings("The dog") == plain
    assert wordings("dog", "dog near the door") == [*plain, "dog near the door"]
    assert wordings("two dogs")[0] == "a photo of the two dogs."


def test_phrases_exclude_others_but_not_equivalent_ones() -> None:
    phrases = ["dogs", "two dogs", "brown dog", "white dog", "grass"]
    expected = [
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 1, 0, 1],
        [1, 1, 1, 1, 0],
    ]
    found = rivals(phrases)
    assert found.shape == (5, 5 + len(GENERIC))
    assert np.array_equal(found[:, :5], np.array(expected, bool))
    assert found[:, 5:].all()


def test_a_generic_word_does_not_exclude_itself() -> None:
    found = rivals(["things", "many"])
    assert found[0, 2:].tolist() == [text != "things" for text in GENERIC]
    assert found[1].tolist() == [True, False, *[True] * len(GENERIC)]  # no word in it says what is meant


@given(st.lists(st.text(max_size=12), max_size=6))
@example(["red red", "red disc"])  # as many words in both, and only those of the first are all in the other
def test_rivals_are_mutual_and_never_oneself(phrases: list[str]) -> None:
    found = rivals(phrases)[:, : len(phrases)]
    assert np.array_equal(found, found.T)
    assert not found.diagonal().any()


@given(st.text(max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_any_text_has_a_context_and_wordings(caption: str, start: int, end: int) -> None:
    context = context_of(caption, (start, max(start, end)))
    assert context in caption
    assert all(wordings(caption[start:end], context)[:3])
