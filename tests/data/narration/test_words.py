"""The vocabulary's grammar."""

from __future__ import annotations

import pytest

from esg.data.narration.words import INVERSE, KINDS, MASS, NOUNS, PLACES, PLURALS, SAID, SHAPES, article, plural


@pytest.mark.parametrize(
    ("noun", "many"),
    [("disc", "discs"), ("box", "boxes"), ("leaf", "leaves"), ("branch", "branches"), ("sky", "sky")],
)
def test_plurals(noun: str, many: str) -> None:
    assert plural(noun) == many


def test_plurals_lead_back() -> None:
    assert set(PLURALS.values()) == {*NOUNS.values(), *SHAPES} - MASS
    assert all(plural(noun) == many for many, noun in PLURALS.items())
    assert not PLURALS.keys() & {*NOUNS.values(), *SHAPES}


@pytest.mark.parametrize(("word", "before"), [("orange", "an"), ("ellipse", "an"), ("ring", "a"), ("yellow", "a")])
def test_articles(word: str, before: str) -> None:
    assert article(word) == before


def test_a_word_is_about_one_thing() -> None:
    nouns = {*NOUNS.values(), *SHAPES, *PLURALS}
    assert not nouns & KINDS.keys()
    assert {word for place in PLACES for word in place} == {
        word for word, about in KINDS.items() if about == "position"
    }
    assert INVERSE.keys() | set(INVERSE.values()) | {"inside"} == SAID.keys()
