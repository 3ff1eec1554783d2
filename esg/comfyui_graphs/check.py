"""Checks a graph against the definitions of its nodes, as ComfyUI does before running it."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ..support.errors import InputError
from .definitions import Definitions, Input, inputs_of, outputs_of

_PYTHON: dict[str, Any] = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool}


def check(graph: Mapping[str, Any], definitions: Definitions) -> None:
    """Checks every id, input, type, link, choice and number of a graph.

    Args:
        graph: graph in the API format, from `Graph.to_api` or ComfyUI's own export.
        definitions: definitions of all its nodes, in the format of `/object_info`.

    Raises:
        InputError: something does not fit; the message names node and input.
    """
    for number, node in graph.items():
        if node["class_type"] not in definitions:
            raise InputError(f"Node {number}: the node type {node['class_type']!r} does not exist.")
    for number, node in graph.items():
        where = f"Node {number} ({node['class_type']})"
        inputs = {one.name: one for one in inputs_of(definitions[node["class_type"]])}
        for name in node["inputs"]:
            if name not in inputs:
                raise InputError(f"{where} has no input {name!r}; it has {', '.join(inputs)}.")
        for name, wanted in inputs.items():
            if name in node["inputs"]:
                _check_input(f"{where}, input {name}", wanted, node["inputs"][name], graph, definitions)
            elif wanted.required:
                raise InputError(f"{where}, input {name}: it has neither a value nor a link.")
    _check_whole(graph, definitions)


def _check_whole(graph: Mapping[str, Any], definitions: Definitions) -> None:
    if not any(definitions[node["class_type"]].get("output_node") for node in graph.values()):
        raise InputError("The graph has no node that shows or saves anything, so none of it would run.")
    before = {
        number: [value[0] for value in node["inputs"].values() if _is_link(value)] for number, node in graph.items()
    }
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        raise InputError(f"Nodes are linked in a circle: {' to '.join(error.args[1])}.") from None


def _check_input(where: str, wanted: Input, value: Any, graph: Mapping[str, Any], definitions: Definitions) -> None:
    if _is_link(value):
        _check_link(where, wanted, value, graph, definitions)
    elif not wanted.is_widget:
        raise InputError(f"{where}: it needs a link to something of type {wanted.type}, not {value!r}.")
    elif wanted.type == "COMBO":
        if wanted.choices and value not in wanted.choices:  # without choices, it is a list of files that are not here
            raise InputError(f"{where}: {value!r} is not one of {', '.join(map(str, wanted.choices))}.")
    else:
        _check_value(where, wanted, value)


def _check_link(where: str, wanted: Input, link: Any, graph: Mapping[str, Any], definitions: Definitions) -> None:
    number, slot = link
    if number not in graph:
        raise InputError(f"{where}: it is linked to node {number}, which does not exist.")
    source = graph[number]["class_type"]
    outputs = outputs_of(definitions[source])
    if not 0 <= slot < len(outputs):
        raise InputError(f"{where}: node {number} ({source}) has {len(outputs)} outputs, but not number {slot}.")
    name, type_ = outputs[slot]
    if "*" not in (type_, wanted.type) and not {*type_.split(",")} & {*wanted.type.split(",")}:
        raise InputError(f"{where}: it takes {wanted.type}, but {name} of node {number} ({source}) has type {type_}.")


def _check_value(where: str, wanted: Input, value: Any) -> None:
    # bool is an int in Python, but not in ComfyUI.
    if not isinstance(value, _PYTHON[wanted.type]) or isinstance(value, bool) != (wanted.type == "BOOLEAN"):
        raise InputError(f"{where}: {value!r} is not of type {wanted.type}.")
    if wanted.type in ("INT", "FLOAT"):
        least, most = wanted.options.get("min", value), wanted.options.get("max", value)
        if not least <= value <= most:
            raise InputError(f"{where}: {value} is not from {least} to {most}.")


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int
