"""Referring and reasoning segmentation: expressions and the areas they refer to (GELLA paper, Tables IX and XIV a)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.expressions import Expression, Expressions
from ..data.problems import Problems
from ..entities import rle
from ..entities.entity_map import EntityMap
from ..grounder import Grounder
from ..support.errors import InputError, NoNumbers, OutOfMemory
from ..support.progress import ItemProgress
from .entity_sources import Segment, entities_of
from .grounding import Overlap, referring_iou
from .journal import Journal
from .measured import Measured, leaving_out

UNREAD = "expressions that the model cannot read, which count as wrong"


def evaluate_referring(
    grounder: Grounder,
    data: Expressions,
    count: int | None = None,
    *,
    segment: Segment | None = None,
    threshold: float | None = None,
    nouns: bool = False,
    journal: Journal | None = None,
    progress: ItemProgress | None = None,
) -> Measured:
    """Grounds expressions, and compares the union of the chosen entities with the true area.

    Ignored pixels are left out of both. An area that is empty, and of which nothing is found, has an IoU of 1.

    Args:
        grounder: the grounder to evaluate.
        data: the expressions.
        count: number of photos, starting with the first; None: all.
        segment: function that segments a photo; None: the annotated objects are used.
        threshold: minimum score of the entities that are chosen; None: the best one is chosen.
        nouns: refers as the paper does, by the nouns that the model finds in an expression; see `Grounder.refer`.
        journal: has the results of an earlier run, by photo, and keeps new ones.
        progress: called as `progress(photos done, all photos)` after each photo.

    Returns:
        `cIoU`, `gIoU` and `P50`, and the numbers of `photos` and `expressions` behind them and of expressions in the
        data, `expressions_given`. Photos that cannot be measured are left out and noted.

    Raises:
        InputError: no expression can be measured; or true objects are wanted where only the answers are annotated.
    """
    if segment is None and not data.chooses:
        raise InputError(
            f"In {data.name} only the answers are outlined, so the entities must come from a segmenter or from files "
            "of masks."
        )
    journal = Journal() if journal is None else journal
    problems = Problems()
    problems.update(data.problems)
    overlaps: list[Overlap] = []
    photos = 0
    keys = data.keys[:count]
    for number, key in enumerate(keys):
        known = journal.done.get(key)
        if known is None:
            known = _measure(grounder, data, number, segment, threshold, nouns)
            journal.add(key, known)
        problems.update(Problems(known["problems"]))
        overlaps += [Overlap(*one) for one in known["overlaps"]]
        photos += bool(known["overlaps"])
        if progress is not None:
            progress(number + 1, len(keys))
    if not overlaps:
        raise InputError(f"No expression of {data.name} could be measured: {'; '.join(problems)}.")
    counts = {"photos": photos, "expressions": len(overlaps), "expressions_given": data.total}
    return Measured(referring_iou(overlaps) | {name: float(count) for name, count in counts.items()}, problems)


def _measure(
    grounder: Grounder, data: Expressions, number: int, segment: Segment | None, threshold: float | None, nouns: bool
) -> dict[str, Any]:
    """The overlaps of a photo's expressions, and what was left out; plain values."""
    problems = Problems()
    overlaps: list[Overlap] = []
    with leaving_out(problems):
        one = data[number]
        problems.update(one.problems)
        if one.expressions:
            image = one.photo.image()
            entities = entities_of(one.photo, image, segment)
            for expression in one.expressions:
                try:
                    predicted = _predicted(grounder, image, entities, expression, threshold, nouns)
                except (OutOfMemory, NoNumbers):
                    raise
                except InputError:
                    problems.add(UNREAD, f"{expression.text!r} of {one.photo.name}")
                    predicted = np.zeros(one.photo.size, bool)
                ignored = None if expression.ignored is None else rle.decode_mask(expression.ignored)
                overlaps.append(Overlap.of(predicted, rle.decode_mask(expression.mask), ignored))
    return {"overlaps": [[one.both, one.either] for one in overlaps], "problems": problems.found}


def _predicted(
    grounder: Grounder,
    image: np.ndarray,
    entities: EntityMap,
    expression: Expression,
    threshold: float | None,
    nouns: bool,
) -> np.ndarray:
    """The area that the model finds, (H, W) bool."""
    if not len(entities):
        return np.zeros(entities.labels.shape, bool)
    phrase = grounder.refer(image, entities, expression.text, threshold=threshold, least=0, nouns=nouns)
    return entities.mask(list(phrase.entity_ids))
