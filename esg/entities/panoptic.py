"""Panoptic results: every entity has a name, and the parts of a kind of stuff, such as sky, are one segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .entity_map import EntityMap
from .grounding import Grounding, Phrase
from .importing.panoptic import panoptic_colours, panoptic_dict
from .name_lists import NameList


@dataclass(frozen=True)
class Segment:
    """A segment of a panoptic result.

    Attributes:
        id: number in the result's entities, from 1.
        name: name as in the list.
        spoken: the same as people say it, such as "wall" for "wall-other-merged".
        category_id: its number in the list.
        isthing: whether it is a thing, which can be counted, or stuff, such as sky.
        score: score of the name, 0..1; for stuff of several parts, their mean by area.
        entity_ids: entities that it consists of.
    """

    id: int
    name: str
    spoken: str
    category_id: int
    isthing: bool
    score: float
    entity_ids: tuple[int, ...]


@dataclass(frozen=True)
class Panoptic:
    """The named segments of a picture; pixels of entities without a name belong to none.

    Attributes:
        entities: the segments as entities, by descending score, with their names.
        segments: for each of them, in the same order.
        names: the list of names.

    >>> import numpy as np
    >>> entities = EntityMap.from_labels(np.array([[1, 2, 3]]))
    >>> names = NameList.read([{"name": "dog", "id": 18}, {"name": "sky", "id": 187, "isthing": 0}])
    >>> found = Panoptic.of(entities, {1: (1, 0.9), 2: (0, 0.8), 3: (1, 0.5)}, names)
    >>> [(segment.name, segment.entity_ids) for segment in found.segments], found.entities.labels.tolist()
    ([('dog', (2,)), ('sky', (1, 3))], [[2, 1, 2]])
    """

    entities: EntityMap
    segments: tuple[Segment, ...]
    names: NameList

    @classmethod
    def of(cls, entities: EntityMap, found: Mapping[int, tuple[int, float]], names: NameList) -> Panoptic:
        """Merges stuff and numbers the segments.

        Args:
            entities: the entities of the picture.
            found: by entity id, the index of its name in the list and the score of that name; others have no name.
            names: the list of names.
        """
        categories = names.categories
        parts: dict[tuple[int, int], list[int]] = {}  # by category and, for things, by entity
        for number, (category, _) in sorted(found.items()):
            parts.setdefault((category, number if categories.things[category] else 0), []).append(number)
        table = np.zeros(len(entities) + 1, np.int64)
        scores = np.ones(len(parts))
        for place, ids in enumerate(parts.values()):
            table[ids] = place + 1
            areas = entities.areas[np.array(ids) - 1]
            scores[place] = np.average([found[number][1] for number in ids], weights=areas)
        made = EntityMap.from_labels(
            table[entities.labels], scores, [categories.names[category] for category, _ in parts]
        )
        kinds, groups = [category for category, _ in parts], list(parts.values())
        old = np.zeros(len(made), np.int64)  # the place of each segment in `parts`
        old[made.labels[made.labels > 0] - 1] = table[entities.labels][made.labels > 0] - 1
        segments = tuple(
            Segment(
                number,
                categories.names[kinds[place]],
                names.spoken[kinds[place]],
                categories.ids[kinds[place]],
                categories.things[kinds[place]],
                float(scores[place]),
                tuple(groups[place]),
            )
            for number, place in enumerate(old.tolist(), start=1)
        )
        return cls(made, segments, names)

    @property
    def colours(self) -> np.ndarray:
        """The pixels of the panoptic PNG, (H, W, 3) uint8: R + 256 G + 65536 B is the id of the segment."""
        return panoptic_colours(self.entities)

    def to_coco(self, file_name: str, png_name: str) -> dict[str, Any]:
        """COCO's panoptic JSON, with the names of the photo and of the PNG (`colours`)."""
        content = panoptic_dict(self.entities, file_name, png_name)
        infos = content["annotations"][0]["segments_info"]
        for info, segment in zip(infos, self.segments, strict=True):
            info["category_id"] = segment.category_id
        categories = self.names.categories
        listed = zip(categories.ids, categories.names, categories.things, strict=True)
        content["categories"] = [{"id": one, "name": name, "isthing": int(thing)} for one, name, thing in listed]
        return content

    def grounding(self) -> Grounding:
        """The names as people say them, each once, as a caption whose phrases refer to the segments."""
        found: dict[str, list[Segment]] = {}
        for segment in self.segments:
            found.setdefault(segment.spoken, []).append(segment)
        phrases, start = [], 0
        for name, own in found.items():
            ids, scores = [one.id for one in own], [float(self.entities.scores[one.id - 1]) for one in own]
            phrases.append(Phrase(name, (start, start + len(name)), tuple(ids), tuple(scores)))
            start += len(name) + len(", ")
        return Grounding(", ".join(found) or "no name", tuple(phrases))
