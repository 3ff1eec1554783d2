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
from ..message import Chosen
from ..models import loading, short_name
from ..picture import picture_value
from ..shared import AT_ONCE, Outdated, Shared, Steps, begun, ended, while_photo_stays
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
        self.shared = shared
        fresh = [shared.visit, shared.channels["picture"], shared.text, shared.words]
        shown = [shared.visit, shared.channels["picture"], shared.words]
        uploaded = shared.quick(self.upload.upload, self.on_upload, [self.upload], fresh, READING)
        shot = shared.quick(self.camera.input, self.on_shot, [self.camera], [*fresh, self.camera, self.open], READING)
        example = self.examples.select(self.on_example, shared.visit, fresh, js=begun(READING), **AT_ONCE)
        triggers = uploaded.success, shot.success, ended(example, READING).success
        for trigger in (*triggers, picture.again, self.model.input, self.crops.input):
            outputs = [shared.channels["picture"], shared.words]
            shared.job(trigger, self.on_segment, [self.model, self.crops], outputs, restart=True)
        shared.quick(self.masks.upload, self.on_own_masks, [self.masks], shown, "Reading your masks")
        self.shoot.click(self.on_camera, self.open, [self.open, self.camera], **AT_ONCE)
        self.model.input(self.on_model, self.model, self.banner, **AT_ONCE)

    def _show(self, visit: Visit, path: Path) -> tuple[Any, ...]:
        """Shows a photo, which starts a new visit."""
        photo = _read(path, self.shared.max_pixels)
        visit.begin(path.name, photo.pixels, photo.metadata, photo.rgba)
        if photo.changes:
            gr.Info(f"{path.name}: {'; '.join(photo.changes)}.", duration=10)
        return visit, picture_value(visit.need_photo()), "", None

    def on_upload(self, visit: Visit, path: str, chosen: Chosen) -> tuple[Any, ...]:
        """Shows an uploaded photo."""
        return self._show(visit, Path(path))

    def on_shot(self, visit: Visit, path: str | None, chosen: Chosen) -> tuple[Any, ...]:
        """Shows a picture that the camera took."""
        if path is None:
            raise InputError("The camera did not take a picture; allow the page to use the camera, and try again.")
        return *self._show(visit, Path(path)), gr.Image(value=None, visible=False), False

    def on_example(self, visit: Visit, event: gr.SelectData) -> tuple[Any, ...]:
        """Shows an example photo."""
        return self._show(visit, example_photos()[event.index])

    def on_segment(self, visit: Visit, name: str, crops: int | str, chosen: Chosen) -> Steps:
        """Segments the photo; does nothing if its entities are already those of this model and these crops."""
        if visit.pixels is None:
            raise Outdated
        pixels, known = visit.pixels, visit.entities

        def work(report: Report) -> tuple[EntityMap, int, float] | None:
            segmenter = self.shared.models.segmenter(name)
            views = segmenter.preset.crops if crops == AUTO else int(crops)
            if visit.is_segmented(name, views):  # such as after a change from "auto" to the same number
                return None
            entities = segmenter(pixels, crops=views, min_score=0, max_pixels=self.shared.max_pixels, progress=report)
            return entities, views, segmenter.preset.min_score

        looking = self.shared.worker.work(
            work, "Looking" if self.shared.models.has(EntitySegmenter, name) else loading(name, "entity")
        )
        yield from while_photo_stays(visit, looking)
        if visit.pixels is not pixels or visit.entities is not known:  # an edit was undone, or masks were uploaded
            raise Outdated
        if looking.result is None:
            return gr.skip(), gr.skip()
        _say_what_becomes_of_edits(visit)
        entities, views, least = looking.result
        visit.know(entities, model=name, crops=views, min_score=least)
        return picture_value(pixels, entities, map_number=visit.map_number, min_score=least), None

    def on_own_masks(self, visit: Visit, paths: list[str], chosen: Chosen) -> tuple[Any, ...]:
        """Shows the entities of the visitor's own masks."""
        pixels = visit.need_photo()
        found = read_own_masks([Path(path) for path in paths], visit, self.shared.max_pixels)
        for sentence in found.warnings:
            gr.Warning(sentence, duration=None)  # until it is closed, since missing masks are easily overlooked
        _say_what_becomes_of_edits(visit)
        visit.know(found.entities)
        return visit, picture_value(pixels, found.entities, map_number=visit.map_number), None

    def on_camera(self, is_open: bool) -> tuple[Any, ...]:
        """Opens or closes the camera."""
        return not is_open, gr.Image(visible=not is_open)

    def on_model(self, name: str) -> gr.Markdown:
        """Shows what the small weights can do if they are selected."""
        return gr.Markdown(visible=is_small(name))


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
        raise error.renamed(path, path.name) from None  # without the server's folders
