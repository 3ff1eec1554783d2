"""Auxiliary losses for a GELLA trained from scratch: the words that are true of every entity (colour, shape, ...).

The paper has none, because its vision and language towers are pretrained. From captions alone, a small model that must
learn to see learns very late that entities have colours. Two linear readouts teach it sooner; they are not part of its
weight files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.narration.facts import Facts
from ..data.narration.words import FORMS, KINDS, NOUNS, SHAPES
from ..language.coco_names import NAMES
from ..models.gella.association import QueryMatching
from ..models.gella.conversation import Text
from ..models.gella.model import Gella, TrainingOutput

WORDS = tuple(dict.fromkeys((*KINDS, *FORMS, *NOUNS.values(), *SHAPES, *NAMES)))
_PLACES = {word: column for column, word in enumerate(WORDS)}
_NAMED = [_PLACES[name] for name in NAMES if name not in KINDS]  # "orange" is also a colour
_SHAPED = [_PLACES[word] for word in SHAPES]


def words_of(facts: Sequence[Facts]) -> Tensor:
    """(N, W) int8: 1 for words that are true of an entity, 0 for words that are not, -1 for debatable ones."""
    truth = torch.zeros(len(facts), len(WORDS), dtype=torch.int8)
    for row, fact in enumerate(facts):
        for words, value in ((fact.words, -1), (fact.clear, 1)):
            truth[row, [_PLACES[word] for word in words if word in _PLACES]] = value
        if fact.kind is None:  # its category is unknown
            truth[row, _NAMED] = -1
        elif fact.noun in NAMES:  # the shape of an entity with a category is unknown
            truth[row, _SHAPED] = -1
    return truth


@dataclass(frozen=True)
class AuxiliaryOutput:
    """The readouts' logits.

    Attributes:
        queries: (G, Q, W), from the entity embeddings E_vc.
        grid: (G, W, g, g), from the image features Z_v.
    """

    queries: Tensor
    grid: Tensor


class GellaInTraining(nn.Module):
    """A GELLA in training, with linear readouts of its entity embeddings and of its image features."""

    def __init__(self, gella: Gella) -> None:
        super().__init__()
        self.gella = gella
        self.of_entities = nn.Linear(gella.config.decoder.width, len(WORDS))
        self.of_image = nn.Linear(gella.config.vision.width, len(WORDS))
        for readout in (self.of_entities, self.of_image):
            nn.init.constant_(readout.bias, -3.0)  # only few words are true of an entity

    def forward(
        self,
        pixels: Tensor,
        colormaps: Tensor,
        texts: Sequence[Text],
        pictures: Sequence[int],
        grounded: Sequence[int],
    ) -> tuple[TrainingOutput, AuxiliaryOutput | None]:
        """The output of `Gella.forward`, and the readouts' logits if there are grounded texts."""
        output = self.gella(pixels, colormaps, texts, pictures, grounded)
        if output.masks is None:
            # DDP waits for gradients of everything that the output depends on, but no loss uses the grid here.
            return dataclasses.replace(output, grid=output.grid.detach()), None
        grid = self.of_image(output.grid.movedim(1, -1)).movedim(-1, 1)
        return output, AuxiliaryOutput(self.of_entities(output.masks.embeddings), grid)


def auxiliary_losses(
    output: AuxiliaryOutput, matchings: Sequence[QueryMatching], labels: Tensor, words: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Binary cross-entropy over all words, summed over words and averaged over entities.

    Args:
        output: logits of the readouts for G pictures.
        matchings: query matching for each picture.
        labels: (G, M, M) int, the given entities.
        words: G times (N, W), see `words_of`.
    """
    of_entities, of_image = [], []
    for queries, grid, own, matching, truth in zip(output.queries, output.grid, labels, matchings, words):
        shares = _shares(own, len(truth), grid.shape[-1])
        seen = shares.sum(1) > 0
        shares = shares[seen] / shares[seen].sum(1, keepdim=True)
        of_image.append(_cross_entropy(shares @ grid.float().flatten(1).T, truth[seen]))
        matched = matching.matched.nonzero()[:, 0]
        of_entities.append(_cross_entropy(queries[matching.queries[matched]].float(), truth[matched]))
    return {"words": _mean(of_entities), "seen": _mean(of_image)}


def _shares(labels: Tensor, count: int, side: int) -> Tensor:
    """The number of pixels of every entity in every cell of a grid: labels (M, M) → (N, side²) float."""
    rows, columns = (torch.arange(length, device=labels.device) * side // length for length in labels.shape)
    cells = rows[:, None] * side + columns
    found = torch.bincount((labels.long() * side**2 + cells).flatten(), minlength=(count + 1) * side**2)
    return found.view(count + 1, side**2)[1:].float()


def _cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Logits (N, W) and truth (N, W) → (N,), over the words that are not debatable."""
    losses = F.binary_cross_entropy_with_logits(logits, truth.clamp(min=0).float(), reduction="none")
    return torch.where(truth >= 0, losses, 0).sum(1)


def _mean(parts: Sequence[Tensor]) -> Tensor:
    """The mean over all parts; 0 if they are empty."""
    losses = torch.cat([*parts])
    return losses.sum() / max(1, len(losses))
