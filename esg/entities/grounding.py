"""Grounding: a caption, its phrases, and the entities each phrase refers to. Plain data and its JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from reprlib import repr as short  # shortens long values, so that a message stays readable
from typing import Any

from ..support.errors import InputError
from ..support.files import write_atomically


@dataclass(frozen=True)
class Phrase:
    """A piece of a caption and the entities it refers to; without entities it is ungrounded.

    Sequences of any type are accepted and stored as tuples.

    Attributes:
        text: at least one character, exactly as in the caption.
        span: start and end of `text` in the caption, in characters (Unicode code points), the end exclusive.
        entity_ids: distinct ids of an EntityMap, from 1, by descending score.
        scores: a number in 0..1 for every id, non-increasing.
        guess: for an expression without entities, the most likely id and its score, which is below the threshold; None
            otherwise. It does not count when phrases are compared.

    Raises:
        InputError: a value violates these rules.
    """

    text: str
    span: tuple[int, int]
    entity_ids: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    guess: tuple[int, float] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text:
            raise InputError(f"A phrase needs a text of at least one character, not {short(self.text)}.")
        name = short(self.text)
        span = _whole_numbers(self.span, f"The span of the phrase {name}")
        ids = _whole_numbers(self.entity_ids, f"The entity ids of the phrase {name}")
        scores = _fractions(self.scores, f"The scores of the phrase {name}")
        if len(span) != 2 or span[0] < 0 or span[1] - span[0] != len(self.text):
            raise InputError(
                f"The phrase {name} has {len(self.text)} characters and cannot have the span {short(list(span))}."
            )
        if min(ids, default=1) < 1 or len(set(ids)) != len(ids):
            raise InputError(
                f"The entity ids of the phrase {name} must be distinct and 1 or more, not {short(list(ids))}."
            )
        if len(scores) != len(ids):
            raise InputError(f"The phrase {name} has {len(ids)} entity ids, but {len(scores)} scores.")
        if any(later > earlier for earlier, later in zip(scores, scores[1:])):
            raise InputError(f"The entities of the phrase {name} must be in order of score, highest first.")
        for attribute, value in (("span", span), ("entity_ids", ids), ("scores", scores), ("guess", self._guess(name))):
            object.__setattr__(self, attribute, value)

    def _guess(self, name: str) -> tuple[int, float] | None:
        if self.guess is None:
            return None
        try:
            number, score = self.guess
        except (TypeError, ValueError):
            raise InputError(f"The guess of the phrase {name} must be an entity id and a score.") from None
        (number,) = _whole_numbers([number], f"The guess of the phrase {name}")
        (score,) = _fractions([score], f"The score of the guess of the phrase {name}")
        if number < 1:
            raise InputError(f"The guess of the phrase {name} must be an entity id of 1 or more, not {number}.")
        return number, score


@dataclass(frozen=True)
class Grounding:
    """A caption with its phrases, in any order; each matches the caption: `caption[start:end] == phrase.text`.

    Attributes:
        caption: any text that can be encoded as UTF-8.
        phrases: stored as a tuple; their spans may overlap.

    Raises:
        InputError: a phrase does not match the caption, or the caption is not valid text.

    >>> dog = Phrase("dog", (2, 5), (1,), (0.9,))
    >>> Grounding.from_json(Grounding("A dog.", (dog,)).to_json()).phrases[0].text
    'dog'
    """

    caption: str
    phrases: tuple[Phrase, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.caption, str):
            raise InputError(f"A caption must be a text, not {type(self.caption).__name__}.")
        if any("\ud800" <= character <= "\udfff" for character in self.caption):
            raise InputError("The caption holds half a character (a lone surrogate), so it cannot be saved; remove it.")
        object.__setattr__(self, "phrases", tuple(self.phrases))
        for phrase in self.phrases:
            start, end = phrase.span
            if self.caption[start:end] != phrase.text:
                raise InputError(
                    f"The phrase {short(phrase.text)} does not match the caption, which reads "
                    f"{short(self.caption[start:end])} at {[start, end]}."
                )

    def entity_phrases(self, entity_id: int) -> tuple[Phrase, ...]:
        """The phrases that refer to this entity, in order; empty if there are none."""
        return tuple(phrase for phrase in self.phrases if entity_id in phrase.entity_ids)

    def to_json(self) -> dict[str, Any]:
        """The grounding as a dict that `json.dump` accepts and `from_json` turns back into an equal one.

        Returns:
            "caption" and "phrases", a list of dicts with "text", "span" (start, end), "entity_ids" and "scores", and
            "guess" (id, score) if there is one.
        """
        phrases = [
            {"text": one.text, "span": [*one.span], "entity_ids": [*one.entity_ids], "scores": [*one.scores]}
            | ({} if one.guess is None else {"guess": [*one.guess]})
            for one in self.phrases
        ]
        return {"caption": self.caption, "phrases": phrases}

    @classmethod
    def from_json(cls, source: Mapping[str, Any] | str | Path) -> Grounding:
        """The inverse of `to_json` and `save`; other fields are ignored.

        Args:
            source: the dict, or the path of a file that holds it.

        Raises:
            InputError: the file cannot be read, or its content is not a grounding.
        """
        name = "The dict" if isinstance(source, Mapping) else str(source)
        content = source if isinstance(source, Mapping) else _load_json(Path(source))
        try:
            if not isinstance(content["phrases"], (list, tuple)):
                raise InputError('"phrases" must be a list.')
            return cls(content["caption"], tuple(_phrase(one) for one in content["phrases"]))
        except KeyError as error:
            raise InputError(f'{name} is not a grounding: "{error.args[0]}" is missing.') from None
        except InputError as error:
            raise InputError(f"{name} is not a grounding: {error}") from None

    def save(self, path: str | Path) -> None:
        """Writes `to_json` as UTF-8 text; OutputError if that fails, and then no file is left."""
        text = json.dumps(self.to_json(), ensure_ascii=False)
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _phrase(content: Any) -> Phrase:
    if not isinstance(content, Mapping):
        raise InputError("a phrase must be an object with text, span, entity_ids and scores.")
    return Phrase(
        content["text"], content["span"], content["entity_ids"], content["scores"], guess=content.get("guess")
    )


def _load_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not a JSON file.") from None
    if not isinstance(content, dict):
        raise InputError(f'{path} is not a grounding: it must be a JSON object with "caption" and "phrases".')
    return content


def _whole_numbers(values: Iterable[Any], what: str) -> tuple[int, ...]:
    try:
        given = tuple(values)
        if any(isinstance(value, bool) for value in given):
            raise TypeError
        return tuple(index(value) for value in given)  # index: NumPy's integers too, but neither 1.0 nor "1"
    except TypeError:
        raise InputError(f"{what} must be a list of whole numbers, not {short(values)}.") from None


def _fractions(values: Iterable[Any], what: str) -> tuple[float, ...]:
    try:
        given = tuple(values)
        if any(isinstance(value, (bool, str)) for value in given):
            raise TypeError
        fractions = tuple(float(value) for value in given)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{what} must be a list of numbers, not {short(values)}.") from None
    if not all(0 <= fraction <= 1 for fraction in fractions):  # also false for NaN
        raise InputError(f"{what} must lie between 0 and 1, not {short(list(fractions))}.")
    return fractions
