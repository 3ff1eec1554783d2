"""The page itself: its parts, and how it is served."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from esg import InputError

from .endpoints import add_endpoints
from .gate import HOUR, Callers, Gate
from .models import Models
from .parts.edit import EditPart
from .parts.files import FilesPart
from .parts.names import Names
from .parts.photo import EXAMPLES, PhotoPart
from .parts.words import WordsPart
from .picture import BROWSER, channel, detail_value, picture_value, scripts, view
from .returning import Visits
from .shared import AT_ONCE, Shared, sentences
from .theme import theme
from .visit import Visit
from .working import Worker

INTRO = """# ESG
<span class="esg-mouse">Drop</span><span class="esg-touch">Choose</span> a photo to segment it into its entities: every
thing and every region, each with its own mask. <span class="esg-mouse">Click</span><span
class="esg-touch">Tap</span> them, find them by words, and change them."""

FOOTNOTE = """Photos stay on the machine that serves this page, for one hour. Examples: NASA and SpaceX (public domain),
Stéfan van der Walt and Rachel Michetti (CC0)."""

MOST_WAITING = 60  # events of all visitors; at about 5 seconds each, the last one waits 5 minutes

_SHOWS_NO_MASK = "() => { esg.edit(false); }"
_SHOWS_MASK = "() => { esg.edit(true); }"


def build(
    *,
    model: str,
    grounder: str,
    inpainter: str,
    device: str,
    attention: str = "auto",
    compile: bool = False,
    max_pixels: int,
    private: bool,
    callers: Callers | None = None,
) -> gr.Blocks:
    """Builds the page without serving it.

    Args:
        model, grounder, inpainter, device, attention, compile, max_pixels: as for `launch`.
        private: whether only this machine can reach it.
        callers: the callers of the gate that will be in front of it; None: disconnected callers go unnoticed.
    """
    models, worker = Models(device, attention, compile), Worker()
    # Everything of a visitor is deleted after an hour: files, and photos in memory if they have not been used since.
    with gr.Blocks(title="ESG", analytics_enabled=False, delete_cache=(600, HOUR)) as page:
        visit = gr.State(Visit(), time_to_live=HOUR)
        chosen, key = gr.JSON(visible=False), gr.JSON(visible=False)
        channels = {name: channel(name) for name in ("visit", "picture", "edited", "mask", "detail", "names", "busy")}
        gr.Markdown(INTRO, elem_id="intro")
        photo = PhotoPart(model)
        with gr.Row(elem_id="work"):
            with gr.Column(elem_id="left", min_width=0):
                picture = view("picture")
                slider = gr.ImageSlider(
                    label="Before and after",
                    show_label=False,
                    type="filepath",
                    visible=False,
                    interactive=False,
                    buttons=["fullscreen"],
                    max_height=1200,
                    elem_id="slider",
                )
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
            slider=slider,
            channels=channels,
        )
        photo.connect(shared, picture)
        words.connect(shared)
        edit.connect(shared, photo)
        files.connect(shared)
        Names().connect(shared, words.model)

        def look(visit: Visit, event: gr.EventData) -> dict[str, Any]:
            with sentences():
                box = event._data.get("box")
                return detail_value(visit.need_photo(), visit.entities, box, map_number=visit.map_number)

        visits = Visits()

        def enter(fresh: Visit, key: str | None, request: gr.Request) -> tuple[Any, ...]:
            key, visit = visits.enter(str(request.session_hash), key, fresh)
            if visit.pixels is None:
                return visit, {"key": key}, gr.skip(), gr.skip(), gr.skip()
            shown = picture_value(
                visit.pixels,
                visit.entities,
                map_number=visit.map_number,
                min_score=visit.min_score,
                before=visit.photo if visit.changes else None,
            )
            return visit, {"key": key}, shown, visit.text, visit.words

        def leave(request: gr.Request) -> None:
            visits.leave(str(request.session_hash))

        def give_up() -> None:
            names = worker.submit(models.free).result()  # in the only thread that computes
            gr.Info(f"Freed: {', '.join(Path(name).stem for name in names)}." if names else "No model is in memory.")

        picture.look(look, visit, shared.channels["detail"], trigger_mode="always_last", **AT_ONCE)
        picture.cancel(None, None, None, cancels=shared.jobs, **AT_ONCE)
        free.click(
            give_up,
            None,
            None,
            concurrency_id="model",
            show_progress="hidden",
            trigger_mode="multiple",  # by default, a press while the previous answer arrives is ignored
            api_visibility="private",
        )
        back = [visit, channels["visit"], channels["picture"], words.text, words.words]
        page.load(enter, [visit, key], back, js="(visit) => [visit, esg.recall('visit')]", **AT_ONCE)
        page.unload(leave)
        for tab in (entities_tab, words_tab, files_tab):
            tab.select(None, None, None, js=_SHOWS_NO_MASK)
        edit_tab.select(None, None, None, js=_SHOWS_MASK)
        add_endpoints(shared, photo.model, words.model, edit.model, callers or Callers())
    return page


def serve(
    page: gr.Blocks,
    gate: Gate,
    *,
    host: str,
    port: int,
    share: bool,
    auth: tuple[str, str] | None,
    max_size_mb: int | None,
    root_path: str,
    open_browser: bool,
    wait: bool,
    say: Callable[[str], object],
) -> gr.Blocks:
    """Launches a page from `build` behind a gate; arguments as for `launch`."""
    # Gradio would sum up all events so far after each of them, for a dashboard that this page does not have.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
    page.queue(max_size=MOST_WAITING)
    try:
        page.launch(
            server_name=f"[{host}]" if ":" in host else host,  # as an address of IPv6 is written in a URL
            server_port=port,
            share=share,
            auth=auth,
            max_file_size=None if max_size_mb is None else max_size_mb * 1024**2,
            root_path=root_path,
            app_kwargs={"lifespan": gate.around},
            inbrowser=open_browser,
            prevent_thread_lock=True,
            quiet=True,  # Gradio's own messages are for programmers
            theme=theme(),
            css_paths=BROWSER / "style.css",
            head=scripts(),
            footer_links=[],
            allowed_paths=[str(EXAMPLES)],
            ssr_mode=False,
            _frontend=False,  # it would give up if a busy machine took longer than three seconds to answer
        )
    except OSError as error:
        if "Cannot find empty port" not in str(error):
            raise
        # Gradio needs the port of 127.0.0.1 as well, whatever the host is, and waits five seconds for its own start.
        raise InputError(f"Port {port} of {host} cannot be used; choose another one with --port.") from None
    if page.share_url:
        gate.allow(page.share_url)
    if wait:
        say(f"The page is at {page.share_url or page.local_url}; press Ctrl-C to stop it.")
        try:
            while page.is_running:
                time.sleep(0.1)  # on Windows, an endless wait would ignore Ctrl-C
        except KeyboardInterrupt:
            page.close(verbose=False)
    return page
