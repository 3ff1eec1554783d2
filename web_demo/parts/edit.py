"""The tab Edit: removes or replaces the selection."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from esg import CropSettings, DiffusionInpainting, EntityMap, InputError, MaskSettings, PaintSettings, write_ids

from ..editing import Area, Edit, edited, mask_picture, read_steps
from ..message import Chosen, Stroke
from ..picture import LONGEST_SHOWN, edited_value, image_value, picture_value, shown_file
from ..shared import AT_ONCE, Shared, Steps, check_length, entities_seen, while_photo_stays
from ..visit import Visit
from ..working import Report
from .photo import PhotoPart

Painted = tuple[np.ndarray, CropSettings]

REMOVE, REPLACE = WAYS = ("Remove", "Replace")
MODELS = ["stable-diffusion-v1-5/stable-diffusion-inpainting", "diffusers/stable-diffusion-xl-1.0-inpainting-0.1"]

REMOVE_HELP = """OpenCV continues the surroundings into the selection. This suits small things on a plain background and
needs no GPU. *Replace* uses a diffusion model instead."""

STEPS_HELP = """One edit per line, in order: `3, 5 = a blue dress`, or `3, 5 =` to remove. Instead of numbers you can
write `largest`, `area<1%` or, after you have grounded words, `phrase: dog`."""


class EditPart:
    """The tab Edit.

    Args:
        inpainter: the diffusion model that is offered first; empty: only the usual ones.
        private: whether only this machine can reach the page, so that a visitor may choose and download any model.
    """

    def __init__(self, inpainter: str, private: bool) -> None:
        self.private = private
        mask, paint = MaskSettings(), PaintSettings()
        self.what = gr.Radio(WAYS, value=REMOVE, label="What to do with the selection", elem_id="what")
        with gr.Group(visible=False, elem_id="painting") as self.painting:
            self.prompt = gr.Textbox(
                "", label="Replace it with", placeholder="a blue silk dress with golden stars", elem_id="prompt"
            )
            self.model = gr.Dropdown(
                [inpainter, *MODELS] if inpainter else MODELS,
                value=inpainter or MODELS[0],
                allow_custom_value=private,
                label="Diffusion model",
                info="Any diffusers inpainting model: its id, or a folder on this machine" if private else None,
                elem_id="diffusion",
            )
            self.download = gr.Checkbox(
                label="Download it if it is missing (gigabytes)", visible=private, elem_id="download"
            )
            with gr.Accordion("Steps, strength, guidance, seed, colours", open=False):
                self.negative = gr.Textbox(paint.negative, label="What to avoid", placeholder="blurry, text")
                self.steps = gr.Slider(1, 100, value=paint.steps, step=1, label="Steps", elem_id="steps")
                self.strength = gr.Slider(0.05, 1, value=paint.strength, step=0.05, label="Strength (lower keeps more)")
                self.guidance = gr.Slider(0, 20, value=paint.guidance, step=0.5, label="Guidance")
                self.seed = gr.Number(value=paint.seed, precision=0, minimum=0, label="Seed")
                self.match = gr.Slider(0, 1, value=paint.match_colour, step=0.05, label="Match the surrounding colours")
        self.help = gr.Markdown(REMOVE_HELP, elem_classes="esg-help")
        with gr.Accordion("Mask", open=True):
            self.grow = gr.Slider(0, 128, value=mask.grow, step=1, label="Grow (pixels of the photo)", elem_id="grow")
            self.feather = gr.Slider(0, 128, value=mask.feather, step=1, label="Feather (pixels)", elem_id="feather")
            with gr.Row():
                self.fill = gr.Checkbox(mask.fill_holes, label="Fill holes", min_width=80, elem_id="fill")
                self.soft = gr.Checkbox(False, label="Soft edge", min_width=80, elem_id="soft")
                self.invert = gr.Checkbox(False, label="Invert", min_width=80, elem_id="invert")
        with gr.Row():
            self.apply = gr.Button(REMOVE, variant="primary", elem_id="apply", min_width=90)
            self.undo = gr.Button("Undo", interactive=False, elem_id="undo", min_width=80)
            self.segment_again = gr.Button("Segment again", interactive=False, elem_id="segment-again", min_width=130)
        with gr.Accordion("Several edits in a row", open=False, elem_id="several"):
            gr.Markdown(STEPS_HELP, elem_classes="esg-help")
            self.list = gr.Textbox("", show_label=False, lines=3, max_lines=10, elem_id="list", placeholder="3, 5 =")
            with gr.Row():
                self.add = gr.Button("Add the selection", elem_id="add", min_width=130)
                self.run = gr.Button("Run all", elem_id="run", min_width=90)

    @property
    def _mask(self) -> list[Any]:
        return [self.invert, self.soft, self.grow, self.feather, self.fill]

    @property
    def _painting(self) -> list[Any]:
        return [self.model, self.negative, self.steps, self.strength, self.guidance, self.seed, self.match]

    def connect(self, shared: Shared, photo: PhotoPart) -> None:
        """Connects the events to their handlers; `photo` segments the result again."""
        self.shared, self.photo = shared, photo
        picture, edited_photo = shared.channels["picture"], shared.channels["edited"]
        settings = [*self._mask, *self._painting, self.download]
        shared.job(self.apply.click, self.on_apply, [self.what, self.prompt, *settings], [edited_photo])
        shared.job(self.run.click, self.on_run_list, [self.list, *settings], [edited_photo])
        shared.job(self.segment_again.click, self.on_segment_again, [photo.model, photo.crops], [picture, shared.words])
        undone = [shared.visit, edited_photo]
        shared.quick(self.undo.click, self.on_undo, [], undone, "Undoing the last edit")
        for channel in (picture, edited_photo):
            shared.quick(channel.change, self.on_change, [], [shared.slider, self.undo, self.segment_again])
        shared.quick(self.add.click, self.on_add, [self.list, self.what, self.prompt], [self.list])
        mask = shared.channels["mask"]
        for trigger in (mask.wanted, *(setting.change for setting in self._mask)):
            shared.quick(trigger, self.on_mask, self._mask, [mask], "Drawing the mask", trigger_mode="always_last")
        self.what.input(self.on_switch, self.what, [self.painting, self.help, self.apply], **AT_ONCE)

    def _shown(self, visit: Visit, *, masked: bool = False) -> tuple[Any, ...]:
        """The value of the channel `edited`: the photo as it is now."""
        return (edited_value(visit.need_photo(), visit.photo if visit.changes else None, masked=masked),)

    def on_change(self, visit: Visit, chosen: Chosen) -> tuple[Any, ...]:
        """Shows before and after, and enables the buttons, whenever the photo has changed."""
        changed = bool(visit.changes)
        return before_and_after(visit), gr.Button(interactive=changed), gr.Button(interactive=changed)

    def _do(
        self,
        visit: Visit,
        entities: EntityMap,
        steps: Sequence[tuple[tuple[int, ...], str]],
        given: Sequence[Any],
        strokes: tuple[Stroke, ...] = (),
    ) -> Steps:
        """Applies edits one after another; `given` are the values of the settings."""
        invert, soft, grow, feather, fill, model, *painting, download = given
        mask, paint = MaskSettings(grow, feather, fill), PaintSettings(*painting)
        edits = [Edit(Area(ids, strokes, invert, soft), prompt, mask, paint, model) for ids, prompt in steps]
        for edit in edits:
            edit.check()
        pixels = visit.need_photo()
        for number, edit in enumerate(edits, start=1):
            before = f"Edit {number} of {len(edits)}. " if len(edits) > 1 else ""
            job = partial(self._work, edit, pixels, entities, download)
            painted = self.shared.worker.work(job, "Painting" if edit.prompt else "Filling")
            for news in while_photo_stays(visit, painted):
                yield {**news, "text": before + news["text"]} if isinstance(news, dict) else news
            if visit.pixels is not pixels or visit.entities is not entities:
                raise InputError("The photo has changed in the meantime, so this edit was skipped; do it again.")
            pixels, crop = painted.result
            visit.change(edit, crop, pixels)
            if number < len(edits):
                yield self._shown(visit)
        return self._shown(visit)

    def _work(self, edit: Edit, pixels: np.ndarray, entities: EntityMap, download: bool, report: Report) -> Painted:
        """Applies one edit, in the worker's thread."""
        engine = None
        if edit.prompt:
            if not self.shared.models.has(DiffusionInpainting, edit.model):
                report(0, 1, f"Loading the diffusion model {edit.model}")
            engine = self.shared.models.diffusion(edit.model, download=download and self.private)
        return edited(pixels, entities, edit, engine, report)

    def on_apply(self, visit: Visit, what: str, prompt: str, *given: Any) -> Steps:
        """Removes or repaints the selection."""
        *values, chosen = given
        entities = entities_seen(visit, chosen)
        Area(chosen.ids, chosen.strokes).check()
        if what == REPLACE and not prompt.strip():
            raise InputError("Write what to replace the selection with.")
        steps = [(chosen.ids, prompt.strip() if what == REPLACE else "")]
        return (yield from self._do(visit, entities, steps, values, chosen.strokes))

    def on_run_list(self, visit: Visit, text: str, *given: Any) -> Steps:
        """Runs a list of edits, see `editing.read_steps`."""
        *values, chosen = given
        check_length(text, "The list")
        entities = entities_seen(visit, chosen)
        steps = read_steps(text, entities, grounding=visit.grounding)
        return (yield from self._do(visit, entities, steps, values))

    def on_undo(self, visit: Visit, chosen: Chosen) -> tuple[Any, ...]:
        """Undoes the last edit."""
        visit.undo()
        return visit, *self._shown(visit, masked=True)

    def on_segment_again(self, visit: Visit, name: str, crops: int, chosen: Chosen) -> Steps:
        """Segments the edited photo."""
        visit.take_result()
        yield picture_value(visit.need_photo()), None
        return (yield from self.photo.on_segment(visit, name, crops, chosen))

    def on_mask(self, visit: Visit, *given: Any) -> Any:
        """Draws the mask of the next edit over the photo."""
        invert, soft, *values, chosen = given
        if visit.pixels is None or visit.entities is None:
            return gr.skip()
        if chosen.map_number != visit.map_number:  # the browser is about to receive other entities
            return gr.skip()
        area = Area(chosen.ids, chosen.strokes, invert, soft)
        mask = mask_picture(visit.pixels, visit.entities, area, MaskSettings(*values), LONGEST_SHOWN)
        return image_value(mask, chosen.picture)

    def on_add(self, visit: Visit, text: str, what: str, prompt: str, chosen: Chosen) -> str:
        """Adds the selection to the list of edits."""
        if not chosen.ids:
            raise InputError("Select at least one entity first, on the picture or in the table.")
        if chosen.strokes:
            gr.Info("The list contains whole entities only, without the changes that you made with the brush.")
        line = f"{write_ids(chosen.ids)} = {prompt.strip() if what == REPLACE else ''}".rstrip()
        return f"{text.rstrip()}\n{line}".strip()

    def on_switch(self, what: str) -> tuple[Any, ...]:
        """Shows the settings for removing, or those for repainting."""
        replace = what == REPLACE
        return gr.Group(visible=replace), gr.Markdown(visible=not replace), gr.Button(what)


def before_and_after(visit: Visit) -> gr.ImageSlider:
    """The original photo beside the edited one; hidden if there are no edits."""
    if not visit.changes or visit.photo is None:
        return gr.ImageSlider(visible=False)
    return gr.ImageSlider(value=(shown_file(visit.photo), shown_file(visit.need_photo())), visible=True)
