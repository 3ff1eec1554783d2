"""ESG segments a photo into its entities.

The names below are loaded on first use, so `import esg` is quick and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .catalogue import checkpoint_named
    from .choice import check_choice, choose, choose_tracks, ids_at, ids_in_boxes, ids_of_phrase, invert, write_ids
    from .cleanup import drop_small, drop_weak, fill_holes, remove_islands
    from .combining import Combined, assign, follow, intersect, merge, split, subtract, union
    from .device import choose_device
    from .downloading import download, download_public
    from .draw import interior_point, label_colours, overlay, palette
    from .edges import soft_alpha
    from .engines.diffusion import DiffusionInpainting
    from .engines.opencv import remove_with_opencv
    from .entities import EntityMap
    from .errors import EsgError, ImageError, InputError, OutputError, WeightsError
    from .frames import Clip, Track, track_entities
    from .gella.listing import split_names
    from .grounder import Grounder
    from .grounding import Grounding, Phrase
    from .grounding_html import grounding_page
    from .grounding_picture import draw_grounding, drawn_size, shrink
    from .images import Photo, read_image, read_photo, write_image
    from .inpaint.crop import InpaintCrop, cut_for_inpainting, cut_together
    from .inpaint.frame import CropSettings
    from .inpaint.margins import Margins
    from .inpaint.stitch import Stitch, stitch_back, stitch_into
    from .inpainter import Inpainter, MaskSettings, PaintSettings
    from .limits import MAX_PIXELS
    from .masks import read_masks
    from .metadata import Metadata
    from .segmenter import EntitySegmenter
    from .weights import list_checkpoints, locate, task_of
    from .workflow.edits import RecordedEdit, Segmentation, Selection, edit_workflow

_HOME = {
    "Clip": ".frames",
    "Combined": ".combining",
    "CropSettings": ".inpaint.frame",
    "DiffusionInpainting": ".engines.diffusion",
    "EntityMap": ".entities",
    "EntitySegmenter": ".segmenter",
    "EsgError": ".errors",
    "Grounder": ".grounder",
    "Grounding": ".grounding",
    "ImageError": ".errors",
    "InpaintCrop": ".inpaint.crop",
    "Inpainter": ".inpainter",
    "InputError": ".errors",
    "MAX_PIXELS": ".limits",
    "Margins": ".inpaint.margins",
    "MaskSettings": ".inpainter",
    "Metadata": ".metadata",
    "OutputError": ".errors",
    "PaintSettings": ".inpainter",
    "Photo": ".images",
    "Phrase": ".grounding",
    "RecordedEdit": ".workflow.edits",
    "Segmentation": ".workflow.edits",
    "Selection": ".workflow.edits",
    "Stitch": ".inpaint.stitch",
    "Track": ".frames",
    "WeightsError": ".errors",
    "assign": ".combining",
    "check_choice": ".choice",
    "checkpoint_named": ".catalogue",
    "choose": ".choice",
    "choose_tracks": ".choice",
    "choose_device": ".device",
    "cut_for_inpainting": ".inpaint.crop",
    "cut_together": ".inpaint.crop",
    "download": ".downloading",
    "download_public": ".downloading",
    "draw_grounding": ".grounding_picture",
    "drawn_size": ".grounding_picture",
    "drop_small": ".cleanup",
    "drop_weak": ".cleanup",
    "edit_workflow": ".workflow.edits",
    "fill_holes": ".cleanup",
    "follow": ".combining",
    "grounding_page": ".grounding_html",
    "ids_at": ".choice",
    "ids_in_boxes": ".choice",
    "ids_of_phrase": ".choice",
    "interior_point": ".draw",
    "intersect": ".combining",
    "invert": ".choice",
    "label_colours": ".draw",
    "list_checkpoints": ".weights",
    "locate": ".weights",
    "merge": ".combining",
    "overlay": ".draw",
    "palette": ".draw",
    "read_image": ".images",
    "read_masks": ".masks",
    "read_photo": ".images",
    "remove_islands": ".cleanup",
    "remove_with_opencv": ".engines.opencv",
    "shrink": ".grounding_picture",
    "soft_alpha": ".edges",
    "split": ".combining",
    "split_names": ".gella.listing",
    "stitch_back": ".inpaint.stitch",
    "stitch_into": ".inpaint.stitch",
    "subtract": ".combining",
    "task_of": ".weights",
    "track_entities": ".frames",
    "union": ".combining",
    "write_ids": ".choice",
    "write_image": ".images",
}

__all__ = [
    "MAX_PIXELS",
    "Clip",
    "Combined",
    "CropSettings",
    "DiffusionInpainting",
    "EntityMap",
    "EntitySegmenter",
    "EsgError",
    "Grounder",
    "Grounding",
    "ImageError",
    "InpaintCrop",
    "Inpainter",
    "InputError",
    "Margins",
    "MaskSettings",
    "Metadata",
    "OutputError",
    "PaintSettings",
    "Photo",
    "Phrase",
    "RecordedEdit",
    "Segmentation",
    "Selection",
    "Stitch",
    "Track",
    "WeightsError",
    "assign",
    "check_choice",
    "checkpoint_named",
    "choose",
    "choose_device",
    "choose_tracks",
    "cut_for_inpainting",
    "cut_together",
    "download",
    "download_public",
    "draw_grounding",
    "drawn_size",
    "drop_small",
    "drop_weak",
    "edit_workflow",
    "fill_holes",
    "follow",
    "grounding_page",
    "ids_at",
    "ids_in_boxes",
    "ids_of_phrase",
    "interior_point",
    "intersect",
    "invert",
    "label_colours",
    "list_checkpoints",
    "locate",
    "merge",
    "overlay",
    "palette",
    "read_image",
    "read_masks",
    "read_photo",
    "remove_islands",
    "remove_with_opencv",
    "shrink",
    "soft_alpha",
    "split",
    "split_names",
    "stitch_back",
    "stitch_into",
    "subtract",
    "task_of",
    "track_entities",
    "union",
    "write_ids",
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
