"""The claims of a phrase, and whether they are true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.data.narration.claims import claims, holds
from esg.data.narration.facts import Facts, photo_facts
from esg.data.narration.words import KINDS
from esg.support.errors import InputError


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("Two small WHITE shapes on the left", ("small", "white", "left")),
        ("large dark green area at the bottom right", ("large", "dark", "green", "bottom", "right")),
        ("striped bar", ("striped",)),
        ("ring to the left of the red bar", ("red",)),  # a relation is no position
        ("dogs near the door, redder greens", ()),
        ("red red ring", ("red",)),
        ("", ()),
    ],
)
def test_claims(phrase: str, words: tuple[str, ...]) -> None:
    assert claims(phrase) == words


@given(st.text())
def test_claims_of_any_text_are_words_of_it(text: str) -> None:
    assert all(word in KINDS and word in text.lower() for word in claims(text))


@pytest.fixture
def facts() -> dict[int, Facts]:
    """A red square at the top left, a blue one at the bottom left."""
    image, labels = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.int32)
    image[5:15, 5:15], labels[5:15, 5:15] = (255, 0, 0), 1
    image[80:90, 5:15], labels[80:90, 5:15] = (0, 0, 255), 2
    return {fact.id: fact for fact in photo_facts(image, labels)}


def test_true_of_one(facts: dict[int, Facts]) -> None:
    assert holds(facts, "large red shape at the bottom left", [1]) == {
        "large": False,
        "red": True,
        "bottom": False,
        "left": True,
    }


def test_true_of_all_in_the_plural(facts: dict[int, Facts]) -> None:
    assert holds(facts, "two small red shapes on the left", [1, 2]) == {"small": True, "red": False, "left": True}


def test_what_can_be_defended_is_not_clear() -> None:
    between = square_at(40)
    assert holds(between, "shape on the left", [1]) == {"left": True}
    assert holds(between, "shape on the left", [1], clearly=True) == {"left": False}
    aside = square_at(10)
    assert holds(aside, "shape on the left", [1], clearly=True) == {"left": True}


def square_at(x: int) -> dict[int, Facts]:
    image, labels = np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.int32)
    image[45:55, x - 5 : x + 5], labels[45:55, x - 5 : x + 5] = (255, 0, 0), 1
    return {fact.id: fact for fact in photo_facts(image, labels)}


def test_nothing_is_true_of_nothing(facts: dict[int, Facts]) -> None:
    assert holds(facts, "red shape", []) == {"red": False}
    assert holds(facts, "dog", [1]) == {}


def test_unknown_entity(facts: dict[int, Facts]) -> None:
    with pytest.raises(InputError, match="no facts about entity 7"):
        holds(facts, "red shape", [1, 7])
