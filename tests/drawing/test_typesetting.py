"""Text in lines with marks, checked at pixels with known values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esg.drawing.typesetting import FAINT, LINE, MARGIN, PAPER, Mark, ink_on, typeset

RED, BLUE = (255, 0, 0), (0, 0, 255)
SIZE = 20.0


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(h, w) bool, where the picture has exactly this colour."""
    return (picture == colour).all(axis=2)


def rows_of(picture: np.ndarray) -> int:
    return round((len(picture) - 2 * round(MARGIN * SIZE)) / (LINE * SIZE))


def test_a_text_takes_the_lines_that_it_needs() -> None:
    assert rows_of(typeset("", [], 300, SIZE)) == 1
    assert rows_of(typeset("a word", [], 300, SIZE)) == 1
    assert rows_of(typeset("a word and more words that follow", [], 200, SIZE)) == 2
    assert rows_of(typeset("a\nb", [], 300, SIZE)) == 1
    for text in ("word" * 40, "犬" * 60):  # no spaces
        picture = typeset(text, [], 200, SIZE)
        assert rows_of(picture) > 3
        dark = (picture.min(axis=2) < 100).any(axis=0)
        assert not dark[:8].any()
        assert not dark[-8:].any()


def test_marks_lie_behind_their_words_and_follow_them_into_the_next_line() -> None:
    text = "one red ball"
    plain = typeset(text, [], 400, SIZE)
    picture = typeset(text, [Mark(4, 7, RED)], 400, SIZE)
    ys, xs = np.nonzero(has(picture, RED))
    assert 30 < xs.min() < xs.max() < 110  # between "one" and "ball"
    outside = np.ones(400, bool)
    outside[xs.min() : xs.max() + 1] = False
    assert np.array_equal(picture[:, outside], plain[:, outside])
    assert ys.max() - ys.min() > SIZE

    narrow = typeset(text, [Mark(0, len(text), RED)], 115, SIZE)
    assert rows_of(narrow) == 2
    for row in range(2):
        top = round(MARGIN * SIZE + row * LINE * SIZE)
        assert has(narrow, RED)[top : top + round(LINE * SIZE)].any()


def test_of_marks_over_each_other_the_shortest_is_behind_and_the_others_are_bars() -> None:
    picture = typeset("the cat of the house", [Mark(0, 20, RED), Mark(4, 7, BLUE)], 400, SIZE)
    blue = np.nonzero(has(picture, BLUE))[1]
    middle = slice(blue.min() + 4, blue.max() - 4)
    ys = np.flatnonzero(has(picture, RED)[:, middle].any(axis=1))
    assert 0 < len(ys) <= 4  # a bar, below
    assert ys.min() > np.nonzero(has(picture, BLUE))[0].max()
    assert has(picture, RED)[:, : blue.min()].sum() > 200


def test_a_mark_without_a_colour_is_a_line_in_grey() -> None:
    picture = typeset("a ghost", [Mark(2, 7, None)], 300, SIZE)
    ys, xs = np.nonzero(has(picture, FAINT))
    assert ys.max() - ys.min() <= 2
    assert len(np.unique(xs)) > 40


def test_ink_stands_out() -> None:
    assert ink_on((255, 255, 0)) == ink_on(PAPER) == (0, 0, 0)
    assert ink_on((0, 0, 120)) == ink_on((0, 0, 0)) == (255, 255, 255)


def test_letters_that_the_own_font_lacks_are_taken_from_another() -> None:
    from PIL import ImageFont

    try:
        ImageFont.truetype("DejaVuSans.ttf")
    except OSError:
        pytest.skip("needs the font DejaVu Sans")
    unknown = typeset("\U0010fffe\U0010fffe", [], 100, SIZE)
    assert not np.array_equal(typeset("éж", [], 100, SIZE), unknown)
    assert not np.array_equal(typeset("éé", [], 100, SIZE), typeset("жж", [], 100, SIZE))


@settings(max_examples=30)
@given(st.text(max_size=40), st.integers(1, 200), st.floats(6, 40), st.data())
def test_any_text_can_be_set(text: str, width: int, size: float, data: st.DataObject) -> None:
    text = "".join(sign for sign in text if not "\ud800" <= sign <= "\udfff")
    place = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(place, place).filter(lambda span: span[0] < span[1]), max_size=4))
    picture = typeset(text, [Mark(*span, RED) for span in spans], width, size)
    assert (picture.dtype, picture.shape[1:]) == (np.uint8, (width, 3))
