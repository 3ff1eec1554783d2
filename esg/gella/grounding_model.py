"""What a `Grounder` needs of a model; GELLA is one way to do it, the training-free grounder another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ..entities import EntityMap
from .words import Span
from .writing import Writing


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
