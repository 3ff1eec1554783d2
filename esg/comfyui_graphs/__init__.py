"""ComfyUI graphs as plain data: one description, from which both of ComfyUI's formats are made.

`Graph` describes nodes and links, `to_api` gives the format that runs, `to_ui` the one that people open, and `check`
finds mismatches. Node definitions are passed in as data, in the format of ComfyUI's `/object_info`. `edit_workflow`
turns edits made elsewhere into a workflow.
"""

from .check import check
from .definitions import Definitions, edit_definitions
from .edits import RecordedEdit, Segmentation, Selection, edit_graph, edit_workflow
from .graph import Graph, Node, NodeOutput
from .ui import to_ui

__all__ = [
    "Definitions",
    "Graph",
    "Node",
    "NodeOutput",
    "RecordedEdit",
    "Segmentation",
    "Selection",
    "check",
    "edit_definitions",
    "edit_graph",
    "edit_workflow",
    "to_ui",
]
