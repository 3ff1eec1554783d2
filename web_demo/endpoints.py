"""The page from code: named endpoints, for `gradio_client` and plain HTTP.

They are stateless: every call includes its photo. They wait in the same queue as visitors. Their inputs are invisible
components, since Gradio verifies only for components that a file was uploaded by the caller. Arguments are checked here
and not by the components, whose messages mention Gradio; everything that can be checked early is checked before the
photo is segmented.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.context import LocalContext

from esg import (
    DiffusionInpainting,
    EntityMap,
    EsgError,
    InputError,
    MaskSettings,
    PaintSettings,
    Photo,
    choose,
    read_image,
    read_masks,
    read_photo,
    split_names,
    write_image,
)
from esg.support.errors import Advice

from .editing import Area, Edit, edited
from .gate import Callers
from .models import short_name
from .parts.words import LIST, NAMES, SENTENCE, WAYS, can_answer, check_text, names_in, read
from .picture import new_folder, private_file
from .shared import Shared, check_length, filled
from .working import News, Report, Work

CROPS = (0, 4, 8)
MAX_PIXELS_OF_EDGES = 4096  # grow and feather, in pixels of the photo


class Abandoned(Exception):
    """Raised when the caller no longer waits for the answer."""


def add_endpoints(
    shared: Shared, segmenters: gr.Dropdown, grounders: gr.Dropdown, inpainters: gr.Dropdown, callers: Callers
) -> None:
    """Adds the endpoints to the page that is being built; callers can use the models that its menus offer."""
    models, worker, max_pixels = shared.models, shared.worker, shared.max_pixels

    def segment(
        report: Report, image: str, model: str, crops: float | None = None, min_score: float | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Segments a photo; returns a 16-bit label PNG, whose pixels are entity ids, and the entities as COCO JSON."""
        _from_menu("model", segmenters, model)
        views = None if crops is None else _whole("crops", crops)
        if views is not None and views not in CROPS:
            raise InputError(f"crops is {views}, but must be one of {', '.join(map(str, CROPS))}.")
        least = None if min_score is None else _number("min_score", min_score, 0, 1)
        pixels = read_image(_given(image), max_pixels=max_pixels)
        segmenter = models.segmenter(model)
        entities = segmenter(pixels, crops=views, min_score=least, max_pixels=max_pixels, progress=report)
        path = new_folder() / f"{Path(image).stem}.labels.png"
        entities.save_labels_png(path)
        return str(private_file(path)), entities.to_coco(file_name=Path(image).name)

    def describe(report: Report, image: str, model: str, segmenter: str) -> str:
        """Describes a photo; the text grows word by word. A small model then writes several captions, and the last text
        is the one whose nouns are grounded best in the photo's entities."""
        _from_menu("model", grounders, model)
        _from_menu("segmenter", segmenters, segmenter)
        pixels, grounder = read_image(_given(image), max_pixels=max_pixels), models.grounder(model)
        text = ""
        for piece in grounder.caption(pixels, max_pixels=max_pixels):
            text += piece
            report.show(text.strip())
        if grounder.model.drafts == 1:
            return text.strip()
        entities = models.segmenter(segmenter)(pixels, max_pixels=max_pixels, progress=report)
        return grounder.best_caption(pixels, entities, max_pixels=max_pixels, progress=report)

    def find_nouns(report: Report, image: str, caption: str, model: str) -> list[dict[str, Any]]:
        """Lists the nouns of a caption: text and span of each."""
        _from_menu("model", grounders, model)
        check_text(_text_of("caption", caption), "caption")
        pixels = read_image(_given(image), max_pixels=max_pixels)
        spans = models.grounder(model).nouns(pixels, caption, max_pixels=max_pixels)
        return [{"text": caption[slice(*span)], "span": [*span]} for span in spans]

    def ask(report: Report, image: str, question: str, model: str) -> str:
        """Answers a question about a photo; the text grows word by word. It needs a large language model."""
        _from_menu("model", grounders, model)
        check_text(_text_of("question", question), "question")
        if not can_answer(model):
            raise InputError(f"{short_name(model)} cannot answer questions; choose one that can, such as zero-shot.")
        pixels, text = read_image(_given(image), max_pixels=max_pixels), ""
        for piece in models.grounder(model).ask(pixels, question, max_pixels=max_pixels):
            text += piece
            report.show(text.strip())
        return text.strip()

    def ground(
        report: Report,
        image: str,
        text: str,
        read_as: str,
        threshold: float,
        model: str,
        segmenter: str,
        masks: str | None = None,
    ) -> dict[str, Any]:
        """Finds the entities that a text refers to: caption and phrases with ids and scores. If no entity reaches the
        threshold for an expression, its phrase has no entities, and "guess" is the best one with its score."""
        _from_menu("model", grounders, model)
        _from_menu("segmenter", segmenters, segmenter)
        check_text(_text_of("text", text), "text")
        if read_as not in WAYS:
            raise InputError(f"read_as: {_short(read_as)} is not in the list of choices: {', '.join(WAYS)}.")
        least = _number("threshold", threshold, 0, 1)
        names = names_in(text).spoken if read_as == NAMES else split_names(text) if read_as == LIST else [text]
        models.grounder(model).check_words(names)
        photo, entities = look(report, image, masks, segmenter)
        reading = read(models.grounder(model), photo.pixels, entities, text, read_as, least, max_pixels)
        found = reading.grounding.to_json()
        if reading.guess is not None:
            found["guess"] = {"entity_id": reading.guess.entity_ids[0], "score": reading.guess.scores[0]}
        return found

    def edit(
        report: Report,
        image: str,
        entities: str,
        prompt: str,
        grow: float,
        feather: float,
        soft: bool,
        steps: float,
        strength: float,
        guidance: float,
        seed: float,
        model: str,
        segmenter: str,
        masks: str | None = None,
    ) -> str:
        """Removes entities, or repaints them if there is a prompt; returns a PNG of the photo's size."""
        _from_menu("model", inpainters, model)
        _from_menu("segmenter", segmenters, segmenter)
        # Only a syntax check: the photo's entities are not known yet.
        choose(EntityMap.from_labels(np.zeros((1, 1), np.int32)), _text_of("entities", entities), strict=False)
        if not isinstance(soft, bool):
            raise InputError(f"soft is {_short(soft)}, but must be true or false.")
        mask = MaskSettings(
            _whole("grow", grow, 0, MAX_PIXELS_OF_EDGES), _whole("feather", feather, 0, MAX_PIXELS_OF_EDGES)
        )
        paint = PaintSettings(
            steps=_whole("steps", steps),
            strength=_number("strength", strength),
            guidance=_number("guidance", guidance),
            seed=_whole("seed", seed),
        )
        wanted = Edit(Area(soft=soft), _text_of("prompt", prompt).strip(), mask, paint, model)
        wanted.check()
        if wanted.prompt and DiffusionInpainting.find(model) is None:
            raise InputError(f"{model} is not on this machine, and endpoints never download; run hf download {model}.")
        photo, known = look(report, image, masks, segmenter)
        ids = tuple(choose(known, entities))
        if not ids:
            raise InputError(f"No entity matches {entities!r}; the photo has {len(known)} entities.")
        engine = models.diffusion(model, download=False) if wanted.prompt else None
        picture, _ = edited(photo.pixels, known, replace(wanted, area=Area(ids, soft=soft)), engine, report)
        path = new_folder() / f"{Path(image).stem}.edited.png"
        write_image(path, photo.edited(picture), metadata=photo.metadata)
        return str(private_file(path))

    def look(report: Report, image: str, masks: str | None, segmenter: str) -> tuple[Photo, EntityMap]:
        photo = read_photo(_given(image), max_pixels=max_pixels)
        if masks:
            height, width = photo.pixels.shape[:2]
            return photo, read_masks(masks, (height, width), photo=image, max_pixels=max_pixels)
        return photo, models.segmenter(segmenter)(photo.pixels, max_pixels=max_pixels, progress=report)

    def watched(work: Work[Any]) -> Iterator[News]:
        """The news of some work, until the caller disconnects, which ends the work at its next report."""
        request = LocalContext.request.get(None)
        session = str(request.session_hash) if request else ""
        times = callers.left(session)
        steps = iter(work)
        try:
            for news in steps:
                if callers.left(session) > times:
                    raise Abandoned
                yield news
        finally:
            steps.close()  # type: ignore[attr-defined]

    def add(
        name: str, function: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any], grows: bool = False
    ) -> None:
        def begin(given: Sequence[Any]) -> Work[Any]:
            values = filled(inputs, given)
            return worker.work(lambda report: function(report, *values), "")

        def run(*given: Any) -> Any:
            with _sentences(given):
                work = begin(given)
                for _ in watched(work):
                    pass
                return work.result

        def run_growing(*given: Any) -> Iterator[Any]:
            with _sentences(given):
                said, work = None, begin(given)
                for news in watched(work):
                    if isinstance(news, tuple) and news[0] != said:  # work repeats its last news
                        yield (said := news[0])
                if work.result != said:
                    yield work.result

        answer = wraps(function)(run_growing if grows else run)
        # Callers see the function's parameter names; `report` is not one of them.
        own = inspect.signature(function)
        answer.__signature__ = own.replace(parameters=[*own.parameters.values()][1:])  # type: ignore[attr-defined]
        # An event needs a trigger; nobody can press this one.
        trigger = gr.Button(visible=False).click
        trigger(answer, inputs, outputs, api_name=name, concurrency_id="model", concurrency_limit=1)

    mask, paint = MaskSettings(), PaintSettings()
    image, masks = _file("image"), _file("masks")
    segmenter, grounder, inpainter = (_same(menu) for menu in (segmenters, grounders, inpainters))
    crops = _field("crops", None)
    add("segment", segment, [image, segmenter, crops, _field("min_score", None)], [_file("labels"), _json("coco")])
    add("describe", describe, [image, grounder, segmenter], [_text("caption")], grows=True)
    add("find_nouns", find_nouns, [image, _text("caption"), grounder], [_json("nouns")])
    add("ask", ask, [image, _text("question"), grounder], [_text("answer")], grows=True)
    way = _unchecked(gr.Radio(WAYS, value=SENTENCE, visible=False, label="read_as"))
    words = [image, _text("text"), way, _field("threshold", 0.5), grounder, segmenter, masks]
    add("ground", ground, words, [_json("grounding")])
    wishes = [
        image,
        _text("entities"),
        _text("prompt", ""),
        _field("grow", mask.grow),
        _field("feather", mask.feather),
        _unchecked(gr.Checkbox(False, visible=False, label="soft")),
        _field("steps", paint.steps),
        _field("strength", paint.strength),
        _field("guidance", paint.guidance),
        _field("seed", paint.seed),
        inpainter,
        segmenter,
        masks,
    ]
    add("edit", edit, wishes, [_file("edited")])


# ---------------------------------------------------------------------------------------------- arguments of callers


def _given(image: str | None) -> str:
    if not image:
        raise InputError("image is missing: give a file that you have uploaded.")
    return image


def _from_menu(name: str, menu: gr.Dropdown, value: Any) -> None:
    """Raises InputError unless the page offers this model; some menus of a private page accept other names, too."""
    if not isinstance(value, str):
        raise InputError(f"{name} is {_short(value)}, but must be the name of a model.")
    offered = [str(choice[1]) for choice in menu.choices]
    if value not in offered and not menu.allow_custom_value:
        names = ", ".join(map(short_name, offered))
        raise InputError(f"{name}: {_short(value)} is not in the list of choices: {names}.")


def _text_of(name: str, value: Any) -> str:
    if value is None:
        raise InputError(f"{name} is missing.")
    if not isinstance(value, str):
        raise InputError(f"{name} is {_short(value)}, but must be text.")
    check_length(value, name)
    return value


def _number(name: str, value: Any, least: float = -np.inf, most: float = np.inf) -> float:
    """A number, which may also be written as text."""
    try:
        if isinstance(value, (bool, type(None))):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} is {_short(value)}, but must be a number.") from None
    if not least <= number <= most:  # also true for NaN
        raise InputError(f"{name} is {_short(value)}, but must be a number from {least:g} to {most:g}.")
    return number


def _whole(name: str, value: Any, least: float = -np.inf, most: float = np.inf) -> int:
    """A whole number, also as 4.0 or "4"."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value  # not as a float, which holds fewer digits than a seed may have
    number = _number(name, value, least, most)
    if not number.is_integer():
        raise InputError(f"{name} is {_short(value)}, but must be a whole number.")
    return int(number)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


# ---------------------------------------------------------------------------------------------- invisible components


def _unchecked(component: Any) -> Any:
    """The component, which now passes its value on unchecked: the endpoint reports problems in its own words."""
    component.preprocess = lambda value: value
    return component


def _file(label: str) -> gr.File:
    return gr.File(type="filepath", visible=False, label=label)


def _text(label: str, value: str | None = None) -> gr.Textbox:
    return _unchecked(gr.Textbox(value, visible=False, label=label))


def _same(menu: gr.Dropdown) -> gr.Dropdown:
    choices = [(str(label), str(value)) for label, value in menu.choices]
    return _unchecked(
        gr.Dropdown(
            choices, value=menu.value, allow_custom_value=menu.allow_custom_value, visible=False, label=menu.label
        )
    )


def _field(label: str, value: float | None) -> gr.Number:
    return _unchecked(gr.Number(value, visible=False, label=label))


def _json(label: str) -> gr.JSON:
    return gr.JSON(visible=False, label=label)


_WORDS = {  # advice that a caller of the endpoints can follow
    Advice.WRITER: "give a text, or choose another model",
    Advice.GROUND: "call /ground with the same masks, and pass the entity_ids that it returns",
    Advice.MASKS: "pass it as masks if it holds masks",
}


@contextmanager
def _sentences(given: Sequence[Any]) -> Iterator[None]:
    """Turns errors for users into Gradio's, without the paths of files on this machine."""
    try:
        yield
    except EsgError as error:
        sentence = error.sentence.worded(_WORDS)
        for path in given:
            if isinstance(path, str) and Path(path).is_absolute():
                sentence = sentence.replace(path, Path(path).name)
        raise gr.Error(sentence, print_exception=False) from None
    except Abandoned:
        raise gr.Error("The caller did not wait for the answer.", print_exception=False) from None
