"""Nodes that mend entities: they combine results, merge, correct and filter entities, and refine edges.

If the numbers of entities change, phrases keep referring to the same entities. With one picture, choosing an entity
that does not exist is an error; with several, nothing is chosen in pictures without it. Pictures are counted through a
batch or a list, so `picture 3:` is the third one in either case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..esg import (
    EntityMap,
    Grounding,
    InputError,
    Phrase,
    Stage,
    assign,
    drop_small,
    drop_weak,
    fill_holes,
    follow,
    intersect,
    merge,
    remove_islands,
    soft_alpha,
    split,
    subtract,
    union,
    write_ids,
)
from .host import host
from .inputs import MANY, checked_before, choice, number, text, whole, wire
from .picking import kept, unreadable
from .values import ENTITIES, Entities, fitted, moved, one_by_one, pictures, read_masks, to_mask, with_pictures

UNION, SUBTRACT, INTERSECT = COMBINATIONS = ("union", "subtract", "intersect")
NEW, ADD, TAKE = PAINTINGS = ("new entity", "add to", "take from")


class CombineEntities:
    CATEGORY = "ESG/mend"
    DESCRIPTION = (
        "Combines two results for the same pictures. union: the entities of both; where they overlap, the one with "
        "the higher score gets the pixel. subtract: a without the pixels of b. intersect: a only where b has entities."
    )
    SEARCH_ALIASES = ("union", "subtract", "intersect", "add masks", "boolean", "combine masks")
    RETURN_TYPES = (ENTITIES,)
    RETURN_NAMES = ("entities",)
    OUTPUT_TOOLTIPS = ("The combined entities, renumbered. They keep the phrases of a; a union adds those of b.",)
    FUNCTION = "combine"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "a": wire(ENTITIES, "From any node."),
                "b": wire(ENTITIES, "Entities of the same pictures."),
                "operation": choice(COMBINATIONS, "How to combine a and b."),
            }
        }

    def combine(self, a: Entities, b: Entities, operation: str) -> tuple[Entities]:
        if len(a) != len(b):
            raise InputError(
                f"a has entities of {len(a)} pictures and b of {len(b)}; connect entities of the same batch."
            )
        maps, groundings, tracks = [], [], []
        highest = max((int(own.max(initial=0)) for own in a.numbers), default=0)  # the tracks of b come after it
        for one, other, words, more, own, further in zip(
            a.maps, b.maps, a.groundings, b.groundings, a.numbers, b.numbers
        ):
            together = {UNION: union, SUBTRACT: subtract, INTERSECT: intersect}[operation]
            found, new_ids = together(one, other)
            numbers = np.concatenate([own, further + highest]) if operation == UNION else own
            tracks.append(moved(numbers, new_ids, len(found)))
            words = follow(words, new_ids[: len(one) + 1]) if words else None
            if operation == UNION and more:
                words = _joined(words, follow(more, new_ids[len(one) :]))
            maps.append(found)
            groundings.append(words)
        return (Entities.of(maps, groundings, tracks if a.tracks is not None else None),)


class MergeEntities:
    CATEGORY = "ESG/mend"
    DESCRIPTION = (
        "Merges several entities into one, for example when a thing was found in pieces. It gets the highest of their "
        "scores."
    )
    SEARCH_ALIASES = ("join entities", "merge masks", "unite")
    RETURN_TYPES = (ENTITIES, "STRING")
    RETURN_NAMES = ("entities", "ids")
    OUTPUT_TOOLTIPS = (
        "The entities, renumbered; phrases are kept.",
        "The number of the merged entity; one line for each picture.",
    )
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True, True)
    FUNCTION = "merge_lists"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "entities": wire(ENTITIES, "From any node."),
                "picks": text(
                    "",
                    "Entities to merge, as in Pick Entities: 3,5-7 / phrase: dog / area<2000 / picture 1: 3,4, picture "
                    "2: 7.",
                ),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, picks: Any = None) -> bool | str:
        return unreadable(picks)

    def merge_lists(self, **lists: list[Any]) -> tuple[list[Any], ...]:
        return _one_by_one(self.merge, lists)

    def merge(self, entities: Entities, picks: str, strict: bool | None = None, first: int = 1) -> tuple[Entities, str]:
        """Merges entities of one batch of pictures; for `strict` and `first` see `Entities.choose`."""
        maps, groundings, tracks, made = [], [], [], []
        chosen = entities.choose(picks, strict=strict, first=first)
        joined = {int(own[k - 1]) for own, ids in zip(entities.numbers, chosen) for k in ids}
        for found, grounding, own, ids in zip(entities.maps, entities.groundings, entities.numbers, chosen):
            merged, new_ids = merge(found, ids)
            maps.append(merged)
            groundings.append(follow(grounding, new_ids) if grounding else None)
            # A merged track has the same number in all pictures, even if some of its parts are not visible.
            tracks.append(moved(np.where(np.isin(own, [*joined]), min(joined, default=0), own), new_ids, len(merged)))
            made.append(sorted({*new_ids[ids].tolist()}))
        mended = Entities.of(maps, groundings, tracks if entities.tracks is not None else None)
        return mended, "\n".join(mended.written(made))


class SplitEntity:
    CATEGORY = "ESG/mend"
    DESCRIPTION = (
        "Corrects entities with a painted mask: the painted area becomes a new entity, is added to an entity, or "
        "removed from it."
    )
    SEARCH_ALIASES = ("paint mask", "edit entity", "cut entity", "add to mask", "erase", "fix mask")
    RETURN_TYPES = (ENTITIES, "STRING")
    RETURN_NAMES = ("entities", "ids")
    OUTPUT_TOOLTIPS = (
        "The entities, renumbered; phrases are kept.",
        "The number of the new or changed entity; one line for each picture.",
    )
    FUNCTION = "split"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "entities": wire(ENTITIES, "From any node."),
                "mask": wire("MASK", "The painted area (above 0.5): one mask for each picture, or one for all."),
                "operation": choice(
                    PAINTINGS,
                    "new entity: the painted area becomes a new entity. add to: the entity gets the painted area, "
                    "whichever entity had it before. take from: the entity loses it, and no other entity gets it.",
                ),
                "entity": whole(
                    0,
                    0,
                    1 << 24,
                    "Number of the entity to change, or to cut the new entity out of. 0: take the whole painted area, "
                    "from whichever entities have it.",
                ),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, operation: Any = None, entity: Any = None) -> bool | str:
        return checked_before(cls, {"operation": operation, "entity": entity}, _check_target)

    def split(self, entities: Entities, mask: Tensor, operation: str, entity: int) -> tuple[Entities, str]:
        _check_target(operation, entity)
        masks = _for_each(read_masks(mask), len(entities), "masks", "pictures")
        there = {int(number) for own in entities.numbers for number in own}
        highest = max(there, default=0)
        if entity and entity not in there:
            raise InputError(f"There is no entity {entity}; the entities are {write_ids(there)}.")
        maps, groundings, tracks, changed = [], [], [], []
        for found, grounding, own, painted in zip(entities.maps, entities.groundings, entities.numbers, masks):
            inside = fitted(painted, found.labels.shape) > 0.5
            number = int(np.flatnonzero(own == entity)[0]) + 1 if entity in own else 0
            new = 0
            if entity and not number:  # only other pictures have it
                mended, new_ids = found, np.arange(len(found) + 1)
            elif operation == NEW:
                mended, new_ids = split(found, number or None, inside)
                own, new = np.append(own, highest + 1), int(new_ids[-1])
            elif number:
                mended, new_ids = assign(found, number, inside, remove=operation == TAKE)
                new = int(new_ids[number])
            else:
                mended, new_ids = subtract(found, EntityMap.from_masks([inside]))
            maps.append(mended)
            groundings.append(follow(grounding, new_ids) if grounding else None)
            tracks.append(moved(own, new_ids, len(mended)))
            changed.append([new] if new else [])
        result = Entities.of(maps, groundings, tracks if entities.tracks is not None else None)
        return result, "\n".join(result.written(changed))


class FilterEntities:
    CATEGORY = "ESG/mend"
    DESCRIPTION = "Keeps some of the entities and tidies them; the steps follow the order of the inputs."
    SEARCH_ALIASES = ("filter masks", "remove small", "fill holes", "clean masks", "min area")
    RETURN_TYPES = (ENTITIES,)
    RETURN_NAMES = ("entities",)
    OUTPUT_TOOLTIPS = ("The remaining entities, renumbered; phrases are kept.",)
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "filter_lists"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "entities": wire(ENTITIES, "From any node."),
                "picks": text(
                    "all",
                    "Entities to keep, as in Pick Entities: 3,5-7 / area>=5% / phrase: dog / not 3 / all / picture 1: "
                    "3,4, picture 2: 7.",
                ),
                "min_score": number(0, 0, 1, "Drop entities with a lower score."),
                "remove_islands": whole(
                    0, 0, MANY, "Drop separate parts of an entity with fewer pixels, but never its largest."
                ),
                "fill_holes": whole(0, 0, MANY, "Fill holes in an entity of up to this many pixels."),
                "min_area": whole(0, 0, MANY, "Drop entities with fewer pixels."),
                "max_count": whole(
                    0, 0, 1000, "Maximum number of entities per picture, those with the highest scores; 0: all."
                ),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, picks: Any = None) -> bool | str:
        return unreadable(picks)

    def filter_lists(self, **lists: list[Any]) -> tuple[list[Any], ...]:
        return _one_by_one(self.filter, lists)

    def filter(
        self,
        entities: Entities,
        picks: str,
        min_score: float,
        remove_islands: int,
        fill_holes: int,
        min_area: int,
        max_count: int,
        strict: bool | None = None,
        first: int = 1,
    ) -> tuple[Entities]:
        """Filters one batch of pictures; for `strict` and `first` see `Entities.choose`."""
        left = kept(entities, entities.choose(picks, strict=strict, first=first))
        maps, groundings, tracks = [], [], []
        for found, grounding, own in zip(left.maps, left.groundings, left.numbers):
            for step in _steps(min_score, remove_islands, fill_holes, min_area, max_count):
                tidied = step(found)
                new_ids = _followed(found, tidied)
                grounding = follow(grounding, new_ids) if grounding else None
                own = moved(own, new_ids, len(tidied))
                found = tidied
            maps.append(found)
            groundings.append(grounding)
            tracks.append(own)
        return (Entities.of(maps, groundings, tracks if left.tracks is not None else None),)


class RefineEdges:
    CATEGORY = "ESG/mend"
    DESCRIPTION = (
        "Moves the edges of masks onto the edges in the picture, and softens them where the picture is soft: hair, "
        "fur, blur. It is a guided filter and does not need a model."
    )
    SEARCH_ALIASES = ("matting", "guided filter", "alpha matte", "feather", "hair", "soft mask", "mask edge detail")
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)
    OUTPUT_TOOLTIPS = ("Soft masks, one for each input mask, at the picture's size.",)
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "refine_lists"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "One picture for all masks, or one for each."),
                "mask": wire("MASK", "One or more masks; values above 0.5 are inside."),
                "width": whole(
                    8,
                    0,
                    128,
                    "Pixels on both sides of the edge in which to look for the true edge: about three times the error "
                    "of the mask. Thinner parts may fade. 0 leaves masks unchanged.",
                ),
                "contrast": number(
                    0.03,
                    0.001,
                    1,
                    "Colour differences well below this do not count as an edge, as a fraction of the range from black "
                    "to white. Higher values give smoother edges.",
                    step=0.001,
                ),
            }
        }

    def refine_lists(self, **lists: list[Any]) -> tuple[list[Tensor]]:
        return ([self.refine(**given)[0] for given in with_pictures(lists)],)

    def refine(self, image: Tensor, mask: Tensor, width: int, contrast: float) -> tuple[Tensor]:
        masks = read_masks(mask)
        photos = _for_each(pictures(image), len(masks), "pictures", "masks")
        show = host().progress()
        soft = []
        for index, (photo, rough) in enumerate(zip(photos, masks)):

            def report(done: int, total: int, what: str, before: int = index) -> None:
                show(round(100 * (before + done / total)), 100 * len(masks), what)

            inside = fitted(rough, photo.shape[:2]) > 0.5
            soft.append(soft_alpha(photo, inside, width=width, contrast=contrast, progress=report))
            report(1, 1, Stage.EDGES)
        return (to_mask(soft, photos[0].shape[:2]),)


def _one_by_one(node: Callable[..., tuple[Any, ...]], lists: dict[str, list[Any]]) -> tuple[list[Any], ...]:
    """Runs a node once for each of several batches and returns lists of its outputs; pictures are counted through."""
    batches = lists["entities"]
    starts = np.cumsum([1, *map(len, batches)]).tolist()
    strict = None if len(batches) == 1 else False
    done = [
        node(**given, strict=strict, first=starts[min(k, len(batches) - 1)])
        for k, given in enumerate(one_by_one(lists))
    ]
    return tuple(map(list, zip(*done)))


def _check_target(operation: str, entity: int) -> None:
    if operation == ADD and not entity:
        raise InputError("entity is 0; for add to, set it to the number of the entity that gets the painted area.")


def _joined(one: Grounding | None, other: Grounding) -> Grounding:
    """Joins two groundings of one map: the second caption and its phrases are appended to the first.

    If the captions are the same, as for parts of one result, each phrase has the entities of both.
    """
    if one is None or not one.caption:
        return other
    if one.caption == other.caption:
        meant: dict[tuple[str, tuple[int, int]], dict[int, float]] = {}
        for phrase in (*one.phrases, *other.phrases):
            scores = meant.setdefault((phrase.text, phrase.span), {})
            for number, score in zip(phrase.entity_ids, phrase.scores):
                scores[number] = max(score, scores.get(number, 0.0))
        phrases = []
        for (words, span), scores in meant.items():
            ids = sorted(scores, key=lambda number: (-scores[number], number))
            phrases.append(Phrase(words, span, tuple(ids), tuple(scores[number] for number in ids)))
        return Grounding(one.caption, tuple(phrases))
    between = " " if one.caption.rstrip().endswith((".", "!", "?", ",", ";", ":")) else ", "
    start = len(one.caption) + len(between)
    moved = [
        Phrase(phrase.text, (phrase.span[0] + start, phrase.span[1] + start), phrase.entity_ids, phrase.scores)
        for phrase in other.phrases
    ]
    return Grounding(one.caption + between + other.caption, (*one.phrases, *moved))


def _for_each(given: Sequence[np.ndarray], count: int, what: str, of: str) -> list[np.ndarray]:
    """`count` items: one for each, or a single one repeated."""
    if len(given) not in (1, count):
        raise InputError(f"There are {len(given)} {what} for {count} {of}; connect one for each, or a single one.")
    return [*given] * (count // len(given))


def _steps(
    least_score: float, island: int, hole: int, least_area: int, count: int
) -> Iterator[Callable[[EntityMap], EntityMap]]:
    """The steps to apply to a map, one after another."""
    yield lambda found: drop_weak(found, least_score)
    if island:
        yield lambda found: remove_islands(found, island)
    if hole:
        yield lambda found: fill_holes(found, hole)
    yield lambda found: drop_small(found, least_area)
    if count:
        yield lambda found: found.keep(range(1, min(count, len(found)) + 1))


def _followed(before: EntityMap, after: EntityMap) -> np.ndarray:
    """The new ids, (N + 1,), after a step in which pixels were freed or filled, but never moved between entities."""
    stayed = (before.labels > 0) & (after.labels > 0)
    new_ids = np.zeros(len(before) + 1, np.int32)
    new_ids[before.labels[stayed]] = after.labels[stayed]
    return new_ids
