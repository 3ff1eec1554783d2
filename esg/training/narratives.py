"""Training samples of GELLA: a picture with masks, a narrative about it, and what is asked of both (paper Sec. 4.3)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data.augment import augment
from ..data.bsds import BsdsPhotos
from ..data.facts import Facts, photo_facts, scene_facts
from ..data.layout import SceneConfig
from ..data.relations import Relations, measured_relations
from ..data.synth import HELD_OUT, make_scene
from ..data.teller import Mention, Narrative, refer, tell
from ..gella.colormap import colormap
from ..gella.config import GellaConfig
from ..gella.conversation import Conversation, Text
from ..gella.letterbox import Letterbox
from .samples import drawn

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TASKS = ("describe", "extract", "ground")
_GROUND = TASKS.index("ground")


@dataclass(frozen=True)
class NarrativeConfig:
    """What the model learns from.

    Attributes:
        batch: pictures a step (on each device), one text each.
        tasks: probabilities of image description, noun extraction and grounding (Table XXI). Where there is grounding,
            every batch has at least one sample of it.
        sides: range of the longer side of synthetic scenes, in pixels.
        scenes: the mixture that scenes are drawn from.
        photos: folder of segmented photos (`esg.data.bsds`), or None for scenes alone.
        photo_share: probability of a photo instead of a scene.
        referring: probability that a text that is grounded is one referring expression.
        seed: of the whole run.
    """

    batch: int = 8
    tasks: tuple[float, float, float] = (0.2, 0.2, 0.6)
    sides: tuple[int, int] = (192, 320)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    photos: str | None = None
    photo_share: float = 0.3
    referring: float = 0.25
    seed: int = 0


@dataclass(frozen=True)
class Told:
    """A picture, its entities, and what is said of them.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int32, 1..N in an order that says nothing, 0 = none.
        narrative: whose entity ids are labels.
    """

    image: np.ndarray
    labels: np.ndarray
    narrative: Narrative


@dataclass(frozen=True)
class GroundingBatch:
    """B pictures and texts; M is the side of the colormap.

    Attributes:
        pixels: (B, 3, side, side) uint8 RGB, letterboxed for the vision encoder.
        colormaps: (B, 3, M, M) uint8.
        labels: (B, M, M) int32, 0 = none.
        texts: B conversations with their answers.
        truths: for every text (v, N) bool, which entities a noun means; None if the text is language alone.
    """

    pixels: Tensor
    colormaps: Tensor
    labels: Tensor
    texts: list[Text]
    truths: list[Tensor | None]


class Narratives(Dataset):
    """The batches of a run, by step."""

    def __init__(self, config: NarrativeConfig, model: GellaConfig, tokenizer: Tokenizer, rank: int = 0) -> None:
        """Opens the photos.

        Raises:
            InputError: the folder of photos is not there, or holds none that are segmented.
        """
        self.config, self.model, self.rank = config, model, rank
        self.conversation = Conversation(tokenizer, model.language)
        self.photos = BsdsPhotos(Path(config.photos)) if config.photos and config.photo_share > 0 else None

    def __getitem__(self, step: int) -> GroundingBatch:
        """The batch of `step`."""
        rng = np.random.default_rng((self.config.seed, step, self.rank + 1))
        tasks = rng.choice(len(TASKS), self.config.batch, p=self.config.tasks)
        if self.config.tasks[_GROUND] > 0 and not (tasks == _GROUND).any():
            tasks[rng.integers(len(tasks))] = _GROUND  # several devices have to ask for the same parts of the model
        return assemble([self._sample(rng, TASKS[task]) for task in tasks])

    def batches(self, start: int, stop: int, workers: int = 0) -> Generator[GroundingBatch, None, None]:
        """The batches of steps `start` to `stop` - 1; see `Samples.batches`."""
        return drawn(self, start, stop, workers)

    def _sample(self, rng: np.random.Generator, task: str) -> tuple[Tensor, Tensor, Tensor, Text, Tensor | None]:
        refers = task == "ground" and rng.random() < self.config.referring
        return encode(self._told(rng, refers), task, self.conversation, self.model, rng)

    def _told(self, rng: np.random.Generator, refers: bool) -> Told:
        if self.photos is not None and rng.random() < self.config.photo_share:
            return tell_photo(self.photos, rng, self.config, refers)
        return tell_scene(int(rng.integers(HELD_OUT)), rng, self.config, refers)


def tell_scene(seed: int, rng: np.random.Generator, config: NarrativeConfig, refers: bool = False) -> Told:
    """A synthetic scene and a narrative, or one referring expression, about it."""
    longer = int(rng.integers(config.sides[0], config.sides[1] + 1))
    shorter = round(longer * rng.uniform(0.6, 1.0))
    height, width = (shorter, longer) if rng.random() < 0.6 else (longer, shorter)
    scene = make_scene(seed, height, width, config.scenes)
    return _told(scene.image, scene.labels, scene_facts(scene), scene.relations, rng, refers)


def tell_photo(photos: BsdsPhotos, rng: np.random.Generator, config: NarrativeConfig, refers: bool = False) -> Told:
    """A segmented photo, augmented, and what can be measured in it."""
    image, annotators = photos.item(int(rng.integers(len(photos))))
    longer = int(rng.integers(config.sides[0], config.sides[1] + 1))
    shorter = round(longer * rng.uniform(0.6, 1.0))
    size = (shorter, longer) if image.shape[1] >= image.shape[0] else (longer, shorter)
    image, labels = augment(image, annotators[rng.integers(len(annotators))], rng, size=size)
    facts = photo_facts(image, labels)
    return _told(image, labels, facts, measured_relations(labels, facts), rng, refers)


def _told(
    image: np.ndarray,
    labels: np.ndarray,
    facts: Sequence[Facts],
    relations: Relations,
    rng: np.random.Generator,
    refers: bool,
) -> Told:
    narrative = None
    if refers and (found := refer(facts, relations, rng)) is not None:
        expression, ids = found
        narrative = Narrative(expression, (Mention((0, len(expression)), ids, None, False),))
    if narrative is None:
        narrative = tell(facts, relations, rng)
    # A segmenter numbers entities its own way.
    numbers = np.zeros(labels.max() + 1, np.int32)
    numbers[[fact.id for fact in facts]] = rng.permutation(len(facts)) + 1
    mentions = tuple(
        Mention(m.span, tuple(sorted(numbers[list(m.entity_ids)].tolist())), m.kind, m.plural)
        for m in narrative.mentions
    )
    return Told(image, numbers[labels], Narrative(narrative.caption, mentions))


def encode(
    told: Told, task: str, conversation: Conversation, model: GellaConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Text, Tensor | None]:
    """One sample: pixels (3, side, side), colormap (3, M, M), labels (M, M), text and truth as in `GroundingBatch`."""
    caption, mentions = told.narrative.caption, told.narrative.mentions
    size = (told.labels.shape[0], told.labels.shape[1])
    pixels = Letterbox(size, model.vision.side).fit_image(told.image)
    labels = Letterbox(size, model.colormap_side).fit_labels(told.labels)
    colours = colormap(labels, colours=model.colours, seed=int(rng.integers(1 << 31)))
    if task == "describe":
        text = conversation.describe(caption)
    else:
        text = conversation.extract(caption, [caption[slice(*mention.span)] for mention in mentions])
    truth = None
    if task == "ground":
        truth = torch.zeros(len(mentions), int(told.labels.max()), dtype=torch.bool)
        for row, mention in enumerate(mentions):
            truth[row, torch.tensor(mention.entity_ids) - 1] = True
    as_tensor = partial(torch.as_tensor, dtype=torch.uint8)
    return (
        as_tensor(pixels.transpose(2, 0, 1).copy()),
        as_tensor(colours.transpose(2, 0, 1).copy()),
        torch.from_numpy(labels),
        text,
        truth,
    )


def assemble(samples: list[tuple[Tensor, Tensor, Tensor, Text, Tensor | None]]) -> GroundingBatch:
    """Samples as one batch."""
    pixels, colours, labels, texts, truths = zip(*samples)
    return GroundingBatch(torch.stack(pixels), torch.stack(colours), torch.stack(labels), list(texts), list(truths))
