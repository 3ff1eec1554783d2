"""Texts that are too long are split: words, nouns and order stay; if that is impossible, the message says why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.language.captions import category_caption, phrase_caption
from esg.language.splitting import Excess, parted, sentences
from esg.language.words import Span
from esg.support.errors import InputError


def at_most(words: int) -> Excess:
    return lambda caption, spans: max(0, len(caption.split()) - words)


def quoted(parts: Sequence[tuple[str, list[Span]]]) -> list[list[str]]:
    return [[caption[slice(*span)] for span in spans] for caption, spans in parts]


def test_what_fits_stays_whole() -> None:
    for part in (sentences, parted):
        assert part("A dog. A cat.", [(2, 5), (9, 12)], at_most(4)) == [("A dog. A cat.", [(2, 5), (9, 12)])]


def test_sentences_are_parted_near_the_middle() -> None:
    caption = "A dog runs. A cat sits! Is it 3.5 m?\nA bird."
    parts = sentences(caption, [(2, 5), (14, 17), (39, 43)], at_most(6))
    assert [text for text, _ in parts] == ["A dog runs. A cat sits! ", "Is it 3.5 m?\nA bird."]
    assert quoted(parts) == [["dog", "cat"], ["bird"]]
    assert quoted(parted(caption, [(2, 5)], at_most(6))) == [["dog"]]  # what has none is left out
    assert len(parted(caption, [], at_most(6))) == 2
    assert len(sentences("一只狗。一只猫。", [], lambda caption, _: max(0, len(caption) - 4))) == 2


@pytest.mark.parametrize(
    ("caption", "spans", "named", "words"),
    [
        ("a b c d e f g h i", [], "a b c d e f …", "4 words"),
        ("A b. C d e f g h. I", [], "C d e f g h.", "1 word"),
        ("A b c. D e f.", [(0, 13)], "A b c. D e f.", "1 word"),  # an expression is one
        ("A b c. D e f.", [(9, 10), (2, 3)], "A b c. D e f.", "1 word"),  # the order would be lost
    ],
)
def test_the_message_says_how_much_a_sentence_is_too_long(
    caption: str, spans: list[Span], named: str, words: str
) -> None:
    for part in (sentences, parted):
        with pytest.raises(InputError, match=rf'"{re.escape(named)}" is about {words} too long.*; shorten it'):
            part(caption, spans, at_most(5))


@pytest.mark.parametrize("make", [category_caption, phrase_caption])
def test_lists_become_shorter_lists(make: Any) -> None:
    names = [f"red disc {number}" for number in range(9)]
    parts = parted(*make(names), at_most(16))
    assert len(parts) == 4
    assert [name for some in quoted(parts) for name in some] == names
    assert all(part == make(some) for part, some in zip(parts, quoted(parts)))


@given(
    texts=st.lists(st.text("ab .!\n", max_size=20), max_size=8),
    most=st.integers(1, 6),
)
def test_sentences_together_are_the_caption(texts: list[str], most: int) -> None:
    caption = ". ".join(texts)
    spans = [found.span() for found in re.finditer("a+", caption)]
    try:
        parts = sentences(caption, spans, at_most(most))
    except InputError:
        assert any(len(text.split()) > most for text in re.split(r"(?<=[.!])\s|\n", caption))
        return
    assert "".join(text for text, _ in parts) == caption
    assert [noun for some in quoted(parts) for noun in some] == [caption[slice(*span)] for span in spans]
    assert all(len(text.split()) <= most for text, _ in parts)


def test_a_list_may_name_the_same_twice() -> None:
    """The model may read "chair" for "armchair", too."""
    names = ["chair", "dog", "chair", "cat"]
    parts = parted(*category_caption(names, once=False), at_most(7))
    assert [text for text, _ in parts] == ["There might exist a chair and dog.", "There might exist a chair and cat."]
    assert [name for part in quoted(parts) for name in part] == names
