"""The page from code: endpoints with names, for `gradio_client` and plain HTTP.

They keep nothing: every call brings its photo. They wait in the same queue as visitors. Their inputs are components
that nobody sees, since only for those Gradio checks that a file is one that the caller has uploaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import isgeneratorfunction
from pathlib import Path
from typing import Any

import gradio as gr

from esg import EntityMap, EsgError, InputError, Photo, choose, read_image, read_masks, read_photo, write_image

from .editing import Edit, MaskSettings, Painting, edited
from .parts.words import SENTENCE, WAYS, read
from .picture import new_folder
from .shared import Shared
from .working import Report


def add_endpoints(shared: Shared, segmenters: gr.Dropdown, grounders: gr.Dropdown, inpainters: gr.Dropdown) -> None:
    """Adds them to the page that is being built; callers may name the models that its menus offer."""
    models, worker, max_pixels = shared.models, shared.worker, shared.max_pixels

    def segment(image: str, model: str, crops: float, min_score: float | None = None) -> tuple[str, dict[str, Any]]:
        """Takes a photo apart: a 16-bit label PNG, whose pixels are the ids, and the entities as COCO JSON."""
        with _sentences(image):
            pixels = read_image(_given(image), max_pixels=max_pixels)
            entities = models.segmenter(model)(pixels, crops=int(crops), min_score=min_score, max_pixels=max_pixels)
            path = new_folder() / f"{Path(image).stem}.labels.png"
            entities.save_labels_png(path)
            return str(path), entities.to_coco(file_name=Path(image).name)

    def describe(image: str, model: str) -> Iterator[str]:
        """Describes a photo; the text grows word by word."""

        def write(report: Report) -> None:
            text = ""
            for piece in models.grounder(model).caption(_given(image), max_pixels=max_pixels):
                text += piece
                report.show(text.strip())

        with _sentences(image):
            said = None
            for news in worker.work(write, ""):
                if isinstance(news, tuple) and news[0] != said:  # the last one comes again while no other does
                    yield (said := news[0])

    def find_nouns(image: str, caption: str, model: str) -> list[dict[str, Any]]:
        """The nouns of a caption: text and span of each."""
        with _sentences(image):
            spans = models.grounder(model).nouns(_given(image), caption, max_pixels=max_pixels)
            return [{"text": caption[slice(*span)], "span": [*span]} for span in spans]

    def ground(
        image: str,
        text: str,
        read_as: str,
        threshold: float,
        model: str,
        segmenter: str,
        masks: str | None = None,
    ) -> dict[str, Any]:
        """Says which entities a text means: caption and phrases with ids and scores."""
        with _sentences(image, masks):
            photo, entities = look(image, masks, segmenter)
            return read(models.grounder(model), photo.pixels, entities, text, read_as, threshold, max_pixels).to_json()

    def edit(
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
        """Removes entities, or with a prompt paints them anew; a PNG of the photo's size."""
        with _sentences(image, masks):
            photo, known = look(image, masks, segmenter)
            painting = Painting(model, steps=int(steps), strength=strength, guidance=guidance, seed=int(seed))
            mask = MaskSettings(int(grow), int(feather), soft=soft)
            ids = tuple(choose(known, entities))
            if not ids:
                raise InputError(f"Of {len(known)} entities there is none that {entities!r} means.")
            wanted = Edit(ids, prompt.strip(), mask, painting)
            wanted.check()
            engine = models.diffusion(model, download=False) if wanted.prompt else None
            path = new_folder() / f"{Path(image).stem}.edited.png"
            write_image(path, edited(photo.pixels, known, wanted, engine)[0], icc_profile=photo.profile)
            return str(path)

    def look(image: str, masks: str | None, segmenter: str) -> tuple[Photo, EntityMap]:
        photo = read_photo(_given(image), max_pixels=max_pixels)
        if masks:
            height, width = photo.pixels.shape[:2]
            return photo, read_masks(masks, (height, width), photo=image, max_pixels=max_pixels)
        return photo, models.segmenter(segmenter)(photo.pixels, max_pixels=max_pixels)

    def add(name: str, function: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
        @wraps(function)
        def run(*given: Any) -> Any:
            # A caller's null stands for what the page itself would begin with.
            values = [menu.value if one is None else one for menu, one in zip(inputs, given)]
            return worker.submit(function, *values).result()

        # An event needs a trigger; nobody can press this one.
        trigger = gr.Button(visible=False).click
        answer = function if isgeneratorfunction(function) else run
        trigger(answer, inputs, outputs, api_name=name, concurrency_id="model", concurrency_limit=1)

    mask, painting = MaskSettings(), Painting("")
    image, masks = _file("image"), _file("masks")
    segmenter, grounder, inpainter = (_same(menu) for menu in (segmenters, grounders, inpainters))
    crops = _number("crops", 4)
    add("segment", segment, [image, segmenter, crops, _number("min_score", None)], [_file("labels"), _json("coco")])
    add("describe", describe, [image, grounder], [_text("caption")])
    add("find_nouns", find_nouns, [image, _text("caption"), grounder], [_json("nouns")])
    way = gr.Radio(WAYS, value=SENTENCE, visible=False, label="read_as")
    words = [image, _text("text"), way, _number("threshold", 0.5), grounder, segmenter, masks]
    add("ground", ground, words, [_json("grounding")])
    wishes = [
        image,
        _text("entities"),
        _text("prompt", ""),
        _number("grow", mask.grow),
        _number("feather", mask.feather),
        gr.Checkbox(mask.soft, visible=False, label="soft"),
        _number("steps", painting.steps),
        _number("strength", painting.strength),
        _number("guidance", painting.guidance),
        _number("seed", painting.seed),
        inpainter,
        segmenter,
        masks,
    ]
    add("edit", edit, wishes, [_file("edited")])


def _given(image: str | None) -> str:
    if not image:
        raise InputError("Give an image: a file that you have uploaded.")
    return image


def _file(label: str) -> gr.File:
    return gr.File(type="filepath", visible=False, label=label)


def _text(label: str, value: str | None = None) -> gr.Textbox:
    return gr.Textbox(value, visible=False, label=label)


def _same(menu: gr.Dropdown) -> gr.Dropdown:
    choices = [(str(label), str(value)) for label, value in menu.choices]
    return gr.Dropdown(
        choices, value=menu.value, allow_custom_value=menu.allow_custom_value, visible=False, label=menu.label
    )


def _number(label: str, value: float | None) -> gr.Number:
    return gr.Number(value, visible=False, label=label)


def _json(label: str) -> gr.JSON:
    return gr.JSON(visible=False, label=label)


@contextmanager
def _sentences(*paths: str | None) -> Iterator[None]:
    """Errors for users become Gradio's; where files lie on this machine is not told."""
    try:
        yield
    except EsgError as error:
        sentence = str(error)
        for path in filter(None, paths):
            sentence = sentence.replace(path, Path(path).name)
        raise gr.Error(sentence, print_exception=False) from None
