"""Generates answers token by token, greedily or by sampling, until the end token or a stop.

Answers that copy their prompt, such as a list of a caption's nouns, are generated faster with prompt-lookup decoding
(Saxena 2023): the continuation of the latest earlier occurrence of the same tokens is guessed, and all guessed tokens
are verified in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from ...support.checks import check_finite
from ..grounding_model import GenerationConfig
from .conversation import Text
from .language import Language


def write(
    language: Language,
    picture: Tensor,
    asked: Text,
    writing: GenerationConfig,
    stop: Callable[[], bool] | None = None,
    context: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Generator[int, None, None]:
    """Generates the tokens of an answer one by one, without the end token.

    Args:
        language: the model.
        picture: (1, g², C), see `language.ImageFeatures`.
        asked: a conversation without its answer.
        writing: generation settings.
        stop: called before every token; returning True ends the answer.
        context: returns a context to compute in, such as autocast; it is closed before every token is yielded.

    Raises:
        InputError: the conversation is longer than the context.
    """
    config = language.config.language
    generator = torch.Generator().manual_seed(writing.seed)
    text = asked.ids.tolist()
    with torch.inference_mode(), context():
        embedded, _, _ = language.words(picture, [asked.ids])
        past = language.new_cache(writing.guesses)
    # With a cache of fixed size, every step has the same number of guesses, so that it is compiled only once.
    guesses = writing.guesses if past is not None and writing.temperature == 0 else 0
    guessed: list[int] = []
    left = min(writing.max_tokens, config.context - embedded.shape[1])
    while left > 0:
        if stop is not None and stop():
            return
        with torch.inference_mode(), context():
            logits, past = language.continued(embedded, past, 1 + len(guessed))
            check_finite("chances of words", logits)
            if writing.temperature > 0:
                tokens = [_next(logits[0, -1], writing, generator)]
            else:
                tokens = _confirmed(guessed, logits[0].argmax(-1).tolist())[:left]
            if wrong := 1 + len(guessed) - len(tokens):
                past.crop(-wrong)
            text += tokens
            left -= len(tokens)
            guessed = look_up(text, min(writing.guesses, left - 1)) if writing.temperature == 0 else []
            guessed += [config.pad_token] * (guesses - len(guessed))
            embedded = language.embedded(asked.ids.new_tensor([[tokens[-1], *guessed]]))
        for number, token in enumerate(tokens):
            if token == config.end_token or (number and stop is not None and stop()):
                return
            yield token


def write_together(
    language: Language,
    picture: Tensor,
    asked: Sequence[Text],
    writings: Sequence[GenerationConfig],
    watch: Callable[[int], None] | None = None,
    context: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[list[int]]:
    """Generates several answers about one image in a batch, without end tokens, in a fraction of the time.

    The tokens that all conversations begin with, including the image, are read once. The answers are the same as those
    of `write`, except for floating-point rounding.

    Args:
        language: the model.
        picture: (1, g², C), see `language.ImageFeatures`.
        asked: conversations without their answers.
        writings: generation settings of each answer; `guesses` is ignored.
        watch: called before every token with the number of finished answers; an exception that it raises ends the
            writing.
        context: as for `write`.

    Raises:
        InputError: a conversation is longer than the context.
    """
    config = language.config.language
    generators = [torch.Generator().manual_seed(writing.seed) for writing in writings]
    answers: list[list[int]] = [[] for _ in asked]
    with torch.inference_mode(), context():
        whole, real, ids = language.words(picture.expand(len(asked), -1, -1), [text.ids for text in asked])
        lengths = real.sum(1)
        common = _in_common(ids, int(lengths.min()) - 1)
        _, past = language.continued(whole[:1, :common], None)
        past.batch_repeat_interleave(len(asked))
        # Left padding: each remainder is at the end, with padding between it and the common beginning.
        rest = int(lengths.max()) - common
        places = common + torch.arange(rest, device=ids.device) - (lengths.max() - lengths)[:, None]  # (N, rest)
        embedded = whole.gather(1, places.clamp(min=common)[..., None].expand(-1, -1, whole.shape[2]))
        there = torch.cat((real[:, :common], places >= common), 1)
    most = [min(writing.max_tokens, config.context - int(length)) for writing, length in zip(writings, lengths)]
    rows = list(range(len(asked)))
    while True:
        if watch is not None:
            watch(len(asked) - len(rows))
        with torch.inference_mode(), context():
            logits, past = language.continued(embedded, past, there=there, places=places.clamp(min=0))
            check_finite("chances of words", logits)
            tokens = [_next(logits[k, -1], writings[row], generators[row]) for k, row in enumerate(rows)]
            going_on = []
            for k, row in enumerate(rows):
                if tokens[k] != config.end_token and len(answers[row]) < most[row]:
                    answers[row].append(tokens[k])
                    if len(answers[row]) < most[row]:
                        going_on.append(k)
            if not going_on:
                return answers
            if len(going_on) < len(rows):
                past.batch_select_indices(torch.tensor(going_on, device=ids.device))
            rows = [rows[k] for k in going_on]
            embedded = language.embedded(ids.new_tensor([[tokens[k]] for k in going_on]))
            there = torch.cat((there[going_on], there.new_ones(len(rows), 1)), 1)
            places = places[going_on, -1:] + 1


def _in_common(ids: Tensor, most: int) -> int:
    """Number of tokens that all rows of ids (N, L) have in common at the beginning, at most `most`."""
    return int((ids[:, :most] == ids[:1, :most]).all(0).cumprod(0).sum())


def look_up(text: Sequence[int], most: int) -> list[int]:
    """Guesses the next tokens: those that followed the latest earlier occurrence of the last two tokens, or one."""
    if most < 1:
        return []
    for count in (2, 1):
        tail = text[-count:]
        for start in range(len(text) - count - 1, -1, -1):
            if text[start : start + count] == tail:
                return list(text[start + count : start + count + most])
    return []


def _confirmed(guessed: list[int], likeliest: list[int]) -> list[int]:
    """The guesses before the first wrong one, and the model's own token after them."""
    right = next((k for k, guess in enumerate(guessed) if guess != likeliest[k]), len(guessed))
    return likeliest[: right + 1]


def _next(logits: Tensor, writing: GenerationConfig, generator: torch.Generator) -> int:
    if writing.temperature == 0:
        return int(logits.argmax())
    # Subtract the maximum so that even a tiny temperature cannot overflow to infinity.
    chances = ((logits.double() - logits.max()) / writing.temperature).softmax(-1).cpu()
    return int(torch.multinomial(chances, 1, generator=generator))
