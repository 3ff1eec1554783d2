"""Parses nouns from a model's answer, aligns them with the caption, and finds noun phrases with a rule of thumb.

Nothing here raises, whatever the text is, because a model may answer in any form.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .words import (
    ADJECTIVES,
    DETERMINERS,
    FUNCTION_WORDS,
    NOUNS_TOO,
    PLACES,
    POSTPOSITIONS,
    Span,
    Word,
    find_words,
    forms,
    is_adverb,
    is_number,
    is_qualifier,
    is_verb,
    vocabulary,
)

# ----------------------------------------------------------------------------------------------------- answer to nouns

_TOKEN = re.compile(r"<[ \t]?SEG[ \t]?>|\[SEG\]", re.IGNORECASE)
_NONE = re.compile(r"\b(?:no|zero)\s(?:semantic\s)?nouns?\b", re.IGNORECASE)
_PREAMBLE = re.compile(  # "There are two semantic nouns, including", "Nouns:"; the distance keeps the search linear
    r"\bnouns?\b.{0,80}?(?:\bincluding\b:?|\bincludes?\b:?|\bsuch as\b|\bare\b:?|\bis\b:?|:(?=\s|$))"
    r"|\bincluding\b:?|:(?=\s|$)",
    re.IGNORECASE | re.DOTALL,
)
_BULLET = re.compile(r"\s*(?:\d{1,3}[.)]|[-*•·‣–—])\s+")
_BEFORE = re.compile(
    r"(?:[\s,;:.!?…、，。；：)\]]|[-*•·‣–—]\s|\d{1,3}[.)]\s)*(?:(?:and|&|as well as)\s+)?", re.IGNORECASE
)
_AFTER = " \t\r\n,;:.=-–—→、，。；："
_QUOTES = ("''", '""', "``", "**", "__", "()", "[]", "{}", "“”", "‘’", "«»", "「」", "『』")


def parse_answer(text: str) -> list[str]:
    """The nouns of an answer in which every `<SEG>` is a token; see `parse_pieces`.

    If the caption may contain a literal `<SEG>`, split the answer at the token's id and use `parse_pieces` instead.
    """
    return parse_pieces(_TOKEN.split(text))


def parse_pieces(pieces: Sequence[str]) -> list[str]:
    """The nouns of an answer that is given as the pieces of text before, between and after its `<SEG>` tokens.

    Inverse of `prompts.answer_pieces`. The count in the answer is ignored. If several lines precede a token, such as
    earlier lines of a list, only the last one counts.

    Returns:
        One noun per token: the text before it without introduction, conjunctions, numbering and quotes; "" if nothing
        is left. If there is no token at all, the items of the list that the text appears to be, possibly none.
    """
    if len(pieces) < 2:
        return _listed("".join(pieces))
    first = _without_preamble(pieces[0])
    return [_noun(piece) for piece in (first, *pieces[1:-1])]


def _without_preamble(text: str) -> str:
    return _PREAMBLE.split(text.rstrip(_AFTER), maxsplit=1)[-1]


def _noun(piece: str) -> str:
    lines = piece.strip().splitlines()
    noun = _BEFORE.sub("", lines[-1], count=1).rstrip(_AFTER) if lines else ""
    while len(noun) > 2 and noun[0] + noun[-1] in _QUOTES:
        noun = noun[1:-1].strip()
    return noun


def _listed(text: str) -> list[str]:
    if _NONE.search(text):
        return []
    lines = text.splitlines()
    things = [line for line in lines if _BULLET.match(line)]
    if len(things) < 2:
        body = _without_preamble(text).strip().strip("[]{}").rstrip(_AFTER)
        things = re.split(r"[,;、，；\n]|\s\d{1,3}[.)]\s", body)
        if not re.match(r"\s*and\s", things[-1], re.IGNORECASE):
            things[-1:] = re.split(r"\s(?:and|&)\s", things[-1], flags=re.IGNORECASE)
    return [noun for noun in map(_noun, things) if noun]


# ----------------------------------------------------------------------------------------------------- nouns to places

_NO_START = POSTPOSITIONS | DETERMINERS | vocabulary("of and or s t")  # a shortened noun does not start with these
_SHORTENED = 4  # ranks from here on match only part of the noun
_LONGEST_PART = 8  # words


class _Match(NamedTuple):
    rank: int  # how differently it reads; 0 is identical
    words: int
    start: int
    end: int


def align(nouns: Sequence[str], caption: str) -> list[Span | None]:
    """The span of each noun in the caption, in characters; None if nothing matches.

    Only whole words match, never "art" in "cart"; in scripts without spaces every character counts as a word. Case, and
    space and punctuation between words, are ignored. If there is no such match, the closest one is used: with other
    accents or another grammatical number ("dog", "dogs"), with words written apart ("firetruck", "fire truck"), and
    lastly a part of an English noun that includes its head ("two dogs" or "dogs near the door" for "dogs"), unless the
    noun has run on into another one.

    Each noun takes a place that no other noun has and that is not part of a longer noun's place, preferably the first
    one after the previous noun. Equal nouns get their places in ascending order. A noun shares a place only if none is
    left for it, so that no noun of the caption is lost; only then do spans overlap or repeat. Callers that need
    disjoint spans must drop the overlapping ones.
    """
    text = _Caption(caption)
    matches = {noun: text.find(noun) for noun in dict.fromkeys(nouns)}
    longest = [0] * len(caption)  # number of words of the longest noun that matches at each character
    for found in matches.values():
        best = min((match.rank for match in found), default=_SHORTENED)
        for rank, count, start, end in found:
            if rank == best < _SHORTENED:
                longest[start:end] = [max(other, count) for other in longest[start:end]]
    given: dict[str, Counter[Span]] = defaultdict(Counter)
    taken = bytearray(len(caption))
    own: Counter[Span] = Counter()  # places that the current noun already has
    cursor = 0

    def cost(match: _Match) -> tuple[int, bool, bool, int, bool, int]:
        rank, count, start, end = match
        shared = (taken.find(1, start, end) >= 0) + own[start, end]
        return shared, rank >= _SHORTENED, max(longest[start:end]) > count, rank, start < cursor, start

    for noun in nouns:
        own = given[noun]
        if matches[noun]:
            *_, start, end = min(matches[noun], key=cost)
            taken[start:end] = b"\1" * (end - start)
            cursor = end
            own[start, end] += 1
    ascending = {noun: iter(sorted(spans.elements())) for noun, spans in given.items()}
    return [next(ascending[noun], None) for noun in nouns]


class _Caption:
    """A caption with an index of its words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = find_words(text)
        self.starts: dict[str, list[int]] = defaultdict(list)  # form of a word -> its indices in `words`
        self.joined: dict[str, list[tuple[int, int]]] = defaultdict(list)  # up to 3 words joined -> (first, stop)
        for k, word in enumerate(self.words):
            for form in forms(word.key):
                self.starts[form].append(k)
            for stop in range(k + 1, min(k + 3, len(self.words)) + 1):
                self.joined["".join(word.key for word in self.words[k:stop])].append((k, stop))

    def find(self, noun: str) -> list[_Match]:
        """All places that match a noun."""
        noun = noun.strip()
        words = find_words(noun)
        if not words:
            return []
        found = self._sequences(noun, words, 0)
        for form in forms("".join(word.key for word in words)):
            places = self.joined.get(form, [])
            found += [self._match(3, k, stop) for k, stop in places if (stop - k == 1) != (len(words) == 1)]
        found = [self._with_edges(match, noun[: words[0].start], noun[words[-1].end :]) for match in found]
        for number, part in enumerate(_parts(words)):
            found += self._sequences(noun, part, _SHORTENED + 3 * number)
        return found

    def _sequences(self, noun: str, words: list[Word], rank: int) -> list[_Match]:
        """Places where words like these follow each other.

        `rank` is that of an identical match; other punctuation between the words adds 1, other forms add 2.
        """
        found = []
        for k in sorted({k for form in forms(words[0].key) for k in self.starts.get(form, [])}):
            here = self.words[k : k + len(words)]
            pairs = [(a.key, b.key) for a, b in zip(here, words)]
            if len(here) == len(words) and all(a == b or forms(a) & forms(b) for a, b in pairs):
                different = any(a != b for a, b in pairs)
                apart = _between(noun, words) != _between(self.text, here)
                found.append(self._match(rank + (2 if different else apart), k, k + len(words)))
        return found

    def _match(self, rank: int, first: int, stop: int) -> _Match:
        return _Match(rank, stop - first, self.words[first].start, self.words[stop - 1].end)

    def _with_edges(self, match: _Match, before: str, after: str) -> _Match:
        """Extends a match by the signs around the noun's words, as in "<SEG>" or "C++", if the caption has them too."""
        rank, count, start, end = match
        if before and self.text.endswith(before, 0, start):
            start -= len(before)
        if after and self.text.startswith(after, end):
            end += len(after)
        return _Match(rank, count, start, end)


def _between(text: str, words: list[Word]) -> list[str]:
    return [text[a.end : b.start].strip() for a, b in zip(words, words[1:])]


def _parts(words: list[Word]) -> list[list[Word]]:
    """Parts of an English noun that include its head: without what follows it, then with fewer words before it."""
    if any(word.spaceless for word in words):
        return []  # a cut could split a word
    stop = next((k for k, word in enumerate(words) if k and word.key in POSTPOSITIONS), len(words))
    if _runs_on(words[:stop]):
        return []  # the last word of nonsense would match anywhere
    starts = range(max(0, stop - _LONGEST_PART), stop)
    return [words[k:stop] for k in starts if words[k].key not in _NO_START and (k, stop) != (0, len(words))]


def _runs_on(words: list[Word]) -> bool:
    """Whether a model has run on from one noun into the next: "blue shapes Some shapes" has two heads."""
    keys = [word.key for word in words]
    begins = (
        (key in DETERMINERS or is_number(key)) and not (before in _NO_START or is_number(before))
        for before, key in zip(keys, keys[1:])
    )
    return keys[-1] in keys[:-1] or any(begins)


# ----------------------------------------------------------------------------------------- noun phrases without a model

_STOPS = FUNCTION_WORDS | DETERMINERS
_MODALS = vocabulary("can could will would shall should may might must")
_ALL_OF = vocabulary("whole entire")  # the whole picture is a place as well
_GLUE = re.compile(r"[^\S\n]*|[-'’‐_]")
_IN_FIGURES = re.compile(r"[.,:/–]")  # 3.5 metres, 1,000 people, 10:30


def noun_phrases(caption: str) -> list[Span]:
    """Spans of likely noun phrases in an English caption, in characters, in order and without overlaps.

    A rule of thumb without a model: runs of words between function words, punctuation and likely verbs, with their
    adjectives and numbers and without articles ("two light brown cows"). It mistakes some verbs for nouns and some
    nouns for verbs. In other languages it finds little more than the text between punctuation marks.
    """
    words = find_words(caption)
    spans: list[Span] = []
    run: list[Word] = []
    determiner = ""
    added = False  # "and" joins this phrase to the one before

    def end_run() -> None:
        keys = {word.key for word in run if word.key != "and"}
        nothing = all(is_number(key) or key in PLACES or key in _ALL_OF for key in keys)
        named = len(run) > 1 and run[-1].key in NOUNS_TOO  # blue square
        nothing = nothing or (not determiner and not named and all(map(is_qualifier, keys)))
        while len(run) > 1 and run[-1].key in ("left", "right"):
            run.pop()  # the bar left of the ring
        if run and not nothing:
            spans.append((run[0].start, run[-1].end))
        run.clear()

    for k, word in enumerate(words):
        before = words[k - 1].key if k else ""
        gap = caption[words[k - 1].end : word.start] if k else ""
        figures = word.key.isdigit() and before.isdigit() and _IN_FIGURES.fullmatch(gap)
        if run and (figures or gap in ("'", "’", "-")):
            run.append(word)  # woman's, family-friendly
            continue
        adjectives = bool(run) and all(one.key in ADJECTIVES or one.key == "and" for one in run)
        if adjectives and word.key in ADJECTIVES and gap.strip() == ",":
            run.append(word)  # a big, brown dog
            continue
        if not _GLUE.fullmatch(gap):
            end_run()
            determiner = ""
        after = caption[word.end : words[k + 1].start] if k + 1 < len(words) else "."
        following = words[k + 1].key if _GLUE.fullmatch(after) else "."
        if word.key == "and" and adjectives and run and following in ADJECTIVES:
            run.append(word)  # a black and white cow
        elif word.key in _STOPS or (word.key.isdigit() and after.startswith(")")):  # numbered: 1) a dog 2) a cat
            end_run()
            determiner = "" if word.key in FUNCTION_WORDS else word.key
            added = word.key == "and" or (added and bool(determiner))
        elif is_adverb(word.key) or is_verb(word.key, run, determiner, added, before, following):
            end_run()
            determiner = ""
            added = False
        elif before in _MODALS:
            continue  # can interact
        else:
            run.append(word)
    end_run()
    return spans


# ------------------------------------------------------------------------------------------- repairs of misread nouns

_EDGES = DETERMINERS | vocabulary("and or but nor of there here")  # a noun neither begins nor ends with these
_NO_NOUNS = POSTPOSITIONS | vocabulary("left right")  # a noun does not consist only of these, or of digits
_LISTING = re.compile(  # matches the text between two items of a list
    rf"(?=.*(?:[,;&\n]|\band\b))(?:[\s,;&]|\d{{1,3}}[.)]|\b(?:and|{'|'.join(sorted(DETERMINERS))})\b)*",
    re.IGNORECASE | re.DOTALL,
)


def mended(spans: Sequence[Span | None], caption: str, *, trusted: bool = True) -> list[Span]:
    """Repairs the result of `align`: sorted, without articles and overlaps, with nouns that the model missed.

    A small model copies only words that it knows. It has misread a caption if the caption lacks a noun of its list, if
    a noun is not one ("the", "and", "2"), or if a noun ends before the head of a noun phrase ("brown" of "brown cat").
    In that case, its spans grow to whole noun phrases, and noun phrases without a span are added.

    Otherwise it left nouns out on purpose, as a large model does with invisible things. These stay out, except
    those that are listed beside a noun that it found ("tree" of "tree, house and car"): a list names things of one
    kind, so it has misread that list. Other spans only grow by digits before them, which a small model cannot copy:
    "2 discs" must be found like "two discs".

    An answer that is not `trusted` comes from a model that has learnt from so few captions that it misreads every other
    one. Then all noun phrases are nouns, and the answer only decides where they end ("red disc at the top" instead of
    "red disc").
    """
    trimmed = {None if span is None else _trimmed(span, caption) for span in spans}
    phrases = noun_phrases(caption)
    found = {span for span in trimmed if span is not None}
    if not trusted:
        longer = {phrase: [span for span in found if span[0] < phrase[1] and phrase[0] < span[1]] for phrase in phrases}
        shared = {span for span in found if sum(span in spans for spans in longer.values()) > 1}
        ends = {
            phrase: max([phrase[1], *(end for start, end in spans if (start, end) not in shared)])
            for phrase, spans in longer.items()
        }
        return sorted((phrase[0], end) for phrase, end in ends.items())
    cut = any(a <= start and end < b for start, end in found for a, b in phrases)
    misread = cut or not found or None in trimmed
    found = _joined(_grown(span, phrases, caption, misread) for span in found)
    missed = {(a, b) for a, b in phrases if all(b <= start or end <= a for start, end in found)}
    if misread:
        return sorted(found | missed)
    whole = {span: _grown(span, phrases, caption, True) for span in found | missed}
    lists: list[list[Span]] = []
    for span in sorted(whole):
        if lists and _LISTING.fullmatch(caption, whole[lists[-1][-1]][1], whole[span][0]):
            lists[-1].append(span)
        else:
            lists.append([span])
    kept = [spans for spans in lists if not found.isdisjoint(spans)]
    return sorted(_joined(span if found.issuperset(spans) else whole[span] for spans in kept for span in spans))


def _grown(span: Span, phrases: Sequence[Span], caption: str, wholly: bool) -> Span:
    """Extends a span to the phrase that it begins in; if not `wholly`, only by the digits directly before it."""
    start, end = span
    for a, b in phrases:
        if a <= start < b and wholly:
            return a, max(b, end)
        if a <= start < b and all(word.key.isdigit() for word in find_words(caption[a:start])):
            return a, end
    return span


def _joined(spans: Iterable[Span]) -> set[Span]:
    """Merges overlapping spans."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return set(joined)


def _trimmed(span: Span, caption: str) -> Span | None:
    """Strips articles and conjunctions from the ends of a span; None if no noun is left."""
    words = find_words(caption[slice(*span)])
    kept = [k for k, word in enumerate(words) if word.key not in _EDGES]
    if all(words[k].key in _NO_NOUNS or words[k].key.isdigit() for k in kept):
        return None
    start, end = span
    first, last = kept[0], kept[-1]
    if first:
        start += words[first - 1].end
    if last < len(words) - 1:
        end = span[0] + words[last + 1].start
    noun = caption[start:end].rstrip(" \t\r\n,;")
    return start + len(noun) - len(noun.lstrip(" \t\r\n,;")), start + len(noun)
