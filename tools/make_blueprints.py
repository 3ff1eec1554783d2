"""Makes the subgraphs in `subgraphs/`, which ComfyUI offers as nodes: `python tools/make_blueprints.py`.

Each is described as the graphs in `workflows/` are. What comes from outside is an output of the node IN, and what the
subgraph gives goes to the node OUT; ComfyUI has both in every subgraph.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from make_workflows import PACKS, read_definitions
from node_pack import ROOT

from esg.comfyui_graphs import Definitions, Graph, NodeOutput, to_ui
from esg.comfyui_graphs.blocks import pick, repaint, segment, stitch

SUBGRAPHS = ROOT / "subgraphs"
IN, OUT = -10, -20  # ids of the nodes at both ends
ROW, END = 20, 160  # pixels: height of a socket there, and the width of such a node
GAP = 100  # pixels between these nodes and the others


@dataclass(frozen=True)
class Blueprint:
    """A subgraph.

    Attributes:
        graph: what is in it.
        inputs: name, type and, for a field, its first value; else None.
        outputs: what it gives, by name.
        shown: node and field of what is shown on the outside, too, and is not an input.
        description: a sentence for the list of nodes.
        aliases: what people may search for.
    """

    graph: Graph
    inputs: list[tuple[str, str, Any]]
    outputs: dict[str, NodeOutput]
    shown: list[tuple[int, str]]
    description: str
    aliases: list[str]


def click_and_inpaint(definitions: Definitions) -> Blueprint:
    inputs = [
        ("image", "IMAGE", None),
        ("model", "MODEL", None),
        ("clip", "CLIP", None),
        ("vae", "VAE", None),
        ("prompt", "STRING", "a blue silk dress with golden stars, soft folds"),
        ("target", "INT", 512),
        ("denoise", "FLOAT", 0.9),
    ]
    given = {name: NodeOutput(IN, slot, kind) for slot, (name, kind, _) in enumerate(inputs)}
    graph = Graph(definitions)
    graph.group("Take it apart")
    entities = segment(graph, given["image"])
    graph.group("Click it")
    picked = pick(graph, given["image"], entities, "")
    graph.group("Repaint it")
    cut = graph.add("ESGMaskToInpaint", {"image": given["image"], "mask": picked["mask"], "target": given["target"]})
    loader = {"MODEL": given["model"], "CLIP": given["clip"], "VAE": given["vae"]}
    made = repaint(graph, loader, cut, given["prompt"], given["denoise"])
    image = stitch(graph, given["image"], made, cut)
    return Blueprint(
        graph,
        inputs,
        {"image": image, "mask": picked["mask"]},
        [(picked.id, "picks"), (picked.id, "picture")],
        "Run once, click what is to be repainted, and run again: the surroundings of what was clicked go through the "
        "model, and what it makes is put back. Any checkpoint will do; target is 512 for SD 1.5 and 1024 for SDXL.",
        ["inpaint", "sam", "segment", "click to select", "repaint"],
    )


BLUEPRINTS = {"Click, inpaint, put back": click_and_inpaint}


def to_blueprint(blueprint: Blueprint, name: str) -> dict[str, Any]:
    """The form in which ComfyUI stores a subgraph: a graph of one node, and the content of that node."""
    inner = to_ui(blueprint.graph, name, PACKS)
    own = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}, inside"))
    links = [
        {"id": number, "origin_id": source, "origin_slot": out, "target_id": target, "target_slot": to, "type": kind}
        for number, source, out, target, to, kind in inner["links"]
    ]
    for slot, output in enumerate(blueprint.outputs.values()):
        link = {"id": len(links) + 1, "origin_id": output.node, "origin_slot": output.slot, "target_id": OUT}
        links.append({**link, "target_slot": slot, "type": output.type})
        (source,) = (node for node in inner["nodes"] if node["id"] == output.node)
        leaving = source["outputs"][output.slot]
        leaving["links"] = [*(leaving["links"] or []), link["id"]]
    left, right = -END - GAP, max(node["pos"][0] + node["size"][0] for node in inner["nodes"]) + GAP
    sockets = [
        {
            "id": _id(name, "in", key),
            "name": key,
            "type": kind,
            "linkIds": [link["id"] for link in links if link["origin_id"] == IN and link["origin_slot"] == slot],
            "pos": [left + END - ROW, ROW * (slot + 1)],
        }
        for slot, (key, kind, _) in enumerate(blueprint.inputs)
    ]
    results = [
        {
            "id": _id(name, "out", key),
            "name": key,
            "type": output.type,
            "linkIds": [link["id"] for link in links if link["target_id"] == OUT and link["target_slot"] == slot],
            "pos": [right + ROW, ROW * (slot + 1)],
        }
        for slot, (key, output) in enumerate(blueprint.outputs.items())
    ]
    subgraph = {
        "id": own,
        "version": 1,
        "state": {
            "lastGroupId": len(inner["groups"]),
            "lastNodeId": inner["last_node_id"],
            "lastLinkId": len(links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": name,
        "inputNode": {"id": IN, "bounding": [left, 0, END, ROW * (len(sockets) + 2)]},
        "outputNode": {"id": OUT, "bounding": [right, 0, END, ROW * (len(results) + 2)]},
        "inputs": sockets,
        "outputs": results,
        "widgets": [],
        "nodes": inner["nodes"],
        "groups": inner["groups"],
        "links": links,
        "extra": {"BlueprintSearchAliases": blueprint.aliases},
        "category": "ESG",
        "description": blueprint.description,
    }
    return {
        "revision": 0,
        "last_node_id": inner["last_node_id"] + 1,
        "last_link_id": 0,
        "nodes": [_outside(blueprint, name, own, inner["last_node_id"] + 1)],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [subgraph]},
        "extra": {"BlueprintSearchAliases": blueprint.aliases},
    }


def _outside(blueprint: Blueprint, name: str, own: str, number: int) -> dict[str, Any]:
    """The node as which a subgraph appears from outside."""
    inputs = [
        {"name": key, "type": kind, **({} if value is None else {"widget": {"name": key}}), "link": None}
        for key, kind, value in blueprint.inputs
    ]
    fields = [(key, value) for key, _, value in blueprint.inputs if value is not None]
    shown = [["-1", key] for key, _ in fields] + [[str(node), field] for node, field in blueprint.shown]
    return {
        "id": number,
        "type": own,
        "pos": [0, 0],
        "size": [460, 860],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": inputs,
        "outputs": [{"name": key, "type": output.type, "links": None} for key, output in blueprint.outputs.items()],
        "title": name,
        "properties": {"proxyWidgets": shown, "cnr_id": "esg", "ver": PACKS["esg"]},
        "widgets_values": [value for _, value in fields],
    }


def _id(*names: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, ", ".join(names)))


def make(definitions: Definitions) -> dict[Path, str]:
    """The text of every file, by its path in `subgraphs/`."""
    return {
        Path(f"{name}.json"): json.dumps(to_blueprint(describe(definitions), name), indent=2, ensure_ascii=False) + "\n"
        for name, describe in BLUEPRINTS.items()
    }


def main() -> None:
    SUBGRAPHS.mkdir(exist_ok=True)
    for path, text in make(read_definitions()).items():
        (SUBGRAPHS / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
