"""Prompts sent to ComfyUI: what comes out, what is told meanwhile, what is kept, and how runs end that go wrong."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from esg import EntityMap, choose

CAPTION = "A red disc beside a yellow box."
SKY = {"x": 20, "y": 20}


def segmenting(comfy: Any, photo: str = "photo.png", model: str = "cropformer-nano", **settings: Any) -> dict[str, Any]:
    """A prompt whose node `entities` takes a photo apart, without the crops, which take longest."""
    settings.setdefault("crops", "0")
    return {
        "photo": comfy.node("LoadImage", image=photo),
        "segmenter": comfy.node("ESGLoadSegmenter", model=model),
        "entities": comfy.node("ESGSegmentEntities", segmenter=["segmenter", 0], image=["photo", 0], **settings),
    }


def saved(comfy: Any, run: Any, node: str) -> EntityMap:
    """The entities in the file that a node Save Entities as COCO JSON has written."""
    (path,) = run.outputs[node]["text"]
    assert Path(path).parent == comfy.base / "output"
    return EntityMap.from_coco(path)


def shown(comfy: Any, run: Any, node: str) -> np.ndarray:
    """Red of the one picture that a node saved or showed."""
    (picture,) = run.outputs[node]["images"]
    pixels: np.ndarray = np.asarray(Image.open(comfy.file(picture)).convert("RGB"))[..., 0]
    return pixels


def test_nothing_picked_stops_before_what_comes_next_and_says_why(comfy: Any) -> None:
    prompt = segmenting(comfy)
    prompt |= {
        "pick": comfy.node("ESGPickEntities", image=["photo", 0], entities=["entities", 0], picks=""),
        "cut": comfy.node("ESGMaskToInpaint", image=["photo", 0], mask=["pick", 0]),
        "stitch": comfy.node("ESGInpaintStitch", image=["photo", 0], inpainted=["cut", 0], stitch=["cut", 4]),
        "saved": comfy.node("SaveImage", images=["stitch", 0]),
    }
    run = comfy.run(prompt)
    assert run.status == "success", run.messages
    assert run.outputs.keys() == {"pick"}
    prompt["cut"]["inputs"]["pass_empty"] = True
    assert comfy.run(prompt).outputs.keys() == {"pick", "saved"}


def test_a_batch_with_a_choice_for_each_picture_and_a_clip_with_tracks(comfy: Any) -> None:
    prompt = segmenting(comfy)
    prompt["twice"] = comfy.node("RepeatImageBatch", image=["photo", 0], amount=2)
    prompt["entities"]["inputs"]["image"] = ["twice", 0]
    prompt |= {
        "pick": comfy.node("ESGPickEntities", image=["twice", 0], entities=["entities", 0], picks="1, picture 2: 2"),
        "cut": comfy.node("ESGMaskToInpaint", image=["twice", 0], mask=["pick", 0], target=64, one_box=True),
        "stitch": comfy.node("ESGInpaintStitch", image=["twice", 0], inpainted=["cut", 0], stitch=["cut", 4]),
        "saved": comfy.node("SaveImage", images=["stitch", 0]),
    }
    run = comfy.run(prompt)
    assert run.status == "success", run.messages
    assert [page["ids"] for page in run.outputs["pick"]["esg_pick"]] == [[1], [2]]
    assert len(run.outputs["saved"]["images"]) == 2
    inputs = prompt["entities"]["inputs"]
    prompt["entities"] = comfy.node(
        "ESGSegmentFrames", segmenter=inputs["segmenter"], image=["twice", 0], crops="0", tracks="none"
    )
    prompt["pick"]["inputs"]["picks"] = "2"
    run = comfy.run(prompt)
    assert run.status == "success", run.messages
    assert [page["ids"] for page in run.outputs["pick"]["esg_pick"]] == [[2], [2]]


WRONG_WORD = (
    "'the dog' is not understood; write ids such as 3,5-7, or all, none, largest 3, smallest, best 3, centre, "
    "leftmost, rightmost, top, bottom, score>=0.5, area>=5%, phrase: two dogs, or points or boxes as JSON."
)


def test_a_text_that_cannot_be_read_is_refused_before_anything_runs(comfy: Any) -> None:
    prompt = segmenting(comfy)
    prompt["pick"] = comfy.node("ESGPickEntities", image=["photo", 0], entities=["entities", 0], picks="the dog")
    refused = comfy.post("/prompt", {"prompt": prompt})
    (error,) = refused["node_errors"]["pick"]["errors"]
    assert WRONG_WORD in error["details"]


def test_segmented_grounded_picked_and_converted(comfy: Any, nodes: Callable[[str], Any]) -> None:
    prompt = segmenting(comfy)
    prompt |= {
        "grounder": comfy.node("ESGLoadGrounder", model="gella-nano"),
        "grounded": comfy.node(
            "ESGGroundText", grounder=["grounder", 0], image=["photo", 0], entities=["entities", 0], text=CAPTION
        ),
        "phrases": comfy.node("PreviewAny", source=["grounded", 3]),
        "more": comfy.node("PrimitiveString", value=json.dumps([SKY])),
        "pick": comfy.node(
            "ESGPickEntities",
            image=["photo", 0],
            entities=["grounded", 0],
            picks="phrase: disc, not phrase: box",
            more=["more", 0],
        ),
        "ids": comfy.node("PreviewAny", source=["pick", 3]),
        "picked": comfy.node("MaskToImage", mask=["pick", 0]),
        "picked_file": comfy.node("SaveImage", images=["picked", 0]),
        "coco": comfy.node("ESGSaveCoco", entities=["entities", 0]),
        "rest": comfy.node("ESGSaveCoco", entities=["pick", 2], filename_prefix="rest"),
        "labels": comfy.node("ESGEntitiesToLabelMap", entities=["entities", 0], pixels="numbers"),
        "labels_file": comfy.node("SaveImage", images=["labels", 0]),
        "preview": comfy.node("ESGPreviewEntities", image=["photo", 0], entities=["entities", 0]),
        "segs": comfy.node("ESGEntitiesToSegs", entities=["entities", 0]),
        "from_segs": comfy.node("ESGSegsToEntities", segs=["segs", 0]),
        "segs_coco": comfy.node("ESGSaveCoco", entities=["from_segs", 0], filename_prefix="segs"),
        "masks": comfy.node("ESGEntitiesToMasks", entities=["entities", 0]),
        "from_masks": comfy.node("ESGMasksToEntities", masks=["masks", 0]),
        "masks_coco": comfy.node("ESGSaveCoco", entities=["from_masks", 0], filename_prefix="masks"),
    }
    run = comfy.run(prompt)
    assert run.status == "success", run.messages

    # The nodes in this process, with the same weights. Another release of torch may round otherwise.
    image = torch.from_numpy(np.asarray(Image.open(comfy.base / "input/photo.png"), np.float32) / 255)[None]
    (segmenter,) = nodes("LoadSegmenter").load("cropformer-nano", "fp32", "cpu", "auto", False)
    (grounder,) = nodes("LoadGrounder").load("gella-nano", "fp32", "cpu")
    entities, *_ = nodes("SegmentEntities").segment(segmenter, image, "0", -1, 0, 0, "each entity", False)
    *_, phrases, _ = nodes("GroundText").ground(grounder, image, entities, CAPTION, "a sentence", 0.5)
    found = saved(comfy, run, "coco")
    assert (found.labels == entities.maps[0].labels).mean() > 0.999
    assert found.scores == pytest.approx(entities.maps[0].scores, abs=1e-3)
    (here,), (there,) = json.loads(phrases), json.loads(run.outputs["phrases"]["text"][0])
    for phrase in here["phrases"]:
        phrase["scores"] = pytest.approx(phrase["scores"], abs=1e-2)
    assert there == here

    discs, boxes = (set(phrase["entity_ids"]) for phrase in there["phrases"])
    ids = sorted((discs - boxes) | {found.at(*SKY.values())})
    (report,) = run.outputs["pick"]["esg_pick"]
    assert (report["ids"], report["count"]) == (ids, len(found))
    assert choose(found, run.outputs["ids"]["text"][0]) == ids
    assert np.array_equal(shown(comfy, run, "picked_file"), np.isin(found.labels, ids) * 255)
    assert len(saved(comfy, run, "rest")) == len(found) - len(ids)
    assert np.array_equal(shown(comfy, run, "labels_file"), found.labels)
    assert shown(comfy, run, "preview").shape == found.labels.shape
    assert saved(comfy, run, "segs_coco").areas.tolist() == found.areas.tolist()
    assert sorted(saved(comfy, run, "masks_coco").areas) == sorted(found.areas)


def test_progress_is_told_up_to_the_end(comfy: Any) -> None:
    prompt = segmenting(comfy)
    prompt |= {
        "three": comfy.node("RepeatImageBatch", image=["photo", 0], amount=3),
        "preview": comfy.node("ESGPreviewEntities", image=["three", 0], entities=["entities", 0], opacity=0.25),
    }
    prompt["entities"]["inputs"] |= {"image": ["three", 0], "crops": "4"}
    number = comfy.start(prompt)
    assert comfy.ended(number).status == "success"
    told = [(done, total) for node, done, total in comfy.progress(number) if node == "entities"]
    assert {total for _, total in told} == {300}
    assert sorted(told) == told
    assert len({done for done, _ in told}) > 3  # not all, for newer releases tell of no more than ten a second
    assert told[-1] == (300, 300)


def test_what_has_run_comes_from_the_cache_until_the_weights_change(comfy: Any, tiny_model: Path) -> None:
    weights = comfy.base / "models/entityseg/mine.safetensors"
    shutil.copy(comfy.pack / "esg/assets/cropformer-nano.safetensors", weights)
    prompt = segmenting(comfy, model="mine.safetensors")
    prompt["coco"] = comfy.node("ESGSaveCoco", entities=["entities", 0], filename_prefix="mine")
    first = comfy.run(prompt)
    assert first.status == "success", first.messages
    again = comfy.run(prompt)
    assert again.cached == prompt.keys()
    shutil.copy(tiny_model, weights)
    other = comfy.run(prompt)
    assert other.status == "success", other.messages
    assert other.cached == {"photo"}
    assert saved(comfy, other, "coco") != saved(comfy, first, "coco")


def test_when_comfyui_has_freed_its_memory_a_run_gives_the_same_again(comfy: Any) -> None:
    prompt = segmenting(comfy)
    prompt["coco"] = comfy.node("ESGSaveCoco", entities=["entities", 0], filename_prefix="freed")
    first = comfy.run(prompt)
    comfy.post("/free", {"unload_models": True, "free_memory": True})
    again = comfy.run(prompt)
    if again.cached:  # it came before the freeing, which the same thread does
        again = comfy.run(prompt)
    assert not again.cached
    assert saved(comfy, again, "coco") == saved(comfy, first, "coco")


def test_an_interrupt_ends_a_long_run_and_the_next_one_goes_on(comfy: Any) -> None:
    prompt = segmenting(comfy, crops="8", max_count=7)
    prompt |= {
        "many": comfy.node("RepeatImageBatch", image=["photo", 0], amount=40),
        "coco": comfy.node("ESGSaveCoco", entities=["entities", 0], filename_prefix="interrupted"),
    }
    prompt["entities"]["inputs"]["image"] = ["many", 0]
    number = comfy.start(prompt)
    while not any(node == "entities" and done > 100 for node, done, _ in comfy.progress(number)):
        assert not comfy.json(f"/history/{number}")
        time.sleep(0.05)
    comfy.post("/interrupt", {"prompt_id": number})
    run = comfy.ended(number)
    assert run.messages["execution_interrupted"]["node_id"] == "entities"
    assert "execution_error" not in run.messages
    assert max(done for node, done, _ in comfy.progress(number) if node == "entities") < 4000
    assert not run.outputs
    prompt["many"]["inputs"]["amount"] = 1
    assert comfy.run(prompt).status == "success"


OTHER_PICTURE = (
    "The picture has 200x100 pixels, but the entities are of a picture of 320x240; "
    "connect the picture that was segmented."
)
NO_WEIGHTS = (
    "The weights of cropformer-swin-large are not in {folder}. Switch on download in the loader to get them "
    "(CC BY-NC 4.0), put the authors' file there, or choose cropformer-nano, which comes with ESG."
)


@pytest.mark.parametrize(
    ("picture", "picks", "model", "failing", "sentence"),
    [
        ("other.png", "1", "cropformer-nano", "pick", OTHER_PICTURE),
        ("photo.png", "1", "cropformer-swin-large", "segmenter", NO_WEIGHTS),
    ],
)
def test_the_dialog_shows_our_sentence_and_nothing_else(
    comfy: Any, picture: str, picks: str, model: str, failing: str, sentence: str
) -> None:
    prompt = segmenting(comfy, model=model)
    prompt["picture"] = comfy.node("LoadImage", image=picture)
    prompt["pick"] = comfy.node("ESGPickEntities", image=["picture", 0], entities=["entities", 0], picks=picks)
    run = comfy.run(prompt)
    error = run.messages["execution_error"]
    assert error["node_id"] == failing
    assert error["exception_message"].strip() == sentence.format(folder=comfy.base / "models/entityseg")


def test_a_download_that_finds_no_network_says_so_in_a_sentence(comfy: Any) -> None:
    prompt = segmenting(comfy, model="cropformer-swin-large")
    prompt["segmenter"]["inputs"]["download"] = True
    prompt["coco"] = comfy.node("ESGSaveCoco", entities=["entities", 0])
    sentence = comfy.run(prompt).messages["execution_error"]["exception_message"].strip()
    assert sentence.startswith("The hub cannot be reached")
    assert "in a browser" in sentence
    assert "\n" not in sentence


def test_a_choice_that_no_list_holds_is_refused_before_anything_runs(comfy: Any) -> None:
    prompt = segmenting(comfy, model="cropformer-mine")
    prompt["coco"] = comfy.node("ESGSaveCoco", entities=["entities", 0])
    answer = comfy.post("/prompt", {"prompt": prompt})
    (error,) = answer["node_errors"]["segmenter"]["errors"]
    assert error["type"] == "value_not_in_list"
