"""ComfyUI graphs as plain data: one description, and from it both forms that ComfyUI takes.

`Graph` describes nodes and links, `to_api` is the form that runs, `to_ui` the one that people open, and `check` says
what does not fit. What nodes there are comes in as data, in the shape of the answer of ComfyUI's `/object_info`.
"""

from .check import check
from .definitions import Definitions
from .graph import Graph, Node, Output
from .ui import to_ui

__all__ = ["Definitions", "Graph", "Node", "Output", "check", "to_ui"]
