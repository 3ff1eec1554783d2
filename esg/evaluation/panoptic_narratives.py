"""Panoptic Narrative Grounding: the nouns of captions grounded in COCO's panoptic segments (GELLA paper, Table X)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.annotated import AnnotatedPhoto
from ..data.narration.teller import Mention, Narrative
from ..data.panoptic_narratives import PanopticNarratives
from ..data.problems import Problems
from ..entities import rle
from ..entities.entity_map import EntityMap
from ..grounder import Grounder
from ..language.words import DETERMINERS, Span, find_words
from ..support.errors import InputError, NoNumbers, OutOfMemory
from ..support.progress import ItemProgress
from .entity_sources import Segment, entities_of
from .grounding import Judged, Overlap, average_recall
from .journal import Journal
from .measured import Measured, leaving_out
from .narratives import meant_of

UNREAD = "narratives that the model cannot read, whose nouns count as wrong"


def evaluate_panoptic_narratives(
    grounder: Grounder,
    data: PanopticNarratives,
    count: int | None = None,
    *,
    segment: Segment | None = None,
    threshold: float = 0.5,
    given_nouns: bool = False,
    side: int | None = None,
    journal: Journal | None = None,
    progress: ItemProgress | None = None,
) -> Measured:
    """Grounds the captions of PNG.

    A noun in the singular is grounded in the entity with the highest score, and a plural in all above the threshold, or
    in the best one. The model finds the nouns itself, as in the GELLA paper: one that it does not find, with the same
    words apart from articles, has an IoU of 0.

    Args:
        grounder: the grounder to evaluate.
        data: the narratives.
        count: number of photos, starting with the first; None: all.
        segment: function that segments a photo; None: the true segments are used.
        threshold: minimum score, for plurals; PNG's first baseline used 0.1.
        given_nouns: whether the nouns are given with the caption, as PNG's first baseline had it.
        side: compare masks at side x side pixels; None: at full size. PNG's first baseline used 256.
        journal: has the results of an earlier run, by photo, and keeps new ones.
        progress: called as `progress(photos done, all photos)` after each photo.

    Returns:
        The fractions of `average_recall`, with the share of nouns found as `AR_text` (not if they are given); and the
        numbers of `photos`, `narratives` and `nouns` that were used, and of narratives in the file, `narratives_given`.
        Photos that cannot be measured are left out and noted.

    Raises:
        InputError: no photo can be measured.
    """
    journal = Journal() if journal is None else journal
    problems = Problems()
    problems.update(data.problems)
    judged: list[Judged] = []
    photos = narratives = 0
    keys = data.keys[:count]
    for number, key in enumerate(keys):
        known = journal.done.get(key)
        if known is None:
            known = _measure(grounder, data, number, segment, threshold, given_nouns, side)
            journal.add(key, known)
        problems.update(Problems(known["problems"]))
        if known["narratives"]:
            photos += 1
            narratives += known["narratives"]
            judged += [Judged(*one) for one in known["nouns"]]
        if progress is not None:
            progress(number + 1, len(keys))
    if not judged:
        raise InputError(f"No narrative of {data.name} could be measured: {'; '.join(problems)}.")
    figures = average_recall(judged)
    found = figures.pop("noun_recall")
    if not given_nouns:
        figures["AR_text"] = found
    counts = {"photos": photos, "narratives": narratives, "narratives_given": data.given, "nouns": len(judged)}
    return Measured(figures | {name: float(count) for name, count in counts.items()}, problems)


def _measure(
    grounder: Grounder,
    data: PanopticNarratives,
    number: int,
    segment: Segment | None,
    threshold: float,
    given_nouns: bool,
    side: int | None,
) -> dict[str, Any]:
    """The judged nouns of a photo, the number of narratives behind them, and what was left out; plain values."""
    problems = Problems()
    judged: list[Judged] = []
    used = 0
    with leaving_out(problems):
        one = data[number]
        problems.update(one.problems)
        if one.narratives:
            image = one.photo.image()
            entities = entities_of(one.photo, image, segment)
            ground = _ground_given if given_nouns else _ground
            for narrative in one.narratives:
                try:
                    meant = ground(grounder, image, entities, narrative, threshold)
                except (OutOfMemory, NoNumbers):
                    raise
                except InputError:
                    problems.add(UNREAD, one.photo.name)
                    meant = [None] * len(narrative.mentions)
                for mention, ids in zip(narrative.mentions, meant, strict=True):
                    judged.append(_judged(one.photo, entities, mention, ids, side))
            used = len(one.narratives)
    nouns = [[one.iou, one.found, one.kind, one.plural] for one in judged]
    return {"narratives": used, "nouns": nouns, "problems": problems.found}


def _ground(
    grounder: Grounder, image: np.ndarray, entities: EntityMap, narrative: Narrative, threshold: float
) -> list[tuple[int, ...] | None]:
    """The entities of every mention; None if the model does not find the noun."""
    caption = narrative.caption
    grounding = grounder(image, entities, caption=caption, threshold=0.0)
    found = {bare(caption, phrase.span): phrase for phrase in grounding.phrases}
    phrases = [found.get(bare(caption, mention.span)) for mention in narrative.mentions]
    return [
        None if phrase is None else meant_of(phrase.entity_ids, phrase.scores, mention.plural, threshold)
        for phrase, mention in zip(phrases, narrative.mentions, strict=True)
    ]


def _ground_given(
    grounder: Grounder, image: np.ndarray, entities: EntityMap, narrative: Narrative, threshold: float
) -> list[tuple[int, ...] | None]:
    """The entities of every mention, whose place in the caption the model is given."""
    caption = narrative.caption
    grounder.check_words([caption])
    spans = [bare(caption, mention.span) for mention in narrative.mentions]
    rows = grounder.model.scores(grounder.model.see(image), entities, caption, spans)
    found: list[tuple[int, ...] | None] = []
    for mention, scores in zip(narrative.mentions, rows, strict=True):
        order = np.argsort(-scores, kind="stable")
        found.append(meant_of((order + 1).tolist(), scores[order].tolist(), mention.plural, threshold))
    return found


def bare(caption: str, span: Span) -> Span:
    """A span without articles and the like at its ends, and without the spaces and punctuation around it.

    >>> bare("There is a dog.", (9, 15))
    (11, 14)
    """
    start, end = span
    words = find_words(caption[start:end])
    kept = [word for word in words if word.key not in DETERMINERS] or words
    return (start + kept[0].start, start + kept[-1].end) if kept else span


def _judged(
    photo: AnnotatedPhoto, entities: EntityMap, mention: Mention, ids: Sequence[int] | None, side: int | None
) -> Judged:
    if ids is None:
        return Judged(0.0, False, mention.kind, mention.plural)
    true = rle.decode_mask(rle.union([photo.segments[number - 1].mask for number in mention.entity_ids]))
    predicted = entities.mask(list(ids))
    if side is not None:
        predicted, true = _resized(predicted, side), _resized(true, side)
    return Judged(Overlap.of(predicted, true).iou, True, mention.kind, mention.plural)


def _resized(mask: np.ndarray, side: int) -> np.ndarray:
    """A mask at side x side pixels, each the one at its centre."""
    rows, columns = ((2 * np.arange(side) + 1) * length // (2 * side) for length in mask.shape)
    return mask[rows[:, None], columns]
