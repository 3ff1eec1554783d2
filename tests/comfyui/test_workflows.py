"""The workflows that come with the pack: each of them runs on the picture that comes with ComfyUI.

Diffusion runs on random weights and in one step.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

GRAPHS = sorted((Path(__file__).resolve().parents[2] / "workflows/api").glob("*.json"))

# The same graph in less time: the inputs that say how long a diffusion takes, wherever they are.
SMALL = {"steps": 1, "target": 256, "guide_size": 256, "max_size": 256}


@pytest.fixture(scope="session")
def checkpoint(checkout: Path, python: str, environment: dict[str, str], comfy: Any) -> Callable[[str], None]:
    """Puts a checkpoint of random numbers under a name into ComfyUI's folder; skips where nothing makes one."""
    made: dict[str, Path] = {}

    def provide(name: str, shared: Path) -> None:
        maker = shared / "tools/random_sd_checkpoint.py"
        if not maker.is_file():
            pytest.skip(f"needs weights, and nothing makes random ones: there is no {maker}")
        kind = "sd15-inpainting" if "inpainting" in name else "sd15"
        place = comfy.base / "models/checkpoints" / name
        if kind not in made:
            command = [python, str(maker), "--comfy", str(checkout), "--out", str(place), "--kind", kind, "--small"]
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=600)
            made[kind] = place
        elif not place.exists():
            place.symlink_to(made[kind])

    return provide


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_a_shipped_workflow_runs(
    comfy: Any, checkpoint: Callable[..., None], request: pytest.FixtureRequest, path: Path
) -> None:
    prompt = json.loads(path.read_text(encoding="utf-8"))
    foreign = {node["class_type"] for node in prompt.values()} - comfy.nodes.keys()
    assert not [name for name in foreign if name.startswith("ESG")]
    if foreign:
        pytest.skip(f"needs nodes of another pack: {', '.join(sorted(foreign))}")
    for node in prompt.values():
        inputs = node["inputs"]
        inputs |= {name: value for name, value in SMALL.items() if name in inputs}
        if node["class_type"] == "CheckpointLoaderSimple":
            checkpoint(inputs["ckpt_name"], request.getfixturevalue("shared"))
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
    if any(node["class_type"] == "ESGInpaintStitch" for node in prompt.values()):
        (saved,) = [number for number, node in prompt.items() if node["class_type"] == "SaveImage"]
        example = np.asarray(Image.open(comfy.base / "input/example.png").convert("RGB"))
        for picture in pictures[saved]:
            changed = (picture != example).any(2)
            assert changed.any()
            assert not changed.all()  # what was not asked for is as it was, to the bit
