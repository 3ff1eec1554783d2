from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esg.data.narrated import tell_scene
from esg.language.nouns import parse_pieces
from esg.models.gella.conversation import Conversation, uncased
from esg.support.errors import InputError


@pytest.fixture(scope="session")
def conversation(speaker: Any) -> Conversation:
    config, tokenizer = speaker
    return Conversation(tokenizer, config.language)


def test_the_form_is_that_of_llava(speaker: Any, conversation: Conversation) -> None:
    _config, tokenizer = speaker
    text = conversation.extract("A red disc.", [(2, 10)])
    said = tokenizer.decode(text.ids.tolist(), skip_special_tokens=False)
    assert said == (
        "<s>USER: <image>\nPlease help me extract each semantic noun of the sentence. The sentence is A red disc. "
        "ASSISTANT: There is one semantic noun, including red disc <SEG>.</s>"
    )
    assert text.ids[text.start - 1 :].tolist()[0] == tokenizer.encode(":").ids[0]


def test_a_question_is_the_beginning_of_its_conversation(conversation: Conversation) -> None:
    asked, whole = conversation.describe(), conversation.describe("Two dogs.")
    assert asked.start == len(asked.ids) == whole.start
    assert whole.ids[: whole.start].tolist() == asked.ids.tolist()
    again = conversation.complete(asked, whole.ids[whole.start :])
    assert again.ids.tolist() == whole.ids.tolist()
    assert again.start == whole.start


@given(nouns=st.lists(st.text("abc é犬", min_size=1, max_size=8).map(str.strip).filter(bool), min_size=1, max_size=5))
def test_nouns_come_back(conversation: Conversation, nouns: list[str]) -> None:
    caption = " ".join(nouns)
    ends = list(accumulate(len(noun) + 1 for noun in nouns))
    spans = [(end - 1 - len(noun), end - 1) for end, noun in zip(ends, nouns)]
    text = conversation.extract(caption, spans)
    pieces = conversation.pieces(text.ids[text.start :])
    assert len(pieces) == len(nouns) + 1
    found = [" ".join(noun.split()) for noun in parse_pieces(pieces)]
    assert found == [" ".join(noun.split()) for noun in nouns]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A RED Disc", "a red disc"),  # an expression
        ('a red disc. THE DISC ("IT") IS 3.5 M', 'A red disc. The disc ("it") is 3.5 m'),
        ('Discs! "IT IS"?', 'Discs! "It is"?'),
        ("", ""),
        ("İ ﬁsh ß. ßa", "İ ﬁsh ß. ßa"),  # their other case is longer
        ("СОБАКА. 狗", "Собака. 狗"),
    ],
)
def test_texts_in_the_letters_of_the_training_data(text: str, told: str) -> None:
    assert uncased(text) == told


@given(text=st.text(), ascii_text=st.text(st.characters(max_codepoint=127)))
def test_normalised_text_keeps_its_length_and_ignores_case(text: str, ascii_text: str) -> None:
    assert len(uncased(text)) == len(text)
    assert uncased(ascii_text.upper()) == uncased(ascii_text.lower()) == uncased(ascii_text)


def test_case_is_normalised_only_for_models_without_capitals(speaker: Any) -> None:
    config, tokenizer = speaker
    cased, plain = (
        Conversation(tokenizer, replace(config.language, cased=cased)).extract("The RED Disc", [(4, 12)])
        for cased in (True, False)
    )
    read = [tokenizer.decode(text.ids.tolist()) for text in (cased, plain)]
    assert [text.count("RED Disc") for text in read] == [2, 0]
    assert read[1].count("red disc") == 2
    assert read[1].startswith("USER")


def test_nouns_are_known_by_their_words_and_names_in_the_singular(speaker: Any) -> None:
    config, tokenizer = speaker
    caption = "Two wine glasses, people and a red disc"
    spans = [(0, 16), (18, 24), (31, 39)]
    text = Conversation(tokenizer, config.language, ["person", "wine glass"]).extract(caption, spans)
    nouns = [tokenizer.decode(noun.tolist()).strip().lower() for noun in text.nouns]
    assert nouns == ["two wine glass", "person", "red disc"]
    assert Conversation(tokenizer, config.language).describe().nouns == ()


@pytest.mark.parametrize("refers", [False, True])
def test_generated_captions_are_already_normalised(refers: bool) -> None:
    for seed in range(4):
        for narrative in tell_scene(seed, np.random.default_rng(seed), (64, 64), refers=(refers,) * 5).narratives:
            assert uncased(narrative.caption) == narrative.caption


@pytest.mark.parametrize("name", ["<SEG>", "<image>", "<s>", "</s>", "<pad>"])
def test_names_of_tokens_in_a_users_text_are_text(speaker: Any, conversation: Conversation, name: str) -> None:
    _config, tokenizer = speaker
    plain = conversation.extract("a dog").ids.tolist()
    ids = conversation.extract(f"a {name} dog").ids.tolist()
    number = tokenizer.token_to_id(name)
    assert ids.count(number) == plain.count(number)
    assert len(ids) > len(plain)


def test_an_empty_caption_is_refused(conversation: Conversation) -> None:
    with pytest.raises(InputError, match="caption is empty"):
        conversation.extract("  ")


def test_what_follows_the_end_is_not_read(speaker: Any, conversation: Conversation) -> None:
    config, tokenizer = speaker
    ids = torch.tensor([*tokenizer.encode("dog").ids, config.language.end_token, *tokenizer.encode("cat").ids])
    assert conversation.pieces(ids) == ["dog"]
    assert conversation.pieces(ids[:0]) == [""]
