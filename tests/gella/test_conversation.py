from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esg.errors import InputError
from esg.gella.conversation import Conversation
from esg.gella.nouns import parse_pieces


@pytest.fixture(scope="session")
def conversation(speaker: Any) -> Conversation:
    config, tokenizer = speaker
    return Conversation(tokenizer, config.language)


def test_the_form_is_that_of_llava(speaker: Any, conversation: Conversation) -> None:
    _config, tokenizer = speaker
    text = conversation.extract("A red disc.", ["red disc"])
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
    text = conversation.extract("a caption", nouns)
    pieces = conversation.pieces(text.ids[text.start :])
    assert len(pieces) == len(nouns) + 1
    found = [" ".join(noun.split()) for noun in parse_pieces(pieces)]
    assert found == [" ".join(noun.split()) for noun in nouns]


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
