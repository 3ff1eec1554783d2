"""The last stage of training a small GELLA: only the layers that read its features learn.

The features of a picture stay the same as long as the rest of the model does, so they are computed once, and a step
takes a small fraction of the time of a full one. With few photos, this is what tells 133 names apart: in a full
step, each name is seen too rarely.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..gella.appearance import masks_of
from ..gella.coco_names import NAMES
from ..gella.conversation import Conversation, Text
from ..gella.pixels import centred, normalised
from ..gella.prompts import category_caption
from .gella import GellaTask, tied
from .lessons import WORDS, Pupil
from .narratives import GroundingBatch, Narratives

log = logging.getLogger(__name__)

_WEIGHTS = {"list": 0.2, "names": 2.0, "readout": 0.3}  # of the losses beside that of the association
_LISTED = 67  # names in a text: half of them all, which fits the context
_HIDDEN = 0.15  # of the entities in a step
_SHORTEST_LIST = 5  # nouns of which an entity is usually only one
_COLUMNS = [WORDS.index(name) for name in NAMES]


@dataclass(frozen=True)
class Features:
    """What the layers in training read of one picture with N entities.

    Attributes:
        content: their queries after the mask decoder, (N, C); 0 for an entity that no query gives back.
        looks: features of the backbone under their masks, (N, C_i) each.
        words: which words are true of them, (N, W) int8, see `lessons.words_of`.
        texts: of every text, the embeddings of its nouns (v, C_l), and which entities each means (v, N) bool.
        names: the embeddings of all names, as they are read in lists of the whole vocabulary, (133, C_l).
    """

    content: Tensor
    looks: list[Tensor]
    words: Tensor
    texts: list[tuple[Tensor, Tensor]]
    names: Tensor


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
            order = np.random.default_rng((self.seed, done)).permutation(len(NAMES)).tolist()
            features += features_of(self._pupil, drawn, name_lists(samples.conversation, order))
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
        weights = {"association": self.config.association, **_WEIGHTS}
        return {name: weight * _mean([part[name] for part in parts]) for name, weight in weights.items()}


def name_lists(conversation: Conversation, order: Sequence[int]) -> list[tuple[Text, list[int]]]:
    """Texts that together list all names, as many in each as a model reads at once when it looks for all of them.

    Args:
        conversation: writes the texts.
        order: places in `NAMES`.

    Returns:
        Every text, and the places of its names in `NAMES`.
    """
    parts = [list(order[start : start + _LISTED]) for start in range(0, len(order), _LISTED)]
    return [(conversation.extract(*category_caption(NAMES[place] for place in part)), part) for part in parts]


@torch.no_grad()
def features_of(pupil: Pupil, batch: GroundingBatch, name_lists: Sequence[tuple[Text, list[int]]]) -> list[Features]:
    """The features of the pictures of a batch; pictures without a text to ground, or without entities, are left out.

    Args:
        pupil: the model.
        batch: the pictures and their texts.
        name_lists: texts that together list all names once, and the places of their names in `NAMES`.
    """
    gella = pupil.gella
    device = next(gella.parameters()).device
    grounded = [number for number, truth in enumerate(batch.truths) if truth is not None]
    if not grounded or gella.appearance is None:
        return []
    sight = gella.language.see(normalised(batch.pixels.to(device)))
    texts, pictures = [batch.texts[number].to(device) for number in grounded], [batch.pictures[n] for n in grounded]
    nouns = gella.nouns(gella.language.read(sight.tokens, [text.ids for text in texts], pictures), texts)
    lists = [text.to(device) for text, _ in name_lists]
    masks = gella.reconstruct(sight.grid, centred(batch.colormaps.to(device)))
    ties = tied(masks, batch.labels.to(device))
    shown = gella.appearance.pooled(sight.maps, masks.masks().sigmoid())
    found = []
    for picture, tie in enumerate(ties):
        count = len(tie.queries)  # entities that are lost at the colormap's size are not among them
        own = [
            (embeddings, truth.to(device)[:, :count])
            for embeddings, number in zip(nouns, grounded)
            if batch.pictures[number] == picture and (truth := batch.truths[number]) is not None and len(embeddings)
        ]
        if not own or not count:
            continue
        given = masks_of(batch.labels[picture].to(device), count)
        maps = [features[picture : picture + 1] for features in sight.maps]
        there = (tie.queries >= 0)[:, None]
        looks = [
            torch.where(there, of_queries[picture, tie.queries], of_masks[0])
            for of_queries, of_masks in zip(shown, gella.appearance.pooled(maps, given[None]))
        ]
        names = own[0][0].new_zeros(len(NAMES), own[0][0].shape[1])
        tokens = sight.tokens[picture : picture + 1]
        reading = gella.language.read(tokens, [text.ids for text in lists], [0] * len(lists))
        for embeddings, (_, places) in zip(gella.nouns(reading, lists), name_lists):
            names[places] = embeddings
        content = torch.where(there, masks.embeddings[picture, tie.queries], 0)
        found.append(Features(content, looks, batch.words[picture].to(device)[:count], own, names))
    return found


def head_losses(pupil: Pupil, features: Features) -> dict[str, Tensor]:
    """The losses of one picture, each of any length.

    Returns:
        `association`: binary cross-entropy of every pair of a noun and an entity (Eq. 16). `list`: cross-entropy over
        the nouns of a list, for entities that one of them means. `names`: cross-entropy over all names, for entities
        that have one; names that one may argue about are left out. `readout`: the same by the readout, which is not
        kept; it helps the appearance to learn.
    """
    gella = pupil.gella
    assert gella.appearance is not None
    content = features.content
    if pupil.training:  # as if no query gave the entity back: its looks have to tell what it is
        content = content * (torch.rand(len(content), 1, device=content.device) >= _HIDDEN)
    entities = content + gella.appearance.embedded(features.looks)
    pairs, lists = [], []
    for nouns, truth in features.texts:
        scores, wanted = gella.association(nouns, entities).float(), truth.float()
        pairs.append(F.binary_cross_entropy_with_logits(scores, wanted, reduction="none").flatten())
        meant = truth.any(0)
        if len(nouns) >= _SHORTEST_LIST:
            lists.append(F.cross_entropy(scores.T[meant], _shares(wanted.T[meant]), reduction="none"))
    words = features.words[:, _COLUMNS]
    named = (words == 1).any(1)
    wanted = _shares((words[named] == 1).float())
    scores = gella.association(features.names, entities[named]).float().T.masked_fill(words[named] < 0, -1e4)
    return {
        "association": torch.cat(pairs),
        "list": torch.cat(lists) if lists else entities.new_zeros(0),
        "names": F.cross_entropy(scores, wanted, reduction="none"),
        "readout": F.cross_entropy(pupil.of_entities(entities[named]).float()[:, _COLUMNS], wanted, reduction="none"),
    }


def _shares(wanted: Tensor) -> Tensor:
    return wanted / wanted.sum(1, keepdim=True)


def _mean(parts: list[Tensor]) -> Tensor:
    """0 where there is nothing to learn."""
    losses = torch.cat(parts)
    return losses.sum() / max(1, len(losses))
