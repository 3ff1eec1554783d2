"""Segmentation in the Wild: mask AP of the entities that are found for category names (GELLA paper, Table XIV b)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ..data.annotated import AnnotatedPhoto
from ..data.narration.naming import spoken_name
from ..data.problems import Problems
from ..data.wild import WildSets
from ..entities import rle
from ..grounder import Grounder
from ..support.errors import EsgError, InputError
from ..support.progress import ItemProgress
from .entity_sources import Segment, entities_of
from .journal import Journal
from .matching import FoundMask, accumulated, matched_by_category, pycocotools
from .measured import Measured, leaving_out

UNKNOWN_NAMES = "names that the model does not know, of which nothing is found"


def evaluate_wild(
    grounder: Grounder,
    data: WildSets,
    *,
    segment: Segment | None = None,
    journal: Journal | None = None,
    progress: ItemProgress | None = None,
) -> Measured:
    """The mask AP of every set: the results for a category are all entities, with their scores for its name.

    Args:
        grounder: the grounder to evaluate.
        data: the sets.
        segment: function that segments a photo; None: the annotated objects are used.
        journal: has the results of an earlier run, by set, and keeps new ones.
        progress: called as `progress(sets done, all sets)` after each set.

    Returns:
        The AP of every set by its name, nan if it does not have annotated objects; their mean as `mean`; and the
        numbers of `sets` behind it and of `photos`. Sets and photos that cannot be measured are left out and noted.

    Raises:
        InputError: no set can be measured.
        EsgError: pycocotools is not installed.
    """
    pycocotools()  # before long work
    journal = Journal() if journal is None else journal
    problems = Problems()
    figures: dict[str, float] = {}
    photos = 0
    for number, name in enumerate(data.names, start=1):
        known = journal.done.get(name)
        if known is None:
            known = _measure(grounder, data, name, segment)
            journal.add(name, known)
        problems.update(Problems(known["problems"]))
        photos += known["photos"]
        if known["photos"]:
            figures[name] = math.nan if known["AP"] is None else known["AP"]
        if progress is not None:
            progress(number, len(data.names))
    measured = [value for value in figures.values() if not math.isnan(value)]
    if not measured:
        raise InputError(f"No data set could be measured: {'; '.join(problems) or 'no object is annotated'}.")
    counts = {"sets": float(len(measured)), "photos": float(photos)}
    return Measured(figures | {"mean": sum(measured) / len(measured)} | counts, problems)


def _measure(grounder: Grounder, data: WildSets, name: str, segment: Segment | None) -> dict[str, Any]:
    """The AP of a set, its number of photos, and what was left out; plain values."""
    problems = Problems()
    try:
        photos = data.open(name)
    except EsgError as error:
        problems.add("sets that cannot be read", f"{name} ({error})")
        return {"AP": None, "photos": 0, "problems": problems.found}
    problems.update(photos.problems)
    spoken = [spoken_name(one.name) for one in photos.categories]
    known = _known(grounder, spoken, name, problems)
    results: defaultdict[int, list[Any]] = defaultdict(list)
    used = 0
    for number in range(len(photos)):
        with leaving_out(problems):
            photo = photos[number]
            problems.update(photo.problems)
            found = _found(grounder, photo, spoken, known, segment)
            for category, result in matched_by_category(photo.segments, found).items():
                results[category].append(result)
            used += 1
    value = accumulated(results, len(photos.categories)).figures()["AP"]
    return {"AP": None if value < 0 else value, "photos": used, "problems": problems.found}


def _known(grounder: Grounder, spoken: Sequence[str], name: str, problems: Problems) -> list[int]:
    """The categories whose names the model knows."""
    known = []
    for number, one in enumerate(spoken):
        try:
            grounder.check_words([one])
        except InputError:
            problems.add(UNKNOWN_NAMES, f"{one!r} of {name}")
            continue
        known.append(number)
    return known


def _found(
    grounder: Grounder,
    photo: AnnotatedPhoto,
    spoken: Sequence[str],
    known: Sequence[int],
    segment: Segment | None,
) -> list[FoundMask]:
    """All entities of a photo for each of the known categories, with their scores for its name."""
    image = photo.image()
    entities = entities_of(photo, image, segment)
    if not known or not len(entities):
        return []
    masks = rle.encode_labels(entities.labels, len(entities))
    phrases = grounder(image, entities, phrases=[spoken[number] for number in known], threshold=0.0).phrases
    return [
        FoundMask(masks[number - 1], score, category)
        for category, phrase in zip(known, phrases, strict=True)
        for number, score in zip(phrase.entity_ids, phrase.scores, strict=True)
    ]
