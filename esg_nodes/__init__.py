"""The nodes, by the ids that workflows refer to. Each is a plain class that can be called with tensors.

They are imported only through the root of the repository, as ComfyUI does, so `..esg` is the core beside this folder.
"""

from __future__ import annotations

import logging
from typing import Any

from .arriving import checking
from .clips import SegmentFrames
from .converting import (
    CutOut,
    EntitiesToBoxes,
    EntitiesToLabelMap,
    EntitiesToMasks,
    EntitiesToSegs,
    MasksToEntities,
    SaveCoco,
    SegsToEntities,
)
from .for_each import ForEach
from .grounding import AskAboutImage, DescribeImage, FindNouns, GroundText
from .host import UNSERVED
from .inpainting import InpaintOpenCV, InpaintStitch, MaskToInpaint
from .loading import LoadGrounder, LoadSegmenter
from .mending import CombineEntities, FilterEntities, MergeEntities, RefineEdges, SplitEntity
from .picking import PickEntities
from .previewing import PreviewEntities
from .segmenting import SegmentEntities

if UNSERVED:
    logging.getLogger(__name__).warning("%s", UNSERVED)

NODES: dict[str, tuple[type[Any], str]] = {
    "ESGLoadSegmenter": (LoadSegmenter, "Load Segmenter (ESG)"),
    "ESGLoadGrounder": (LoadGrounder, "Load Grounder (ESG)"),
    "ESGSegmentEntities": (SegmentEntities, "Segment Entities"),
    "ESGSegmentFrames": (SegmentFrames, "Segment Frames"),
    "ESGGroundText": (GroundText, "Ground Text"),
    "ESGDescribeImage": (DescribeImage, "Describe Image (ESG)"),
    "ESGAskAboutImage": (AskAboutImage, "Ask about Image"),
    "ESGFindNouns": (FindNouns, "Find Nouns"),
    "ESGPickEntities": (PickEntities, "Pick Entities"),
    "ESGPreviewEntities": (PreviewEntities, "Preview Entities"),
    "ESGCombineEntities": (CombineEntities, "Combine Entities"),
    "ESGMergeEntities": (MergeEntities, "Merge Entities"),
    "ESGSplitEntity": (SplitEntity, "Split Entity"),
    "ESGFilterEntities": (FilterEntities, "Filter Entities"),
    "ESGRefineEdges": (RefineEdges, "Refine Edges"),
    "ESGMaskToInpaint": (MaskToInpaint, "Mask to Inpaint"),
    "ESGInpaintStitch": (InpaintStitch, "Inpaint Stitch"),
    "ESGForEach": (ForEach, "For Each Phrase or Entity"),
    "ESGInpaintOpenCV": (InpaintOpenCV, "Inpaint (OpenCV)"),
    "ESGEntitiesToMasks": (EntitiesToMasks, "Entities to Masks"),
    "ESGEntitiesToSegs": (EntitiesToSegs, "Entities to SEGS"),
    "ESGEntitiesToLabelMap": (EntitiesToLabelMap, "Entities to Label Map"),
    "ESGEntitiesToBoxes": (EntitiesToBoxes, "Entities to Boxes"),
    "ESGCutOut": (CutOut, "Cut Out"),
    "ESGSaveCoco": (SaveCoco, "Save Entities as COCO JSON"),
    "ESGMasksToEntities": (MasksToEntities, "Masks to Entities"),
    "ESGSegsToEntities": (SegsToEntities, "SEGS to Entities"),
}

NODE_CLASS_MAPPINGS = {name: checking(node) for name, (node, _) in NODES.items()}
NODE_DISPLAY_NAME_MAPPINGS = {name: title for name, (_, title) in NODES.items()}
