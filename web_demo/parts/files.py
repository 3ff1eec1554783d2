"""The tab Export: every file that the page can write."""

from __future__ import annotations

import gradio as gr

from ..picture import view
from ..saving import save
from ..shared import Shared, sentences
from ..visit import Visit

# A link starts the download at once; Gradio's download button would need a second click.
_DOWNLOAD = """(file) => {
    const link = document.createElement("a");
    link.href = file.url;
    link.download = file.orig_name;
    link.click();
}"""
_NOT_BUSY = """() => {
    document.querySelectorAll("#saving [aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
    if (esg.state.busy?.whole) esg.receive("busy", { text: "" });
}"""


class FilesPart:
    """The tab Export."""

    def __init__(self) -> None:
        self.buttons = view("saving")
        self.file = gr.File(visible=False)

    def connect(self, shared: Shared) -> None:
        """Connects the events to their handlers."""

        def take_away(visit: Visit, event: gr.EventData) -> str:
            with sentences():
                return save(visit, event._data)

        saving = self.buttons.save(
            take_away,
            shared.visit,
            self.file,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=4,
        )
        saving.success(None, self.file, None, js=_DOWNLOAD)
        saving.then(None, None, None, js=_NOT_BUSY)
