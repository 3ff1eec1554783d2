"""Checks the values that other nodes send before a node receives them, and puts its errors in ComfyUI's terms.

ComfyUI compares only the names of types, so nodes of other packs may send None or anything else.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

from torch import Tensor

from ..esg import Advice, EsgError, InputError
from ..esg.support.errors import Sentence
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


# The core's advice in ComfyUI's terms; the nodes have no inputs for the rest.
_WORDS = {
    Advice.WEIGHTS: "choose another file in the loader",
    Advice.QUANTISED: "do so with ComfyUI's Python, or choose zero-shot in Load Grounder",
    Advice.WRITER: "write a text into Ground Text, or choose zero-shot in Load Grounder",
    Advice.OPENCV: "run install.py in the folder of this pack with ComfyUI's Python, and restart ComfyUI",
    Advice.GROUND: "connect entities that come from Ground Text",
}


def checking(node: type[Any]) -> type[Any]:
    """The node as ComfyUI uses it: it refuses values of a wrong type with one sentence.

    An optional input that receives None counts as not connected. Errors of the core are put in ComfyUI's terms.
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
        try:
            return getattr(self, node.FUNCTION)(**taken)
        except EsgError as error:
            error.sentence = Sentence(error.sentence.worded(_WORDS))
            raise

    return type(node.__name__, (node,), {"FUNCTION": "run_checked", "run_checked": run, "__module__": node.__module__})


def _checked(name: str, kind: Any, value: Any) -> Any:
    """The value, converted if its type is wrong but its meaning is clear."""
    if value is None:
        raise InputError(f"The input {name!r} receives nothing; connect another output to it.")
    wanted = _CLASSES.get(kind) if isinstance(kind, str) else None
    if wanted is str and isinstance(value, Real):
        return str(value)
    if wanted is not None and not isinstance(value, wanted):
        raise InputError(f"The input {name!r} needs {kind}, but receives something else; connect another output to it.")
    if kind == "IMAGE" and value.ndim == 3 and value.shape[2] in (1, 3, 4):  # a picture without the batch axis
        return value[None]
    return value
