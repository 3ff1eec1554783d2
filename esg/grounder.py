"""Grounder: a photo and its entities in, a caption and what its nouns mean out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .device import choose_device, choose_dtype
from .entities import EntityMap
from .errors import InputError
from .gella import prompts
from .gella.association import Ties, at_stride, overlaps, tie
from .gella.checkpoint import read_gella
from .gella.colormap import colormap
from .gella.conversation import Conversation, Text
from .gella.language import Sight
from .gella.letterbox import Letterbox
from .gella.model import Gella
from .gella.nouns import align, noun_phrases, parse_pieces
from .gella.pixels import centred, normalised
from .gella.writing import Writing, write
from .grounding import Grounding, Phrase
from .images import read_image
from .limits import MAX_PIXELS
from .weights import locate

log = logging.getLogger(__name__)

Span = tuple[int, int]


class Grounder:
    """A GELLA that is ready to describe photos and to ground words in their entities.

    Attributes:
        model: the network, in evaluation mode on `device`.
        device: where it computes.
        name: what it was loaded as.
    """

    def __init__(
        self, model: Gella, tokenizer: Any, *, device: str = "auto", precision: str = "fp32", name: str = ""
    ) -> None:
        """Takes a model as it is; `from_pretrained` also loads its weights.

        Raises:
            InputError: device or precision are not to be had here.
        """
        self.device = choose_device(device)
        self._dtype = choose_dtype(precision, self.device)
        self.model = model.eval().to(self.device)
        self.name = name
        self._conversation = Conversation(tokenizer, model.config.language)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = "gella-nano", *, device: str = "auto", precision: str = "fp32"
    ) -> Grounder:
        """Loads weights by name or from a file; never looks them up on the network.

        Raises:
            WeightsError: nothing is found, or it does not fit, or is refused.
            InputError: an option is wrong.
        """
        path = locate(name_or_path)
        model, tokenizer = read_gella(path)
        return cls(model, tokenizer, device=device, precision=precision, name=str(name_or_path))

    def caption(
        self,
        image: Any,
        *,
        most: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Callable[[], bool] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Generator[str, None, None]:
        """Describes a photo; the text comes in pieces, as it is written.

        Args:
            image: path, `PIL.Image`, or (H, W, 3) uint8 RGB array.
            most: tokens of the caption at most.
            temperature, seed: see `gella.writing.Writing`.
            stop: asked before every token; True ends the caption.
            max_pixels: larger pictures are refused.

        Raises:
            ImageError: the picture cannot be used.
        """
        pixels = read_image(image, max_pixels=max_pixels)
        with self._computing():
            sight = self._see(pixels)
        yield from self._written(sight, self._conversation.describe(), Writing(most, temperature, seed), stop)

    def nouns(self, image: Any, caption: str, *, max_pixels: int = MAX_PIXELS) -> list[Span]:
        """Where the nouns of a caption are, in their order.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the caption is empty or too long.
        """
        pixels = read_image(image, max_pixels=max_pixels)
        with self._computing():
            return self._nouns(self._see(pixels), caption)

    def __call__(
        self,
        image: Any,
        entities: EntityMap,
        caption: str | None = None,
        *,
        phrases: Sequence[str] | None = None,
        threshold: float = 0.5,
        max_pixels: int = MAX_PIXELS,
    ) -> Grounding:
        """Says which entities the nouns of a sentence mean.

        Args:
            image: path, `PIL.Image`, or (H, W, 3) uint8 RGB array.
            entities: of that picture; they stay as they are.
            caption: the sentence; None lets the model write one.
            phrases: instead of a sentence a list of what is looked for.
            threshold: entities of a smaller score (0..1) are not meant.
            max_pixels: larger pictures are refused.

        Raises:
            ImageError: the picture cannot be used.
            InputError: caption and phrases are given, or one of them is empty or too long, the threshold is out of its
                range, or the entities are those of a picture of another size.
        """
        if caption is not None and phrases is not None:
            raise InputError("Give a caption or a list of phrases, not both.")
        if not 0 <= threshold <= 1:
            raise InputError(f"The threshold must be from 0 to 1, not {threshold}.")
        pixels = read_image(image, max_pixels=max_pixels)
        if entities.labels.shape != pixels.shape[:2]:
            height, width = entities.labels.shape
            raise InputError(
                f"The entities are of a picture of {width}x{height} pixels, but this one has "
                f"{pixels.shape[1]}x{pixels.shape[0]}; segment it anew."
            )
        with self._computing():
            sight = self._see(pixels)
            if phrases is not None:
                caption, spans = prompts.phrase_caption(phrases)
            else:
                if caption is None:
                    caption = "".join(self._written(sight, self._conversation.describe(), Writing(), None)).strip()
                spans = self._nouns(sight, caption)
            scores = self._scores(sight, entities, caption, spans)
        found = [_phrase(caption, span, row, threshold) for span, row in zip(spans, scores)]
        return Grounding(caption, tuple(found))

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Where the model computes; not around a `yield`, since it would reach into the caller's own code."""
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32),
        ):
            yield

    def _see(self, pixels: np.ndarray) -> Sight:
        box = Letterbox((pixels.shape[0], pixels.shape[1]), self.model.config.vision.side)
        square = torch.from_numpy(box.fit_image(pixels)).permute(2, 0, 1)[None].to(self.device)
        return self.model.language.see(normalised(square))

    def _written(
        self, sight: Sight, asked: Text, writing: Writing, stop: Callable[[], bool] | None
    ) -> Generator[str, None, None]:
        tokens: list[int] = []
        said = ""
        for token in self._tokens(sight, asked, writing, stop):
            tokens.append(token)
            text = " ".join(self._conversation.pieces(torch.tensor(tokens))).lstrip()
            if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # a letter of several tokens is not whole yet
                yield text[len(said) :]
                said = text

    def _tokens(
        self, sight: Sight, asked: Text, writing: Writing, stop: Callable[[], bool] | None = None
    ) -> Generator[int, None, None]:
        return write(self.model.language, sight.tokens, asked.to(self.device), writing, stop, self._computing)

    def _nouns(self, sight: Sight, caption: str) -> list[Span]:
        tokens = list(self._tokens(sight, self._conversation.extract(caption), Writing()))
        nouns = parse_pieces(self._conversation.pieces(torch.tensor(tokens, dtype=torch.int64)))
        spans = sorted({span for span in align(nouns, caption) if span is not None})
        return spans or noun_phrases(caption)

    def _scores(self, sight: Sight, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        """(phrases, N) float32 in 0..1."""
        count = len(entities.scores)
        scores = np.zeros((len(spans), count), np.float32)
        if not spans or not count:
            return scores
        text = self._conversation.extract(caption, [caption[slice(*span)] for span in spans]).to(self.device)
        nouns = self.model.nouns(self.model.language.read(sight.tokens, [text.ids]))[0]  # (v, C)
        most = self.model.config.decoder.queries
        unmatched = 0
        for start in range(0, count, most):  # more entities than queries are read group by group
            ids = np.arange(start, min(start + most, count)) + 1
            embeddings, ties = self._embedded(sight, entities, ids)
            own = self.model.association(nouns, embeddings).float().sigmoid()  # (v, Q)
            own = torch.where(ties.queries >= 0, own[:, ties.queries], 0)  # what nothing overlaps is not meant
            scores[:, ids - 1] = own.cpu().numpy()
            unmatched += int((~ties.matched).sum())
        if unmatched:
            log.info(
                "%d of %d entities were not recognised by themselves and take the scores of what overlaps them best.",
                unmatched,
                count,
            )
        return scores

    def _embedded(self, sight: Sight, entities: EntityMap, ids: np.ndarray) -> tuple[Tensor, Ties]:
        """E_vc (Q, C) for some of the entities, and the query of each."""
        config = self.model.config
        numbers = np.zeros(len(entities.scores) + 1, np.int32)
        numbers[ids] = np.arange(len(ids)) + 1
        box = Letterbox((entities.labels.shape[0], entities.labels.shape[1]), config.colormap_side)
        labels = box.fit_labels(numbers[entities.labels])
        colours = torch.from_numpy(colormap(labels, colours=config.colours)).permute(2, 0, 1)[None].to(self.device)
        masks = self.model.reconstruct(sight.grid, centred(colours))
        shown = masks.masks()[0] > 0  # (Q, h, w)
        given = at_stride(torch.from_numpy(labels).to(self.device), shown.shape[1])
        height, width = box.covered(shown.shape[1])  # the padding is taken out again
        own, theirs = shown[:, :height, :width].flatten(1), given[:height, :width].flatten()
        return masks.embeddings[0], tie(overlaps(own, theirs, len(ids)))


def _phrase(caption: str, span: Span, scores: np.ndarray, threshold: float) -> Phrase:
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= threshold]
    return Phrase(
        caption[slice(*span)], span, tuple((order + 1).tolist()), tuple(float(score) for score in scores[order])
    )
