"""The training-free grounder: a public model writes captions and lists their nouns, CLIP finds what each noun means."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..entities import EntityMap
from ..errors import InputError
from ..gella import prompts
from ..gella.knowing import KnowsWords
from ..gella.nouns import align, noun_phrases, parse_pieces
from ..gella.words import Span
from ..gella.writing import Writing
from .clip import Clip
from .folders import model_folders
from .regions import masked_crops, patch_shares
from .relevance import relevance
from .wordings import GENERIC, context_of, rivals, wordings
from .writer import Writer

CLIP = "openai/clip-vit-large-patch14-336"
WRITER = "llava-hf/llava-1.5-7b-hf"
LICENCES = "MIT, Llama 2"  # of these two
NO_WRITER = "none"

_NAME = re.compile(r"zero-shot(?:-([48])bit)?(?::(.+))?", re.DOTALL)


@dataclass(frozen=True)
class Sight:
    """What is seen of a picture before its entities are known.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        patches: (rows, columns, D), see `Clip.patches`.
    """

    pixels: np.ndarray
    patches: Tensor


class ZeroShot:
    """CLIP, and if there is one a language model, as a `gella.grounding_model.GroundingModel`.

    Nothing in it has been trained for grounding, and nothing here has been measured with the published weights.
    """

    def __init__(self, clip: Clip, writer: Writer | None = None) -> None:
        """Takes the models as they are; without a writer, captions come from the user and nouns by a rule of thumb."""
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
            clip: any model that transformers loads as `CLIPModel`. The default (MIT licence) needs about 350 GFLOP an
                entity, which takes seconds on a CPU; openai/clip-vit-base-patch16 needs a tenth.
            writer: any model that transformers loads as image-text-to-text and that has a chat template, or None. The
                default has weights of 14 GB with bf16 or fp16, twice that with fp32, half with 8 bits and a quarter
                with 4; its licence is that of Llama 2. Small ones are HuggingFaceTB/SmolVLM-Instruct (2.2 billion
                parameters; 5 GB with bf16, its authors state) and HuggingFaceTB/SmolVLM-500M-Instruct (0.5 billion;
                weights of 1 GB), both Apache-2.0.
            device: where they compute.
            precision: of the computation, and of the writer's weights.
            bits: of the writer's weights instead, 8 or 4; needs bitsandbytes and a device that it works on.

        Raises:
            WeightsError: a model is not on this machine, or its files are not those that are needed.
        """
        place = torch.device(device)
        folders = model_folders([clip] if writer is None else [clip, writer])  # before anything large is read
        seeing = Clip.from_folder(folders[0], place, precision)
        writing = Writer.from_folder(folders[1], place, precision, bits) if writer is not None else None
        return cls(seeing, writing)

    @classmethod
    def from_name(cls, name: str, device: torch.device, precision: torch.dtype) -> ZeroShot:
        """Loads what a name says: "zero-shot", "zero-shot:none" for CLIP alone, "zero-shot-4bit:someone/model".

        Raises:
            InputError: the name says something else.
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
        """The public models that a name is made of; see `from_name`, also for what it raises."""
        found = _NAME.fullmatch(name)
        if not found:
            raise InputError(f"{name!r} is not a training-free grounder.")
        writer = found[2] or WRITER
        return [CLIP] if writer == NO_WRITER else [CLIP, writer]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.clip.device

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """See `GroundingModel.networks`; without a language model of few bits, which stays where it is."""
        movable = [self.writer.network] if self.writer is not None and not self.writer.bits else []
        return (self.clip.network, *movable)

    @property
    def drafts(self) -> int:
        """See `GroundingModel.drafts`."""
        return 1

    def to(self, device: torch.device) -> None:
        """See `GroundingModel.to`; InputError if the language model has few bits."""
        if self.writer is not None:
            self.writer.to(device)
        self.clip.to(device)

    def knows(self, word: str) -> bool:
        """See `gella.knowing.KnowsWords.knows`: it finds with CLIP, whatever the language model may understand."""
        return not isinstance(self.clip, KnowsWords) or self.clip.knows(word)

    def see(self, pixels: np.ndarray) -> Sight:
        """See `GroundingModel.see`."""
        return Sight(pixels.copy(), self.clip.patches(pixels))  # whose they are may write to them

    def describe(
        self, sight: Sight, writing: Writing, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        """See `GroundingModel.describe`.

        Raises:
            InputError: there is no language model.
        """
        if self.writer is None:
            raise InputError(
                'CLIP alone cannot write captions; give a caption or a list of phrases, or choose "zero-shot", which '
                "has a language model."
            )
        yield from self.writer.answer(sight.pixels, prompts.DESCRIBE, writing, stop)

    @property
    def names(self) -> tuple[str, ...]:
        """See `GroundingModel.names`."""
        return ()

    def recognise(self, sight: Sight, entities: EntityMap) -> list[tuple[str, float]]:
        """Never asked, since there are no names."""
        raise InputError("This model does not have a list of names.")

    def captions(
        self, sight: Sight, entities: EntityMap, writings: Sequence[Writing], watch: Callable[[int], None]
    ) -> list[str]:
        """See `GroundingModel.captions`; written one after the other, since one alone may fill the memory."""
        captions: list[str] = []

        def going_on() -> bool:
            watch(len(captions))
            return False

        for writing in writings:
            captions.append("".join(self.describe(sight, writing, going_on)))
        return captions

    def nouns(self, sight: Sight, caption: str) -> list[Span]:
        """See `GroundingModel.nouns`; where no answer lists any that the caption has, a rule of thumb finds them."""
        if self.writer is None:
            return noun_phrases(caption)
        answer = "".join(self.writer.answer(sight.pixels, prompts.extract(caption), Writing(most=512)))
        # In one piece, since such a model has no <SEG> token: what reads so is part of the caption.
        spans = {span for span in align(parse_pieces([answer]), caption) if span is not None}
        return sorted(spans) or noun_phrases(caption)

    def scores(self, sight: Sight, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        """See `GroundingModel.scores`; 0.5 and more is what fits an entity better than all else that may be said."""
        if not spans or not len(entities):
            return np.zeros((len(spans), len(entities)), np.float32)
        phrases = [caption[slice(*span)] for span in spans]
        said = [wordings(phrase, context_of(caption, span)) for phrase, span in zip(phrases, spans)]
        texts = self.clip.texts([*said, *(wordings(text) for text in GENERIC)])  # (v + G, D)
        similarities = texts @ self._embedded(sight, entities).T
        return relevance(similarities.cpu().numpy(), rivals(phrases), self.clip.scale)

    def grounded(
        self, sight: Sight, entities: EntityMap, captions: Sequence[str]
    ) -> list[tuple[list[Span], np.ndarray]]:
        """See `GroundingModel.grounded`."""
        spans = [self.nouns(sight, caption) for caption in captions]
        return [(own, self.scores(sight, entities, caption, own)) for caption, own in zip(captions, spans)]

    def _embedded(self, sight: Sight, entities: EntityMap) -> Tensor:
        """(N, D): the mean of what an entity is in its surroundings and of what it is by itself.

        The former knows the picture but is as coarse as the patches, the latter has all details of small entities and
        sees nothing around them (as global and local features in Yu, Seo and Son, CVPR 2023).
        """
        rows, columns, _ = sight.patches.shape
        shares = torch.from_numpy(patch_shares(entities, rows, columns)).to(sight.patches.device)
        around = torch.nn.functional.normalize(shares @ sight.patches.flatten(0, 1), dim=-1)
        alone = self.clip.pictures(masked_crops(sight.pixels, entities, self.clip.side))
        return (around + alone) / 2
