"""The shipped graphs: they equal the script's output, and their two forms agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from esg import InputError
from esg.comfyui_graphs import Definitions, check

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))


@pytest.fixture(scope="module")
def maker(script: Callable[[str], ModuleType]) -> ModuleType:
    """The script that makes them."""
    return script("make_workflows")


@pytest.fixture(scope="module")
def definitions(maker: ModuleType) -> Definitions:
    return maker.read_definitions()


def read(path: str) -> dict[str, Any]:
    return json.loads((WORKFLOWS / path).read_text(encoding="utf-8"))


def test_no_other_folder_takes_the_place_of_the_templates() -> None:
    """ComfyUI serves a pack's templates from the first folder with one of these names; files of the others are 404."""
    names = ("example_workflows", "example", "examples", "workflow", "workflows")
    assert [name for name in names if (ROOT / name).exists()] == ["workflows"]


def test_the_files_are_those_that_the_script_makes(maker: ModuleType, definitions: Definitions) -> None:
    made = maker.make(definitions)
    there = {path.relative_to(WORKFLOWS): path.read_text(encoding="utf-8") for path in WORKFLOWS.rglob("*.json")}
    assert sorted(there) == sorted(made)
    stale = [str(path) for path, text in made.items() if there[path] != text]
    assert not stale, "run `python tools/make_workflows.py`"


@pytest.mark.parametrize("name", NAMES)
def test_the_form_that_runs_fits_its_nodes(name: str, definitions: Definitions) -> None:
    graph = read(f"api/{name}.json")
    check(graph, definitions)
    graph[max(graph)]["inputs"]["no such input"] = 1
    with pytest.raises(InputError, match="no such input"):
        check(graph, definitions)


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_have_the_same_nodes_and_links(name: str, definitions: Definitions) -> None:
    ui, api = read(f"{name}.json"), read(f"api/{name}.json")
    nodes = {node["id"]: node for node in ui["nodes"] if node["type"] != "MarkdownNote"}
    assert {str(number): node["type"] for number, node in nodes.items()} == {
        number: node["class_type"] for number, node in api.items()
    }
    links = {
        (source, slot, target, nodes[target]["inputs"][index]["name"])
        for _, source, slot, target, index, _ in ui["links"]
    }
    assert links == {
        (int(value[0]), value[1], int(number), name)
        for number, node in api.items()
        for name, value in node["inputs"].items()
        if isinstance(value, list)
    }


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_have_the_same_values(name: str) -> None:
    ui, api = read(f"{name}.json"), read(f"api/{name}.json")
    for node in ui["nodes"]:
        if node["type"] != "MarkdownNote":
            given = [value for value in api[str(node["id"])]["inputs"].values() if not isinstance(value, list)]
            rest = iter(node["widgets_values"])
            assert all(value in rest for value in given)  # in this order, with some in between


@pytest.mark.parametrize("name", NAMES)
def test_a_manager_can_find_packs_and_models(name: str) -> None:
    packs = set()
    for node in read(f"{name}.json")["nodes"]:
        if node["type"] == "MarkdownNote":
            continue
        packs.add(node["properties"]["cnr_id"])
        assert node["properties"]["ver"]
        assert node["type"].startswith("ESG") == (node["properties"]["cnr_id"] == "esg")
        if node["type"] == "CheckpointLoaderSimple":
            (model,) = node["properties"]["models"]
            assert model["name"] == node["widgets_values"][0]
            assert model["url"].startswith("https://huggingface.co/")
            assert model["url"].endswith("/" + model["name"])
            assert model["directory"] == "checkpoints"
    assert packs <= {"esg", "comfy-core", "comfyui-impact-pack"}


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_small_square_picture(name: str) -> None:
    path = WORKFLOWS / f"{name}.jpg"
    assert path.stat().st_size <= 20_000
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        width, height = picture.size
        assert width == height >= 200, "run `python tools/make_thumbnails.py`"


def test_they_begin_with_the_picture_that_every_comfyui_has() -> None:
    for name in NAMES:
        loaders = [node for node in read(f"api/{name}.json").values() if node["class_type"] == "LoadImage"]
        assert [node["inputs"]["image"] for node in loaders] == ["example.png"]


@pytest.fixture(scope="module")
def blueprints(script: Callable[[str], ModuleType]) -> ModuleType:
    """The script that makes the subgraphs."""
    return script("make_blueprints")


def test_the_subgraphs_are_those_that_the_script_makes(blueprints: ModuleType, definitions: Definitions) -> None:
    made = blueprints.make(definitions)
    assert {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "subgraphs").iterdir()} == {
        str(path): text for path, text in made.items()
    }, "run `python tools/make_blueprints.py`"


def test_links_of_a_subgraph_join_what_both_ends_say(blueprints: ModuleType, definitions: Definitions) -> None:
    for text in blueprints.make(definitions).values():
        saved = json.loads(text)
        (outside,), (inside,) = saved["nodes"], saved["definitions"]["subgraphs"]
        assert outside["type"] == inside["id"]
        for side in ("inputs", "outputs"):
            assert [(one["name"], one["type"]) for one in outside[side]] == [
                (one["name"], one["type"]) for one in inside[side]
            ]
        nodes = {node["id"]: node for node in inside["nodes"]}
        for link in inside["links"]:
            number, kind = link["id"], link["type"]
            if link["origin_id"] == inside["inputNode"]["id"]:
                source = inside["inputs"][link["origin_slot"]]
                assert number in source["linkIds"]
            else:
                source = nodes[link["origin_id"]]["outputs"][link["origin_slot"]]
                assert number in source["links"]
            if link["target_id"] == inside["outputNode"]["id"]:
                target = inside["outputs"][link["target_slot"]]
                assert number in target["linkIds"]
            else:
                target = nodes[link["target_id"]]["inputs"][link["target_slot"]]
                assert number == target["link"]
            assert source["type"] == target["type"] == kind
