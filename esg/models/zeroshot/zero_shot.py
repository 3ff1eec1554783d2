"""The training-free grounder: a public model writes captions and lists their nouns, CLIP finds their entities."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...entities.entity_map import EntityMap
from ...language import captions as prompts
from ...language.knowing import KnowsWords
from ...language.nouns import align, noun_phrases, parse_pieces
from ...language.words import Span
from ...support.errors import Advice, InputError
from ..grounding_model import GenerationConfig
from .clip import ClipModel
from .folders import CLIP, WRITER, model_folders
from .regions import masked_crops, patch_shares
from .relevance import relevance
from .wordings import GENERIC, context_of, rivals, wordings
from .writer import Writer

NO_WRITER = "none"

_NAME = re.compile(r"zero-shot(?:-([48])bit)?(?::(.+))?", re.DOTALL)


@dataclass(frozen=True)
class PictureFeatures:
    """Features of a picture, computed before its entities are known.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        patches: (rows, columns, D), see `ClipModel.patches`.
    """

    pixels: np.ndarray
    patches: Tensor


class ZeroShot:
    """CLIP, and optionally a language model, as a `gella.grounding_model.GroundingModel`.

    None of it was trained for grounding, and its quality with the published weights has not been measured.
    """

    def __init__(self, clip: ClipModel, writer: Writer | None = None) -> None:
        """Wraps the models; without a writer, captions come from the user and nouns from a rule of thumb."""
        self.clip = clip
        self.writer = writer

    @classmethod
    def from_pretrained(
        cls,
        *,
        clip: str | Path = CLIP,
        writer: str | Path | None = WRITER,
        device: torch.device | str = "cpu",
        precision: torch.dtype = torch.float32,
        bits: int | None = None,
    ) -> ZeroShot:
        """Loads the models by their names on the hub, if they have been downloaded, or from folders.

        Args:
            clip: any model that transformers loads as `CLIPModel`. The default (MIT licence) needs about 350 GFLOP per
                entity, which takes seconds on a CPU; openai/clip-vit-base-patch16 needs a tenth of that.
            writer: any model that transformers loads as image-text-to-text and that has a chat template, or None. The
                default has 14 GB of weights in bf16 or fp16, twice that in fp32, half with 8 bits and a quarter with 4;
                its licence is Llama 2's. Small ones are HuggingFaceTB/SmolVLM-Instruct (2.2 billion parameters; 5 GB in
                bf16, according to its authors) and HuggingFaceTB/SmolVLM-500M-Instruct (0.5 billion; 1 GB of weights),
                both Apache-2.0.
            device: device to run on.
            precision: precision of the computation, and of the writer's weights.
            bits: bits per writer weight instead, 8 or 4; needs bitsandbytes and a device that it supports.

        Raises:
            WeightsError: a model is not on this machine, or its files are incomplete or unsuitable.
        """
        place = torch.device(device)
        folders = model_folders([clip] if writer is None else [clip, writer])  # before anything large is read
        seeing = ClipModel.from_folder(folders[0], place, precision)
        writing = Writer.from_folder(folders[1], place, precision, bits) if writer is not None else None
        return cls(seeing, writing)

    @classmethod
    def from_name(cls, name: str, device: torch.device, precision: torch.dtype) -> ZeroShot:
        """Loads by name: "zero-shot", "zero-shot:none" for CLIP alone, "zero-shot-4bit:someone/model".

        Raises:
            InputError: the name is none of these.
            WeightsError: as `from_pretrained`.
        """
        found = _NAME.fullmatch(name)
        if not found:
            raise InputError(
                f'{name!r} is not a training-free grounder; write "zero-shot", "zero-shot-8bit" or "zero-shot-4bit", '
                'optionally with a colon and the language model, as in "zero-shot:HuggingFaceTB/SmolVLM-Instruct", '
                f'or "{NO_WRITER}".'
            )
        bits, writer = found.groups(default="")
        chosen = None if writer == NO_WRITER else writer or WRITER
        return cls.from_pretrained(writer=chosen, device=device, precision=precision, bits=int(bits) if bits else None)

    @staticmethod
    def public_models(name: str) -> list[str]:
        """The public models that a name stands for; see `from_name`, also for its errors."""
        found = _NAME.fullmatch(name)
        if not found:
            raise InputError(f"{name!r} is not a training-free grounder.")
        writer = found[2] or WRITER
        return [CLIP] if writer == NO_WRITER else [CLIP, writer]

    @classmethod
    def has_writer(cls, name: str) -> bool:
        """Whether a name stands for a language model, too; see `from_name`, also for its errors."""
        return len(cls.public_models(name)) > 1

    @property
    def device(self) -> torch.device:
        """The device it runs on."""
        return self.clip.device

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """See `GroundingModel.networks`; without a quantised language model, which cannot be moved."""
        movable = [self.writer.network] if self.writer is not None and not self.writer.bits else []
        return (self.clip.network, *movable)

    @property
    def drafts(self) -> int:
        """See `GroundingModel.drafts`."""
        return 1

    def to(self, device: torch.device) -> None:
        """See `GroundingModel.to`; InputError if the language model is quantised."""
        if self.writer is not None:
            self.writer.to(device)
        self.clip.to(device)

    def knows(self, word: str) -> bool:
        """See `gella.knowing.KnowsWords.knows`; CLIP decides, whatever the language model may understand."""
        return not isinstance(self.clip, KnowsWords) or self.clip.knows(word)

    def see(self, pixels: np.ndarray) -> PictureFeatures:
        """See `GroundingModel.see`."""
        return PictureFeatures(pixels.copy(), self.clip.patches(pixels))  # a copy, since the caller may write to them

    def describe(
        self, features: PictureFeatures, writing: GenerationConfig, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        """See `GroundingModel.describe`.

        Raises:
            InputError: there is no language model.
        """
        if self.writer is None:
            raise InputError("CLIP alone cannot write captions.", Advice.WRITER)
        yield from self.writer.answer(features.pixels, prompts.DESCRIBE, writing, stop)

    @property
    def answers(self) -> bool:
        """See `GroundingModel.answers`."""
        return self.writer is not None

    def ask(
        self,
        features: PictureFeatures,
        question: str,
        writing: GenerationConfig,
        stop: Callable[[], bool] | None = None,
    ) -> Generator[str, None, None]:
        """See `GroundingModel.ask`; InputError if there is no language model."""
        if self.writer is None:
            raise InputError("CLIP alone cannot answer questions.", Advice.WRITER)
        yield from self.writer.answer(features.pixels, question, writing, stop)

    @property
    def names(self) -> tuple[str, ...]:
        """See `GroundingModel.names`."""
        return ()

    def recognise(self, features: PictureFeatures, entities: EntityMap) -> list[tuple[str, float]]:
        """Never called, since there are no names."""
        raise InputError("This model does not have a list of names.")

    def captions(
        self,
        features: PictureFeatures,
        entities: EntityMap,
        writings: Sequence[GenerationConfig],
        watch: Callable[[int], None],
    ) -> list[str]:
        """See `GroundingModel.captions`; written one at a time, since a single one may fill the memory."""
        captions: list[str] = []

        def going_on() -> bool:
            watch(len(captions))
            return False

        for writing in writings:
            captions.append("".join(self.describe(features, writing, going_on)))
        return captions

    def nouns(self, features: PictureFeatures, caption: str) -> list[Span]:
        """See `GroundingModel.nouns`; if the answer lists none of the caption's nouns, a rule of thumb finds them."""
        if self.writer is None:
            return noun_phrases(caption)
        answer = "".join(
            self.writer.answer(features.pixels, prompts.extract(caption), GenerationConfig(max_tokens=512))
        )
        # In one piece, since such a model does not have a <SEG> token: in a caption, "<SEG>" is plain text.
        spans = {span for span in align(parse_pieces([answer]), caption) if span is not None}
        return sorted(spans) or noun_phrases(caption)

    def scores(self, features: PictureFeatures, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        """See `GroundingModel.scores`; 0.5 and above means the phrase fits the entity better than all its rivals."""
        if not spans or not len(entities):
            return np.zeros((len(spans), len(entities)), np.float32)
        phrases = [caption[slice(*span)] for span in spans]
        said = [wordings(phrase, context_of(caption, span)) for phrase, span in zip(phrases, spans)]
        texts = self.clip.texts([*said, *(wordings(text) for text in GENERIC)])  # (v + G, D)
        similarities = texts @ self._embedded(features, entities).T
        return relevance(similarities.cpu().numpy(), rivals(phrases), self.clip.scale)

    def grounded(
        self, features: PictureFeatures, entities: EntityMap, captions: Sequence[str]
    ) -> list[tuple[list[Span], np.ndarray]]:
        """See `GroundingModel.grounded`."""
        spans = [self.nouns(features, caption) for caption in captions]
        return [(own, self.scores(features, entities, caption, own)) for caption, own in zip(captions, spans)]

    def _embedded(self, features: PictureFeatures, entities: EntityMap) -> Tensor:
        """(N, D): the mean of each entity's embedding in its surroundings and on its own.

        The former knows the picture but is as coarse as the patches; the latter has all details of small entities but
        sees nothing around them (like global and local features in Yu, Seo and Son, CVPR 2023).
        """
        rows, columns, _ = features.patches.shape
        shares = torch.from_numpy(patch_shares(entities, rows, columns)).to(features.patches.device)
        around = torch.nn.functional.normalize(shares @ features.patches.flatten(0, 1), dim=-1)
        alone = self.clip.pictures(masked_crops(features.pixels, entities, self.clip.side))
        return (around + alone) / 2
