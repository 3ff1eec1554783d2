"""What ComfyUI knows of the pack once it has started."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any
from urllib.parse import quote


def test_it_is_imported_without_a_word_of_complaint(comfy: Any) -> None:
    log = re.sub(r"\x1b\[[0-9;]*m", "", comfy.log.read_text(errors="replace"))
    (line,) = [line for line in log.splitlines() if line.endswith(str(comfy.pack))]
    assert re.search(r"[\d.]+ seconds: ", line)
    assert "IMPORT FAILED" not in log
    assert not re.findall(r".*retrieving information for the 'ESG.*", log)


def test_it_offers_every_node_with_what_the_node_says_of_itself(comfy: Any, pack: ModuleType) -> None:
    offered = {name: node for name, node in comfy.nodes.items() if node["python_module"] == "custom_nodes.esg"}
    assert offered.keys() == pack.NODE_CLASS_MAPPINGS.keys()
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        assert offered[name]["display_name"] == pack.NODE_DISPLAY_NAME_MAPPINGS[name]
        assert offered[name]["description"] == node.DESCRIPTION
        assert offered[name]["output_tooltips"] == list(node.OUTPUT_TOOLTIPS)
        assert offered[name]["input"]["required"].keys() == node.INPUT_TYPES()["required"].keys()


def test_its_web_files_and_help_pages_are_served(comfy: Any, pack: ModuleType) -> None:
    folder = comfy.pack / pack.WEB_DIRECTORY
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for name in files:
        assert comfy.get(f"/extensions/esg/{quote(name)}") == (folder / name).read_bytes()
    scripts = {f"/extensions/esg/{name}" for name in files if name.endswith(".js")}
    assert scripts
    assert scripts <= set(comfy.json("/extensions"))


def test_its_templates_are_listed_and_served_with_their_pictures(comfy: Any) -> None:
    templates = sorted((comfy.pack / "workflows").glob("*.json"))
    assert templates
    assert sorted(comfy.json("/workflow_templates")["esg"]) == sorted(path.stem for path in templates)
    for path in templates:
        assert comfy.get(f"/api/workflow_templates/esg/{quote(path.name)}") == path.read_bytes()
        picture = path.with_suffix(".jpg")
        assert comfy.get(f"/api/workflow_templates/esg/{quote(picture.name)}") == picture.read_bytes()


def test_its_translations_are_handed_out(comfy: Any) -> None:
    languages = {path.name for path in (comfy.pack / "locales").glob("*") if (path / "nodeDefs.json").is_file()}
    assert "en" in languages
    offered = comfy.json("/i18n")
    for language in languages:
        assert any(name.startswith("ESG") for name in offered[language]["nodeDefs"])


def test_its_subgraphs_are_handed_out(comfy: Any) -> None:
    offered = {
        one["name"]: number
        for number, one in comfy.json("/global_subgraphs").items()
        if one["info"]["node_pack"] == "custom_nodes.esg"
    }
    files = sorted((comfy.pack / "subgraphs").glob("*.json"))
    assert [path.stem for path in files] == sorted(offered)
    for path in files:
        assert comfy.json(f"/global_subgraphs/{offered[path.stem]}")["data"] == path.read_text(encoding="utf-8")
