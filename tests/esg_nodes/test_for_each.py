"""For Each Phrase or Entity: masks, prompts and names in lists of one length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Nodes = Callable[[str], Any]


@pytest.fixture
def grounded(entities: Any, core: Any) -> Any:
    """Four entities, of which the sky is 2 and dogs are 1 and 3."""
    phrases = (core.Phrase("Two dogs", (0, 8), (3, 1), (0.9, 0.8)), core.Phrase("the sky", (10, 17), (2,), (0.7,)))
    return type(entities).of(entities.maps[:1], [core.Grounding("Two dogs, the sky, ice", phrases)])


@pytest.fixture
def each(nodes: Nodes, grounded: Any) -> Callable[..., Any]:
    def run(prompts: str, what: str = "phrase", only: str = "", entities: Any = None) -> Any:
        masks, texts, names = nodes("ForEach").list(entities or grounded, what, prompts, only)
        labels = grounded.maps[0].labels
        found = [np.unique(labels[mask[0].numpy() > 0]).tolist() for mask in masks]
        return [*zip(names, found, texts, strict=True)]

    return run


def test_every_phrase_with_its_own_prompt(each: Any) -> None:
    assert each("a photo of {name}\nTHE  SKY = stars at night") == [
        ("Two dogs", [1, 3], "a photo of Two dogs"),
        ("the sky", [2], "stars at night"),
    ]


def test_without_a_general_line_only_what_is_named(each: Any) -> None:
    assert each("the sky = stars = many") == [("the sky", [2], "stars = many")]


def test_every_entity_by_number_or_by_its_phrase(each: Any) -> None:
    assert each("{name}\n4 = a door\ntwo dogs = cats", "entity") == [
        ("Two dogs", [1], "cats"),
        ("the sky", [2], "the sky"),
        ("Two dogs", [3], "cats"),
        ("4", [4], "a door"),
    ]


def test_only_some(each: Any) -> None:
    assert each("{name}", only="1, 2") == [("Two dogs", [1], "Two dogs"), ("the sky", [2], "the sky")]
    assert each("{name}", "entity", "not phrase: dogs") == [("the sky", [2], "the sky"), ("4", [4], "4")]


def test_nothing_is_one_empty_mask(each: Any, grounded: Any, core: Any) -> None:
    phrases = (*grounded.groundings[0].phrases, core.Phrase("ice", (19, 22)))
    with_ice = type(grounded).of(grounded.maps, [core.Grounding("Two dogs, the sky, ice", phrases)])
    assert each("ice = fire", entities=with_ice) == [("", [], "")]
    assert each("{name}", only="none") == [("", [], "")]


def test_lines_that_fit_nothing_say_what_there_is(each: Any, core: Any) -> None:
    with pytest.raises(core.InputError, match=r"the names are Two dogs, the sky\. "):
        each("(red hair=1.2), dog")
    assert each("* = (red hair=1.2)\nof {name}", only="2") == [("the sky", [2], "(red hair=1.2) of the sky")]
    assert each("the sky＝stars") == [("the sky", [2], "stars")]


def test_phrases_need_a_grounding(each: Any, core: Any, entities: Any) -> None:
    bare = type(entities).of(entities.maps[:1])
    with pytest.raises(core.InputError, match="do not have phrases"):
        each("{name}", entities=bare)
    assert len(each("{name}", "entity", entities=bare)) == 4
    with pytest.raises(core.InputError, match="of one picture"):
        each("{name}", entities=entities)


def test_pictures_of_a_list_keep_their_phrases(nodes: Nodes, core: Any, grounded: Any) -> None:
    few = core.EntityMap.from_labels(np.pad(np.ones((6, 8), np.int32), ((4, 20), (10, 32))))
    other = type(grounded).of([few], [core.Grounding("the sky", (core.Phrase("the sky", (0, 7), (1,), (0.9,)),))])
    images = [torch.rand(1, *one.maps[0].labels.shape, 3) for one in (grounded, other)]
    given = {"entities": [grounded, other], "each": ["phrase"], "prompts": ["{name}"], "only": [""]}
    masks, prompts, names = nodes("ForEach").list_all(**given)
    assert names == prompts == ["Two dogs", "the sky", "the sky"]
    settings = {"target": [0], "multiple": ["8"], "context": [1.0], "grow": [0], "feather": [0], "fill_holes": [True]}
    crops, *_, records = nodes("MaskToInpaint").cut_lists(image=images, mask=masks, **settings)
    assert [record.place for record in records] == [0, 0, 1]
    done, changed = nodes("InpaintStitch").stitch_lists(images, [1 - crop for crop in crops], records, [0.0])
    assert torch.equal(changed[0][0], torch.from_numpy(np.isin(grounded.maps[0].labels, (1, 2, 3))).float())
    assert torch.equal(changed[1][0], torch.from_numpy(few.labels > 0).float())
    assert all(torch.equal(a[c == 0], b[c == 0]) for a, b, c in zip(done, images, changed))
    with pytest.raises(core.InputError, match="list of 3 masks does not fit a list of 2 pictures"):
        nodes("MaskToInpaint").cut_lists(image=images, mask=[mask * 1 for mask in masks], **settings)
    assert nodes("ForEach").list_all(**given | {"only": ["picture 2: 1"]})[2] == ["the sky"]
    assert nodes("ForEach").list_all(**given | {"prompts": ["two dogs = cats"]})[1] == ["cats"]
    both = nodes("ForEach").list_all(**given | {"each": ["entity"], "only": ["picture 1: 1, 4"]})[0]
    *_, records = nodes("MaskToInpaint").cut_lists(image=images, mask=both, **settings)
    assert [record.place for record in records] == [0, 0]  # as many as pictures, but all of the first


# --------------------------------------------------------------------------------------------------------- opencv
