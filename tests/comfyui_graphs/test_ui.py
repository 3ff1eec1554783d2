from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from esg.comfyui_graphs import Graph, to_ui

VERSIONS = {"comfy-core": "0.8.0", "blur": "1.2.3"}
MODEL = {"name": "m.safetensors", "url": "https://example.org/m.safetensors", "directory": "checkpoints"}


@pytest.fixture
def graph(definitions: dict[str, Any]) -> Graph:
    """Two groups and a second row: (note, Load, Number → Blur) (Save) / (Files)."""
    graph = Graph(definitions)
    graph.group("First")
    graph.note("Some *words*.")
    photo = graph.add("Load", {"file": "b.png"})
    number = graph.add("Number", {"value": 7})
    blurred = graph.add(
        "Blur", {"image": photo["image"], "radius": number["INT"], "seed": 9}, title="Softly", after_run="randomize"
    )
    graph.group("Second")
    graph.add("Save", {"images": blurred["image"], "name": "soft"}, colours=("#123", "#456"), size=(500, 400))
    graph.group("Third", new_row=True)
    graph.add("Files", {"name": "m.safetensors"}, models=[MODEL])
    return graph


@pytest.fixture
def ui(graph: Graph) -> dict[str, Any]:
    return to_ui(graph, "test", VERSIONS)


def node(ui: dict[str, Any], number: int) -> dict[str, Any]:
    return next(one for one in ui["nodes"] if one["id"] == number)


def test_links_name_both_ends_and_both_ends_the_links(ui: dict[str, Any]) -> None:
    # Blur's sockets: image, mask, wired, and behind them the field that is linked.
    assert ui["links"] == [[1, 2, 0, 4, 0, "IMAGE"], [2, 3, 0, 4, 3, "INT"], [3, 4, 0, 5, 0, "IMAGE"]]
    assert node(ui, 4)["inputs"] == [
        {"name": "image", "type": "IMAGE", "link": 1},
        {"name": "mask", "shape": 7, "type": "MASK", "link": None},
        {"name": "wired", "shape": 7, "type": "STRING", "link": None},
        {"name": "radius", "type": "INT", "widget": {"name": "radius"}, "link": 2},
    ]
    assert node(ui, 2)["outputs"] == [
        {"name": "image", "type": "IMAGE", "links": [1]},
        {"name": "alpha", "type": "MASK", "links": None},
    ]
    assert (ui["last_node_id"], ui["last_link_id"], ui["version"]) == (6, 3, 0.4)


def test_values_stand_in_the_order_of_the_fields(ui: dict[str, Any]) -> None:
    assert node(ui, 4)["widgets_values"] == [3, "gauss", 9, "randomize", 0.5]  # radius is linked, and has its default
    assert node(ui, 2)["widgets_values"] == ["b.png", "image"]  # the second is the button for uploads
    assert node(ui, 5)["widgets_values"] == ["soft"]


def test_nodes_say_where_they_come_from(ui: dict[str, Any]) -> None:
    assert node(ui, 4)["properties"] == {"Node name for S&R": "Blur", "cnr_id": "blur", "ver": "1.2.3"}
    assert node(ui, 6)["properties"] == {
        "Node name for S&R": "Files",
        "cnr_id": "comfy-core",
        "ver": "0.8.0",
        "models": [MODEL],
    }


def test_titles_and_colours_are_written_only_where_they_are_not_the_node_s_own(ui: dict[str, Any]) -> None:
    assert node(ui, 4)["title"] == "Softly"
    assert "title" not in node(ui, 5)
    assert (node(ui, 5)["color"], node(ui, 5)["bgcolor"], node(ui, 5)["size"]) == ("#123", "#456", [500, 400])
    assert "color" not in node(ui, 4)


def test_notes_are_no_part_of_what_runs(ui: dict[str, Any]) -> None:
    assert (node(ui, 1)["type"], node(ui, 1)["widgets_values"]) == ("MarkdownNote", ["Some *words*."])
    assert sorted(one["order"] for one in ui["nodes"] if one["id"] != 1) == [0, 1, 2, 3, 4]


def test_nothing_lies_on_anything_else_and_frames_hold_their_nodes(ui: dict[str, Any]) -> None:
    boxes = {one["id"]: (one["pos"][0], one["pos"][1] - 30, *one["size"]) for one in ui["nodes"]}  # with title bars
    frames = {one["title"]: one["bounding"] for one in ui["groups"]}
    for first, second in [*combinations(boxes.values(), 2), *combinations(frames.values(), 2)]:
        assert not overlap(first, second)
    for title, numbers in {"First": (1, 2, 3, 4), "Second": (5,), "Third": (6,)}.items():
        left, top, width, height = frames[title]
        for x, y, w, h in (boxes[number] for number in numbers):
            assert left < x
            assert top + 30 < y  # below the frame's title
            assert x + w < left + width
            assert y + h < top + height


def test_what_is_linked_stands_to_the_right_and_notes_come_first(ui: dict[str, Any]) -> None:
    x = {one["id"]: one["pos"][0] for one in ui["nodes"]}
    assert x[1] < x[2] == x[3] < x[4] < x[5]
    first, second, third = (one["bounding"] for one in ui["groups"])
    assert (first[1], second[1]) == (0, 0)
    assert third[0] == 0
    assert third[1] > max(first[3], second[3])


def test_the_same_graph_gives_the_same_file(graph: Graph) -> None:
    assert to_ui(graph, "test", VERSIONS) == to_ui(graph, "test", VERSIONS)
    assert to_ui(graph, "test", VERSIONS)["id"] != to_ui(graph, "other", VERSIONS)["id"]


def overlap(one: Any, other: Any) -> bool:
    """Whether two boxes (x, y, width, height) do."""
    apart = [one[k] + one[k + 2] <= other[k] or other[k] + other[k + 2] <= one[k] for k in (0, 1)]
    return not any(apart)
