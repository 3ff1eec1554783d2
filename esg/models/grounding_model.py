"""The interface that `Grounder` expects of a model; GELLA and the training-free grounder implement it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ..entities.entity_map import EntityMap
from ..language.words import Span
from ..support.checks import check_whole, is_number
from ..support.errors import InputError

SEEDS = 1 << 64  # number of seeds that torch's generators accept


@dataclass(frozen=True)
class GenerationConfig:
    """Generation settings of an answer.

    Attributes:
        max_tokens: maximum number of tokens, at least 1.
        temperature: 0 always takes the most likely token; higher values sample less likely tokens more often.
        seed: random seed, from 0 to `SEEDS` - 1.
        guesses: number of tokens to guess and verify per pass, for answers that copy; used only at temperature 0. The
            answer is the same with or without guesses, except for floating-point rounding.

    Raises:
        InputError: a value is out of its range.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    guesses: int = 0

    def __post_init__(self) -> None:
        check_whole("max_tokens", self.max_tokens, 1)
        if not is_number(self.temperature) or not 0 <= self.temperature < math.inf:  # also rejects NaN
            raise InputError(f"The temperature must be a number from 0 up, not {self.temperature!r}.")
        check_whole("seed", self.seed, 0, SEEDS - 1)
        object.__setattr__(self, "seed", int(self.seed))  # PyTorch does not accept NumPy integers


class GroundingModel(Protocol):
    """Describes an image, finds the nouns of a sentence, and scores which entities of the image they refer to.

    The caller has checked the inputs: image and entities have the same size, and captions are not empty.
    """

    @property
    def device(self) -> torch.device:
        """The device that the model computes on."""
        ...

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Every module that has weights and can be moved."""
        ...

    @property
    def drafts(self) -> int:
        """Number of captions to write of an image before choosing the best grounded; 1 if the first is good enough."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that the model has learnt; empty if its vocabulary is open."""
        ...

    def recognise(self, features: Any, entities: EntityMap) -> list[tuple[str, float]]:
        """The best of `names` and its score in 0..1, for each of the N entities; only for models that have names."""
        ...

    def see(self, pixels: np.ndarray) -> Any:
        """Image features that the other methods need, from (H, W, 3) uint8 RGB; computed once per image."""
        ...

    def describe(
        self, features: Any, writing: GenerationConfig, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        """Writes a caption; yields it in pieces as they are written.

        Args:
            features: image features from `see`.
            writing: generation settings.
            stop: called before every piece; returning True ends the caption.
        """
        ...

    @property
    def answers(self) -> bool:
        """Whether the language model can answer any question about an image, not only the two of GELLA."""
        ...

    def ask(
        self, features: Any, question: str, writing: GenerationConfig, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        """Answers a question; otherwise like `describe`. Only for models with `answers`."""
        ...

    def captions(
        self, features: Any, entities: EntityMap, writings: Sequence[GenerationConfig], watch: Callable[[int], None]
    ) -> list[str]:
        """Writes several captions of one image.

        Args:
            features: image features from `see`.
            entities: entities of the image, possibly none; a model may use them to find names.
            writings: generation settings of each caption.
            watch: called repeatedly with the number of finished captions; an exception that it raises ends the writing.
        """
        ...

    def nouns(self, features: Any, caption: str) -> list[Span]:
        """The spans of a caption's nouns, in order and without repetition; InputError if the caption is too long."""
        ...

    def scores(self, features: Any, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        """Scores how likely the text at each span refers to each of the N entities.

        Returns:
            (len(spans), N) float32 in 0..1.

        Raises:
            InputError: the caption is too long.
        """
        ...

    def grounded(
        self, features: Any, entities: EntityMap, captions: Sequence[str]
    ) -> list[tuple[list[Span], np.ndarray]]:
        """`nouns` and their `scores` for several captions of one image."""
        ...

    def to(self, device: torch.device) -> None:
        """Moves the model and frees the memory that it held on its previous device."""
        ...
