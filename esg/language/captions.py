"""GELLA's prompts and answers: the two prompts of Table III in several wordings, and captions made from lists of names.

A literal `<SEG>` in a user's text is plain text. Prompts never contain the token; they are tokenised without special
tokens. The pieces of an answer from `answer_pieces` are tokenised in the same way and joined by the token's id;
`nouns.parse_pieces` is the inverse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..support.errors import InputError
from .words import DETERMINERS, NUMBERS, POSTPOSITIONS, Span, Word, find_words, is_plural, vocabulary

SEG = "<SEG>"
DESCRIBE = "Please help me describe the image."
EXTRACT = "Please help me extract each semantic noun of the sentence. The sentence is"

WORDINGS: dict[str, tuple[str, ...]] = {
    "describe": (
        DESCRIBE,
        "Please describe the image.",
        "Can you describe this image?",
        "What is in this image?",
        "What does this picture show?",
        "Give me a description of the photo.",
        "Tell me what you can see in the picture.",
        "Write a caption for this image.",
    ),
    "extract": (
        EXTRACT,
        "Please help me extract semantic nouns of this sentence:",
        "Please help me extract each semantic noun from the sentence. The sentence is",
        "Please list all semantic nouns of this sentence:",
        "Which semantic nouns are in the following sentence?",
        "Find every semantic noun of the sentence:",
        "Can you name the semantic nouns in this sentence?",
        "Which things does this sentence mention?",
    ),
}
"""The question list of Sec. 4.3. The first wording of each question is used in inference; the others are for training.

The list of the paper was not published. The first two questions for nouns stand in Table III and in Sec. 4.2, the third
in Sec. 5.3.1.
"""

_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = "zero one two three four five six seven eight nine"
_NAMES = dict(enumerate(f"{_UNITS} {_TEENS}".split())) | {10 * k: name for k, name in enumerate(_TENS.split(), start=2)}

_NO_ARTICLE = vocabulary(  # singular nouns that take no article
    "water grass snow sand dirt gravel mud ice fog smoke sky sea food hair clothing furniture luggage equipment wood "
    "metal plastic cardboard traffic bread rice meat fruit cheese ground pavement vegetation foliage sunlight broccoli "
    "textile"
)
_SOUNDS_LIKE_CONSONANT = ("uni", "use", "usu", "uten", "eu", "ewe", "ufo", "uku")
_SOUNDS_LIKE_VOWEL = ("hour", "honest", "honou", "honor", "heir")


def describe(names: Sequence[str] = (), question: str = DESCRIBE) -> str:
    """The prompt that asks for a caption, optionally with names of things that are in the image.

    Args:
        names: the names.
        question: wording of the question.
    """
    if not names:
        return question
    listed = "".join(part for pair in zip(["", *_separators(len(names))], names) for part in pair)
    return f"{question[:-1]}, which shows {listed}{question[-1]}"


def extract(caption: str, question: str = EXTRACT) -> str:
    """The prompt that asks for the nouns of a caption, which it quotes without surrounding space.

    The prompt does not add a full stop if the caption ends with its own.

    Raises:
        InputError: the caption is empty.
    """
    if not caption.strip():
        raise InputError("The caption is empty; write one, or leave it out to have one written.")
    return _with_stop(f"{question} {caption.strip()}")


def answer(nouns: Sequence[str]) -> str:
    """The answer that lists these nouns: "There are two semantic nouns, including red ball <SEG> and dogs <SEG>."

    Without nouns it is "There are no semantic nouns."
    """
    return SEG.join(answer_pieces(nouns))


def answer_pieces(nouns: Sequence[str]) -> list[str]:
    """The text before, between and after the `<SEG>` tokens of `answer`: one piece more than there are nouns."""
    if not nouns:
        return ["There are no semantic nouns."]
    count = "is one semantic noun" if len(nouns) == 1 else f"are {number_words(len(nouns))} semantic nouns"
    before = [f"There {count}, including ", *_separators(len(nouns))]
    return [f"{words}{noun} " for words, noun in zip(before, nouns)] + ["."]


def number_words(number: int) -> str:
    """A number from 0 to 999,999 in English words, without hyphens and "and": "one hundred twenty one".

    Raises:
        InputError: the number is out of range.
    """
    if not 0 <= number < 1_000_000:
        raise InputError(f"Only numbers from 0 to 999,999 are written in words, not {number}.")
    if number in _NAMES:
        return _NAMES[number]
    if number < 100:
        return f"{_NAMES[number - number % 10]} {_NAMES[number % 10]}"
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    many, rest = divmod(number, size)
    return f"{number_words(many)} {name}" + (f" {number_words(rest)}" if rest else "")


def category_caption(names: Iterable[str], *, once: bool = True) -> tuple[str, list[Span]]:
    """The caption that asks for categories: "There might exist a person, dog and window."

    As in the paper, only the first name gets an article.

    Args:
        names: at least one; white space is normalised.
        once: whether to drop repeated names, in any case, because they are the same category.

    Returns:
        The caption, and the span of each name in it without the article.

    Raises:
        InputError: `names` is empty, or contains an empty name.
    """
    tidy = _tidy(names, "category")
    if once:
        first: dict[str, str] = {}
        for name in tidy:
            first.setdefault(name.casefold(), name)
        tidy = list(first.values())
    articles = [_article(tidy[0])] + [""] * (len(tidy) - 1)
    return _enumeration("There might exist ", tidy, articles)


def phrase_caption(phrases: Iterable[str]) -> tuple[str, list[Span]]:
    """A caption made of phrases: "This image depicts a red ball, two dogs and the sky."

    Every phrase that needs an article gets one; otherwise like `category_caption`.
    """
    tidy = _tidy(phrases, "phrase")
    return _enumeration("This image depicts ", tidy, [_article(phrase) for phrase in tidy])


def _tidy(names: Iterable[str], what: str) -> list[str]:
    listed = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else []
    if not listed or not all(isinstance(name, str) for name in listed):
        raise InputError(f"Give a list of texts with at least one {what}.")
    tidy = [" ".join(name.split()) for name in listed]
    if not all(tidy):
        raise InputError(f"The {what} number {tidy.index('') + 1} is empty; give it a text or leave it out.")
    return tidy


def _enumeration(caption: str, names: list[str], articles: list[str]) -> tuple[str, list[Span]]:
    spans = []
    for separator, article, name in zip(["", *_separators(len(names))], articles, names):
        caption += separator + article
        spans.append((len(caption), len(caption) + len(name)))
        caption += name
    return _with_stop(caption), spans


def _separators(count: int) -> list[str]:
    """The separators between the items of a list."""
    return [", "] * (count - 2) + [" and "] * (count > 1)


def _with_stop(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?", "…", "。", "！", "？")) else f"{sentence}."


def _article(phrase: str) -> str:
    """ "a ", "an " or ""; none for plurals, numbers, phrases with a determiner, and phrases that are not English."""
    words = find_words(phrase)
    if not words or not words[0].key.isascii() or words[0].key in DETERMINERS | NUMBERS or words[0].key[0].isdigit():
        return ""
    head = _head(words)
    if is_plural(head) or head in _NO_ARTICLE:
        return ""
    first = phrase[words[0].start : words[0].end]
    if len(first) > 1 and first.isupper():  # spelled out: an SUV, a TV
        return "an " if first[0] in "AEFHILMNORSX" else "a "
    vowel = first[0].lower() in "aeiou" and not words[0].key.startswith(_SOUNDS_LIKE_CONSONANT)
    return "an " if vowel or words[0].key.startswith(_SOUNDS_LIKE_VOWEL) else "a "


def _head(words: list[Word]) -> str:
    for word, following in zip(words, words[1:]):
        if following.key in POSTPOSITIONS or following.key == "of":
            return word.key
    return words[-1].key
