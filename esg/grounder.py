"""Grounder: takes a photo and its entities, and returns a caption whose nouns point to entities."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np
import torch
from torch import nn

from .entities.entity_map import EntityMap
from .entities.grounding import Grounding, Phrase
from .entities.name_lists import NameList
from .entities.panoptic import Panoptic
from .language.captions import category_caption, phrase_caption
from .language.knowing import KnowsWords, knows_any
from .language.reading import Reading, expand_lists
from .language.tidying import tidied
from .language.words import Span
from .models.gella.config import GellaConfig
from .models.gella.inference import RECOGNISED
from .models.gella.language import Language
from .models.grounding_model import SEEDS, GenerationConfig, GroundingModel
from .models.layers.attention import set_attention
from .models.layers.transformers_attention import set_transformers_attention
from .models.zeroshot.zero_shot import ZeroShot
from .pictures.reading import ImageLike, read_image
from .support.attention import chosen
from .support.checks import check_number, check_whole, type_name
from .support.device import choose_device, choose_dtype, release_memory
from .support.errors import InputError, NoNumbers
from .support.limits import MAX_PIXELS
from .support.memory import enough_memory
from .support.progress import Progress, Stage
from .support.quiet import drop_deprecations
from .support.weight_files import read_metadata
from .weights.finding import locate
from .weights.loading import is_zero_shot, load_grounding_model

log = getLogger(__name__)

THRESHOLD = 0.5  # a phrase refers to the entities that score at least this
NAMED = 0.1
"""Minimum score of a name in a panoptic result, where each entity competes for the best of many names: with gella-nano,
COCO's names and true masks, 54 % of the segments are right at 0.1, by F1, and 41 % at 0.5 (20 photos of COCO)."""
_REPETITION = 4  # "the ceiling and the ceiling" reads worse than a caption with an uncertain noun
DRAFT_TEMPERATURE = 0.5  # for every draft of a caption except the first


class Grounder:
    """A model that is ready to caption photos and to ground phrases in their entities.

    The image features of the last photo are kept until another photo is given or the model is moved, because several
    questions about the same photo are common. Every method raises an InputError if the device runs out of memory.

    Attributes:
        model: the model that computes captions and scores.
        name: the name or path it was loaded from.
        title: its name in messages, which for a file is without its folders.
        attention: the attention backend, as given.

    >>> import numpy as np
    >>> from esg import EntityMap, Grounder
    >>> photo = np.full((64, 96, 3), 90, np.uint8)
    >>> entities = EntityMap.from_labels(np.ones((64, 96), int))
    >>> grounder = Grounder.from_pretrained(device="cpu")  # the bundled weights
    >>> grounding = grounder(photo, entities, "A grey wall.")
    >>> [phrase.text for phrase in grounding.phrases]
    ['grey wall']
    """

    def __init__(self, model: GroundingModel, *, name: str = "", attention: str = "auto") -> None:
        """Wraps a model; `from_pretrained` also loads its weights."""
        self.model = model
        self.name = name
        self.title = (Path(name).stem if os.path.isfile(name) else name) or "The model"
        self.attention = attention
        self._choose_attention()
        self._seen: tuple[bytes, Any] | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "gella-nano",
        *,
        device: str = "auto",
        precision: str = "fp32",
        attention: str = "auto",
        compile: bool = False,
        offload_device: str | None = None,
    ) -> Grounder:
        """Loads weights by name (`esg weights list`), or from a folder or file.

        Args:
            name_or_path: a name, folder or file; never looked up on the network. "zero-shot" is the training-free
                grounder of public models; `zeroshot.zero_shot.ZeroShot.from_name` lists them and their bit widths.
            device: "auto" (CUDA, else MPS, else CPU), or a torch device such as "cuda:1".
            precision: "fp32", "bf16" or "fp16", for the computation and for the language side's weights in memory.
            attention: one of `esg.models.layers.attention.BACKENDS`: "auto" takes xformers on CUDA where it is
                installed, and PyTorch's own attention otherwise.
            compile: whether `torch.compile` compiles the steps in which a GELLA writes a text. This takes minutes, and
                pays for large models on GPUs. The texts are the same up to rounding.
            offload_device: device that holds the weights until `to` is called, for programs that make room first;
                None: the same as `device`.

        Raises:
            WeightsError: the weights are not found, do not fit, or are refused.
            InputError: an option is wrong.
        """
        dtype = choose_dtype(precision, choose_device(device))
        chosen(attention, "cpu")  # refuses an unknown name before the weights are loaded
        model = load_grounding_model(name_or_path, choose_device(offload_device or device), dtype)
        drop_deprecations()
        if compile:
            for network in model.networks:
                for module in network.modules():
                    if isinstance(module, Language):
                        module.compile_steps()
        return cls(model, name=str(name_or_path), attention=attention)

    @staticmethod
    def public_models(name: str) -> list[str]:
        """The Hugging Face models that a name such as "zero-shot" stands for; empty for any other name."""
        return ZeroShot.public_models(name) if is_zero_shot(name) else []

    @staticmethod
    def can_answer(name_or_path: str | Path) -> bool:
        """Whether a model answers questions, see `ask`; its name or the head of its file tells, so it is not loaded.

        Raises:
            WeightsError: the weights are not found, or their file cannot be read.

        >>> Grounder.can_answer("zero-shot"), Grounder.can_answer("gella-nano")
        (True, False)
        """
        if is_zero_shot(name_or_path):
            return ZeroShot.has_writer(str(name_or_path))
        config = read_metadata(locate(name_or_path, task="grounding")).get("config", "")
        return GellaConfig.from_json(config).answers

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Every module that has weights, for programs that move them themselves; afterwards call `to` as well."""
        return self.model.networks

    def to(self, device: str) -> Grounder:
        """Moves the model to another device, such as "cpu" to make room on a GPU, and returns this grounder.

        Raises:
            InputError: the device does not exist here.
        """
        before = self.device
        self._seen = None
        self.model.to(choose_device(device))
        self._choose_attention()
        release_memory(before)
        return self

    def _choose_attention(self) -> None:
        """Gives all networks the attention backend that serves their device."""
        for network in self.networks:
            set_attention(network, self.attention)
            set_transformers_attention(network, self.attention, self.device)

    @property
    def device(self) -> torch.device:
        """The device that the model computes on."""
        return self.model.device

    def caption(
        self,
        image: ImageLike,
        *,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Callable[[], bool] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Generator[str, None, None]:
        """Describes a photo; yields the text in pieces as they are written.

        Args:
            image: path, `PIL.Image`, or (H, W, 3) uint8 RGB array.
            max_tokens: maximum number of tokens in the caption.
            temperature: 0 always takes the most likely token; higher values sample less likely tokens more often.
            seed: random seed, used when the temperature is above 0.
            stop: called before every token; returning True ends the caption.
            max_pixels: larger pictures are refused.

        Raises:
            ImageError: the picture cannot be used.
            InputError: an option is out of its range.
        """
        writing = GenerationConfig(max_tokens, temperature, seed)
        features = self._see(read_image(image, max_pixels=max_pixels))
        with self._enough_memory():
            yield from self.model.describe(features, writing, stop)

    def ask(
        self,
        image: ImageLike,
        question: str,
        *,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Callable[[], bool] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Generator[str, None, None]:
        """Answers a question about a photo, in any words; yields the text in pieces as they are written.

        Only a large language model can do that: `zero-shot`, gella-7b and gella-13b, but not gella-nano. To find the
        entity that answers a question, use `refer`.

        Args:
            image, max_tokens, temperature, seed, stop, max_pixels: as for `caption`.
            question: the question.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the model cannot answer questions, the question is empty or too long, or an option is out of
                its range.
        """
        self.check_answers()
        _check_text(question, "question")
        writing = GenerationConfig(max_tokens, temperature, seed)
        features = self._see(read_image(image, max_pixels=max_pixels))
        with self._enough_memory():
            yield from self.model.ask(features, question.strip(), writing, stop)

    def check_answers(self) -> None:
        """Checks, before any slow work, that the model can answer questions; raises InputError if not."""
        if not getattr(self.model, "answers", False):
            raise InputError(
                f"{self.title} cannot answer questions; load zero-shot, gella-7b or gella-13b, which "
                "have a large language model."
            )

    def nouns(self, image: ImageLike, caption: str, *, max_pixels: int = MAX_PIXELS) -> list[Span]:
        """The nouns of a caption, in order, each as (start, end) in characters; the end is exclusive.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the caption is empty or too long, or the model knows none of its words.
        """
        _check_text(caption, "caption")
        self.check_words([caption])
        return Reading.of_caption(
            caption, lambda text: self._nouns(self._see(read_image(image, max_pixels=max_pixels)), text)
        ).written

    def check_words(self, texts: Iterable[str]) -> list[str]:
        """Checks, before any slow work, that the model knows at least some of the words.

        Args:
            texts: one caption or expression, or several names.

        Returns:
            The texts of which the model knows no word; empty if the model cannot tell.

        Raises:
            InputError: the model knows no word of any of the texts.
        """
        texts = list(texts)
        model = self.model
        unknown = [text for text in texts if isinstance(model, KnowsWords) and not knows_any(model, text)]
        if unknown and len(unknown) == len(texts):
            said = short(" . ".join(" ".join(text.split()) for text in texts))
            raise InputError(
                f"{self.title} knows no word of {said}. It reads English only and has a limited "
                "vocabulary; try other English words."
            )
        return unknown

    def answer(self, image: ImageLike, caption: str, *, max_pixels: int = MAX_PIXELS) -> str:
        """The literal answer of a language model that is asked for the nouns of a caption, each with a <SEG> token.

        Returns:
            One line for each part that the caption was split into; empty for models that do not work this way.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the caption is empty or too long.
        """
        _check_text(caption, "caption")
        answer = getattr(self.model, "answer", None)
        features = self._see(read_image(image, max_pixels=max_pixels))
        with self._enough_memory():
            return "" if answer is None else answer(features, tidied(caption).text)

    def __call__(
        self,
        image: ImageLike,
        entities: EntityMap,
        caption: str | None = None,
        *,
        phrases: Iterable[str] | None = None,
        categories: Iterable[str] | None = None,
        threshold: float = THRESHOLD,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Grounding:
        """Finds the entities that the nouns of a sentence refer to.

        White space and line breaks in a sentence do not matter. A sentence that is a list of names with dots, such as
        "cat . dog .", is read as that list.

        Args:
            image: path, `PIL.Image`, or (H, W, 3) uint8 RGB array.
            entities: the entities of that image; not changed.
            caption: the sentence; None lets the model write one, see `best_caption`.
            phrases: a list of phrases to look for, instead of a sentence. A phrase of which the model knows no word
                gets no entities, and a log message says so.
            categories: the names of all categories that may occur, instead of a sentence, for panoptic segmentation:
                an entity belongs only to the category that scores highest for it. Repeated names count once.
            threshold: minimum score (0..1) of the entities that a phrase refers to.
            max_pixels: larger pictures are refused.
            progress: called as `progress(done, total, what)` while captions are written, after every word; an exception
                that it raises ends the call.

        Raises:
            ImageError: the picture cannot be used.
            InputError: more than one of caption, phrases and categories is given; one of them is empty or too long; the
                model knows none of its words; the threshold is out of its range; `entities` is not an EntityMap, or its
                size differs from the image; or the model writes no caption.
        """
        if sum(given is not None for given in (caption, phrases, categories)) > 1:
            raise InputError("Give only one of these: a caption, a list of phrases, or a list of categories.")
        reading: Reading | None = None
        if categories is not None:
            reading = Reading.of_list(*category_caption(expand_lists(categories)))
        elif phrases is not None:
            reading = Reading.of_list(*phrase_caption(expand_lists(phrases)))
        given = caption if reading is None else reading.caption
        if given is not None:
            _check_text(given, "caption")
        check_number("threshold", threshold, 0, 1)
        pixels = _read_for(entities, image, max_pixels)
        unknown: list[str] = []
        if given is not None:
            unknown = self.check_words([given] if reading is None else reading.phrases)
        features = self._see(pixels)
        if reading is None:
            if given is None:
                given = self._best_caption(features, entities, GenerationConfig(), self.model.drafts, progress)
            reading = Reading.of_caption(given, lambda text: self._nouns(features, text))
        scores = self._scores(features, entities, reading.given, reading.spans)
        meant = scores >= threshold
        if categories is not None and len(reading.spans):
            meant &= np.arange(len(reading.spans))[:, None] == scores.argmax(axis=0)
        if unknown:
            log.info("%s knows no word of %s and ignores it.", self.title, " and ".join(unknown))
            meant &= np.array([phrase not in unknown for phrase in reading.phrases])[:, None]
        return Grounding(
            reading.caption,
            tuple(_phrase(reading.caption, *each) for each in zip(reading.written, scores, meant)),
        )

    def names(
        self, image: ImageLike, entities: EntityMap, *, threshold: float = RECOGNISED, max_pixels: int = MAX_PIXELS
    ) -> dict[int, tuple[str, float]]:
        """Names entities with the names that the model has learnt (gella-nano: 133).

        Args:
            image, entities, max_pixels: as for a call.
            threshold: minimum score (0..1) of a name; an entity whose best name scores less gets no name.

        Returns:
            (name, score) by entity id, for every entity that has a name.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the model has no fixed list of names because its vocabulary is open (pass `categories` in a call
                instead); the threshold is out of its range; or the size of `entities` differs from the image.
        """
        self.check_names()
        check_number("threshold", threshold, 0, 1)
        features = self._see(_read_for(entities, image, max_pixels))
        with self._enough_memory():
            found = self.model.recognise(features, entities)
        return {number: (name, score) for number, (name, score) in enumerate(found, start=1) if score >= threshold}

    def panoptic(
        self,
        image: ImageLike,
        entities: EntityMap,
        names: NameList | str | Path | Iterable[Any] = "coco",
        *,
        threshold: float = NAMED,
        max_pixels: int = MAX_PIXELS,
    ) -> Panoptic:
        """Panoptic segmentation (Table XIII): each entity gets the name that fits it best, stuff of one name is merged.

        Args:
            image, entities, max_pixels: as for a call.
            names: the names to choose from, see `NameList.read`: "coco", "ade20k", a file or a list.
            threshold: minimum score (0..1) of a name; an entity whose best name scores less belongs to no segment.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the list cannot be used, the model knows none of its words, the threshold is out of its range,
                or the size of `entities` differs from the image.
        """
        check_number("threshold", threshold, 0, 1)
        listed = names if isinstance(names, NameList) else NameList.read(names)
        unknown = self.check_words(listed.spoken)
        places = [place for place, name in enumerate(listed.spoken) if name not in unknown]
        caption, spans = category_caption(listed.spoken[place] for place in places)
        scores = self._scores(self._see(_read_for(entities, image, max_pixels)), entities, caption, spans)
        best = scores.argmax(axis=0).tolist()
        found = {
            number: (places[row], float(scores[row, number - 1]))
            for number, row in enumerate(best, start=1)
            if scores[row, number - 1] >= threshold
        }
        return Panoptic.of(entities, found, listed)

    def check_names(self) -> None:
        """Checks, before any slow work, that the model has a list of names; raises InputError if not."""
        if not self.model.names:
            raise InputError(f"{self.title} has no list of names of its own; give one as categories.")

    def best_caption(
        self,
        image: ImageLike,
        entities: EntityMap,
        *,
        drafts: int | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> str:
        """Writes several captions of a photo and returns the one whose nouns are grounded best in its entities.

        The first is written as `caption` does; the others are sampled. The rating of a caption is the mean, over its
        nouns, of the lowest score among the entities that a noun refers to (0 if it refers to none), times the fourth
        power of the share of distinct nouns among its nouns.

        Args:
            image, entities, max_pixels, progress: as for a call.
            drafts: number of captions; None: the number that suits the model.
            max_tokens, temperature, seed: as for `caption`; they apply to the first draft.

        Raises:
            ImageError: the picture cannot be used.
            InputError: an option is out of its range, the size of `entities` differs from the image, or the model
                writes no caption.
        """
        drafts = self.model.drafts if drafts is None else drafts
        check_whole("drafts", drafts, 1)
        features = self._see(_read_for(entities, image, max_pixels))
        return self._best_caption(features, entities, GenerationConfig(max_tokens, temperature, seed), drafts, progress)

    def _best_caption(
        self, features: Any, entities: EntityMap, writing: GenerationConfig, drafts: int, progress: Progress | None
    ) -> str:
        drafts = drafts if len(entities) else 1
        others = replace(writing, temperature=max(writing.temperature, DRAFT_TEMPERATURE))
        seeds = [(writing.seed + number) % SEEDS for number in range(drafts)]
        writings = [replace(others, seed=seed) if number else writing for number, seed in enumerate(seeds)]

        def watch(done: int) -> None:
            if progress is not None:
                progress(done, drafts, Stage.CAPTIONS)

        with self._enough_memory():
            captions = [caption.strip() for caption in self.model.captions(features, entities, writings, watch)]
        watch(drafts)
        found = [caption for caption in dict.fromkeys(captions) if caption]
        if not found:
            raise InputError("The model wrote no caption for this photo; give a caption or a list of phrases.")
        if len(found) == 1:
            return found[0]
        tidy = [tidied(caption).text for caption in found]
        with self._enough_memory():
            grounded = self.model.grounded(features, entities, tidy)
        fits = [_fit(caption, spans, self._checked(scores)) for caption, (spans, scores) in zip(tidy, grounded)]
        return found[int(np.argmax(fits))]

    def refer(
        self,
        image: ImageLike,
        entities: EntityMap,
        expression: str,
        *,
        threshold: float | None = None,
        least: float = THRESHOLD,
        nouns: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> Phrase:
        """Finds the entity that an expression as a whole refers to, such as "the dog left of the door".

        A question such as "Which of them could hold water?" is answered with an entity in the same way (reasoning
        segmentation), by models that were trained for it.

        Args:
            image, entities, max_pixels: as for a call.
            expression: the expression or question.
            threshold: returns every entity with at least this score (0..1), which may be none. None: returns only the
                entity with the highest score, if that is at least `least`.
            least: minimum score (0..1) of that single entity; 0 always takes the best one.
            nouns: refers as the paper does (Sec. 5.3.1): the model finds the nouns of the expression, and the result is
                every entity that any of them means, with its best score. `threshold` is 0.5 unless given, and `least`
                is not used. An expression in which the model finds no nouns is taken as one.

        Returns:
            The expression as a phrase, without surrounding space. If it refers to no entity, `guess` is the best one.

        Raises:
            ImageError: the picture cannot be used.
            InputError: the expression is empty or too long, the model knows none of its words, a threshold is out of
                its range, or the size of `entities` differs from the image.
        """
        _check_text(expression, "expression")
        if threshold is not None:
            check_number("threshold", threshold, 0, 1)
        check_number("least", least, 0, 1)
        pixels = _read_for(entities, image, max_pixels)
        self.check_words([expression])
        tidy, caption = tidied(expression).text, expression.strip()
        features = self._see(pixels)
        whole = [(0, len(tidy))]
        spans = (self._nouns(features, tidy) or whole) if nouns else whole
        scores = self._scores(features, entities, tidy, spans).max(axis=0)
        if nouns:
            threshold = THRESHOLD if threshold is None else threshold
        span = (0, len(caption))
        found = _phrase(caption, span, scores, scores >= (least if threshold is None else threshold))
        if not found.entity_ids and len(scores):
            return Phrase(caption, span, guess=(int(scores.argmax()) + 1, float(scores.max())))
        return found if threshold is not None else Phrase(caption, span, found.entity_ids[:1], found.scores[:1])

    def _see(self, pixels: np.ndarray) -> Any:
        """Image features of (H, W, 3) uint8 RGB; recognising the same photo again takes a tenth of the time."""
        key = hashlib.sha256(pixels.data).digest() + repr(pixels.shape).encode()
        seen = self._seen
        if seen is None or seen[0] != key:
            with self._enough_memory():
                seen = self._seen = key, self.model.see(pixels)
        return seen[1]

    def _nouns(self, features: Any, caption: str) -> list[Span]:
        with self._enough_memory():
            return self.model.nouns(features, caption)

    def _scores(self, features: Any, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        """(phrases, N) float32, checked."""
        with self._enough_memory():
            scores = self.model.scores(features, entities, caption, spans)
        return self._checked(scores)

    def _checked(self, scores: np.ndarray) -> np.ndarray:
        if not np.isfinite(scores).all():
            raise NoNumbers("scores", self.title)
        return scores

    def _enough_memory(self) -> AbstractContextManager[None]:
        """Turns out-of-memory into one sentence; the model has already tried smaller steps where it can."""
        advice = "the precision bf16, a smaller model, or the device cpu"
        if self.device.type == "cpu":
            advice = "the precision bf16 or a smaller model"
        elif is_zero_shot(self.name):
            advice = "fewer bits (zero-shot-8bit, zero-shot-4bit), a smaller language model, or the device cpu"
        model = self.title if self.name else "the model"
        return enough_memory(f"{self.device} ran out of memory while {model} was working; choose {advice}.")


def _fit(caption: str, spans: Sequence[Span], scores: np.ndarray) -> float:
    """Rating of a caption, 0..1, see `Grounder.best_caption`; scores (len(spans), N)."""
    if not spans:
        return 0.0
    surely = np.where(scores >= THRESHOLD, scores, np.inf).min(axis=1)  # inf: refers to no entity
    different = len({caption[slice(*span)] for span in spans}) / len(spans)
    return float(np.where(np.isinf(surely), 0, surely).mean()) * different**_REPETITION


def _check_text(text: str, what: str) -> None:
    Grounding(text)  # raises if the text cannot be written to a file
    if not text.strip():
        raise InputError(f"The {what} is empty; write one.")


def _read_for(entities: EntityMap, image: ImageLike, max_pixels: int) -> np.ndarray:
    """The image as (H, W, 3) uint8 RGB, after checking that it has the size of the entities."""
    if not isinstance(entities, EntityMap):
        raise InputError(
            f"The entities must be an EntityMap, but are {type_name(entities)}; make one with a segmenter or with "
            "EntityMap.from_labels."
        )
    pixels = read_image(image, max_pixels=max_pixels)
    if entities.labels.shape != pixels.shape[:2]:
        raise InputError(
            f"The entities belong to a photo of {entities.width}x{entities.height} pixels, but this one has "
            f"{pixels.shape[1]}x{pixels.shape[0]}; segment it again."
        )
    return pixels


def _phrase(caption: str, span: Span, scores: np.ndarray, meant: np.ndarray) -> Phrase:
    """A phrase from scores (N,) float32 and the entities it refers to, `meant` (N,) bool."""
    order = np.argsort(-scores, kind="stable")
    order = order[meant[order]]
    return Phrase(caption[slice(*span)], span, tuple((order + 1).tolist()), tuple(scores[order].tolist()))
