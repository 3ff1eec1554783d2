"""Measuring a GELLA in training: what it understands of held-out narratives, in the way of `esg eval narratives`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..entities import EntityMap
from ..evaluation.narratives import evaluate_narratives
from ..gella.inference import GellaInference, quietly
from ..gella.language import Sight
from ..gella.words import Span
from ..grounder import Grounder
from .divergence import NoNumbers
from .lessons import Pupil

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FIGURES = ("AR", "noun_recall", "gIoU")


def measure_narratives(
    pupil: Pupil,
    state: dict[str, Tensor],
    tokenizer: Tokenizer,
    scenes: int,
    device: torch.device,
    precision: torch.dtype,
) -> dict[str, float]:
    """The `FIGURES` of `evaluate_narratives` (fractions), without those that there is nothing to judge for.

    Args:
        pupil: the model, which is in training mode again when this returns.
        state: the weights that are measured, under all the names of its own.
        tokenizer: of the language model.
        scenes: number of held-out scenes, the first ones; the true entities are given.
        device, precision: of the computation.

    Raises:
        NoNumbers: image features or scores are none.
    """
    model = _Watched(pupil.gella, tokenizer, device, precision)
    judged = _Judged(pupil, Grounder(model), scenes)
    own = {f"pupil.{name}": value for name, value in state.items()}
    try:
        with quietly():
            # Lends the weights to the model; tied ones have the same value under each of their names.
            found = torch.func.functional_call(judged, own, (), tie_weights=False)
    finally:
        pupil.train()
    return {name: found[name] for name in FIGURES if not math.isnan(found[name])}


class _Judged(nn.Module):
    """The measuring as a module's forward pass, which is what weights can be lent to."""

    def __init__(self, pupil: Pupil, grounder: Grounder, scenes: int) -> None:
        super().__init__()
        self.pupil, self.grounder, self.scenes = pupil, grounder, scenes

    def forward(self) -> dict[str, float]:
        return evaluate_narratives(self.grounder, self.scenes)


class _Watched(GellaInference):
    """A GELLA whose training may have diverged."""

    def see(self, pixels: np.ndarray) -> Sight:
        sight = super().see(pixels)
        if not (sight.tokens.isfinite().all() and sight.grid.isfinite().all()):
            raise NoNumbers("The model gives image features that are no numbers.")
        return sight

    def scores(self, sight: Sight, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        scores = super().scores(sight, entities, caption, spans)
        if not np.isfinite(scores).all():
            raise NoNumbers("The model gives scores that are no numbers.")
        return scores
