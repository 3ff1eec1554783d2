"""Lists of names, separated by commas, line breaks or dots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.language.listing import dotted_names, split_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat . dog .", ["cat", "dog"]),
        ("red disc . blue square .", ["red disc", "blue square"]),
        ("cat. dog. a red chair.", ["cat", "dog", "a red chair"]),
        ("cat, dog\nbird，fish、 bee ; ant", ["cat", "dog", "bird", "fish", "bee", "ant"]),
        ("cat , dog .", ["cat", "dog"]),
        ("St. Bernard, cat", ["St. Bernard", "cat"]),
        ("St. Bernard", ["St. Bernard"]),
        ("a 1.5 litre bottle", ["a 1.5 litre bottle"]),
        ("cat .", ["cat"]),
        (" , . \n", []),
    ],
)
def test_lists(text: str, names: list[str]) -> None:
    assert split_names(text) == names


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        ("cat . dog .", ["cat", "dog"]),
        ("red disc . blue square . the grey wall", ["red disc", "blue square", "the grey wall"]),
        (" . cat . dog", ["cat", "dog"]),
        ("cat .", None),
        ("A red disc. A blue box.", None),
        ("A man rides a horse . A dog runs .", None),
        ("a cup on a table . a spoon .", None),
        ("", None),
    ],
)
def test_captions_that_are_lists(caption: str, names: list[str] | None) -> None:
    spans = dotted_names(caption)
    assert (None if spans is None else [caption[slice(*span)] for span in spans]) == names


@given(st.text(alphabet="ab .,;\n\u00a0。", max_size=40))
def test_names_are_tidy_pieces_of_the_text(text: str) -> None:
    for name in split_names(text):
        assert name == " ".join(name.split())
        assert name
    for start, end in dotted_names(text) or []:
        assert text[start:end].strip() == text[start:end] != ""
