"""Messages of errors, and the advice that each face words in its own way."""

from __future__ import annotations

import copy

import pytest

from esg.cli.console import _OPTIONS
from esg.support.errors import Advice, EsgError, ImageError, InputError, WeightsError


def test_advice_is_worded_for_python_unless_a_face_has_its_own_words() -> None:
    error = ImageError("a.png is too large.", Advice.MAX_PIXELS)
    assert str(error) == "a.png is too large; raise max_pixels if you trust the file."
    assert error.sentence.worded({Advice.MAX_PIXELS: "crop it"}) == "a.png is too large; crop it."
    assert error.sentence.worded({Advice.DOWNLOAD: "press the button"}) == "a.png is too large."


def test_a_message_without_advice_stays_as_it_is() -> None:
    error = EsgError("Choose a model first.")
    assert str(error) == error.sentence.worded(_OPTIONS) == "Choose a model first."


@pytest.mark.parametrize("error", [InputError("a."), WeightsError("a.", Advice.DOWNLOAD)])
def test_errors_pass_through_copies_and_between_kinds(error: EsgError) -> None:
    again = copy.copy(error)  # as between processes
    assert (type(again), str(again)) == (type(error), str(error))
    assert str(InputError(*error.args)) == str(error)


def test_the_command_line_has_words_for_all_advice() -> None:
    assert set(_OPTIONS) == set(Advice)
