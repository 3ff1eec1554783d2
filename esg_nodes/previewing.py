"""The node that shows entities."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torch import Tensor

from ..esg import overlay
from .host import host
from .inputs import number, switch, wire
from .later import Later
from .values import ENTITIES, Entities, check_pairs, pictures, to_image


class PreviewEntities:
    CATEGORY = "ESG"
    DESCRIPTION = "Shows pictures with their entities in colours, numbered."
    SEARCH_ALIASES = ("show entities", "overlay", "view masks", "preview masks", "sam")
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("overlay",)
    OUTPUT_TOOLTIPS = ("The pictures that the node shows.",)
    FUNCTION = "preview"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "The pictures that the entities come from."),
                "entities": wire(ENTITIES, "From any node."),
                "opacity": number(0.5, 0, 1, "Opacity of the colours: 0 shows only the picture, 1 only the colours."),
                "numbers": switch(True, "Write the number of every entity that has room for it."),
            },
            "optional": {
                "phrases": switch(
                    False,
                    "Instead of its number, write the phrase that Ground Text found for an entity, or the name of its "
                    "class, if there is room.",
                ),
            },
        }

    def preview(
        self, image: Tensor, entities: Entities, opacity: float, numbers: bool, phrases: bool = False
    ) -> dict[str, Any]:
        check_pairs(image, entities)
        shown = [
            overlay(photo, found, alpha=opacity, numbers=numbers, shown_as=own, texts=names if phrases else None)
            for photo, found, own, names in zip(pictures(image), entities.maps, entities.numbers, entities.names)
        ]
        files = []
        for pixels in shown:
            path = host().temp_path(".png")
            Image.fromarray(pixels).save(path, compress_level=1)
            files.append({"filename": path.name, "subfolder": "", "type": "temp"})
        return {"ui": {"images": files}, "result": (Later((len(shown), *shown[0].shape), lambda: to_image(shown)),)}
