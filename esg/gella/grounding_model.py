"""What a `Grounder` needs of a model; GELLA is one way to do it, the training-free grounder another."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ..checks import check_whole, is_number
from ..entities import EntityMap
from ..errors import InputError
from .words import Span

SEEDS = 1 << 64  # as many as torch's generators have


@dataclass(frozen=True)
class Writing:
    """How an answer is written.

    Attributes:
        most: of its tokens, at least 1.
        temperature: 0 takes the likeliest token always; larger values make unlikely ones likelier.
        seed: of the lots, from 0 to `SEEDS` - 1.
        guesses: tokens that are looked up and checked at once, for answers that copy; greedy ones alone have any. They
            are the same with and without, up to how sums of floating point numbers are rounded.

    Raises:
        InputError: a value is out of its range.
    """

    most: int = 256
    temperature: float = 0.0
    seed: int = 0
    guesses: int = 0

    def __post_init__(self) -> None:
        check_whole("most", self.most, 1)
        if not is_number(self.temperature) or not 0 <= self.temperature < math.inf:  # which is false for NaN, too
            raise InputError(f"The temperature must be a number from 0 up, not {self.temperature!r}.")
        check_whole("seed", self.seed, 0, SEEDS - 1)
        object.__setattr__(self, "seed", int(self.seed))  # PyTorch takes no number of NumPy's


class GroundingModel(Protocol):
    """Describes a picture, finds the nouns of a sentence, and scores which entities of the picture they mean.

    What it is given has been checked: pictures and entities are of one size, captions are not empty.
    """

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All that has weights and can be moved."""
        ...

    @property
    def drafts(self) -> int:
        """Captions worth writing of a picture to take the one that is grounded best; 1 for who writes well at once."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """All that the model has learnt to call things; none for a model that knows words of all kinds."""
        ...

    def recognise(self, sight: Any, entities: EntityMap) -> list[tuple[str, float]]:
        """For each of the N entities the best of `names`, and its score in 0..1; only for models that have names."""
        ...

    def see(self, pixels: np.ndarray) -> Any:
        """What the other methods need of a picture, (H, W, 3) uint8 RGB; computed once."""
        ...

    def describe(
        self, sight: Any, writing: Writing, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        """A caption, in pieces as they come.

        Args:
            sight: of the picture, from `see`.
            writing: how it is written.
            stop: asked before every piece; True ends the caption.
        """
        ...

    def captions(
        self, sight: Any, entities: EntityMap, writings: Sequence[Writing], watch: Callable[[int], None]
    ) -> list[str]:
        """Several captions of one picture.

        Args:
            sight: of the picture, from `see`.
            entities: of the picture, maybe none; a model may look at them to know what it can name.
            writings: how each is written.
            watch: called again and again with the number of captions that are done; what it raises ends the writing.
        """
        ...

    def nouns(self, sight: Any, caption: str) -> list[Span]:
        """Where the nouns of a caption are, in their order, none twice; InputError if the caption is too long."""
        ...

    def scores(self, sight: Any, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        """How surely the piece of the caption at each span means each of the N entities.

        Returns:
            (len(spans), N) float32 in 0..1.

        Raises:
            InputError: the caption is too long.
        """
        ...

    def grounded(self, sight: Any, entities: EntityMap, captions: Sequence[str]) -> list[tuple[list[Span], np.ndarray]]:
        """`nouns` and their `scores` for several captions of one picture."""
        ...

    def to(self, device: torch.device) -> None:
        """Moves the model; what it held on the device before is free for others."""
        ...
