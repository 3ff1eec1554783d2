from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg import (
    CropSettings,
    EntityMap,
    InputError,
    PaintSettings,
    RecordedEdit,
    Segmentation,
    Selection,
    choose,
    edit_workflow,
)
from esg.comfyui_graphs import check, edit_definitions, edit_graph

NANO = Segmentation()
DISC = Selection(points=((85, 135),))
REMOVAL = RecordedEdit(DISC)
REPAINT = RecordedEdit(
    Selection(points=((230, 125), (20, 20))),
    prompt="a wooden box",
    paint=PaintSettings("plastic", steps=7, strength=0.75, guidance=3.5, seed=2**64 - 1, match_colour=0.5),
    crop=CropSettings(target=256, multiple=16, context=2.0, grow=3, feather=2, fill_holes=False),
)

Api = dict[str, dict[str, Any]]


def nodes(api: Api, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Number and inputs of all nodes of a class, in their order."""
    return [(number, node["inputs"]) for number, node in api.items() if node["class_type"] == kind]


def only(api: Api, kind: str) -> dict[str, Any]:
    ((_, inputs),) = nodes(api, kind)
    return inputs


def kinds(api: Api) -> set[str]:
    return {node["class_type"] for node in api.values()}


def behind(api: Api, link: list[Any]) -> dict[str, Any]:
    """The node that a link comes from."""
    return api[link[0]]


def text(workflow: dict[str, Any]) -> str:
    """Of its note."""
    (note,) = [node for node in workflow["nodes"] if node["type"] == "MarkdownNote"]
    return note["widgets_values"][0]


def test_what_the_core_knows_of_the_nodes_is_up_to_date(script: Callable[[str], ModuleType]) -> None:
    maker = script("make_edit_nodes")
    made = maker.make(script("make_workflows").read_definitions())
    assert maker.FILE.read_text(encoding="utf-8") == made, "run `python tools/make_edit_nodes.py`"


def test_files_of_a_machine_are_not_written_down(script: Callable[[str], ModuleType]) -> None:
    definitions = dict(script("make_workflows").read_definitions())
    loader = definitions["ESGLoadSegmenter"]
    models, options = loader["input"]["required"]["model"]
    inputs = {**loader["input"]["required"], "model": ([*models, "private/mine.safetensors"], options)}
    definitions["ESGLoadSegmenter"] = {**loader, "input": {**loader["input"], "required": inputs}}
    maker = script("make_edit_nodes")
    assert maker.make(definitions) == maker.FILE.read_text(encoding="utf-8")


def test_only_nodes_are_known_that_edits_use() -> None:
    everything = Selection(points=((1, 1),), invert=True, soft=True)
    edits = [RecordedEdit(everything), RecordedEdit(Selection(mask="m.png"), prompt="a cat")]
    assert kinds(edit_graph("p.jpg", NANO, edits, selection=DISC).to_api()) == edit_definitions().keys()


@pytest.mark.parametrize(("invert", "soft"), [*product([False, True], repeat=2)])
@pytest.mark.parametrize("prompts", [(), (None,), ("a cat",), (None, "a cat"), ("a cat", None, "", "a dog")])
@pytest.mark.parametrize("mask", [None, "photo.mask.png"])
@pytest.mark.parametrize("also_selected", [False, True])
def test_every_combination_fits_the_nodes_and_lies_well(
    invert: bool, soft: bool, prompts: tuple[str | None, ...], mask: str | None, also_selected: bool
) -> None:
    selection = Selection(points=((3, 4),), mask=mask, invert=invert, soft=soft)
    segmentation = NANO if mask is None else None
    edits = [RecordedEdit(selection, prompt) for prompt in prompts]
    more = selection if also_selected or not edits else None
    api = edit_graph("photo.jpg", segmentation, edits, selection=more).to_api()
    check(api, edit_definitions())
    assert ("ESGSegmentEntities" in kinds(api)) == (mask is None)
    selected = len(edits) + (also_selected or not edits)
    found = nodes(api, "ESGPickEntities" if mask is None else "LoadImageMask")
    assert len(found) == selected
    assert len(nodes(api, "ESGInpaintOpenCV")) == prompts.count(None)
    assert len(nodes(api, "KSampler")) == len(prompts) - prompts.count(None)
    assert len(nodes(api, "CheckpointLoaderSimple")) == any(prompt is not None for prompt in prompts)
    workflow = edit_workflow("photo.jpg", segmentation, edits, selection=more)
    assert json.loads(json.dumps(workflow, allow_nan=False)) == workflow
    boxes = [(node["pos"][0], node["pos"][1] - 30, *node["size"]) for node in workflow["nodes"]]  # with title bars
    frames = [group["bounding"] for group in workflow["groups"]]
    for one, other in [*combinations(boxes, 2), *combinations(frames, 2)]:
        assert any(one[k] + one[k + 2] <= other[k] or other[k] + other[k + 2] <= one[k] for k in (0, 1))


def test_the_segmentation_is_the_same() -> None:
    api = edit_graph("photo.jpg", Segmentation("cropformer-nano", crops=0, min_score=0.25), [REMOVAL]).to_api()
    inputs = only(api, "ESGSegmentEntities")
    assert (inputs["crops"], inputs["min_score"]) == ("0", 0.25)
    assert only(api, "LoadImage") == {"image": "photo.jpg"}
    api = edit_graph("photo.jpg", NANO, [REMOVAL]).to_api()
    assert only(api, "ESGSegmentEntities")["min_score"] == -1  # what suits the model


def test_points_choose_what_was_selected() -> None:
    api = edit_graph("photo.jpg", NANO, [REMOVAL, REPAINT]).to_api()
    first, second = (inputs["picks"] for _, inputs in nodes(api, "ESGPickEntities"))
    assert json.loads(first) == [{"x": 85, "y": 135}]
    labels = [[1, 1, 2], [3, 3, 2]]
    entities = EntityMap.from_labels(labels)
    selection = Selection(points=((2, 1), (0, 0)))
    api = edit_graph("photo.jpg", NANO, selection=selection).to_api()
    chosen = choose(entities, only(api, "ESGPickEntities")["picks"])
    assert chosen == sorted({entities.at(2, 1), entities.at(0, 0)})
    assert json.loads(second) == [{"x": 230, "y": 125}, {"x": 20, "y": 20}]


def test_edits_follow_one_another() -> None:
    api = edit_graph("photo.jpg", NANO, [REMOVAL, REPAINT, REMOVAL], selection=DISC).to_api()
    ((photo, _),) = nodes(api, "LoadImage")
    ((entities, _),) = nodes(api, "ESGSegmentEntities")
    stitches = [number for number, _ in nodes(api, "ESGInpaintStitch")]
    pictures = [[photo, 0], *([number, 0] for number in stitches)]
    for kind in ("ESGMaskToInpaint", "ESGInpaintStitch"):
        assert [inputs["image"] for _, inputs in nodes(api, kind)] == pictures[:3]
    picks = nodes(api, "ESGPickEntities")
    assert [inputs["image"] for _, inputs in picks] == pictures
    assert [inputs["entities"] for _, inputs in picks] == [[entities, 0]] * 4
    cuts = nodes(api, "ESGMaskToInpaint")
    assert [inputs["mask"] for _, inputs in cuts] == [[number, 0] for number, _ in picks[:3]]
    assert [inputs["stitch"] for _, inputs in nodes(api, "ESGInpaintStitch")] == [[number, 4] for number, _ in cuts]
    assert only(api, "SaveImage")["images"] == pictures[3]
    assert behind(api, only(api, "MaskToImage")["mask"]) == api[picks[3][0]]


def test_a_removal_fills_its_crop_with_opencv() -> None:
    crop = CropSettings(target=0, multiple=1, grow=5)
    api = edit_graph("photo.jpg", NANO, [RecordedEdit(DISC, crop=crop)]).to_api()
    ((cut, inputs),) = nodes(api, "ESGMaskToInpaint")
    assert (inputs["target"], inputs["multiple"], inputs["grow"]) == (0, "8", 5)
    hole = only(api, "ESGInpaintOpenCV")
    assert (hole["image"], hole["mask"], hole["grow"]) == ([cut, 0], [cut, 1], 0)  # it has grown already
    put_back = only(api, "ESGInpaintStitch")
    assert put_back["match_colour"] == 0.0
    assert behind(api, put_back["inpainted"])["class_type"] == "ESGInpaintOpenCV"
    assert not kinds(api) & {"CheckpointLoaderSimple", "KSampler"}


def test_a_repainting_has_its_own_settings() -> None:
    other = replace(REPAINT, prompt="a cat", paint=PaintSettings(seed=0))
    api = edit_graph("photo.jpg", NANO, [REPAINT, other]).to_api()
    (_, sampler), (_, second) = nodes(api, "KSampler")
    settings = {"seed": 2**64 - 1, "steps": 7, "cfg": 3.5, "denoise": 0.75}
    assert {name: sampler[name] for name in settings} == settings
    assert second["seed"] == 0
    assert sampler["model"] == second["model"]  # one checkpoint for both
    conditioned = behind(api, sampler["positive"])
    assert conditioned["class_type"] == "InpaintModelConditioning"
    texts = [behind(api, conditioned["inputs"][which])["inputs"]["text"] for which in ("positive", "negative")]
    assert texts == ["a wooden box", "plastic"]
    cut = behind(api, conditioned["inputs"]["pixels"])["inputs"]
    assert {name: cut[name] for name in ("target", "multiple", "context", "grow", "feather", "fill_holes")} == {
        "target": 256,
        "multiple": "16",
        "context": 2.0,
        "grow": 3,
        "feather": 2,
        "fill_holes": False,
    }
    workflow = edit_workflow("photo.jpg", NANO, [REPAINT])
    (node,) = [node for node in workflow["nodes"] if node["type"] == "KSampler"]
    assert node["widgets_values"][:2] == [2**64 - 1, "fixed"]  # the same again
    (loader,) = [node for node in workflow["nodes"] if node["type"] == "CheckpointLoaderSimple"]
    assert loader["properties"]["models"][0]["name"] == loader["widgets_values"][0]


@pytest.mark.parametrize("mask", [None, "mine.png"])
def test_a_selection_is_inverted_first_and_softened_then(mask: str | None) -> None:
    selection = Selection(points=((3, 4),), mask=mask, invert=True, soft=True)
    api = edit_graph("photo.jpg", NANO, selection=selection).to_api()
    soft = behind(api, only(api, "MaskToImage")["mask"])
    assert soft["class_type"] == "ESGRefineEdges"
    assert behind(api, soft["inputs"]["image"])["class_type"] == "LoadImage"
    inverted = behind(api, soft["inputs"]["mask"])
    assert inverted["class_type"] == "InvertMask"
    source = behind(api, inverted["inputs"]["mask"])
    assert source["class_type"] == ("LoadImageMask" if mask else "ESGPickEntities")
    assert not mask or source["inputs"] == {"image": "mine.png", "channel": "red"}


def test_without_edit_and_selection_there_is_something_to_click() -> None:
    api = edit_graph("photo.jpg", NANO).to_api()
    assert only(api, "ESGPickEntities")["picks"] == ""


@pytest.mark.parametrize(
    ("model", "written", "said"),
    [
        ("cropformer-nano", "cropformer-nano", None),
        ("cropformer-hornet-l", "cropformer-hornet-large", "switch `download` on"),
        ("/home/me/CropFormer-swin-large.pth", "CropFormer-swin-large.pth", "put `CropFormer-swin-large.pth` into"),
        ("/home/me/cropformer-swin-tiny.pth", "cropformer-swin-tiny", "switch `download` on"),
        ("C:\\models\\mine.safetensors", "mine.safetensors", "put `mine.safetensors` into `models/entityseg`"),
        ("/home/me/trained", "trained", "put `trained` into `models/entityseg`"),
    ],
)
def test_models_have_the_name_that_the_loader_knows(model: str, written: str, said: str | None) -> None:
    api = edit_graph("photo.jpg", Segmentation(model), [REMOVAL]).to_api()
    assert only(api, "ESGLoadSegmenter")["model"] == written
    workflow = edit_workflow("photo.jpg", Segmentation(model), [REMOVAL])
    assert "/home/me" not in json.dumps(workflow)
    if said is None:
        assert "entityseg" not in text(workflow)
    else:
        assert said in text(workflow)


def test_the_note_says_which_files_belong_where() -> None:
    edits = [RecordedEdit(Selection(mask=f"beach.mask-{number}.png"), prompt="a cat") for number in (1, 2, 2)]
    said = text(edit_workflow("beach.jpg", None, edits))
    assert "`beach.jpg` on **Load Image**" in said
    assert "`beach.mask-1.png`, `beach.mask-2.png` on **Load Image (as Mask)**" in said
    assert "Pick Entities" not in said
    assert "Load Checkpoint" in said


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("owner/sd-inpainting", "made with `owner/sd-inpainting`."),
        ("/home/me/painter", "made with `painter`."),
        ("C:\\me\\painter", "made with `painter`."),
        (None, "run.\n\n**Pick Entities**"),
    ],
)
def test_the_note_says_what_it_was_painted_with(model: str | None, said: str) -> None:
    painted = replace(REPAINT, model=model)
    told = text(edit_workflow("photo.jpg", NANO, [painted, painted, replace(painted, prompt=None, model="other")]))
    assert said in told
    assert "/me" not in told
    assert "other`" not in told


def test_the_same_edits_give_the_same_workflow() -> None:
    first, again = (edit_workflow("photo.jpg", NANO, [REPAINT]) for _ in range(2))
    assert first == again
    assert first["id"] != edit_workflow("photo.jpg", NANO, [replace(REPAINT, paint=PaintSettings(seed=5))])["id"]


@given(prompt=st.text(), negative=st.text(), photo=st.text().filter(str.strip))
def test_odd_texts_come_through(prompt: str, negative: str, photo: str) -> None:
    edit = replace(REPAINT, prompt=prompt, paint=PaintSettings(negative))
    api = json.loads(json.dumps(edit_graph(photo, NANO, [edit]).to_api()))
    check(api, edit_definitions())
    assert only(api, "LoadImage")["image"] == photo
    written = [inputs["text"] for _, inputs in nodes(api, "CLIPTextEncode")]
    assert [as_comfyui_reads(one) for one in written] == [prompt, negative]
    workflow = edit_workflow(photo, NANO, [edit])
    assert json.loads(json.dumps(workflow)) == workflow
    shown = [node["widgets_values"] for node in workflow["nodes"] if node["type"] == "CLIPTextEncode"]
    assert shown == [[one] for one in written]


def as_comfyui_reads(prompt: str) -> str:
    """A prompt in which no parenthesis is left that would give words more weight."""
    assert not re.search(r"(?<!\\)[()]", prompt)
    return re.sub(r"\\([()])", r"\1", prompt)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paint": PaintSettings(steps=0)}, r"\(KSampler\), input steps: 0 is not from 1 to 10000"),
        ({"paint": PaintSettings(strength=1.5)}, r"\(KSampler\), input denoise: 1.5 is not from 0.0 to 1.0"),
        ({"paint": PaintSettings(strength=float("nan"))}, r"\(KSampler\), input denoise: nan is not from"),
        ({"paint": PaintSettings(guidance=-1.0)}, r"\(KSampler\), input cfg: -1.0 is not from 0.0 to 100.0"),
        ({"paint": PaintSettings(seed=-1)}, r"\(KSampler\), input seed: -1 is not from 0"),
        (
            {"paint": PaintSettings(match_colour=2.0)},
            r"match_colour: 2.0 is not from 0 to 1",
        ),
        ({"crop": CropSettings(grow=2000)}, r"\(ESGMaskToInpaint\), input grow: 2000 is not from 0 to 1024"),
        ({"crop": CropSettings(multiple=24)}, "multiples of 8, 16 or 64, not of 24"),
        ({"selection": Selection(mask=" ")}, "needs the name of the mask's file"),
    ],
)
def test_what_the_nodes_cannot_take_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        edit_workflow("photo.jpg", NANO, [replace(REPAINT, **change)])


def test_what_cannot_be_found_is_refused() -> None:
    with pytest.raises(InputError, match=r"input crops: '5' is not one of auto, 4, 8, 0"):
        edit_workflow("photo.jpg", Segmentation(crops=5), [REMOVAL])
    with pytest.raises(InputError, match="needs the name of the photo's file"):
        edit_workflow(" ", NANO, [REMOVAL])
    for edits in ([REMOVAL], []):
        with pytest.raises(InputError, match="give the name of a file with the selection's mask"):
            edit_workflow("photo.jpg", None, edits)
