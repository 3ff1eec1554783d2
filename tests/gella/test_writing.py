from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from esg.errors import InputError
from esg.gella.conversation import Conversation, Text
from esg.gella.language import Language
from esg.gella.writing import Writing, write


@pytest.fixture(scope="module")
def writer(speaker: Any) -> tuple[Language, torch.Tensor, Text]:
    config, tokenizer = speaker
    config = dataclasses.replace(config, language=dataclasses.replace(config.language, context=150))
    torch.manual_seed(0)
    language = Language(config).eval()
    with torch.no_grad():
        for parameter in language.parameters():
            parameter.normal_(std=0.3)
    picture = torch.randn(1, config.vision.grid**2, config.language.width)
    return language, picture, Conversation(tokenizer, config.language).describe()


@torch.no_grad()
def test_greedy_writing_takes_the_likeliest_token_of_one_pass_over_the_whole_text(
    writer: tuple[Language, torch.Tensor, Text],
) -> None:
    language, picture, asked = writer
    tokens = list(write(language, picture, asked, Writing(most=8)))
    assert len(tokens) == 8
    reading = language.read(picture, [torch.cat((asked.ids, torch.tensor(tokens)))])
    likeliest = language.logits(reading.hidden[0, -9:-1]).argmax(-1)
    assert likeliest.tolist() == tokens


@torch.no_grad()
def test_lots_depend_on_the_seed_alone(writer: tuple[Language, torch.Tensor, Text]) -> None:
    drawn = [list(write(*writer, Writing(most=12, temperature=2.0, seed=seed))) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@torch.no_grad()
def test_writing_stops_when_it_is_told_and_at_the_end_of_the_context(
    writer: tuple[Language, torch.Tensor, Text],
) -> None:
    language, picture, asked = writer
    asks = iter([False, False, True])
    assert len(list(write(language, picture, asked, Writing(), lambda: next(asks)))) == 2
    context, seen = language.config.language.context, picture.shape[1] - 1
    room = context - len(asked.ids) - seen
    whole = list(write(language, picture, asked, Writing(most=10_000, temperature=3.0)))
    assert len(whole) <= room
    long = Text(torch.cat((asked.ids, asked.ids.new_full((room + 1,), 9))), 0)
    with pytest.raises(InputError, match="too long"):
        next(write(language, picture, long, Writing()))


@torch.no_grad()
def test_writing_ends_with_the_end_token(writer: tuple[Language, torch.Tensor, Text]) -> None:
    language, picture, asked = writer
    head = language.llava.get_output_embeddings()
    before = head.weight.clone()
    hidden = language.read(picture, [asked.ids]).hidden[0, -1]
    head.weight[language.config.language.end_token] = 100 * hidden
    try:
        assert list(write(language, picture, asked, Writing())) == []
    finally:
        head.weight.copy_(before)
