"""Lessons for a GELLA that starts from nothing: which words are true of every entity (colour, shape, position, ...).

Neither is in the paper, whose vision and language towers come with what they know. A small model that has to learn to
see finds out much later from captions alone that entities have colours; the two linear readouts here tell it, and are
left out of its weight files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.telling.facts import Facts
from ..data.telling.words import FORMS, KINDS, NOUNS, SHAPES
from ..gella.association import Ties
from ..gella.coco_names import NAMES
from ..gella.conversation import Text
from ..gella.model import Gella, Heard

WORDS = tuple(dict.fromkeys((*KINDS, *FORMS, *NOUNS.values(), *SHAPES, *NAMES)))
_PLACES = {word: column for column, word in enumerate(WORDS)}
_NAMED = [_PLACES[name] for name in NAMES if name not in KINDS]  # an orange is orange
_SHAPED = [_PLACES[word] for word in SHAPES]


def words_of(facts: Sequence[Facts]) -> Tensor:
    """(N, W) int8: 1 where a word is true of an entity, 0 where it is not, -1 where one may argue about it."""
    truth = torch.zeros(len(facts), len(WORDS), dtype=torch.int8)
    for row, fact in enumerate(facts):
        for words, value in ((fact.words, -1), (fact.clear, 1)):
            truth[row, [_PLACES[word] for word in words if word in _PLACES]] = value
        if fact.kind is None:  # nobody has said what it is
            truth[row, _NAMED] = -1
        elif fact.noun in NAMES:  # nor, of what has a name, which shape it has
            truth[row, _SHAPED] = -1
    return truth


@dataclass(frozen=True)
class Told:
    """What the readouts say, as logits.

    Attributes:
        queries: (G, Q, W) of the entity embeddings E_vc.
        grid: (G, W, g, g) of the image features Z_v.
    """

    queries: Tensor
    grid: Tensor


class Pupil(nn.Module):
    """A GELLA in training, with a linear readout of its entity embeddings and one of its image features."""

    def __init__(self, gella: Gella) -> None:
        super().__init__()
        self.gella = gella
        self.of_entities = nn.Linear(gella.config.decoder.width, len(WORDS))
        self.of_image = nn.Linear(gella.config.vision.width, len(WORDS))
        for readout in (self.of_entities, self.of_image):
            nn.init.constant_(readout.bias, -3.0)  # few words are true of an entity

    def forward(
        self,
        pixels: Tensor,
        colormaps: Tensor,
        texts: Sequence[Text],
        pictures: Sequence[int],
        grounded: Sequence[int],
    ) -> tuple[Heard, Told | None]:
        """Of `Gella.forward`, and what the readouts say if there are texts to ground."""
        heard = self.gella(pixels, colormaps, texts, pictures, grounded)
        if heard.masks is None:
            # DDP waits for gradients of all that the output comes from, and nothing is asked of the grid.
            return dataclasses.replace(heard, grid=heard.grid.detach()), None
        grid = self.of_image(heard.grid.movedim(1, -1)).movedim(-1, 1)
        return heard, Told(self.of_entities(heard.masks.embeddings), grid)


def lesson_losses(told: Told, ties: Sequence[Ties], labels: Tensor, words: Sequence[Tensor]) -> dict[str, Tensor]:
    """Cross-entropy over all words, summed, of the mean entity.

    Args:
        told: what the readouts say of G pictures.
        ties: which queries stand for the entities of each.
        labels: (G, M, M) int, the given entities.
        words: G times (N, W), see `words_of`.
    """
    of_entities, of_image = [], []
    for queries, grid, own, tie, truth in zip(told.queries, told.grid, labels, ties, words):
        shares = _shares(own, len(truth), grid.shape[-1])
        seen = shares.sum(1) > 0
        shares = shares[seen] / shares[seen].sum(1, keepdim=True)
        of_image.append(_cross_entropy(shares @ grid.float().flatten(1).T, truth[seen]))
        matched = tie.matched.nonzero()[:, 0]
        of_entities.append(_cross_entropy(queries[tie.queries[matched]].float(), truth[matched]))
    return {"words": _mean(of_entities), "seen": _mean(of_image)}


def _shares(labels: Tensor, count: int, side: int) -> Tensor:
    """Pixels of every entity in every cell of a grid: labels (M, M) → (N, side²) float."""
    rows, columns = (torch.arange(length, device=labels.device) * side // length for length in labels.shape)
    cells = rows[:, None] * side + columns
    found = torch.bincount((labels.long() * side**2 + cells).flatten(), minlength=(count + 1) * side**2)
    return found.view(count + 1, side**2)[1:].float()


def _cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """(N, W), (N, W) → (N,), over the words that nobody argues about."""
    losses = F.binary_cross_entropy_with_logits(logits, truth.clamp(min=0).float(), reduction="none")
    return torch.where(truth >= 0, losses, 0).sum(1)


def _mean(parts: Sequence[Tensor]) -> Tensor:
    """0 where nothing is asked."""
    losses = torch.cat([*parts])
    return losses.sum() / max(1, len(losses))
