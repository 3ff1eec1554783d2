"""Inputs and outputs of nodes, read from their definitions in ComfyUI's `/object_info`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

Definitions = Mapping[str, Mapping[str, Any]]  # by the node's id; each as in /object_info

_WIDGETS = {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False}  # types with a field, and its initial value
_UPLOADS = ("image_upload", "video_upload", "audio_upload", "model_file_upload")
_SEEDS = ("seed", "noise_seed")


@dataclass(frozen=True)
class Input:
    """An input of a node.

    Attributes:
        name: name in the graph.
        type: type such as IMAGE or INT; COMBO for a choice of names.
        required: whether the node needs it to run.
        choices: choices of a COMBO, else empty; also empty if they are files and this machine has none.
        options: further properties: default, min, max ...
    """

    name: str
    type: str
    required: bool
    choices: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_widget(self) -> bool:
        """Whether the node has a field for it (it can be linked, too); other inputs can only be linked."""
        return (self.type == "COMBO" or self.type in _WIDGETS) and not self.options.get("forceInput")

    @property
    def has_control(self) -> bool:
        """Whether the frontend adds a field after it that controls the number after a run."""
        return self.type == "INT" and bool(self.options.get("control_after_generate", self.name in _SEEDS))

    @property
    def has_upload(self) -> bool:
        """Whether the frontend adds an upload button after the required fields, which counts as a field."""
        return any(self.options.get(name) for name in _UPLOADS)

    @property
    def is_multiline(self) -> bool:
        return self.type == "STRING" and bool(self.options.get("multiline"))

    @property
    def default(self) -> Any:
        """The initial value of its field; None for a choice of files."""
        if self.type == "COMBO":
            return self.options.get("default", self.choices[0] if self.choices else None)
        return self.options.get("default", _WIDGETS[self.type])


def inputs_of(definition: Mapping[str, Any]) -> list[Input]:
    """The inputs of a node in order, the required ones first; without ComfyUI's hidden inputs."""
    found = []
    for kind in ("required", "optional"):
        for name, (type_, *rest) in definition["input"].get(kind, {}).items():
            options = rest[0] if rest else {}
            choices: Sequence[Any] = ()
            if not isinstance(type_, str):  # older nodes give the choices in place of a type
                type_, choices = "COMBO", type_
            elif type_ == "COMBO":
                choices = options.get("options", ())
            found.append(Input(name, type_, kind == "required", tuple(choices), options))
    return found


def outputs_of(definition: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and type of every output of a node, in order."""
    return list(zip(definition["output_name"], definition["output"]))


@cache
def edit_definitions() -> Definitions:
    """Definitions of the nodes used in edit workflows; they ship with the package.

    Choices of files on a machine are left empty.
    """
    found: Definitions = json.loads(Path(__file__).with_name("edit_nodes.json").read_text(encoding="utf-8"))
    return found
