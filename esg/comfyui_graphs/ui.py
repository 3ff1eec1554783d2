"""The format of a graph that ComfyUI's frontend opens: with positions, frames, notes, and the packs of the nodes."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import Any

from .definitions import Input, inputs_of, outputs_of
from .graph import Graph, Group, Node, NodeOutput, Note

_TITLE, _ROW, _FIELD = (
    30,
    20,
    30,
)  # pixels: title bar, a row of sockets, a field; all as in Nodes 2.0, where they are larger
_EDGE = 36  # what a node needs besides: its margins, and in Nodes 2.0 the name of its pack
_GAP_X, _GAP_Y = 60, 30  # between nodes
_PAD, _HEAD = 25, 50  # of a frame: inside, and for its title
_WIDTH, _WIDE = 290, 380  # of nodes, and of those with a text of several lines
_TEXT = 110  # height of such a text
_PICTURE = 290  # height of a picture in a node
_NOTE = 330  # width of a note
_FRAME, _PAPER = "#3f789e", ("#432", "#653")  # colours, as the frontend has them for groups and notes

Place = tuple[int, int]


def to_ui(graph: Graph, name: str, versions: Mapping[str, str]) -> dict[str, Any]:
    """The graph in the frontend's own format, version 0.4, laid out in columns.

    As in the frontend's own files, only linked fields are written as inputs; the others are identified by their order.

    Args:
        graph: the graph to lay out.
        name: name of the workflow; the same name gives the same id.
        versions: the version of every pack that nodes come from, by its registry id: `comfy-core`, `esg` ...
    """
    links = _links(graph)
    places, frames = _layout(graph)
    order = {node.id: index for index, node in enumerate(graph.nodes)}
    nodes = []
    for group in graph.groups:
        for one in group.members:
            saved = _note(one, len(order)) if isinstance(one, Note) else _node(one, order[one.id], links, versions)
            nodes.append({**saved, "pos": [*places[one.id]], "size": [*_size(one)]})
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "revision": 0,
        "last_node_id": max(node["id"] for node in nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": frames,
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _node(node: Node, order: int, links: list[list[Any]], versions: Mapping[str, str]) -> dict[str, Any]:
    sockets = []
    for slot, one in enumerate(_sockets(node)):
        link = next((link[0] for link in links if link[3:5] == [node.id, slot]), None)
        shape = {} if one.required else {"shape": 7}  # a hollow dot
        widget = {"widget": {"name": one.name}} if one.is_widget else {}
        sockets.append({"name": one.name, **shape, "type": one.type, **widget, "link": link})
    outputs = []
    for slot, (name, type_) in enumerate(outputs_of(node.definition)):
        leaving = [link[0] for link in links if link[1:3] == [node.id, slot]]
        outputs.append({"name": name, "type": type_, "links": leaving or None})
    module = node.definition.get("python_module", "")
    pack = module.removeprefix("custom_nodes.") if module.startswith("custom_nodes.") else "comfy-core"
    properties: dict[str, Any] = {"Node name for S&R": node.kind, "cnr_id": pack, "ver": versions[pack]}
    if node.models:
        properties["models"] = [dict(model) for model in node.models]
    saved: dict[str, Any] = {"id": node.id, "type": node.kind, "flags": {}, "order": order, "mode": 0}
    if node.title != (node.definition.get("display_name") or node.kind):
        saved["title"] = node.title
    if node.colours:
        saved["color"], saved["bgcolor"] = node.colours
    return {
        **saved,
        "inputs": sockets,
        "outputs": outputs,
        "properties": properties,
        "widgets_values": _widgets_values(node),
    }


def _note(note: Note, order: int) -> dict[str, Any]:
    return {
        "id": note.id,
        "type": "MarkdownNote",
        "title": note.title,
        "flags": {},
        "order": order,
        "mode": 0,
        "color": _PAPER[0],
        "bgcolor": _PAPER[1],
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": [note.text],
    }


def _sockets(node: Node) -> list[Input]:
    """Inputs with a dot, in the frontend's order: those without a field first, then linked fields."""
    inputs = inputs_of(node.definition)
    linked = [one for one in inputs if one.is_widget and isinstance(node.value(one), NodeOutput)]
    return [one for one in inputs if not one.is_widget] + linked


def _widgets_values(node: Node) -> list[Any]:
    values = []
    inputs = inputs_of(node.definition)
    required = sum(one.required for one in inputs)
    for index, one in enumerate(inputs):
        if one.is_widget:
            value = node.value(one)
            values.append(one.default if isinstance(value, NodeOutput) else value)
            if one.has_control:
                values.append(node.after_run)
        if index + 1 == required and any(other.has_upload for other in inputs[:required]):
            values.append("image")
    return values


def _links(graph: Graph) -> list[list[Any]]:
    """[number, from node, its output, to node, its input, type] of every link."""
    links: list[list[Any]] = []
    for node in graph.nodes:
        for slot, one in enumerate(_sockets(node)):
            source = node.value(one)
            if isinstance(source, NodeOutput):
                links.append([len(links) + 1, source.node, source.slot, node.id, slot, source.type])
    return links


def _size(one: Node | Note) -> Place:
    """Width and height of a node, without its title bar."""
    if isinstance(one, Note):
        rows = sum(max(1, math.ceil(len(line) / 45)) for line in one.text.splitlines())
        return _NOTE, 50 + 20 * rows
    if one.size:
        return one.size
    inputs = inputs_of(one.definition)
    fields = [field for field in inputs if field.is_widget]
    texts = sum(field.is_multiline for field in fields)
    extra = sum(field.has_control + field.has_upload for field in fields)
    height = _ROW * max(len(inputs) - len(fields), len(one.definition["output"])) + _EDGE
    height += _FIELD * (len(fields) - texts + extra) + _TEXT * texts
    shows = one.definition.get("output_node") and any(field.type == "IMAGE" for field in inputs)
    if shows or any(field.has_upload for field in fields):
        height += _PICTURE
    return (_WIDE if texts else _WIDTH), height


def _layout(graph: Graph) -> tuple[dict[int, Place], list[dict[str, Any]]]:
    """The positions of nodes and notes, and the frames around groups, which are placed in rows like words."""
    places: dict[int, Place] = {}
    frames: list[dict[str, Any]] = []
    left, top, bottom = 0, 0, 0
    for index, group in enumerate(graph.groups):
        if group.new_row and frames:
            left, top = 0, bottom + _GAP_X
        width, height = _arrange(group, left + _PAD, top + _HEAD + _TITLE, places)
        width, height = width + 2 * _PAD, height + _HEAD + _TITLE + _PAD
        frame = {"id": index + 1, "title": group.title, "bounding": [left, top, width, height]}
        frames.append({**frame, "color": _FRAME, "font_size": 24, "flags": {}})
        left, bottom = left + width + _GAP_X, max(bottom, top + height)
    return places, frames


def _arrange(group: Group, left: int, top: int, places: dict[int, Place]) -> Place:
    """Puts the members of a group into columns; → their total width and height.

    Notes come first, and every node stands to the right of the nodes in the group that it is linked to.
    """
    column: dict[int, int] = {}
    for one in group.members:
        before = one.inputs.values() if isinstance(one, Node) else ()
        found = [column[value.node] for value in before if isinstance(value, NodeOutput) and value.node in column]
        column[one.id] = -1 if isinstance(one, Note) else max(found, default=-1) + 1
    height, x = 0, left
    for number in sorted({*column.values()}):
        members = [one for one in group.members if column[one.id] == number]
        y = top
        for one in members:
            places[one.id] = (x, y)
            y += _size(one)[1] + _TITLE + _GAP_Y
        height = max(height, y - top - _TITLE - _GAP_Y)
        x += max(_size(one)[0] for one in members) + _GAP_X
    return x - _GAP_X - left, height
