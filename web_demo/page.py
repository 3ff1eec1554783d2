"""The page: its parts, and how they are arranged."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from .endpoints import add_endpoints
from .gate import HOUR, Callers
from .models import Models
from .parts.edit import EditPart
from .parts.files import FilesPart
from .parts.names import Names
from .parts.photo import PhotoPart
from .parts.stage import StagePart
from .parts.words import WordsPart
from .picture import channel, view
from .returning import connect_returning
from .shared import Shared
from .visit import Visit
from .working import Worker

INTRO = """# ESG
<span class="esg-mouse">Drop</span><span class="esg-touch">Choose</span> a photo to segment it into its entities: every
thing and every region, each with its own mask. <span class="esg-mouse">Click</span><span
class="esg-touch">Tap</span> them, find them by words, and change them."""

FOOTNOTE = """Photos stay on the machine that serves this page and are deleted an hour after their last use. Examples:
NASA and SpaceX (public domain), Stéfan van der Walt and Rachel Michetti (CC0)."""

_SHOWS_NO_MASK = "() => { esg.edit(false); }"
_SHOWS_MASK = "() => { esg.edit(true); }"


def build(
    *,
    model: str,
    grounder: str,
    inpainter: str,
    models: Models,
    max_pixels: int,
    private: bool,
    callers: Callers | None = None,
) -> gr.Blocks:
    """Builds the page without serving it.

    Args:
        model, grounder, inpainter, max_pixels: as for `launch`.
        models: holds the models that visitors use.
        private: whether only this machine can reach it.
        callers: the callers of the gate in front of the page; None: disconnected callers go unnoticed.
    """
    worker = Worker()
    # A visitor's data is deleted after an hour: files, and photos in memory if they have not been used since.
    with gr.Blocks(title="ESG", analytics_enabled=False, delete_cache=(600, HOUR)) as page:
        visit = gr.State(Visit(), time_to_live=HOUR)
        chosen = gr.JSON(visible=False)
        channels = {name: channel(name) for name in ("visit", "picture", "edited", "mask", "detail", "names", "busy")}
        gr.Markdown(INTRO, elem_id="intro")
        photo = PhotoPart(model)
        with gr.Row(elem_id="work"):
            with gr.Column(elem_id="left", min_width=0):
                stage = StagePart()
            with gr.Column(elem_id="right", min_width=0), gr.Tabs():
                with gr.Tab("Entities") as entities_tab:
                    view("entities")
                with gr.Tab("Words") as words_tab:
                    words = WordsPart(grounder)
                with gr.Tab("Edit") as edit_tab:
                    edit = EditPart(inpainter, private)
                with gr.Tab("Export") as files_tab:
                    files = FilesPart()
        with gr.Row(elem_id="foot"):
            gr.Markdown(FOOTNOTE, elem_id="footnote")
            free = gr.Button(
                "Free the models' memory", size="sm", scale=0, min_width=190, visible=private, elem_id="free"
            )

        shared = Shared(
            models=models,
            worker=worker,
            max_pixels=max_pixels,
            visit=visit,
            chosen=chosen,
            words=words.words,
            text=words.text,
            slider=stage.slider,
            channels=channels,
        )
        photo.connect(shared, stage.picture)
        words.connect(shared)
        edit.connect(shared, photo)
        files.connect(shared)
        Names().connect(shared, words.model)
        stage.connect(shared)  # last, because it cancels the jobs of all others
        connect_returning(page, shared)

        def free_memory() -> None:
            names = worker.submit(models.free).result()  # in the only thread that computes
            gr.Info(f"Freed: {', '.join(Path(name).stem for name in names)}." if names else "No model is in memory.")

        free.click(
            free_memory,
            None,
            None,
            concurrency_id="model",
            show_progress="hidden",
            trigger_mode="multiple",  # by default, a press while the previous answer arrives is ignored
            api_visibility="private",
        )
        for tab in (entities_tab, words_tab, files_tab):
            tab.select(None, None, None, js=_SHOWS_NO_MASK)
        edit_tab.select(None, None, None, js=_SHOWS_MASK)
        add_endpoints(shared, photo.model, words.model, edit.model, callers or Callers())
    return page
