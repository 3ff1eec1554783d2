"""The description of a graph, and its API format, which ComfyUI runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..support.errors import InputError
from .definitions import Definitions, Input, inputs_of, outputs_of

FIXED, RANDOMIZE = "fixed", "randomize"


@dataclass(frozen=True)
class NodeOutput:
    """An output of a node; pass it to an input of another node."""

    node: int
    slot: int
    type: str


@dataclass(frozen=True, eq=False)
class Node:
    """A node of a graph; `node["IMAGE"]` is its output of that name.

    Attributes:
        id: its number, from 1.
        kind: ComfyUI's id of its class.
        definition: definition of the class in `/object_info`.
        title: title of the node.
        inputs: values and outputs of other nodes; missing fields have their default.
        models: name, url and directory of files that it loads, so that ComfyUI can offer to download them.
        after_run: control of its seed after a run: "fixed", "increment", "decrement" or "randomize".
        colours: colours of title and body, or None.
        size: width and height, or None to fit its inputs.
    """

    id: int
    kind: str
    definition: Mapping[str, Any] = field(repr=False)
    title: str
    inputs: Mapping[str, Any]
    models: Sequence[Mapping[str, str]] = ()
    after_run: str = FIXED
    colours: tuple[str, str] | None = None
    size: tuple[int, int] | None = None

    def __getitem__(self, name: str) -> NodeOutput:
        outputs = outputs_of(self.definition)
        for slot, (own, type_) in enumerate(outputs):
            if own == name:
                return NodeOutput(self.id, slot, type_)
        has = ", ".join(own for own, _ in outputs)
        raise InputError(f"Node {self.id} ({self.kind}) has no output {name!r}; it has {has or 'none'}.")

    def value(self, wanted: Input) -> Any:
        """The value of an input's field, or the output linked to it; None if it has neither."""
        return self.inputs.get(wanted.name, wanted.default if wanted.is_widget else None)


@dataclass(frozen=True)
class Note:
    """A note for the reader, in Markdown; it does not run."""

    id: int
    title: str
    text: str


@dataclass
class Group:
    """A group of nodes in a frame with a title.

    Attributes:
        title: title of the frame.
        new_row: whether it starts a new row below the others, instead of standing to the right of the last one.
        members: nodes and notes.
    """

    title: str
    new_row: bool
    members: list[Node | Note] = field(default_factory=list)


class Graph:
    """A graph that is built node by node, each after the nodes it is linked to.

    Args:
        definitions: definitions of all its nodes, in the format of `/object_info`.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.groups: list[Group] = []
        self._definitions = definitions
        self._last = 0

    @property
    def nodes(self) -> list[Node]:
        """All nodes, in an order in which they can run."""
        return [one for group in self.groups for one in group.members if isinstance(one, Node)]

    def group(self, title: str, *, new_row: bool = False) -> None:
        """Begins a group; it gets all nodes and notes added until the next group begins."""
        self.groups.append(Group(title, new_row))

    def note(self, text: str, title: str = "Note") -> None:
        """Adds a note, in Markdown."""
        self._last += 1
        self.groups[-1].members.append(Note(self._last, title, text))

    def add(self, kind: str, inputs: Mapping[str, Any] | None = None, *, title: str = "", **more: Any) -> Node:
        """Adds a node.

        Args:
            kind: ComfyUI's id of its class.
            inputs: values and outputs of other nodes, by input name; the others get their defaults.
            title: title of the node, if not its own.
            **more: see `Node`.

        Raises:
            InputError: the node or one of the inputs does not exist.
        """
        if kind not in self._definitions:
            raise InputError(f"There is no definition of the node type {kind!r}.")
        definition = self._definitions[kind]
        self._last += 1
        known = {one.name for one in inputs_of(definition)}
        for name in inputs or {}:
            if name not in known:
                raise InputError(f"Node {self._last} ({kind}) has no input {name!r}; it has {', '.join(known)}.")
        title = title or definition.get("display_name") or kind
        node = Node(self._last, kind, definition, title, dict(inputs or {}), **more)
        self.groups[-1].members.append(node)
        return node

    def to_api(self) -> dict[str, Any]:
        """The graph for `POST /prompt`: {id: {inputs, class_type, _meta}}."""
        return {str(node.id): _api_node(node) for node in self.nodes}


def _api_node(node: Node) -> dict[str, Any]:
    inputs = {}
    for one in inputs_of(node.definition):
        value = node.value(one)
        if isinstance(value, NodeOutput):
            inputs[one.name] = [str(value.node), value.slot]
        elif value is not None:
            inputs[one.name] = value
    return {"inputs": inputs, "class_type": node.kind, "_meta": {"title": node.title}}
