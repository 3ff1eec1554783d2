"""GELLA inference: from an image to a caption, its nouns, and the given entities that each noun refers to."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ...entities.entity_map import EntityMap
from ...entities.resting import rests_on
from ...language.captions import SEG, category_caption
from ...language.coco_names import ALSO, counted_names, without_count, without_parts
from ...language.knowing import has_words, is_known
from ...language.known_words import Rendering, render
from ...language.mentioned import names_mentioned
from ...language.nouns import align, mended, noun_phrases, parse_pieces
from ...language.plain_sentence import plain_sentence, reads_well, without_wrong_articles
from ...language.resting import can_rest
from ...language.splitting import parted, sentences
from ...language.words import Span, find_words
from ...support.checks import check_finite
from ...support.device import computing_in
from ..grounding_model import GenerationConfig
from ..normalisation import centred, normalised
from .appearance import masks_of
from .association import QueryMatching, at_stride, overlaps, tie
from .checkpoint import read_gella
from .colormap import colormap, without_gaps
from .conversation import Conversation, Text
from .language import ImageFeatures
from .letterbox import Letterbox
from .model import Gella, Reconstruction
from .writing import write, write_together

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)


CACHE_BYTES = 1 << 30  # maximum size, in bytes, of the key-value caches of all answers that are written together
_SIDES = re.compile(r"\b(?:left|right)|clockwise", re.IGNORECASE)  # words that are wrong in a mirror image
_HALF_A_LETTER = "\N{REPLACEMENT CHARACTER}"  # decoded from the first tokens of a character that takes several
_CAPTIONS_AT_ONCE = 8  # maximum number of captions per pass; the cost grows with the square of their number
_ANSWER_TOKENS = 4  # answer tokens per caption token, at most: a short noun, its comma and its <SEG>
RECOGNISED = 0.8  # minimum score for a description to mention a recognised name; 0.7 says more, but less of it is true
_LEAST_AREA = 0.01  # share of the image; only entities at least this large vote on the short list of names
_CANDIDATES, _SHORT_LIST = 3, 16  # names kept per entity, and in total


@dataclass(frozen=True)
class Reconstructed:
    """Masks that the decoder has made from a colormap, at the decoder's resolution, without padding.

    Attributes:
        masks: (Q, h, w) bool.
        scores: (Q,) entityness, 0..1.
        labels: (h, w) int32, the entities that were encoded, 1..n; 0 = none.
    """

    masks: Tensor
    scores: Tensor
    labels: Tensor


def _resting(listed: Sequence[str], called: Mapping[int, str], labels: np.ndarray) -> dict[str, str]:
    """The listed names whose entities all rest on the same listed name, and that name.

    Args:
        listed: names with counts, see `counted_names`.
        called: the name of each named entity, by its id.
        labels: (H, W) the entities.
    """
    found = {}
    for name in listed:
        single = without_count(name)
        under = {called.get(rests_on(labels, number), "") for number, own in called.items() if own == single}
        if len(under) == 1 and (other := under.pop()) in listed and can_rest(single, other):
            found[name] = other
    return found


@dataclass(frozen=True)
class _Group:
    """Entities that are read together.

    Attributes:
        ids: entity ids, (n,).
        embeddings: E_vc of each entity, (n, C).
        seen: whether each entity has an embedding, (n,) bool; a phrase never refers to the others.
        ties: the query that represents each entity.
    """

    ids: np.ndarray
    embeddings: Tensor
    seen: Tensor
    ties: QueryMatching


class GellaInference:
    """Implements `GroundingModel` with a GELLA network.

    Attributes:
        model: the network, in evaluation mode.
        device: the device that it computes on.
        precision: dtype of the computation.
        mends: whether nouns are repaired, see `GellaConfig`; may be changed.
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
        self.mends = model.config.mends
        self._conversation = Conversation(tokenizer, model.config.language, model.config.names)
        self._tokenizer = tokenizer
        self._has_words = has_words(tokenizer.get_vocab())
        given = (*model.config.names, *model.config.synonyms)
        self._named = frozenset(word.key for name in given for word in find_words(name))
        # what was read last; a photo and its mirror image are read in turn
        self._last: deque[tuple[ImageFeatures, EntityMap, list[_Group]]] = deque(maxlen=2)
        self._mirror: tuple[ImageFeatures, EntityMap, tuple[ImageFeatures, EntityMap]] | None = None
        # the features of the image, the last caption whose nouns were extracted, and the answer
        self._answered: tuple[ImageFeatures, str, str] | None = None

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """See `GroundingModel.networks`."""
        return (self.model,)

    @property
    def drafts(self) -> int:
        """See `GroundingModel.drafts`."""
        return self.model.config.drafts

    @property
    def names(self) -> tuple[str, ...]:
        """See `GroundingModel.names`."""
        return self.model.config.names

    @classmethod
    def from_file(cls, path: Path, device: torch.device, precision: torch.dtype) -> GellaInference:
        """Loads a file that `checkpoint.write_gella` wrote.

        The language side makes up nearly all of a large model. Its weights are kept in the precision of the
        computation: 7 billion parameters take 14 GB in bf16, and 13 billion take 26 GB.

        Raises:
            WeightsError: the file cannot be read, or does not hold a GELLA.
        """
        model, tokenizer = read_gella(path, precision)
        return cls(model, tokenizer, device, precision)

    def knows(self, word: str) -> bool:
        """See `KnowsWords.knows`."""
        return word in self._named or not self._has_words or is_known(word, self._pieces)

    def _pieces(self, text: str) -> list[str]:
        return [self._tokenizer.decode([token]) for token in self._tokenizer.encode(text, add_special_tokens=False).ids]

    def to(self, device: torch.device) -> None:
        """See `GroundingModel.to`."""
        self.model.to(device)
        self.device = device
        self._last.clear()
        self._mirror = self._answered = None

    def see(self, pixels: np.ndarray) -> ImageFeatures:
        """See `GroundingModel.see`."""
        box = Letterbox((pixels.shape[0], pixels.shape[1]), self.model.config.vision.side)
        square = torch.from_numpy(box.fit_image(pixels)).permute(2, 0, 1)[None].to(self.device)
        with self._computing():
            features = self.model.language.see(normalised(square))
        check_finite("image features", features.tokens, features.grid)
        return replace(features, pixels=square)

    def describe(
        self, features: ImageFeatures, writing: GenerationConfig, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        """See `GroundingModel.describe`."""
        yield from self._written(features, self._conversation.describe(), writing, stop)

    @property
    def answers(self) -> bool:
        """See `GroundingModel.answers`."""
        return self.model.config.answers

    def ask(
        self, features: ImageFeatures, question: str, writing: GenerationConfig, stop: Callable[[], bool] | None = None
    ) -> Generator[str, None, None]:
        """See `GroundingModel.ask`."""
        yield from self._written(features, self._conversation.ask(question), writing, stop)

    def _written(
        self, features: ImageFeatures, asked: Text, writing: GenerationConfig, stop: Callable[[], bool] | None
    ) -> Generator[str, None, None]:
        tokens: list[int] = []
        said = ""
        for token in self._tokens(features, asked, writing, stop):
            tokens.append(token)
            text = " ".join(self._conversation.pieces(torch.tensor(tokens))).lstrip()
            if not text.endswith(_HALF_A_LETTER):
                yield text[len(said) :]
                said = text

    def captions(
        self,
        features: ImageFeatures,
        entities: EntityMap,
        writings: Sequence[GenerationConfig],
        watch: Callable[[int], None],
    ) -> list[str]:
        """See `GroundingModel.captions`; a model with names first looks for the names of the entities.

        A sentence that lists these names competes with the drafts; drafts that mention other names are left out.
        """
        names, rests, sure = self._recognised(features, entities)
        asked = self._conversation.describe(names=names)
        answers = self._answers(features, [asked] * len(writings), writings, watch)
        texts = [" ".join(self._conversation.pieces(torch.tensor(answer))) for answer in answers]
        written = [without_wrong_articles(text.rstrip(_HALF_A_LETTER).strip()) for text in texts]
        if not names:
            return written
        written = [text for text in written if names_mentioned(text) <= sure and reads_well(text)]
        return [*written, plain_sentence(names, rests)]

    def _recognised(self, features: ImageFeatures, entities: EntityMap) -> tuple[list[str], dict[str, str], set[str]]:
        """The content of a description.

        Returns:
            The names, largest area first, with counts; those of them that rest on another one, and that other one; and
            all names that a draft can mention.
        """
        found = self.recognise(features, entities) if self.names else []
        sure = [number for number, (_, score) in enumerate(found) if score >= RECOGNISED]
        names = {found[number][0] for number in sure}
        sure = [sure[number] for number in without_parts([found[number][0] for number in sure], entities.areas[sure])]
        listed = counted_names([found[number][0] for number in sure], entities.areas[sure], entities.labels.size)
        called = {number + 1: found[number][0] for number in sure}
        return listed, _resting(listed, called, entities.labels), names.union(*(ALSO.get(name, ()) for name in names))

    def recognise(self, features: ImageFeatures, entities: EntityMap) -> list[tuple[str, float]]:
        """See `GroundingModel.recognise`; the best names are scored a second time, as a shorter list.

        In a long list a small model gives low scores even to correct names. In a short list it gives them high scores,
        which separate right from wrong names better.
        """
        if not len(entities):
            return []
        scores = self.scores(features, entities, *category_caption(self.names))
        large = entities.areas >= _LEAST_AREA * entities.labels.size
        seen = scores[:, large] if large.any() else scores
        likely = {int(name) for column in seen.T for name in column.argsort()[-_CANDIDATES:]}
        names = [self.names[name] for name in sorted(likely, key=lambda name: -seen[name].max())[:_SHORT_LIST]]
        again = self.scores(features, entities, *category_caption(names))
        best = again.argmax(axis=0)
        return [(names[name], float(again[name, number])) for number, name in enumerate(best.tolist())]

    def _mirrored(self, features: ImageFeatures, entities: EntityMap) -> tuple[ImageFeatures, EntityMap]:
        """The features and entities of the photo's mirror image; those of the last photo are cached."""
        if self._mirror is not None and self._mirror[0] is features and self._mirror[1] is entities:
            return self._mirror[2]
        assert features.pixels is not None
        box = Letterbox((entities.height, entities.width), self.model.config.vision.side)
        content = slice(0, box.content[1])
        pixels = features.pixels.clone()
        pixels[..., content] = pixels[..., content].flip(-1)
        with self._computing():
            seen = self.model.language.see(normalised(pixels))
        flipped = EntityMap(np.ascontiguousarray(entities.labels[:, ::-1]), entities.scores, entities.names)
        self._mirror = features, entities, (seen, flipped)
        return seen, flipped

    def nouns(self, features: ImageFeatures, caption: str) -> list[Span]:
        """See `GroundingModel.nouns`; a rule of thumb helps when the model misreads the caption."""
        rendering = self._rendered(caption)
        return list(dict.fromkeys(rendering.to_original(span) for span in self._nouns(features, rendering.text)))

    def _rendered(self, text: str) -> Rendering:
        """A text in which synonyms are replaced by words that the model knows."""
        config = self.model.config
        return render(text, config.synonyms, frozenset(config.names)) if config.synonyms else Rendering(text, ())

    def _nouns(self, features: ImageFeatures, caption: str) -> list[Span]:
        found: list[Span] = []
        answers: list[str] = []
        place = 0
        for part, _ in sentences(caption, noun_phrases(caption), partial(self._excess, features)):
            asked = self._conversation.extract(part)
            # Answers copy the caption, so 6 guesses give 1.8 tokens per pass: gella-nano is 1.3 times as fast on a CPU.
            writing = GenerationConfig(max_tokens=_ANSWER_TOKENS * len(asked.ids), guesses=6)
            answer = list(self._tokens(features, asked, writing))
            answers.append(SEG.join(self._conversation.pieces(torch.tensor(answer, dtype=torch.int64))).strip())
            spans = self._listed(answer, part)
            found += [(place + start, place + end) for start, end in spans]
            place += len(part)
        self._answered = features, caption, "\n".join(answers)
        return found

    def answer(self, features: ImageFeatures, caption: str) -> str:
        """The model's literal answer when asked for the nouns of a caption, with <SEG> tokens.

        It has one line for each part that the caption was split into.
        """
        text = self._rendered(caption).text
        if self._answered is None or self._answered[0] is not features or self._answered[1] != text:
            self._nouns(features, text)
        assert self._answered is not None
        return self._answered[2]

    def scores(self, features: ImageFeatures, entities: EntityMap, caption: str, spans: Sequence[Span]) -> np.ndarray:
        """See `GroundingModel.scores`; a long list of names, or a caption of many sentences, is split into parts.

        The scores of a small model are means over the photo and its mirror image, in which a wrong name often has
        another score; unless the caption speaks of left and right.
        """
        rendering = self._rendered(caption)
        parts = parted(rendering.text, [rendering.to_rendered(span) for span in spans], partial(self._excess, features))
        views = [(features, entities)]
        if self.names and len(entities) and not _SIDES.search(caption):
            views.append(self._mirrored(features, entities))
        found = [np.concatenate([self._scores(*view, [part])[0] for part in parts]) for view in views]
        return np.mean(found, axis=0)

    def grounded(
        self, features: ImageFeatures, entities: EntityMap, captions: Sequence[str]
    ) -> list[tuple[list[Span], np.ndarray]]:
        """See `GroundingModel.grounded`; captions are batched, and one that exceeds the context gets no phrases."""
        renderings = {caption: self._rendered(caption) for caption in captions}
        texts = [own.text for own in renderings.values()]
        short = [text for text in dict.fromkeys(texts) if not self._excess(features, text, noun_phrases(text))]
        asked = [self._conversation.extract(caption) for caption in short]
        answers = self._answers(
            features, asked, [GenerationConfig(max_tokens=_ANSWER_TOKENS * len(one.ids)) for one in asked]
        )
        pairs = [(caption, self._listed(answer, caption)) for caption, answer in zip(short, answers)]
        pairs = [(caption, spans) for caption, spans in pairs if not self._excess(features, caption, spans)]
        read = {
            caption: (spans, scores)
            for start in range(0, len(pairs), _CAPTIONS_AT_ONCE)
            for (caption, spans), scores in zip(
                pairs[start : start + _CAPTIONS_AT_ONCE],
                self._scores(features, entities, pairs[start : start + _CAPTIONS_AT_ONCE]),
            )
        }
        nothing: tuple[list[Span], np.ndarray] = ([], np.zeros((0, len(entities)), np.float32))
        found = [(renderings[caption], *read.get(renderings[caption].text, nothing)) for caption in captions]
        return [([own.to_original(span) for span in spans], scores) for own, spans, scores in found]

    def _answers(
        self,
        features: ImageFeatures,
        asked: Sequence[Text],
        writings: Sequence[GenerationConfig],
        watch: Callable[[int], None] | None = None,
    ) -> list[list[int]]:
        """The tokens of several answers, written in batches whose key-value caches fit in `CACHE_BYTES`."""
        sizes = self.model.config.language
        tokens = min(
            sizes.context,
            features.tokens.shape[1]
            + max((len(one.ids) + how.max_tokens for one, how in zip(asked, writings)), default=0),
        )
        together = max(1, CACHE_BYTES // (2 * tokens * sizes.layers * sizes.width * self.precision.itemsize))
        answers: list[list[int]] = []
        while len(answers) < len(asked):
            some = slice(len(answers), len(answers) + together)

            def watch_some(done: int, before: int = len(answers)) -> None:
                if watch is not None:
                    watch(before + done)

            texts = [one.to(self.device) for one in asked[some]]
            answers += write_together(
                self.model.language, features.tokens, texts, writings[some], watch_some, self._computing
            )
        return answers

    def _excess(self, features: ImageFeatures, caption: str, spans: Sequence[Span]) -> int:
        """See `splitting.Excess`."""
        tokens = len(self._conversation.extract(caption, spans).ids)
        over = features.tokens.shape[1] - 1 + tokens - self.model.config.language.context
        of_words = tokens - len(self._conversation.extract(".", []).ids)
        return max(1, math.ceil(over / max(1, of_words) * len(find_words(caption)))) if over > 0 else 0

    def _listed(self, answer: list[int], caption: str) -> list[Span]:
        """The spans in the caption of the nouns that an answer lists."""
        pieces = self._conversation.pieces(torch.tensor(answer, dtype=torch.int64))
        found = align(parse_pieces(pieces), caption)
        if not self.mends:
            return sorted({span for span in found if span is not None})
        # A model that reads upper case is a large pretrained one, whose answers can be trusted.
        trusted = self.model.config.language.cased
        return mended(found, caption, trusted=trusted)

    def _scores(
        self, features: ImageFeatures, entities: EntityMap, captions: Sequence[tuple[str, Sequence[Span]]]
    ) -> list[np.ndarray]:
        """(len(spans), N) float32 for every caption and its spans."""
        found = [np.zeros((len(spans), len(entities)), np.float32) for _, spans in captions]
        if not len(entities) or not any(len(spans) for _, spans in captions):
            return found
        texts = [self._conversation.extract(caption, spans).to(self.device) for caption, spans in captions]
        with self._computing():
            reading = self.model.language.read(features.tokens, [text.ids for text in texts], [0] * len(texts))
            nouns = self.model.nouns(reading, texts)  # (v, C) each
            for group in self._groups(features, entities):
                for scores, own in zip(found, self.model.associate(nouns, group.embeddings.expand(len(nouns), -1, -1))):
                    scores[:, group.ids - 1] = torch.where(group.seen, own.float().sigmoid(), 0).cpu().numpy()
        return found

    def reconstructed(self, features: ImageFeatures, entities: EntityMap) -> np.ndarray:
        """Whether each of the N entities has its own query that reconstructs it at an IoU of 0.5 or more, (N,) bool."""
        with self._computing():
            parts = [group.ties.matched.cpu().numpy() for group in self._groups(features, entities)]
        return np.concatenate(parts) if parts else np.zeros(0, bool)

    def reconstructions(self, features: ImageFeatures, entities: EntityMap) -> list[Reconstructed]:
        """The masks that the decoder makes from the colormaps (Table XVI), one result for each group of entities."""
        with self._computing():
            most = self.model.config.decoder.queries
            starts = range(0, len(entities), most)
            parts = [np.arange(start, min(start + most, len(entities))) + 1 for start in starts]
            return [self._decoded(features, entities, ids)[0] for ids in parts]

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Inference mode and autocast; never keep it open across a `yield`, as it would affect the caller's code."""
        with torch.inference_mode(), computing_in(self.precision, self.device):
            yield

    def _tokens(
        self, features: ImageFeatures, asked: Text, writing: GenerationConfig, stop: Callable[[], bool] | None = None
    ) -> Generator[int, None, None]:
        return write(self.model.language, features.tokens, asked.to(self.device), writing, stop, self._computing)

    def _groups(self, features: ImageFeatures, entities: EntityMap) -> list[_Group]:
        """All entities, in groups if there are more of them than queries.

        The last results are cached because several sentences are often grounded in the same entities.
        """
        for last_features, last_entities, groups in self._last:
            if last_features is features and last_entities is entities:
                return groups
        most = self.model.config.decoder.queries
        groups = []
        for start in range(0, len(entities), most):
            ids = np.arange(start, min(start + most, len(entities))) + 1
            groups.append(self._embedded(features, entities, ids))
        unmatched = sum(int((~group.ties.matched).sum()) for group in groups)
        mirrored = features.pixels is None
        if unmatched and not mirrored and all(last_entities is not entities for _, last_entities, _ in self._last):
            log.info(
                "%d of %d entities are too small, too thin or too similar for this model to tell apart, so it can "
                "only guess whether a phrase refers to them.",
                unmatched,
                len(entities),
            )
        self._last.append((features, entities, groups))
        return groups

    def _decoded(
        self, features: ImageFeatures, entities: EntityMap, ids: np.ndarray
    ) -> tuple[Reconstructed, Reconstruction, Tensor]:
        """Encodes some of the entities and decodes them: masks, the decoder's output, and their labels (M, M)."""
        config = self.model.config
        numbers = np.zeros(len(entities) + 1, np.int32)
        numbers[ids] = np.arange(len(ids)) + 1
        box = Letterbox((entities.height, entities.width), config.colormap_side)
        whole = box.fit_labels(entities.labels)
        picture = whole[: box.content[0], : box.content[1]]
        picture[:] = without_gaps(picture, config.gap * config.colormap_side)  # before other groups become gaps
        labels = numbers[whole]
        colours = torch.from_numpy(colormap(labels, colours=config.colours)).permute(2, 0, 1)[None].to(self.device)
        masks = self.model.reconstruct(features.grid, centred(colours), features.maps)
        logits = masks.masks()[0]
        check_finite("masks", logits, masks.embeddings)
        shown = logits > 0  # (Q, h, w)
        drawn = torch.from_numpy(labels).to(self.device)
        given = at_stride(drawn, shown.shape[1])
        height, width = box.covered(shown.shape[1])  # without the padding
        scores = masks.heads[-1].logits[0].float().softmax(-1)[:, 0]
        return Reconstructed(shown[:, :height, :width], scores, given[:height, :width]), masks, drawn

    def _embedded(self, features: ImageFeatures, entities: EntityMap, ids: np.ndarray) -> _Group:
        """Embeds some of the entities. For an entity without a query, only the features under its mask are used."""
        found, masks, drawn = self._decoded(features, entities, ids)
        ties = tie(overlaps(found.masks.flatten(1), found.labels.flatten(), len(ids)))
        embeddings, seen = masks.embeddings[0, ties.queries], ties.queries >= 0
        if self.model.appearance is not None:
            areas = masks_of(drawn, len(ids))
            looks = self.model.appearance(features.maps, areas[None])[0]
            embeddings = torch.where(seen[:, None], embeddings, looks)
            seen = seen | areas.any(2).any(1)
        return _Group(ids, embeddings, seen, ties)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Suppresses the log lines about single images; `esg eval reconstruction` reports the total instead."""
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
