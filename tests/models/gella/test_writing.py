from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from esg.models.gella.conversation import Conversation, Text
from esg.models.gella.language import Language
from esg.models.gella.writing import look_up, write, write_together
from esg.models.grounding_model import GenerationConfig
from esg.support.errors import InputError


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
def test_greedy_writing_equals_the_most_likely_tokens_of_one_pass(
    writer: tuple[Language, torch.Tensor, Text],
) -> None:
    language, picture, asked = writer
    tokens = list(write(language, picture, asked, GenerationConfig(max_tokens=8)))
    assert len(tokens) == 8
    reading = language.read(picture, [torch.cat((asked.ids, torch.tensor(tokens)))])
    likeliest = language.logits(reading.hidden[0, -9:-1]).argmax(-1)
    assert likeliest.tolist() == tokens


@torch.no_grad()
def test_lots_depend_on_the_seed_alone(writer: tuple[Language, torch.Tensor, Text]) -> None:
    drawn = [list(write(*writer, GenerationConfig(max_tokens=12, temperature=2.0, seed=seed))) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] == list(write(*writer, GenerationConfig(max_tokens=12, temperature=2.0, seed=np.int64(1))))


def test_the_smallest_temperature_equals_greedy_writing(writer: tuple[Language, torch.Tensor, Text]) -> None:
    greedy = list(write(*writer, GenerationConfig(max_tokens=8)))
    assert list(write(*writer, GenerationConfig(max_tokens=8, temperature=5e-324, seed=1))) == greedy


@torch.no_grad()
def test_writing_stops_on_request_and_at_the_end_of_the_context(
    writer: tuple[Language, torch.Tensor, Text],
) -> None:
    language, picture, asked = writer
    asks = iter([False, False, True])
    assert len(list(write(language, picture, asked, GenerationConfig(), lambda: next(asks)))) == 2
    context, seen = language.config.language.context, picture.shape[1] - 1
    room = context - len(asked.ids) - seen
    whole = list(write(language, picture, asked, GenerationConfig(max_tokens=10_000, temperature=3.0)))
    assert len(whole) <= room
    long = Text(torch.cat((asked.ids, asked.ids.new_full((room + 1,), 9))), 0)
    with pytest.raises(InputError, match="too long"):
        next(write(language, picture, long, GenerationConfig()))


@torch.no_grad()
def test_writing_ends_with_the_end_token(writer: tuple[Language, torch.Tensor, Text]) -> None:
    language, picture, asked = writer
    head = language.llava.get_output_embeddings()
    before = head.weight.clone()
    hidden = language.read(picture, [asked.ids]).hidden[0, -1]
    head.weight[language.config.language.end_token] = 100 * hidden
    try:
        assert list(write(language, picture, asked, GenerationConfig())) == []
    finally:
        head.weight.copy_(before)


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ([1, 2, 3, 4, 9, 2, 3], 2, [4, 9]),  # two tokens in common
        ([7, 2, 3, 8, 2, 3, 9, 2, 3], 1, [9]),  # the last time counts
        ([5, 3, 6, 1, 3], 4, [6, 1, 3]),  # one token in common, and no more to copy than there is
        ([1, 2, 3], 4, []),
        ([4, 4, 4], 3, [4]),
        ([1, 2, 1], 0, []),
        ([6], 2, []),
    ],
)
def test_guesses_come_from_the_latest_occurrence_of_the_same_tokens(
    text: list[int], most: int, expected: list[int]
) -> None:
    assert look_up(text, most) == expected


@pytest.fixture(scope="module")
def random_writer(speaker: Any) -> Callable[[int], tuple[Language, torch.Tensor]]:
    """A model for every seed; many of them soon say the same again and again, so that guesses are right.

    In double precision: how sums are rounded never decides between two words.
    """
    config, _ = speaker
    config = dataclasses.replace(config, language=dataclasses.replace(config.language, context=90))

    @cache
    def make(seed: int) -> tuple[Language, torch.Tensor]:
        torch.manual_seed(seed)
        language = Language(config).eval().double()
        with torch.no_grad():
            for parameter in language.parameters():
                parameter.normal_(std=0.3)
        return language, torch.randn(1, config.vision.grid**2, config.language.width).double()

    return make


@settings(max_examples=60)
@given(
    seed=st.integers(0, 4),
    words=st.lists(st.integers(5, 30), min_size=1, max_size=30),
    most=st.integers(1, 50),
    guesses=st.integers(1, 9),
    patience=st.none() | st.integers(0, 12),
)
def test_guesses_change_no_token(
    random_writer: Callable[[int], tuple[Language, torch.Tensor]],
    seed: int,
    words: list[int],
    most: int,
    guesses: int,
    patience: int | None,
) -> None:
    language, picture = random_writer(seed)
    asked = Text(torch.tensor([language.config.language.image_token, *words]), len(words) + 1)

    def written(writing: GenerationConfig) -> list[int]:
        asks = iter(range(1000))
        stop = None if patience is None else lambda: next(asks) >= patience
        return list(write(language, picture, asked, writing, stop))

    assert written(GenerationConfig(most, guesses=guesses)) == written(GenerationConfig(most))


@pytest.mark.parametrize("most", [1, 9, 40])
@pytest.mark.parametrize("guesses", [0, 3])
def test_compiled_steps_have_fixed_shapes_and_change_no_token(
    random_writer: Callable[[int], tuple[Language, torch.Tensor]],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    guesses: int,
) -> None:
    pytest.importorskip("transformers", "5.24", reason="older ones have no cache of fixed size that can be cropped")
    language, picture = random_writer(2)
    asked = Text(torch.tensor([language.config.language.image_token, 7, 8, 9]), 4)
    writing = GenerationConfig(most, guesses=guesses)
    expected = list(write(language, picture, asked, writing))
    shapes = []

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(embedded: torch.Tensor, past: Any, *rest: Any) -> Any:
            shapes.append((embedded.shape[1], past.layers[0].max_cache_len))
            return function(embedded, past, *rest)

        return step

    monkeypatch.setattr("esg.support.compiling._compiled", compiled)
    try:
        language.compile_steps()
        assert list(write(language, picture, asked, writing)) == expected
    finally:
        language._step = None
    assert {*shapes} <= {(1 + guesses, language.config.language.context + guesses)}
    assert bool(shapes) == (most > 1)


@torch.no_grad()
def test_guesses_that_are_right_save_passes(writer: tuple[Language, torch.Tensor, Text]) -> None:
    """The head says the token after the one it hears, in a circle of three: a text that copies itself for ever."""
    language, picture, asked = writer
    passes = []

    def continued(embedded: torch.Tensor, past: Any, last: int = 1) -> tuple[torch.Tensor, Any]:
        _, past = Language.continued(language, embedded, past, last)
        passes.append(last)
        circle = (past.get_seq_length() + torch.arange(1 - last, 1)) % 3 + 10
        return torch.nn.functional.one_hot(circle, 300)[None].float(), past

    language.continued = continued  # type: ignore[method-assign]
    try:
        plain = list(write(language, picture, asked, GenerationConfig(max_tokens=30)))
        assert passes == [1] * 30
        passes.clear()
        assert list(write(language, picture, asked, GenerationConfig(max_tokens=30, guesses=4))) == plain
    finally:
        del language.continued
    assert sum(passes) <= 30 + 4 * 3  # few guesses are wrong
    assert len(passes) < 12


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 4),
    words=st.lists(st.lists(st.integers(5, 30), max_size=12), min_size=1, max_size=5),
    most=st.integers(1, 30),
    temperature=st.sampled_from((0.0, 0.7)),
)
def test_several_answers_at_once_are_those_of_one_by_one(
    random_writer: Callable[[int], tuple[Language, torch.Tensor]],
    seed: int,
    words: list[list[int]],
    most: int,
    temperature: float,
) -> None:
    language, picture = random_writer(seed)
    image = language.config.language.image_token
    asked = [Text(torch.tensor([1, 7, image, 8, *own]), 4 + len(own)) for own in words]
    writings = [GenerationConfig(most + number, temperature, seed=number) for number in range(len(asked))]
    seen: list[int] = []
    together = write_together(language, picture, asked, writings, seen.append)
    assert together == [list(write(language, picture, *one)) for one in zip(asked, writings)]
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert len(seen) >= max(map(len, together))


def test_what_watches_several_answers_can_end_them(writer: tuple[Language, torch.Tensor, Text]) -> None:
    language, picture, asked = writer

    def watch(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_together(language, picture, [asked] * 2, [GenerationConfig(), GenerationConfig(seed=1)], watch)
