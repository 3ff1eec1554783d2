"""Makes `esg/comfyui_graphs/edit_nodes.json`, the core's description of nodes: `python tools/make_edit_nodes.py`.

`esg.edit_workflow` is made of them, and neither the nodes nor ComfyUI are installed with the core.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from make_workflows import read_definitions
from node_pack import ROOT

from esg.comfyui_graphs import Definitions

FILE = ROOT / "esg/comfyui_graphs/edit_nodes.json"
NODES = (
    *("LoadImage", "LoadImageMask", "InvertMask", "MaskToImage", "PreviewImage", "SaveImage"),
    *("CheckpointLoaderSimple", "CLIPTextEncode", "InpaintModelConditioning", "KSampler", "VAEDecode"),
    *("ESGLoadSegmenter", "ESGSegmentEntities", "ESGPickEntities", "ESGRefineEdges"),
    *("ESGMaskToInpaint", "ESGInpaintOpenCV", "ESGInpaintStitch"),
)
FILES = {("LoadImage", "image"), ("LoadImageMask", "image"), ("ESGLoadSegmenter", "model")}  # differ between machines


def make(definitions: Definitions) -> str:
    """The text of the file: one node per line."""
    lines = (f'"{name}": {json.dumps(_cut_down(name, definitions[name]), ensure_ascii=False)}' for name in NODES)
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _cut_down(name: str, definition: Any) -> dict[str, Any]:
    """The description without file names and without texts for readers."""
    definition = copy.deepcopy(definition)
    for inputs in definition["input"].values():
        for key, (kind, *rest) in inputs.items():
            options = {option: value for option, value in (rest[0] if rest else {}).items() if option != "tooltip"}
            inputs[key] = [[] if (name, key) in FILES else kind, *([options] if options else [])]
    kept = ("display_name", "python_module", "output_node", "output", "output_name", "input")
    return {key: definition[key] for key in kept}


if __name__ == "__main__":
    FILE.write_text(make(read_definitions()), encoding="utf-8")
