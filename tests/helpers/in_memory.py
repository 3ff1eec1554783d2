"""A data set in memory, for tests of evaluators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from esg.data.annotated import AnnotatedPhoto, AnnotatedPhotos, Category, Segment
from esg.data.problems import Problems
from esg.entities import rle
from esg.evaluation.matching import FoundMask
from esg.evaluation.predictions import Predictions
from esg.support.errors import ImageError


class MemoryPhotos(AnnotatedPhotos):
    """Photos without picture files; an entry that is not a photo cannot be read."""

    def __init__(self, photos: Sequence[AnnotatedPhoto | None], categories: Sequence[Category] = ()) -> None:
        self.name, self.categories, self.problems = "memory", tuple(categories), Problems()
        self._photos = photos

    def __len__(self) -> int:
        return len(self._photos)

    def called(self, index: int) -> tuple[int | str, str]:
        photo = self._photos[index]
        return (index, f"{index}.jpg") if photo is None else (photo.id, photo.name)

    def photo(self, index: int) -> AnnotatedPhoto:
        photo = self._photos[index]
        if photo is None:
            raise ImageError(f"number {index}.png is broken.")
        return photo


class MemoryPredictions(Predictions):
    """Masks by the name of the photo."""

    def __init__(self, found: dict[str, list[FoundMask]]) -> None:
        self.name, self.problems, self.found = "memory", Problems(), found

    def of(self, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask] | None:
        return self.found.get(photo.name)


def photo_of(
    labels: np.ndarray, categories: Sequence[int | None] = (), crowds: Sequence[int] = (), name: str = "a.jpg"
) -> AnnotatedPhoto:
    """A photo whose segments are the labels 1..N of a map, with their categories; 0 and below are not annotated."""
    count = int(labels.max(initial=0))
    masks = rle.encode_labels(np.maximum(labels, 0).astype(np.int32), count)
    given = [*categories, *[None] * (count - len(categories))]
    segments = [
        Segment(mask, category, number in crowds)
        for number, (mask, category) in enumerate(zip(masks, given, strict=True), start=1)
    ]
    return AnnotatedPhoto(name, name, (labels.shape[0], labels.shape[1]), None, tuple(segments))


def masks_of(
    labels: np.ndarray, scores: Sequence[float] = (), categories: Sequence[int | None] = ()
) -> list[FoundMask]:
    """The labels 1..N of a map as found masks; scores are 1 where they are not given."""
    count = int(labels.max(initial=0))
    masks = rle.encode_labels(labels.astype(np.int32), count)
    return [
        FoundMask(mask, *pair)
        for mask, pair in zip(
            masks,
            zip(
                [*scores, *[1.0] * (count - len(scores))],
                [*categories, *[None] * (count - len(categories))],
                strict=True,
            ),
            strict=True,
        )
    ]
