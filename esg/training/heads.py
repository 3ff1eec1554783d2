"""The last stage of training a small GELLA: only the layers that read its features learn.

The features of a picture stay the same as long as the rest of the model does, so they are computed once, and a step
takes a small fraction of the time of a full one. With few photos, this is what tells 133 names apart: in a full
step, each name is seen too rarely.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..gella.coco_names import NAMES
from ..gella.pixels import centred, normalised
from .gella import GellaTask, tied
from .lessons import WORDS, Pupil
from .narratives import GroundingBatch, Narratives

log = logging.getLogger(__name__)

_LIST, _NAME = 0.5, 0.3  # weights of the losses over a list of nouns, and over all names
_SHORTEST_LIST = 5  # nouns of which an entity is usually only one
_COLUMNS = [WORDS.index(name) for name in NAMES]


@dataclass(frozen=True)
class Features:
    """What the layers in training read of one picture with N entities that a query reconstructs.

    Attributes:
        content: their queries after the mask decoder, (N, C).
        looks: features of the backbone under their masks, (N, C_i) each.
        words: which words are true of them, (N, W) int8, see `lessons.words_of`.
        texts: of every text, the embeddings of its nouns (v, C_l), and which entities each means (v, N) bool.
    """

    content: Tensor
    looks: list[Tensor]
    words: Tensor
    texts: list[tuple[Tensor, Tensor]]


class HeadsTask(GellaTask):
    """A `loop.Task` in which association and appearance learn, on `config.heads_pictures` pictures. One device."""

    def model(self, *, new: bool) -> Pupil:
        """The model, of which only the association, the appearance and the readout of entities can change.

        Raises:
            InputError: the model has no appearance.
        """
        self._pupil = super().model(new=new).requires_grad_(False)
        appearance = self._pupil.gella.appearance
        if appearance is None:
            raise InputError(f"The setting heads_pictures is for a vision tower that {self.preset} does not have.")
        for part in (self._pupil.gella.association, appearance, self._pupil.of_entities):
            part.requires_grad_(True)
        return self._pupil

    def batches(self, start: int, stop: int, rank: int) -> Generator[list[Features], None, None]:  # type: ignore[override]
        """The pictures of each step, drawn from all of them; the first call computes their features.

        Raises:
            InputError: there are several devices, or no text grounds anything.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            raise InputError("With heads_pictures, training runs on one device; start it without accelerate.")
        batch = self.config.samples.batch
        samples = Narratives(self.config.samples, self.architecture, self.tokenizer, rank)
        count = -(-self.config.heads_pictures // batch)
        log.info("Computing the features of %d pictures.", count * batch)
        features: list[Features] = []
        self._pupil.eval()  # as it will be used: batch norms keep their means
        for done, drawn in enumerate(samples.batches(0, count, self.config.workers), start=1):
            features += features_of(self._pupil, drawn)
            if done % 20 == 0:
                log.info("%d of %d pictures", done * batch, count * batch)
        self._pupil.train()
        if not features:
            raise InputError("None of the pictures has a text to ground; raise the third of samples.tasks.")
        for step in range(start, stop):
            lots = np.random.default_rng((self.seed, step)).integers(len(features), size=batch)
            yield [features[lot] for lot in lots]

    def losses(  # type: ignore[override]
        self, model: nn.Module, batch: list[Features], device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, Tensor]:
        """The terms of one step."""
        parts = [head_losses(self._pupil, features) for features in batch]
        weights = {"association": self.config.association, "list": _LIST, "name": _NAME}
        return {name: weight * _mean([part[name] for part in parts]) for name, weight in weights.items()}


@torch.no_grad()
def features_of(pupil: Pupil, batch: GroundingBatch) -> list[Features]:
    """The features of the pictures of a batch; pictures without a text to ground, or without entities, are left out."""
    gella = pupil.gella
    device = next(gella.parameters()).device
    grounded = [number for number, truth in enumerate(batch.truths) if truth is not None]
    if not grounded or gella.appearance is None:
        return []
    sight = gella.language.see(normalised(batch.pixels.to(device)))
    texts, pictures = [batch.texts[number].ids.to(device) for number in grounded], [batch.pictures[n] for n in grounded]
    nouns = gella.nouns(gella.language.read(sight.tokens, texts, pictures))
    masks = gella.reconstruct(sight.grid, centred(batch.colormaps.to(device)))
    ties = tied(masks, batch.labels.to(device))
    looks = gella.appearance.pooled(sight.maps, masks.masks().sigmoid())
    found = []
    for picture, tie in enumerate(ties):
        entities = tie.matched.nonzero()[:, 0]
        queries = tie.queries[entities]
        own = [
            (embeddings, truth.to(device)[:, entities])
            for embeddings, number in zip(nouns, grounded)
            if batch.pictures[number] == picture and (truth := batch.truths[number]) is not None and len(embeddings)
        ]
        if own and len(entities):
            words = batch.words[picture].to(device)[entities]
            found.append(
                Features(masks.embeddings[picture, queries], [look[picture, queries] for look in looks], words, own)
            )
    return found


def head_losses(pupil: Pupil, features: Features) -> dict[str, Tensor]:
    """The losses of one picture, each of any length.

    Returns:
        `association`: binary cross-entropy of every pair of a noun and an entity (Eq. 16). `list`: cross-entropy over
        the nouns of a list, for entities that one of them means. `name`: cross-entropy over all names, by the readout,
        for entities that have one.
    """
    gella = pupil.gella
    assert gella.appearance is not None
    entities = features.content + gella.appearance.embedded(features.looks)
    pairs, lists = [], []
    for nouns, truth in features.texts:
        scores, wanted = gella.association(nouns, entities).float(), truth.float()
        pairs.append(F.binary_cross_entropy_with_logits(scores, wanted, reduction="none").flatten())
        meant = truth.any(0)
        if len(nouns) >= _SHORTEST_LIST:
            lists.append(F.cross_entropy(scores.T[meant], _shares(wanted.T[meant]), reduction="none"))
    true = features.words[:, _COLUMNS] == 1
    named = true.any(1)
    names = pupil.of_entities(entities[named]).float()[:, _COLUMNS]
    return {
        "association": torch.cat(pairs),
        "list": torch.cat(lists) if lists else entities.new_zeros(0),
        "name": F.cross_entropy(names, _shares(true[named].float()), reduction="none"),
    }


def _shares(wanted: Tensor) -> Tensor:
    return wanted / wanted.sum(1, keepdim=True)


def _mean(parts: list[Tensor]) -> Tensor:
    """0 where there is nothing to learn."""
    losses = torch.cat(parts)
    return losses.sum() / max(1, len(losses))
