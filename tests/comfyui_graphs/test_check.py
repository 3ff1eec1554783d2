from __future__ import annotations

from typing import Any

import pytest

from esg import InputError
from esg.comfyui_graphs import check


@pytest.fixture
def graph() -> dict[str, Any]:
    """Load → Blur → Save, with nothing wrong."""
    blur = {"radius": 5, "image": ["1", 0], "kind": "box", "seed": 0, "mask": ["1", 1], "share": 1}
    return {
        "1": {"class_type": "Load", "inputs": {"file": "b.png"}},
        "2": {"class_type": "Blur", "inputs": blur},
        "3": {"class_type": "Save", "inputs": {"images": ["2", 0], "name": ""}},
    }


def test_what_fits(graph: dict[str, Any], definitions: dict[str, Any]) -> None:
    check(graph, definitions)
    graph["4"] = {"class_type": "Show", "inputs": {"source": ["1", 1], "how": "json"}}  # takes any type
    graph["5"] = {"class_type": "Files", "inputs": {"name": "of another machine.safetensors"}}
    check(graph, definitions)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("radius", 0, "input radius: 0 is not from 1 to 9"),
        ("radius", 10, "input radius: 10 is not from 1 to 9"),
        ("radius", 2.5, "input radius: 2.5 is not of type INT"),
        ("radius", True, "input radius: True is not of type INT"),
        ("radius", ["1", 0], r"input radius: it takes INT, but image of node 1 \(Load\) has type IMAGE"),
        ("share", 1.01, "input share: 1.01 is not from 0 to 1"),
        ("share", "1", "input share: '1' is not of type FLOAT"),
        ("kind", "cube", "input kind: 'cube' is not one of box, gauss"),
        ("image", "a.png", "input image: it needs a link to something of type IMAGE, not 'a.png'"),
        ("image", ["1", 1], r"input image: it takes IMAGE, but alpha of node 1 \(Load\) has type MASK"),
        ("image", ["1", 2], r"input image: node 1 \(Load\) has 2 outputs, but not number 2"),
        ("image", ["7", 0], "input image: it is linked to node 7, which does not exist"),
        ("wired", "text", "input wired: it needs a link to something of type STRING"),
        ("colour", 1, "has no input 'colour'; it has radius"),
    ],
)
def test_what_does_not_fit_is_named(
    graph: dict[str, Any], definitions: dict[str, Any], name: str, value: Any, message: str
) -> None:
    graph["2"]["inputs"][name] = value
    with pytest.raises(InputError, match=r"Node 2 \(Blur\).*" + message):
        check(graph, definitions)


def test_what_is_required_must_be_there(graph: dict[str, Any], definitions: dict[str, Any]) -> None:
    del graph["2"]["inputs"]["mask"]
    check(graph, definitions)
    del graph["2"]["inputs"]["image"]
    with pytest.raises(InputError, match=r"Node 2 \(Blur\), input image: it has neither a value nor a link"):
        check(graph, definitions)


def test_unknown_nodes(graph: dict[str, Any], definitions: dict[str, Any]) -> None:
    graph["3"]["class_type"] = "Print"
    with pytest.raises(InputError, match="Node 3: the node type 'Print' does not exist"):
        check(graph, definitions)


def test_something_must_come_out(graph: dict[str, Any], definitions: dict[str, Any]) -> None:
    del graph["3"]
    with pytest.raises(InputError, match="no node that shows or saves"):
        check(graph, definitions)


def test_no_circles(graph: dict[str, Any], definitions: dict[str, Any]) -> None:
    graph["4"] = {"class_type": "Blur", "inputs": {**graph["2"]["inputs"], "image": ["2", 0]}}
    graph["2"]["inputs"]["image"] = ["4", 0]
    with pytest.raises(InputError, match=r"circle: (2 to 4 to 2|4 to 2 to 4)"):
        check(graph, definitions)
