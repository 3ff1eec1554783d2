"""The page from code: named endpoints, for `gradio_client` and plain HTTP.

They are stateless: every call includes its photo. They wait in the same queue as visitors. Everything that can be
checked early is checked before the photo is segmented.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from esg import (
    DiffusionInpainting,
    EntityMap,
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

from .answering import Answering, file_field, json_field, number_field, same_menu, text_field, unchecked
from .arguments import from_menu, given, number, short, text_of, whole
from .editing import Area, Edit, edited
from .gate import Callers
from .models import short_name
from .parts.words import LIST, NAMES, SENTENCE, WAYS, can_answer, check_text, names_in, read
from .picture import new_folder, private_file
from .shared import Shared
from .working import Report

CROPS = (0, 4, 8)
MAX_PIXELS_OF_EDGES = 4096  # grow and feather, in pixels of the photo


class Endpoints:
    """The endpoints, each a method. Callers read the docstrings of these methods.

    Args:
        shared: models and limits of the page.
        segmenters, grounders, inpainters: the menus of the page, whose models can be used.
    """

    def __init__(
        self, shared: Shared, segmenters: gr.Dropdown, grounders: gr.Dropdown, inpainters: gr.Dropdown
    ) -> None:
        self._models, self._max_pixels = shared.models, shared.max_pixels
        self._segmenters, self._grounders, self._inpainters = segmenters, grounders, inpainters

    def segment(
        self, report: Report, image: str, model: str, crops: float | None = None, min_score: float | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Segments a photo; returns a 16-bit label PNG, whose pixels are entity ids, and the entities as COCO JSON."""
        from_menu("model", self._segmenters, model)
        views = None if crops is None else whole("crops", crops)
        if views is not None and views not in CROPS:
            raise InputError(f"crops is {views}, but must be one of {', '.join(map(str, CROPS))}.")
        least = None if min_score is None else number("min_score", min_score, 0, 1)
        pixels = read_image(given(image), max_pixels=self._max_pixels)
        segmenter = self._models.segmenter(model)
        entities = segmenter(pixels, crops=views, min_score=least, max_pixels=self._max_pixels, progress=report)
        path = new_folder() / f"{Path(image).stem}.labels.png"
        entities.save_labels_png(path)
        return str(private_file(path)), entities.to_coco(file_name=Path(image).name)

    def describe(self, report: Report, image: str, model: str, segmenter: str) -> str:
        """Describes a photo; the text grows word by word. A small model then writes several captions, and the last text
        is the one whose nouns are grounded best in the photo's entities."""
        from_menu("model", self._grounders, model)
        from_menu("segmenter", self._segmenters, segmenter)
        pixels, grounder = read_image(given(image), max_pixels=self._max_pixels), self._models.grounder(model)
        text = ""
        for piece in grounder.caption(pixels, max_pixels=self._max_pixels):
            text += piece
            report.show(text.strip())
        if grounder.model.drafts == 1:
            return text.strip()
        entities = self._models.segmenter(segmenter)(pixels, max_pixels=self._max_pixels, progress=report)
        return grounder.best_caption(pixels, entities, max_pixels=self._max_pixels, progress=report)

    def find_nouns(self, report: Report, image: str, caption: str, model: str) -> list[dict[str, Any]]:
        """Lists the nouns of a caption: text and span of each."""
        from_menu("model", self._grounders, model)
        check_text(text_of("caption", caption), "caption")
        pixels = read_image(given(image), max_pixels=self._max_pixels)
        spans = self._models.grounder(model).nouns(pixels, caption, max_pixels=self._max_pixels)
        return [{"text": caption[slice(*span)], "span": [*span]} for span in spans]

    def ask(self, report: Report, image: str, question: str, model: str) -> str:
        """Answers a question about a photo; the text grows word by word. It needs a large language model."""
        from_menu("model", self._grounders, model)
        check_text(text_of("question", question), "question")
        if not can_answer(model):
            raise InputError(f"{short_name(model)} cannot answer questions; choose one that can, such as zero-shot.")
        pixels, text = read_image(given(image), max_pixels=self._max_pixels), ""
        for piece in self._models.grounder(model).ask(pixels, question, max_pixels=self._max_pixels):
            text += piece
            report.show(text.strip())
        return text.strip()

    def ground(
        self,
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
        from_menu("model", self._grounders, model)
        from_menu("segmenter", self._segmenters, segmenter)
        check_text(text_of("text", text), "text")
        if read_as not in WAYS:
            raise InputError(f"read_as: {short(read_as)} is not in the list of choices: {', '.join(WAYS)}.")
        least = number("threshold", threshold, 0, 1)
        names = names_in(text).spoken if read_as == NAMES else split_names(text) if read_as == LIST else [text]
        self._models.grounder(model).check_words(names)
        photo, entities = self._look(report, image, masks, segmenter)
        reading = read(self._models.grounder(model), photo.pixels, entities, text, read_as, least, self._max_pixels)
        found = reading.grounding.to_json()
        if reading.guess is not None:
            found["guess"] = {"entity_id": reading.guess.entity_ids[0], "score": reading.guess.scores[0]}
        return found

    def edit(
        self,
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
        from_menu("model", self._inpainters, model)
        from_menu("segmenter", self._segmenters, segmenter)
        # Only a syntax check: the photo's entities are not known yet.
        choose(EntityMap.from_labels(np.zeros((1, 1), np.int32)), text_of("entities", entities), strict=False)
        if not isinstance(soft, bool):
            raise InputError(f"soft is {short(soft)}, but must be true or false.")
        mask = MaskSettings(
            whole("grow", grow, 0, MAX_PIXELS_OF_EDGES), whole("feather", feather, 0, MAX_PIXELS_OF_EDGES)
        )
        paint = PaintSettings(
            steps=whole("steps", steps),
            strength=number("strength", strength),
            guidance=number("guidance", guidance),
            seed=whole("seed", seed),
        )
        wanted = Edit(Area(soft=soft), text_of("prompt", prompt).strip(), mask, paint, model)
        wanted.check()
        if wanted.prompt and DiffusionInpainting.find(model) is None:
            raise InputError(f"{model} is not on this machine, and endpoints never download; run hf download {model}.")
        photo, known = self._look(report, image, masks, segmenter)
        ids = tuple(choose(known, entities))
        if not ids:
            raise InputError(f"No entity matches {entities!r}; the photo has {len(known)} entities.")
        engine = self._models.diffusion(model, download=False) if wanted.prompt else None
        picture, _ = edited(photo.pixels, known, replace(wanted, area=Area(ids, soft=soft)), engine, report)
        path = new_folder() / f"{Path(image).stem}.edited.png"
        write_image(path, photo.edited(picture), metadata=photo.metadata)
        return str(private_file(path))

    def _look(self, report: Report, image: str, masks: str | None, segmenter: str) -> tuple[Photo, EntityMap]:
        photo = read_photo(given(image), max_pixels=self._max_pixels)
        if masks:
            height, width = photo.pixels.shape[:2]
            return photo, read_masks(masks, (height, width), photo=image, max_pixels=self._max_pixels)
        return photo, self._models.segmenter(segmenter)(photo.pixels, max_pixels=self._max_pixels, progress=report)


def add_endpoints(
    shared: Shared, segmenters: gr.Dropdown, grounders: gr.Dropdown, inpainters: gr.Dropdown, callers: Callers
) -> None:
    """Adds the endpoints to the page that is being built; callers can use the models that its menus offer."""
    endpoints = Endpoints(shared, segmenters, grounders, inpainters)
    answering = Answering(shared.worker, callers)
    mask, paint = MaskSettings(), PaintSettings()
    image, masks = file_field("image"), file_field("masks")
    segmenter, grounder, inpainter = (same_menu(menu) for menu in (segmenters, grounders, inpainters))
    crops = number_field("crops", None)
    answering.add(
        "segment",
        endpoints.segment,
        [image, segmenter, crops, number_field("min_score", None)],
        [file_field("labels"), json_field("coco")],
    )
    answering.add("describe", endpoints.describe, [image, grounder, segmenter], [text_field("caption")], grows=True)
    answering.add("find_nouns", endpoints.find_nouns, [image, text_field("caption"), grounder], [json_field("nouns")])
    answering.add("ask", endpoints.ask, [image, text_field("question"), grounder], [text_field("answer")], grows=True)
    way = unchecked(gr.Radio(WAYS, value=SENTENCE, visible=False, label="read_as"))
    words = [image, text_field("text"), way, number_field("threshold", 0.5), grounder, segmenter, masks]
    answering.add("ground", endpoints.ground, words, [json_field("grounding")])
    wishes = [
        image,
        text_field("entities"),
        text_field("prompt", ""),
        number_field("grow", mask.grow),
        number_field("feather", mask.feather),
        unchecked(gr.Checkbox(False, visible=False, label="soft")),
        number_field("steps", paint.steps),
        number_field("strength", paint.strength),
        number_field("guidance", paint.guidance),
        number_field("seed", paint.seed),
        inpainter,
        segmenter,
        masks,
    ]
    answering.add("edit", endpoints.edit, wishes, [file_field("edited")])
