"""Measuring a GELLA in training: what it understands of held-out narratives, in the way of `esg eval narratives`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..evaluation.narratives import evaluate_narratives
from ..gella.inference import GellaInference, quietly
from ..grounder import Grounder
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
    model = GellaInference(pupil.gella, tokenizer, device, precision)
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
