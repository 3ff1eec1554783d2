"""Decides which words a model knows: those that its tokenizer does not spell letter by letter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from .words import DETERMINERS, FUNCTION_WORDS, find_words, forms

_SHORTEST = 3  # minimum letters of a token that carries meaning
_LEAST_WORDS = 100  # a tokenizer with fewer word-like tokens spells everything and says nothing about known words
_MARKS = "Ġ▁ "
# Short tokens are mostly parts of words, and words of other languages ("wo", "ist", "el"), so these alone are words.
_SHORT = (
    "air all ant any ape arm art bag bar bat bed bee big bin boa bow box boy bud bug bun bus cab can cap car "
    "cat cot cow cub cup dam den dog dot dry ear egg elk emu end eye fan far fig fin fly fog fox fur gap gas "
    "gem gun gym ham hat hay hen her him hip his hog hot hut ice ink inn ivy jam jar jaw jet jug key kid kit "
    "lab lap leg lid lip log low man map mat men mid mop mud mug net new nut oak oar oil old one owl pad pan "
    "paw pea pen pet pie pig pin pit pod pot pub pup ram rat red rib rim rod row rug sap saw sea six ski sky "
    "sun tan tap tea ten tie tin toe top toy tub two urn van vet wax web wet wig zoo"
)
_SHORT_WORDS = frozenset(_SHORT.split())


@runtime_checkable
class KnowsWords(Protocol):
    """A grounding model that can tell which words it knows."""

    def knows(self, word: str) -> bool:
        """Whether the model knows a word, given in lower case."""
        ...


def has_words(tokens: Iterable[str]) -> bool:
    """Whether a tokenizer has words among its tokens, so that it shows which words a model knows."""
    pieces = (token.strip(_MARKS).removesuffix("</w>") for token in tokens)
    return sum(len(piece) >= _SHORTEST and piece.isalpha() for piece in pieces) >= _LEAST_WORDS


def is_known(word: str, pieces: Callable[[str], list[str]]) -> bool:
    """Whether a tokenizer writes a word as one token, or as parts that are longer than single letters.

    Args:
        word: a word without spaces.
        pieces: returns the tokens of a text, each as text.
    """
    if len(word) <= _SHORTEST and word.isascii():
        return word.lower() in _SHORT_WORDS
    for text in (word, f" {word}"):
        found = [piece.strip() for piece in pieces(text)]
        found = [piece for piece in found if piece]
        if len(found) == 1 and found[0].casefold() == word.casefold():
            return True
        if found and all(len(piece) >= _SHORTEST and piece.isalpha() for piece in found):
            return True
    return False


def knows_any(model: KnowsWords, text: str) -> bool:
    """Whether a model knows a content word of a text; function words count only if the text has no others."""
    words = {word.key for word in find_words(text)}
    telling = {key for key in words if key not in FUNCTION_WORDS | DETERMINERS and not key.isdigit()}
    telling = {key for key in telling if len(key) > 1 or not key.isascii()}
    if not telling:
        return any(key.isalpha() and key.isascii() for key in words)
    return any(model.knows(form) for key in telling for form in sorted({key, *forms(key)}))
