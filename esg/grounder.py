"""Grounder: a photo and its entities in, a caption and what its nouns mean out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from logging import getLogger
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np
import torch
from torch import nn

from .checks import check_number, check_whole, kind_of
from .device import choose_device, choose_dtype, leave
from .entities import EntityMap
from .errors import InputError, NoNumbers, OutOfMemory
from .gella.grounding_model import SEEDS, GroundingModel, Writing
from .gella.inference import RECOGNISED, GellaInference
from .gella.knowing import KnowsWords, knows_any
from .gella.listing import dotted_names
from .gella.prompts import category_caption, phrase_caption
from .gella.tidying import tidied
from .gella.words import Span
from .grounding import Grounding, Phrase
from .images import read_image
from .limits import MAX_PIXELS
from .memory import is_out_of_memory
from .quiet import drop_deprecations
from .weights import locate
from .zeroshot.zero_shot import ZeroShot

log = getLogger(__name__)

THRESHOLD = 0.5  # scores from here on mean an entity
DRAFT_TEMPERATURE = 0.5  # of the second draft of a caption and those after it

Progress = Callable[[int, int, str], None]


class Grounder:
    """A model that is ready to describe photos and to ground words in their entities.

    What it sees in a photo is kept until it is asked about another one or moved: several questions about the same photo
    are common. Every method raises an InputError where the device has no memory for what is asked.

    Attributes:
        model: what computes.
        name: what it was loaded as.
    """

    def __init__(self, model: GroundingModel, *, name: str = "") -> None:
        """Takes a model as it is; `from_pretrained` also loads its weights."""
        self.model = model
        self.name = name
        self._seen: tuple[bytes, Any] | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "gella-nano",
        *,
        device: str = "auto",
        precision: str = "fp32",
        at_rest: str | None = None,
    ) -> Grounder:
        """Loads weights by name (`esg weights list`), or from a folder or file.

        Args:
            name_or_path: never looked up on the network. "zero-shot" is the training-free grounder of public models;
                see `zeroshot.zero_shot.ZeroShot.from_name` for which, and with how many bits.
            device: "auto" (CUDA, else MPS, else CPU), or a torch device such as "cuda:1".
            precision: "fp32", "bf16" or "fp16" of the computation, and of the language side's weights in memory.
            at_rest: where the weights are put until `to` is called, by a program that makes room first; None: on
                `device`.

        Raises:
            WeightsError: nothing is found, or it does not fit, or is refused.
            InputError: an option is wrong.
        """
        dtype = choose_dtype(precision, choose_device(device))
        model = _load(name_or_path, choose_device(at_rest or device), dtype)
        drop_deprecations()
        return cls(model, name=str(name_or_path))

    @staticmethod
    def public_models(name: str) -> list[str]:
        """The models of the Hugging Face hub that a name such as "zero-shot" is made of; none of other names."""
        return ZeroShot.public_models(name) if _is_zero_shot(name) else []

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All that has weights and can be moved, for programs that do so themselves; tell the grounder by `to`."""
        return self.model.networks

    def to(self, device: str) -> Grounder:
        """Moves the model to another device, such as "cpu" to make room on a GPU, and returns this grounder.

        Raises:
            InputError: there is no such device here.
        """
        before = self.device
        self._seen = None
        self.model.to(choose_device(device))
        leave(before)
        return self

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.device

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
            temperature: 0 takes the likeliest words; larger values make others likelier.
            seed: of what is drawn by lot, where the temperature is not 0.
            stop: asked before every token; True ends the caption.
            max_pixels: larger pictures are refused.

        Raises:
            ImageError: the picture cannot be used.
            InputError: an option is out of its range.
        """
        writing = Writing(most, temperature, seed)
        sight = self._see(read_image(image, max_pixels=max_pixels))
        with self._enough_memory():
            yield from self.model.describe(sight, writing, stop)

    def nouns(self, image: Any, caption: str, *, max_pixels: int = MAX_PIXELS) -> list[Span]:
        """Where the nouns of a caption are, in their order: start and end in characters, the end exclusive.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the caption is empty or too long, or the model knows no word of it.
        """
        _check_text(caption, "caption")
        self.check_words([caption])
        return self._read(lambda: self._see(read_image(image, max_pixels=max_pixels)), caption).written

    def check_words(self, texts: Iterable[str]) -> list[str]:
        """Says before long work whether the model can make sense of texts at all.

        Args:
            texts: a caption or an expression alone, or several names.

        Returns:
            Those of them of which it knows no word; none where it cannot tell.

        Raises:
            InputError: these are all.
        """
        texts = list(texts)
        model = self.model
        unknown = [text for text in texts if isinstance(model, KnowsWords) and not knows_any(model, text)]
        if unknown and len(unknown) == len(texts):
            said = short(" . ".join(" ".join(text.split()) for text in texts))
            raise InputError(
                f"{self.name or 'The model'} knows no word of {said}: it reads English only, and not every word; "
                "try other English words."
            )
        return unknown

    def answer(self, image: Any, caption: str, *, max_pixels: int = MAX_PIXELS) -> str:
        """What a language model literally answers when it is asked for the nouns of a caption: each with a <SEG> token.

        Returns:
            A line for each part in which the caption was read; empty for models that are not asked so.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the caption is empty or too long.
        """
        _check_text(caption, "caption")
        answer = getattr(self.model, "answer", None)
        sight = self._see(read_image(image, max_pixels=max_pixels))
        with self._enough_memory():
            return "" if answer is None else answer(sight, tidied(caption).text)

    def __call__(
        self,
        image: Any,
        entities: EntityMap,
        caption: str | None = None,
        *,
        phrases: Iterable[str] | None = None,
        categories: Iterable[str] | None = None,
        threshold: float = THRESHOLD,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Grounding:
        """Says which entities the nouns of a sentence mean.

        White space and line breaks in a sentence do not matter. One that is a list of names with dots, "cat . dog .",
        is read as such a list.

        Args:
            image: path, `PIL.Image`, or (H, W, 3) uint8 RGB array.
            entities: of that picture; they stay as they are.
            caption: the sentence; None lets the model write one, see `best_caption`.
            phrases: instead of a sentence, a list of what is looked for. A name of which the model knows no word means
                nothing, which is logged.
            categories: instead of a sentence, the names of all there might be, for panoptic segmentation: of several
                names that might mean an entity the one with the highest score gets it. A name given twice is one.
            threshold: entities of a smaller score (0..1) are not meant.
            max_pixels: larger pictures are refused.
            progress: called as `progress(done, total, what)` for the captions that are written, again with every word;
                what it raises ends the call.

        Raises:
            ImageError: the picture cannot be used.
            InputError: more than one of caption, phrases and categories is given, or one of them is empty or too
                long, the model knows no word of it, the threshold is out of its range, the entities are missing or
                those of a picture of another size, or the model writes no caption.
        """
        if sum(given is not None for given in (caption, phrases, categories)) > 1:
            raise InputError("Give a caption, a list of phrases or a list of categories, and not several of them.")
        names: list[str] | None = None
        text: _Text | None = None
        for given, make in ((categories, category_caption), (phrases, phrase_caption)):
            if given is not None:
                told, spans = make(_names(given))
                names, text = [told[slice(*span)] for span in spans], _Text(told, spans, told, spans)
        if caption is not None:
            _check_text(caption, "caption")
        elif text is not None:
            _check_text(text.caption, "caption")
        check_number("threshold", threshold, 0, 1)
        pixels = _read_for(entities, image, max_pixels)
        unknown: list[str] = []
        if caption is not None or names is not None:
            unknown = self.check_words([caption] if names is None and caption is not None else names or [])
        sight = self._see(pixels)
        if text is None:
            if caption is None:
                caption = self._best_caption(sight, entities, Writing(), self.model.drafts, progress)
            text = self._read(lambda: sight, caption)
        scores = self._scores(sight, entities, text.told, text.spans)
        meant = scores >= threshold
        if categories is not None and len(text.spans):
            meant &= np.arange(len(text.spans))[:, None] == scores.argmax(axis=0)
        if unknown:
            log.info("%s knows no word of %s, so that means nothing.", self.name or "The model", " and ".join(unknown))
            meant &= np.array([name not in unknown for name in names or []])[:, None]
        return Grounding(text.caption, tuple(_phrase(text.caption, *each) for each in zip(text.written, scores, meant)))

    def names(
        self, image: Any, entities: EntityMap, *, threshold: float = RECOGNISED, max_pixels: int = MAX_PIXELS
    ) -> dict[int, tuple[str, float]]:
        """What the model would call the entities, of the names that it has learnt (gella-nano: 133).

        Args:
            image, entities, max_pixels: as for a call.
            threshold: entities whose best name has a smaller score (0..1) get no name.

        Returns:
            Name and score of every entity that has a name, by its id.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the model has no list of names, since it knows words of all kinds: give it `categories` in a
                call; or the threshold is out of its range, or the entities are those of a picture of another size.
        """
        self.check_names()
        check_number("threshold", threshold, 0, 1)
        sight = self._see(_read_for(entities, image, max_pixels))
        with self._enough_memory():
            found = self.model.recognise(sight, entities)
        return {number: (name, score) for number, (name, score) in enumerate(found, start=1) if score >= threshold}

    def check_names(self) -> None:
        """Says before long work whether `names` can be asked for; InputError where the model has no list of names."""
        if not self.model.names:
            raise InputError(f"{self.name or 'This model'} has no list of names; give one as categories.")

    def best_caption(
        self,
        image: Any,
        entities: EntityMap,
        *,
        drafts: int | None = None,
        most: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> str:
        """Writes several captions of a photo and takes the one whose nouns are grounded best in its entities.

        The first is written as `caption` does, the others with other words. What counts is the mean, over a caption's
        nouns, of the lowest score among the entities that a noun means (0 if it means none), times the share of its
        nouns that are not said twice.

        Args:
            image, entities, max_pixels, progress: as for a call.
            drafts: how many; None: as many as suit the model.
            most, temperature, seed: as for `caption`, of the first.

        Raises:
            ImageError: the picture cannot be used.
            InputError: an option is out of its range, the entities are those of a picture of another size, or the model
                writes no caption.
        """
        drafts = self.model.drafts if drafts is None else drafts
        check_whole("drafts", drafts, 1)
        sight = self._see(_read_for(entities, image, max_pixels))
        return self._best_caption(sight, entities, Writing(most, temperature, seed), drafts, progress)

    def _best_caption(
        self, sight: Any, entities: EntityMap, writing: Writing, drafts: int, progress: Progress | None
    ) -> str:
        drafts = drafts if len(entities) else 1
        others = replace(writing, temperature=max(writing.temperature, DRAFT_TEMPERATURE))
        seeds = [(writing.seed + number) % SEEDS for number in range(drafts)]
        writings = [replace(others, seed=seed) if number else writing for number, seed in enumerate(seeds)]

        def watch(done: int) -> None:
            if progress is not None:
                progress(done, drafts, "captions")

        with self._enough_memory():
            captions = [caption.strip() for caption in self.model.captions(sight, entities, writings, watch)]
        watch(drafts)
        found = [caption for caption in dict.fromkeys(captions) if caption]
        if not found:
            raise InputError("The model found no words for this picture; give a caption or a list of phrases.")
        if len(found) == 1:
            return found[0]
        told = [tidied(caption).text for caption in found]
        with self._enough_memory():
            grounded = self.model.grounded(sight, entities, told)
        fits = [_fit(caption, spans, self._checked(scores)) for caption, (spans, scores) in zip(told, grounded)]
        return found[int(np.argmax(fits))]

    def refer(
        self,
        image: Any,
        entities: EntityMap,
        expression: str,
        *,
        threshold: float | None = None,
        least: float = THRESHOLD,
        max_pixels: int = MAX_PIXELS,
    ) -> Phrase:
        """Says which entity an expression as a whole means: "the dog left of the door".

        A question, "Which of them could hold water?", is answered by what it means in the same way (reasoning
        segmentation), by models that have learnt to.

        Args:
            image, entities, max_pixels: as for a call.
            expression: what is looked for, or a question.
            threshold: take every entity with at least this score (0..1), maybe none; None: the one with the highest,
                if that is at least `least`.
            least: what the one entity has to score (0..1); 0 takes the best in any case.

        Returns:
            The expression, without space around it, as a phrase. If it means no entity, its `guess` is the best one.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the expression is empty or too long, the model knows no word of it, a threshold is out of its
                range, or the entities are those of a picture of another size.
        """
        _check_text(expression, "expression")
        if threshold is not None:
            check_number("threshold", threshold, 0, 1)
        check_number("least", least, 0, 1)
        pixels = _read_for(entities, image, max_pixels)
        self.check_words([expression])
        told, caption = tidied(expression).text, expression.strip()
        (scores,) = self._scores(self._see(pixels), entities, told, [(0, len(told))])
        span = (0, len(caption))
        found = _phrase(caption, span, scores, scores >= (least if threshold is None else threshold))
        if not found.entity_ids and len(scores):
            return Phrase(caption, span, guess=(int(scores.argmax()) + 1, float(scores.max())))
        return found if threshold is not None else Phrase(caption, span, found.entity_ids[:1], found.scores[:1])

    def _read(self, look: Callable[[], Any], caption: str) -> _Text:
        """A caption with its nouns; the names if it is a list of them, for which nothing is looked at."""
        if (names := dotted_names(caption)) is not None:
            return _Text(caption, names, *phrase_caption(caption[slice(*span)] for span in names))
        even = tidied(caption)
        spans = self._nouns(look(), even.text)
        return _Text(caption, [even.written(span) for span in spans], even.text, spans)

    def _see(self, pixels: np.ndarray) -> Any:
        """What the model sees in (H, W, 3) uint8 RGB; to know a photo again takes a tenth of what looking takes."""
        key = hashlib.sha256(pixels.data).digest() + repr(pixels.shape).encode()
        seen = self._seen
        if seen is None or seen[0] != key:
            with self._enough_memory():
                seen = self._seen = key, self.model.see(pixels)
        return seen[1]

    def _nouns(self, sight: Any, caption: str) -> list[Span]:
        with self._enough_memory():
            return self.model.nouns(sight, caption)

    def _scores(self, sight: Any, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        """(phrases, N) float32, checked."""
        with self._enough_memory():
            scores = self.model.scores(sight, entities, caption, spans)
        return self._checked(scores)

    def _checked(self, scores: np.ndarray) -> np.ndarray:
        if not np.isfinite(scores).all():
            raise NoNumbers("scores", self.name)
        return scores

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        """Makes one sentence of a lack of memory; what can be done in smaller steps has been tried so by the model."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            advice = "the precision bf16, a smaller model, or the device cpu"
            if self.device.type == "cpu":
                advice = "the precision bf16 or a smaller model"
            elif _is_zero_shot(self.name):
                advice = "fewer bits (zero-shot-8bit, zero-shot-4bit), a smaller language model, or the device cpu"
            raise OutOfMemory(
                f"{self.device} has no memory left for what {self.name or 'the model'} has to do; choose {advice}."
            ) from None


@dataclass(frozen=True)
class _Text:
    """A caption as it was written and as the model is told it, with where its phrases are in each."""

    caption: str
    written: list[Span]
    told: str
    spans: list[Span]


def _names(given: Any) -> Any:
    """Names, of which one with dots, "cat . dog .", is several."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        return given  # which is not what it should be, and will be told
    names: list[str] = []
    for name in given:
        spans = dotted_names(name) if isinstance(name, str) else None
        names += [name] if spans is None else [name[slice(*span)] for span in spans]
    return names


def _fit(caption: str, spans: Sequence[Span], scores: np.ndarray) -> float:
    """How well a caption is grounded, 0..1, see `Grounder.best_caption`; scores (len(spans), N)."""
    if not spans:
        return 0.0
    surely = np.where(scores >= THRESHOLD, scores, np.inf).min(axis=1)  # inf where nothing is meant
    different = len({caption[slice(*span)] for span in spans}) / len(spans)
    return float(np.where(np.isinf(surely), 0, surely).mean()) * different


def _load(name_or_path: str | Path, device: torch.device, precision: torch.dtype) -> GroundingModel:
    """The one place that knows which model a name means."""
    if isinstance(name_or_path, str) and _is_zero_shot(name_or_path):
        return ZeroShot.from_name(name_or_path, device, precision)
    return GellaInference.from_file(locate(name_or_path, task="grounding"), device, precision)


def _is_zero_shot(name: str) -> bool:
    """Whether a name means public models; a file may be called so, too."""
    return name.startswith("zero-shot") and not os.path.isfile(name)


def _check_text(text: str, what: str) -> None:
    Grounding(text)  # which takes only what can be written into a file
    if not text.strip():
        raise InputError(f"The {what} is empty; write one.")


def _read_for(entities: EntityMap, image: Any, max_pixels: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB of the size of the entities' picture."""
    if not isinstance(entities, EntityMap):
        raise InputError(
            f"The entities must be an EntityMap, but are {kind_of(entities)}; make one with a segmenter or with "
            "EntityMap.from_labels."
        )
    pixels = read_image(image, max_pixels=max_pixels)
    if entities.labels.shape != pixels.shape[:2]:
        raise InputError(
            f"The entities are of a picture of {entities.width}x{entities.height} pixels, but this one has "
            f"{pixels.shape[1]}x{pixels.shape[0]}; segment it anew."
        )
    return pixels


def _phrase(caption: str, span: Span, scores: np.ndarray, meant: np.ndarray) -> Phrase:
    """Scores (N,) float32 and which of them count, (N,) bool, as plain data."""
    order = np.argsort(-scores, kind="stable")
    order = order[meant[order]]
    return Phrase(caption[slice(*span)], span, tuple((order + 1).tolist()), tuple(scores[order].tolist()))
