"""Workflows of edits that were made elsewhere: they run, and do to the photo what was done there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg import (
    CropSettings,
    EntitySegmenter,
    PaintSettings,
    RecordedEdit,
    Segmentation,
    Selection,
    cut_for_inpainting,
    interior_point,
    remove_with_opencv,
    soft_alpha,
    stitch_back,
)
from esg.comfyui_graphs import edit_graph

NANO = Segmentation(crops=0)
DISC, BOX = (85, 135), (230, 125)
CROP = CropSettings(target=0, multiple=1, grow=6, feather=3)  # as suits OpenCV


def picture(comfy: Any, run: Any, prompt: dict[str, Any], kind: str) -> np.ndarray:
    """The one picture, (H, W, 3) uint8, that the one node of a class has shown or saved."""
    assert run.status == "success", run.messages
    (number,) = [number for number, node in prompt.items() if node["class_type"] == kind]
    (shown,) = run.outputs[number]["images"]
    return np.asarray(Image.open(comfy.file(shown)).convert("RGB"))


@pytest.fixture(scope="module")
def photo(comfy: Any) -> np.ndarray:
    return np.asarray(Image.open(comfy.base / "input/photo.png"))


@pytest.fixture(scope="module")
def entities(photo: np.ndarray) -> Any:
    """As the workflows have them, found here."""
    return EntitySegmenter.from_pretrained("cropformer-nano", device="cpu")(photo, crops=0)


def selected(entities: Any, *places: tuple[int, int]) -> tuple[Selection, np.ndarray]:
    """The selection of what is at these pixels, and its mask."""
    ids = [entities.at(*place) for place in places]
    return Selection(points=[interior_point(entities, number)[:2] for number in ids]), entities.mask(ids)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_a_removal_gives_the_same_picture(
    comfy: Any, photo: np.ndarray, entities: Any, invert: bool, soft: bool
) -> None:
    selection, mask = selected(entities, DISC, (20, 20) if invert else BOX)
    mask = ~mask if invert else mask
    wanted = soft_alpha(photo, mask) if soft else mask
    crop = cut_for_inpainting(photo, wanted, CROP)
    filled = stitch_back(photo, crop.stitch, remove_with_opencv(crop.picture, crop.generation))
    edit = RecordedEdit(replace(selection, invert=invert, soft=soft), crop=CROP)
    prompt = edit_graph("photo.png", NANO, [edit]).to_api()
    made = picture(comfy, comfy.run(prompt), prompt, "SaveImage")
    assert (filled != photo).any()
    assert np.abs(made.astype(int) - filled).max() <= 1  # ComfyUI computes with float32, and this with 8 bits
    assert np.array_equal(made[crop.stitch.full_mask == 0], photo[crop.stitch.full_mask == 0])


def test_a_mask_from_elsewhere_stands_for_points(comfy: Any, entities: Any) -> None:
    selection, mask = selected(entities, DISC)
    Image.fromarray(mask).save(comfy.base / "input/photo.mask.png")
    by_file = Selection(mask="photo.mask.png")
    made = []
    for segmentation, one in ((NANO, selection), (None, by_file)):
        edits = [RecordedEdit(one, crop=CROP)]
        prompt = edit_graph("photo.png", segmentation, edits, selection=replace(one, invert=True)).to_api()
        run = comfy.run(prompt)
        made.append(picture(comfy, run, prompt, "SaveImage"))
        shown = picture(comfy, run, prompt, "PreviewImage")
        assert np.array_equal(shown[..., 0], np.where(mask, 0, 255))
    assert np.array_equal(*made)


def test_a_removal_and_a_repainting_follow_one_another(
    comfy: Any, checkpoint: Callable[..., None], shared: Path, photo: np.ndarray, entities: Any
) -> None:
    (disc, disc_mask), (box, box_mask) = selected(entities, DISC), selected(entities, BOX)
    crop = CropSettings(target=256, grow=4, feather=2)
    painted = RecordedEdit(box, prompt="a wooden (old) box", paint=PaintSettings(steps=1), crop=crop)
    prompt = edit_graph("photo.png", NANO, [RecordedEdit(disc, crop=CROP), painted]).to_api()
    (loader,) = [node for node in prompt.values() if node["class_type"] == "CheckpointLoaderSimple"]
    checkpoint(comfy, loader["inputs"]["ckpt_name"], shared)
    made = picture(comfy, comfy.run(prompt), prompt, "SaveImage")
    changed = (made != photo).any(2)
    allowed = [
        cut_for_inpainting(photo, mask, how).stitch.full_mask > 0 for mask, how in ((disc_mask, CROP), (box_mask, crop))
    ]
    for where in allowed:
        assert changed[where].mean() > 0.5
    assert not changed[~(allowed[0] | allowed[1])].any()
