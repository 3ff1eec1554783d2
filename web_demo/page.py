"""The page itself: what stands where, and what happens when."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from esg import EntityMap, EntitySegmenter, EsgError, InputError, list_checkpoints, read_image

from .picture import entity_picture, picture_value
from .saving import save

HERE = Path(__file__).parent
EXAMPLES = HERE / "examples"
CAPTIONS = {"astronaut": "Astronaut", "chelsea": "Cat", "coffee": "Coffee", "rocket": "Rocket"}
CROPS = [("none", 0), ("4", 4), ("8", 8)]

INTRO = """# ESG
Drop a photo, and it is taken apart into its entities: every thing and every region, each with a mask of its own."""

SMALL_WEIGHTS = """**Small weights:** quick on any computer, but coarse. The authors' full model is far better: run
`esg weights download cropformer-hornet-large` (licence CC BY-NC 4.0, no commercial use), start this page again, and
choose it under *Model*."""

FOOTNOTE = """Photos stay on the machine that serves this page, for an hour. Examples: NASA and SpaceX (public domain),
Stéfan van der Walt and Rachel Michetti (CC0)."""


@dataclass(frozen=True, eq=False)
class Photo:
    """What a visitor gave us: (H, W, 3) uint8 RGB, and the stem of its file's name."""

    name: str
    pixels: np.ndarray


@dataclass(frozen=True, eq=False)
class Result:
    """A photo with all its entities, also the weak ones, which the browser hides by the score chosen there."""

    photo: Photo
    entities: EntityMap


def build(*, model: str, device: str, max_pixels: int) -> gr.Blocks:
    """The page, not served yet; arguments as for `launch`."""

    @lru_cache(maxsize=1)  # visitors share the model; only one run at a time comes here, see concurrency_limit
    def load(name: str) -> EntitySegmenter:
        return EntitySegmenter.from_pretrained(name, device=device)

    def show_upload(path: str) -> tuple[Photo, dict[str, Any]]:
        return _show(Path(path), max_pixels)

    def show_example(event: gr.SelectData) -> tuple[Photo, dict[str, Any]]:
        return _show(_examples()[event.index], max_pixels)

    def segment(
        photo: Photo | None,
        name: str,
        crops: int,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, Any]:
        if photo is None:
            return gr.skip(), gr.skip()
        progress(0, desc="Getting the model ready")
        try:
            segmenter = load(name)
            entities = segmenter(photo.pixels, crops=crops, min_score=0, progress=_tell(progress))
        except EsgError as error:
            raise gr.Error(str(error), print_exception=False) from None
        value = picture_value(photo.pixels, entities, min_score=segmenter.preset.min_score)
        return Result(photo, entities), value

    def take_away(result: Result | None, event: gr.EventData) -> str:
        if result is None:
            raise gr.Error("Give the page a photo first.", print_exception=False)
        try:
            return save(result.photo.pixels, result.entities, result.photo.name, event._data)
        except EsgError as error:
            raise gr.Error(str(error), print_exception=False) from None

    # What belongs to a visitor goes after an hour: files, and photos in memory that long unused.
    with gr.Blocks(title="ESG", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        photo = gr.State(time_to_live=3600)
        result = gr.State(time_to_live=3600)
        gr.Markdown(INTRO, elem_id="intro")
        banner = gr.Markdown(SMALL_WEIGHTS, visible=_is_small(model), elem_id="banner")
        with gr.Row(elem_id="start"):
            upload = gr.UploadButton("Choose a photo", variant="primary", elem_id="upload", scale=0, min_width=180)
            examples = gr.Gallery(
                [(str(path), CAPTIONS[path.stem]) for path in _examples()],
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
            choice = gr.Dropdown(_choices(model), value=model, label="Model", scale=0, min_width=230, elem_id="model")
            crops = gr.Radio(CROPS, value=4, label="High-resolution crops", scale=0, min_width=200, elem_id="crops")
        picture = entity_picture()
        saved = gr.File(visible=False)
        gr.Markdown(FOOTNOTE, elem_id="footnote")

        def run(trigger: Callable[..., Any]) -> None:
            trigger(
                segment,
                [photo, choice, crops],
                [result, picture],
                api_visibility="private",
                concurrency_id="model",
                concurrency_limit=1,
                trigger_mode="always_last",
            )

        for trigger, show, source in ((upload.upload, show_upload, upload), (examples.select, show_example, None)):
            shown = trigger(show, source, [photo, picture], show_progress="hidden", api_visibility="private")
            run(shown.success)
        choice.input(
            lambda name: gr.Markdown(visible=_is_small(name)),
            choice,
            banner,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        run(choice.input)
        run(crops.input)
        saving = picture.save(
            take_away, result, saved, show_progress="hidden", api_visibility="private", concurrency_limit=4
        )
        saving.success(None, saved, None, js=_DOWNLOAD)
        saving.then(None, None, None, js=_NOT_BUSY)
    return page


# The link is the browser's own way to a file; Gradio's download button would need a second click.
_DOWNLOAD = """(file) => {
    const link = document.createElement("a");
    link.href = file.url;
    link.download = file.orig_name;
    link.click();
}"""
_NOT_BUSY = """() => {
    document.querySelectorAll("#picture [aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
}"""


def serve(
    page: gr.Blocks,
    *,
    host: str,
    port: int,
    share: bool,
    open_browser: bool,
    wait: bool,
    say: Callable[[str], object],
) -> gr.Blocks:
    """Launches a page of `build`; arguments as for `launch`."""
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=share,
            inbrowser=open_browser,
            prevent_thread_lock=True,
            quiet=True,  # Gradio's own lines speak to programmers
            theme=_theme(),
            css_paths=HERE / "style.css",
            footer_links=[],
            allowed_paths=[str(EXAMPLES)],
            ssr_mode=False,
        )
    except OSError as error:
        if "port" not in str(error):
            raise
        raise InputError(f"Port {port} of {host} is taken; choose another one with --port.") from None
    if wait:
        say(f"The page is at {page.local_url} until Ctrl-C ends it.")
        try:
            while page.is_running:
                time.sleep(0.1)  # an endless wait would not hear Ctrl-C on Windows
        except KeyboardInterrupt:
            page.close(verbose=False)
    return page


def _theme() -> gr.themes.Base:
    # Fonts of the system: nothing is fetched from elsewhere.
    sans = [gr.themes.Font(name) for name in ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")]
    mono = [gr.themes.Font(name) for name in ("ui-monospace", "Consolas", "monospace")]
    return gr.themes.Base(primary_hue="teal", neutral_hue="slate", radius_size="md", font=sans, font_mono=mono).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_border_width="0px",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
    )


def _examples() -> list[Path]:
    return [EXAMPLES / f"{name}.jpg" for name in CAPTIONS]


def _choices(model: str) -> list[tuple[str, str]]:
    """Label and value of every entity model with weights on this machine, and of `model`, wherever it is from."""
    names = [checkpoint.name for checkpoint, path in list_checkpoints() if path and checkpoint.task == "entity"]
    found = [(name, name) for name in names]
    return found if model in names else [(Path(model).stem if Path(model).exists() else model, model), *found]


def _is_small(model: str) -> bool:
    return any(checkpoint.name == model and checkpoint.shipped for checkpoint, _ in list_checkpoints())


def _show(path: Path, max_pixels: int) -> tuple[Photo, dict[str, Any]]:
    """The photo alone, at once, before the work on it begins."""
    try:
        pixels = read_image(path, max_pixels=max_pixels)
    except EsgError as error:
        sentence = str(error).replace(str(path), path.name)
        raise gr.Error(sentence, print_exception=False) from None
    return Photo(path.stem, pixels), picture_value(pixels)


def _tell(progress: gr.Progress) -> Callable[[int, int, str], None]:
    sentences = {"views": "Looked at {} of {} views", "fusion": "Putting the views together: {} of {}"}

    def tell(done: int, total: int, what: str) -> None:
        progress(done / total, desc=sentences.get(what, what).format(done, total))

    return tell
