"""What comes over the wires of a node, looked at before the node gets it.

ComfyUI compares only the names of kinds, and nodes of other packs may send nothing, or anything, over a wire.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

from torch import Tensor

from ..esg import InputError
from .inpainting import StitchRecord
from .loading import Loaded
from .values import ENTITIES, GROUNDER, SEGMENTER, STITCH, Entities

_CLASSES: dict[str, type[Any]] = {
    "IMAGE": Tensor,
    "MASK": Tensor,
    "STRING": str,
    ENTITIES: Entities,
    STITCH: StitchRecord,
    SEGMENTER: Loaded,
    GROUNDER: Loaded,
}


def checking(node: type[Any]) -> type[Any]:
    """The node as ComfyUI gets it: it refuses in a sentence what is not of the kind that an input wants.

    An optional input to which nothing is sent is as if it had no wire.
    """

    def run(self: Any, **given: Any) -> Any:
        in_lists = getattr(node, "INPUT_IS_LIST", False)
        taken = {}
        for part, inputs in node.INPUT_TYPES().items():
            for name, (kind, _) in inputs.items():
                if name not in given:
                    continue
                values = given[name] if in_lists else [given[name]]
                if part == "optional" and all(one is None for one in values):
                    continue
                values = [_checked(name, kind, one) for one in values]
                taken[name] = values if in_lists else values[0]
        return getattr(self, node.FUNCTION)(**taken)

    return type(node.__name__, (node,), {"FUNCTION": "run_checked", "run_checked": run, "__module__": node.__module__})


def _checked(name: str, kind: Any, value: Any) -> Any:
    """The value; one that can mean one thing only is brought into the form for it."""
    if value is None:
        raise InputError(f"Nothing arrives at the input {name!r}; connect another output to it.")
    wanted = _CLASSES.get(kind) if isinstance(kind, str) else None
    if wanted is str and isinstance(value, Real):
        return str(value)
    if wanted is not None and not isinstance(value, wanted):
        raise InputError(f"The input {name!r} needs {kind}, but something else arrives; connect another output to it.")
    if kind == "IMAGE" and value.ndim == 3 and value.shape[2] in (1, 3, 4):  # a picture without the axis of its batch
        return value[None]
    return value
