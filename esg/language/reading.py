"""Reads what a user asks for, a sentence or a list of names, into phrases and the text that a grounding model reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .captions import phrase_caption
from .listing import dotted_names
from .tidying import tidied
from .words import Span


@dataclass(frozen=True)
class Reading:
    """A text and the spans of its phrases, as the user wrote them and as a model reads them.

    Attributes:
        caption: the text as written.
        written: the spans of the phrases in `caption`.
        given: the text that the model reads.
        spans: the spans of the same phrases in `given`.
    """

    caption: str
    written: list[Span]
    given: str
    spans: list[Span]

    @classmethod
    def of_list(cls, caption: str, spans: list[Span]) -> Reading:
        """A list of phrases that was joined to a caption, see `captions`."""
        return cls(caption, spans, caption, spans)

    @classmethod
    def of_caption(cls, caption: str, nouns: Callable[[str], list[Span]]) -> Reading:
        """A sentence, in which `nouns` finds the phrases; or a list of names with dots, and then it is not called.

        >>> Reading.of_caption("A  cat.", lambda text: [(2, 5)])
        Reading(caption='A  cat.', written=[(3, 6)], given='A cat.', spans=[(2, 5)])
        """
        if (names := dotted_names(caption)) is not None:
            return cls(caption, names, *phrase_caption(caption[slice(*span)] for span in names))
        even = tidied(caption)
        spans = nouns(even.text)
        return cls(caption, [even.written(span) for span in spans], even.text, spans)

    @property
    def phrases(self) -> list[str]:
        """The phrases as written."""
        return [self.caption[slice(*span)] for span in self.written]


def expand_lists(given: Any) -> Any:
    """Expands every list of names with dots, such as "cat . dog .", into its names.

    >>> expand_lists(["cat . dog .", "red ball"])
    ['cat', 'dog', 'red ball']
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        return given  # of the wrong type; the caller reports it
    names: list[str] = []
    for name in given:
        spans = dotted_names(name) if isinstance(name, str) else None
        names += [name] if spans is None else [name[slice(*span)] for span in spans]
    return names
