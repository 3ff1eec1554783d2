"""The words a model knows, judged by how its tokenizer writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from esg.grounder import Grounder
from esg.language.knowing import has_words, is_known, knows_any
from esg.models.gella.inference import GellaInference
from esg.models.gella.model import Gella
from esg.support.errors import InputError

TOKENS = {"disc": ["disc"], " disc": [" disc"], " giraffe": [" gir", "affe"], " kreis": [" k", "re", "is"]}


def pieces(text: str) -> list[str]:
    return TOKENS.get(text, list(text))


@pytest.mark.parametrize(
    ("word", "known"),
    [("disc", True), ("giraffe", True), ("kreis", False), ("zzzz", False), ("圆", True), ("圆盘", False)],
)
def test_a_known_word_is_a_token_or_made_of_long_ones(word: str, known: bool) -> None:
    assert is_known(word, pieces) is known  # 圆 is a token of a tokenizer that has it whole


@pytest.mark.parametrize(
    ("word", "known"), [("wo", False), ("ist", False), ("el", False), ("cat", True), ("sea", True)]
)
def test_short_tokens_are_words_only_in_english(word: str, known: bool) -> None:
    assert is_known(word, lambda text: [text]) is known


def test_half_a_letter_is_not_a_word() -> None:
    assert not is_known("犬", lambda text: ["\N{REPLACEMENT CHARACTER}"] * 3)
    assert not is_known("犬", lambda text: ["\N{REPLACEMENT CHARACTER}"])


def test_a_tokenizer_of_letters_tells_nothing() -> None:
    assert not has_words(["a", "b", "Ġthe", "ing"])
    assert has_words([f"Ġ{a}{b}d" for a in "abcdefghijk" for b in "abcdefghijk"])


class Model:
    def knows(self, word: str) -> bool:
        return word in ("red", "disc", "left")


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("der rote Kreis", False),
        ("in der Küche", False),
        ("红色的圆盘", False),
        ("🙂🔴", False),
        ("!!!", False),
        ("3", False),
        ("the discs", True),
        ("RED Kreis", True),
        ("which of them is it?", True),
    ],
)
def test_a_text_is_known_by_one_word_that_says_something(text: str, known: bool) -> None:
    assert knows_any(Model(), text) is known


def test_the_model_that_ships_says_what_it_cannot_read() -> None:
    grounder = Grounder.from_pretrained("gella-nano", device="cpu")
    for text in ("der rote Kreis", "红色的圆盘", "🙂🔴", "zzzz"):
        with pytest.raises(
            InputError, match=r"^gella-nano knows no word of .*\. It reads English only and has a limited vocabulary"
        ) as caught:
            grounder.check_words([text])
        assert "\n" not in str(caught.value)
    assert grounder.check_words(["a red disc", "犬", "the blue box"]) == ["犬"]
    for text in ("red disc", "Large GREEN areas at the top", "which one is it?"):
        assert grounder.check_words([text]) == []


def test_names_and_their_synonyms_are_known(speaker: Any) -> None:
    config, tokenizer = speaker
    inference = GellaInference(Gella(replace(config, names=("hot dog",), synonyms={"puppy": "dog"})), tokenizer)
    inference._has_words = True
    for word in ("hot", "dog", "puppy"):
        assert inference.knows(word)
    assert not inference.knows("katze")
    assert knows_any(inference, "two puppies")
