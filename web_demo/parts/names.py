"""Names of entities: a model names those that it can, in the table, as soon as they are shown."""

from __future__ import annotations

from typing import Any

import gradio as gr

from esg import EsgError, Grounder

from ..message import Chosen
from ..models import short_name
from ..shared import Outdated, Shared, best_entities, while_photo_stays
from ..visit import Visit


class Names:
    """Names entities when the browser asks for it, and after another model was chosen.

    The model is loaded while the visitor looks at the entities. If this is not possible, for example because another
    visitor uses another model, the entities stay without names; this is not shown as an error.
    """

    def connect(self, shared: Shared, model: gr.Dropdown) -> None:
        """Connects the events to their handler; `model` is the menu of models."""
        self.shared = shared
        channel = shared.channels["names"]
        # One at a time and in a queue of their own: they may wait for a model, but nothing waits for them.
        queue: dict[str, Any] = {"concurrency_id": "names", "concurrency_limit": 1, "trigger_mode": "always_last"}
        for trigger in (channel.wanted, model.input, shared.words.change):
            shared.quick(trigger, self.on_name, [model], [channel], **queue)

    def on_name(self, visit: Visit, model: str, chosen: Chosen) -> Any:
        """Names the entities that are shown."""
        if visit.entities is None:
            return gr.skip()
        try:
            best = best_entities(visit, chosen)
            about = {"map_number": visit.map_number, "among": len(best), "model": short_name(model)}
            if visit.names is not None and about.items() <= visit.names.items():
                return visit.names
            if Grounder.public_models(model):  # they are large, and do not have a list of names
                return {**about, "names": None}
            grounder, pixels = self.shared.models.grounder_if_free(model), visit.need_photo()
            if grounder is None or not grounder.model.names or not len(best):
                return {**about, "names": None}
            naming = self.shared.worker.work(
                lambda report: grounder.names(pixels, best, max_pixels=self.shared.max_pixels), "Naming"
            )
            for _ in while_photo_stays(visit, naming):
                pass
        except (EsgError, Outdated):
            return {"map_number": chosen.map_number, "among": chosen.shown, "model": "", "names": None}
        names = {str(number): [*found] for number, found in naming.result.items()}
        if visit.map_number == about["map_number"]:
            visit.names = {**about, "names": names}
        return {**about, "names": names}
