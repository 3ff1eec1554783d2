"""What the entities are called: a model names those that it can, in the table, as soon as they are shown."""

from __future__ import annotations

from typing import Any

import gradio as gr

from esg import EsgError, Grounder

from ..models import short_name
from ..shared import Chosen, Outdated, Shared, best_entities, while_photo_stays
from ..visit import Visit


def connect_names(shared: Shared, model: gr.Dropdown) -> None:
    """Has entities named when the browser wants that, and after another model was used; `model` is its menu.

    The model is loaded for that while the visitor looks at the entities. Where something is in the way, such as another
    visitor's model, entities have no names, and nobody is bothered with an error.
    """
    channel = shared.channels["names"]

    def name(visit: Visit, model: str, chosen: Chosen) -> Any:
        if visit.entities is None:
            return gr.skip()
        try:
            best = best_entities(visit, chosen)
            about = {"map_number": visit.map_number, "among": len(best), "model": short_name(model)}
            if visit.names is not None and about.items() <= visit.names.items():
                return visit.names
            if Grounder.public_models(model):  # which are large, and have no list of names
                return {**about, "names": None}
            grounder, pixels = shared.models.grounder_if_free(model), visit.need_photo()
            if grounder is None or not grounder.model.names or not len(best):
                return {**about, "names": None}
            naming = shared.worker.work(
                lambda report: grounder.names(pixels, best, max_pixels=shared.max_pixels), "Naming"
            )
            for _ in while_photo_stays(visit, naming):
                pass
        except (EsgError, Outdated):
            return {"map_number": chosen.map_number, "among": chosen.shown, "model": "", "names": None}
        names = {str(number): [*found] for number, found in naming.result.items()}
        if visit.map_number == about["map_number"]:
            visit.names = {**about, "names": names}
        return {**about, "names": names}

    for trigger in (channel.wanted, model.input, shared.words.change):
        # One at a time and in a queue of their own: they wait for a model, but nobody waits for them.
        shared.quick(
            trigger, name, [model], [channel], concurrency_id="names", concurrency_limit=1, trigger_mode="always_last"
        )
