"""Writing answers token by token: greedy or by lot, one piece of text after the other, until the end or a stop."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from .conversation import Text
from .language import Language


@dataclass(frozen=True)
class Writing:
    """How an answer is written.

    Attributes:
        most: of its tokens.
        temperature: 0 takes the likeliest token always; larger values make unlikely ones likelier.
        seed: of the lots.
    """

    most: int = 256
    temperature: float = 0.0
    seed: int = 0


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
    with torch.inference_mode(), context():
        embedded, _, _ = language.words(picture, [asked.ids])
    past = None
    for _ in range(min(writing.most, config.context - embedded.shape[1])):
        if stop is not None and stop():
            return
        with torch.inference_mode(), context():
            logits, past = language.continued(embedded, past)
            token = _drawn(logits[0], writing.temperature, generator)
            embedded = language.embedded(asked.ids.new_tensor([[token]]))
        if token == config.end_token:
            return
        yield token


def _drawn(logits: Tensor, temperature: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits.argmax())
    chances = (logits.float() / temperature).softmax(-1).cpu()
    return int(torch.multinomial(chances, 1, generator=generator))
