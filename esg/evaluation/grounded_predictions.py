"""Panoptic predictions of a grounder: entities that got their names from a list (GELLA paper, Table XIII)."""

from __future__ import annotations

from collections.abc import Sequence

from ..data.annotated import AnnotatedPhoto, Category
from ..data.problems import Problems
from ..entities import rle
from ..entities.name_lists import NameList
from ..grounder import NAMED, Grounder
from .entity_sources import Segment, entities_of
from .matching import FoundMask
from .predictions import Predictions


class GroundedPredictions(Predictions):
    """Gives the entities of each photo the names of the truth's categories, and merges stuff of one name.

    Args:
        grounder: the model that names them.
        categories: the categories of the truth, which the model is asked for all at once.
        segment: the source of the entities; None: the true segments (Table XVIII b, "Ground truth").
        threshold: minimum score of a name; an entity without a name is left out.

    Raises:
        InputError: two categories have the same everyday name.
    """

    def __init__(
        self,
        grounder: Grounder,
        categories: Sequence[Category],
        segment: Segment | None = None,
        threshold: float = NAMED,
    ) -> None:
        self.name, self.problems = grounder.name, Problems()
        self._names = NameList.read(
            [
                {"name": one.name, "id": number, "isthing": int(one.thing is not False)}
                for number, one in enumerate(categories)
            ]
        )
        self._grounder, self._segment, self._threshold = grounder, segment, threshold

    def of(self, photo: AnnotatedPhoto, problems: Problems) -> list[FoundMask]:
        """The named segments of a photo; EsgError if it or its entities cannot be used."""
        image = photo.image()
        entities = entities_of(photo, image, self._segment)
        found = self._grounder.panoptic(image, entities, self._names, threshold=self._threshold)
        masks = rle.encode_labels(found.entities.labels, len(found.entities))
        return [FoundMask(mask, one.score, one.category_id) for mask, one in zip(masks, found.segments, strict=True)]
