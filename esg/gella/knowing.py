"""Which words a model knows, by its tokenizer: one that is written in its own tokens, not spelled letter by letter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from .words import DETERMINERS, FUNCTION_WORDS, find_words, forms

_SHORTEST = 3  # letters of a piece that says something
_LEAST_WORDS = 100  # tokens like words; a tokenizer of fewer spells everything, and knows nothing of words
_MARKS = "Ġ▁ "


@runtime_checkable
class KnowsWords(Protocol):
    """A grounding model that can say which words it knows."""

    def knows(self, word: str) -> bool:
        """Whether it knows a word, in small letters."""
        ...


def has_words(tokens: Iterable[str]) -> bool:
    """Whether a tokenizer has words among its tokens, so that it tells which a model knows."""
    pieces = (token.strip(_MARKS).removesuffix("</w>") for token in tokens)
    return sum(len(piece) >= _SHORTEST and piece.isalpha() for piece in pieces) >= _LEAST_WORDS


def is_known(word: str, pieces: Callable[[str], list[str]]) -> bool:
    """Whether a tokenizer writes a word as one token, or as parts that are no single letters.

    Args:
        word: without space.
        pieces: gives the tokens of a text, each as text.
    """
    for text in (word, f" {word}"):
        found = [piece.strip() for piece in pieces(text)]
        found = [piece for piece in found if piece]
        if len(found) == 1 and found[0].casefold() == word.casefold():
            return True
        if found and all(len(piece) >= _SHORTEST and piece.isalpha() for piece in found):
            return True
    return False


def knows_any(model: KnowsWords, text: str) -> bool:
    """Whether a model knows a word of a text; articles, prepositions and the like count where there are no others."""
    words = {word.key for word in find_words(text)}
    telling = {key for key in words if key not in FUNCTION_WORDS | DETERMINERS and not key.isdigit()}
    telling = {key for key in telling if len(key) > 1 or not key.isascii()}
    if not telling:
        return any(key.isalpha() and key.isascii() for key in words)
    return any(model.knows(form) for key in telling for form in sorted({key, *forms(key)}))
