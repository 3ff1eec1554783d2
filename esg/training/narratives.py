"""Training samples for GELLA: a picture with masks, narratives about it, and a task for each (paper Sec. 4.3)."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data.annotated import AnnotatedPhoto
from ..data.expressions import Expressions
from ..data.labelled import labelled
from ..data.narrated import (
    NARRATED,
    NarratedPhoto,
    tell_expressions,
    tell_named,
    tell_photo,
    tell_scene,
    tell_written,
)
from ..data.narration.teller import Narrative
from ..data.noisy_masks import Carried, carry, perturbed_masks
from ..data.opening_expressions import open_expressions
from ..data.panoptic_narratives import PanopticNarratives
from ..data.photos import FirstUsable, Photos
from ..data.problems import Problems
from ..data.reasonseg import Explanation, read_explanations
from ..data.scenes.layout import SceneConfig
from ..data.scenes.synth import HELD_OUT
from ..language.captions import WORDINGS
from ..language.coco_names import EVERYDAY
from ..language.nouns import noun_phrases
from ..models.gella.colormap import colormap
from ..models.gella.config import GellaConfig
from ..models.gella.conversation import Conversation, Text
from ..models.gella.letterbox import Letterbox
from ..pictures.reading import read_image
from ..segmenter import EntitySegmenter
from ..support.errors import InputError
from .auxiliary import words_of
from .given_masks import GivenMasks
from .samples import drawn

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

TASKS = ("describe", "extract", "ground")


@dataclass(frozen=True)
class NarrativeConfig:
    """Settings of the training samples.

    Attributes:
        batch: pictures per step (on each device).
        texts: texts per picture; they share its image features, so that a second text costs little.
        tasks: probabilities of image description, noun extraction and grounding (Table XXI). The tasks of a step are
            the same on all devices, because all must use the same parts of the model.
        sides: range of the longer side of synthetic scenes, in pixels.
        scenes: distribution that scenes are drawn from.
        photos: folders of labelled photos (see `esg.data.photos`); empty for scenes only.
        photo_weights: relative probability of each folder; empty: proportional to its number of photos.
        photo_share: probability of a photo instead of a scene.
        captions: JSON files with captions of the photos, in any form that `esg.data.captions` reads. They are what the
            model learns to describe these photos with, and whose nouns it learns to extract.
        narratives: files of panoptic narratives (PNG), or folders that hold them.
        narrative_share: probability of a photo with a panoptic narrative, if there are any, instead of anything else.
        absent: range of the number of names in a list that are not in the photo; smaller numbers are drawn more often.
            A list of 80 names has about 500 tokens, which must fit in the model's context.
        referring: probability that a grounded text is a single referring expression.
        augment: whether photos are cropped, flipped and recoloured at random; if not, they are only scaled and padded
            to the model's square, as in the paper (Sec. 5.3).
        wordings: whether the wording of every question is drawn from a list (Sec. 4.3); if not, it is always the one
            that is used in inference.
        expressions: folders of expressions (RefCOCO, RefCOCO+, RefCOCOg) or questions (ReasonSeg), whose split "train"
            is used, each equally often.
        expression_share: probability of a photo with such expressions instead of anything else, if there are any and
            all texts of the picture are to be grounded; and of a question of ReasonSeg that is answered in words, if
            there are any and all texts are descriptions.
        mask_noise: share of the pictures with another segmenter's masks instead of the true ones (Table XVIII a).
            ReasonSeg outlines only the answers, so its photos always have other masks.
        segmenter: name or weight file of that segmenter; None distorts the true masks instead, at almost no cost.
        masks: files of that segmenter's masks instead, see `training.given_masks`; synthetic scenes have true masks.
        seed: random seed of the whole run.
    """

    batch: int = 8
    texts: int = 1
    tasks: tuple[float, float, float] = (0.2, 0.2, 0.6)
    sides: tuple[int, int] = (192, 320)
    scenes: SceneConfig = NARRATED
    photos: tuple[str, ...] = ()
    photo_weights: tuple[float, ...] = ()
    photo_share: float = 0.3
    captions: tuple[str, ...] = ()
    narratives: tuple[str, ...] = ()
    narrative_share: float = 0.5
    expressions: tuple[str, ...] = ()
    expression_share: float = 0.5
    absent: tuple[int, int] = (2, 56)
    referring: float = 0.25
    augment: bool = True
    wordings: bool = False
    mask_noise: float = 0.0
    segmenter: str | None = None
    masks: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class GroundingBatch:
    """B pictures and T texts; M is the side of the colormap.

    Attributes:
        pixels: (B, 3, side, side) uint8 RGB, letterboxed for the vision encoder.
        colormaps: (B, 3, M, M) uint8.
        labels: (B, M, M) int32, 0 = none.
        words: (N, W) int8 for every picture, words that are true of its entities, see `auxiliary.words_of`.
        texts: T conversations with their answers.
        pictures: index of the picture that each text is about.
        truths: (v, N) bool for every text, the entities that each noun refers to; None if the text is not grounded.
    """

    pixels: Tensor
    colormaps: Tensor
    labels: Tensor
    words: list[Tensor]
    texts: list[Text]
    pictures: list[int]
    truths: list[Tensor | None]


class Narratives(Dataset):
    """The batches of a run, by step."""

    def __init__(self, config: NarrativeConfig, model: GellaConfig, tokenizer: Tokenizer, rank: int = 0) -> None:
        """Opens the photos, and the segmenter if one is used.

        Raises:
            InputError: photos, captions, narratives, expressions or masks are missing or have an unknown format; or
                there are questions of ReasonSeg, but neither a segmenter nor files of masks.
            WeightsError: the segmenter's weights are not available.
        """
        self.config, self.model, self.rank = config, model, rank
        self.conversation = Conversation(tokenizer, model.language, model.names)
        used = config.photos and config.photo_share > 0
        self.photos = Photos(config.photos, config.photo_weights, config.captions) if used else None
        narrated = config.narratives if config.narrative_share > 0 else ()
        self.narratives = [PanopticNarratives(path) for path in narrated]
        self._usable = FirstUsable()
        self.expressions = opened_expressions(config)
        self.explanations = [one for data in self.expressions for one in _explanations(data)]
        self.masks = self.segmenter = None
        if config.mask_noise > 0 or not all(data.chooses for data in self.expressions):
            if config.masks is not None:
                self.masks = GivenMasks(config.masks)
            elif config.segmenter is not None:
                self.segmenter = EntitySegmenter.from_pretrained(config.segmenter, device="cpu")
        opened: list[PanopticNarratives | Expressions | GivenMasks] = [*self.narratives, *self.expressions]
        for data in opened if self.masks is None else [*opened, self.masks]:
            self._usable.note(data.name, data.problems)

    def __getitem__(self, step: int) -> GroundingBatch:
        """The batch of `step`."""
        rng = np.random.default_rng((self.config.seed, step, self.rank + 1))
        return assemble([self._sample(rng, tasks) for tasks in self.tasks(step)])

    def tasks(self, step: int) -> list[list[str]]:
        """The task of every text, by picture: names in `TASKS`, the same on every device."""
        lots = np.random.default_rng((self.config.seed, step))
        drawn = lots.choice(len(TASKS), (self.config.batch, self.config.texts), p=self.config.tasks)
        return [[TASKS[task] for task in own] for own in drawn]

    def batches(self, start: int, stop: int, workers: int = 0) -> Generator[GroundingBatch, None, None]:
        """The batches of steps `start` to `stop` - 1; see `Samples.batches`."""
        return drawn(self, start, stop, workers)

    def _sample(self, rng: np.random.Generator, tasks: list[str]) -> Sample:
        refers = [task == "ground" and rng.random() < self.config.referring for task in tasks]
        share, kinds = self.config.expression_share, {*tasks}
        if self.explanations and kinds == {"describe"} and rng.random() < share:
            return self._usable.first(lambda: self._explained(rng, len(tasks)))
        if self.expressions and kinds == {"ground"} and rng.random() < share:
            narrated = self._usable.first(lambda: self._tell_expressions(rng, len(tasks)))
        elif self.narratives and rng.random() < self.config.narrative_share:
            narrated = self._usable.first(lambda: self._tell_written(rng, len(tasks)))
        elif self.photos is not None and rng.random() < self.config.photo_share:
            narrated = self._usable.first(lambda: self._tell(rng, refers))
        else:
            narrated = tell_scene(int(rng.integers(HELD_OUT)), rng, self.config.sides, self.config.scenes, refers)
        other = self.config.mask_noise > 0 and rng.random() < self.config.mask_noise
        masks = self._masks(narrated, rng) if other or narrated.answers else None
        options = {"wordings": self.config.wordings, "written": bool(self.config.captions)}
        return encode(narrated, tasks, self.conversation, self.model, rng, masks, **options)

    def _tell_written(self, rng: np.random.Generator, texts: int) -> NarratedPhoto | None:
        """A random photo with narratives that people wrote."""
        sizes = np.array([len(source) for source in self.narratives])
        source = self.narratives[int(rng.choice(len(sizes), p=sizes / sizes.sum()))]
        found = source[int(rng.integers(len(source)))]
        self._usable.note(source.name, found.problems)
        if not found.narratives:
            return None
        return tell_written(found, rng, texts, given=self._given(found.photo))

    def _tell_expressions(self, rng: np.random.Generator, texts: int) -> NarratedPhoto | None:
        """A random photo with expressions or questions that people wrote."""
        data = self.expressions[int(rng.integers(len(self.expressions)))]
        found = data[int(rng.integers(len(data)))]
        self._usable.note(data.name, found.problems)
        if not found.expressions:
            return None
        given = self._given(found.photo, answers=not data.chooses)
        if not data.chooses and self.segmenter is not None:
            given = self.segmenter(found.photo.image()).labels
        return tell_expressions(found, data.categories, rng, texts, given=given, answers=not data.chooses)

    def _tell(self, rng: np.random.Generator, refers: Sequence[bool]) -> NarratedPhoto | None:
        """A random photo with narratives about it; None if it has no labelled entities, as some of COCO's."""
        assert self.photos is not None
        sides = self.config.sides if self.config.augment else None
        source, annotated, annotator = self.photos.draw_annotated(rng)
        photo = labelled(annotated, source.categories, annotator)
        if not (photo.labels > 0).any():
            return None
        given = self._given(annotated)
        absent, categories = self.config.absent, source.categories
        named = {name for name in photo.categories if name is not None}
        if self.model.names or named <= EVERYDAY.keys():  # a small model knows only the names it was made for
            known = tuple(name if name in EVERYDAY else None for name in photo.categories)
            if any(known):
                photo = replace(photo, categories=known)
                return tell_named(photo, self.photos.things, rng, sides, refers, absent, given=given)
            return tell_photo(photo, rng, sides, refers, given=given)
        names = tuple(one.name for one in categories)
        return tell_photo(photo, rng, sides, refers, given=given, categories=names, absent=absent)

    def _explained(self, rng: np.random.Generator, texts: int) -> Sample:
        """A question of ReasonSeg that is answered in words."""
        one = self.explanations[int(rng.integers(len(self.explanations)))]
        image = read_image(one.photo)
        narrated = NarratedPhoto(image, np.zeros(image.shape[:2], np.int32), (), ())
        pixels, colours, labels, words, _ = encode(narrated, (), self.conversation, self.model, rng)
        return pixels, colours, labels, words, [(self.conversation.ask(one.question, one.answer), None)] * texts

    def _given(self, photo: AnnotatedPhoto, answers: bool = False) -> np.ndarray | None:
        """The label map of another segmenter's masks in files, if they may be used."""
        if self.masks is None or not (answers or self.config.mask_noise > 0):
            return None
        problems = Problems()
        found = self.masks.of(photo, problems)
        self._usable.note(self.masks.name, problems)
        return found.labels

    def _masks(self, narrated: NarratedPhoto, rng: np.random.Generator) -> np.ndarray | None:
        """Another segmenter's masks; None if it found nothing, or if its files are about photos only."""
        if narrated.given is not None:
            return narrated.given if narrated.given.any() else None
        if self.masks is not None:
            return None
        if self.segmenter is None:
            return perturbed_masks(narrated.labels, rng)
        found = self.segmenter(narrated.image)
        return found.labels if len(found) else None


def opened_expressions(config: NarrativeConfig) -> list[Expressions]:
    """The expressions that a run learns from.

    Raises:
        InputError: a data set is missing or has an unknown format; there are two sources of masks, or none for
            ReasonSeg, which outlines only the answers.
    """
    if config.masks is not None and config.segmenter is not None:
        raise InputError("Give a segmenter or files of masks, not both.")
    used = config.expressions if config.expression_share > 0 else ()
    opened = [open_expressions(path, "train", every_text=True) for path in used]
    answers = [data.name for data in opened if not data.chooses]
    if answers and config.masks is None and config.segmenter is None:
        raise InputError(
            f"{answers[0]} outlines only the answers, so the entities must come from a segmenter or from files of "
            "masks; give --segmenter or --masks."
        )
    return opened


def _explanations(data: Expressions) -> list[Explanation]:
    """The answers in words of ReasonSeg's training questions, if their file is there."""
    file = Path(data.name).parent / "explanatory" / "train.json"
    if data.kind != "reasonseg" or not file.is_file():
        return []
    found, problems = read_explanations(file)
    for line in problems:
        log.warning("Left out of %s: %s", file, line)
    return found


Sample = tuple[Tensor, Tensor, Tensor, Tensor, list[tuple[Text, "Tensor | None"]]]
"""Pixels (3, side, side), colormap (3, M, M), labels (M, M) and words (N, W) of a picture; texts with their truths."""


def encode(
    narrated: NarratedPhoto,
    tasks: Sequence[str],
    conversation: Conversation,
    model: GellaConfig,
    rng: np.random.Generator,
    masks: np.ndarray | None = None,
    *,
    wordings: bool = False,
    written: bool = False,
) -> Sample:
    """Encodes a picture and its narratives, one for every task, as input for the model.

    Args:
        narrated: picture, true entities and narratives.
        tasks: a name in `TASKS` for every narrative.
        conversation, model: encoder of texts, and configuration of the model.
        rng: random generator.
        masks: (H, W) integer, entities to use instead of the true ones, at least one.
        wordings: see `NarrativeConfig`.
        written: whether to describe photos with the captions that people wrote of them, if there are any.
    """
    size = (narrated.labels.shape[0], narrated.labels.shape[1])
    given = narrated.labels if masks is None else masks
    carried = carry(given, narrated.labels)
    pixels = Letterbox(size, model.vision.side).fit_image(narrated.image)
    labels = Letterbox(size, model.colormap_side).fit_labels(given)
    colours = colormap(labels, colours=model.colours, seed=int(rng.integers(1 << 31)))
    as_tensor = partial(torch.as_tensor, dtype=torch.uint8)
    return (
        as_tensor(pixels.transpose(2, 0, 1).copy()),
        as_tensor(colours.transpose(2, 0, 1).copy()),
        torch.from_numpy(labels),
        _words(narrated, carried),
        [
            _asked(narrated, narrative, task, conversation, carried, rng, wordings, written)
            for narrative, task in zip(narrated.narratives, tasks, strict=True)
        ],
    )


def _words(narrated: NarratedPhoto, carried: Carried) -> Tensor:
    """See `words_of`; everything is unknown about a given entity that matches no true one."""
    nothing = words_of(narrated.facts[:1]).fill_(-1)
    return torch.cat((nothing, words_of(narrated.facts)))[carried.same]


def _asked(
    narrated: NarratedPhoto,
    narrative: Narrative,
    task: str,
    conversation: Conversation,
    carried: Carried,
    rng: np.random.Generator,
    wordings: bool,
    written: bool,
) -> tuple[Text, Tensor | None]:
    caption, mentions = narrative.caption, narrative.mentions
    questions = WORDINGS["describe" if task == "describe" else "extract"]
    question = questions[int(rng.integers(len(questions)))] if wordings else questions[0]
    if task == "describe" and written and narrated.captions:
        return conversation.describe(
            narrated.captions[int(rng.integers(len(narrated.captions)))], question=question
        ), None
    if task == "describe" and narrated.descriptions:
        # Simulates imperfect recognition: the names given in the prompt are most of those present, but not all.
        names = [name for name in narrated.names if rng.random() < 0.8]
        description = narrated.descriptions[int(rng.integers(len(narrated.descriptions)))]
        return conversation.describe(description, names, question), None
    if task == "describe":
        return conversation.describe(caption, question=question), None
    if task == "extract" and narrated.captions and rng.random() < 0.7:
        caption = narrated.captions[int(rng.integers(len(narrated.captions)))]
        return conversation.extract(caption, noun_phrases(caption), question), None
    text = conversation.extract(caption, [mention.span for mention in mentions], question)
    if task == "extract":
        return text, None
    truth = np.zeros((len(mentions), carried.inside.shape[1]), bool)
    for row, mention in enumerate(mentions):
        truth[row, np.array(mention.entity_ids, np.int64) - 1] = True
    return text, torch.from_numpy(carried.meant(truth))


def assemble(samples: Sequence[Sample]) -> GroundingBatch:
    """Combines samples to a batch."""
    pixels, colours, labels, words, asked = zip(*samples)
    pictures = [number for number, own in enumerate(asked) for _ in own]
    texts, truths = zip(*(one for own in asked for one in own))
    return GroundingBatch(
        torch.stack(pixels), torch.stack(colours), torch.stack(labels), list(words), list(texts), pictures, list(truths)
    )
