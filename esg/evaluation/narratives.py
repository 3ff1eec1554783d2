"""Evaluates a grounder on pictures with ground truth: held-out scenes, and photos segmented by people."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.annotated import AnnotatedPhoto, AnnotatedPhotos
from ..data.labelled import LabelledPhotos
from ..data.narrated import NarratedPhoto, tell_scene
from ..data.narration.claims import holds
from ..data.narration.facts import Facts, photo_facts
from ..data.narration.teller import Mention, Narrative
from ..data.narration.words import KINDS, SIZES
from ..data.problems import Problems
from ..data.scenes.synth import HELD_OUT
from ..entities import rle
from ..entities.entity_map import EntityMap
from ..entities.grounding import Phrase
from ..grounder import Grounder
from ..models.gella.inference import GellaInference
from ..support.errors import InputError
from ..support.progress import ItemProgress
from .average_precision import Scored, average_precision
from .entity_sources import Segment, entities_of
from .grounding import Judged, Overlap, average_recall, referring_iou
from .measured import Measured, leaving_out, usable_photos

SIDES = (192, 320)
"""Range of the longer side of the held-out scenes, in pixels."""

JUDGED = ("colour", "size", "position")
"""The kinds of claims that are evaluated in photos."""


def evaluate_narratives(
    grounder: Grounder,
    count: int = 500,
    *,
    segment: Segment | None = None,
    threshold: float = 0.5,
    progress: ItemProgress | None = None,
) -> dict[str, float]:
    """Grounds captions of held-out scenes, and referring expressions about them.

    The caption is given, but not its nouns. As in PNG's own evaluation, a noun in the singular is grounded in the
    entity with the highest score, and a plural in all above the threshold (or in the best one if none reaches it).

    Args:
        grounder: the grounder to evaluate.
        count: number of scenes; each has one narrative and, if possible, one referring expression.
        segment: function that segments a scene; None: the true entities are used.
        threshold: minimum score, for plurals.
        progress: called as `progress(scenes done, all scenes)` after each scene.

    Returns:
        The results of `average_recall` and `referring_iou`, and the numbers of `nouns` and `expressions` behind them.
    """
    judged: list[Judged] = []
    overlaps: list[Overlap] = []
    for number in range(count):
        narrated, entities = _held_out(number, segment)
        narrative, referring = narrated.narratives
        judged += judge(grounder, narrated, entities, narrative, threshold)
        overlaps += _referred(grounder, narrated, entities, referring)
        if progress is not None:
            progress(number + 1, count)
    counts = {"nouns": float(len(judged)), "expressions": float(len(overlaps))}
    return average_recall(judged) | referring_iou(overlaps) | counts


def evaluate_expressions(
    grounder: Grounder,
    count: int = 500,
    *,
    segment: Segment | None = None,
    threshold: float | None = None,
    progress: ItemProgress | None = None,
) -> dict[str, float]:
    """Grounds the referring expressions of held-out scenes, the same as `evaluate_narratives`.

    Args:
        grounder, segment, progress: as for `evaluate_narratives`.
        count: number of scenes; each has one expression, if possible.
        threshold: minimum score of the entities that are chosen; None: the best one is chosen.

    Returns:
        The results of `referring_iou`, and the number of `expressions` behind them.
    """
    overlaps: list[Overlap] = []
    for number in range(count):
        narrated, entities = _held_out(number, segment)
        overlaps += _referred(grounder, narrated, entities, narrated.narratives[1], threshold)
        if progress is not None:
            progress(number + 1, count)
    return referring_iou(overlaps) | {"expressions": float(len(overlaps))}


def _held_out(number: int, segment: Segment | None) -> tuple[NarratedPhoto, EntityMap]:
    """A held-out scene with a caption and an expression, and its entities."""
    rng = np.random.default_rng((HELD_OUT, number))
    narrated = tell_scene(HELD_OUT + number, rng, SIDES, refers=(False, True))
    return narrated, segment(narrated.image, f"scene {number}") if segment else EntityMap.from_labels(narrated.labels)


def _referred(
    grounder: Grounder,
    narrated: NarratedPhoto,
    entities: EntityMap,
    narrative: Narrative,
    threshold: float | None = None,
) -> list[Overlap]:
    """The overlap of an expression; none if the narrative is a caption, because no expression was possible."""
    if len(narrative.mentions) != 1 or narrative.mentions[0].span != (0, len(narrative.caption)):
        return []
    meant = grounder.refer(narrated.image, entities, narrative.caption, threshold=threshold, least=0)
    return [_overlap(narrated, entities, meant.entity_ids, narrative.mentions[0])]


def judge(
    grounder: Grounder, narrated: NarratedPhoto, entities: EntityMap, narrative: Narrative, threshold: float
) -> list[Judged]:
    """Grounds a narrative's caption and evaluates each of its mentions, see `evaluate_narratives`."""
    found = {
        phrase.span: phrase
        for phrase in grounder(narrated.image, entities, caption=narrative.caption, threshold=0.0).phrases
    }
    judged = []
    for mention in narrative.mentions:
        phrase = found.get(mention.span)
        ids = meant_of(phrase.entity_ids, phrase.scores, mention.plural, threshold) if phrase else ()
        iou = _overlap(narrated, entities, ids, mention).iou if phrase else 0.0
        judged.append(Judged(iou, phrase is not None, mention.kind, mention.plural))
    return judged


def meant_of(ids: Sequence[int], scores: Sequence[float], plural: bool, threshold: float) -> tuple[int, ...]:
    """The entities that a phrase refers to, as in PNG's own evaluation; ids and scores are of all, the best first.

    >>> meant_of([4, 2, 1], [0.9, 0.6, 0.1], plural=True, threshold=0.5)
    (4, 2)
    """
    above = sum(score >= threshold for score in scores) if plural else 1
    return tuple(ids[: max(1, above)])


def _overlap(narrated: NarratedPhoto, entities: EntityMap, ids: Sequence[int], mention: Mention) -> Overlap:
    return Overlap.of(entities.mask(list(ids)), np.isin(narrated.labels, mention.entity_ids))


def evaluate_reconstruction(
    model: GellaInference,
    count: int | None = 500,
    *,
    photos: AnnotatedPhotos | None = None,
    segment: Segment | None = None,
    progress: ItemProgress | None = None,
) -> Measured:
    """How well GELLA's mask decoder reconstructs the masks of its colormap.

    Args:
        model: the model.
        count: number of scenes or photos, starting with the first; None: all photos.
        photos: photos whose segments are encoded; None: held-out scenes.
        segment: the source of the entities; None: the true ones.
        progress: called as `progress(pictures done, all pictures)` after each.

    Returns:
        Fractions: `AP`, `AP50` and `AP75` of the decoder's masks against the given ones, at the decoder's resolution
        (paper Table XVI; absent if pycocotools is not installed); and the share of entities that a query of their own
        reconstructs with an IoU of 0.5 or more, for `all` and by the entity's share of the picture, for every name in
        `words.SIZES`, nan if no entity has that size; and the number of `pictures`. Photos that cannot be used are left
        out and noted.

    Raises:
        InputError: no photo can be used.
    """
    problems = Problems()
    found: dict[str, list[bool]] = {name: [] for name in ("all", *SIZES)}
    decoded: list[Scored] = []
    given: list[np.ndarray] = []
    used = 0
    for image, entities in _encoded(count, photos, segment, problems, progress):
        used += 1
        features = model.see(image)
        back = model.reconstructed(features, entities).tolist()
        for area, one in zip((entities.areas / entities.labels.size).tolist(), back):
            size = next(name for name, (least, most) in SIZES.items() if least <= area < most or most == 1)
            found[size].append(one)
            found["all"].append(one)
        for part in model.reconstructions(features, entities):
            masks, scores = part.masks.cpu().numpy(), part.scores.cpu().tolist()
            decoded.append([(rle.encode_mask(mask), score) for mask, score in zip(masks, scores)])
            given.append(part.labels.cpu().numpy())
    if not used and photos is not None:
        raise InputError(f"No photo in {photos.name} can be measured: {'; '.join(problems)}.")
    figures = {name: float(np.mean(ones)) if ones else float("nan") for name, ones in found.items()}
    if importlib.util.find_spec("pycocotools") is not None:
        precision = average_precision(decoded, given)
        figures = {name: precision[name] for name in ("AP", "AP50", "AP75")} | figures
    return Measured(figures | {"pictures": float(used)}, problems)


def _encoded(
    count: int | None,
    photos: AnnotatedPhotos | None,
    segment: Segment | None,
    problems: Problems,
    progress: ItemProgress | None,
) -> Iterator[tuple[np.ndarray, EntityMap]]:
    """The photos, or held-out scenes, that have entities, and these."""
    if photos is not None:
        problems.update(photos.problems)
    total = (500 if count is None else count) if photos is None else min(count or len(photos), len(photos))
    for number in range(total):
        found = None
        with leaving_out(problems):
            found = _scene(number, segment) if photos is None else _photo(photos[number], segment, problems)
        if found is not None:
            yield found
        if progress is not None:
            progress(number + 1, total)


def _scene(number: int, segment: Segment | None) -> tuple[np.ndarray, EntityMap]:
    scene = tell_scene(HELD_OUT + number, np.random.default_rng((HELD_OUT, number)), SIDES)
    return scene.image, segment(scene.image, f"scene {number}") if segment else EntityMap.from_labels(scene.labels)


def _photo(photo: AnnotatedPhoto, segment: Segment | None, problems: Problems) -> tuple[np.ndarray, EntityMap] | None:
    problems.update(photo.problems)
    image = photo.image()
    entities = entities_of(photo, image, segment)
    if not len(entities):
        problems.add("photos without entities", photo.name)
        return None
    return image, entities


@dataclass(frozen=True)
class Claims:
    """Claims made about photos; a phrase that occurs twice for the same photo counts once.

    Attributes:
        true: number of phrases whose claims can be defended for every entity they are grounded in.
        clear: number of these that are clearly true (see `narration.facts`).
        false: number of other phrases with claims; a phrase without entities is one of them.
        silent: number of phrases without claims.
        examples: (photo, phrase) of the first false phrases.
        problems: what was left out.
    """

    true: int
    clear: int
    false: int
    silent: int
    examples: tuple[tuple[str, str], ...]
    problems: Problems

    @property
    def share(self) -> float:
        """The share of true phrases among those with claims, nan if there are none."""
        return self._of_all(self.true)

    @property
    def clear_share(self) -> float:
        """The share of clearly true phrases among the same."""
        return self._of_all(self.clear)

    def _of_all(self, count: int) -> float:
        return count / (self.true + self.false) if self.true + self.false else float("nan")


def evaluate_claims(
    grounder: Grounder,
    photos: LabelledPhotos,
    count: int | None = None,
    *,
    segment: Segment | None = None,
    progress: ItemProgress | None = None,
) -> Claims:
    """Has the model describe photos, and measures whether its words about colour, size and position are true.

    Args:
        grounder: the grounder to evaluate.
        photos: photos with segmentations.
        count: number of photos, starting with the first; None: all.
        segment: function that segments a photo; None: the segmentation of each photo's first annotator is used.
        progress: called as `progress(photos done, all photos)` after each photo.

    Raises:
        InputError: no photo can be used.
    """
    problems = Problems()
    true = clear = silent = 0
    false: list[tuple[str, str]] = []
    for photo, entities in usable_photos(photos, problems, segment=segment, count=count, progress=progress):
        if not len(entities):
            problems.add("photos without entities", photo.name)
            continue
        facts = {fact.id: fact for fact in photo_facts(photo.image, entities.labels)}
        phrases = grounder(photo.image, entities).phrases
        for phrase in {phrase.text: phrase for phrase in phrases}.values():
            verdicts = _verdicts(facts, phrase)
            if not verdicts:
                silent += 1
            elif all(verdicts):
                true += 1
                clear += all(_verdicts(facts, phrase, clearly=True))
            else:
                false.append((photo.name, phrase.text))
    return Claims(true, clear, len(false), silent, tuple(false[:20]), problems)


def _verdicts(facts: Mapping[int, Facts], phrase: Phrase, *, clearly: bool = False) -> list[bool]:
    """Whether each claim of a phrase holds, for claims of the kinds in `JUDGED`."""
    found = holds(facts, phrase.text, phrase.entity_ids, clearly=clearly)
    return [verdict for word, verdict in found.items() if KINDS[word] in JUDGED]
