"""Writing answers token by token: greedy or by lot, one piece of text after the other, until the end or a stop.

An answer that copies, as a list of a caption's nouns does, is written faster with prompt-lookup decoding (Saxena 2023):
how the text went on where it last said the same is guessed to come again, and all guesses are checked in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .conversation import Text
from .language import Language


@dataclass(frozen=True)
class Writing:
    """How an answer is written.

    Attributes:
        most: of its tokens, at least 1.
        temperature: 0 takes the likeliest token always; larger values make unlikely ones likelier.
        seed: of the lots, from 0.
        guesses: tokens that are looked up and checked at once, for answers that copy; greedy ones alone have any. They
            are the same with and without, up to how sums of floating point numbers are rounded.

    Raises:
        InputError: a value is out of its range.
    """

    most: int = 256
    temperature: float = 0.0
    seed: int = 0
    guesses: int = 0

    def __post_init__(self) -> None:
        if self.most < 1:
            raise InputError(f"A caption of at most {self.most} tokens is none; allow at least 1.")
        if not 0 <= self.temperature < math.inf:  # which is false for NaN, too
            raise InputError(f"The temperature must be a number from 0 up, not {self.temperature}.")
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"The seed must be a whole number from 0 to 2**64 - 1, not {self.seed}.")


def write(
    language: Language,
    picture: Tensor,
    asked: Text,
    writing: Writing,
    stop: Callable[[], bool] | None = None,
    context: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Generator[int, None, None]:
    """The tokens of an answer as they come, without the end token.

    Args:
        language: the model.
        picture: (1, g², C), see `language.Sight`.
        asked: a conversation without its answer.
        writing: how.
        stop: asked before every token; True ends the answer.
        context: makes what the model computes in, such as autocast; it is left whenever a token is handed out.

    Raises:
        InputError: the conversation is longer than the context.
    """
    config = language.config.language
    generator = torch.Generator().manual_seed(writing.seed)
    text = asked.ids.tolist()
    with torch.inference_mode(), context():
        embedded, _, _ = language.words(picture, [asked.ids])
    past: Any = None
    guessed: list[int] = []
    left = min(writing.most, config.context - embedded.shape[1])
    while left > 0:
        if stop is not None and stop():
            return
        with torch.inference_mode(), context():
            logits, past = language.continued(embedded, past, 1 + len(guessed))
            if writing.temperature > 0:
                tokens = [_drawn(logits[0, -1], writing.temperature, generator)]
            else:
                tokens = _confirmed(guessed, logits[0].argmax(-1).tolist())
            if wrong := 1 + len(guessed) - len(tokens):
                past.crop(-wrong)
            text += tokens
            left -= len(tokens)
            guessed = look_up(text, min(writing.guesses, left - 1)) if writing.temperature == 0 else []
            embedded = language.embedded(asked.ids.new_tensor([[tokens[-1], *guessed]]))
        for number, token in enumerate(tokens):
            if token == config.end_token or (number and stop is not None and stop()):
                return
            yield token


def look_up(text: Sequence[int], most: int) -> list[int]:
    """How a text may go on: as it did the last time that its last two tokens, or else its last one, stood in it."""
    if most < 1:
        return []
    for count in (2, 1):
        tail = text[-count:]
        for start in range(len(text) - count - 1, -1, -1):
            if text[start : start + count] == tail:
                return list(text[start + count : start + count + most])
    return []


def _confirmed(guessed: list[int], likeliest: list[int]) -> list[int]:
    """The guesses up to the first wrong one, and the token that comes instead of it or after the last."""
    right = next((k for k, guess in enumerate(guessed) if guess != likeliest[k]), len(guessed))
    return likeliest[: right + 1]


def _drawn(logits: Tensor, temperature: float, generator: torch.Generator) -> int:
    chances = (logits.float() / temperature).softmax(-1).cpu()
    return int(torch.multinomial(chances, 1, generator=generator))
