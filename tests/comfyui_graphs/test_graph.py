from __future__ import annotations

from typing import Any

import pytest

from esg import InputError
from esg.comfyui_graphs import Graph


@pytest.fixture
def graph(definitions: dict[str, Any]) -> Graph:
    graph = Graph(definitions)
    graph.group("All")
    return graph


def test_the_form_that_runs(graph: Graph) -> None:
    graph.note("Nobody runs this.")
    photo = graph.add("Load")
    blurred = graph.add("Blur", {"image": photo["image"], "mask": photo["alpha"], "radius": 5}, title="Softly")
    graph.add("Save", {"images": blurred["image"], "name": "soft"})
    assert graph.to_api() == {
        "2": {"inputs": {"file": "a.png"}, "class_type": "Load", "_meta": {"title": "Load"}},
        "3": {
            "inputs": {"radius": 5, "image": ["2", 0], "kind": "gauss", "seed": 0, "mask": ["2", 1], "share": 0.5},
            "class_type": "Blur",
            "_meta": {"title": "Softly"},
        },
        "4": {
            "inputs": {"images": ["3", 0], "name": "soft"},
            "class_type": "Save",
            "_meta": {"title": "Save it"},
        },
    }


def test_a_field_can_be_linked(graph: Graph) -> None:
    number = graph.add("Number", {"value": 4})
    graph.add("Blur", {"radius": number["INT"]})
    assert graph.to_api()["2"]["inputs"]["radius"] == ["1", 0]


def test_nodes_are_numbered_through_all_groups(graph: Graph) -> None:
    graph.add("Load")
    graph.group("More")
    graph.add("Load")
    assert [node.id for node in graph.nodes] == [1, 2]


def test_unknown_names_are_refused_where_they_are_written(graph: Graph) -> None:
    with pytest.raises(InputError, match=r"no definition of the node type 'Blurr'"):
        graph.add("Blurr")
    with pytest.raises(InputError, match=r"Node 1 \(Load\) has no input 'fille'; it has file"):
        graph.add("Load", {"fille": "a.png"})
    photo = graph.add("Load")
    with pytest.raises(InputError, match=r"Node 2 \(Load\) has no output 'mask'; it has image, alpha"):
        photo["mask"]
