"""The last stage of training a small GELLA: only the layers that read its features learn.

The features of a picture stay the same as long as the rest of the model does, so they are computed once, and a step
takes a small fraction of the time of a full one. With few photos, the model learns to tell 133 names apart only here:
full steps are too few to see each name often enough.
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

from ..language.captions import category_caption
from ..language.coco_names import NAMES
from ..models.gella.appearance import masks_of
from ..models.gella.conversation import Conversation, Text
from ..models.gella.model import Gella
from ..models.normalisation import centred, normalised
from ..support.errors import InputError
from .auxiliary import WORDS, GellaInTraining
from .gella import GellaTask, match_queries
from .narratives import GroundingBatch, Narratives

log = logging.getLogger(__name__)

_WEIGHTS = {"list": 0.2, "names": 2.0, "readout": 0.3}  # of the losses besides the association loss
_LISTED = 67  # names per text: half of the vocabulary, which fits the context
_HIDDEN = 0.15  # share of entities whose query is hidden in a step
_SHORTEST_LIST = 5  # minimum number of nouns in a list, so that usually only one of them refers to an entity
_COLUMNS = [WORDS.index(name) for name in NAMES]


@dataclass(frozen=True)
class Features:
    """Precomputed inputs of the trained layers, for one picture with N entities.

    Attributes:
        content: queries of the entities after the mask decoder, (N, C); 0 for an entity without a query.
        looks: backbone features under their masks, (N, C_i) each.
        words: words that are true of them, (N, W) int8, see `auxiliary.words_of`.
        texts: for every text, the embeddings of its nouns (v, C_l), and the entities that each refers to (v, N) bool.
        names: embeddings of all names, read in lists that together contain the whole vocabulary, (133, C_l).
    """

    content: Tensor
    looks: list[Tensor]
    words: Tensor
    texts: list[tuple[Tensor, Tensor]]
    names: Tensor


class HeadsTask(GellaTask):
    """A `loop.Task` that trains association and appearance on `config.heads_pictures` pictures, on one device."""

    def model(self, *, new: bool) -> GellaInTraining:
        """The model, in which only the association, the appearance and the entity readout can change.

        Raises:
            InputError: the model does not have an appearance module.
        """
        self._trained = super().model(new=new).requires_grad_(False)
        appearance = self._trained.gella.appearance
        if appearance is None:
            raise InputError(f"The setting heads_pictures is for a vision tower that {self.preset} does not have.")
        for part in (self._trained.gella.association, appearance, self._trained.of_entities):
            part.requires_grad_(True)
        return self._trained

    def batches(self, start: int, stop: int, rank: int) -> Generator[list[Features], None, None]:  # type: ignore[override]
        """The pictures of each step, drawn from all of them; the first call computes their features.

        Raises:
            InputError: there are several devices, or none of the texts is grounded.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            raise InputError("With heads_pictures, training runs on one device; start it without accelerate.")
        batch = self.config.samples.batch
        samples = Narratives(self.config.samples, self.architecture, self.tokenizer, rank)
        count = -(-self.config.heads_pictures // batch)
        log.info("Computing the features of %d pictures.", count * batch)
        features: list[Features] = []
        self._trained.eval()  # as in inference: batch norms use their running means
        for done, drawn_batch in enumerate(samples.batches(0, count, self.config.workers), start=1):
            order = np.random.default_rng((self.seed, done)).permutation(len(NAMES)).tolist()
            features += features_of(self._trained, drawn_batch, name_lists(samples.conversation, order))
            if done % 20 == 0:
                log.info("%d of %d pictures", done * batch, count * batch)
        self._trained.train()
        if not features:
            raise InputError("None of the pictures has a text to ground; raise the third of samples.tasks.")
        for step in range(start, stop):
            lots = np.random.default_rng((self.seed, step)).integers(len(features), size=batch)
            yield [features[lot] for lot in lots]

    def losses(  # type: ignore[override]
        self, model: nn.Module, batch: list[Features], device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, Tensor]:
        """The loss terms of one step."""
        parts = [head_losses(self._trained, features) for features in batch]
        weights = {"association": self.config.association, **_WEIGHTS}
        return {name: weight * _mean([part[name] for part in parts]) for name, weight in weights.items()}


def name_lists(conversation: Conversation, order: Sequence[int]) -> list[tuple[Text, list[int]]]:
    """Texts that together list every name once, each as long as the lists that inference reads.

    Args:
        conversation: encoder of the texts.
        order: positions in `NAMES`.

    Returns:
        Every text, and the positions of its names in `NAMES`.
    """
    parts = [list(order[start : start + _LISTED]) for start in range(0, len(order), _LISTED)]
    return [(conversation.extract(*category_caption(NAMES[place] for place in part)), part) for part in parts]


@torch.no_grad()
def features_of(
    trained: GellaInTraining, batch: GroundingBatch, name_lists: Sequence[tuple[Text, list[int]]]
) -> list[Features]:
    """The features of a batch's pictures, except for pictures without grounded texts or without entities.

    Args:
        trained: the model.
        batch: the pictures and their texts.
        name_lists: texts that together list every name once, and the positions of their names in `NAMES`.
    """
    gella = trained.gella
    device = next(gella.parameters()).device
    grounded = [number for number, truth in enumerate(batch.truths) if truth is not None]
    if not grounded or gella.appearance is None:
        return []
    image = gella.language.see(normalised(batch.pixels.to(device)))
    texts, pictures = [batch.texts[number].to(device) for number in grounded], [batch.pictures[n] for n in grounded]
    nouns = gella.nouns(gella.language.read(image.tokens, [text.ids for text in texts], pictures), texts)
    masks = gella.reconstruct(image.grid, centred(batch.colormaps.to(device)))
    matchings = match_queries(masks, batch.labels.to(device))
    shown = gella.appearance.pooled(image.maps, masks.masks().sigmoid())
    found = []
    for picture, queries in enumerate(matching.queries for matching in matchings):
        count = len(queries)  # without entities that have no pixel at the colormap's size
        own = [
            (embeddings, truth.to(device)[:, :count])
            for embeddings, number in zip(nouns, grounded)
            if batch.pictures[number] == picture and (truth := batch.truths[number]) is not None and len(embeddings)
        ]
        if not own or not count:
            continue
        given = masks_of(batch.labels[picture].to(device), count)[None]
        under_given = gella.appearance.pooled([features[picture : picture + 1] for features in image.maps], given)
        there = (queries >= 0)[:, None]
        content = torch.where(there, masks.embeddings[picture, queries], 0)
        looks = [torch.where(there, ours[picture, queries], theirs[0]) for ours, theirs in zip(shown, under_given)]
        names = _embedded_names(gella, image.tokens[picture : picture + 1], name_lists)
        found.append(Features(content, looks, batch.words[picture].to(device)[:count], own, names))
    return found


def _embedded_names(gella: Gella, tokens: Tensor, name_lists: Sequence[tuple[Text, list[int]]]) -> Tensor:
    """The embeddings of all names, (133, C_l), as read in lists beside one picture's tokens (1, t, C)."""
    texts = [text.to(tokens.device) for text, _ in name_lists]
    nouns = gella.nouns(gella.language.read(tokens, [text.ids for text in texts], [0] * len(texts)), texts)
    places = [place for _, part in name_lists for place in part]
    return torch.cat(nouns)[torch.tensor(places, device=tokens.device).argsort()]


def head_losses(trained: GellaInTraining, features: Features) -> dict[str, Tensor]:
    """The losses of one picture; each is a vector of any length.

    Returns:
        `association`: binary cross-entropy of every pair of a noun and an entity (Eq. 16). `list`: cross-entropy over
        the nouns of a list, for entities that one of them refers to. `names`: cross-entropy over all names, for
        entities that have a name; arguable names are left out. `readout`: the same from the readout, which is not
        exported but helps to train the appearance.
    """
    gella = trained.gella
    assert gella.appearance is not None
    content = features.content
    if trained.training:  # hides some queries, so that the appearance alone must identify these entities
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
        "readout": F.cross_entropy(trained.of_entities(entities[named]).float()[:, _COLUMNS], wanted, reduction="none"),
    }


def _shares(wanted: Tensor) -> Tensor:
    return wanted / wanted.sum(1, keepdim=True)


def _mean(parts: list[Tensor]) -> Tensor:
    """The mean over all parts; 0 if they are empty."""
    losses = torch.cat(parts)
    return losses.sum() / max(1, len(losses))
