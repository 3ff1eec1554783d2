"""ESG segments a photo into its entities.

The names below are loaded on first use, so `import esg` is quick and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .comfyui_graphs.edits import RecordedEdit, Segmentation, Selection, edit_workflow
    from .drawing.grounding_page import grounding_page
    from .drawing.grounding_picture import draw_grounding, drawn_size, shrink
    from .drawing.overlay import interior_point, label_colours, overlay, palette
    from .entities.choosing import (
        check_choice,
        choose,
        choose_tracks,
        ids_of_phrase,
        invert,
        write_ids,
    )
    from .entities.combining import Combined, assign, follow, intersect, merge, split, subtract, union
    from .entities.entity_map import EntityMap
    from .entities.grounding import Grounding, Phrase
    from .entities.importing import read_masks
    from .entities.name_lists import NameList
    from .entities.panoptic import Panoptic
    from .entities.pointing import ids_at, ids_in_boxes
    from .entities.scored_masks import ScoredMask
    from .entities.tidying import absorb_specks, drop_small, drop_weak, fill_holes, remove_islands
    from .entities.tracking import Clip, Track, TrackedFrame, Tracker, track_entities
    from .grounder import Grounder
    from .inpaint.crop import InpaintCrop, cut_for_inpainting, cut_together
    from .inpaint.engines.diffusion import DiffusionInpainting
    from .inpaint.engines.opencv import remove_with_opencv
    from .inpaint.frame import CropSettings
    from .inpaint.margins import Margins
    from .inpaint.settings import MaskSettings, PaintSettings
    from .inpaint.soft_edges import soft_alpha
    from .inpaint.stitch import Stitch, stitch_back, stitch_into
    from .inpainter import Inpainter
    from .language.listing import split_names
    from .pictures.clips import read_frames
    from .pictures.metadata import Metadata
    from .pictures.reading import ImageLike, Photo, read_image, read_photo, write_image
    from .segmenter import EntitySegmenter
    from .support.device import choose_device
    from .support.errors import Advice, EsgError, ImageError, InputError, OutputError, WeightsError
    from .support.limits import MAX_PIXELS
    from .support.progress import Progress, Stage
    from .weights.catalogue import checkpoint_named
    from .weights.downloading import download, download_public
    from .weights.finding import list_checkpoints, locate, task_of

_HOME = {
    "Advice": ".support.errors",
    "Clip": ".entities.tracking",
    "Combined": ".entities.combining",
    "CropSettings": ".inpaint.frame",
    "DiffusionInpainting": ".inpaint.engines.diffusion",
    "EntityMap": ".entities.entity_map",
    "EntitySegmenter": ".segmenter",
    "EsgError": ".support.errors",
    "Grounder": ".grounder",
    "Grounding": ".entities.grounding",
    "ImageError": ".support.errors",
    "ImageLike": ".pictures.reading",
    "InpaintCrop": ".inpaint.crop",
    "Inpainter": ".inpainter",
    "InputError": ".support.errors",
    "MAX_PIXELS": ".support.limits",
    "Margins": ".inpaint.margins",
    "MaskSettings": ".inpaint.settings",
    "Metadata": ".pictures.metadata",
    "NameList": ".entities.name_lists",
    "OutputError": ".support.errors",
    "PaintSettings": ".inpaint.settings",
    "Photo": ".pictures.reading",
    "Panoptic": ".entities.panoptic",
    "Phrase": ".entities.grounding",
    "Progress": ".support.progress",
    "RecordedEdit": ".comfyui_graphs.edits",
    "ScoredMask": ".entities.scored_masks",
    "Segmentation": ".comfyui_graphs.edits",
    "Selection": ".comfyui_graphs.edits",
    "Stage": ".support.progress",
    "Stitch": ".inpaint.stitch",
    "Track": ".entities.tracking",
    "TrackedFrame": ".entities.tracking",
    "Tracker": ".entities.tracking",
    "WeightsError": ".support.errors",
    "absorb_specks": ".entities.tidying",
    "assign": ".entities.combining",
    "check_choice": ".entities.choosing",
    "checkpoint_named": ".weights.catalogue",
    "choose": ".entities.choosing",
    "choose_device": ".support.device",
    "choose_tracks": ".entities.choosing",
    "cut_for_inpainting": ".inpaint.crop",
    "cut_together": ".inpaint.crop",
    "download": ".weights.downloading",
    "download_public": ".weights.downloading",
    "draw_grounding": ".drawing.grounding_picture",
    "drawn_size": ".drawing.grounding_picture",
    "drop_small": ".entities.tidying",
    "drop_weak": ".entities.tidying",
    "edit_workflow": ".comfyui_graphs.edits",
    "fill_holes": ".entities.tidying",
    "follow": ".entities.combining",
    "grounding_page": ".drawing.grounding_page",
    "ids_at": ".entities.pointing",
    "ids_in_boxes": ".entities.pointing",
    "ids_of_phrase": ".entities.choosing",
    "interior_point": ".drawing.overlay",
    "intersect": ".entities.combining",
    "invert": ".entities.choosing",
    "label_colours": ".drawing.overlay",
    "list_checkpoints": ".weights.finding",
    "locate": ".weights.finding",
    "merge": ".entities.combining",
    "overlay": ".drawing.overlay",
    "palette": ".drawing.overlay",
    "read_frames": ".pictures.clips",
    "read_image": ".pictures.reading",
    "read_masks": ".entities.importing",
    "read_photo": ".pictures.reading",
    "remove_islands": ".entities.tidying",
    "remove_with_opencv": ".inpaint.engines.opencv",
    "shrink": ".drawing.grounding_picture",
    "soft_alpha": ".inpaint.soft_edges",
    "split": ".entities.combining",
    "split_names": ".language.listing",
    "stitch_back": ".inpaint.stitch",
    "stitch_into": ".inpaint.stitch",
    "subtract": ".entities.combining",
    "task_of": ".weights.finding",
    "track_entities": ".entities.tracking",
    "union": ".entities.combining",
    "write_ids": ".entities.choosing",
    "write_image": ".pictures.reading",
}

__all__ = [
    "MAX_PIXELS",
    "Advice",
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
    "ImageLike",
    "InpaintCrop",
    "Inpainter",
    "InputError",
    "Margins",
    "MaskSettings",
    "Metadata",
    "NameList",
    "OutputError",
    "PaintSettings",
    "Panoptic",
    "Photo",
    "Phrase",
    "Progress",
    "RecordedEdit",
    "ScoredMask",
    "Segmentation",
    "Selection",
    "Stage",
    "Stitch",
    "Track",
    "TrackedFrame",
    "Tracker",
    "WeightsError",
    "absorb_specks",
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
    "read_frames",
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
