"""Conversations between user and model as tokens: LLaVA-1.5's format of the two tasks of Table III."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...language import captions as prompts
from ...language.coco_names import plural
from ...language.words import Span
from .config import LanguageConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer


_SENTENCE_END = re.compile(r"[.!?…](?:\s|$)")
_SENTENCE_START = re.compile(r"(?:^|(?<=[.!?…])(?=\s))\s*[\"'“‘(]*(\w)")


def uncased(text: str) -> str:
    """Normalises the case of a text to that of the training data; the length stays the same.

    In a caption, which has full stops, only the first letter of a sentence is a capital; an expression has no capitals.
    A letter stays unchanged if its other case has another length.
    """
    letters = [_one(letter, letter.lower()) for letter in text]
    if _SENTENCE_END.search(text):
        for found in _SENTENCE_START.finditer(text):
            place = found.start(1)
            letters[place] = _one(letters[place], letters[place].upper())
    return "".join(letters)


def _one(letter: str, other: str) -> str:
    return other if len(other) == 1 else letter


@dataclass(frozen=True)
class Text:
    """A conversation as tokens.

    Attributes:
        ids: (L,) int64 with one image token.
        start: index of the answer's first token; L if there is no answer yet.
        nouns: tokens of each noun that the answer lists, if known.
    """

    ids: Tensor
    start: int
    nouns: tuple[Tensor, ...] = ()

    def to(self, device: torch.device | str) -> Text:
        """The same conversation on another device."""
        return Text(self.ids.to(device), self.start, tuple(noun.to(device) for noun in self.nouns))


class Conversation:
    """Writes conversations as tokens and decodes answers.

    Args:
        tokenizer: tokenizer of the language model.
        config: ids of the special tokens, and whether the model knows capitals.
        names: names that a small model has learnt; their plurals are known by the same words.
    """

    def __init__(self, tokenizer: Tokenizer, config: LanguageConfig, names: Sequence[str] = ()) -> None:
        self._tokenizer, self._config = tokenizer, config
        self._plurals = sorted(((plural(name), name) for name in names), key=lambda pair: -len(pair[0]))
        special = (config.image_token, config.pad_token, config.seg_token, config.begin_token, config.end_token)
        tokens = {tokenizer.id_to_token(number) for number in special} | {prompts.SEG}
        self._special = sorted((token for token in tokens if token), key=len, reverse=True)

    def describe(self, caption: str | None = None, names: Sequence[str] = (), question: str = prompts.DESCRIBE) -> Text:
        """A conversation that asks for a caption, with the answer if it is known.

        Args:
            caption: the answer.
            names: names of recognised entities, which the caption should mention.
            question: wording of the question, see `captions.WORDINGS`.
        """
        return self._text(prompts.describe(names, question), None if caption is None else [self._normalised(caption)])

    def ask(self, question: str, answer: str | None = None) -> Text:
        """A conversation with a user's own question, with the answer if it is known."""
        return self._text(self._normalised(question), None if answer is None else [self._normalised(answer)])

    def extract(self, caption: str, spans: Sequence[Span] | None = None, question: str = prompts.EXTRACT) -> Text:
        """A conversation that asks for the nouns of a caption, with the answer if their spans are known.

        The answer lists the nouns, each with its <SEG> token.

        Args:
            caption: the caption.
            spans: the spans of its nouns.
            question: wording of the question, see `captions.WORDINGS`.

        Raises:
            InputError: the caption is empty.
        """
        normalised = self._normalised(caption)
        nouns = [] if spans is None else [normalised[slice(*span)] for span in spans]
        text = self._text(
            prompts.extract(normalised, question), None if spans is None else prompts.answer_pieces(nouns)
        )
        words = (self._encode(f" {self._in_singular(noun)}") for noun in nouns)
        return Text(text.ids, text.start, tuple(torch.tensor(tokens) for tokens in words))

    def complete(self, asked: Text, answer: Tensor) -> Text:
        """A question together with the (A,) tokens of its answer."""
        return Text(torch.cat((asked.ids, answer)), len(asked.ids))

    def pieces(self, answer: Tensor) -> list[str]:
        """The text before, between and after the <SEG> tokens of an answer (A,), with or without the end token."""
        found: list[list[int]] = [[]]
        for token in answer.tolist():
            if token == self._config.end_token:
                break
            if token == self._config.seg_token:
                found.append([])
            else:
                found[-1].append(token)
        return [self._tokenizer.decode(piece) for piece in found]

    def _in_singular(self, noun: str) -> str:
        """A noun phrase with the name at its end, if it ends with one, in the singular: "two dog"."""
        for words, name in self._plurals:
            if noun == words or noun.endswith(f" {words}"):
                return noun.removesuffix(words) + name
        return noun

    def _normalised(self, text: str) -> str:
        return text if self._config.cased else uncased(text)

    def _text(self, question: str, answer: list[str] | None) -> Text:
        asked = [self._config.begin_token, *self._encode("USER: "), self._config.image_token]
        asked += self._encode(f"\n{question} ASSISTANT:")
        said: list[int] = []
        if answer is not None:
            for number, piece in enumerate(answer):
                said += [self._config.seg_token] * (number > 0) + self._encode(piece if number else f" {piece}")
            said.append(self._config.end_token)
        return Text(torch.tensor(asked + said), len(asked))

    def _encode(self, text: str) -> list[int]:
        # A user may write "<SEG>"; the inserted space makes it plain text, not a special token.
        for name in self._special:
            text = text.replace(name, f"{name[0]} {name[1:]}")
        return self._tokenizer.encode(text, add_special_tokens=False).ids
