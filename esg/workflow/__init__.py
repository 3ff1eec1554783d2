"""ComfyUI graphs as plain data: one description, and from it both forms that ComfyUI takes.

`Graph` describes nodes and links, `to_api` is the form that runs, `to_ui` the one that people open, and `check` says
what does not fit. What nodes there are comes in as data, in the shape of the answer of ComfyUI's `/object_info`.
`edit_workflow` describes what was done to a photo elsewhere.
"""

from .check import check
from .definitions import Definitions, edit_definitions
from .edits import RecordedEdit, Segmentation, Selection, edit_graph, edit_workflow
from .graph import Graph, Node, Output
from .ui import to_ui

__all__ = [
    "Definitions",
    "Graph",
    "Node",
    "Output",
    "RecordedEdit",
    "Segmentation",
    "Selection",
    "check",
    "edit_definitions",
    "edit_graph",
    "edit_workflow",
    "to_ui",
]
