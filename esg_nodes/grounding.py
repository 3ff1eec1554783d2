"""Nodes for words: which entities they refer to, and which words describe a picture."""

from __future__ import annotations

import json
from reprlib import repr as short
from typing import Any

import numpy as np
from torch import Tensor

from ..esg import (
    EntityMap,
    Grounder,
    Grounding,
    InputError,
    Phrase,
    Stage,
    draw_grounding,
    drawn_size,
    split_names,
)
from .host import Bar, host, of_one
from .inputs import checked_before, choice, number, text, whole, wire
from .later import Later
from .loading import Loaded
from .values import ENTITIES, GROUNDER, Entities, check_pairs, later_mask, one_by_one, pictures, to_image

SENTENCE, LIST, CATEGORIES, ONE = READINGS = (
    "a sentence",
    "a list of phrases",
    "a list of categories",
    "one expression or question",
)


class GroundText:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Finds the entities of a picture that words refer to: the nouns of a sentence, a list of phrases, or one "
        "expression. If the text is empty, the model writes a caption itself, and the nouns of that are grounded."
    )
    SEARCH_ALIASES = ("text to mask", "text grounding", "referring segmentation", "open vocabulary", "find by text")
    RETURN_TYPES = (ENTITIES, "MASK", "STRING", "STRING", "IMAGE")
    RETURN_NAMES = ("entities", "mask", "caption", "phrases", "overlay")
    OUTPUT_TOOLTIPS = (
        "The same entities, with the phrases that refer to them.",
        "All entities that the text refers to, one mask for each picture.",
        "The sentence that was grounded; one line for each picture.",
        "JSON: for each picture its caption and phrases, with their positions, entity numbers and scores.",
        "The pictures with the entities in the colours of their phrases, and the caption below.",
    )
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True, True, True, True, True)
    FUNCTION = "ground_lists"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "grounder": wire(GROUNDER, "From Load Grounder."),
                "image": wire("IMAGE", "The pictures that the entities come from."),
                "entities": wire(ENTITIES, "From Segment Entities, Masks to Entities or any other node."),
                "text": text(
                    "",
                    "The text to ground. If it has as many lines as there are pictures, each picture gets one line; "
                    "otherwise the whole text applies to every picture. Empty: the model describes each picture.",
                    lines=True,
                ),
                "read_as": choice(
                    READINGS,
                    "How to read the text. A sentence: its nouns are grounded. A list of phrases: separated by commas "
                    "or line breaks. A list of categories: the same, but an entity gets at most one of them. One "
                    "expression, such as 'the dog on the left': only its best entity is used.",
                ),
                "threshold": number(0.5, 0, 1, "Minimum score of an entity. If nothing reaches it, lower it."),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, text: Any = None, read_as: Any = None) -> bool | str:
        return checked_before(cls, {"text": text, "read_as": read_as}, _read)

    def ground_lists(self, **lists: list[Any]) -> tuple[list[Any], ...]:
        calls = [*one_by_one(lists)]
        for call in calls:
            check_pairs(call["image"], call["entities"])
        counts = [len(call["image"]) for call in calls]
        if len(lists["text"]) == 1:
            texts = _texts(lists["text"][0], counts)
        else:
            texts = [_texts(call["text"], [count])[0] for call, count in zip(calls, counts)]
        asked = [(call["grounder"].model, words, call["read_as"]) for call, own in zip(calls, texts) for words in own]
        usable, said = _usable(asked)
        done = []
        for call, words in zip(calls, texts):
            own, usable = usable[: len(words)], usable[len(words) :]
            *found, unsure = self._ground(**{**call, "text": words}, usable=own)
            said += unsure
            done.append(found)
        host().say(" ".join(dict.fromkeys(said)))
        return tuple(map(list, zip(*done)))

    def ground(
        self, grounder: Loaded, image: Tensor, entities: Entities, text: str, read_as: str, threshold: float
    ) -> tuple[Any, ...]:
        """Grounds a text in one batch of pictures."""
        given = {"grounder": grounder, "image": image, "entities": entities}
        given |= {"text": text, "read_as": read_as, "threshold": threshold}
        return tuple(one for (one,) in self.ground_lists(**{name: [value] for name, value in given.items()}))

    def _ground(
        self,
        grounder: Loaded,
        image: Tensor,
        entities: Entities,
        text: list[str],
        read_as: str,
        threshold: float,
        usable: list[bool],
    ) -> tuple[Entities, Tensor, str, str, Tensor, list[str]]:
        """The outputs, and sentences to show; `text` has a text for each picture, `usable` whether it can be used."""
        photos = pictures(image)
        show = host().progress()
        model = grounder.ready()
        groundings = []
        for index, (photo, found, words) in enumerate(zip(photos, entities.maps, text)):
            report = of_one(show, index, len(photos))
            if usable[index]:
                groundings.append(_ground(model, photo, found, words, read_as, threshold, report))
            else:
                groundings.append(Grounding(words))
            report(1, 1, "texts")
        grounded = Entities.of(entities.maps, groundings, entities.tracks)
        return (
            grounded,
            later_mask(len(photos), image.shape[1:3], lambda k: entities.maps[k].mask(_meant(groundings[k]))),
            "\n".join(_line(one.caption) if len(photos) > 1 else one.caption for one in groundings),
            json.dumps(grounded.to_json(), ensure_ascii=False),
            _drawn(image, grounded),
            [*filter(None, map(_unsure, groundings))],
        )


class DescribeImage:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Writes a caption for every picture. If entities are connected, it writes several and keeps the one whose "
        "nouns match them best."
    )
    SEARCH_ALIASES = ("caption", "image to text", "describe", "interrogate")
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("caption",)
    OUTPUT_TOOLTIPS = ("One line for each picture.",)
    FUNCTION = "describe"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "grounder": wire(GROUNDER, "From Load Grounder."),
                "image": wire("IMAGE", "The pictures to describe."),
                "max_tokens": whole(256, 1, 2048, "Maximum length of a caption; a word is one or two tokens."),
                "temperature": number(0, 0, 2, "0: always the likeliest words. Higher: more varied words."),
                "seed": whole(
                    0, 0, 2**63 - 1, "Random seed, used when the temperature is above 0.", control_after_generate=True
                ),
            },
            "optional": {"entities": wire(ENTITIES, "Entities of the pictures, to check the captions against.")},
        }

    def describe(
        self,
        grounder: Loaded,
        image: Tensor,
        max_tokens: int,
        temperature: float,
        seed: int,
        entities: Entities | None = None,
    ) -> tuple[str]:
        photos = pictures(image)
        if entities is not None:
            check_pairs(image, entities)
        show = host().progress()
        model = grounder.ready()
        captions = []
        for index, photo in enumerate(photos):
            report = of_one(show, index, len(photos))

            def going_on(report: Bar = report) -> bool:
                report(0, 1, Stage.CAPTIONS)  # raises when the user stops the run
                return False

            writing: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
            if entities is None:
                captions.append("".join(model.caption(photo, stop=going_on, **writing)).strip())
            else:
                captions.append(model.best_caption(photo, entities.maps[index], progress=report, **writing))
            report(1, 1, Stage.CAPTIONS)
        return ("\n".join(map(_line, captions)) if len(captions) > 1 else captions[0],)


class AskAboutImage:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Answers a question about every picture. Needs a grounder with a large language model, such as zero-shot; "
        "gella-nano cannot answer questions."
    )
    SEARCH_ALIASES = ("question", "vqa", "visual question answering", "vlm", "chat", "image to text")
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("answer",)
    OUTPUT_TOOLTIPS = ("One line for each picture.",)
    FUNCTION = "ask"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "grounder": wire(GROUNDER, "From Load Grounder."),
                "image": wire("IMAGE", "The pictures that the question is about."),
                "question": text("", "The question, in any words.", lines=True),
                "max_tokens": whole(256, 1, 2048, "Maximum length of an answer; a word is one or two tokens."),
                "temperature": number(0, 0, 2, "0: always the likeliest words. Higher: more varied words."),
                "seed": whole(
                    0, 0, 2**63 - 1, "Random seed, used when the temperature is above 0.", control_after_generate=True
                ),
            }
        }

    def ask(
        self, grounder: Loaded, image: Tensor, question: str, max_tokens: int, temperature: float, seed: int
    ) -> tuple[str]:
        photos = pictures(image)
        show = host().progress()
        model = grounder.ready()
        answers = []
        for index, photo in enumerate(photos):
            report = of_one(show, index, len(photos))

            def going_on(report: Bar = report) -> bool:
                report(0, 1, "answers")  # raises when the user stops the run
                return False

            writing: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
            answers.append("".join(model.ask(photo, question, stop=going_on, **writing)).strip())
            report(1, 1, "answers")
        return ("\n".join(map(_line, answers)) if len(answers) > 1 else answers[0],)


class FindNouns:
    CATEGORY = "ESG"
    DESCRIPTION = "Lists the nouns of a caption, each as a separate text: the nodes after it run once per noun."
    SEARCH_ALIASES = ("nouns", "noun phrases", "tags", "keywords", "split caption")
    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("nouns", "spans")
    OUTPUT_TOOLTIPS = (
        "A list of texts, in the order of the caption.",
        "JSON: the text of each noun, and its start and end in the caption, in characters.",
    )
    OUTPUT_IS_LIST = (True, False)
    FUNCTION = "find"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "grounder": wire(GROUNDER, "From Load Grounder."),
                "image": wire("IMAGE", "The picture that the caption describes; of a batch, the first is used."),
                "caption": text("", "The caption: one or more sentences.", lines=True),
            }
        }

    def find(self, grounder: Loaded, image: Tensor, caption: str) -> tuple[list[str], str]:
        (photo, *_) = pictures(image[:1])
        spans = grounder.ready().nouns(photo, caption)
        found = [{"text": caption[start:end], "span": [start, end]} for start, end in spans]
        # An empty list would make the nodes after it fail.
        return [caption[start:end] for start, end in spans] or [""], json.dumps(found, ensure_ascii=False)


def _ground(
    model: Grounder,
    photo: np.ndarray,
    entities: EntityMap,
    words: str,
    read_as: str,
    threshold: float,
    report: Bar,
) -> Grounding:
    read = _read(words, read_as)
    if not read:
        return model(photo, entities, threshold=threshold, progress=report)
    if read_as == SENTENCE:
        return model(photo, entities, words, threshold=threshold)
    if read_as == ONE:
        found: Phrase = model.refer(photo, entities, words, least=threshold)
        return Grounding(found.text, (found,))
    if read_as == LIST:
        return model(photo, entities, phrases=read, threshold=threshold)
    return model(photo, entities, categories=read, threshold=threshold)


def _read(text: str, read_as: str) -> list[str]:
    """The text, or the names in it; empty if the model should write the text. InputError if it has no words."""
    if not text.strip():
        if read_as != SENTENCE:
            raise InputError(
                f"The text is empty, so it cannot be read as {read_as}; write some words, or set read_as to {SENTENCE}."
            )
        return []
    if read_as in (SENTENCE, ONE):
        return [text]
    if not (listed := split_names(text)):
        raise InputError("The text has only commas; write phrases between them.")
    return listed


def _usable(asked: list[tuple[Grounder, str, str]]) -> tuple[list[bool], list[str]]:
    """Whether each text can be grounded, and sentences about those that cannot, or only in part.

    An unusable text does not affect the others; InputError only if none can be used.
    """
    usable, said = [], []
    for model, words, read_as in asked:
        try:
            unknown = model.check_words(_read(words, read_as))
        except InputError as error:
            usable.append(False)
            said.append(str(error))
        else:
            usable.append(True)
            said += [f"{model.title} does not know any word of {short(name)}." for name in unknown]
    if not any(usable):
        raise InputError(said[0])
    return usable, said


def _unsure(grounding: Grounding) -> str:
    """A sentence if the best entity for an expression is below the threshold; otherwise an empty text."""
    for phrase in grounding.phrases:
        if phrase.guess is not None:
            return f"No entity reaches the threshold for {phrase.text!r}; the best score is {phrase.guess[1]:.2f}."
    return ""


def _texts(text: str, counts: list[int]) -> list[list[str]]:
    """The text for each picture of some batches with these lengths."""
    lines = text.strip().splitlines()
    if len(lines) == sum(counts) > 1:
        remaining = iter(lines)
        return [[next(remaining) for _ in range(count)] for count in counts]
    return [lines if len(lines) == count > 1 else [text] * count for count in counts]


def _line(caption: str) -> str:
    return " ".join(caption.split())


def _meant(grounding: Grounding) -> list[int]:
    return sorted({number for phrase in grounding.phrases for number in phrase.entity_ids})


def _drawn(image: Tensor, grounded: Entities) -> Tensor:
    """IMAGE of the groundings, made when it is needed; lower ones, with short captions, are padded with white."""
    sizes = [drawn_size(one or Grounding(""), *image.shape[1:3]) for one in grounded.groundings]
    height, width = max(high for high, _ in sizes), sizes[0][1]

    def make() -> Tensor:
        drawn = []
        for one, found, grounding in zip(image, grounded.maps, grounded.groundings):
            (photo,) = pictures(one[None])
            picture = draw_grounding(photo, found, grounding or Grounding(""))
            drawn.append(np.pad(picture, ((0, height - len(picture)), (0, 0), (0, 0)), constant_values=255))
        return to_image(drawn)

    return Later((len(sizes), height, width, 3), make)
