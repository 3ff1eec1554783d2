"""Pictures with texts about them: scenes and photos with true captions or referring expressions."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..entities import rle
from ..language.coco_names import EVERYDAY, counted_names
from ..language.tidying import tidied
from ..support.errors import ImageError
from .annotated import Category
from .augment import DEFAULT, AugmentConfig, augment
from .expressions import ReferredPhoto
from .labelled import LabelledPhoto, painted
from .narration.facts import Facts, named_facts, photo_facts, scene_facts
from .narration.measures import compacted
from .narration.naming import described, names_listed, names_to_find
from .narration.referring import refer
from .narration.relations import Relations, measured_relations
from .narration.teller import Mention, Narrative, tell
from .noisy_masks import carry
from .panoptic_narratives import NarratedSegments
from .scenes.layout import SceneConfig
from .scenes.synth import make_scene

NARRATED = SceneConfig(things=(3, 9), camouflaged=0.0, size=(0.1, 0.75), min_share=0.003)
"""Distribution of scenes for captions: a few things, large enough to be named and not camouflaged."""
_WHOLE = AugmentConfig(area=(1.0, 1.0), aspect=(1.0, 1.0))
_CROPS = 5


@dataclass(frozen=True)
class NarratedPhoto:
    """A picture, its entities, and texts about them.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int32, 1..N in random order, 0 = none.
        facts: facts about all entities, in the order of their labels.
        narratives: captions or referring expressions; their entity ids are labels.
        names: names that a description of the picture can mention, see `coco_names.counted_names`.
        descriptions: sentences about the picture as a whole, which mention these names.
        captions: the descriptions that people wrote.
        given: (H, W) int32, masks of another segmenter in this picture, 1..K, 0 = none; None without such masks.
        answers: whether only that is labelled which the texts refer to, so that all entities are those of `given`.
    """

    image: np.ndarray
    labels: np.ndarray
    facts: tuple[Facts, ...]
    narratives: tuple[Narrative, ...]
    names: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    given: np.ndarray | None = None
    answers: bool = False


def tell_scene(
    seed: int,
    rng: np.random.Generator,
    sides: tuple[int, int],
    scenes: SceneConfig = NARRATED,
    refers: Sequence[bool] = (False,),
) -> NarratedPhoto:
    """A synthetic scene and texts about it.

    Args:
        seed: seed of the scene; seeds from `synth.HELD_OUT` on are reserved for evaluation.
        rng: random generator for everything else.
        sides: range of the longer side in pixels.
        scenes: the distribution that the scene is drawn from.
        refers: for every text, whether to make a referring expression; if none is possible, it is a caption.
    """
    height, width = _size(rng, sides, wide=rng.random() < 0.6)
    scene = make_scene(seed, height, width, scenes)
    return _narrated(scene.image, scene.labels, scene_facts(scene), scene.relations, rng, refers)


def tell_photo(
    photo: LabelledPhoto,
    rng: np.random.Generator,
    sides: tuple[int, int] | None,
    refers: Sequence[bool] = (False,),
    *,
    given: np.ndarray | None = None,
    categories: Sequence[str] = (),
    absent: tuple[int, int] = (2, 56),
) -> NarratedPhoto:
    """A segmented photo, augmented, and texts about its measurable properties; see `tell_scene`.

    If several crops in a row show none of its entities, the whole photo is used at its own size.

    Args:
        photo: the photo as read.
        rng, refers: as for `tell_scene`.
        sides: range of the longer side in pixels; None uses the photo as it is, without augmentation.
        given: (H, W) int32, masks of another segmenter, 0 = none, which are augmented like the photo.
        categories: all categories of the data set, whose names the model may learn; 60 % of the texts that are not
            referring expressions are then lists of names, see `naming.names_listed`.
        absent: as for `tell_named`.

    Raises:
        ImageError: the segmentation does not have any segments.
    """
    image, labels = photo.image, np.maximum(photo.labels, 0)
    if not labels.any():
        raise ImageError(
            f"A segmentation of {photo.name} does not have any segments (all pixels are 0); replace or remove it."
        )
    found = _view(image, labels, given, rng, sides)
    # At full size, because shrinking might lose them as well.
    crop, seen, masks = _augmented(image, labels, given, rng, _WHOLE) if found is None else found
    facts = photo_facts(crop, seen)
    narrated = _narrated(crop, seen, facts, measured_relations(seen, facts), rng, refers)
    if categories:
        there: dict[str, list[int]] = {}
        for fact in facts:
            if (name := photo.categories[fact.id - 1]) is not None:
                there.setdefault(name, []).append(int(narrated.labels[seen == fact.id][0]))
        narratives = tuple(
            names_listed(there, categories, rng, _drawn(absent, rng))
            if not refer_to_one and rng.random() < 0.6
            else own
            for own, refer_to_one in zip(narrated.narratives, refers)
        )
        narrated = replace(narrated, narratives=narratives)
    return replace(narrated, captions=photo.captions, given=masks)


def tell_named(
    photo: LabelledPhoto,
    things: Collection[str],
    rng: np.random.Generator,
    sides: tuple[int, int] | None,
    refers: Sequence[bool] = (False,),
    absent: tuple[int, int] = (2, 56),
    *,
    given: np.ndarray | None = None,
) -> NarratedPhoto | None:
    """A photo whose entities have categories, augmented, and texts that name them; see `tell_photo`.

    Of the texts that are not referring expressions, 60 % are lists of names to look for, see `naming.names_to_find`.

    Args:
        photo: the photo as read.
        things: the categories that are things.
        rng, sides, refers, given: as for `tell_photo`.
        absent: range of the number of names in a list that are not in the photo. Small numbers are drawn more often:
            people list only a few names, but a description starts from all names that the model knows.

    Returns:
        None if several crops in a row show none of the entities.
    """
    found = _view(photo.image, np.maximum(photo.labels, 0), given, rng, sides)
    if found is None:
        return None
    crop, seen, masks = found
    facts = named_facts(crop, seen, photo.categories, things)
    narrated = _narrated(crop, seen, facts, measured_relations(seen, facts), rng, refers)
    narratives = tuple(
        names_to_find(narrated.facts, rng, _drawn(absent, rng)) if not refer_to_one and rng.random() < 0.6 else own
        for own, refer_to_one in zip(narrated.narratives, refers)
    )
    named = [fact for fact in narrated.facts if fact.kind is not None]
    names = tuple(counted_names([fact.noun for fact in named], [fact.area for fact in named], seen.size))
    descriptions = photo.captions or ((described(names, rng),) if names else ())
    return replace(
        narrated, narratives=narratives, names=names, descriptions=descriptions, captions=photo.captions, given=masks
    )


def _view(
    image: np.ndarray,
    labels: np.ndarray,
    given: np.ndarray | None,
    rng: np.random.Generator,
    sides: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
    """A random view of a photo, or the photo itself without `sides`; None if several views show no entity."""
    if sides is None:
        return (image, labels, given) if labels.any() else None
    size = _size(rng, sides, wide=image.shape[1] >= image.shape[0])
    for _ in range(_CROPS):
        view = _augmented(image, labels, given, rng, size=size)
        if view[1].any():
            return view
    return None


def _augmented(
    image: np.ndarray,
    labels: np.ndarray,
    given: np.ndarray | None,
    rng: np.random.Generator,
    config: AugmentConfig = DEFAULT,
    size: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A photo and two label maps of it, changed in the same way by `augment`."""
    if given is None:
        return (*augment(image, labels, rng, config, size), None)
    count = int(labels.max(initial=0)) + 1
    crop, both = augment(image, (labels + count * given.astype(np.int64)).astype(np.int32), rng, config, size)
    return crop, both % count, compacted(both // count)[1].astype(np.int32)


def tell_expressions(
    found: ReferredPhoto,
    categories: Sequence[Category],
    rng: np.random.Generator,
    texts: int = 1,
    *,
    given: np.ndarray | None = None,
    answers: bool = False,
) -> NarratedPhoto | None:
    """A photo with expressions or questions that people wrote, such as those of RefCOCO and ReasonSeg.

    The photo is not augmented: in a mirrored one, "left" would be wrong.

    Args:
        found: the photo and its expressions.
        categories: the categories of its segments.
        rng: random generator.
        texts: number of expressions, drawn with repetition.
        given: (H, W) int32, masks of another segmenter, 0 = none.
        answers: whether only the answers are annotated. The entities are then those of `given`, without those that lie
            mostly in an ignored area.

    Returns:
        None if nothing that an expression refers to can be seen; with `answers`, also if no entity of `given` lies
        mostly in what an expression refers to.

    Raises:
        ImageError: the photo cannot be read.
    """
    labels, names = painted(found.photo.segments, found.photo.size, categories)
    seen, labels = compacted(np.maximum(labels, 0))
    labels = labels.astype(np.int32)
    objects = [one.id for one in found.photo.segments if not one.crowd]
    numbers = {objects[label - 1]: number for number, label in enumerate(seen.tolist(), start=1)}
    referred = [(one, numbers[one.segment]) for one in found.expressions if one.segment in numbers]
    if answers:
        given = None if given is None else _counted(given, found)
        entities = set() if given is None else _mostly_inside(given, labels)
        referred = [(one, number) for one, number in referred if number in entities]
    if not referred:
        return None
    image = found.photo.image()
    drawn = (referred[number] for number in rng.integers(len(referred), size=texts).tolist())
    known = [None if names[label - 1] not in EVERYDAY else names[label - 1] for label in seen.tolist()]
    things = {one.name for one in categories if one.thing is not False}
    narratives = []
    for one, number in drawn:
        text = tidied(one.text).text
        kind = None if known[number - 1] is None else "thing" if known[number - 1] in things else "stuff"
        narratives.append(Narrative(text, (Mention((0, len(text)), (number,), kind, False),)))
    facts = named_facts(image, labels, known, things)
    return NarratedPhoto(image, labels, facts, tuple(narratives), given=given, answers=answers)


def _counted(given: np.ndarray, found: ReferredPhoto) -> np.ndarray:
    """Masks without those that lie mostly in an area that does not count."""
    ignored = next((one.ignored for one in found.expressions if one.ignored is not None), None)
    if ignored is None:
        return given
    areas, hidden = (
        np.bincount(part.ravel(), minlength=int(given.max()) + 1) for part in (given, given[rle.decode_mask(ignored)])
    )
    return compacted(np.where((hidden > areas / 2)[given], 0, given))[1].astype(np.int32)


def _mostly_inside(given: np.ndarray, labels: np.ndarray) -> set[int]:
    """The labels in which an entity of `given` lies mostly."""
    inside = carry(given, labels).inside > 0.5
    return set((inside.any(0).nonzero()[0] + 1).tolist())


def tell_written(
    found: NarratedSegments, rng: np.random.Generator, texts: int = 1, *, given: np.ndarray | None = None
) -> NarratedPhoto:
    """A photo with captions that people wrote and grounded, such as those of Panoptic Narrative Grounding.

    The photo is not augmented: a crop might cut off what a caption mentions.

    Args:
        found: the photo, its segments and its captions.
        rng: random generator.
        texts: number of captions, drawn with repetition.
        given: (H, W) int32, masks of another segmenter, 0 = none.

    Raises:
        ImageError: the photo cannot be read, or nothing in it is captioned.
    """
    if not found.narratives:
        raise ImageError(f"{found.photo.name} does not have captions that can be used.")
    image, labels = found.photo.image(), found.labels
    drawn = rng.integers(len(found.narratives), size=texts)
    narratives = tuple(found.narratives[number] for number in drawn.tolist())
    return NarratedPhoto(image, labels, photo_facts(image, labels), narratives, given=given)


def _drawn(absent: tuple[int, int], rng: np.random.Generator) -> int:
    return round(math.exp(rng.uniform(*np.log(absent))))


def _size(rng: np.random.Generator, sides: tuple[int, int], wide: bool) -> tuple[int, int]:
    longer = int(rng.integers(sides[0], sides[1] + 1))
    shorter = round(longer * rng.uniform(0.6, 1.0))
    return (shorter, longer) if wide else (longer, shorter)


def _narrated(
    image: np.ndarray,
    labels: np.ndarray,
    facts: Sequence[Facts],
    relations: Relations,
    rng: np.random.Generator,
    refers: Sequence[bool],
) -> NarratedPhoto:
    # Segmenters number entities in another order than scenes do.
    numbers = np.zeros(labels.max() + 1, np.int32)
    numbers[[fact.id for fact in facts]] = rng.permutation(len(facts)) + 1
    narratives = (_narrative(facts, relations, rng, refer_to_one) for refer_to_one in refers)
    return NarratedPhoto(
        image,
        numbers[labels],
        tuple(sorted((replace(fact, id=int(numbers[fact.id])) for fact in facts), key=lambda fact: fact.id)),
        tuple(_renumbered(narrative, numbers) for narrative in narratives),
    )


def _narrative(facts: Sequence[Facts], relations: Relations, rng: np.random.Generator, refers: bool) -> Narrative:
    if refers and (found := refer(facts, relations, rng)) is not None:
        expression, ids = found
        return Narrative(expression, (Mention((0, len(expression)), ids, None, False),))
    return tell(facts, relations, rng)


def _renumbered(narrative: Narrative, numbers: np.ndarray) -> Narrative:
    mentions = (
        replace(mention, entity_ids=tuple(sorted(numbers[list(mention.entity_ids)].tolist())))
        for mention in narrative.mentions
    )
    return Narrative(narrative.caption, tuple(mentions))
