"""Measures how well a GELLA in training understands held-out narratives, like `esg eval narratives`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..evaluation.narratives import evaluate_narratives
from ..grounder import Grounder
from ..models.gella.inference import GellaInference, quietly
from .auxiliary import GellaInTraining

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FIGURES = ("AR", "noun_recall", "gIoU")


def measure_narratives(
    trained: GellaInTraining,
    state: dict[str, Tensor],
    tokenizer: Tokenizer,
    scenes: int,
    device: torch.device,
    precision: torch.dtype,
) -> dict[str, float]:
    """The `FIGURES` of `evaluate_narratives` (fractions), without those that cannot be measured on these scenes.

    Args:
        trained: the model; it is in training mode again afterwards.
        state: weights to measure, under all of its own names.
        tokenizer: tokenizer of the language model.
        scenes: number of held-out scenes, starting with the first; the true entities are given.
        device, precision: of the computation.

    Raises:
        NoNumbers: image features or scores are NaN or infinite.
    """
    model = GellaInference(trained.gella, tokenizer, device, precision)
    judged = _Judged(trained, Grounder(model), scenes)
    own = {f"trained.{name}": value for name, value in state.items()}
    try:
        with quietly():
            # Uses the weights without loading them; tied weights have the same value under each of their names.
            found = torch.func.functional_call(judged, own, (), tie_weights=False)
    finally:
        trained.train()
    return {name: found[name] for name in FIGURES if not math.isnan(found[name])}


class _Judged(nn.Module):
    """The measurement as a module's forward pass, so that `functional_call` can substitute weights."""

    def __init__(self, trained: GellaInTraining, grounder: Grounder, scenes: int) -> None:
        super().__init__()
        self.trained, self.grounder, self.scenes = trained, grounder, scenes

    def forward(self) -> dict[str, float]:
        return evaluate_narratives(self.grounder, self.scenes)
