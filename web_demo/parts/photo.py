"""Choosing and segmenting a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from esg import (
    EntityMap,
    EntitySegmenter,
    EsgError,
    InputError,
    Photo,
    checkpoint_named,
    list_checkpoints,
    read_photo,
)

from ..masks import MASK_FILES, read_own_masks
from ..models import loading, short_name
from ..picture import picture_value
from ..shared import AT_ONCE, Chosen, Outdated, Shared, Steps, begun, ended, while_photo_stays
from ..visit import Visit
from ..working import Report

EXAMPLES = Path(__file__).parent.parent / "examples"
CAPTIONS = {"astronaut": "Astronaut", "chelsea": "Cat", "coffee": "Coffee", "rocket": "Rocket"}
READING = "Reading the photo"
AUTO = "auto"
CROPS: list[tuple[str, str | int | float]] = [(AUTO, AUTO), ("none", 0), ("4", 4), ("8", 8)]

SMALL_WEIGHTS = f"""**Small weights:** {checkpoint_named("cropformer-nano").knows} The authors' full model is far
better: run `esg weights download cropformer-hornet-large` (licence CC BY-NC 4.0, no commercial use), restart this page,
and choose it under *Model*."""


class PhotoPart:
    """The row above the picture.

    Args:
        model: the segmenter that is selected at the start.
    """

    def __init__(self, model: str) -> None:
        self.banner = gr.Markdown(SMALL_WEIGHTS, visible=is_small(model), elem_id="banner")
        with gr.Row(elem_id="top"):
            with gr.Row(elem_id="start"):
                self.upload = gr.UploadButton(
                    "Choose a photo", variant="primary", elem_id="upload", scale=0, min_width=150
                )
                self.shoot = gr.Button("Camera", elem_id="shoot", scale=0, min_width=90)
                self.examples = gr.Gallery(
                    [(str(path), CAPTIONS[path.stem]) for path in example_photos()],
                    label="Example photos",
                    show_label=False,
                    columns=len(CAPTIONS),
                    allow_preview=False,
                    interactive=False,
                    object_fit="cover",
                    buttons=[],
                    container=False,
                    min_width=240,
                    elem_id="examples",
                )
            with gr.Row(elem_id="settings"):
                self.model = gr.Dropdown(
                    segmenter_choices(model), value=model, label="Model", scale=0, min_width=210, elem_id="model"
                )
                self.crops = gr.Radio(
                    CROPS, value=AUTO, label="High-resolution crops", scale=0, min_width=180, elem_id="crops"
                )
                self.masks = gr.UploadButton(
                    "Your own masks",
                    file_count="multiple",
                    file_types=MASK_FILES,
                    elem_id="masks",
                    scale=0,
                    min_width=140,
                )
        self.open = gr.State(False)  # whether the camera is open
        self.camera = gr.Image(
            sources=["webcam"], type="filepath", label="Camera", visible=False, elem_id="camera", height=320
        )

    def connect(self, shared: Shared, picture: gr.HTML) -> None:
        """Connects the events to their handlers; `picture` is the view that can ask for a photo to be segmented."""
        fresh = [shared.visit, shared.channels["picture"], shared.text, shared.words]

        def show(visit: Visit, path: Path) -> tuple[Any, ...]:
            photo = _read(path, shared.max_pixels)
            visit.begin(path.name, photo.pixels, photo.metadata, photo.rgba)
            if photo.changes:
                gr.Info(f"{path.name}: {'; '.join(photo.changes)}.", duration=10)
            return visit, picture_value(visit.need_photo()), "", None

        def show_upload(visit: Visit, path: str, chosen: Chosen) -> tuple[Any, ...]:
            return show(visit, Path(path))

        def show_shot(visit: Visit, path: str | None, chosen: Chosen) -> tuple[Any, ...]:
            if path is None:
                raise InputError("The camera did not take a picture; allow the page to use the camera, and try again.")
            return *show(visit, Path(path)), gr.Image(value=None, visible=False), False

        def show_example(visit: Visit, event: gr.SelectData) -> tuple[Any, ...]:
            return show(visit, example_photos()[event.index])

        def segment(visit: Visit, name: str, crops: int | str, chosen: Chosen) -> Steps:
            if visit.pixels is None:
                raise Outdated
            pixels, known = visit.pixels, visit.entities

            def work(report: Report) -> tuple[EntityMap, int, float]:
                segmenter = shared.models.segmenter(name)
                views = segmenter.preset.crops if crops == AUTO else int(crops)
                entities = segmenter(pixels, crops=views, min_score=0, max_pixels=shared.max_pixels, progress=report)
                return entities, views, segmenter.preset.min_score

            looking = shared.worker.work(
                work, "Looking" if shared.models.has(EntitySegmenter, name) else loading(name, "entity")
            )
            yield from while_photo_stays(visit, looking)
            if visit.pixels is not pixels or visit.entities is not known:  # an edit was undone, or masks were uploaded
                raise Outdated
            _say_what_becomes_of_edits(visit)
            entities, views, least = looking.result
            visit.know(entities, model=name, crops=views, min_score=least)
            return picture_value(pixels, entities, map_number=visit.map_number, min_score=least), None

        def own_masks(visit: Visit, paths: list[str], chosen: Chosen) -> tuple[Any, ...]:
            pixels = visit.need_photo()
            found = read_own_masks([Path(path) for path in paths], visit, shared.max_pixels)
            for sentence in found.warnings:
                gr.Warning(sentence, duration=None)  # until it is closed, since missing masks are easily overlooked
            _say_what_becomes_of_edits(visit)
            visit.know(found.entities)
            return visit, picture_value(pixels, found.entities, map_number=visit.map_number), None

        def run(trigger: Any) -> None:
            outputs = [shared.channels["picture"], shared.words]
            shared.job(trigger, segment, [self.model, self.crops], outputs, anew=True)

        run(shared.quick(self.upload.upload, show_upload, [self.upload], fresh, READING).success)
        shot = [*fresh, self.camera, self.open]
        run(shared.quick(self.camera.input, show_shot, [self.camera], shot, READING).success)
        chosen_example = self.examples.select(show_example, shared.visit, fresh, js=begun(READING), **AT_ONCE)
        run(ended(chosen_example, READING).success)
        self.shoot.click(
            lambda open: (not open, gr.Image(visible=not open)), self.open, [self.open, self.camera], **AT_ONCE
        )
        shown = [shared.visit, shared.channels["picture"], shared.words]
        shared.quick(self.masks.upload, own_masks, [self.masks], shown, "Reading your masks")
        self.model.input(
            lambda name: gr.Markdown(visible=is_small(name)),
            self.model,
            self.banner,
            **AT_ONCE,
        )
        run(picture.again)
        run(self.model.input)
        run(self.crops.input)
        self.segment = segment


def example_photos() -> list[Path]:
    return [EXAMPLES / f"{name}.jpg" for name in CAPTIONS]


def segmenter_choices(model: str) -> list[tuple[str, str]]:
    """Label and value of every segmenter with weights on this machine, and of `model`."""
    names = [checkpoint.name for checkpoint, path in list_checkpoints() if path and checkpoint.task == "entity"]
    found = [(name, name) for name in names]
    return found if model in names else [(short_name(model), model), *found]


def is_small(model: str) -> bool:
    """Whether these are the bundled weights."""
    return any(checkpoint.name == model and checkpoint.shipped for checkpoint, _ in list_checkpoints())


def _say_what_becomes_of_edits(visit: Visit) -> None:
    if visit.changes:
        gr.Info("Your edits are now part of the photo and can no longer be undone.", duration=6)


def _read(path: Path, max_pixels: int) -> Photo:
    try:
        return read_photo(path, max_pixels=max_pixels)
    except EsgError as error:
        message = error.sentence.message.replace(str(path), path.name)
        raise type(error)(message, error.sentence.advice) from None  # without the server's folders
