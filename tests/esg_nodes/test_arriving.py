"""What other nodes send over the wires, of whatever kind: as ComfyUI calls the nodes, through their FUNCTION."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

Nodes = Callable[[str], Any]
WIRES = ("IMAGE", "MASK", "SEGS", "BOUNDING_BOX", "ESG_ENTITIES", "ESG_STITCH", "ESG_SEGMENTER", "ESG_GROUNDER")


def call(node: Any, **given: Any) -> Any:
    """Runs a node with the defaults of the inputs that are not given."""
    for inputs in node.INPUT_TYPES().values():
        for name, (_, options) in inputs.items():
            if "default" in options:
                given.setdefault(name, options["default"])
    if getattr(node, "INPUT_IS_LIST", False):
        given = {name: [value] for name, value in given.items()}
    return getattr(node, node.FUNCTION)(**given)


@pytest.fixture
def proper(image: torch.Tensor, entities: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A value of every kind that is easily had."""
    monkeypatch.chdir(tmp_path)
    return {"IMAGE": image, "MASK": torch.ones(2, 40, 60), "ESG_ENTITIES": entities}


def test_nothing_and_something_else_are_one_sentence(pack: ModuleType, core: Any, proper: dict[str, Any]) -> None:
    tried = 0
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        wires = {name: kind for name, (kind, _) in node.INPUT_TYPES()["required"].items() if kind in WIRES}
        for odd in wires:
            for value in (None, "words", 7, [1, 2], {"samples": 1}, np.zeros((2, 40, 60, 3))):
                given = {other: proper.get(kind) for other, kind in wires.items()} | {odd: value}
                with pytest.raises(core.EsgError) as told:
                    call(node(), **given)
                assert str(told.value).startswith(("The input", "segs is not SEGS")), name
                tried += 1
    assert tried > 150


def test_an_optional_input_that_gets_nothing_is_as_if_not_connected(nodes: Nodes, proper: dict[str, Any]) -> None:
    image, mask, entities = proper["IMAGE"], proper["MASK"], proper["ESG_ENTITIES"]
    (text,) = call(nodes("PickEntities"), image=image, entities=entities, picks="1", more=None, boxes=None)["result"][3]
    assert text == "1\nnone"
    (crops, *_) = call(nodes("MaskToInpaint"), image=image, mask=mask, context_mask=None)
    assert len(crops) == 2
    assert len(call(nodes("MasksToEntities"), masks=mask, image=None)[0]) == 1


def test_a_picture_without_the_axis_of_a_batch_is_one_picture(nodes: Nodes, proper: dict[str, Any]) -> None:
    one = proper["IMAGE"][0]
    (crops, *_) = call(nodes("MaskToInpaint"), image=one, mask=proper["MASK"][0])
    assert len(crops) == 1
    (cuts, _) = call(nodes("CutOut"), image=one, mask=proper["MASK"][:1])
    assert cuts[0].shape == (1, 40, 60, 4)


def test_a_number_in_place_of_a_text_is_its_text(nodes: Nodes, proper: dict[str, Any]) -> None:
    entities = proper["ESG_ENTITIES"]
    result = call(nodes("PickEntities"), image=proper["IMAGE"], entities=entities, picks=2)["result"]
    assert result[3] == ["2\nnone"]


def test_advice_of_the_core_is_for_comfyui(nodes: Nodes, core: Any, proper: dict[str, Any]) -> None:
    with pytest.raises(
        core.InputError,
        match=r"^There is no phrase 'dog' yet; connect entities that come from Ground Text\.$",
    ):
        call(nodes("FilterEntities"), entities=proper["ESG_ENTITIES"], picks="phrase: dog")
