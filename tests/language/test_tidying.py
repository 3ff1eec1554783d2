"""Normalised texts, and the positions of their characters in the original."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.language.tidying import tidied


@pytest.mark.parametrize(
    ("text", "even"),
    [
        ("A red disc and a blue box.", "A red disc and a blue box."),
        ("  A  red \u00a0 disc\tand\u2028a\u3000blue\u200bbox. \n", "A red disc and a blue box."),
        ("A red disc.\nA blue box.\r\n\r\nA grey wall.\n", "A red disc. A blue box. A grey wall."),
        ("A red disc and\na blue box", "A red disc and a blue box"),
        ("a big red\ndisc on the\nwall", "a big red disc on the wall"),
        ("the disc\nof the wall", "the disc of the wall"),
        ("A red disc\nA blue box\nA grey wall", "A red disc. A blue box. A grey wall"),
        ("red disc\nblue square\ngrey wall", "red disc. blue square. grey wall"),
        ("- A red disc\n- A blue box", "A red disc. A blue box"),
        ("1. A cat\n2. A dog\n", "A cat. A dog"),
        ("win\u00addow\ufeff", "window"),
        ("a long line that somebody has written by hand, which ends at a steel\nbridge over the river",) * 2,
        (" \n\t ", ""),
        ("", ""),
    ],
)
def test_white_space_is_evened_out(text: str, even: str) -> None:
    assert tidied(text).text == even.replace("\n", " ")


@given(st.text(alphabet=" \n\r\t\u00a0\u200b\u00adabA.,-1* ", max_size=60))
def test_places_lead_back_to_the_text(text: str) -> None:
    even = tidied(text)
    assert len(even.places) == len(even.text)
    assert list(even.places) == sorted(even.places)
    assert "  " not in even.text
    assert even.text == even.text.strip()
    for letter, place in zip(even.text, even.places):
        assert text[place] == letter or (letter in ". " and (text[place].isspace() or text[place] == "\u200b"))
    kept = "".join(letter for letter in text if letter.isalpha() and letter.isascii())
    assert "".join(letter for letter in even.text if letter.isalpha()) == kept


@given(st.text(max_size=40))
def test_any_text_can_be_evened_out(text: str) -> None:
    even = tidied(text)
    assert len(even.places) == len(even.text)


def test_spans_are_those_of_the_text_as_it_was_written() -> None:
    text = "\nA  red\n disc\u00a0and a\tbox"
    even = tidied(text)
    start = even.text.index("red disc")
    first, last = even.written((start, start + len("red disc")))
    assert text[first:last] == "red\n disc"
    assert even.written((0, len(even.text))) == (1, len(text))
