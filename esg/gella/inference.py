"""GELLA at work: from one picture to a caption, its nouns, and the given entities that each of them means."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..entities import EntityMap
from .association import Ties, at_stride, overlaps, tie
from .checkpoint import read_gella
from .colormap import colormap, without_gaps
from .conversation import Conversation, Text
from .language import Sight
from .letterbox import Letterbox
from .model import Gella
from .nouns import align, mended, parse_pieces
from .pixels import centred, normalised
from .words import Span
from .writing import Writing, write

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)


GAP = 0.04  # of the colormap's side: as wide are the gaps between masks that it does not show
_Group = tuple[np.ndarray, Tensor, Ties]
"""Ids (n,), what the queries have learnt (Q, C), and which query stands for which of the ids."""


class GellaInference:
    """A GELLA as a `GroundingModel`.

    Attributes:
        model: the network, in evaluation mode.
        device: where it computes.
        precision: of the computation.
    """

    def __init__(
        self,
        model: Gella,
        tokenizer: Tokenizer,
        device: torch.device | str = "cpu",
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.device = torch.device(device)
        self.precision = precision
        self.model = model.eval().to(self.device)
        self._conversation = Conversation(tokenizer, model.config.language)
        self._last: tuple[Sight, EntityMap, list[_Group]] | None = None

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """See `GroundingModel.networks`."""
        return (self.model,)

    @property
    def drafts(self) -> int:
        """See `GroundingModel.drafts`."""
        return self.model.config.drafts

    @classmethod
    def from_file(cls, path: Path, device: torch.device, precision: torch.dtype) -> GellaInference:
        """Reads a file of `checkpoint.write_gella`.

        The weights of the language side, which are nearly all of a large model, are kept in the precision that they
        are computed in: those of 7 billion parameters take 14 GB with bf16, of 13 billion 26 GB.

        Raises:
            WeightsError: the file cannot be read, or holds no GELLA.
        """
        model, tokenizer = read_gella(path, precision)
        return cls(model, tokenizer, device, precision)

    def to(self, device: torch.device) -> None:
        """See `GroundingModel.to`."""
        self.model.to(device)
        self.device = device
        self._last = None

    def see(self, pixels: np.ndarray) -> Sight:
        """See `GroundingModel.see`."""
        box = Letterbox((pixels.shape[0], pixels.shape[1]), self.model.config.vision.side)
        square = torch.from_numpy(box.fit_image(pixels)).permute(2, 0, 1)[None].to(self.device)
        with self._computing():
            return self.model.language.see(normalised(square))

    def describe(
        self, sight: Sight, writing: Writing, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        """See `GroundingModel.describe`."""
        tokens: list[int] = []
        said = ""
        for token in self._tokens(sight, self._conversation.describe(), writing, stop):
            tokens.append(token)
            text = " ".join(self._conversation.pieces(torch.tensor(tokens))).lstrip()
            if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # a letter of several tokens is not whole yet
                yield text[len(said) :]
                said = text

    def nouns(self, sight: Sight, caption: str) -> list[Span]:
        """See `GroundingModel.nouns`; a rule of thumb helps where the model misread the caption."""
        asked = self._conversation.extract(caption)
        # No list of its nouns is longer than this: a noun of one token takes four, with its <SEG> and the comma.
        # It copies the caption: six guesses let a pass write 1.8 tokens, and gella-nano 1.3 times as fast on a CPU.
        writing = Writing(most=4 * len(asked.ids), guesses=6)
        answer = torch.tensor(list(self._tokens(sight, asked, writing)), dtype=torch.int64)
        return mended(align(parse_pieces(self._conversation.pieces(answer)), caption), caption)

    def scores(self, sight: Sight, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        """See `GroundingModel.scores`."""
        count = len(entities)
        scores = np.zeros((len(spans), count), np.float32)
        if not spans or not count:
            return scores
        text = self._conversation.extract(caption, [caption[slice(*span)] for span in spans]).to(self.device)
        with self._computing():
            nouns = self.model.nouns(self.model.language.read(sight.tokens, [text.ids]))[0]  # (v, C)
            for ids, embeddings, ties in self._groups(sight, entities):
                own = self.model.association(nouns, embeddings).float().sigmoid()  # (v, Q)
                own = torch.where(ties.queries >= 0, own[:, ties.queries], 0)  # what nothing overlaps is not meant
                scores[:, ids - 1] = own.cpu().numpy()
        return scores

    def reconstructed(self, sight: Sight, entities: EntityMap) -> np.ndarray:
        """Which of the N entities have a query of their own that shows them at an IoU of at least 0.5, (N,) bool."""
        with self._computing():
            parts = [ties.matched.cpu().numpy() for _, _, ties in self._groups(sight, entities)]
        return np.concatenate(parts) if parts else np.zeros(0, bool)

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Where the model computes; not around a `yield`, since it would reach into the caller's own code."""
        autocast = torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)
        with torch.inference_mode(), autocast:
            yield

    def _tokens(
        self, sight: Sight, asked: Text, writing: Writing, stop: Callable[[], bool] | None = None
    ) -> Generator[int, None, None]:
        return write(self.model.language, sight.tokens, asked.to(self.device), writing, stop, self._computing)

    def _groups(self, sight: Sight, entities: EntityMap) -> list[_Group]:
        """All entities; if there are more than queries they are read group by group.

        The last ones are remembered: several sentences are often grounded in the same entities.
        """
        if self._last is None or self._last[0] is not sight or self._last[1] is not entities:
            most = self.model.config.decoder.queries
            groups = []
            for start in range(0, len(entities), most):
                ids = np.arange(start, min(start + most, len(entities))) + 1
                groups.append((ids, *self._embedded(sight, entities, ids)))
            unmatched = sum(int((~ties.matched).sum()) for _, _, ties in groups)
            if unmatched and (self._last is None or self._last[1] is not entities):
                log.info(
                    "%d of %d entities were not recognised by themselves and take the scores of what overlaps them "
                    "best.",
                    unmatched,
                    len(entities),
                )
            self._last = sight, entities, groups
        return self._last[2]

    def _embedded(self, sight: Sight, entities: EntityMap, ids: np.ndarray) -> tuple[Tensor, Ties]:
        """E_vc (Q, C) for some of the entities, and the query of each."""
        config = self.model.config
        numbers = np.zeros(len(entities) + 1, np.int32)
        numbers[ids] = np.arange(len(ids)) + 1
        box = Letterbox((entities.height, entities.width), config.colormap_side)
        labels = numbers[box.fit_labels(entities.labels)]
        shown_height, shown_width = box.content
        picture = labels[:shown_height, :shown_width]
        picture[:] = without_gaps(picture, GAP * config.colormap_side)
        colours = torch.from_numpy(colormap(labels, colours=config.colours)).permute(2, 0, 1)[None].to(self.device)
        masks = self.model.reconstruct(sight.grid, centred(colours))
        shown = masks.masks()[0] > 0  # (Q, h, w)
        given = at_stride(torch.from_numpy(labels).to(self.device), shown.shape[1])
        height, width = box.covered(shown.shape[1])  # the padding is taken out again
        own, theirs = shown[:, :height, :width].flatten(1), given[:height, :width].flatten()
        return masks.embeddings[0], tie(overlaps(own, theirs, len(ids)))
