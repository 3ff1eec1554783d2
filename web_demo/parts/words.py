"""The tab Words: describes the photo, finds the nouns of a text and their entities, and answers questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from esg import (
    EntityMap,
    EsgError,
    Grounder,
    Grounding,
    InputError,
    NameList,
    Phrase,
    checkpoint_named,
    list_checkpoints,
    split_names,
)

from ..message import Chosen
from ..models import loading, short_name
from ..picture import view
from ..shared import AT_ONCE, Shared, Steps, best_entities, check_length, while_photo_stays
from ..visit import Visit
from ..working import Report

SENTENCE, LIST, EXPRESSION, NAMES = WAYS = (
    "a sentence",
    "a list of phrases",
    "an expression or a question",
    "names, one for each entity",
)
LISTS = ("coco", "ade20k")  # texts that stand for a list of names
LIVELY = 0.7  # temperature of all descriptions of a photo after the first

PLACEHOLDER = """Describe writes its caption here. Or write your own sentence, a list of phrases, or an expression."""

HELP = f"""*Describe and ground* does all three steps: *Describe* writes a caption, *Find nouns* marks its nouns, and
*Ground* finds the entities they refer to. *Names, one for each entity* gives each entity the best of the names in the
text; `coco` and `ade20k` stand for lists of 133 and 150 names. {checkpoint_named("gella-nano").knows} `zero-shot` and
full models know many more words, and *Ask* answers a question with them."""


class WordsPart:
    """The tab Words.

    Args:
        model: the grounder that is selected at the start.
    """

    def __init__(self, model: str) -> None:
        self.tell = gr.Button("Describe and ground", variant="primary", elem_id="tell")
        with gr.Row():
            self.describe = gr.Button("Describe", elem_id="describe", min_width=90)
            self.find = gr.Button("Find nouns", elem_id="find-nouns", min_width=90)
            self.ground = gr.Button("Ground", elem_id="ground", min_width=90)
            self.ask = gr.Button("Ask", visible=can_answer(model), elem_id="ask", min_width=90)
        self.text = gr.Textbox("", label="Text", placeholder=PLACEHOLDER, lines=3, max_lines=8, elem_id="text")
        self.way = gr.Radio(WAYS, value=SENTENCE, label="Read it as", elem_id="way")
        self.words = view("words")
        with gr.Accordion("Model and threshold", open=False):
            self.model = gr.Dropdown(grounder_choices(model), value=model, label="Model", elem_id="grounder")
            self.threshold = gr.Slider(
                0, 1, value=0.5, step=0.01, label="Minimum score of a phrase's entities", elem_id="threshold"
            )
        gr.Markdown(HELP, elem_classes="esg-help")

    def connect(self, shared: Shared) -> None:
        """Connects the events to their handlers."""
        self.shared = shared
        # After an error, the phrases of an earlier text are removed, or they would seem to belong to this one.
        written, words = [self.text, self.words], [self.words]
        both, removed = [self.model, self.threshold], (gr.skip(), None)
        shared.job(self.tell.click, self.on_describe_and_ground, both, written, wrong=removed)
        shared.job(self.describe.click, self.on_describe, [self.model], written, wrong=removed)
        shared.job(self.find.click, self.on_find, [self.model, self.text], words, wrong=(None,))
        given = [self.model, self.text, self.way, self.threshold]
        shared.job(self.ground.click, self.on_ground, given, words, wrong=(None,))
        shared.job(self.ask.click, self.on_ask, [self.model, self.text], words, wrong=(None,))
        self.model.input(self.on_model, self.model, self.ask, **AT_ONCE)

    def _begin(self, name: str, otherwise: str) -> str:
        """The text to show while work begins: that the model is being loaded, unless it is loaded already."""
        return otherwise if self.shared.models.has(Grounder, name) else loading(name, "grounding")

    def _writing(self, visit: Visit, name: str, entities: EntityMap | None) -> Callable[[Report], str]:
        """Work that writes a caption of the photo and shows it word by word."""
        pixels = visit.need_photo()
        drafts, visit.drafts = visit.drafts, visit.drafts + 1

        def write(report: Report) -> str:
            grounder = self.shared.models.grounder(name)
            report(0, 1, "Looking at the picture")
            text = ""
            for piece in grounder.caption(
                pixels, temperature=LIVELY if drafts else 0, seed=drafts, max_pixels=self.shared.max_pixels
            ):
                if not text:
                    report(0, 1, "Writing")
                text += piece
                report.show(text.strip(), None)
            if not text.strip():
                raise InputError("The model wrote an empty caption for this picture; write one yourself.")
            if drafts or entities is None or grounder.model.drafts == 1:
                return text.strip()
            # A small model does better if it writes several drafts and keeps the one that its own grounding scores
            # highest.
            return grounder.best_caption(pixels, entities, max_pixels=self.shared.max_pixels, progress=report)

        return write

    def on_describe(self, visit: Visit, name: str, chosen: Chosen) -> Steps:
        """Writes a caption."""
        visit.need_photo()
        entities = None if visit.entities is None else best_entities(visit, chosen)
        write = self._writing(visit, name, entities)
        writing = self.shared.worker.work(write, self._begin(name, "Looking at the picture"))
        yield from while_photo_stays(visit, writing)
        visit.text, visit.words = writing.result, None
        return writing.result, None

    def on_describe_and_ground(self, visit: Visit, name: str, threshold: float, chosen: Chosen) -> Steps:
        """Writes a caption and grounds its nouns."""
        best, number = best_entities(visit, chosen), visit.map_number
        write = self._writing(visit, name, best)

        def write_and_read(report: Report) -> tuple[str, Reading]:
            text = write(report)
            report.show(text, None)
            report(0, 1, "Grounding")
            grounder, pixels = self.shared.models.grounder(name), visit.need_photo()
            return text, read(grounder, pixels, best, text, SENTENCE, threshold, self.shared.max_pixels)

        telling = self.shared.worker.work(write_and_read, self._begin(name, "Looking at the picture"))
        yield from while_photo_stays(visit, telling)
        text, reading = telling.result
        return text, self._keep(visit, number, text, reading)

    def _keep(self, visit: Visit, number: int, text: str, reading: Reading) -> dict[str, Any]:
        """Keeps a grounding; returns the value of the view of phrases."""
        visit.need_entities(map_number=number)
        visit.grounding, visit.text, visit.words = reading.grounding, text, grounded_words(reading)
        return visit.words

    def on_find(self, visit: Visit, name: str, text: str, chosen: Chosen) -> Steps:
        """Finds the nouns of the text."""
        pixels = visit.need_photo()
        check_text(text)
        visit.grounding = None
        finding = self.shared.worker.work(
            lambda report: self.shared.models.grounder(name).nouns(pixels, text, max_pixels=self.shared.max_pixels),
            self._begin(name, "Finding nouns"),
        )
        yield from while_photo_stays(visit, finding)
        visit.text, visit.words = text, noun_words(text, finding.result)
        return (visit.words,)

    def on_ground(self, visit: Visit, name: str, text: str, way: str, threshold: float, chosen: Chosen) -> Steps:
        """Grounds the text."""
        pixels, best, number = visit.need_photo(), best_entities(visit, chosen), visit.map_number
        check_text(text)
        visit.grounding = None
        grounding = self.shared.worker.work(
            lambda report: read(
                self.shared.models.grounder(name), pixels, best, text, way, threshold, self.shared.max_pixels
            ),
            self._begin(name, "Grounding"),
        )
        yield from while_photo_stays(visit, grounding)
        return (self._keep(visit, number, text, grounding.result),)

    def on_ask(self, visit: Visit, name: str, text: str, chosen: Chosen) -> Steps:
        """Answers the text, which is a question about the photo."""
        pixels = visit.need_photo()
        check_text(text)
        visit.grounding = None

        def answer(report: Report) -> str:
            grounder = self.shared.models.grounder(name)
            report(0, 1, "Looking at the picture")
            said = ""
            for piece in grounder.ask(pixels, text, max_pixels=self.shared.max_pixels):
                if not said:
                    report(0, 1, "Writing")
                said += piece
                report.show(answer_words(text, said.strip()))
            if not said.strip():
                raise InputError("The model did not answer this question; try other words.")
            return said.strip()

        answering = self.shared.worker.work(answer, self._begin(name, "Looking at the picture"))
        yield from while_photo_stays(visit, answering)
        visit.text, visit.words = text, answer_words(text, answering.result)
        return (visit.words,)

    def on_model(self, name: str) -> gr.Button:
        """Shows the button Ask if the selected model can answer questions."""
        return gr.Button(visible=can_answer(name))


def can_answer(name: str) -> bool:
    """Whether this grounder answers questions; False if it cannot be read, which is an error once it is used."""
    try:
        return Grounder.can_answer(name)
    except EsgError:
        return False


def check_text(text: str, what: str = "") -> None:
    """Raises InputError if a text is empty or too long; an endpoint gives the name of its input as `what`."""
    check_length(text, what or "The text")
    if not text.strip(" ,\n\t"):
        raise InputError(f"{what} is empty." if what else "Write a text first, or let Describe write one.")


def grounder_choices(model: str) -> list[tuple[str, str]]:
    """Label and value of every grounder with weights on this machine, of `zero-shot`, and of `model`."""
    names = [checkpoint.name for checkpoint, path in list_checkpoints() if path and checkpoint.task == "grounding"]
    found = [(name, name) for name in [*names, "zero-shot"]]
    return found if (model, model) in found else [(short_name(model), model), *found]


@dataclass(frozen=True)
class Reading:
    """The grounding of a text.

    Attributes:
        grounding: its phrases, with the entities that reach the threshold.
        guess: the best entity for an expression, if no entity reaches the threshold; otherwise None.
        least: the threshold.
        said: the language model's answer; empty if it was not asked.
    """

    grounding: Grounding
    guess: Phrase | None = None
    least: float = 0.5
    said: str = ""


def read(
    grounder: Grounder, pixels: Any, entities: EntityMap, text: str, way: str, threshold: float, max_pixels: int
) -> Reading:
    """Grounds a text, read in one of `WAYS`; raises the errors of `Grounder`."""
    if way == EXPRESSION:
        found = grounder.refer(pixels, entities, text, threshold=0, max_pixels=max_pixels)
        best = Phrase(found.text, found.span, found.entity_ids[:1], found.scores[:1])
        if best.scores and best.scores[0] < threshold:
            return Reading(Grounding(best.text, (Phrase(best.text, best.span),)), best, threshold)
        return Reading(Grounding(best.text, (best,)), None, threshold)
    if way == NAMES:
        named = grounder.panoptic(pixels, entities, names_in(text), threshold=threshold, max_pixels=max_pixels)
        if not named.segments:
            return Reading(Grounding(text, (Phrase(text, (0, len(text))),)), None, threshold)
        return Reading(named.grounding(merged=False), None, threshold)
    if way == LIST:
        given: dict[str, Any] = {"phrases": split_names(text)}
    else:
        given = {"caption": text}
    grounding = grounder(pixels, entities, **given, threshold=threshold, max_pixels=max_pixels)
    said = grounder.answer(pixels, text, max_pixels=max_pixels) if way == SENTENCE else ""
    return Reading(grounding, None, threshold, said)


def names_in(text: str) -> NameList:
    """The names in a text, each once, or those of a known list; InputError if the text has no names."""
    once: dict[str, str] = {}
    for name in split_names(text):
        once.setdefault(name.casefold(), name)
    names = [*once.values()]
    # Never the text itself, which would be the path of a file here.
    return NameList.read(names[0].lower() if len(names) == 1 and names[0].lower() in LISTS else names)


def noun_words(caption: str, spans: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """The value of the view of phrases for a text whose nouns are not grounded yet."""
    phrases = [{"text": caption[slice(*span)], "span": [*span], "ids": [], "scores": []} for span in spans]
    hint = "Click Ground to find the entities of these nouns." if phrases else "This text does not contain any nouns."
    return {"caption": caption, "phrases": phrases, "grounded": False, "hint": hint}


def answer_words(question: str, answer: str) -> dict[str, Any]:
    """The value of the view of phrases for the answer to a question."""
    return {"caption": answer, "phrases": [], "grounded": False, "hint": f"The answer to: {' '.join(question.split())}"}


def grounded_words(reading: Reading) -> dict[str, Any]:
    """The value of the view of phrases for a grounded text, with the entities of each phrase, or with a guess."""
    grounding, guess = reading.grounding, reading.guess
    if guess is not None:
        number, score = guess.entity_ids[0], guess.scores[0]
        one = {"text": guess.text, "span": [*guess.span], "ids": [number], "scores": [score], "guess": True}
        hint = (
            f"Only a guess: entity {number} fits best, but its score of {score:.2f} is below the minimum of "
            f"{reading.least:.2f}."
        )
        return {"caption": grounding.caption, "phrases": [one], "grounded": True, "hint": hint}
    phrases = [
        {"text": one.text, "span": [*one.span], "ids": [*one.entity_ids], "scores": [*one.scores]}
        for one in grounding.phrases
    ]
    touch_hint = None
    if not phrases:
        hint = "This text does not contain any nouns."
    elif not any(one["ids"] for one in phrases):
        hint = "No entity reaches the minimum score for these phrases; lower it below, or try other words."
    else:
        hint = "Click a phrase to select its entities. Shift-click adds them, Alt-click removes them."
        touch_hint = "Tap a phrase to select its entities."
    more = {"hint": hint, "touch_hint": touch_hint, "said": reading.said}
    return {"caption": grounding.caption, "phrases": phrases, "grounded": True, **more}
