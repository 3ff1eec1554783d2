"""What the events of the page do, without a browser and with models that are played."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from web_demo.parts.edit import EditPart
from web_demo.parts.names import Names
from web_demo.parts.photo import PhotoPart
from web_demo.parts.words import WordsPart
from web_demo.picture import channel, view
from web_demo.shared import Shared, Steps
from web_demo.visit import Visit
from web_demo.working import Worker


@pytest.fixture
def models() -> SimpleNamespace:
    """In the place of `Models`; a test gives it `segmenter`, `grounder` or `diffusion`."""
    return SimpleNamespace(has=lambda kind, name: True)


@pytest.fixture
def events(models: SimpleNamespace) -> dict[str, Callable[..., Any]]:
    """The handlers of photo, words, edits and names: `apply(visit, …, chosen)`, `ground(visit, …, chosen)` …"""
    with gr.Blocks():
        photo, words, edit, names = PhotoPart("cropformer-nano"), WordsPart("gella-nano"), EditPart("", True), Names()
        shared = Shared(
            models=models,  # type: ignore[arg-type]
            worker=Worker(),
            max_pixels=1_000_000,
            visit=gr.State(Visit()),
            chosen=gr.JSON(),
            channels={name: channel(name) for name in ("picture", "edited", "mask", "detail", "names", "busy")},
            words=words.words,
            text=words.text,
            slider=gr.ImageSlider(),
        )
        photo.connect(shared, view("picture"))
        words.connect(shared)
        edit.connect(shared, photo)
        names.connect(shared, words.model)
    parts = (photo, words, edit, names)
    return {name[3:]: getattr(part, name) for part in parts for name in dir(part) if name.startswith("on_")}


@pytest.fixture
def finish() -> Callable[[Steps], tuple[Any, ...]]:
    """Lets a job run to its end; gives its outputs."""

    def finish(steps: Steps) -> tuple[Any, ...]:
        try:
            while True:
                next(steps)
        except StopIteration as end:
            return end.value

    return finish
