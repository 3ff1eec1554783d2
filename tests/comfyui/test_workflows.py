"""The workflows that come with the pack: each of them runs on the picture that comes with ComfyUI.

Diffusion runs on random weights and in one step.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

GRAPHS = sorted((Path(__file__).resolve().parents[2] / "workflows/api").glob("*.json"))

# The same graph in less time: the inputs that say how long a diffusion takes, wherever they are.
SMALL = {"steps": 1, "target": 256, "guide_size": 256, "max_size": 256}


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_shipped_workflow_runs(checkpoint: Callable[..., None], request: pytest.FixtureRequest, path: Path) -> None:
    prompt = json.loads(path.read_text(encoding="utf-8"))
    kinds = {node["class_type"] for node in prompt.values()}
    comfy = request.getfixturevalue("comfy_with_impact_pack" if "DetailerForEach" in kinds else "comfy")
    assert kinds <= comfy.nodes.keys()
    for node in prompt.values():
        inputs = node["inputs"]
        inputs |= {name: value for name, value in SMALL.items() if name in inputs}
        if inputs.get("picks") == "":  # it waits for a click
            inputs["picks"] = "centre"
        if node["class_type"] == "CheckpointLoaderSimple":
            checkpoint(comfy, inputs["ckpt_name"], request.getfixturevalue("shared"))
    (saved,) = [number for number, node in prompt.items() if node["class_type"] == "SaveImage"] or [None]
    edits = [node for node in prompt.values() if node["class_type"] in ("ESGInpaintStitch", "DetailerForEach")]
    if edits:
        prompt["before"] = comfy.node("SaveImage", images=edits[0]["inputs"]["image"], filename_prefix="before")
    run = comfy.run(prompt)
    assert run.status == "success", run.messages
    showing = {number for number, node in prompt.items() if comfy.nodes[node["class_type"]]["output_node"]}
    assert run.outputs.keys() >= showing
    pictures = {
        number: [np.asarray(Image.open(comfy.file(shown)).convert("RGB")) for shown in output["images"]]
        for number, output in run.outputs.items()
        if "images" in output
    }
    assert pictures
    assert all(picture.std() > 0 for each in pictures.values() for picture in each)
    if edits:
        after, before = pictures[saved], pictures["before"]
        assert len(after) % len(before) == 0
        for index, picture in enumerate(after):
            changed = (picture != before[index % len(before)]).any(2)
            assert changed.any()
            assert not changed.all()  # what was not asked for is as it was, to the bit
