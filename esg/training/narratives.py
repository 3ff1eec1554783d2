"""Training samples of GELLA: a picture with masks, a narrative about it, and what is asked of both (paper Sec. 4.3)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data.disturbed import Carried, carry, disturbed
from ..data.layout import SceneConfig
from ..data.photos import Photos
from ..data.synth import HELD_OUT
from ..data.telling.teller import Narrative
from ..data.telling.told import NARRATED, Told, tell_named, tell_photo, tell_scene
from ..errors import ImageError
from ..gella.coco_names import EVERYDAY
from ..gella.colormap import colormap
from ..gella.config import GellaConfig
from ..gella.conversation import Conversation, Text
from ..gella.letterbox import Letterbox
from ..gella.nouns import noun_phrases
from ..segmenter import EntitySegmenter
from .lessons import words_of
from .samples import drawn

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_DRAWN = 100  # photos, until one shows something that is labelled
TASKS = ("describe", "extract", "ground")


@dataclass(frozen=True)
class NarrativeConfig:
    """What the model learns from.

    Attributes:
        batch: pictures a step (on each device).
        texts: texts about every picture; they share what is seen of it, so that a second one costs little.
        tasks: probabilities of image description, noun extraction and grounding (Table XXI). The lots are drawn alike
            for all devices, which have to ask for the same parts of the model in a step.
        sides: range of the longer side of synthetic scenes, in pixels.
        scenes: the mixture that scenes are drawn from.
        photos: folders of labelled photos (see `esg.data.photos`); none for scenes alone.
        photo_weights: how often photos are drawn from each folder, in relation to the others; without them as often
            as it has photos.
        photo_share: probability of a photo instead of a scene.
        absent: range of how many names that are not in the photo stand in a list of names; smaller numbers are drawn
            more often. Of 80 names, such a list has about 500 tokens, which have to fit into the model's context.
        referring: probability that a text that is grounded is one referring expression.
        mask_noise: share of the pictures whose masks are not the true ones but a segmenter's (Table XVIII a).
        segmenter: its name or weight file; None disturbs the true masks instead, which costs next to nothing.
        seed: of the whole run.
    """

    batch: int = 8
    texts: int = 1
    tasks: tuple[float, float, float] = (0.2, 0.2, 0.6)
    sides: tuple[int, int] = (192, 320)
    scenes: SceneConfig = NARRATED
    photos: tuple[str, ...] = ()
    photo_weights: tuple[float, ...] = ()
    photo_share: float = 0.3
    absent: tuple[int, int] = (2, 56)
    referring: float = 0.25
    mask_noise: float = 0.0
    segmenter: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class GroundingBatch:
    """B pictures and T texts; M is the side of the colormap.

    Attributes:
        pixels: (B, 3, side, side) uint8 RGB, letterboxed for the vision encoder.
        colormaps: (B, 3, M, M) uint8.
        labels: (B, M, M) int32, 0 = none.
        words: for every picture (N, W) int8, which words are true of its entities, see `lessons.words_of`.
        texts: T conversations with their answers.
        pictures: the picture that each text is about.
        truths: for every text (v, N) bool, which entities a noun means; None if the text is language alone.
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
            InputError: a folder of photos is missing or has no format that is known.
            WeightsError: the segmenter's weights are not to be had.
        """
        self.config, self.model, self.rank = config, model, rank
        self.conversation = Conversation(tokenizer, model.language)
        used = config.photos and config.photo_share > 0
        self.photos = Photos(config.photos, config.photo_weights) if used else None
        self.segmenter = None
        if config.segmenter is not None and config.mask_noise > 0:
            self.segmenter = EntitySegmenter.from_pretrained(config.segmenter, device="cpu")

    def __getitem__(self, step: int) -> GroundingBatch:
        """The batch of `step`."""
        rng = np.random.default_rng((self.config.seed, step, self.rank + 1))
        return assemble([self._sample(rng, tasks) for tasks in self.tasks(step)])

    def tasks(self, step: int) -> list[list[str]]:
        """For every picture of a batch what is asked of its texts: names in `TASKS`, the same on every device."""
        lots = np.random.default_rng((self.config.seed, step))
        drawn = lots.choice(len(TASKS), (self.config.batch, self.config.texts), p=self.config.tasks)
        return [[TASKS[task] for task in own] for own in drawn]

    def batches(self, start: int, stop: int, workers: int = 0) -> Generator[GroundingBatch, None, None]:
        """The batches of steps `start` to `stop` - 1; see `Samples.batches`."""
        return drawn(self, start, stop, workers)

    def _sample(self, rng: np.random.Generator, tasks: list[str]) -> Sample:
        refers = [task == "ground" and rng.random() < self.config.referring for task in tasks]
        if self.photos is not None and rng.random() < self.config.photo_share:
            told = self._tell(self.photos, rng, refers)
        else:
            told = tell_scene(int(rng.integers(HELD_OUT)), rng, self.config.sides, self.config.scenes, refers)
        noisy = self.config.mask_noise > 0 and rng.random() < self.config.mask_noise
        return encode(told, tasks, self.conversation, self.model, rng, self._masks(told, rng) if noisy else None)

    def _tell(self, photos: Photos, rng: np.random.Generator, refers: Sequence[bool]) -> Told:
        """What is told of a photo, any of them."""
        for _ in range(_DRAWN):
            photo = photos.draw(rng)
            if not (photo.labels > 0).any():
                continue  # COCO has photos without any instance
            if not any(name in EVERYDAY for name in photo.categories):
                return tell_photo(photo, rng, self.config.sides, refers)
            if (
                told := tell_named(photo, photos.things, rng, self.config.sides, refers, self.config.absent)
            ) is not None:
                return told
        raise ImageError("One photo after the other has nothing that is labelled; check the folders of photos.")

    def _masks(self, told: Told, rng: np.random.Generator) -> np.ndarray | None:
        if self.segmenter is None:
            return disturbed(told.labels, rng)
        found = self.segmenter(told.image)
        return found.labels if len(found) else None


Sample = tuple[Tensor, Tensor, Tensor, Tensor, list[tuple[Text, "Tensor | None"]]]
"""Pixels (3, side, side), colormap (3, M, M), labels (M, M) and words (N, W) of a picture; its texts and truths."""


def encode(
    told: Told,
    tasks: Sequence[str],
    conversation: Conversation,
    model: GellaConfig,
    rng: np.random.Generator,
    masks: np.ndarray | None = None,
) -> Sample:
    """A picture with its narratives, one for every task, as the model takes it.

    Args:
        told: picture, true entities and narratives.
        tasks: what is asked.
        conversation, model: of the model.
        rng: source of chance.
        masks: (H, W) integer, entities to ground in instead of the true ones, at least one.
    """
    size = (told.labels.shape[0], told.labels.shape[1])
    given = told.labels if masks is None else masks
    carried = carry(given, told.labels)
    pixels = Letterbox(size, model.vision.side).fit_image(told.image)
    labels = Letterbox(size, model.colormap_side).fit_labels(given)
    colours = colormap(labels, colours=model.colours, seed=int(rng.integers(1 << 31)))
    as_tensor = partial(torch.as_tensor, dtype=torch.uint8)
    return (
        as_tensor(pixels.transpose(2, 0, 1).copy()),
        as_tensor(colours.transpose(2, 0, 1).copy()),
        torch.from_numpy(labels),
        _words(told, carried),
        [
            _asked(told, narrative, task, conversation, carried, rng)
            for narrative, task in zip(told.narratives, tasks, strict=True)
        ],
    )


def _words(told: Told, carried: Carried) -> Tensor:
    """See `words_of`; of a given entity that is none of the true ones nothing is said."""
    nothing = words_of(told.facts[:1]).fill_(-1)
    return torch.cat((nothing, words_of(told.facts)))[carried.same]


def _asked(
    told: Told, narrative: Narrative, task: str, conversation: Conversation, carried: Carried, rng: np.random.Generator
) -> tuple[Text, Tensor | None]:
    caption, mentions = narrative.caption, narrative.mentions
    if task == "describe" and told.descriptions:
        # Most of what is there is recognised before the picture is described, but not all of it.
        names = [name for name in told.names if rng.random() < 0.8]
        return conversation.describe(told.descriptions[int(rng.integers(len(told.descriptions)))], names), None
    if task == "describe":
        return conversation.describe(caption), None
    if task == "extract" and told.captions and rng.random() < 0.7:
        written = told.captions[int(rng.integers(len(told.captions)))]
        return conversation.extract(written, noun_phrases(written)), None
    text = conversation.extract(caption, [mention.span for mention in mentions])
    if task == "extract":
        return text, None
    truth = np.zeros((len(mentions), carried.inside.shape[1]), bool)
    for row, mention in enumerate(mentions):
        truth[row, np.array(mention.entity_ids, np.int64) - 1] = True
    return text, torch.from_numpy(carried.meant(truth))


def assemble(samples: Sequence[Sample]) -> GroundingBatch:
    """Samples as one batch."""
    pixels, colours, labels, words, asked = zip(*samples)
    pictures = [number for number, own in enumerate(asked) for _ in own]
    texts, truths = zip(*(one for own in asked for one in own))
    return GroundingBatch(
        torch.stack(pixels), torch.stack(colours), torch.stack(labels), list(words), list(texts), pictures, list(truths)
    )
