"""ESG takes a photo apart into its entities.

The names below are loaded on first use, so `import esg` is quick and brings no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .draw import interior_point, overlay, palette
    from .entities import EntityMap
    from .errors import EsgError, ImageError, InputError, OutputError, WeightsError
    from .grounder import Grounder
    from .grounding import Grounding, Phrase
    from .images import read_image, write_image
    from .limits import MAX_PIXELS
    from .masks import read_masks
    from .segmenter import EntitySegmenter
    from .weights import list_checkpoints, locate

__version__ = "0.1.0"

_HOME = {
    "MAX_PIXELS": ".limits",
    "EntityMap": ".entities",
    "EntitySegmenter": ".segmenter",
    "EsgError": ".errors",
    "Grounder": ".grounder",
    "Grounding": ".grounding",
    "ImageError": ".errors",
    "InputError": ".errors",
    "OutputError": ".errors",
    "Phrase": ".grounding",
    "WeightsError": ".errors",
    "interior_point": ".draw",
    "list_checkpoints": ".weights",
    "locate": ".weights",
    "overlay": ".draw",
    "palette": ".draw",
    "read_image": ".images",
    "read_masks": ".masks",
    "write_image": ".images",
}

__all__ = [
    "MAX_PIXELS",
    "EntityMap",
    "EntitySegmenter",
    "EsgError",
    "Grounder",
    "Grounding",
    "ImageError",
    "InputError",
    "OutputError",
    "Phrase",
    "WeightsError",
    "interior_point",
    "list_checkpoints",
    "locate",
    "overlay",
    "palette",
    "read_image",
    "read_masks",
    "write_image",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
