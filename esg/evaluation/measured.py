"""Figures, with the items that could not be measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from ..data.labelled import LabelledPhoto, LabelledPhotos
from ..data.problems import Problems
from ..entities.entity_map import EntityMap
from ..support.errors import ImageError, InputError
from ..support.progress import ItemProgress
from .entity_sources import NoEntities, Segment, found_by


@dataclass(frozen=True)
class Measured:
    """The result of an evaluation.

    Attributes:
        figures: fractions and counts by name; nan if there is nothing to average.
        problems: what was left out, and what counts as wrong because the model cannot read it.
    """

    figures: dict[str, float]
    problems: Problems = field(default_factory=Problems)


@contextmanager
def leaving_out(problems: Problems) -> Iterator[None]:
    """Notes a photo that cannot be read, or whose entities cannot be found, instead of ending the run."""
    try:
        yield
    except ImageError as error:
        problems.add("photos that cannot be read", str(error).rstrip("."))
    except NoEntities as error:
        problems.add("photos whose masks cannot be used", str(error).rstrip("."))


def usable_photos(
    photos: LabelledPhotos,
    problems: Problems,
    *,
    segment: Segment | None = None,
    count: int | None = None,
    progress: ItemProgress | None = None,
) -> Iterator[tuple[LabelledPhoto, EntityMap]]:
    """Reads photos with their entities, one by one.

    Args:
        photos: the data set.
        problems: takes the photos that cannot be used, and what was left out of the others.
        segment: the source of the entities; None: the true ones.
        count: number of photos, starting with the first; None: all.
        progress: called as `progress(photos done, all photos)` after each photo.

    Raises:
        InputError: no photo can be used.
    """
    problems.update(photos.problems)
    total = len(photos) if count is None else min(count, len(photos))
    used = 0
    for number in range(total):
        entities = None
        with leaving_out(problems):
            photo = photos[number]
            problems.update(photo.problems)
            if segment is None:
                entities = EntityMap.from_labels(np.maximum(photo.labels, 0))
            else:
                entities = found_by(segment, photo.image, photo.name)
        if entities is not None:
            yield photo, entities
            used += 1
        if progress is not None:
            progress(number + 1, total)
    if not used:
        raise InputError(f"No photo in {photos.name} can be measured: {'; '.join(problems)}.")
