from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from esg.models.gella.config import LanguageConfig
from esg.models.gella.tokenizer import train_tokenizer

SIZES = LanguageConfig(vocabulary=300, image_token=3, pad_token=0, seg_token=4)


@given(text=st.text())
def test_any_text_can_be_written(speaker: Any, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    tokenizer = speaker[1]
    for name in ("<pad>", "<s>", "</s>", "<image>", "<SEG>"):
        text = text.replace(name, "")
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_special_tokens_have_their_ids_and_frequent_text_is_short() -> None:
    tokenizer = train_tokenizer(["the striped bar"] * 9, SIZES)
    names = {"<pad>": 0, "<s>": 1, "</s>": 2, "<image>": 3, "<SEG>": 4}
    assert {name: tokenizer.token_to_id(name) for name in names} == names
    assert tokenizer.get_vocab_size() <= SIZES.vocabulary
    assert len(tokenizer.encode("the striped bar").ids) == 3
    assert len(tokenizer.encode("zebra").ids) >= 4


def test_the_same_texts_give_the_same_tokenizer() -> None:
    texts = ["a red disc", "two red discs and a bar"]
    assert train_tokenizer(texts, SIZES).to_str() == train_tokenizer(texts, SIZES).to_str()
