"""Groundings quote their captions, keep their entities in order, and survive a round trip through files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg import Grounding, Phrase
from esg.support.errors import InputError, OutputError

CAPTION = "two dogs near the door"


def small() -> Grounding:
    return Grounding(CAPTION, (Phrase("two dogs", (0, 8), (3, 1), (0.9, 0.5)), Phrase("door", (18, 22))))


@st.composite
def groundings(draw: st.DrawFn) -> Grounding:
    caption = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    phrases = []
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(caption) - 1))
        end = draw(st.integers(start + 1, len(caption)))
        ids = draw(st.lists(st.integers(1), max_size=4, unique=True))
        scores = draw(st.lists(st.floats(0, 1), min_size=len(ids), max_size=len(ids)))
        phrases.append(Phrase(caption[start:end], (start, end), tuple(ids), tuple(sorted(scores, reverse=True))))
    return Grounding(caption, tuple(phrases))


# ------------------------------------------------------------------------------------------------------------ the data


def test_lists_and_numpy_numbers_become_tuples() -> None:
    phrase = Phrase("dogs", [4, 8], np.array([3, 1]), np.array([0.5, 0.25], np.float32))  # type: ignore[arg-type]
    assert (phrase.span, phrase.entity_ids, phrase.scores) == ((4, 8), (3, 1), (0.5, 0.25))
    assert [type(value) for value in (*phrase.span, *phrase.entity_ids, *phrase.scores)] == [int] * 4 + [float] * 2
    assert Phrase("dogs", (4, 8), iter([3]), iter([1])).scores == (1.0,)  # type: ignore[arg-type]
    assert hash(Grounding(CAPTION, [phrase])) == hash(Grounding(CAPTION, (phrase,)))  # type: ignore[arg-type]


def test_the_phrases_of_an_entity() -> None:
    grounding = Grounding("a dog, a dog", (Phrase("dog", (2, 5), (1,), (1,)), Phrase("dog", (9, 12), (2, 1), (1, 0))))
    assert grounding.entity_phrases(1) == grounding.phrases
    assert grounding.entity_phrases(2) == grounding.phrases[1:]
    assert grounding.entity_phrases(3) == grounding.entity_phrases(0) == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", (0, 0)), "at least one character"),
        ((None, (0, 1)), "at least one character, not None"),
        (("dog", (0, 2)), r"'dog' has 3 characters and cannot have the span \[0, 2\]"),
        (("dog", (-3, 0)), "cannot have the span"),
        (("dog", (0, 1, 3)), "cannot have the span"),
        (("dog", (0.0, 3.0)), "span of the phrase 'dog' must be a list of whole numbers"),
        (("dog", "03"), "list of whole numbers, not '03'"),
        (("dog", None), "list of whole numbers, not None"),
        (("dog", (False, 3)), "list of whole numbers"),
        (("dog", (0, 3), (0,), (1,)), r"distinct and 1 or more, not \[0\]"),
        (("dog", (0, 3), (2, 2), (1, 1)), "distinct"),
        (("dog", (0, 3), (1.5,), (1,)), "entity ids of the phrase 'dog' must be a list of whole numbers"),
        (("dog", (0, 3), (1,)), "has 1 entity ids, but 0 scores"),
        (("dog", (0, 3), (), (1,)), "has 0 entity ids, but 1 scores"),
        (("dog", (0, 3), (1, 2), (0.5, 0.6)), "highest first"),
        (("dog", (0, 3), (1,), (1.01,)), "between 0 and 1"),
        (("dog", (0, 3), (1,), (-0.1,)), "between 0 and 1"),
        (("dog", (0, 3), (1,), (float("nan"),)), "between 0 and 1"),
        (("dog", (0, 3), (1,), ("1",)), "scores of the phrase 'dog' must be a list of numbers"),
        (("dog", (0, 3), (1,), (10**400,)), "list of numbers"),
        (("dog", (0, 3), (1,), 1.0), "list of numbers, not 1.0"),
    ],
)
def test_invalid_phrases_are_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Phrase(*arguments)
    assert str(caught.value).endswith(".")


def test_a_phrase_must_quote_the_caption() -> None:
    with pytest.raises(InputError, match=r"'cats' does not match the caption, which reads 'dogs' at \[4, 8\]"):
        Grounding(CAPTION, (Phrase("cats", (4, 8)),))
    with pytest.raises(InputError, match="does not match"):
        Grounding(CAPTION, (Phrase("door!", (18, 23)),))


def test_a_caption_must_be_a_text_that_can_be_written() -> None:
    with pytest.raises(InputError, match="must be a text, not bytes"):
        Grounding(b"dog")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lone surrogate"):
        Grounding("dog \ud83d")
    assert Grounding("dog 🐶", (Phrase("🐶", (4, 5)),)).phrases[0].text == "🐶"


def test_a_message_about_a_long_phrase_stays_short() -> None:
    with pytest.raises(InputError) as caught:
        Phrase("dog\n" * 1000, (0, 1))
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------------------ the file


def test_the_content_of_a_file(tmp_path: Path) -> None:
    small().save(tmp_path / "new" / "photo.grounding.json")
    assert json.loads((tmp_path / "new" / "photo.grounding.json").read_text(encoding="utf-8")) == {
        "caption": CAPTION,
        "phrases": [
            {"text": "two dogs", "span": [0, 8], "entity_ids": [3, 1], "scores": [0.9, 0.5]},
            {"text": "door", "span": [18, 22], "entity_ids": [], "scores": []},
        ],
    }


@given(grounding=groundings())
def test_any_grounding_comes_back(grounding: Grounding, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.grounding.json"
    grounding.save(path)
    assert Grounding.from_json(path) == Grounding.from_json(str(path)) == grounding
    assert Grounding.from_json(grounding.to_json()) == grounding


def test_further_fields_are_ignored() -> None:
    content = small().to_json() | {"model": "gella-nano"}
    content["phrases"][0]["colour"] = "red"
    assert Grounding.from_json(content) == small()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        small().save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json cannot be read: no such file"):
        Grounding.from_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a JSON file"),
        (b"\x89PNG", "is not a JSON file"),
        (b"[" * 100_000, "is not a JSON file"),
        (b"[]", 'must be a JSON object with "caption" and "phrases"'),
        (b"{}", "is missing"),
        (b'{"phrases": []}', '"caption" is missing'),
        (b'{"caption": "a dog"}', '"phrases" is missing'),
        (b'{"caption": null, "phrases": []}', "A caption must be a text, not NoneType"),
        (b'{"caption": "a dog", "phrases": {}}', '"phrases" must be a list'),
        (b'{"caption": "a dog", "phrases": ["dog"]}', "a phrase must be an object"),
        (
            b'{"caption": "a dog", "phrases": [{"text": "dog", "span": [2, 5], "scores": []}]}',
            '"entity_ids" is missing',
        ),
        (
            b'{"caption": "a cat", "phrases": [{"text": "dog", "span": [2, 5], "entity_ids": [], "scores": []}]}',
            "does not match the caption",
        ),
        (
            b'{"caption": "a dog", "phrases": [{"text": "dog", "span": [2, 5], "entity_ids": [1], "scores": [NaN]}]}',
            "between 0 and 1",
        ),
    ],
)
def test_wrong_content_is_one_sentence_that_names_the_file(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "photo.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        Grounding.from_json(path)
    assert str(caught.value).startswith(f"{path} is not a ")
    assert str(caught.value).endswith(".")


def test_a_guess_is_kept_and_checked() -> None:
    guessed = Grounding("the cat", (Phrase("the cat", (0, 7), guess=(2, 0.25)),))
    assert guessed.to_json()["phrases"][0]["guess"] == [2, 0.25]
    assert Grounding.from_json(guessed.to_json()).phrases[0].guess == (2, 0.25)
    assert "guess" not in Grounding("the cat", (Phrase("the cat", (0, 7)),)).to_json()["phrases"][0]
    for wrong in ((0, 0.5), (1, 1.5), (1,), 3, ("1", 0.5), (1, "0.5")):
        with pytest.raises(InputError, match="guess of the phrase 'the cat'"):
            Phrase("the cat", (0, 7), guess=wrong)  # type: ignore[arg-type]
