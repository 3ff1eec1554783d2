from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

Nodes = Callable[[str], Any]


@pytest.fixture
def pick(nodes: Nodes, image: torch.Tensor, entities: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(picks: str, invert: bool = False, **options: Any) -> Any:
        given = {"image": image[:1], "entities": entities, **options}
        if len(given["image"]) == 1:
            given["entities"] = type(entities)(given["entities"].maps[:1], given["entities"].groundings[:1])
        return nodes("PickEntities").pick(given.pop("image"), given.pop("entities"), picks, invert, **given)

    return run


@pytest.mark.parametrize(
    ("picks", "ids"),
    [
        ("", "none"),
        ("2", "2"),
        ("1, 2-4", "1-4"),
        ("all", "1-4"),
        ("not 2", "1,3,4"),
        ("best 2", "1,2"),
        ("score<0.55", "3,4"),
    ],
)
def test_a_text_chooses(pick: Callable[..., Any], entities: Any, picks: str, ids: str) -> None:
    mask, picked, rest, said = pick(picks)["result"]
    assert said == ids
    chosen = [
        k for k in range(1, 5) if k in {int(x) for part in ids.split(",") if part != "none" for x in _range(part)}
    ]
    labels = entities.maps[0].labels
    assert np.array_equal(mask[0].numpy() > 0, np.isin(labels, chosen))
    assert len(picked.maps[0]) == len(chosen)
    assert len(rest.maps[0]) == 4 - len(chosen)
    assert np.array_equal(rest.maps[0].labels > 0, ~np.isin(labels, chosen))


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def test_a_number_that_one_picture_does_not_have_is_told(
    nodes: Nodes, image: torch.Tensor, entities: Any, caplog: pytest.LogCaptureFixture
) -> None:
    one = type(entities)(entities.maps[:1], entities.groundings[:1])

    def run(images: list[torch.Tensor], given: list[Any]) -> list[Any]:
        caplog.clear()
        nodes("PickEntities").pick_lists(image=images, entities=given, picks=["2, 99"], invert=[False])
        return [record.message for record in caplog.records if "99" in record.message]

    (said,) = run([image[:1]], [one])
    assert said.startswith("There is no entity 99")
    assert run([image], [entities]) == run([image[:1]] * 2, [one] * 2) == []


def test_inverting_and_what_other_nodes_send(pick: Callable[..., Any]) -> None:
    assert pick("2", invert=True)["result"][3] == "1,3,4"
    assert pick("", more='[{"x": 45, "y": 30}]')["result"][3] == "4"
    assert pick("1", more='[{"x": 45, "y": 30}]')["result"][3] == "1,4"
    box = {"x": 0, "y": 20, "width": 60, "height": 20, "score": 0.9, "label": "thing"}
    for boxes in (box, [box], [[box]]):
        assert pick("", boxes=boxes)["result"][3] == "3,4"


def test_phrases_are_followed_by_what_is_kept(pick: Callable[..., Any], entities: Any, core: Any) -> None:
    grounding = core.Grounding("dog, cat", (core.Phrase("dog", (0, 3), (3, 1), (0.9, 0.8)), core.Phrase("cat", (5, 8))))
    grounded = type(entities).of(entities.maps[:1], [grounding])
    _, picked, rest, said = pick("phrase: dog", entities=grounded)["result"]
    assert said == "1,3"
    assert picked.groundings[0].phrases[0].entity_ids == (2, 1)
    assert rest.groundings[0].phrases[0].entity_ids == ()
    with pytest.raises(core.InputError):
        pick("phrase: dog")  # nobody has asked what words mean


def test_one_choice_for_all_pictures(pick: Callable[..., Any], image: torch.Tensor) -> None:
    mask, picked, _, said = pick("largest 2", image=image)["result"]
    assert said == "1,2\nnone"
    assert mask.shape == (2, 40, 60)
    assert not mask[1].any()
    assert [len(found) for found in picked.maps] == [2, 0]


def test_numbers_of_another_picture_choose_nothing(pick: Callable[..., Any], image: torch.Tensor) -> None:
    assert pick("2, 9, 4-70")["result"][3] == "2,4"
    assert pick("3", image=image)["result"][3] == "3\nnone"


def test_every_picture_can_have_a_choice_of_its_own(
    pick: Callable[..., Any], nodes: Nodes, image: torch.Tensor, entities: Any
) -> None:
    twice = type(entities).of([entities.maps[0]] * 2)
    node = nodes("PickEntities")
    for picks, said in (
        ("1", "1\n1"),
        ("picture 2: 3,4", "none\n3,4"),
        ("largest, picture 2: none", "1\nnone"),
        ("2，picture 1：not 2、4", "1,3,4\n2"),
    ):
        assert node.pick(image, twice, picks, False)["result"][3] == said


def test_lists_are_counted_on(pick: Callable[..., Any], nodes: Nodes, image: torch.Tensor, entities: Any) -> None:
    small = type(entities).of(entities.maps[:1])
    node = nodes("PickEntities")
    assert node.INPUT_IS_LIST
    given = {"image": [image[:1], image, image[:1]], "entities": [small, entities, small], "invert": [False]}
    found = getattr(node, node.FUNCTION)(picks=["1, picture 4: 3, picture 2: 4"], **given)
    masks, picked, rest, said = found["result"]
    assert said == ["1", "4\nnone", "3"]
    assert [mask.shape for mask in masks] == [(1, 40, 60), (2, 40, 60), (1, 40, 60)]
    assert [len(one) for one in picked] == [len(one) for one in rest] == [1, 2, 1]
    assert [page["ids"] for page in found["ui"]["esg_pick"]] == [[1], [4], [], [3]]


def test_a_text_that_cannot_be_read_is_told_before_anything_runs(nodes: Nodes) -> None:
    for node, name in (
        ("PickEntities", "picks"),
        ("FilterEntities", "picks"),
        ("MergeEntities", "picks"),
        ("ForEach", "only"),
    ):
        validate = nodes(node).VALIDATE_INPUTS
        assert validate(**{name: "3, largest 2"}) is True
        assert validate(**{name: None}) is True  # it comes over a wire
        assert "'larger' is not understood" in validate(**{name: "larger"})
    assert "not understood" in nodes("PickEntities").VALIDATE_INPUTS(picks=["larger"])


def test_what_cannot_be_read_is_one_sentence(pick: Callable[..., Any], core: Any) -> None:
    for picks in ("3-1", "larger", "[{", "phrase:"):
        with pytest.raises(core.InputError) as caught:
            pick(picks)
        assert str(caught.value).endswith(".")
    box = {"x": 1, "y": 1, "width": 5, "height": 5}
    for boxes in ("here", 7, [1, 2], [[1, 2, 3, 4]], {"x": 1, "y": 1}, [box, []], [None]):
        with pytest.raises(core.InputError, match="boxes must be"):
            pick("", boxes=boxes)
    with pytest.raises(core.InputError, match="boxes for 2 pictures, but 1"):
        pick("", boxes=[[box], [box]])


def test_the_widget_gets_the_picture_and_the_numbers_of_its_pixels(
    pick: Callable[..., Any], entities: Any, part: Callable[[str], Any]
) -> None:
    (shown,) = pick("2,4")["ui"]["esg_pick"]
    assert (shown["count"], shown["width"], shown["height"], shown["ids"]) == (4, 60, 40, [2, 4])
    assert (shown["numbers"], shown["clip"]) == ([1, 2, 3, 4], False)
    folder = part("host").host().temp_path(".x").parent
    numbers = np.asarray(Image.open(folder / shown["labels"]["filename"])).astype(int)
    assert np.array_equal(numbers[..., 0] + 256 * numbers[..., 1] + 65536 * numbers[..., 2], entities.maps[0].labels)
    with Image.open(folder / shown["picture"]["filename"]) as picture:
        assert picture.size == (60, 40)


def test_large_pictures_are_shown_smaller(pick: Callable[..., Any], core: Any, entities: Any) -> None:
    labels = np.zeros((10, 3000), np.int32)
    labels[:, 1500:] = 1
    large = type(entities).of([core.EntityMap.from_labels(labels)])
    (shown,) = pick("1", image=torch.zeros(1, 10, 3000, 3), entities=large)["ui"]["esg_pick"]
    assert (shown["width"], shown["height"]) == (1024, 3)


def test_preview_shows_the_overlay(
    nodes: Nodes, image: torch.Tensor, entities: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = nodes("PreviewEntities").preview(image, entities, 1.0, False)
    assert found["result"][0].shape == image.shape
    assert torch.allclose(found["result"][0][1], image[1])  # without entities it is the picture
    assert not torch.allclose(found["result"][0][0], image[0])
    assert [{*file} for file in found["ui"]["images"]] == [{"filename", "subfolder", "type"}] * 2
