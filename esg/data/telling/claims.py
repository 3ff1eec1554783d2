"""Whether what a phrase says is true of the entities that it is grounded in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ...errors import InputError
from .facts import Facts
from .words import KINDS

_WORD = re.compile(r"[a-z]+")


def claims(phrase: str) -> tuple[str, ...]:
    """The words of a phrase that claim a colour, a size, a texture or a position, in their order and without repeats.

    They are the keys of `words.KINDS`, which says what each is about. A relation such as "left of" is no position.
    """
    words = _WORD.findall(phrase.lower())
    return tuple(
        dict.fromkeys(
            word
            for word, following in zip(words, [*words[1:], ""])
            if word in KINDS and not (KINDS[word] == "position" and following == "of")
        )
    )


def holds(
    facts: Mapping[int, Facts], phrase: str, entity_ids: Iterable[int], *, clearly: bool = False
) -> dict[str, bool]:
    """Whether each claim of a phrase is true of the entities it is grounded in, of every one of them.

    Args:
        facts: Facts of the picture's entities by id.
        phrase: The words, e.g. "two small white shapes on the left".
        entity_ids: What the phrase is grounded in; nothing is true of no entity.
        clearly: Whether what can merely be defended is false, see `facts`.

    Returns:
        True or false for each of `claims(phrase)`.

    Raises:
        InputError: There are no facts of one of the ids.
    """
    ids = list(entity_ids)
    if unknown := [number for number in ids if number not in facts]:
        raise InputError(
            f"There are no facts about entity {unknown[0]}; give the facts of the picture that the phrase is about."
        )
    true = [facts[number].clear if clearly else facts[number].words for number in ids]
    return {word: bool(ids) and all(word in words for words in true) for word in claims(phrase)}
