"""The left side: the photo with its entities, and the comparison with the photo before an edit."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..picture import detail_value, view
from ..shared import AT_ONCE, Shared, sentences
from ..visit import Visit


class StagePart:
    """The picture, and the slider that compares it with the photo before an edit."""

    def __init__(self) -> None:
        self.picture = view("picture")
        self.slider = gr.ImageSlider(
            label="Before and after",
            show_label=False,
            type="filepath",
            visible=False,
            interactive=False,
            buttons=["fullscreen"],
            max_height=1200,
            elem_id="slider",
        )

    def connect(self, shared: Shared) -> None:
        """Connects the events to their handlers."""

        def look(visit: Visit, event: gr.EventData) -> dict[str, Any]:
            with sentences():
                box = event._data.get("box")
                return detail_value(visit.need_photo(), visit.entities, box, map_number=visit.map_number)

        self.picture.look(look, shared.visit, shared.channels["detail"], trigger_mode="always_last", **AT_ONCE)
        self.picture.cancel(None, None, None, cancels=shared.jobs, **AT_ONCE)
